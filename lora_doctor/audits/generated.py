"""Pictures whose files say that a generator made them, and how many of them the LoRA's own base model made.

A model that is trained on what it draws anyway learns what it can already do (measurement.md S29: such sets reach their
plateau early). Files that were edited or came from a website say nothing, so the shares are the least that is there.
"""

from __future__ import annotations

import re

from lora_doctor.types import Case, Measurement, PictureFacts, TrainedBase

GENERATED, BY_BASE = "pictures.generated_share", "pictures.generated_by_base_share"
AT_LEAST = "files that do not say how they were made are counted as not generated"


def audit(case: Case) -> list[Measurement]:
    """`pictures.generated_share` and `.generated_by_base_share`, by repeats: a census, without interval.

    The latter is of the model that the LoRA says it was trained on.
    """
    generated = _share(case, GENERATED, {i for i, facts in _known(case).items() if facts.generator})
    trained = None if case.lora is None else case.lora.record.base
    if trained is None or not any((trained.name, trained.sha256, trained.legacy_hash)):
        why = "no LoRA is there" if case.lora is None else "the LoRA does not say which base model it was trained on"
        return [generated, Measurement(name=BY_BASE, value=None, unit="share", reason=why)]
    return [generated, _share(case, BY_BASE, {i for i, facts in _known(case).items() if _made_by(facts, trained)})]


def _known(case: Case) -> dict[int, PictureFacts]:
    return {i: image.facts for i, image in enumerate(case.dataset.images) if image.facts is not None}


def _share(case: Case, name: str, which: set[int]) -> Measurement:
    images, known = case.dataset.images, _known(case)
    total = sum(images[i].repeats for i in known)
    if not total:
        why = "facts about the files were not read" if images else "the dataset is empty"
        return Measurement(name=name, value=None, unit="share", reason=why)
    value = sum(images[i].repeats for i in which) / total
    return Measurement(
        name=name, value=value, unit="share", n=len(known), pictures=tuple(sorted(which)), reason=AT_LEAST
    )


def _made_by(facts: PictureFacts, trained: TrainedBase) -> bool:
    """Told by hash where the file has one, else by the name without its ending."""
    digest = facts.made_with_hash
    hashes = [one.lower().removeprefix("0x") for one in (trained.sha256, trained.legacy_hash) if one]
    if digest and hashes:
        return any(one.startswith(digest) for one in hashes)
    return bool(facts.made_with) and trained.name is not None and _plain(facts.made_with) == _plain(trained.name)


def _plain(name: str) -> str:
    """The last part of a path, without its ending, letters and digits alone."""
    last = re.split(r"[/\\]", name.strip())[-1].lower()
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\.(safetensors|ckpt|gguf|pt|pth)$", "", last))
