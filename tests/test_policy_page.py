"""What `policy lint` and `policy show` say."""

from __future__ import annotations

import tomllib
from pathlib import Path

from lora_doctor.plugins import data_folder
from lora_doctor.policy import load_policy
from lora_doctor.policy_page import lint, show


def test_lint_says_its_complaints_and_how_bad_they_are(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    assert lint("standard") == (["standard: nothing to say."], 0)
    path.write_text('extends = "standard"\nweights = [0.9]\n', "utf-8")
    (line,), code = lint(str(path))
    assert code == 1 and line.startswith(f"{path}:2: note: weights: 0.9")
    path.write_text('extends = "standard"\n"we\\u001bights" = [0.9]\n', "utf-8")
    (line,), code = lint(str(path))
    assert code == 2 and line.isprintable() and "refused" in line


def test_what_show_prints_is_the_policy_again_with_the_line_of_every_key(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_text(
        'extends = "lenient"\nwarn_novel = 2\n[rules]\nhair-flip = "warn"\n'
        '[[waivers]]\nrule = "body-drift"\nreason = "a \\"portrait\\" LoRA"\nexpires = 2027-03-01\n'
        'where = { attribute = "hair" }\n',
        "utf-8",
    )
    lines = show(str(own))
    again = tmp_path / "again" / "mine.toml"
    again.parent.mkdir()
    again.write_text("\n".join(lines), "utf-8")
    assert tomllib.loads("\n".join(lines))["environments"] == 2
    assert load_policy(data_folder("rules"), str(again)) == load_policy(data_folder("rules"), str(own))
    assert any(line.startswith("warn_novel = 2 ") and line.endswith("# mine.toml:2") for line in lines)
    assert any(line.startswith("environments = 2 ") and "# lenient.toml:" in line for line in lines)
