"""A random SDXL of real size with a LoRA of real size: loaded, verified tensor by tensor, rendered, and the seconds.

`python -m benchmarks.real_size` needs a CUDA device with some 24 GB. `--verify` stops before the pictures and runs on a
CPU with 20 GB as well; `--small` does everything with a tiny SDXL on any machine. Random weights draw noise, and take
as long as trained ones.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lora_doctor.lora_file import read_lora
from lora_doctor.plugins import data_folder
from lora_doctor.render import Renderer
from lora_doctor.types import Cell

from .sdxl_lora import sdxl_parts, write

WEIGHTS = (0.0, 0.7, 1.0)


def real_pipeline(device: str) -> Any:
    """StableDiffusionXLPipeline with random half-precision weights, made on `device`."""
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(data_folder("miniature") / "base" / "tokenizer")
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float16)
    try:
        with torch.device(device):
            unet, texts = sdxl_parts(len(tokenizer))
            vae = AutoencoderKL(
                block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4, sample_size=1024,
                down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                scaling_factor=0.13025, force_upcast=False,
            )  # fmt: skip
    finally:
        torch.set_default_dtype(default)
    return StableDiffusionXLPipeline(
        vae=vae, text_encoder=texts[0], text_encoder_2=texts[1], tokenizer=tokenizer, tokenizer_2=tokenizer, unet=unet,
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
    )  # fmt: skip


def small_pipeline(folder: Path) -> Any:
    """The tests' tiny SDXL."""
    from tests.tiny_pipeline import tiny_xl_pipeline

    return tiny_xl_pipeline(folder)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long the block took."""
    began = time.perf_counter()
    yield
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    print(f"| {what} | {time.perf_counter() - began:.2f} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a tiny SDXL, on the CPU")
    parser.add_argument("--verify", action="store_true", help="no pictures")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--pictures", type=int, default=4, help="per weight")
    asked = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not (asked.small or asked.verify):
        raise SystemExit("There is no CUDA device here: try --verify or --small.")
    print("| what | seconds |\n|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with timed("a random SDXL"):
            pipeline = small_pipeline(folder) if asked.small else real_pipeline(device)
        texts = [pipeline.text_encoder, pipeline.text_encoder_2]
        path = write(folder / "lora.safetensors", (pipeline.unet, texts))
        with timed(f"reading the LoRA ({path.stat().st_size / 2**20:.0f} MiB)"):
            lora = read_lora(path)
        side = 16 if asked.small else 1024
        with timed(f"matching and verifying {len(lora.modules)} modules"):
            render = Renderer(pipeline, lora, steps=asked.steps, guidance=6.0, width=side, height=side)
        if asked.verify:
            return
        base = {"environment": "beach", "trained": False, "framing": "close-up", "prompt": "a girl at the beach"}
        for weight in WEIGHTS:
            cells = [
                Cell(**base, weight=weight, replicate=n, negative_prompt="", seed=n) for n in range(asked.pictures)
            ]
            with timed(f"{asked.pictures} pictures of {side} x {side} in {asked.steps} steps at weight {weight:g}"):
                list(render.render(cells))
    if torch.cuda.is_available():
        print(f"\nGPU memory: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB at most.")


if __name__ == "__main__":
    main()
