"""Every malformed input that `fixtures/hostile/make.py` writes is refused, in one line that says why."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures.hostile.make import CASES, Case, make
from fixtures.hostile.other_formats import MARKER, pickled
from fixtures.hostile.table import lines
from lora_doctor.dataset_layout import read_dataset
from lora_doctor.errors import InputRefused, LoraDoctorError, UsageError
from lora_doctor.lora_file import read_lora
from lora_doctor.lora_tensors import read_parts, require_sound
from lora_doctor.settings import load_settings


def read_sound(path: Path) -> None:
    require_sound(read_lora(path))


def read_all(path: Path) -> None:
    lora = read_lora(path)
    for module in lora.modules:
        read_parts(lora, module)


README = Path(__file__).parents[1] / "fixtures" / "hostile" / "README.md"
REFUSALS: dict[str, tuple[Callable[[Path], Any], type[LoraDoctorError], int]] = {
    "read_lora": (read_lora, InputRefused, 4),
    "require_sound": (read_sound, InputRefused, 4),
    "read_dataset": (read_dataset, InputRefused, 4),
    "load_settings": (lambda folder: load_settings(folder / "lora.safetensors", {}), UsageError, 2),
}
HERE = [case for case in CASES if case.refused_by in REFUSALS]
LATER = [case for case in CASES if case.refused_by not in REFUSALS]


@pytest.mark.parametrize("case", HERE, ids=lambda case: case.path)
def test_refused_in_one_line_that_says_why(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    case.make(tmp_path / case.path)
    act, error, exit_code = REFUSALS[case.refused_by]
    with pytest.raises(error) as caught:
        act(tmp_path / case.path)
    message = str(caught.value)
    assert case.says in message
    assert caught.value.exit_code == exit_code
    assert Path(case.path).name in message
    assert message.isprintable()
    assert len(message) < 400 + 2 * len(str(tmp_path))
    assert not (tmp_path / MARKER).exists()


@pytest.mark.parametrize("case", LATER, ids=lambda case: case.path)
def test_sound_files_pass_the_readers(case: Case, tmp_path: Path) -> None:
    """Some are for later stages to refuse, some are only odd; none must be mistaken for malformed."""
    case.make(tmp_path / case.path)
    if case.path.startswith("loras/"):
        read_sound(tmp_path / case.path)
        read_all(tmp_path / case.path)
    else:
        assert read_dataset(tmp_path / case.path).images


def test_the_pickles_are_really_malicious(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for protocol in range(6):
        pickle.loads(pickled(protocol)).close()
        (tmp_path / MARKER).unlink()


def test_every_case_is_written_under_a_name_of_its_own(tmp_path: Path) -> None:
    assert len({case.path for case in make(tmp_path)}) == len(CASES)
    assert all((tmp_path / case.path).exists() for case in CASES)


def test_the_readme_explains_every_case() -> None:
    text = README.read_text(encoding="utf-8")
    names = {Path(case.path).name.removesuffix(".safetensors") for case in CASES}
    assert not {name for name in names if f"`{name}`" not in text}
    assert "\n".join(lines()).strip() in text
