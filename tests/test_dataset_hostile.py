"""Hostile trees: `check` refuses them, `audit` reads around them, and neither opens, waits or swells."""

from __future__ import annotations

import html
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fixtures.hostile.datasets import DATASETS, JPEG, PNG, Tree, saved
from fixtures.hostile.other_formats import picture
from fixtures.hostile.table import dataset_lines
from lora_doctor.dataset import survey
from lora_doctor.dataset_layout import layout_of, read_dataset
from lora_doctor.errors import InputRefused, printable
from lora_doctor.types import Dataset

ROOT = Path(__file__).parents[1]
README = ROOT / "fixtures" / "hostile" / "README.md"
MEMORY = 256
"""MiB that a process may hold that reads every tree, Python and NumPy included."""
SECONDS = 10
"""That the slowest tree may take."""
EVERY = pytest.mark.parametrize("tree", DATASETS.values(), ids=DATASETS)


def made(tree: Tree, tmp_path: Path) -> Path:
    folder = tmp_path / "outer" / "dataset"
    folder.parent.mkdir()
    tree.make(folder)
    return folder


def surveyed(folder: Path) -> Dataset | str:
    """The dataset, or the words of the refusal."""
    try:
        return survey(layout_of(folder), folder)
    except InputRefused as error:
        return str(error)


@EVERY
def test_survey_reads_around_what_is_bad_and_says_so(tree: Tree, tmp_path: Path) -> None:
    dataset = surveyed(made(tree, tmp_path))
    if isinstance(dataset, str):
        assert tree.left == 0
        assert tree.audit in dataset
        return
    assert len(dataset.images) == tree.left
    assert sum(image.caption is not None for image in dataset.images) == tree.captions
    reasons = [each.reason for each in dataset.skipped]
    assert any(tree.audit in said for said in (*reasons, *dataset.notes)) if tree.audit else not reasons
    assert "not yours" not in repr(dataset.images)


@EVERY
def test_read_dataset_refuses_or_reads_as_survey_does(tree: Tree, tmp_path: Path) -> None:
    folder = made(tree, tmp_path)
    if tree.check:
        with pytest.raises(InputRefused) as caught:
            read_dataset(folder)
        assert tree.check in str(caught.value)
    else:
        strict, tolerant = read_dataset(folder), surveyed(folder)
        assert isinstance(tolerant, Dataset)
        assert (strict.images, strict.skipped) == (tolerant.images, tolerant.skipped)


@EVERY
def test_whatever_is_said_can_be_shown_anywhere(tree: Tree, tmp_path: Path) -> None:
    """On a terminal, in JSON and in HTML, without an encoding error and without moving a cursor."""
    folder = made(tree, tmp_path)
    dataset = surveyed(folder)
    said = [dataset] if isinstance(dataset, str) else [each.reason for each in dataset.skipped]
    if not isinstance(dataset, str):
        assert all(each.path.is_relative_to(folder) for each in dataset.skipped)
        assert not any(str(folder) in reason for reason in said)
        said += [printable(str(each.path)) for each in (*dataset.skipped, *dataset.images)]
    try:
        read_dataset(folder)
    except InputRefused as error:
        said.append(str(error))
    for text in said:
        assert text.isprintable()
        assert len(text) < 500 + 2 * len(str(folder))
        assert json.loads(json.dumps(text).encode()) == text
        assert html.escape(text).encode()


CHILD = """
import json, resource, signal, sys, time
from pathlib import Path
from lora_doctor.dataset import survey
from lora_doctor.dataset_layout import read_dataset
from lora_doctor.dataset_layout import layout_of
from lora_doctor.errors import InputRefused

def attempt(act):
    try:
        return len(act().images)
    except InputRefused:
        return 0

def both(folder):
    return attempt(lambda: survey(layout_of(folder), folder)), attempt(lambda: read_dataset(folder))

EVENTS = ("open", "os.scandir", "os.listdir", "socket.connect", "subprocess.Popen", "os.system", "os.chdir")
opened = []
watching = False
def hook(event, arguments):
    if watching and event in EVENTS:
        opened.append((event, str(arguments[0])))

root, more, names = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
both(root / "warm-up" / "dataset")  # what is imported late is imported now
if sys.platform == "linux":
    limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.addaudithook(hook)
results = {}
for name in names:
    signal.alarm(60)
    began = time.monotonic()
    opened, watching = [], True
    left = both(root / name / "dataset")
    watching = False
    results[name] = {"left": left, "seconds": time.monotonic() - began, "opened": [(e, ascii(p)) for e, p in opened]}
status = Path("/proc/self/status").read_text() if sys.platform == "linux" else "VmHWM: 0 kB"
peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024  # getrusage counts what the parent held
print(json.dumps({"results": results, "peak": peak}))
"""


def watched(root: Path, names: list[str], more: int) -> dict[str, Any]:
    """What a process opened, how long it took and what it held while it read the datasets below `root`.

    `more`: bytes of address space it may take beyond those for what it has imported.
    """
    warm_up = {"a.png": PNG, "b.jpg": JPEG, "c.webp": picture("WEBP"), "d.png": saved("I;16", "PNG"), "e.png": b"none"}
    warm_up |= {"a.txt": b"caf\xe9, \x92", "metadata.jsonl": b"{}"}  # codecs are imported late
    (root / "warm-up" / "dataset").mkdir(parents=True)
    for name, content in warm_up.items():
        (root / "warm-up" / "dataset" / name).write_bytes(content)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CHILD, str(root), str(more), json.dumps(names)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=600)
    assert result.returncode == 0, result.stderr
    report: dict[str, Any] = json.loads(result.stdout)
    return report


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are kept by Linux alone")
def test_no_tree_makes_a_process_read_outside_wait_or_swell(tmp_path: Path) -> None:
    for name, tree in DATASETS.items():
        (tmp_path / name).mkdir()
        tree.make(tmp_path / name / "dataset")
    report = watched(tmp_path, list(DATASETS), more=2**30)
    for name, each in report["results"].items():
        allowed = tuple(
            ascii(str(path))[:-1] for path in (tmp_path / name / "dataset", ROOT / "lora_doctor" / "layouts")
        )
        assert not [(event, path) for event, path in each["opened"] if not path.startswith(allowed)], name
        assert each["seconds"] < SECONDS, name
        assert each["left"][0] == DATASETS[name].left, name
    assert report["peak"] < MEMORY


def test_the_watch_sees_a_read_outside(tmp_path: Path) -> None:
    """The test above can fail: a config that names another folder has it opened."""
    (tmp_path / "a").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.png").write_bytes(PNG)
    (tmp_path / "a" / "dataset").symlink_to(tmp_path / "elsewhere")
    report = watched(tmp_path, ["a"], more=2**30)
    assert any("elsewhere" in path for _, path in report["results"]["a"]["opened"])


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are kept by Linux alone")
def test_too_little_memory_for_a_picture_is_said_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "large" / "dataset"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(PNG)
    (folder / "b.png").write_bytes(saved("RGB", "PNG", (7500, 7500)))
    report = watched(tmp_path, ["large"], more=100 * 2**20)
    assert report["results"]["large"]["left"] == [1, 0]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, whom no permission stops."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_we_may_not_read_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in ("a.png", "b.png", "closed/c.png"):
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(PNG)
        (folder / "a.txt").write_text("1girl")
        folder.chmod(0o755)
        try:
            for path in ("b.png", "a.txt", "closed"):
                (folder / path).chmod(0)
            with as_nobody():
                dataset = survey(layout_of(folder), folder)
                with pytest.raises(InputRefused, match="Permission denied"):
                    read_dataset(folder)
                (refused,) = [each for each in dataset.skipped if each.kind == "folder"]
        finally:
            (folder / "closed").chmod(0o755)
    assert [image.path.name for image in dataset.images] == ["a.png"]
    assert dataset.images[0].caption is None
    assert refused.path == folder / "closed"
    assert sorted(each.path.name for each in dataset.skipped) == ["a.txt", "b.png", "closed"]
    assert all("Permission denied" in each.reason for each in dataset.skipped)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    os.mknod(tmp_path / "b.png", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    (skipped,) = survey(layout_of(tmp_path), tmp_path).skipped
    assert (skipped.path.name, skipped.kind) == ("b.png", "picture")
    assert "not a regular file" in skipped.reason


def test_the_readme_says_what_is_said_of_every_tree() -> None:
    assert "\n".join(dataset_lines()).strip() in README.read_text(encoding="utf-8")


def test_there_are_enough_trees() -> None:
    assert len(DATASETS) >= 30
