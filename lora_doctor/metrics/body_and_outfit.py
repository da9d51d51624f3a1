"""Body and outfit as wholes: how well they match the spec, and what is missing of them in full body.

What is missing is counted from what can be expected. A trait that belongs to the character is expected in every render.
An outfit that the captions name is a matter of the prompt, which asks for it; what can be expected then is what the
base model alone draws of it, by the same prompts and seeds (a positive control): the deficit is what the LoRA takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lora_doctor.metrics.attributes import known, matches
from lora_doctor.metrics.calibration import Calibration, carried, pooled
from lora_doctor.metrics.estimates import Estimate, mean, paired_difference, told
from lora_doctor.metrics.units import Sample, averaged, framings_of, ship_caveat
from lora_doctor.types import FULL_BODY, Measurement, Study

DRAWN = 0.5
"""Where neither the base model nor the LoRA draws what a prompt asks for in at least this share of the renders, nobody
can tell a LoRA that lost it from a base model, or an instrument, that does not know it; a limit, not a judgement."""


def measure(study: Study) -> list[Measurement]:
    """`body.match`, `body.deficit`, `outfit.match` and `outfit.deficit`."""
    return [one for kind in ("body", "outfit") for one in (*_matches(study, kind), _deficit(study, kind))]


def _matches(study: Study, kind: str) -> Iterator[Measurement]:
    """Mean match over the spec's attributes of one kind."""
    for framing in (None, *(f for f in framings_of(study) if _attributes(study, kind, f))):
        where = {"weight": "ship"} | ({} if framing is None else {"framing": framing})
        tables, notes = _tables(study, _attributes(study, kind, framing), where)
        estimate = mean(*tables.values()) if tables else Estimate(reason=_no_table(kind, framing, notes))
        estimate = carried(estimate, _calibration(study, tables, where))
        yield told(estimate, f"{kind}.match", where, "share", *notes, ship_caveat(study))


def _deficit(study: Study, kind: str) -> Measurement:
    """What is missing in full body to what can be expected, as a mean over the attributes of one kind."""
    where = {"weight": "ship", "framing": FULL_BODY}
    tables, notes = _tables(study, _attributes(study, kind, FULL_BODY), where)
    if not set(tables) & set(study.asked):
        estimate = _missing(tables, _calibration(study, tables, where), _no_table(kind, FULL_BODY, notes))
    else:
        controls, more = _controls(study, tables)
        notes = [*notes, *more]
        kept = [tables[name] for name in controls]
        reason = "; ".join(notes)
        estimate = (
            paired_difference(averaged([*controls.values()]), averaged(kept)) if kept else Estimate(reason=reason)
        )
        estimate = carried(estimate, _calibration(study, controls, where), least=-1.0)
    return told(estimate, f"{kind}.deficit", {}, "share", *notes, ship_caveat(study))


def _missing(tables: dict[str, Sample], calibration: Calibration, reason: str) -> Estimate:
    """One minus the mean match."""
    if not tables:
        return Estimate(reason=reason)
    match = carried(mean(*tables.values()), calibration)
    ends, reach = (None if one is None else (1 - one[1], 1 - one[0]) for one in (match.interval, match.reach))
    value = None if match.value is None else 1 - match.value
    return Estimate(value=value, interval=ends, n=match.n, reason=match.reason, reach=reach)


def _controls(study: Study, tables: dict[str, Sample]) -> tuple[dict[str, Sample], list[str]]:
    """Attribute -> what can be expected of it, unit by unit; and why an attribute has no such control."""
    expected, notes = {}, []
    for attribute, table in tables.items():
        if attribute not in study.asked:
            expected[attribute] = table.constant(1.0)
            continue
        control, _ = matches(study, attribute, {"weight": "0", "framing": FULL_BODY})
        shares = [0.0 if one.value is None else one.value for one in (mean(control), mean(table))]
        if max(shares) < DRAWN:
            seen = (
                f"asked for it, the base model draws it in {shares[0]:.0%} of the renders, the LoRA in {shares[1]:.0%}"
            )
            notes.append(f"{attribute}: cannot be told from what the base model does not know: {seen}")
            continue
        expected[attribute] = control
        notes.append(f"{attribute}: asked for by name, compared with the base model's {shares[0]:.0%}")
    return expected, notes


def _attributes(study: Study, kind: str, framing: str | None) -> list[str]:
    """The spec's attributes of one kind that the framing shows; of every framing when it is None."""
    sets = {name: study.label_sets[name] for name in study.spec if name in study.label_sets}
    return [n for n, labels in sets.items() if labels.kind == kind and (framing is None or framing in labels.framings)]


def _tables(study: Study, attributes: Sequence[str], where: dict[str, str]) -> tuple[dict[str, Sample], list[str]]:
    """Attribute -> its matches over a slice, where it can be measured; and the caveats, with those left out named."""
    found = {attribute: matches(study, attribute, where) for attribute in attributes}
    left_out = [f"{a}: {one.absent}" for a, (one, _) in found.items() if not one.planned]
    caveats = [f"{a}: {caveat}" for a, (one, caveat) in found.items() if one.planned and caveat]
    return {a: one for a, (one, _) in found.items() if one.planned}, [*left_out, *caveats]


def _calibration(study: Study, tables: Mapping[str, Sample], where: dict[str, str]) -> Calibration:
    """How uncertain the sensitivities are that these attributes' mean was divided by."""
    return pooled([(1.0, known(study, attribute, where)) for attribute in tables])


def _no_table(kind: str, framing: str | None, notes: Sequence[str]) -> str:
    in_framing = f" that can be read in {framing}" if framing else ""
    return "; ".join(notes) or f"the spec names no {kind} attribute{in_framing}"
