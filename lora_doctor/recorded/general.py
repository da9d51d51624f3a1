"""What is written the same way by several trainers: modelspec, trigger words, base model, times, later changes. Pure.

ModelSpec: https://github.com/Stability-AI/ModelSpec (keys `modelspec.*`). The `ss_*` keys are sd-scripts'
(train_network.py), taken over by musubi-tuner, ai-toolkit and the AUTOMATIC1111 web UI.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from lora_doctor.recorded.notes import Notes
from lora_doctor.recorded.values import Unreadable, is_none, optional, real, shown, whole, words
from lora_doctor.types import TrainedBase

FLOW_ARCHITECTURES = (
    "stable-diffusion-3", "flux", "chroma", "lumina", "hunyuan-image", "anima", "sd3", "qwen", "z-image", "wan",
    "hunyuan-video", "framepack", "hidream", "krea", "ideogram", "kandinsky-5",
)  # fmt: skip
"""How `modelspec.architecture` begins, in lower case, for families that predict a flow."""
_DIFFUSION_ARCHITECTURES = ("stable-diffusion-v1", "stable-diffusion-v2", "stable-diffusion-xl")
_PREDICTIONS = {"v": "v_prediction", "v_prediction": "v_prediction", "epsilon": "epsilon", "eps": "epsilon"}
_RESIZED = re.compile(
    r"(?:dimension is resized from (?P<rank>\d{1,6}) to|Dynamic resize with [^;]{1,80}? from (?P<dynamic>\d{1,6}))"
)


def base_model(notes: Notes, metadata: Mapping[str, str], name: str | None = None) -> TrainedBase:
    """The base model as named by `ss_*` and `modelspec.*`; `name` stands in where they give none."""

    def text(key: str) -> Any:
        return notes.optional(metadata, key, words)

    return TrainedBase(
        name=last_part(metadata.get("ss_sd_model_name"), keep_hub_id=True) or name,
        version=text("ss_base_model_version"),
        architecture=text("modelspec.architecture"),
        sha256=notes.optional(metadata, "ss_new_sd_model_hash", hexadecimal(64)),
        legacy_hash=notes.optional(metadata, "ss_sd_model_hash", hexadecimal(8)),
    )


def last_part(value: Any, *, keep_hub_id: bool = False) -> str | None:
    """The last component of a path, because the rest names a person or a machine; None for what is no short text.

    With `keep_hub_id` a hub id (`owner/name`) stays whole.
    """
    text: str | None = optional(value, words)
    if text is None:
        return None
    if keep_hub_id and text.count("/") == 1 and text[0] not in "/.~" and "\\" not in text:
        return text
    return PureWindowsPath(text).name if "\\" in text else PurePosixPath(text).name


def hexadecimal(digits: int) -> Any:
    """A reader of hashes with that many hexadecimal digits, in lower case. It raises Unreadable."""

    def read(value: Any) -> str:
        text = value.strip().lower().removeprefix("0x") if isinstance(value, str) else ""
        if not re.fullmatch(rf"[0-9a-f]{{{digits}}}", text):
            raise Unreadable(f"{shown(value)} is no hash of {digits} hexadecimal digits")
        return text

    return read


def trigger_words(notes: Notes, metadata: Mapping[str, str]) -> None:
    """The candidates that carry the name: `trained_words` (a list with commas) and `modelspec.trigger_phrase`."""
    trained = metadata.get("trained_words", "")
    if not is_none(trained):
        notes.trigger(*trained[:10_000].split(","))
    notes.trigger(metadata.get("modelspec.trigger_phrase"))


def prediction(notes: Notes, metadata: Mapping[str, str]) -> None:
    """Notes what the model predicts. sd-scripts writes `epsilon` for every family but FLUX, flow models included.

    Source: sd-scripts library/sai_model_spec.py, build_metadata_dataclass.
    """
    spec = str(metadata.get("modelspec.architecture", "")).lower()
    key = "modelspec.prediction_type"
    if spec.startswith(FLOW_ARCHITECTURES):
        notes.know("prediction_type", "flow", "metadata modelspec.architecture (a flow model)")
    elif not spec.startswith(_DIFFUSION_ARCHITECTURES) and key in metadata:
        notes.miss("prediction_type", f"metadata {key} is not trusted: modelspec.architecture is {shown(spec)}")
    else:
        notes.read("prediction_type", metadata, key, predicted)


def predicted(value: Any) -> str:
    """`epsilon` or `v_prediction`, from either spelling. Raises Unreadable."""
    if isinstance(value, str) and (found := _PREDICTIONS.get(value.strip().lower())):
        return found
    raise Unreadable(f"{shown(value)} is no prediction type known here")


def moment(value: Any) -> str:
    """A Unix time as ISO 8601 in UTC, to the second. Raises Unreadable outside the years 2020 to 2100."""
    return datetime.fromtimestamp(real(1_577_836_800, 4_102_444_800)(value), UTC).isoformat(timespec="seconds")


def day_or_time(value: Any) -> str:
    """A date or a time in ISO 8601, as it is. Raises Unreadable."""
    text = words(value)
    try:
        return datetime.fromisoformat(text).isoformat() if "T" in text else date.fromisoformat(text).isoformat()
    except ValueError:
        raise Unreadable(f"{shown(value)} is no date") from None


def comment(metadata: Mapping[str, str]) -> str | None:
    """`ss_training_comment` or `modelspec.comment`, at most 1000 characters; None without one."""
    for key in ("ss_training_comment", "modelspec.comment"):
        if not is_none(metadata.get(key)):
            return metadata[key].strip()[:1000]
    return None


def altered(metadata: Mapping[str, str]) -> tuple[str | None, int | None]:
    """(what was done to the file after training, the rank it was trained with); (None, None) when nothing says so.

    Source: sd-scripts networks/resize_lora.py, which puts its note before the trainer's comment.
    """
    text = metadata.get("ss_training_comment", "")[:4000]
    found = list(_RESIZED.finditer(text))
    if not found:
        return None, None
    first = found[-1]
    rank = whole(1, 2**20)(first["rank"] or first["dynamic"])
    return f"resized: {text[found[0].start() :].split(';')[0][:200]}", rank
