"""Rendering: cells in, pictures out, column by column of equal weight, and the base model left as it was."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any

from lora_doctor.errors import EnvironmentFailure, UsageError
from lora_doctor.lora_merge import read_updates
from lora_doctor.types import Cell, LoraFile

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

SMALL_PICTURE = 128 * 128
"""Pixels; up to here a UNet's batch is limited by arithmetic, not by memory."""


class Renderer:
    """Renders cells with one pipeline and at most one LoRA.

    A column (all cells of one weight) is rendered with the LoRA merged into the weights: every adapted module gets
    `pristine + weight * scale * up @ down`, computed in float32 from a copy kept aside, so that nothing adds up from
    column to column and weight 0 is the base model bit for bit. Noise comes from one CPU generator per cell
    (`cell.seed`), hence a picture does not depend on what else is in its batch, but for the last bits of its
    arithmetic; those are the same whenever the batch is made up the same.
    """

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
        device: str = "auto",
    ) -> None:
        """Match the LoRA with the pipeline; `width` and `height` in pixels, `batch_size` None = by device and size.

        `device` `auto` leaves the pipeline where it is. Raises InputRefused unless every tensor of the file has its
        place in the pipeline and the update is not zero.
        """
        self.pipeline = pipeline if device == "auto" else pipeline.to(device)
        self.pipeline.set_progress_bar_config(disable=True)
        self.steps, self.guidance, self.width, self.height = steps, guidance, width, height
        self.batch_size = batch_size or _default_batch(self._device, width * height)
        self._updates = read_updates(pipeline, lora) if lora else ()
        self._adapts_text = lora is not None and any(m.component.startswith("text_encoder") for m in lora.modules)
        self._has_lora = lora is not None
        self._encoded: dict[tuple[str, str], dict[str, torch.Tensor]] = {}

    @property
    def _device(self) -> str:
        return str(self.pipeline.device)

    def render(self, cells: Sequence[Cell], done: Container[Cell] = ()) -> Iterator[tuple[Cell, Image.Image | str]]:
        """Each cell not `done` with its RGB picture, or with the reason (a string) why there is none; by weight.

        Batches are cut from all `cells`, and those that hold nothing new are left out: an interrupted run that is
        taken up again ends with the pictures of one that never stopped, to the bit.
        The pipeline's weights are pristine again when the iterator ends or is closed. A batch that does not fit into
        memory is halved, for good; EnvironmentFailure when not even one cell fits. UsageError for a weight without
        a LoRA.
        """
        if not self._has_lora and any(cell.weight != 0 for cell in cells):
            raise UsageError("there is no LoRA to render at a weight other than 0")
        try:
            for weight in dict.fromkeys(cell.weight for cell in cells):
                column = [cell for cell in cells if cell.weight == weight]
                if all(cell in done for cell in column):
                    continue
                self._merge(weight)
                yield from self._column(column, done)
        finally:
            self._merge(0.0)

    def _merge(self, weight: float) -> None:
        for update in self._updates:
            update.apply(weight)
        if self._adapts_text:
            self._encoded.clear()

    def _column(self, cells: Sequence[Cell], done: Container[Cell]) -> Iterator[tuple[Cell, Image.Image | str]]:
        todo = []
        for cell in cells:
            reason = self._too_long(cell.prompt)
            if reason is None:
                todo.append(cell)
            elif cell not in done:
                yield cell, reason
        while todo:
            batch = todo[: self.batch_size]
            asked = [cell not in done for cell in batch]
            pictures = self._generate(batch) if any(asked) else ()
            if pictures is None:
                self.batch_size = max(1, self.batch_size // 2)
                continue
            todo = todo[len(batch) :]
            for cell, pixels in zip(compress(batch, asked), compress(pictures, asked), strict=True):
                yield cell, _picture(pixels)

    def _generate(self, batch: Sequence[Cell]) -> np.ndarray[Any, Any] | None:
        """(len(batch), height, width, 3) float in 0..1 through the pipeline's own call; None when memory ran out."""
        import torch

        # A GPU's kernels, and with them the rounding, change with the batch size: one size for all.
        padding = 0 if self._device == "cpu" else self.batch_size - len(batch)
        cells = [*batch, *([batch[-1]] * padding)]
        try:
            encoded = [self._encode(cell.prompt, cell.negative_prompt) for cell in cells]
            result = self.pipeline(
                **{name: torch.cat([each[name] for each in encoded]) for name in encoded[0]},
                generator=[torch.Generator("cpu").manual_seed(cell.seed) for cell in cells],
                num_inference_steps=self.steps,
                guidance_scale=self.guidance,
                width=self.width,
                height=self.height,
                output_type="np",  # what "pil" rounds: here a number that is not finite still shows
            )
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            if len(cells) == 1:
                raise EnvironmentFailure(
                    "out of memory with a single picture", advice="Render smaller pictures, or on another device."
                ) from error
        else:
            pictures: np.ndarray[Any, Any] = result.images[: len(batch)]
            return pictures
        # Outside the handler, where the traceback no longer holds the tensors.
        torch.cuda.empty_cache()
        return None

    def _encode(self, prompt: str, negative_prompt: str) -> dict[str, torch.Tensor]:
        """Text embeddings as the pipeline's call wants them, made once per prompt (and weight, if text is adapted).

        One prompt at a time: encoded in company the last bits would depend on the company.
        """
        import torch

        if (prompt, negative_prompt) not in self._encoded:
            with torch.no_grad():
                tensors = self.pipeline.encode_prompt(
                    prompt=prompt,
                    device=self.pipeline.device,
                    num_images_per_prompt=1,
                    do_classifier_free_guidance=self.guidance > 1,
                    negative_prompt=negative_prompt or None,
                )
            names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
            named = zip(names, tensors, strict=False)
            self._encoded[prompt, negative_prompt] = {name: value for name, value in named if value is not None}
        return self._encoded[prompt, negative_prompt]

    def _too_long(self, prompt: str) -> str | None:
        """Why the prompt cannot be rendered as it is: CLIP would cut its end off, framing and environment first."""
        tokenizer = self.pipeline.tokenizer
        length, limit = len(tokenizer(prompt, truncation=False, verbose=False).input_ids), tokenizer.model_max_length
        return f"the prompt is {length} tokens long, the text encoder reads {limit}" if length > limit else None


# ---------------------------------------------------------------- pictures and memory


def _picture(pixels: np.ndarray[Any, Any]) -> Image.Image | str:
    """(height, width, 3) in 0..1 -> an RGB picture rounded as diffusers rounds, or why it is none."""
    import numpy as np
    from PIL import Image

    if not np.isfinite(pixels).all():
        return "the picture holds numbers that are not finite"
    levels = (pixels * 255).round().astype(np.uint8)
    if not np.ptp(levels.reshape(-1, levels.shape[-1]), axis=0).any():
        return "the picture is flat: one colour everywhere"
    return Image.fromarray(levels)


def _default_batch(device: str, pixels: int) -> int:
    """Large enough to fill the device, small enough for its usual memory; running out halves it."""
    if pixels <= SMALL_PICTURE:
        return 16 if device == "cpu" else 64
    return 1 if device == "cpu" else 8


def _is_out_of_memory(error: BaseException) -> bool:
    import torch

    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)
