"""A dataset alone: what is looked at, what is written, what is never told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_doctor.dataset_audit import AUDIT, REPORT, Audit, AuditSettings, audit_dataset, open_audit_instruments
from lora_doctor.errors import InputRefused
from lora_doctor.instrument_choice import BUNDLED
from lora_doctor.instruments import Instruments
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT

MISA = Path(__file__).parents[1] / "fixtures" / "miniature" / "patients" / "misa" / "dataset"


@pytest.fixture(scope="module")
def instruments() -> Instruments:
    return open_audit_instruments(AuditSettings(dataset=MISA, out=MISA, instruments=BUNDLED))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def misa(place: Path, instruments: Instruments) -> Audit:
    settings = AuditSettings(dataset=MISA, out=place / "run", trigger="misa_nk", private=True)
    return audit_dataset(settings, instruments=instruments)


def test_a_patient_of_close_ups_is_told_from_the_dataset_alone(misa: Audit) -> None:
    roles = [image.role for image in misa.dataset.images]
    assert (roles.count(IDENTITY_EMPHASIS), roles.count(IN_CONTEXT)) == (40, 2)
    (ratio,) = [m for m in misa.measurements if m.name == "dataset.identity_ratio"]
    assert ratio.value == pytest.approx(40 / 42, abs=0.03)
    assert misa.case.lora is None
    assert not [m for m in misa.measurements if m.name.startswith("spectrum.")]


def test_every_measurement_has_a_value_or_a_reason(misa: Audit) -> None:
    assert misa.measurements
    assert not [m.name for m in misa.measurements if m.value is None and not m.reason]


def test_record_and_report_are_written_and_agree(misa: Audit, place: Path) -> None:
    written = json.loads((place / "run" / AUDIT).read_text("utf-8"))
    assert [f["rule"] for f in written["findings"]] == [f.rule for f in misa.findings]
    page = (place / "run" / REPORT).read_text("utf-8")
    assert all(finding.symptom in page or "&#39;" in page for finding in misa.findings)


def test_a_private_record_names_pictures_and_a_public_one_does_not(
    misa: Audit, place: Path, instruments: Instruments
) -> None:
    told = misa.record.dataset["pictures"]
    assert [entry["name"] for entry in told] == [image.path.name for image in misa.dataset.images]
    public = place / "public"
    audit_dataset(AuditSettings(dataset=MISA, out=public, trigger="misa_nk"), instruments=instruments)
    for name in (AUDIT, REPORT):
        text = (public / name).read_text("utf-8")
        assert "closed_mouth, library" not in text
        assert "00.png" not in text
        assert str(MISA.parent) not in text


def test_a_public_record_does_not_say_which_words_may_be_the_trigger(tmp_path: Path, instruments: Instruments) -> None:
    for number in range(4):
        path = tmp_path / "dataset" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 64), (200, 20 * number, 30)).save(path)
        path.with_suffix(".txt").write_text(f"1girl, {('anna_qz', 'berta_qz')[number % 2]}, smile", "utf-8")
    known = {}
    for private in (False, True):
        settings = AuditSettings(dataset=tmp_path / "dataset", out=tmp_path / f"run-{private}", private=private)
        found = audit_dataset(settings, instruments=instruments)
        assert "anna_qz and berta_qz" in found.trigger_reason
        text = (settings.out / AUDIT).read_text("utf-8") + (settings.out / REPORT).read_text("utf-8")
        known[private] = "anna_qz" in text or "berta_qz" in text
    assert known == {False: False, True: True}


def numbered(tmp_path: Path, name: str, caption: str) -> AuditSettings:
    """Six pictures in a numbered folder; the last has no caption file: sd-scripts shows it with the folder's words."""
    for number in range(6):
        path = tmp_path / "dataset" / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (200, 20 * number, 30)).save(path)
        if caption and number < 5:
            path.with_suffix(".txt").write_text(caption, "utf-8")
    return AuditSettings(dataset=tmp_path / "dataset", out=tmp_path / "run")


def test_a_numbered_folders_name_does_not_beat_written_captions(tmp_path: Path, instruments: Instruments) -> None:
    found = audit_dataset(numbered(tmp_path, "10_final", "1girl, yuki_nk, smile"), instruments=instruments)
    assert found.case.trigger == "yuki_nk"
    assert "so" not in found.trigger_reason.split() and "83%" in found.trigger_reason


@pytest.mark.parametrize("caption", ["1girl, yuki_nk, smile", ""])
def test_a_numbered_folders_name_is_the_trigger_where_captions_hold_it_or_there_are_none(
    tmp_path: Path, instruments: Instruments, caption: str
) -> None:
    found = audit_dataset(numbered(tmp_path, "10_yuki_nk woman", caption), instruments=instruments)
    assert (found.case.trigger, found.trigger_reason) == ("yuki_nk", "the folder's name says so")


def test_pictures_that_were_read_are_not_read_again(place: Path, instruments: Instruments, misa: Audit) -> None:
    class Blind(Instruments):
        def read(self, images: Any) -> Any:
            raise AssertionError("read again")

    blind = Blind(face=instruments.face, clip=instruments.clip, label_sets=instruments.label_sets)
    settings = AuditSettings(dataset=MISA, out=place / "run", trigger="misa_nk")
    assert audit_dataset(settings, instruments=blind).measurements == misa.measurements


def test_pictures_without_any_face_are_audited_and_not_refused(tmp_path: Path, instruments: Instruments) -> None:
    (tmp_path / "flat").mkdir()
    for number in range(3):
        Image.new("RGB", (64, 64), (200, 20 * number, 30)).save(tmp_path / "flat" / f"{number}.png")
    found = audit_dataset(AuditSettings(dataset=tmp_path / "flat", out=tmp_path / "run"), instruments=instruments)
    (faceless,) = [m for m in found.measurements if m.name == "dataset.no_face_share" and not m.where]
    assert faceless.value == 1.0


def test_what_is_no_dataset_is_refused(tmp_path: Path, instruments: Instruments) -> None:
    with pytest.raises(InputRefused):
        audit_dataset(AuditSettings(dataset=tmp_path / "none", out=tmp_path / "run"), instruments=instruments)


def test_the_dataset_is_left_as_it_is(tmp_path: Path, instruments: Instruments) -> None:
    copy = tmp_path / "dataset"
    shutil.copytree(MISA, copy)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in copy.iterdir()}
    audit_dataset(AuditSettings(dataset=copy, out=tmp_path / "run"), instruments=instruments)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in copy.iterdir()} == before
