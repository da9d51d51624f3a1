"""Policy lint: everything at once, each with its line, refused or only pointed out."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from lora_doctor.policy_lint import Complaint, lint_policy
from lora_doctor.rule_files import load_rules

FOLDER = Path(__file__).parents[1] / "rules"
RULES = load_rules(FOLDER)
RENDERED = (0.0, 0.4, 0.6, 0.7, 0.8, 1.0)
WAIVER = '[[waivers]]\nrule = "body-drift"\nreason = "portraits only"\nexpires = 2027-03-01\n'


def linted(folder: Path, text: str, today: date = date(2026, 11, 23)) -> tuple[Complaint, ...]:
    path = folder / "mine.toml"
    path.write_text(f'extends = "standard"\n{text}', "utf-8")
    return lint_policy(FOLDER, str(path), rules=RULES, rendered=RENDERED, today=today)


@pytest.mark.parametrize("name", ["lenient", "standard", "strict"])
def test_of_a_preset_there_is_nothing_to_say(name: str) -> None:
    assert lint_policy(FOLDER, name, rules=RULES, rendered=RENDERED, today=date(2026, 11, 23)) == ()


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("novl = 2\n", 2, "Did you mean novel?"),
        ("\nwarn_gap_at_least = 0.1\n", 3, "laxer than gap_at_least"),
        ('[rules]\nhair-flap = "warn"\n', 3, "Did you mean hair-flip?"),
        ('[rules]\nhair-flip = "hold"\n', 3, "'fail', 'warn' or 'ignore'"),
        (WAIVER.replace("body-drift", "novel"), 3, "cannot be waived"),
        ("novel = \n", 0, "cannot be read as TOML"),
        ('weights = "all"\n', 2, "weights"),
    ],
)
def test_what_a_check_up_would_refuse_is_refused(tmp_path: Path, text: str, line: int, told: str) -> None:
    (complaint,) = linted(tmp_path, text)
    assert complaint.refused and told in complaint.text
    assert complaint.at.endswith(f"mine.toml:{line}" if line else "mine.toml")


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (WAIVER.replace("2027-03-01", "2026-11-22"), 5, "expired after 2026-11-22"),
        (WAIVER.replace("2027-03-01", "2026-11-24"), 5, "expires in 1 day"),
        (f'{WAIVER}where = {{ framing = "close-up" }}\n', 6, "matches nothing"),
        ("weights = [0.7, 0.9]\n", 2, "0.9 is not rendered by default"),
        ("weights = []\n", 2, "no weight has to hold"),
        ("hold = []\n", 2, "no finding of any rule can hold"),
        ('[rules]\nhair-flip = "ignore"\n', 3, "would hold a release, and is ignored"),
        ("novel = 4\n", 2, "more than environments = 3"),
        ('[rules]\nhair-flip = "warn"\n', 3, "would hold a release, and only warns"),
        ("framings = []\n", 2, "may lose the face everywhere"),
        ("novel = 0\n", 2, "what was learned by heart"),
        ("identity_at_least = -5.0\n", 2, "met by what the base model draws"),
        ("gap_at_least = -1.0\n", 2, "met by what the base model draws"),
        ("no_face_at_most = 1.0\n", 2, "bears that no render shows a face"),
        ("adherence_loss_at_most = 1.0\n", 2, "bears that nothing comes that is asked for"),
        ("framing_loss_at_most = 1.0\n", 2, "bears that no picture is framed as asked"),
    ],
)
def test_what_works_and_is_a_hole_is_pointed_out(tmp_path: Path, text: str, line: int, told: str) -> None:
    (complaint,) = linted(tmp_path, text)
    assert not complaint.refused and told in complaint.text and complaint.at.endswith(f"mine.toml:{line}")


def test_everything_unfit_in_a_file_is_said_at_once(tmp_path: Path) -> None:
    assert len(linted(tmp_path, "novl = 2\nbare = 1\n[[waivers]]\nrule = 'x'\n")) == 4


def test_a_waiver_with_time_left_is_not_mentioned(tmp_path: Path) -> None:
    assert linted(tmp_path, WAIVER) == ()
    assert linted(tmp_path, WAIVER, date(2027, 1, 29)) == ()
    assert linted(tmp_path, WAIVER, date(2027, 1, 30)) != ()
