"""A round is kept for a better verdict, or for something better and nothing worse; the best is kept, whatever comes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lora_doctor import retrain_rounds
from lora_doctor.comparison import Contrast
from lora_doctor.errors import EnvironmentFailure, FolderBusy
from lora_doctor.retrain_rounds import LOCK, Rounds, judged, retrain_until_ship, with_rounds
from lora_doctor.run_lock import lock
from lora_doctor.settings import MatrixSettings, Settings
from lora_doctor.types import Diagnosis, Measurement
from tests.make_diagnosis import make_diagnosis


def diagnosis(outcome: str) -> Diagnosis:
    made = make_diagnosis(Path(), images=False)
    return dataclasses.replace(made, verdict=dataclasses.replace(made.verdict, outcome=outcome))  # type: ignore[arg-type]


def contrast(state: str, value: float, weight: str = "ship") -> Contrast:
    told = Measurement(name="identity", value=value, unit="score", interval=(value - 0.02, value + 0.02))
    return Contrast(quantity="identity", weight=weight, run="new", against="old", difference=told, state=state)  # type: ignore[arg-type]


BETTER, WORSE, ALIKE = contrast("better", 0.2), contrast("worse", -0.2), contrast("alike", 0.0)


@pytest.mark.parametrize(
    ("before", "after", "found", "kept", "said"),
    [
        ("HOLD", "SHIP", [WORSE], True, "HOLD before, SHIP after; worse: identity"),
        ("HOLD", "INCONCLUSIVE", [], True, "INCONCLUSIVE after"),
        ("INCONCLUSIVE", "HOLD", [BETTER], False, "HOLD after"),
        ("HOLD", "HOLD", [BETTER], True, "better: identity +0.20"),
        ("HOLD", "HOLD", [BETTER, WORSE], False, "worse: identity"),
        ("HOLD", "HOLD", [ALIKE], False, "nothing is certainly better"),
        ("HOLD", "HOLD", [contrast("better", 0.2, "0.4")], False, "nothing is certainly better"),
        ("HOLD", "HOLD", None, False, "nothing is certainly better"),
    ],
)
def test_what_is_a_gain(before: str, after: str, found: list[Contrast] | None, kept: bool, said: str) -> None:
    answer, because = judged(diagnosis(before), diagnosis(after), found)
    assert answer is kept and said in because


def trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *rounds: tuple[str, list[Contrast]], most: int = 3,
            changes: int = 99) -> tuple[Rounds, list[str]]:  # fmt: skip
    """Rounds that end as told, without a trainer: what is looked at is who starts from whom, and when it stops.

    One more than are told fails in training.
    """
    said: list[str] = []
    left = iter(rounds)
    outcomes = {tmp_path / "run": "HOLD"}

    def prepare(run: Path, config: Path, **more: Any) -> Any:
        folder = more["start"].folder
        where = "" if folder is None else f" in {folder.name}"
        said.append(f"{run.relative_to(tmp_path)} with {config.relative_to(tmp_path)}{where}")
        texts = {config: "new" if len(said) <= changes else "old"}
        files = SimpleNamespace(texts={config: "old"})
        return SimpleNamespace(
            run=run, before=diagnosis(outcomes[run]), texts=texts, write=lambda place: None,
            changes_anything=len(said) <= changes, rescales=None,
            config=SimpleNamespace(files=files), patch=SimpleNamespace(path=config),
        )  # fmt: skip

    def train(plan: Any, place: Path, *more: Any) -> Any:
        outcome, found = next(left, ("", None))
        if found is None:
            raise EnvironmentFailure("the trainer ended with exit code 1.", path=place)
        run = place / "checkup"
        outcomes[run] = outcome
        monkeypatch.setattr(
            retrain_rounds, "compare_folders", lambda runs, names: (SimpleNamespace(contrasts=found), {})
        )
        return SimpleNamespace(before=plan.before, after=diagnosis(outcome), lora=place / "x", run=run)

    monkeypatch.setattr(retrain_rounds, "prepare", prepare)
    monkeypatch.setattr(retrain_rounds, "train_and_check", train)
    monkeypatch.setattr(retrain_rounds, "write", lambda *given: None)
    monkeypatch.setattr(retrain_rounds, "story", lambda *given, **more: {})
    monkeypatch.setattr(retrain_rounds, "tell", lambda run, old, told: diagnosis(outcomes[run]))
    return retrain_until_ship(tmp_path / "run", tmp_path / "c.toml", tmp_path / "new", most=most), said


def test_it_goes_on_from_the_best_and_stops_when_it_ships(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done, started = trained(monkeypatch, tmp_path, ("HOLD", [BETTER]), ("SHIP", []))
    assert started == ["run with c.toml", "new/round-1/checkup with new/round-1/c.toml"]
    assert done.after.verdict.outcome == "SHIP" and done.best is not None and done.best.number == 2
    assert done.stopped == "It ships."


def test_every_round_starts_the_trainer_as_it_is_said_beside_the_users_own_config(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "lora-doctor.toml").write_text('[retrain]\nfolder = "sd-scripts"\n')
    _, started = trained(monkeypatch, tmp_path, ("HOLD", [BETTER]), ("SHIP", []))
    assert started == ["run with c.toml in sd-scripts", "new/round-1/checkup with new/round-1/c.toml in sd-scripts"]


def test_a_round_that_fails_leaves_what_was_kept_before_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done, _ = trained(monkeypatch, tmp_path, ("INCONCLUSIVE", []))
    assert done.best is not None and done.best.number == 1 and len(done.rounds) == 1
    assert done.after.verdict.outcome == "INCONCLUSIVE"
    assert done.stopped.startswith("Round 2 was not finished: ") and "exit code 1" in done.stopped
    with pytest.raises(EnvironmentFailure):
        trained(monkeypatch, tmp_path)


def test_a_round_without_gain_ends_it_and_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done, started = trained(monkeypatch, tmp_path, ("INCONCLUSIVE", []), ("HOLD", [BETTER]))
    assert len(started) == 2 and done.best is not None and done.best.number == 1
    assert done.after.verdict.outcome == "INCONCLUSIVE" and done.stopped == "Round 2 brought no gain."


def test_one_that_only_gets_worse_leaves_the_lora_there_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done, _ = trained(monkeypatch, tmp_path, ("HOLD", [WORSE]))
    assert done.best is None and done.after is done.before and not done.rounds[0].kept


def test_there_are_no_more_rounds_than_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done, started = trained(monkeypatch, tmp_path, ("HOLD", [BETTER]), ("HOLD", [BETTER]), most=2)
    assert len(started) == 2 and done.stopped == "2 rounds were asked for at most."


def test_nothing_left_to_change_trains_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done, started = trained(monkeypatch, tmp_path, ("HOLD", [BETTER]), changes=1)
    assert len(done.rounds) == 1 and len(started) == 2 and "changes nothing" in done.stopped
    none, _ = trained(monkeypatch, tmp_path, changes=0)
    assert none.rounds == () and none.best is None


def test_a_new_lora_is_looked_at_for_as_many_rounds_as_asked_and_no_budget_ends_them() -> None:
    settings = Settings(
        model=Path("m"), trigger="yuki", dataset=Path("d"), out=Path("o"), matrix=MatrixSettings(budget=700)
    )
    matrix = with_rounds(settings, 12).matrix
    assert (matrix.replicates, matrix.most_replicates, matrix.budget) == (2, 12, None)
    assert with_rounds(settings, 1).matrix.most_replicates == 2


def test_two_trainings_in_one_folder_are_one_too_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "round-1"
    folder.mkdir(parents=True)
    held = lock(folder / LOCK)
    with pytest.raises(FolderBusy, match="in use"):
        trained(monkeypatch, tmp_path, ("SHIP", [BETTER]))
    held.close()
    assert trained(monkeypatch, tmp_path, ("SHIP", [BETTER]))[0].best is not None


def test_a_folder_in_which_nothing_was_written_does_not_stay(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure):
        trained(monkeypatch, tmp_path)
    assert not (tmp_path / "new" / "round-1").exists()
