"""diffusers' record of the adapter, `lora_adapter_metadata`: rank, alpha, kind and dropout per component. Pure.

Source: huggingface/diffusers loaders/lora_base.py (write_lora_layers, LORA_ADAPTER_METADATA_KEY), training_utils.py
(_collate_lora_metadata): JSON of `<component>.<field of peft's LoraConfig>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_doctor.recorded.notes import Notes
from lora_doctor.recorded.values import as_dict, real, share, whole

KEY = "lora_adapter_metadata"
_MAIN = ("unet", "transformer", "prior")
"""Components that draw, in the order in which one speaks for the file."""


def read_adapter_fields(notes: Notes, metadata: Mapping[str, str]) -> None:
    """Notes what the record says of the component that draws, and whether text encoders were trained."""
    fields = notes.json_object(metadata, KEY)
    components = dict.fromkeys(name.partition(".")[0] for name in fields if "." in name)
    main = next((name for name in (*_MAIN, *components) if name in components), None)
    if main is None:
        reason = f"metadata {KEY} is {notes.unreadable.get(KEY, 'empty')}"
        for field in ("rank", "alpha", "kind", "network_dropout"):
            notes.miss(field, reason if KEY in metadata else f"metadata has no {KEY}")
        return
    where = f"metadata {KEY}"
    notes.read("rank", fields, f"{main}.r", whole(1, 2**20), where=where, caveat=_pattern(fields, main, "rank_pattern"))
    notes.read(
        "alpha", fields, f"{main}.lora_alpha", real(-1e6, 1e6), where=where,
        caveat=_pattern(fields, main, "alpha_pattern"),
    )  # fmt: skip
    notes.read("network_dropout", fields, f"{main}.lora_dropout", share, where=where)
    if fields.get(f"{main}.use_dora") in (True, False) and fields.get(f"{main}.peft_type", "LORA") == "LORA":
        notes.know("kind", "dora" if fields[f"{main}.use_dora"] else "lora", f"{where} {main}.use_dora")
    trained = any(name.startswith("text_encoder") for name in components)
    says = "lists a text encoder" if trained else "lists no text encoder"
    notes.know("train_text_encoder", trained, f"{where} {says}")


def _pattern(fields: Mapping[str, Any], main: str, name: str) -> str:
    """The caveat where some modules have another value."""
    count = len(as_dict(fields.get(f"{main}.{name}")))
    return f"{name} changes {count}" if count else ""
