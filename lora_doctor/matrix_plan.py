"""Dataset and settings -> the matrix of a check-up: which places are trained, which are new, and what a prompt asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from lora_doctor.captions import named, pieces, texts
from lora_doctor.errors import UsageError
from lora_doctor.matrix import choose_environments, plan_cells
from lora_doctor.prompts import build_prompt
from lora_doctor.settings import Settings
from lora_doctor.types import PLAIN_PREFIX, Ask, Cell, Dataset, LabelSet, Reading

ENVIRONMENT = "environment"
FAIR = 0.05
"""Share of the pictures that makes a place one that the dataset shows often, and from which CLIP's word is taken for a
place that no caption names: of two hundred pictures some are misread."""


def require_places(label_sets: Mapping[str, LabelSet], settings: Settings) -> LabelSet:
    """The places that CLIP is asked about; UsageError where the label file has none, for the matrix is made of them."""
    known = label_sets.get(ENVIRONMENT)
    if known is None:
        raise UsageError(
            f"the label file has no table [{ENVIRONMENT}], and the matrix is made of places.",
            path=settings.instruments.labels,
            advice="Copy that table from rules/labels/character.toml, or leave [instruments] labels out.",
        )
    return known


def shown_places(
    dataset: Dataset, references: Sequence[Reading | None], environments: LabelSet
) -> dict[str, int]:  # fmt: skip
    """Environment -> how many pictures show it; those that none shows are left out.

    A caption's word always counts, in any of the texts that the trainer may show; what CLIP alone reads counts from
    `FAIR` of the pictures on, and two.
    """
    said = _said(dataset, environments.labels)
    shown = Counter(place for places in said for place in places)
    surely = set(shown)
    for places, reading in zip(said, references, strict=True):
        seen = None if reading is None else reading.top_label(environments)
        shown.update({seen} - places if seen is not None else ())
    return {place: count for place, count in shown.items() if place in surely or count >= _fair(dataset)}


def _only_spoken_of(dataset: Dataset, references: Sequence[Reading | None], environments: LabelSet) -> set[str]:
    """Places that stand in prose alone and that no picture is read as: `snow white hair` is no place.

    None where no picture is read as any place.
    """
    read = {reading.top_label(environments) for reading in references if reading is not None} - {None}
    tags = {piece for image in dataset.images for text in texts(image) for piece in pieces(text)}
    unread = (place for place in environments.labels if place not in read)
    return {place for place in unread if place.replace("_", " ") not in tags} if read else set()


def _fair(dataset: Dataset) -> int:
    return max(2, round(FAIR * len(dataset.images)))


def _said(dataset: Dataset, places: Sequence[str]) -> list[set[str]]:
    """The places that the captions of each picture name."""
    return [{place for text in texts(image) for place in named(text, places)} for image in dataset.images]


def asking(settings: Settings, label_sets: Mapping[str, LabelSet], outfit: Mapping[str, str]) -> Ask:
    """What makes prompts for the matrix and its arms; `settings` with a class token, `outfit` attribute -> label."""

    def ask(
        environment: str, framing: str, *, trigger: bool = True, class_token: str | None = None,
        tokens: Sequence[str] = (), outfit: Sequence[str] | None = None, pose: str | None = None,
    ) -> str:  # fmt: skip
        shown = [label for name, label in worn.items() if framing in label_sets[name].framings]
        return build_prompt(
            class_token=(settings.character.class_token or "") if class_token is None else class_token,
            trigger=settings.trigger if trigger else "", identity_tokens=tokens,
            outfit=shown if outfit is None else outfit, framing=framing, environment=environment, pose=pose,
        )  # fmt: skip

    worn = outfit
    return ask


def plan_matrix(
    settings: Settings, dataset: Dataset, references: Sequence[Reading | None], environments: LabelSet, ask: Ask
) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    """The matrix's cells of all rounds, and what must be said of its places, a sentence each.

    Raises UsageError as `plan_cells` does.
    """
    matrix = settings.matrix
    counts = shown_places(dataset, references, environments)
    unseen = _only_spoken_of(dataset, references, environments)
    shown = {place: count for place, count in counts.items() if place not in unseen}
    often = {place: count for place, count in shown.items() if count >= _fair(dataset)} or shown
    new = [place for place in environments.labels if place in often or place not in counts]
    chosen = choose_environments(often, new, seed=settings.seed)  # a place shown once is neither trained nor new
    given = {*(matrix.trained_environments or ()), *(matrix.novel_environments or ())}
    left = [(place, is_trained) for place, is_trained in chosen if place not in given]
    trained = matrix.trained_environments or tuple(place for place, is_trained in left if is_trained)
    novel = matrix.novel_environments or tuple(place for place, is_trained in left if not is_trained)
    cells = plan_cells(
        weights=sorted({0.0, *matrix.weights}),
        environments=[*((name, True) for name in trained), *((name, False) for name in novel)],
        framings=matrix.framings,
        replicates=matrix.most_replicates,
        prompt_of=ask,
        negative_prompt=settings.render.negative_prompt or "",
        seed=settings.seed,
    )
    unseen &= {place for place, count in counts.items() if count >= _fair(dataset)} - given
    return cells, (*_remarks(novel, counts, dataset, environments), *_remarks_on_trained(trained, unseen))


def _remarks_on_trained(trained: Sequence[str], unseen: Collection[str]) -> Iterator[str]:
    """What keeps places from being trained ones, a sentence each."""
    for place in sorted(unseen):
        yield (
            f"captions say `{place}`, and no picture is read as that place: it is taken for another thing's name, and "
            "rendered neither as a place of the dataset nor as a new one (`matrix.trained_environments` names those)"
        )
    if not trained:
        yield (
            "the dataset shows no place that can be recognised, so identity in new places is compared with no known "
            "one: whether the character is locked to its backdrop is judged by the places that are asked for alone"
        )


def _remarks(
    novel: Sequence[str], counts: Mapping[str, int], dataset: Dataset, environments: LabelSet
) -> list[str]:  # fmt: skip
    """What keeps places from being new to the dataset, a sentence each."""
    if not novel:
        known = [name for name in environments.labels if not name.startswith(PLAIN_PREFIX)]
        return [
            f"the dataset shows all {len(known)} places that can be recognised, so none is new to it: name new ones in "
            "`matrix.novel_environments`, with a label file that knows them"
        ]  # fmt: skip
    named_in = Counter(place for places in _said(dataset, novel) for place in places)
    return [
        f"`{place}` is rendered as a new place, as the settings say, but the dataset shows it: "
        + (f"{named_in[place]} captions name it" if named_in[place] else f"{counts[place]} pictures are read as it")
        for place in novel
        if named_in[place] or counts.get(place)
    ]
