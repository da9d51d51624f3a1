"""A finished run judged again: under another policy, with waivers, on another day; without torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from lora_doctor.cli import cli
from lora_doctor.diagnosis import from_json
from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.judgement import DIAGNOSIS, NO_SYMPTOM, REPORT, SUSPECTED, gate_run, judge_run, today
from lora_doctor.run_folder import RunFolder
from lora_doctor.types import Diagnosis, Measurement, Prescription
from tests.make_finished_run import make_finished_run
from tests.test_verdict import healthy, number, replaced, score

RULES = Path(__file__).parents[1] / "rules"
WAIVER = '[[waivers]]\nrule = "body-drift"\nreason = "portraits only"\nexpires = 2027-03-01\n'
DAY = {"2026-11-23": "1795392000", "2027-04-01": "1806537600"}
"""A day -> seconds since 1970 at its beginning (UTC)."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of a LoRA whose body drifts and whose identity holds."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", DAY["2026-11-23"])
    return make_finished_run(tmp_path / "run", replaced(healthy(), number("body.deficit", 0.7, 0.1)))


def policy_file(folder: Path, text: str) -> str:
    path = folder / "release.toml"
    path.write_text(f'extends = "standard"\n{text}', "utf-8")
    return str(path)


def stored(run: Path) -> Diagnosis:
    return from_json((run / DIAGNOSIS).read_text("utf-8"))


def test_a_waived_finding_is_waived_in_verdict_diagnosis_and_report(run: Path, tmp_path: Path) -> None:
    assert judge_run(run).verdict.outcome == "HOLD"
    judged = judge_run(run, policy=policy_file(tmp_path, WAIVER))
    assert judged.verdict.outcome == "SHIP" and judged.verdict.limits[3] == "Policy: release, which extends standard."
    assert stored(run) == judged
    (waived,) = [f for f in stored(run).findings if f.effect == "waived"]
    assert waived.waiver is not None and waived.waiver.reason == "portraits only"
    page = (run / REPORT).read_text("utf-8")
    assert "waived until 2027-03-01" in page and "portraits only" in page and "blocks the release" not in page


def test_gate_judges_by_the_asked_policy_and_changes_nothing(run: Path, tmp_path: Path) -> None:
    judge_run(run)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    assert gate_run(run).verdict.outcome == "HOLD"
    assert gate_run(run, policy=policy_file(tmp_path, WAIVER)).verdict.outcome == "SHIP"
    assert before == {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}


WEAK = (score(0.54, 0.03, weight="0.7"), score(0.54, 0.03, weight="0.7", framing="close-up"))
"""Held, and why cannot be told: whether small faces are the reason is open."""
UNSURE = number("identity.small_face_loss", 0.5, 0.1)
CLOSE_UPS = (
    number("dataset.identity_ratio", 0.95, 0.02), number("dataset.identity_ratio_files", 0.95, 0.02),
    number("training.identity_ratio", 0.95),
)  # fmt: skip


def test_a_held_lora_without_a_proven_symptom_is_treated_for_what_its_dataset_shows(tmp_path: Path) -> None:
    told = judge_run(make_finished_run(tmp_path / "ill", replaced(healthy(), *WEAK, UNSURE, *CLOSE_UPS)))
    assert told.verdict.outcome == "HOLD" and told.confirmed == ()
    assert [(c.field, c.rule) for c in told.prescription.changes] == [("identity_ratio", "too-much-identity-emphasis")]
    assert told.prescription.dataset and told.prescription.advice[0] == NO_SYMPTOM


def test_without_a_finding_about_the_dataset_what_is_suspected_and_explained_is_treated_as_a_guess(
    tmp_path: Path,
) -> None:
    told = judge_run(make_finished_run(tmp_path / "weak", replaced(healthy(), *WEAK, UNSURE)))
    assert told.verdict.outcome == "HOLD" and told.confirmed == ()
    assert [finding.state for finding in told.findings if finding.rule == "low-weight-forgetting"] == ["suspected"]
    assert told.prescription.advice[0] == SUSPECTED
    assert told.prescription.advice[1].startswith("Make the finished LoRA 1.05 times as strong")


def test_beside_a_proven_warning_which_holds_nothing_what_is_suspected_is_treated_too(tmp_path: Path) -> None:
    dressed = number("control.loss", 0.6, 0.1, kind="outfit")
    told = judge_run(make_finished_run(tmp_path / "weak", replaced(healthy(), *WEAK, UNSURE, dressed)))
    assert told.confirmed == ("outfit-baked-in",) and told.verdict.outcome == "HOLD"
    assert told.prescription.advice[0] == SUSPECTED
    assert any("Make the finished LoRA" in line for line in told.prescription.advice)
    assert any("outfit-baked-in" in line for line in told.prescription.advice)


def test_beside_a_proven_warning_which_holds_nothing_what_the_dataset_shows_is_treated_too(tmp_path: Path) -> None:
    dressed = number("control.loss", 0.6, 0.1, kind="outfit")
    told = judge_run(make_finished_run(tmp_path / "ill", replaced(healthy(), *WEAK, UNSURE, dressed, *CLOSE_UPS)))
    assert told.confirmed == ("outfit-baked-in",) and told.verdict.outcome == "HOLD"
    assert ("identity_ratio", "too-much-identity-emphasis") in [(c.field, c.rule) for c in told.prescription.changes]
    assert told.prescription.advice[0] == NO_SYMPTOM


def test_what_is_too_close_to_call_is_treated_as_a_guess_as_well(tmp_path: Path) -> None:
    close = (score(0.59, 0.03, weight="0.7"), score(0.59, 0.03, weight="0.7", framing="close-up"))
    told = judge_run(make_finished_run(tmp_path / "close", replaced(healthy(), *close)))
    assert told.verdict.outcome == "INCONCLUSIVE" and told.confirmed == ()
    assert told.prescription.advice[0] == SUSPECTED


def test_nothing_is_made_up_of_suspicions_that_no_cause_explains(tmp_path: Path) -> None:
    nowhere = number("dose.plateau", 0.54, 0.03)  # not there at weight 1 either, and trained long enough
    told = judge_run(make_finished_run(tmp_path / "weak", replaced(healthy(), *WEAK, UNSURE, nowhere)))
    (finding,) = (finding for finding in told.findings if finding.rule == "low-weight-forgetting")
    assert told.verdict.outcome == "HOLD" and finding.state == "suspected" and finding.causes[0].log_odds <= 0
    assert told.prescription == Prescription()


def test_what_the_pictures_prove_is_treated_alone_and_a_lora_that_ships_not_at_all(tmp_path: Path) -> None:
    drifting = replaced(healthy(), number("body.deficit", 0.7, 0.1), *CLOSE_UPS)
    told = judge_run(make_finished_run(tmp_path / "drifting", drifting))
    assert {c.rule for c in told.prescription.changes} == {"body-drift"}
    assert NO_SYMPTOM not in told.prescription.advice
    ships = judge_run(make_finished_run(tmp_path / "ships", replaced(healthy(), *CLOSE_UPS)))
    assert ships.verdict.outcome == "SHIP" and ships.prescription == Prescription()


def test_what_was_noted_before_rendering_is_a_warning_of_the_verdict(run: Path) -> None:
    with RunFolder(run) as opened:
        facts = opened.get_json("facts")
        opened.put_json("facts", {**facts, "verdict": {**facts["verdict"], "warnings": ["the trigger stands nowhere"]}})
    verdict = judge_run(run).verdict
    assert verdict.outcome == "HOLD" and verdict.warnings[0] == "the trigger stands nowhere"
    assert "the trigger stands nowhere" in (run / REPORT).read_text("utf-8")


def test_an_expired_waiver_is_judged_by_the_policy_that_it_stood_in(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check-up's own policy ships what this one holds: falling back to it would open the gate."""
    ships = make_finished_run(tmp_path / "other", replaced(healthy(), number("control.loss", 0.6, 0.1, kind="outfit")))
    strict = '[rules]\noutfit-baked-in = "fail"\n'
    waiver = '[[waivers]]\nrule = "outfit-baked-in"\nreason = "its page says so"\nexpires = 2027-03-01\n'
    assert judge_run(ships).verdict.outcome == "SHIP"
    assert judge_run(ships, policy=policy_file(tmp_path, strict + waiver)).verdict.outcome == "SHIP"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", DAY["2027-04-01"])
    monkeypatch.chdir(tmp_path)
    verdict = gate_run(ships).verdict
    assert verdict.outcome == "HOLD" and "Policy: release, which extends standard." in verdict.limits
    (tmp_path / "release.toml").unlink()
    with pytest.raises(UsageError, match="release"):
        gate_run(ships)


def test_a_folder_of_rules_alone_is_judged_by_the_own_presets(run: Path, tmp_path: Path) -> None:
    shutil.copytree(RULES, tmp_path / "rules", ignore=shutil.ignore_patterns("policies"))
    assert judge_run(run, rules=tmp_path / "rules", policy="strict").matrix["policy"] == "strict"


def test_a_public_report_of_a_private_run_holds_nothing_of_the_dataset(run: Path, tmp_path: Path) -> None:
    secret = Measurement(name="captions.token_frequency", value=0.4, unit="share", where={"token": "my_ex_boyfriend"})
    with RunFolder(run) as opened:
        facts, settings = opened.get_json("facts"), opened.get_json("settings")
        pictures = [{"file": "x.png", "name": "my_ex_boyfriend.png", "role": None, "caption": "my_ex_boyfriend"}]
        facts["dataset"] |= {"pictures": pictures, "notes": ["my_ex_boyfriend's folder"], "plan": [], "not_shown": 0}
        facts["measurements"].append(json.loads(json.dumps(asdict(secret))))
        opened.put_json("facts", facts)
        opened.put_json("settings", {**settings, "report": {"private": True}})

    def written() -> str:
        return (run / DIAGNOSIS).read_text("utf-8") + (run / REPORT).read_text("utf-8")

    private = judge_run(run)
    assert written().count("my_ex_boyfriend") > 2
    public = judge_run(run, private=False)
    assert "boyfriend" not in written() and "boyfriend" not in repr(public)
    assert public.verdict == private.verdict and public.dataset["images"] == private.dataset["images"]
    assert "boyfriend" not in repr(judge_run(run, write=False))
    judge_run(run, private=True)
    assert written().count("my_ex_boyfriend") > 2


def test_a_gate_opened_by_a_waiver_closes_when_the_waiver_runs_out(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunFolder(run) as opened:
        settings = opened.get_json("settings")
        judge = {**settings["judge"], "policy": policy_file(tmp_path, WAIVER)}
        opened.put_json("settings", {**settings, "judge": judge})
    assert judge_run(run).verdict.outcome == "SHIP" == gate_run(run).verdict.outcome
    monkeypatch.setenv("SOURCE_DATE_EPOCH", DAY["2027-04-01"])
    assert today().isoformat() == "2027-04-01"
    verdict = gate_run(run).verdict
    assert verdict.outcome == "HOLD" and any("expired after 2027-03-01" in text for text in verdict.warnings)


def test_a_policy_that_names_no_rule_of_the_folder_is_refused_with_its_line(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"release.toml:3: rules.body-drifts: there is no such rule"):
        judge_run(run, policy=policy_file(tmp_path, '[rules]\nbody-drifts = "ignore"\n'))


def test_the_gate_command_prints_the_blockers_or_what_a_ship_covers_without_torch(run: Path, tmp_path: Path) -> None:
    judge_run(run)
    code = (
        "import sys, atexit; atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr));"
        "from lora_doctor.cli import main; main()"
    )

    def gate(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, "gate", str(run), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)

    held = gate()
    assert held.returncode == 1 and held.stdout.startswith("HOLD: The face is right")
    shipped = gate("--policy", policy_file(tmp_path, WAIVER))
    assert (
        shipped.returncode == 0 and "waived: body-drift (confirmed) until 2027-03-01: portraits only" in shipped.stdout
    )
    assert "Working range: identity holds from weight 0.7 to 1" in shipped.stdout
    assert held.stderr.strip() == shipped.stderr.strip() == "False"


@pytest.mark.parametrize("epoch", ["\u00b2", "1" * 5000, "99999999999999", "yesterday"])
def test_a_source_date_epoch_that_is_no_day_is_refused_by_name(epoch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(UsageError, match=r"SOURCE_DATE_EPOCH .* no day") as caught:
        today()
    assert len(str(caught.value)) < 200


def test_a_diagnosis_that_is_not_utf8_is_refused_with_its_byte(run: Path) -> None:
    judge_run(run)
    (run / DIAGNOSIS).write_bytes(b'{"verdict": "\xff"}')
    with pytest.raises(InputRefused, match=r"diagnosis\.json: is not UTF-8 at byte 13\."):
        gate_run(run)


@pytest.mark.parametrize("where", ["settings", "training"])
def test_a_run_with_a_setting_that_is_unknown_here_was_made_by_another_version(run: Path, where: str) -> None:
    with RunFolder(run) as opened:
        opened.put_json(where, {**opened.get_json(where), "of_tomorrow": 1})
    with pytest.raises(UsageError, match="made by another lora-doctor"):
        judge_run(run)


def test_the_report_command_prints_why_a_run_is_inconclusive(tmp_path: Path) -> None:
    """What to act on stands in the terminal, not a count of it."""
    lost = ("identity.score", "body.deficit", "identity.no_face")
    run = make_finished_run(tmp_path / "run", [m for m in healthy() if m.name not in lost])
    told = CliRunner().invoke(cli, ["report", str(run)])
    verdict = stored(run).verdict
    assert told.exit_code == 3 and verdict.outcome == "INCONCLUSIVE" and len(verdict.reasons) > 8
    lines = told.stdout.splitlines()
    assert all(f"  - {reason}" in lines for reason in verdict.reasons[:8])
    assert f"  - and {len(verdict.reasons) - 8} more: the report and `lora-doctor gate` list them all" in lines
