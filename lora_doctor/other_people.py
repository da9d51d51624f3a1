"""Who else is in a dataset, as the instrument that measures identity says, where it tells people apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lora_doctor.dataset_people import other_people, other_people_by_mark
from lora_doctor.identity_instruments import looks_at_pictures
from lora_doctor.metrics.identity_choice import Choice
from lora_doctor.types import Case, OtherPeople, Study


def as_chosen(case: Case, choice: Choice, face: str, same_from: Mapping[str, float | None]) -> Study:
    """The choice's study with all that depends on which instrument measures identity.

    `face` is the name of the face instrument, by which `case` sees the dataset; `same_from` holds the makers' marks by
    name.
    """
    of_pictures = choice.chosen != face and looks_at_pictures(choice.chosen)
    study = replace(choice.study, same_from=same_from[choice.chosen], of_pictures=of_pictures)
    return replace(study, others=others_for(case, study, choice, face, study.copies))


def others_for(case: Case, study: Study, choice: Choice, face: str, copies: Sequence[Sequence[int]]) -> OtherPeople:
    """The people beside the character who return in the dataset.

    `study` is as the chosen instrument sees it, `case` as the face instrument, `face`, does. One that compares pairs
    (CCIP) goes by its makers' mark. Embeddings of whole pictures (DINO, CLIP) lie together by framing and place as much
    as by person: there the face instrument says it, if it can measure this character at all.
    """
    if choice.chosen == face or not looks_at_pictures(choice.chosen):
        return other_people(replace(case, references=study.references), copies)
    if study.similarity is not None and study.same_from is not None:
        seen = replace(case, references=study.references)
        return other_people_by_mark(seen, study.similarity, study.same_from, copies)
    if any(one.name == face and one.problem is None for one in choice.candidates):
        return other_people(case, copies)
    return OtherPeople(unknown=f"{choice.chosen} sees whole pictures, and {face} does not tell people apart here")
