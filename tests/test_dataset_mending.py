"""`audit --fix`: captions corrected in a folder apart, with a diff; lists for a person; the dataset untouched."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lora_doctor.dataset_audit import AuditSettings, audit_dataset, open_audit_instruments
from lora_doctor.dataset_mending import CAPTIONS, DIFF, REMOVE, REPEATS, SHEET, Mending, plan_mending
from lora_doctor.diagnosis import to_json
from lora_doctor.errors import UsageError
from lora_doctor.instrument_choice import BUNDLED
from lora_doctor.instruments import Instruments
from lora_doctor.ratio_ways import ways_to
from lora_doctor.types import IDENTITY_EMPHASIS, Finding, Fix, Measurement, RankedCause

YUKI = Path(__file__).parents[1] / "fixtures" / "miniature" / "patients" / "yuki" / "dataset"
SPOILED = {
    "00": lambda text: text.replace("purple_hair, ", ""),
    "01": lambda text: text.replace("yuki_nk", "yuki_kn"),
    "02": lambda text: text.replace("purple_hair", "black_hair"),
    "03": lambda text: text.replace("athletic, ", "").replace("tall, ", ""),
    "04": lambda text: text.replace("yuki_nk, ", ""),
}


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def instruments() -> Instruments:
    return open_audit_instruments(AuditSettings(dataset=YUKI, out=YUKI, instruments=BUNDLED))


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spoiled") / "dataset"
    shutil.copytree(YUKI, folder)
    for name, spoil in SPOILED.items():
        path = folder / f"{name}.txt"
        before = path.read_text("utf-8")
        path.write_text(spoil(before), "utf-8")
        assert path.read_text("utf-8") != before
    (folder / "05.txt").unlink()
    return folder


@pytest.fixture(scope="module")
def mending(spoiled: Path, instruments: Instruments) -> Mending:
    settings = AuditSettings(dataset=spoiled, out=spoiled.parent / "run", trigger="yuki_nk")
    return plan_mending(audit_dataset(settings, instruments=instruments))


@pytest.fixture(scope="module")
def written(mending: Mending, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mended") / "out"
    mending.write(folder)
    return folder


@pytest.mark.parametrize("name", SPOILED)
def test_every_spoiled_caption_gets_its_tokens_back(written: Path, name: str) -> None:
    mended = {token.strip() for token in (written / CAPTIONS / f"{name}.txt").read_text("utf-8").split(",")}
    sound = {token.strip() for token in (YUKI / f"{name}.txt").read_text("utf-8").split(",")}
    assert sound <= mended
    assert not mended & {"black_hair", "yuki_kn"}


def test_a_missing_caption_is_written_from_the_picture(written: Path) -> None:
    text = (written / CAPTIONS / "05.txt").read_text("utf-8")
    assert "yuki_nk" in text
    assert "purple_hair" in text


def test_captions_that_were_sound_are_copied_as_they_were(written: Path, mending: Mending) -> None:
    changed = {path.stem for path in mending.captions}
    sound = [path for path in YUKI.glob("*.txt") if path.stem not in changed]
    assert sound
    for path in sound:
        assert (written / CAPTIONS / path.name).read_text("utf-8") == path.read_text("utf-8")


def test_the_diff_holds_every_change_and_nothing_else(written: Path, mending: Mending) -> None:
    diff = (written / DIFF).read_text("utf-8")
    told = {line.split()[1] for line in diff.splitlines() if line.startswith("--- ")}
    assert told == {f"{path.stem}.txt" for path in mending.captions}
    assert {*(f"{name}.txt" for name in SPOILED), "05.txt"} <= told


def test_the_sheet_says_what_was_done_to_which_caption(written: Path) -> None:
    sheet = (written / SHEET).read_text("utf-8")
    assert "- yuki_kn -> yuki_nk: `01.png`\n" in sheet
    assert "- black_hair -> purple_hair: `02.png`\n" in sheet
    assert (written / REMOVE).read_text("utf-8") == ""
    assert json.loads((written / REPEATS).read_text("utf-8")) == {}


def test_the_dataset_is_never_changed(spoiled: Path, mending: Mending, tmp_path: Path) -> None:
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in spoiled.iterdir()}
    mending.write(tmp_path / "again")
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in spoiled.iterdir()} == before


def test_it_is_written_again_over_itself_and_over_nothing_else(mending: Mending, tmp_path: Path) -> None:
    mending.write(tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    before = everything(tmp_path / "out")
    mending.write(tmp_path / "out")
    assert everything(tmp_path / "out") == before
    less = replace(mending, captions=dict(list(mending.captions.items())[:1]))
    less.write(tmp_path / "out")
    assert not (tmp_path / "out" / CAPTIONS / "05.txt").exists()  # it had no caption, and gets none now
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        mending.write(tmp_path / "photos")


CHANGES = {
    f"{CAPTIONS}/07.txt": b"yuki_nk, corrected by hand",
    f"{CAPTIONS}/07.png": b"a picture beside its caption",
    f"{CAPTIONS}/more/notes.txt": b"mine",
    SHEET: b"- [x] done",
    REMOVE: b"07.png",
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_somebody_changed_or_put_there_is_never_lost(mending: Mending, tmp_path: Path, name: str) -> None:
    mending.write(tmp_path / "out")
    (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "out" / name).write_bytes(CHANGES[name])
    before = everything(tmp_path)
    with pytest.raises(UsageError, match=re.escape(repr(name))):
        mending.write(tmp_path / "out")
    assert everything(tmp_path) == before


def test_captions_and_a_sheet_of_somebodys_own_are_not_taken_for_a_mending(mending: Mending, tmp_path: Path) -> None:
    (tmp_path / "proj" / CAPTIONS).mkdir(parents=True)
    (tmp_path / "proj" / CAPTIONS / "00.txt").write_text("mine")
    (tmp_path / "proj" / SHEET).write_text("mine")
    before = everything(tmp_path)
    with pytest.raises(UsageError, match="holds no mending"):
        mending.write(tmp_path / "proj")
    mending.write(tmp_path / "out")
    shutil.copytree(tmp_path / "proj", tmp_path / "out", dirs_exist_ok=True)
    with pytest.raises(UsageError, match=f"'{CAPTIONS}/00.txt', which was changed"):
        mending.write(tmp_path / "out")
    assert everything(tmp_path / "proj") == before


@pytest.mark.parametrize("where", ["dataset/fixed", "dataset", "."])
def test_it_is_never_written_into_the_dataset_or_around_it(mending: Mending, spoiled: Path, where: str) -> None:
    before = everything(spoiled.parent)
    with pytest.raises(UsageError, match="never changed"):
        mending.write(spoiled.parent / where)
    assert everything(spoiled.parent) == before


def test_captions_with_their_pictures_beside_them_are_not_mended_into_themselves(
    mending: Mending, spoiled: Path, instruments: Instruments, tmp_path: Path
) -> None:
    mending.write(tmp_path / "mended")
    for picture in spoiled.glob("*.png"):
        shutil.copy(picture, tmp_path / "mended" / CAPTIONS)
    before = everything(tmp_path)
    settings = AuditSettings(dataset=tmp_path / "mended" / CAPTIONS, out=tmp_path / "run", trigger="yuki_nk")
    again = plan_mending(audit_dataset(settings, instruments=instruments))
    with pytest.raises(UsageError, match="a folder of the dataset, which is never changed"):
        again.write(tmp_path / "mended")
    assert {path: raw for path, raw in everything(tmp_path).items() if path in before} == before


def test_mending_what_was_mended_changes_nothing(
    mending: Mending, spoiled: Path, written: Path, instruments: Instruments, tmp_path: Path
) -> None:
    copy = tmp_path / "dataset"
    shutil.copytree(spoiled, copy)
    for path in (written / CAPTIONS).iterdir():
        shutil.copyfile(path, copy / path.name)
    settings = AuditSettings(dataset=copy, out=spoiled.parent / "run", trigger="yuki_nk")
    assert plan_mending(audit_dataset(settings, instruments=instruments)).captions == {}


def test_a_config_of_two_folders_is_mended_folder_by_folder(instruments: Instruments, tmp_path: Path) -> None:
    """Files of the same name in two folders have each its own corrected caption; neither folder is written to."""
    for number, picture in enumerate(sorted(YUKI.glob("*.png"))):
        folder = tmp_path / "ab"[number % 2] / "set"
        folder.mkdir(parents=True, exist_ok=True)
        for ending in (".png", ".txt"):
            shutil.copy(picture.with_suffix(ending), folder / f"{number // 2:02d}{ending}")
    (tmp_path / "b" / "set" / "00.txt").write_text("1girl, yuki_nk, black_hair\n", "utf-8")
    config = tmp_path / "b" / "dataset.toml"
    folders = "".join(f'[[datasets.subsets]]\nimage_dir = "{tmp_path / name / "set"}"\n' for name in ("a", "b"))
    config.write_text("[[datasets]]\ncaption_extension = '.txt'\n" + folders, "utf-8")
    settings = AuditSettings(dataset=config, out=tmp_path / "run", trigger="yuki_nk")
    mending = plan_mending(audit_dataset(settings, instruments=instruments))
    with pytest.raises(UsageError):
        mending.write(tmp_path / "a" / "set" / "mended")
    mending.write(tmp_path / "out")
    count = len(list(YUKI.glob("*.txt")))
    written = list((tmp_path / "out" / CAPTIONS).rglob("*.txt"))
    assert len(written) == count
    texts = [path.read_text("utf-8") for path in written if path.name == "00.txt"]
    assert len(texts) == 2 and all("black_hair" not in text and "purple_hair" in text for text in texts)


def test_captions_of_a_config_are_mended_as_its_files_have_them(instruments: Instruments, tmp_path: Path) -> None:
    """Without the config's own prefix, lines that are not read left alone, byte for byte where nothing is wrong."""
    folder = tmp_path / "set"
    folder.mkdir()
    for picture in sorted(YUKI.glob("*.png")):
        shutil.copy(picture, folder / picture.name)
        bare = picture.with_suffix(".txt").read_text("utf-8").strip().replace("yuki_nk, ", "")
        (folder / f"{picture.stem}.tags").write_bytes(f"{bare}\r\n\r\n{bare}, drawing".encode())
    spoiled = folder / "02.tags"
    spoiled.write_bytes(spoiled.read_bytes().replace(b"purple_hair", b"black_hair", 1))
    lines = [f'image_dir = "{folder}"', 'caption_prefix = "yuki_nk,"', 'caption_extension = ".tags"']
    config = tmp_path / "dataset.toml"
    config.write_text("\n".join(["[[datasets]]", "[[datasets.subsets]]", *lines]), "utf-8")
    settings = AuditSettings(dataset=config, out=tmp_path / "run", trigger="yuki_nk")
    mending = plan_mending(audit_dataset(settings, instruments=instruments))
    mending.write(tmp_path / "out")
    [mended] = (tmp_path / "out" / CAPTIONS).rglob("02.tags")
    first, _, second = mended.read_text("utf-8").splitlines()
    assert "purple_hair" in first and "black_hair" not in first and not first.startswith("yuki_nk")
    assert second.endswith(", drawing") and "purple_hair" in second
    same = [path for path in folder.glob("*.tags") if folder / f"{path.stem}.png" not in mending.captions]
    assert same and spoiled not in same
    for path in same:
        [copy] = (tmp_path / "out" / CAPTIONS).rglob(path.name)
        assert copy.read_bytes() == path.read_bytes()


def test_captions_that_no_file_holds_get_none_and_the_sheet_says_so(instruments: Instruments, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for picture in sorted(YUKI.glob("*.png"))[:12]:
        shutil.copy(picture, folder / picture.name)
    script = tmp_path / "run.sh"
    script.write_text(
        f"accelerate launch train_dreambooth_lora_sdxl.py --instance_data_dir={folder} "
        '--instance_prompt="1girl, yuki_nk" --rank=8\n'
    )
    settings = AuditSettings(dataset=script, out=tmp_path / "run", trigger="yuki_nk")
    mending = plan_mending(audit_dataset(settings, instruments=instruments))
    mending.write(tmp_path / "out")
    told = f"{len(mending.captions)} of the corrected captions: this dataset takes them from a table, from one prompt"
    assert mending.captions and told in (tmp_path / "out" / SHEET).read_text("utf-8")
    written = {path.stem for path in (tmp_path / "out" / CAPTIONS).rglob("*.txt")}
    assert written == {path.stem for path in mending.captions}


def test_captions_that_were_not_read_are_copied_and_listed_and_never_replaced(
    instruments: Instruments, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    shutil.copytree(YUKI, folder)
    text = (YUKI / "00.txt").read_text("utf-8")
    raw = {"00.txt": f"{text}, caf\u00e9".encode("cp1252"), "01.txt": text.encode("utf-16"), "02.tags": text.encode()}
    (folder / "02.txt").unlink()
    for name, content in raw.items():
        (folder / name).write_bytes(content)
    settings = AuditSettings(dataset=folder, out=tmp_path / "run", trigger="yuki_nk")
    mending = plan_mending(audit_dataset(settings, instruments=instruments))
    mending.write(tmp_path / "out")
    assert {name: (tmp_path / "out" / CAPTIONS / name).read_bytes() for name in raw} == raw
    assert not (tmp_path / "out" / CAPTIONS / "02.txt").exists()
    assert not {"00.txt", "01.txt", "02.txt"} & set(mending.diff.split())
    _, _, by_hand = (tmp_path / "out" / SHEET).read_text("utf-8").partition("## Captions to see to by hand")
    assert "cp1252" in by_hand and "UTF-16" in by_hand and "- is not read: captions are in files" in by_hand
    assert all(f"`{number}.png`" in by_hand for number in ("00", "01", "02"))


def test_the_diff_of_captions_of_several_lines_is_one_that_patch_takes(
    instruments: Instruments, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    shutil.copytree(YUKI, folder)
    for path in folder.glob("*.txt"):
        path.write_text(
            "yuki_nk stands in a park.\n\nShe has purple hair.\n\nThe mood is calm, with a soft light", "utf-8"
        )
    settings = AuditSettings(dataset=folder, out=tmp_path / "run", trigger="yuki_nk")
    mending = plan_mending(audit_dataset(settings, instruments=instruments))
    mending.write(tmp_path / "out")
    assert all(
        line.startswith(("--- ", "+++ ", "@@ ", "-", "+", "\\ No newline")) for line in mending.diff.splitlines()
    )
    if shutil.which("patch") is None:
        pytest.skip("there is no patch on this machine")
    subprocess.run(["patch", "-p0", "-s", "-i", str(tmp_path / "out" / DIFF)], cwd=folder, check=True)
    assert len(mending.captions) == len(list(folder.glob("*.txt")))
    for path in folder.glob("*.txt"):
        assert path.read_bytes() == (tmp_path / "out" / CAPTIONS / path.name).read_bytes()


def test_ai_toolkits_captions_stay_json_and_its_trigger_stays_in_front(
    instruments: Instruments, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for picture in sorted(YUKI.glob("*.png")):
        shutil.copy(picture, folder / picture.name)
        bare = picture.with_suffix(".txt").read_text("utf-8").strip().replace("1girl, yuki_nk, ", "")
        told = {"caption": bare.replace("pale_skin, ", ""), "caption_short": "a girl"}
        (folder / f"{picture.stem}.json").write_text(json.dumps(told))
    process = {"trigger_word": "yuki_nk", "datasets": [{"folder_path": str(folder), "caption_ext": "json"}]}
    config = tmp_path / "job.json"
    config.write_text(json.dumps({"job": "extension", "config": {"name": "x", "process": [process]}}))
    audit = audit_dataset(AuditSettings(dataset=config, out=tmp_path / "run"), instruments=instruments)
    mending = plan_mending(audit)
    mending.write(tmp_path / "out")
    assert mending.captions and all(one.caption.startswith("yuki_nk ") for one in mending.captions.values())
    for path in mending.captions:
        [written] = (tmp_path / "out" / CAPTIONS).rglob(f"{path.stem}.json")
        told = json.loads(written.read_text("utf-8"))
        assert told["caption"].startswith("pale_skin, purple_hair") and told["caption_short"] == "a girl"


def test_two_characters_in_two_folders_lose_no_picture_and_no_trait(instruments: Instruments, tmp_path: Path) -> None:
    folder = tmp_path / "img"
    for name, repeats, step in (("yuki", 2, 2), ("misa", 3, 3)):
        target = folder / f"{repeats}_{name}_nk girl"
        target.mkdir(parents=True)
        for picture in sorted((YUKI.parents[1] / name / "dataset").glob("*.png"))[::step]:
            for ending in (".png", ".txt"):
                shutil.copy(picture.with_suffix(ending), target / f"{name}{picture.stem}{ending}")
    audit = audit_dataset(AuditSettings(dataset=folder, out=tmp_path / "run"), instruments=instruments)
    mending = plan_mending(audit)
    mending.write(tmp_path / "out")
    assert set(audit.apart) == {"yuki_nk", "misa_nk"}
    assert mending.removals and (tmp_path / "out" / REMOVE).read_text("utf-8") == ""
    assert mending.captions == {} and mending.repeats == {}
    assert audit.plan[0].startswith("The set may hold several characters") and len(audit.plan) == 1
    assert audit.plan[0] in (tmp_path / "out" / SHEET).read_text("utf-8")


def test_the_audit_plans_for_the_pictures_that_stay_as_the_sheet_does(instruments: Instruments, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(YUKI, folder)
    for name in ("01", "04", "07"):
        shutil.copy(YUKI.parents[1] / "misa" / "dataset" / f"{name}.png", folder / f"{name}.png")
    settings = AuditSettings(dataset=folder, out=tmp_path / "run", trigger="yuki_nk", private=True)
    audit = audit_dataset(settings, instruments=instruments)
    mending = plan_mending(audit)
    gone = sum(each.sure for each in mending.removals)
    assert gone and audit.plan == (f"Without the {gone} pictures that are certain to go:", *mending.plan)
    assert audit.record.dataset["plan"] == list(audit.plan) and audit.repeats == mending.repeats


def test_grey_pictures_are_neither_removed_nor_given_colours(instruments: Instruments, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(YUKI, folder)
    names = ("15", "20", "30")
    for name in names:
        Image.open(YUKI / f"{name}.png").convert("L").convert("RGB").save(folder / f"{name}.png")
        text = (YUKI / f"{name}.txt").read_text("utf-8").strip()
        bare = text.replace("purple_hair, ", "").replace("brown_eyes, ", "").replace("pale_skin, ", "")
        (folder / f"{name}.txt").write_text(f"{bare}, monochrome, greyscale", "utf-8")
    settings = AuditSettings(dataset=folder, out=tmp_path / "run", trigger="yuki_nk")
    mending = plan_mending(audit_dataset(settings, instruments=instruments))
    assert not any(each.sure for each in mending.removals)
    changed = {path.stem: one.caption for path, one in mending.captions.items() if path.stem in names}
    assert not any(
        colour in text for text in changed.values() for colour in ("_hair, grey", "purple_hair", "brown_eyes")
    )


def test_prose_about_somebody_else_is_listed_and_left(instruments: Instruments, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(YUKI, folder)
    prose = "yuki_nk with purple hair, brown_eyes, pale_skin, athletic, tall, standing beside a man with black hair"
    (folder / "02.txt").write_text(prose, "utf-8")
    settings = AuditSettings(dataset=folder, out=tmp_path / "run", trigger="yuki_nk")
    plan_mending(audit_dataset(settings, instruments=instruments)).write(tmp_path / "out")
    sheet = (tmp_path / "out" / SHEET).read_text("utf-8")
    assert "standing beside a man with black hair" in (tmp_path / "out" / CAPTIONS / "02.txt").read_text("utf-8")
    _, _, by_hand = sheet.partition("## Captions to look at by hand")
    assert "- says black_hair, the character has purple_hair: `02.png`\n" in by_hand


def test_a_plan_of_repeats_leaves_out_the_pictures_that_are_to_go(instruments: Instruments, tmp_path: Path) -> None:
    """What it says of the identity ratio is what an audit says once they are gone."""
    folder = tmp_path / "set"
    shutil.copytree(YUKI, folder)
    settings = AuditSettings(dataset=folder, out=tmp_path / "run", trigger="yuki_nk")
    audit = audit_dataset(settings, instruments=instruments)
    gone = tuple(i for i, image in enumerate(audit.dataset.images) if image.role == IDENTITY_EMPHASIS)[:-2]
    measured = Measurement(name="duplicates", value=1.0, unit="share", pictures=gone)
    cause = RankedCause(because="copies", fix=Fix(dataset={"leave_out": "pictures"}), log_odds=1.0, evidence=())
    finding = Finding(
        rule="duplicate-pictures", symptom="Copies.", why="", state="confirmed", severity="warning", strength=1.0,
        measurements=(measured,), causes=(cause,),
    )  # fmt: skip
    mending = plan_mending(replace(audit, findings=(finding,)))
    mending.write(tmp_path / "out")
    left = [one for i, one in enumerate(audit.dataset.images) if i not in gone]
    ways = ways_to(replace(audit.dataset, images=tuple(left)))
    assert ways.says != audit.plan
    assert mending.plan == ways.says and mending.repeats == ways.repeats
    sheet = (tmp_path / "out" / SHEET).read_text("utf-8")
    assert f"## Identity ratio after the removals\n\n- {ways.says[0]}\n" in sheet
    assert json.loads((tmp_path / "out" / REPEATS).read_text("utf-8")) == dict(ways.repeats)


def test_the_sheet_has_the_words_of_captions_that_the_public_record_has_not(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for number in range(12):
        Image.new("RGB", (80, 80), (number * 20, 0, 0)).save(tmp_path / "set" / f"{number}.png")
        said = "1girl, yuki_nk, lantern" if number % 3 else f"1girl, yuki_nk, hat{number}"
        (tmp_path / "set" / f"{number}.txt").write_text(said, "utf-8")
    audit = audit_dataset(AuditSettings(dataset=tmp_path / "set", out=tmp_path / "run", trigger="yuki_nk"))
    plan_mending(audit).write(tmp_path / "out")
    assert "Take lantern out of the captions" in (tmp_path / "out" / SHEET).read_text("utf-8")
    assert "lantern" not in to_json(audit.record)


def test_a_caption_whose_wildcards_name_a_trait_is_left_to_be_looked_at(tmp_path: Path) -> None:
    captions = ["yuki_nk, {black hair|white hair}, hat", "yuki_nk, {smile|grin}, hat", "yuki_nk, red hair"]
    (tmp_path / "set").mkdir()
    for number, caption in enumerate(captions):
        noise = np.random.default_rng(number).integers(0, 255, (80, 80, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "set" / f"{number}.png")
        (tmp_path / "set" / f"{number}.txt").write_text(caption, "utf-8")
    config = tmp_path / "dataset.toml"
    habits = "[general]\nenable_wildcard = true\ncaption_extension = '.txt'\n"
    config.write_text(f"{habits}[[datasets]]\n[[datasets.subsets]]\nimage_dir = '{tmp_path / 'set'}'\n", "utf-8")
    spec = {"hair_colour": "white_hair"}
    settings = AuditSettings(dataset=config, out=tmp_path / "run", trigger="yuki_nk", spec=spec)
    mending = plan_mending(audit_dataset(settings))
    told = {path.name: mended.caption for path, mended in mending.captions.items()}
    assert told == {"1.png": "yuki_nk, white hair, {smile|grin}, hat", "2.png": "yuki_nk, white hair"}
    [(path, notes)] = mending.unsure.items()
    assert (path.name, notes) == ("0.png", ("{a|b} stands for a hair colour",))
