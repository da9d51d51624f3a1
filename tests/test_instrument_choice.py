"""Real pictures are looked at by the instruments that are named, and never by the miniature's without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from lora_doctor.audit_page import page
from lora_doctor.dataset_audit import AUDIT, REPORT, Audit, AuditSettings, audit_dataset
from lora_doctor.dataset_mending import plan_mending
from lora_doctor.errors import UsageError
from lora_doctor.instrument_choice import BUNDLED, for_pictures, left_out, with_instruments
from lora_doctor.instruments import open_instruments
from lora_doctor.settings import InstrumentSettings, Settings
from lora_doctor.types import DatasetImage
from tests.test_instruments import DATASET

NOWHERE = Path()
PLAIN = Settings(model=NOWHERE, trigger="yuki", dataset=NOWHERE, out=NOWHERE, source=Path("lora-doctor.toml"))
LARGE = 3
"""By how much the miniature's pictures are enlarged."""


def settings(**names: str) -> Settings:
    return Settings(
        model=NOWHERE, trigger="yuki", dataset=NOWHERE, out=NOWHERE, instruments=InstrumentSettings(**names)  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("names", "said"),
    [({}, "no `face` instrument and no `clip` instrument"), ({"face": "buffalo_l"}, "no `clip` instrument"),
     ({"clip": "ViT-B-32/openai"}, "no `face` instrument")],
)  # fmt: skip
def test_a_check_up_of_a_real_base_model_is_refused_without_them_in_one_line(names: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=f"{said} is named") as refused:
        with_instruments(settings(**names), "sdxl")
    line = str(refused.value)
    assert "\n" not in line and 'face = "buffalo_l"' in line and "clip = " in line and "lora-doctor.toml" in line
    with pytest.raises(UsageError, match=said):
        open_instruments(settings(**names))


def test_the_miniature_is_looked_at_by_its_own_where_others_are_not_named() -> None:
    assert with_instruments(PLAIN, "miniature").instruments == BUNDLED
    named = settings(face="buffalo_l", clip="ViT-B-32/openai")
    assert with_instruments(named, "sdxl") == with_instruments(named, "miniature") == named
    assert with_instruments(settings(face="buffalo_l"), "miniature").instruments.clip == "miniature"


@pytest.mark.parametrize(("width", "height", "bundled"), [(64, 64, True), (64, 65, False), (1024, 64, False)])
def test_a_dataset_is_the_miniatures_by_the_size_of_its_pictures(width: int, height: int, bundled: bool) -> None:
    images = [DatasetImage(path=NOWHERE, sha256="", width=side[0], height=side[1], caption=None)
              for side in ((64, 64), (width, height))]  # fmt: skip
    nothing = InstrumentSettings()
    assert for_pictures(nothing, images) == (BUNDLED if bundled else left_out(nothing))
    assert for_pictures(BUNDLED, images) == BUNDLED


@pytest.fixture(scope="module")
def unread(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """The miniature's `yuki` at three times its size, with the first picture twice; no instrument is named."""
    place = tmp_path_factory.mktemp("large")
    (place / "set").mkdir()
    for path in sorted(DATASET.glob("*.png")):
        picture = Image.open(path).convert("RGB")
        picture.resize((LARGE * picture.width, LARGE * picture.height)).save(place / "set" / path.name)
        (place / "set" / path.name).with_suffix(".txt").write_text(path.with_suffix(".txt").read_text())
    first = min((place / "set").glob("*.png"))
    first.with_name("zz.png").write_bytes(first.read_bytes())
    return audit_dataset(AuditSettings(dataset=place / "set", out=place / "run", private=True))


def of(audit: Audit, name: str, **where: str) -> Any:
    return next(m for m in audit.measurements if m.name == name and dict(m.where) == where)


def test_without_instruments_files_and_captions_are_audited_and_nothing_else(unread: Audit) -> None:
    assert unread.references == (None,) * len(unread.dataset.images) and not unread.case.spec
    assert of(unread, "captions.trigger_coverage").value > 0.9
    assert of(unread, "pictures.identical_share").value > 0
    for name, where in (("people.stranger_share", {}), ("dataset.no_face_share", {}), ("dataset.identity_ratio", {}),
                        ("dataset.entanglement", {"pair": "any"})):  # fmt: skip
        told = of(unread, name, **where)
        assert told.value is None and told.reason.startswith("no `face` instrument and no `clip` instrument is named")
    assert {image.role for image in unread.dataset.images} == {None}
    assert {image.role_reason[:20] for image in unread.dataset.images} == {"no `face` instrument"}


def test_what_needs_instruments_is_not_evaluated_for_that_reason(unread: Audit) -> None:
    silent = {each.rule: each.reason for each in unread.not_evaluated}
    for rule in ("another-person", "off-spec-pictures", "identity-token-missing", "too-little-identity-emphasis"):
        assert "no `face` instrument and no `clip` instrument is named" in silent[rule]


def test_a_mending_rests_on_nothing_that_was_not_read(unread: Audit) -> None:
    mending = plan_mending(unread)
    assert {each.path.name for each in mending.removals} <= {"00.png", "zz.png"} and not mending.repeats
    assert not any("hair" in change for each in mending.captions.values() for change in each.changes)


def test_terminal_and_page_say_that_nothing_looked_and_what_to_write(unread: Audit) -> None:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for part in page(unread):
        console.print(part)
    said = " ".join(console.export_text().split())
    assert "nothing: no `face` instrument" in said and 'face = "buffalo_l"' in said
    run = unread.dataset.path.parent / "run"
    assert "nothing, for no `face` instrument" in (run / REPORT).read_text("utf-8")
    assert '"none": "no `face` instrument' in (run / AUDIT).read_text("utf-8")


@pytest.mark.miniature
def test_the_miniatures_own_pictures_are_read_as_before_and_it_is_said_by_what(tmp_path: Path) -> None:
    found = audit_dataset(AuditSettings(dataset=DATASET, out=tmp_path / "run"))
    assert all(one is not None for one in found.references)
    licence = found.record.instruments["face"]["licence"]
    assert f"face face ({licence})" in (tmp_path / "run" / REPORT).read_text("utf-8")
