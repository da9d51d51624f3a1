"""Tables of cure trials: every trial, the share of cured patients by fault and arm, and the paired exact test. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scipy.stats import binomtest

from benchmarks.cure_arms import ARMS, PRESCRIBED
from lora_doctor.metrics.intervals import wilson


@dataclass(frozen=True)
class Trial:
    """One retraining of one patient, and what the check-up after it said."""

    patient: str
    fault: str
    arm: str
    seed: int
    treated: str
    """The finding that came first before."""
    told: str
    """What was prescribed, in words."""
    verdict: str
    left: str
    """What is left of the treated finding: `gone`, `suspected`, `confirmed` or `not judged`."""
    new_blockers: Sequence[str]
    """Confirmed, and not so before."""
    confirmed: Sequence[str]

    @property
    def cured(self) -> bool:
        """The treated finding is gone, and no blocker is new."""
        return bool(self.treated) and self.left == "gone" and not self.new_blockers


def mcnemar(better: int, worse: int) -> float:
    """Two-sided exact p of so many pairs in which one arm alone cured, and the other alone (McNemar 1947, exact)."""
    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def rows(trials: Sequence[Trial]) -> Iterator[str]:
    """Markdown: one row per trial."""
    yield "| patient | treated finding | arm | prescribed | seed | after | the finding | cured |"
    yield "|---" * 8 + "|"
    for one in trials:
        after = f"{one.verdict} {', '.join(one.confirmed)}".strip()
        cells = [one.patient, one.treated or "-", one.arm, one.told, str(one.seed), after, one.left]
        yield f"| {' | '.join(cells)} | {'yes' if one.cured else 'NO'} |"


def side_by_side(trials: Sequence[Trial]) -> Iterator[str]:
    """Markdown: one row per patient and seed, with what came of each arm; bold is cured."""
    yield f"| patient | treated finding | prescribed | seed | {' | '.join((f'as {ARMS[0]}', *ARMS[1:]))} |"
    yield "|---" * (len(ARMS) + 4) + "|"
    patients = list(dict.fromkeys(one.patient for one in trials))
    which = dict.fromkeys((one.patient, one.seed) for one in trials)
    for patient, seed in sorted(which, key=lambda who: patients.index(who[0])):
        arms = {one.arm: one for one in trials if (one.patient, one.seed) == (patient, seed)}
        first = next(iter(arms.values()))
        told = arms[PRESCRIBED].told if PRESCRIBED in arms else "-"
        cells = [patient, first.treated or "-", told, str(seed), *(_came(arms.get(arm)) for arm in ARMS)]
        yield f"| {' | '.join(cells)} |"


def _came(one: Trial | None) -> str:
    """`**gone**, SHIP`, `confirmed, HOLD`; with blockers that are new; `-` where it was not tried."""
    if one is None:
        return "-"
    new = f", new: {', '.join(one.new_blockers)}" if one.new_blockers else ""
    return f"{f'**{one.left}**' if one.cured else one.left}, {one.verdict}{new}"


def shares(trials: Sequence[Trial]) -> Iterator[str]:
    """Markdown: cured by fault and arm, and all together with Wilson's 90 % interval."""
    names = [arm for arm in ARMS if any(one.arm == arm for one in trials)]
    yield f"| fault | {' | '.join(names)} |"
    yield "|---" * (len(names) + 1) + "|"
    for fault in dict.fromkeys(one.fault for one in trials):
        counts = [_count([one for one in trials if one.fault == fault and one.arm == arm]) for arm in names]
        yield f"| {fault} | {' | '.join(f'{k} of {n}' for k, n in counts)} |"
    counts = [_count([one for one in trials if one.arm == arm]) for arm in names]
    told = [f"{k} of {n} [{low:.2f}, {high:.2f}]" for k, n in counts for low, high in (wilson(k, n),)]
    yield f"| all | {' | '.join(told)} |"


def _count(trials: Sequence[Trial]) -> tuple[int, int]:
    return sum(one.cured for one in trials), len(trials)


def pairs(trials: Sequence[Trial]) -> Iterator[str]:
    """Markdown: the prescription against each other arm, over pairs of the same patient and seed."""
    yield "| prescribed against | pairs | both cured | prescribed alone | the other alone | neither | exact McNemar p |"
    yield "|---" * 7 + "|"
    cured = {(one.patient, one.seed, one.arm): one.cured for one in trials}
    own = {(patient, seed): ok for (patient, seed, arm), ok in cured.items() if arm == PRESCRIBED}
    for arm in dict.fromkeys(one.arm for one in trials if one.arm != PRESCRIBED):
        both = [(ok, cured[(*who, arm)]) for who, ok in own.items() if (*who, arm) in cured]
        better, worse = both.count((True, False)), both.count((False, True))
        counts = [len(both), both.count((True, True)), better, worse, both.count((False, False))]
        yield f"| {arm} | {' | '.join(map(str, counts))} | {mcnemar(better, worse):.2g} |"
