"""Rendering: cells in, pictures out, column by column of equal weight, and the base model left as it was."""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterator, Sequence
from itertools import compress
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from lora_doctor.devices import is_out_of_memory, machine_failures
from lora_doctor.errors import EnvironmentFailure, UsageError
from lora_doctor.image_states import BROKEN_PICTURE
from lora_doctor.lora_merge import read_updates
from lora_doctor.memory import weights_at_hand
from lora_doctor.render_lanes import Lanes, lanes_for
from lora_doctor.render_prompts import (
    Encoded,
    encode,
    fitted,
    guidance_arguments,
    join,
    reads_negative_prompt,
    size_multiple,
    too_long,
)
from lora_doctor.round_trip import round_trip
from lora_doctor.types import Cell, LoraFile

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

RENDERING_VERSION = 1
"""Counted up when the same prompt, seed and settings come to be drawn otherwise (prompts encoded, weights merged, noise
made): kept pictures of weight 0 are then not taken, and a run of another version is not resumed."""
SMALL_PICTURE = 128 * 128
"""Pixels; up to here a UNet's batch is limited by arithmetic, not by memory."""


class PictureCache(Protocol):
    """Keeps pictures of the base model alone, by the batch they were made in: a `base_cache.BaseCache`."""

    def get(self, batch: Sequence[Cell], batch_size: int) -> Sequence[Image.Image] | None:
        """The pictures of a batch, or None."""

    def put(self, batch: Sequence[Cell], batch_size: int, pictures: Sequence[Image.Image | str]) -> None:
        """Keeps them."""


class Renderer:
    """Renders cells with one pipeline and at most one LoRA.

    A column (all cells of one weight and one variant of the LoRA) is rendered with the LoRA merged into the weights:
    every adapted module gets `pristine + weight * scale * up @ down`, computed in float32 from a copy kept aside, so
    that nothing adds up from column to column and weight 0 is the base model bit for bit. Noise comes from one CPU
    generator per cell (`cell.seed`), hence a picture does not depend on what else is in its batch, but for the last
    bits of its arithmetic; those are the same whenever the batch is made up the same.
    """

    version = RENDERING_VERSION

    def __init__(
        self,
        pipeline: Any,
        lora: LoraFile | None,
        *,
        steps: int,
        guidance: float,
        width: int,
        height: int,
        batch_size: int | None = None,
        lanes: int | None = None,
        device: str = "auto",
    ) -> None:
        """Match the LoRA with the pipeline; `width` and `height` in pixels.

        `batch_size`, and how many batches are computed at once with a thread each (`lanes`), None = by device and size.
        `guidance` means what the family's pipeline means by it. `device` `auto` leaves the pipeline where it is.
        Raises InputRefused unless every tensor of the file has its place in the pipeline and the update is not zero,
        UsageError for a size that the family cannot draw.
        """
        self.pipeline = pipeline if device == "auto" else pipeline.to(device)
        self.pipeline.set_progress_bar_config(disable=True)
        _check_size(size_multiple(pipeline), width, height)
        self.steps, self.guidance, self.width, self.height = steps, guidance, width, height
        self.batch_size = batch_size or _default_batch(self._device, width * height, hasattr(pipeline, "unet"))
        with weights_at_hand(pipeline):
            self._updates = read_updates(pipeline, lora) if lora else ()
        self._adapts_text = lora is not None and any(m.component.startswith("text_encoder") for m in lora.modules)
        self._has_lora = lora is not None
        self._encoded: dict[tuple[str, str], Encoded] = {}
        self._encoding = Lock()
        small = width * height <= SMALL_PICTURE
        self._lanes = Lanes(pipeline, lanes or lanes_for(self._device, small))
        self.base_cache: PictureCache | None = None
        """Where the pictures of weight 0 are looked up, and kept."""

    @property
    def threads(self) -> int:
        """How many threads compute a picture: its last bits depend on it."""
        return self._lanes.threads

    @property
    def _device(self) -> str:
        """Where the arithmetic is done, which under offload is not where the weights lie."""
        return str(self.pipeline._execution_device)

    def render(self, cells: Sequence[Cell], done: Container[Cell] = ()) -> Iterator[tuple[Cell, Image.Image | str]]:
        """Each cell not `done` with its RGB picture, or with the reason (a string) why there is none; by weight.

        Batches are cut from all `cells`, and those that hold nothing new are left out: an interrupted run that is
        taken up again ends with the pictures of one that never stopped, to the bit.
        The pipeline's weights are pristine again when the iterator ends or is closed. A batch that does not fit into
        memory is halved, for good; EnvironmentFailure when not even one cell fits, or the GPU fails. UsageError for a
        weight without a LoRA.
        """
        if not self._has_lora and any(cell.weight != 0 for cell in cells):
            raise UsageError("there is no LoRA to render at a weight other than 0")
        if any(cell.negative_prompt.strip() for cell in cells):
            self._tell_of_unread_negatives()
        with machine_failures("pictures are rendered"):
            try:
                for weight, variant in dict.fromkeys((cell.weight, cell.variant) for cell in cells):
                    column = [cell for cell in cells if (cell.weight, cell.variant) == (weight, variant)]
                    if all(cell in done for cell in column):
                        continue
                    self._merge(weight, variant)
                    yield from self._column(column, done)
            finally:
                self._merge(0.0)

    def fitted(self, prompt: str) -> str:
        """The prompt, or as much of its start as the text encoder reads; empty when that is nothing."""
        return fitted(self.pipeline, prompt)

    @machine_failures("the dataset is redrawn")
    def redraw(self, picture: Image.Image) -> Image.Image | None:
        """An RGB picture as the base model's encoder and decoder give it back, at as many pixels as a render.

        None where memory runs out. The LoRA has no part in it.
        """
        try:
            return round_trip(
                self.pipeline.vae, picture, area=self.width * self.height, multiple=size_multiple(self.pipeline),
                device=self._device,
            )  # fmt: skip
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None

    def _tell_of_unread_negatives(self) -> None:
        if not reads_negative_prompt(self.pipeline, self.guidance):
            name = type(self.pipeline).__name__
            warnings.warn(f"a {name} at guidance {self.guidance:g} reads no negative prompt: left out", stacklevel=3)

    def _merge(self, weight: float, variant: str = "") -> None:
        for update in self._updates:
            update.apply(weight, variant)
        if self._adapts_text:
            self._encoded.clear()

    def _column(self, cells: Sequence[Cell], done: Container[Cell]) -> Iterator[tuple[Cell, Image.Image | str]]:
        todo = []
        for cell in cells:
            reason = too_long(self.pipeline, cell.prompt)
            if reason is None:
                todo.append(cell)
            elif cell not in done:
                yield cell, reason
        at = 0
        while starts := [s for s in range(at, len(todo), self.batch_size) if self._new(todo, s, done)]:
            at, size = starts[0], self.batch_size
            batches = [todo[start : start + size] for start in starts[: self._lanes.count]]
            for start, batch, drawn in zip(starts, batches, self._lanes.each(self._drawn, batches), strict=False):
                if drawn is None:
                    self.batch_size = max(1, size // 2)
                    break
                at = start + len(batch)
                asked = [cell not in done for cell in batch]
                yield from zip(compress(batch, asked), compress(drawn, asked), strict=True)

    def _new(self, todo: Sequence[Cell], start: int, done: Container[Cell]) -> bool:
        """Whether the batch that begins there holds anything that is not done."""
        return any(cell not in done for cell in todo[start : start + self.batch_size])

    def _drawn(self, pipeline: Any, batch: Sequence[Cell]) -> Sequence[Image.Image | str] | None:
        """A picture, or the reason why there is none, for each cell of a batch; None when memory ran out."""
        cache = self.base_cache if batch[0].weight == 0 else None
        if cache is not None and (kept := cache.get(batch, self.batch_size)) is not None:
            return kept
        pixels = self._generate(pipeline, batch)
        if pixels is None:
            return None
        pictures = [_picture(each) for each in pixels]
        if cache is not None:
            cache.put(batch, self.batch_size, pictures)
        return pictures

    def _generate(self, pipeline: Any, batch: Sequence[Cell]) -> np.ndarray[Any, Any] | None:
        """(len(batch), height, width, 3) float in 0..1 through the pipeline's own call; None when memory ran out."""
        import torch

        # A GPU's kernels, and with them the rounding, change with the batch size: one size for all.
        padding = 0 if self._device.startswith("cpu") else self.batch_size - len(batch)
        cells = [*batch, *([batch[-1]] * padding)]
        try:
            result = pipeline(
                **join([self._encode(cell.prompt, cell.negative_prompt) for cell in cells]),
                **guidance_arguments(pipeline, self.guidance),
                generator=[torch.Generator("cpu").manual_seed(cell.seed) for cell in cells],
                num_inference_steps=self.steps,
                width=self.width,
                height=self.height,
                output_type="np",  # what "pil" rounds: here a number that is not finite still shows
            )
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(cells) == 1:
                raise EnvironmentFailure(
                    "out of memory with a single picture",
                    advice="Set a more sparing memory mode (offload, sequential), or render smaller pictures.",
                ) from error
        else:
            pictures: np.ndarray[Any, Any] = result.images[: len(batch)]
            return pictures
        # Outside the handler, where the traceback no longer holds the tensors.
        torch.cuda.empty_cache()
        return None

    def _encode(self, prompt: str, negative_prompt: str) -> Encoded:
        """Text arguments of the pipeline's call, made once per prompt (and weight, if text is adapted).

        One prompt at a time: encoded in company the last bits would depend on the company.
        """
        with self._encoding:
            if (prompt, negative_prompt) not in self._encoded:
                self._encoded[prompt, negative_prompt] = encode(self.pipeline, prompt, negative_prompt, self.guidance)
            return self._encoded[prompt, negative_prompt]


# ---------------------------------------------------------------- pictures and memory


def _picture(pixels: np.ndarray[Any, Any]) -> Image.Image | str:
    """(height, width, 3) in 0..1 -> an RGB picture rounded as diffusers rounds, or why it is none."""
    import numpy as np
    from PIL import Image

    if not np.isfinite(pixels).all():
        return f"{BROKEN_PICTURE} holds numbers that are not finite"
    levels = (pixels * 255).round().astype(np.uint8)
    if not np.ptp(levels.reshape(-1, levels.shape[-1]), axis=0).any():
        return f"{BROKEN_PICTURE} is flat: one colour everywhere"
    return Image.fromarray(levels)


def _check_size(multiple: int, width: int, height: int) -> None:
    if width < multiple or height < multiple or width % multiple or height % multiple:
        fitting = " x ".join(str(max(multiple, side - side % multiple)) for side in (width, height))
        raise UsageError(
            f"this base model draws sides that are multiples of {multiple} pixels, not {width} x {height}",
            advice=f"Set the size to {fitting}, say.",
        )


def _default_batch(device: str, pixels: int, has_unet: bool) -> int:
    """Large enough to fill the device, small enough for its usual memory; running out halves it.

    A transformer fills a GPU with a single large picture, and so no text is filled up to its neighbour's length.
    """
    on_cpu = device.startswith("cpu")
    if pixels <= SMALL_PICTURE:
        return 16 if on_cpu else 64
    return 1 if on_cpu or not has_unet else 8
