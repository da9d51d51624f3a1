"""A run folder keeps every finished cell, whatever happens to the process or the disk."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lora_doctor.errors import EnvironmentFailure, FolderBusy, InputRefused, UsageError
from lora_doctor.run_folder import RunFolder
from lora_doctor.types import Cell, FaceReading, Reading, Render

FINGERPRINT: dict[str, Any] = {"lora": "abc", "matrix": {"weights": (0.0, 1.0), "seed": 0}, "base": None}


def cell(number: int, environment: str = "beach") -> Cell:
    return Cell(
        weight=number / 100, environment=environment, trained=False, framing="close-up", replicate=number,
        prompt=f"yuki, {number}", negative_prompt="", seed=number,
    )  # fmt: skip


CELLS = tuple(cell(number) for number in range(6))
PICTURE = Image.new("RGB", (8, 8), (200, 20, 20))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    with RunFolder(tmp_path / "run") as folder:
        folder.put_plan(FINGERPRINT, CELLS)
        yield folder


def reopen(run: RunFolder) -> RunFolder:
    run.close()
    return RunFolder(run.path)


def test_a_new_run_is_all_pending(run: RunFolder) -> None:
    assert run.pending() == run.cells() == CELLS
    assert run.renders() == []


def test_images_and_reasons_survive_reopening(run: RunFolder) -> None:
    run.save_image(CELLS[1], PICTURE)
    run.save_missing(CELLS[3], 'NaN in "latents" \udcff')
    with reopen(run) as again:
        assert again.pending() == (CELLS[0], CELLS[2], CELLS[4], CELLS[5])
        assert again.renders() == [
            Render(cell=CELLS[1], image=again.image_path(CELLS[1])),
            Render(cell=CELLS[3], image=None, reason='NaN in "latents" \udcff'),
        ]
        with Image.open(again.image_path(CELLS[1])) as image:
            assert image.getpixel((3, 3)) == (200, 20, 20)


def test_a_later_image_replaces_a_reason(run: RunFolder) -> None:
    run.save_missing(CELLS[0], "out of memory")
    run.save_image(CELLS[0], PICTURE)
    assert run.renders() == [Render(cell=CELLS[0], image=run.image_path(CELLS[0]))]


def test_a_cell_outside_the_plan_is_no_part_of_the_run(run: RunFolder) -> None:
    with pytest.raises(KeyError):
        run.save_image(cell(50), PICTURE)
    assert list((run.path / "images").iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"something else", None])
def test_a_damaged_image_and_what_was_read_from_it_are_done_again(run: RunFolder, damage: bytes | None) -> None:
    for planned in CELLS[:2]:
        run.save_image(planned, PICTURE)
        run.put_reading("render", planned.key, READING)
    path = run.image_path(CELLS[0])
    path.unlink() if damage is None else path.write_bytes(damage)
    with reopen(run) as again:
        assert CELLS[0] in again.pending()
        assert CELLS[1] not in again.pending()
        assert again.get_reading("render", CELLS[0].key) is None
        assert again.get_reading("render", CELLS[1].key) is not None


@pytest.mark.parametrize("damage", ["gone", "changed", "folder gone"])
def test_whoever_only_reads_a_run_forgets_nothing(run: RunFolder, damage: str) -> None:
    run.save_image(CELLS[0], PICTURE)
    run.put_reading("render", CELLS[0].key, READING)
    path = run.image_path(CELLS[0])
    run.close()
    aside = run.path.with_name("aside")
    if damage == "folder gone":
        path.parent.rename(aside)
    elif damage == "gone":
        path.rename(aside)
    else:
        path.write_bytes(b"something else")
    with RunFolder(run.path, create=False) as reader:
        assert reader.pending() == CELLS[1:]
        assert [render.cell for render in reader.renders()] == [CELLS[0]]
        assert reader.get_reading("render", CELLS[0].key) is not None
    if damage == "folder gone":
        assert not path.parent.exists()  # or it would stand in the way of the folder that comes back
        aside.rename(path.parent)
        with RunFolder(run.path) as again:
            assert again.pending() == CELLS[1:]


def test_a_disk_that_does_not_give_an_image_is_said_and_forgets_nothing(run: RunFolder) -> None:
    run.save_image(CELLS[0], PICTURE)
    path = run.image_path(CELLS[0])
    run.close()
    path.rename(path.with_suffix(".kept"))
    path.symlink_to(path.name)  # a loop: the system refuses to open it
    with pytest.raises(EnvironmentFailure, match=r"w0\.00.*\.png: cannot be read: "):
        RunFolder(run.path)
    path.unlink()
    path.with_suffix(".kept").rename(path)
    with RunFolder(run.path) as again:
        assert again.pending() == CELLS[1:]


def test_a_name_unfit_for_a_file_still_stays_inside(run: RunFolder) -> None:
    strange = [cell(9, name) for name in ("../../etc", "a/b", "a\\b", "né", "x" * 300, "a b", "a?b")]
    run.put_plan(FINGERPRINT, strange)
    for planned in strange:
        run.save_image(planned, PICTURE)
    files = list((run.path / "images").iterdir())
    assert {run.image_path(planned) for planned in strange} == set(files)
    assert len(files) == len(strange)


def test_the_same_plan_again_changes_nothing(run: RunFolder) -> None:
    run.save_image(CELLS[0], PICTURE)
    with reopen(run) as again:
        again.put_plan(FINGERPRINT, CELLS)
        assert again.cells() == CELLS
        assert again.pending() == CELLS[1:]


def test_another_plan_keeps_what_it_shares_and_hides_the_rest(run: RunFolder) -> None:
    for planned in CELLS[:2]:
        run.save_image(planned, PICTURE)
    smaller = (cell(7), CELLS[1], CELLS[5])
    run.put_plan(FINGERPRINT, smaller)
    with reopen(run) as again:
        assert again.cells() == smaller
        assert again.pending() == (cell(7), CELLS[5])
        assert [render.cell for render in again.renders()] == [CELLS[1]]
        again.put_plan(FINGERPRINT, CELLS)
        assert again.pending() == CELLS[2:]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"lora": "abd"}, '`lora` was "abc" and is "abd" now'),
        ({"matrix": {"weights": [0.0, 1.0], "seed": 4}}, "`matrix.seed` was 0 and is 4 now"),
        ({"more": [1, 2]}, r"`more` was null and is \[1, 2\] now"),
        ({"base": "x" * 500}, "`base` was null"),
    ],
)
def test_other_settings_are_refused_and_the_key_is_named(run: RunFolder, change: dict[str, Any], says: str) -> None:
    with reopen(run) as again:
        with pytest.raises(UsageError, match=says) as caught:
            again.put_plan(FINGERPRINT | change, [cell(8)])
        assert again.cells() == CELLS
        assert len(str(caught.value)) < 300 + len(str(run.path))


def test_what_a_run_is_not_bound_to_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as new:
        new.refuse_other(FINGERPRINT)
        assert new.get_json("fingerprint") is None
        new.put_plan(FINGERPRINT, CELLS)
        new.refuse_other(FINGERPRINT)
        with pytest.raises(UsageError, match='`lora` was "abc"'):
            new.refuse_other(FINGERPRINT | {"lora": "abd"})


def test_a_key_that_is_free_may_differ_and_stays_that_of_the_first_renders(tmp_path: Path) -> None:
    cuda, cpu = ({"lora": "abc", "device": device} for device in ("cuda", "cpu"))
    with RunFolder(tmp_path / "run") as run:
        run.put_plan(cuda, CELLS, free=("device",))
        run.put_plan(cpu, CELLS, free=("device",))
        assert run.get_json("fingerprint") == cpu  # nothing was rendered on the other
        run.save_image(CELLS[0], PICTURE)
        run.refuse_other(cuda, free=("device",))
        run.put_plan(cuda, CELLS, free=("device",))
        assert run.get_json("fingerprint") == cpu
        with pytest.raises(UsageError, match='`device` was "cpu" and is "cuda" now'):
            run.refuse_other(cuda)
        with pytest.raises(UsageError, match='`lora` was "abc"'):
            run.put_plan(cuda | {"lora": "abd"}, CELLS, free=("device",))


def test_the_same_key_for_another_cell_is_refused(run: RunFolder) -> None:
    with pytest.raises(UsageError, match=r"another cell w0.00"):
        run.put_plan(FINGERPRINT, [replace(CELLS[0], seed=99)])


READING = Reading(
    width=64,
    height=48,
    face=FaceReading(
        faces=2,
        score=0.1 + 0.2,
        box=(1.5, -0.25, 30.0, 1 / 3),
        embedding=np.arange(4, dtype="float32") / 3,
        landmarks=((0.1, 1 / 7), (2.5, 3.0)),
        boxes=((1.5, -0.25, 30.0, 1 / 3), (0.0, 0.0, 1.0, 2.0)),
    ),
    probabilities={"hair/colour": np.array([0.25, 0.75]), "eye": np.array([1.0], "float32")},
    embedding=np.ones(3, "float16"),
    colours={"picture": (50.25, 1 / 3, -7.0), "hair/colour": (0.0, 100.0, -100.0)},
)


def test_a_reading_comes_back_bit_for_bit(run: RunFolder) -> None:
    run.put_reading("render", "a", READING)
    run.put_reading("dataset", "a", Reading(width=1, height=2, face=FaceReading(faces=0), probabilities={}))
    with reopen(run) as again:
        back = again.get_reading("render", "a")
        assert back is not None
        assert (back.width, back.height, back.face.faces) == (64, 48, 2)
        for name in ("score", "box", "landmarks", "boxes"):
            assert getattr(back.face, name) == getattr(READING.face, name)
        assert list(back.probabilities) == ["hair/colour", "eye"]
        assert back.colours == READING.colours
        for one, other in (
            (back.face.embedding, READING.face.embedding),
            (back.embedding, READING.embedding),
            *((back.probabilities[name], READING.probabilities[name]) for name in READING.probabilities),
        ):
            assert one is not None
            assert other is not None
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        empty = again.get_reading("dataset", "a")
        assert empty is not None
        assert empty.face == FaceReading(faces=0)
        assert (empty.embedding, empty.probabilities) == (None, {})
        assert again.get_reading("render", "b") is None


def test_numpy_numbers_in_a_reading_are_stored_exactly(run: RunFolder) -> None:
    score: Any = np.float32(0.1)
    reading = replace(READING, face=replace(READING.face, score=score), width=np.int64(64))  # type: ignore[arg-type]
    run.put_reading("render", "a", reading)
    back = run.get_reading("render", "a")
    assert back is not None
    assert (back.face.score, back.width) == (float(score), 64)


def test_documents_are_json_and_never_nan(run: RunFolder) -> None:
    run.put_json("timings", {"render": [1.5, None, "é\udcff"]})
    with reopen(run) as again:
        assert again.get_json("timings") == {"render": [1.5, None, "é\udcff"]}
        assert again.get_json("other") is None
        with pytest.raises(ValueError):
            again.put_json("x", float("nan"))


def test_text_files_are_written_into_the_folder_and_nowhere_else(run: RunFolder) -> None:
    assert run.write_text("report.html", "é\udc41\n").read_bytes() == "é\\udc41\n".encode()
    for name in ("../x", "a/b", "", ".hidden", "run.sqlite", "run.sqlite-wal", "images", "lock"):
        with pytest.raises(ValueError, match="no name for a file"):
            run.write_text(name, "")


def test_one_run_at_a_time(run: RunFolder) -> None:
    with pytest.raises(FolderBusy):
        RunFolder(run.path)
    reopen(run).close()


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("precious")
    with pytest.raises(InputRefused, match="not empty and not a run folder"):
        RunFolder(tmp_path)
    with pytest.raises(InputRefused, match="is not a folder"):
        RunFolder(tmp_path / "thesis.doc")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def test_a_usage_error_before_any_picture_leaves_no_folder_that_was_not_there(tmp_path: Path) -> None:
    old = tmp_path / "old"
    RunFolder(old).close()
    for folder in (old, tmp_path / "made" / "on" / "the way"):
        with pytest.raises(UsageError), RunFolder(folder) as opened:
            opened.put_json("looks", 1)
            raise UsageError("a budget of 3 pictures is less than the first round.")
    assert [path.name for path in tmp_path.iterdir()] == ["old"] and RunFolder(old).get_json("looks") == 1


@pytest.mark.parametrize("error", [InputRefused("no base model."), KeyboardInterrupt()])
def test_an_error_before_anything_is_stored_leaves_no_folder_that_was_not_there(
    tmp_path: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)), RunFolder(tmp_path / "made" / "here"):
        raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [InputRefused("another thing."), KeyboardInterrupt()])
def test_what_was_read_of_a_dataset_outlives_an_error(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), RunFolder(tmp_path / "run") as opened:
        opened.put_reading("reference", "a", READING)
        raise error
    with RunFolder(tmp_path / "run", create=False) as again:
        assert list(again.get_readings("reference")) == ["a"]


def test_a_usage_error_takes_no_picture_away(tmp_path: Path) -> None:
    with pytest.raises(UsageError), RunFolder(tmp_path / "run") as opened:
        opened.put_plan(FINGERPRINT, CELLS)
        opened.save_image(CELLS[0], PICTURE)
        raise UsageError("another thing.")
    with RunFolder(tmp_path / "run") as again:
        assert CELLS[0] not in again.pending()


def test_reading_a_run_that_is_not_there_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="is not a run folder"):
        RunFolder(tmp_path / "run", create=False)
    assert list(tmp_path.iterdir()) == []


def drop_the_right_to_write_everywhere() -> None:
    """For a child of root, who may else write where nobody may: CAP_DAC_OVERRIDE leaves its bounding set."""
    if os.getuid() == 0 and ctypes.CDLL(None).prctl(24, 1, 0, 0, 0) != 0:
        raise OSError("cannot be dropped")


READER = """
import sys
from pathlib import Path
from lora_doctor.run_folder import RunFolder, writable
run = Path(sys.argv[1])
print(writable(run))
with RunFolder(run, create=False, write=False) as one, RunFolder(run, create=False, write=False) as other:
    print(len(one.renders()), other.get_json("looks"))
"""


def test_a_run_is_read_where_nothing_can_be_written_and_is_left_as_it_is(run: RunFolder) -> None:
    run.save_image(CELLS[0], PICTURE)
    run.put_json("looks", 2)
    run.close()
    half = run.path / "images" / ".tmp-half.png"
    half.write_bytes(b"half")
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    for path in before:
        path.chmod(0o555 if path.is_dir() else 0o444)
    run.path.chmod(0o555)
    told = subprocess.run(
        [sys.executable, "-c", READER, run.path], capture_output=True, text=True,
        preexec_fn=drop_the_right_to_write_everywhere,
    )  # fmt: skip
    run.path.chmod(0o755)
    assert told.stdout.splitlines() == ["False", "1 2"], told.stderr
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_a_reader_makes_no_file_where_it_could(run: RunFolder) -> None:
    run.close()
    before = sorted(run.path.iterdir())
    with RunFolder(run.path, create=False, write=False) as reader:
        reader.put_reading("render", CELLS[0].key, READING)
        assert reader.get_reading("render", CELLS[0].key) is None
        assert sorted(run.path.iterdir()) == before


@pytest.mark.parametrize(("create", "says"), [(True, "Name a folder with --out"), (False, "`lora-doctor check` made")])
def test_a_file_in_the_place_of_a_folder_is_never_told_to_be_deleted(tmp_path: Path, create: bool, says: str) -> None:
    (tmp_path / "lora.safetensors").write_bytes(b"two nights of work")
    with pytest.raises(InputRefused, match=says) as refused:
        RunFolder(tmp_path / "lora.safetensors", create=create)
    assert "elete" not in str(refused.value)


def test_a_run_cut_short_at_birth_can_be_opened(tmp_path: Path) -> None:
    (tmp_path / "run" / "images").mkdir(parents=True)
    (tmp_path / "run" / "lock").touch()
    (tmp_path / "run" / "images" / ".tmp-w0.00_beach.png").write_bytes(b"half")
    with RunFolder(tmp_path / "run") as run:
        assert run.cells() == ()
        assert list((run.path / "images").iterdir()) == []


@pytest.mark.parametrize("file", [b"no database" * 99, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_database_is_refused_in_words(tmp_path: Path, file: bytes) -> None:
    (tmp_path / "run.sqlite").write_bytes(file)
    with pytest.raises(InputRefused, match="no sound run folder"):
        RunFolder(tmp_path)


WORKER = """
import sys
from pathlib import Path
from PIL import Image
from lora_doctor.errors import EnvironmentFailure
from lora_doctor.run_folder import RunFolder
from lora_doctor.types import Cell
rest = dict(trained=False, framing="close-up", prompt="yuki", negative_prompt="", seed=0)
cells = [Cell(weight=1.0, environment="beach", replicate=number, **rest) for number in range(200)]
done = 0
try:
    with RunFolder(Path(sys.argv[1])) as run:
        run.put_plan({"lora": "abc"}, cells)
        for cell in run.pending():
            run.save_image(cell, Image.effect_noise((128, 128), 50))
            done += 1
            print(cell.key, flush=True)
except EnvironmentFailure as error:
    print(done, error)
"""


def test_killed_anywhere_nothing_finished_is_lost_and_nothing_half_made_is_kept(tmp_path: Path) -> None:
    path, finished = tmp_path / "run", set[str]()
    for lines in (1, 4, 2):
        process = subprocess.Popen([sys.executable, "-c", WORKER, path], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        told += [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        process.wait()
        assert not finished & {line.strip() for line in told}, "a finished cell was done again"
        finished |= {line.strip() for line in told}
        with RunFolder(path, create=False) as run:
            done = {render.cell.key for render in run.renders()}
            assert finished <= done
            finished = done
            assert {planned.key for planned in run.pending()} == {planned.key for planned in run.cells()} - done
            for render in run.renders():
                assert render.image is not None
                Image.open(render.image).load()
            assert not list((path / "images").glob(".tmp-*"))
    assert 7 <= len(finished) < 200


TINY_DISK = """set -e
mount -t tmpfs -o size=1m tmpfs "$1"
head -c 400000 /dev/zero > "$1/ballast"
shift
for attempt in 1 2; do "$@" | tail -n 1; rm -f "$DISK/ballast"; done
ls -A "$DISK/run/images"
"""


def test_a_full_disk_stops_the_run_in_words_and_it_resumes(tmp_path: Path) -> None:
    """A real ENOSPC, on a file system of 1 MiB in a mount namespace of its own."""
    unshare = shutil.which("unshare") or "unshare"
    probe = [unshare, "-rm", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("this system gives no mount namespaces")
    command = [unshare, "-rm", "sh", "-c", TINY_DISK, "sh", tmp_path, sys.executable, "-c", WORKER, tmp_path / "run"]
    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=True, env={**os.environ, "DISK": str(tmp_path)}
    )
    first, second, *images = result.stdout.splitlines()
    for told in (first, second):
        assert "no space left on the disk" in told
        assert "it resumes" in told
        assert int(told.split()[0]) > 0, "the second time too, with the ballast gone: it went on"
    finished = int(first.split()[0]) + int(second.split()[0])
    assert finished <= len(images) <= finished + 2, "an image without its row is allowed, half an image is not"
    assert not [name for name in images if name.startswith(".tmp-")]
    assert result.stderr == ""
