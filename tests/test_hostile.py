"""Every malformed input that `fixtures/hostile/make.py` writes is refused, in one line that says why."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lora_doctor.dataset import read_dataset
from lora_doctor.errors import InputRefused, LoraDoctorError, UsageError
from lora_doctor.lora_file import read_lora, require_plain_lora
from lora_doctor.settings import load_settings

HOSTILE = Path(__file__).parents[1] / "fixtures" / "hostile"
MAKER = runpy.run_path(str(HOSTILE / "make.py"))
REFUSALS: dict[str, tuple[Callable[[Path], Any], type[LoraDoctorError]]] = {
    "read_lora": (read_lora, InputRefused),
    "require_plain_lora": (lambda path: require_plain_lora(read_lora(path)), InputRefused),
    "read_dataset": (read_dataset, InputRefused),
    "load_settings": (lambda folder: load_settings(folder / "lora.safetensors", {}), UsageError),
}
HERE = [case for case in MAKER["CASES"] if case.refused_by in REFUSALS]
LATER = [case for case in MAKER["CASES"] if case.refused_by not in REFUSALS]


@pytest.mark.parametrize("case", HERE, ids=lambda case: case.path)
def test_refused_in_one_line_that_says_why(case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    case.make(tmp_path / case.path)
    act, error = REFUSALS[case.refused_by]
    with pytest.raises(error) as caught:
        act(tmp_path / case.path)
    message = str(caught.value)
    assert case.says in message
    assert Path(case.path).name in message
    assert message.isprintable()
    assert len(message) < 400 + 2 * len(str(tmp_path))
    assert not (tmp_path / MAKER["MARKER"]).exists()


@pytest.mark.parametrize("case", LATER, ids=lambda case: case.path)
def test_sound_files_of_the_wrong_content_pass_the_readers(case: Any, tmp_path: Path) -> None:
    """They are for later stages to refuse; here they must not be mistaken for malformed."""
    case.make(tmp_path / case.path)
    if case.path.startswith("loras/"):
        require_plain_lora(read_lora(tmp_path / case.path))
    else:
        assert read_dataset(tmp_path / case.path).images


def test_the_pickles_are_really_malicious(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    monkeypatch.chdir(tmp_path)
    pickle.loads(MAKER["LORAS"]["pickle-4"][0]).close()
    assert (tmp_path / MAKER["MARKER"]).exists()


def test_the_readme_explains_every_case() -> None:
    text = (HOSTILE / "README.md").read_text(encoding="utf-8")
    names = {Path(case.path).name.removesuffix(".safetensors") for case in MAKER["CASES"]}
    assert not {name for name in names if f"`{name}`" not in text}
