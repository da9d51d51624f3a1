"""What probes tell of the causes of a symptom; a probe is rendered only once its symptom was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lora_doctor.metrics.environment import drawn_as_asked, labels_of_places, trained_environments
from lora_doctor.metrics.estimates import mean, paired_difference, ratio, told
from lora_doctor.metrics.ruler import Ruler, build_ruler, scores
from lora_doctor.metrics.units import Sample, alike, pick
from lora_doctor.types import Cell, LabelSet, Measurement, Study


def measure(study: Study) -> list[Measurement]:
    """`probe.identity` and `probe.headroom` by weight, `probe.kept` by variant, `probe.adherence_gain` by variant.

    `probe.headroom`: identity above weight 1 minus identity at the highest ship weight, same places. `probe.kept`: the
    share of identity that a variant of the LoRA keeps. `probe.adherence_gain`: how much more often the environment that
    was asked for comes with the variant. Nothing at all where no probe was rendered: rules ask for them as evidence.
    """
    ruler = build_ruler(study)
    return [*_headroom(study, ruler), *_variants(study, ruler)]


def _headroom(study: Study, ruler: Ruler | str) -> Iterator[Measurement]:
    cells = study.arms.get("headroom", ())
    for weight in sorted({cell.weight for cell in cells}):
        own, where = [cell for cell in cells if cell.weight == weight], {"weight": f"{weight:g}"}
        above, below = _identity(study, ruler, own), _identity(study, ruler, _at_top(study, own))
        yield told(mean(above), "probe.identity", where, "score")
        gain = paired_difference(above.masked(below), below.masked(above))
        yield told(gain, "probe.headroom", where, "score")


def _variants(study: Study, ruler: Ruler | str) -> Iterator[Measurement]:
    labels = labels_of_places(study)
    cells = [cell for arm in ("truncation", "blocks") for cell in study.arms.get(arm, ())]
    for variant in dict.fromkeys(cell.variant for cell in cells):
        own, where = [cell for cell in cells if cell.variant == variant], {"variant": variant}
        altered, whole = _identity(study, ruler, own), _identity(study, ruler, _at_top(study, own))
        yield told(ratio(altered.masked(whole), whole.masked(altered)), "probe.kept", where, "ratio")
        right, before = _adherence(study, labels, own), _adherence(study, labels, _at_top(study, own))
        gain = paired_difference(right.masked(before), before.masked(right))
        yield told(gain, "probe.adherence_gain", where, "share")


def _at_top(study: Study, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    return alike(pick(study, {"weight": "top"}), cells)


def _identity(study: Study, ruler: Ruler | str, cells: Sequence[Cell]) -> Sample:
    return scores(study, ruler, cells)[0]


def _adherence(study: Study, labels: LabelSet | None, cells: Sequence[Cell]) -> Sample:
    """1 where an environment that the dataset does not show is drawn as asked, else 0; of those the labels can name."""
    trained = trained_environments(study, labels)
    return drawn_as_asked(study, labels, [cell for cell in cells if cell.environment not in trained])[0]
