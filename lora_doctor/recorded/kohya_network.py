"""Rank, alpha, kind and dropout as sd-scripts and musubi-tuner write them down. Pure.

Source: kohya-ss/sd-scripts networks/lora.py (create_network), networks/resize_lora.py; LyCORIS lycoris/kohya.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_doctor.recorded.notes import Notes
from lora_doctor.recorded.values import Unreadable, flag, is_none, real, shown, whole

_KINDS = {"lora": "lora", "locon": "lora", "loha": "loha", "lokr": "lokr", "ia3": "ia3", "full": "full",
          "glora": "glora", "diag-oft": "oft", "boft": "boft"}  # fmt: skip
"""LyCORIS' algorithms -> kinds. `dylora` is saved as plain LoRA."""
_MODULES = {"networks.oft": "oft", "networks.oft_flux": "oft", "networks.loha": "loha", "networks.lokr": "lokr"}
_RANK = whole(1, 2**20)
_ALPHA = real(-1e6, 1e6)


def read_network(notes: Notes, metadata: Mapping[str, str], change: str | None, trained_rank: int | None) -> None:
    """Notes the network's settings; `change` and `trained_rank` as `general.altered` gives them.

    A tool that resizes writes the new rank and alpha over the trained ones; the trained rank is in its comment.
    """
    if change is None:
        _rank_and_alpha(notes, metadata)
    else:
        if trained_rank is not None:
            notes.know("rank", trained_rank, "metadata ss_training_comment (the rank before it was resized)")
        notes.miss("rank", "metadata ss_network_dim is the rank after the file was resized")
        notes.miss("alpha", "metadata ss_network_alpha is the alpha after the file was resized")
    args = notes.json_object(metadata, "ss_network_args")
    bad = notes.unreadable.get("ss_network_args")
    module = metadata.get("ss_network_module", "").strip()
    if bad is not None:
        for field in ("conv_rank", "conv_alpha", "network_dropout", "kind"):
            notes.miss(field, f"metadata ss_network_args is {bad}")
        return
    _kind(notes, module, args)
    _convolutions(notes, module, args)
    _dropout(notes, metadata, module, args)


def _rank_and_alpha(notes: Notes, metadata: Mapping[str, str]) -> None:
    for field, key, reader in (("rank", "ss_network_dim", _RANK), ("alpha", "ss_network_alpha", _ALPHA)):
        text = metadata.get(key)
        if text is not None and text.strip() == "Dynamic":
            notes.miss(field, f"metadata {key} is Dynamic: every module has its own")
        elif text is not None and is_none(text):
            notes.miss(field, f"metadata {key} says None: the network's own default, which the tensors show")
        else:
            notes.read(field, metadata, key, reader)


def _kind(notes: Notes, module: str, args: Mapping[str, Any]) -> None:
    """The kind by the network's module, and by the algorithm where that is LyCORIS."""
    if module == "lycoris.kohya":
        notes.compute("kind", lambda: _algorithm(args), "metadata ss_network_args algo")
    elif module in _MODULES:
        notes.know("kind", _MODULES[module], "metadata ss_network_module")
    elif module in ("networks.lora", "networks.dylora", "networks.lora_fa") or module.startswith("networks.lora_"):
        notes.know("kind", "lora", "metadata ss_network_module")
    elif module:
        notes.miss("kind", f"metadata ss_network_module {shown(module)} is not known here")


def _algorithm(args: Mapping[str, Any]) -> str:
    """LyCORIS' kind; without an algorithm it is LoRA."""
    name = "lora" if is_none(args.get("algo")) else str(args["algo"]).strip().lower()
    if name not in _KINDS and name != "dylora":
        raise Unreadable(f"{shown(name)} is not known here")
    if not is_none(args.get("dora_wd")) and flag(args["dora_wd"]) and name in ("lora", "locon"):
        return "dora"
    return _KINDS.get(name, "lora")


def _convolutions(notes: Notes, module: str, args: Mapping[str, Any]) -> None:
    """Convolutions are trained by plain LoRA only where conv_dim is given, with an alpha of 1 by default.

    LyCORIS takes the rank and alpha of the other modules instead, where its preset has convolutions at all.
    """
    where = "metadata ss_network_args"
    if not is_none(args.get("conv_dim")):
        notes.read("conv_rank", args, "conv_dim", _RANK, where=where)
        if is_none(args.get("conv_alpha")) and module == "networks.lora":
            notes.know("conv_alpha", 1.0, f"{where} has no conv_alpha: sd-scripts' default")
        notes.read("conv_alpha", args, "conv_alpha", _ALPHA, where=where)
        return
    reason = f"{where} has no conv_dim"
    if module == "networks.lora":
        reason += ": convolutions were not trained"
    elif module == "lycoris.kohya":
        reason += ": LyCORIS takes the rank and alpha of the other modules"
    notes.miss("conv_rank", reason)
    notes.miss("conv_alpha", reason)


def _dropout(notes: Notes, metadata: Mapping[str, str], module: str, args: Mapping[str, Any]) -> None:
    """LyCORIS takes the dropout among its arguments, where the trainer also puts its own; LoRA takes the trainer's."""
    if module == "lycoris.kohya" and not is_none(args.get("dropout")):
        notes.read("network_dropout", args, "dropout", real(0, 1), where="metadata ss_network_args")
    else:
        notes.read("network_dropout", metadata, "ss_network_dropout", real(0, 1), none=0.0)
