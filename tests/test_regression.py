"""A release that falls back behind the one before it is held, though it could ship by itself: real renders."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from lora_doctor.cli import cli
from lora_doctor.errors import UsageError
from lora_doctor.regression import regressions
from tests.test_comparison_files import VERSIONS, check, contents

# Demands that so small a matrix can meet.
EASY = """extends = "lenient"
weights = [1.0]
framings = []
identity_at_least = 0.1
identity_claim = "point"
optional_rules = {rules}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The healthy patient as it is, and at half its strength."""
    folder = tmp_path_factory.mktemp("versions") / "yuki"
    return [check(folder, "yuki", name, change) for name, change in VERSIONS[:2]]


@pytest.mark.miniature
def test_a_weaker_version_is_told_what_it_does_worse_and_the_runs_stay_as_they_are(runs: list[Path]) -> None:
    before = [contents(run) for run in runs]
    told = regressions(runs[1], runs[0])
    assert any("identity at ship weights −0." in one and str(runs[0]) in one for one in told)
    assert not any("at weight 0.4" in one for one in told)
    assert [contents(run) for run in runs] == before


@pytest.mark.miniature
def test_a_better_version_does_nothing_worse(runs: list[Path]) -> None:
    assert regressions(runs[0], runs[1]) == ()


@pytest.mark.miniature
def test_the_gate_holds_what_ships_by_itself_and_falls_back(runs: list[Path], tmp_path: Path) -> None:
    from lora_doctor.plugins import data_folder
    from lora_doctor.rule_files import load_rules

    policy = tmp_path / "easy.toml"
    policy.write_text(EASY.format(rules=[rule.id for rule in load_rules(data_folder("rules"))]), "utf-8")

    def gate(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["gate", str(runs[1]), "--policy", str(policy), *arguments])
        return done.exit_code, done.output

    code, said = gate()
    assert (code, said.split(":")[0]) == (0, "SHIP")
    code, said = gate("--against", str(runs[0]))
    assert code == 1 and said.startswith("HOLD: by itself it could ship")
    assert "worse than" in said and "identity at ship weights" in said


@pytest.mark.miniature
def test_a_run_of_another_character_is_refused(runs: list[Path], tmp_path: Path) -> None:
    other = check(tmp_path / "echo", "echo", *VERSIONS[0])
    with pytest.raises(UsageError, match="another trigger"):
        regressions(runs[0], other)
