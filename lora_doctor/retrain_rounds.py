"""Prescribe, train, check, until it ships: what is kept is the best round, and a round must earn its place, paired.

The same for Python callers: `retrain_until_ship` is what `lora-doctor retrain --run` calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lora_doctor.before_after import story, tell
from lora_doctor.comparison import Comparison, Contrast
from lora_doctor.comparison_files import compare_folders, write
from lora_doctor.comparison_words import difference_text, quantity_name
from lora_doctor.errors import LoraDoctorError
from lora_doctor.instruments import Progress, silent
from lora_doctor.retrain_plan import RetrainPlan
from lora_doctor.retrain_prepare import prepare
from lora_doctor.retraining import train_and_check
from lora_doctor.run_lock import lock
from lora_doctor.settings import Settings, load_retrain
from lora_doctor.trainer_process import Told
from lora_doctor.types import Diagnosis

_GRADES = {"HOLD": 0, "INCONCLUSIVE": 1, "SHIP": 2}
COMPARED = "before-and-after"
LOCK = ".lora-doctor-lock"
"""File in the folder of a training, held while it goes on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """One training and its check-up, held against the best before it."""

    number: int
    """1 = the first."""
    run: Path
    """The run folder of the new check-up."""
    config: Path
    """The config it was trained with."""
    lora: Path
    before: Diagnosis
    """Of the best so far."""
    after: Diagnosis
    comparison: Comparison | None
    """Both on the cells and seeds they share; None where they cannot be compared, with the reason in `because`."""
    kept: bool
    """Whether it is the best now."""
    because: str
    """Why it is kept or not, in a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rounds:
    """What came of it."""

    rounds: tuple[Round, ...]
    best: Round | None
    """None = the LoRA that was there before is still the best."""
    before: Diagnosis
    stopped: str
    """Why no further round was trained, in a sentence."""

    @property
    def after(self) -> Diagnosis:
        """The diagnosis of the best."""
        return self.before if self.best is None else self.best.after


def retrain_until_ship(
    run: Path, config: Path, folder: Path, *, most: int = 3, seed: int | None = None, add: Path | None = None,
    mended: Path | None = None, most_replicates: int | None = None,
    progress: Progress = silent, told: Told = lambda line, again: None,
    announce: Callable[[RetrainPlan, Path], None] = lambda plan, folder: None,
    ended: Callable[[Round], None] = lambda one: None,
) -> Rounds:  # fmt: skip
    """Train with what the check-up `run` prescribes for `config`, and check again: `most` rounds at most.

    Every round starts from the best run and its config, in a folder of its own below `folder` (`round-1` ...; `folder`
    itself where there is only one), and its trainer as the lora-doctor.toml beside `config` says. Stops when a LoRA
    ships, when nothing is left to change, when a round brings no gain over the best before it, and when one fails
    behind a round that is kept. `most_replicates`: rounds of pictures that a new LoRA's check-up may take, None = as
    many as that of `run`. `announce` is called before a round writes anything and may raise; `ended` after it.
    Called again, it goes on where it was. Raises the children of LoraDoctorError while no round is kept, FolderBusy
    where another process trains there.
    """
    best: Round | None = None
    rounds: list[Round] = []
    first: Diagnosis | None = None
    start = load_retrain(config)
    stopped = f"{most} round{'s' * (most != 1)} were asked for at most." if most > 1 else ""
    for number in range(1, most + 1):
        at_run, at_config = (run, config) if best is None else (best.run, best.config)
        place = folder if most == 1 else folder / f"round-{number}"
        try:
            given = (add, mended) if number == 1 else (None, None)
            plan = prepare(at_run, at_config, seed=seed, add=given[0], mended=given[1], start=start)
            first = first or plan.before
            if not plan.changes_anything and plan.rescales is None:
                stopped = "The prescription changes nothing in the config or the dataset."
                break
            announce(plan, place)
            with _alone_in(place):
                plan.write(place)
                if most_replicates is not None:
                    plan = replace(plan, settings=with_rounds(plan.settings, most_replicates))
                rounds.append(_round(number, plan, place, progress, told))
        except LoraDoctorError as error:
            if best is None:
                raise
            stopped = f"Round {number} was not finished: {error}"
            break
        ended(rounds[-1])
        best = rounds[-1] if rounds[-1].kept else best
        if best is not None and best.after.verdict.outcome == "SHIP":
            stopped = "It ships."
            break
        if not rounds[-1].kept:
            stopped = f"Round {number} brought no gain."
            break
    assert first is not None, "there is at least one round"
    return Rounds(rounds=tuple(rounds), best=best, before=first, stopped=stopped)


def judged(before: Diagnosis, after: Diagnosis, contrasts: Sequence[Contrast] | None) -> tuple[bool, str]:
    """Whether `after` is kept, and why in a sentence. Pure.

    A better verdict is a gain and a worse one none. Where verdicts are the same, something must be better, its whole
    interval beyond the smallest effect that matters, and nothing worse; None = they could not be compared: no gain.
    """
    was, now = before.verdict.outcome, after.verdict.outcome
    worse = _named(contrasts, "worse")
    if _GRADES[now] > _GRADES[was]:
        return True, f"{was} before, {now} after{f'; worse: {worse}' if worse else ''}."
    if _GRADES[now] < _GRADES[was]:
        return False, f"{was} before, {now} after."
    better = _named(contrasts, "better")
    if worse:
        return False, f"{now} as before; worse: {worse}{f'; better: {better}' if better else ''}."
    return bool(better), f"{now} as before; {f'better: {better}' if better else 'nothing is certainly better'}."


def _named(contrasts: Sequence[Contrast] | None, state: str) -> str:
    """What is in the state over the ship weights or beside the matrix, with its difference and interval."""
    found = [one for one in contrasts or () if one.state == state and one.whole]
    return ", ".join(f"{quantity_name(one.quantity)} {difference_text(one.difference)}" for one in found)


@contextmanager
def _alone_in(place: Path) -> Iterator[None]:
    """Nobody else trains in the folder meanwhile, where its disk has locks. Raises FolderBusy where somebody does."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        file = lock(place / LOCK)
    except OSError:  # what writes there says what is wrong
        yield
        return
    try:
        yield
    finally:
        file.close()
        with suppress(OSError):  # nothing was written: nothing is left
            if [path.name for path in place.iterdir()] == [LOCK]:
                (place / LOCK).unlink()
                place.rmdir()


def with_rounds(settings: Settings, most: int) -> Settings:
    """The settings with so many rounds of pictures at most, whatever budget the check-up before had.

    Never fewer than are rendered before the first look.
    """
    matrix = settings.matrix
    return replace(settings, matrix=replace(matrix, most_replicates=max(most, matrix.replicates), budget=None))


def _round(number: int, plan: RetrainPlan, place: Path, progress: Progress, told: Told) -> Round:
    done = train_and_check(plan, place, progress, told)
    comparison, why = None, ""
    try:
        comparison, folders = compare_folders([plan.run, done.run], names=("before", f"round {number}"))
        write(comparison, folders, place / COMPARED)
    except LoraDoctorError as error:
        why = f" They cannot be compared picture by picture: {error}"
    kept, because = judged(done.before, done.after, None if comparison is None else comparison.contrasts)
    after = tell(done.run, plan.run, story(plan, done.after, comparison, kept=kept, because=because))
    return Round(
        number=number, run=done.run, config=place / plan.patch.path.name, lora=done.lora, before=done.before,
        after=after, comparison=comparison, kept=kept, because=because + why,
    )  # fmt: skip
