"""What trainers write about the base model: versions, checkpoint names and checkpoint hashes, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping

FAMILY_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"stablediffusionxl|sdxl|ssd$|vega$", "sdxl"),
    (r"stablediffusion3|sd3|medium$|5medium$|5large$", "sd3"),
    (r"stablediffusion(v2|2[01])|sdv?2", "sd2"),
    (r"stablediffusion(v1|15)|sdv?1", "sd15"),
    (r"chroma(1|\d*hd)?$", "chroma"),
    (r"flux2", "flux2"),
    (r"flux", "flux"),
    (r"lumina2", "lumina2"),
    (r"zimage(?!l2p)", "z-image"),
    (r"qwen(image)?", "qwen-image"),
    (r"hunyuanvideo15", "hunyuan-video-1.5"),
    (r"hunyuanvideo|framepack", "hunyuan-video"),
    (r"hunyuanimage", "hunyuan-image"),
    (r"wan2?", "wan"),
    (r"anima", "anima"),
    (r"pixart", "pixart"),
    (r"sana", "sana"),
    (r"auraflow", "auraflow"),
    (r"cogvideox", "cogvideox"),
    (r"ltx2", "ltx2"),
    (r"ltx", "ltx"),
)
"""Start of a version in small letters and figures only -> family; the first that fits. As written by sd-scripts
(library/sai_model_spec.py, library/model_util.py, library/sd3_utils.py), musubi-tuner (dataset/architectures.py,
utils/sai_model_spec.py), ai-toolkit (get_base_model_version), OneTrainer (modules/util/enum/ModelType.py)."""

BASES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "sdxl": (
        (r"noob.*v_?pred", "noobai-vpred"), (r"noob", "noobai"), (r"illustrious", "illustrious"),
        (r"pony", "pony"), (r"animagine", "animagine"), (r"sd_?xl_base_?1|stable_diffusion_xl_base_1", "sdxl-1.0"),
        (r"ssd_?1b", "ssd-1b"), (r"kolors", "kolors"),
    ),
    "sd15": (
        (r"v?1_5_pruned|stable_diffusion_v1_5", "sd-1.5"), (r"animefull|novelai|\bnai\b", "novelai"),
        (r"sd_v1_4|stable_diffusion_v1_4", "sd-1.4"),
    ),
    "sd2": ((r"v?2_1_768|stable_diffusion_2_1$", "sd-2.1-v"), (r"v?2_1_512|stable_diffusion_2_1_base", "sd-2.1-base")),
    "sd3": ((r"3_?5_?large_?turbo", "sd-3.5-large-turbo"), (r"3_?5_?large", "sd-3.5-large"),
            (r"3_?5_?medium", "sd-3.5-medium"), (r"(sd|stable_?diffusion)_?3_?medium", "sd-3-medium")),
    "flux": ((r"kontext", "flux-kontext"), (r"krea", "flux-krea"), (r"schnell", "flux-schnell"),
             (r"fill", "flux-fill"), (r"dev", "flux-dev")),
    "wan": ((r"2_?2.*high_?noise|high_?noise.*2_?2", "wan-2.2-high-noise"),
            (r"2_?2.*low_?noise|low_?noise.*2_?2", "wan-2.2-low-noise"), (r"2_?2", "wan-2.2"), (r"2_?1", "wan-2.1")),
    "qwen-image": ((r"layered", "qwen-image-layered"), (r"edit", "qwen-image-edit"),),
    "z-image": ((r"turbo", "z-image-turbo"), (r"base", "z-image-base")),
    "chroma": ((r"radiance", "chroma-radiance"), (r"hd", "chroma-hd"), (r"flash", "chroma-flash")),
    "flux2": ((r"klein.*base", "flux2-klein-base"), (r"klein", "flux2-klein"), (r"dev", "flux2-dev")),
}  # fmt: skip
"""Family -> what a base model's name holds, in small letters and `_` -> base; the first that fits."""

VERSION_BASES: Mapping[str, str] = {
    "flux1dev": "flux-dev", "fluxdev1": "flux-dev", "flux1schnell": "flux-schnell", "fluxkontext": "flux-kontext",
    "flux1kontext": "flux-kontext", "fluxfilldev1": "flux-fill", "qwenimageedit": "qwen-image-edit",
    "qwenimageeditplus": "qwen-image-edit", "qwenimageedit2511": "qwen-image-edit",
    "qwenimagelayered": "qwen-image-layered", "wan2214b": "wan-2.2", "wan225b": "wan-2.2",
    "medium": "sd-3-medium", "5medium": "sd-3.5-medium", "5large": "sd-3.5-large",
    "stablediffusion3medium": "sd-3-medium", "stablediffusion35medium": "sd-3.5-medium",
    "stablediffusion35large": "sd-3.5-large",
}  # fmt: skip
"""Versions that name more than a family. `wan2.1` does not: musubi-tuner writes it for 2.2 too
(utils/sai_model_spec.py); nor does `Flux.1-dev` beside `flux_kontext`: the more special one is taken."""

# Each was found with the same file name in at least two unrelated public repositories.
HASHES: Mapping[str, tuple[str, str]] = {
    # sd_xl_base_1.0.safetensors, huggingface.co/stabilityai/stable-diffusion-xl-base-1.0
    "31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b": ("sdxl", "sdxl-1.0"),
    # ponyDiffusionV6XL_v6StartWithThisOne.safetensors, civitai.com/models/257749
    "67ab2fd8ec439a89b3fedb15cc65f54336af163c7eb5e4f2acc98f090a29b0b3": ("sdxl", "pony"),
    # NoobAI-XL-v1.1.safetensors, huggingface.co/Laxhar/noobai-XL-1.1
    "6681e8e4b134c81f16533acedb0d406d7e5e366e1624b4105178c64d00b05d51": ("sdxl", "noobai"),
    # NoobAI-XL-Vpred-v1.0.safetensors, huggingface.co/Laxhar/noobai-XL-Vpred-1.0
    "ea349eeae87ca8d25ba902c93810f7ca83e5c82f920edf12f273af004ae02819": ("sdxl", "noobai-vpred"),
    # animagine-xl-3.1.safetensors, huggingface.co/cagliostrolab/animagine-xl-3.1
    "e3c47aedb06418c6c331443cd89f2b3b3b34b7ed2102a3d4c4408a8d35aad6b0": ("sdxl", "animagine"),
    # animagine-xl-4.0-opt.safetensors, huggingface.co/cagliostrolab/animagine-xl-4.0
    "6327eca98bfb6538dd7a4edce22484a1bbc57a8cff6b11d075d40da1afb847ac": ("sdxl", "animagine"),
    # v1-5-pruned-emaonly.safetensors, huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5
    "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa": ("sd15", "sd-1.5"),
    # animefull-final-pruned.ckpt, as listed in the README of WarriorMama777/OrangeMixs
    "89d59c3dde4c56c6d5c41da34cc55ce479d93b4007046980934b14db71bdb2a8": ("sd15", "novelai"),
    "925997e9": ("sd15", "novelai"),
    # v2-1_768-ema-pruned.safetensors, huggingface.co/stabilityai/stable-diffusion-2-1
    "dcd690123cfc64383981a31d955694f6acf2072a80537fdb612c8e58ec87a8ac": ("sd2", "sd-2.1-v"),
    # flux1-dev.safetensors and flux1-schnell.safetensors, README of github.com/black-forest-labs/flux
    "4610115bb0c89560703c892c59ac2742fa821e60ef5871b33493ba544683abd7": ("flux", "flux-dev"),
    "9403429e0052277ac2a87ad800adece5481eecefd9ed334e1f348723621d2a0a": ("flux", "flux-schnell"),
}
"""sha256 of a checkpoint (8 hex digits: the older hash of stable-diffusion-webui) -> family and base."""

OPEN_QUESTIONS: Mapping[str, str] = {
    "sdxl": "SDXL itself, Pony, Illustrious, NoobAI and their like all have its modules",
    "sd15": "every finetune of SD1.5 has its modules",
    "sd2": "its 512 and 768 (v-prediction) models have the same modules",
    "flux": "dev, schnell and Kontext have the same modules",
    "wan": "Wan 2.1 and both models of 2.2 have the same modules",
    "qwen-image": "Qwen-Image and its Edit models have the same modules",
    "z-image": "Z-Image and its Turbo have the same modules",
}
"""What a family's modules leave open."""
