"""Where instruments' files come from: folders, the hub's cache, and a real client against a small hub."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora_doctor.errors import InputRefused
from lora_doctor.instrument_files import digest, from_folder
from tests.test_base_hub import COMMIT, REPO, Answer, Hub


def test_of_several_files_the_newest_name_is_taken_and_quantised_ones_last(tmp_path: Path) -> None:
    for name in ("net_2022.onnx", "net_2023.onnx", "net_2024_int8.onnx"):
        (tmp_path / name).touch()
    assert from_folder(tmp_path, ["net_*.onnx"], "it")[0].name == "net_2023.onnx"
    assert from_folder(tmp_path, ["net_2024*"], "it")[0].name == "net_2024_int8.onnx"


def test_a_missing_file_is_named_with_what_is_needed(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").mkdir()  # a folder is no file
    with pytest.raises(InputRefused, match=r"holds no a\.onnx\. It needs a\.onnx and b\.csv\."):
        from_folder(tmp_path, ["a.onnx", "b.csv"], "It")


def test_the_hash_is_that_of_the_contents_in_order(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"ab"), two.write_bytes(b"c")
    assert digest([one, two]) == hashlib.sha256(b"abc").hexdigest() != digest([two, one])


class Branch(Answer):
    """Serves the main branch as the hub does: as its newest commit."""

    def do_GET(self) -> None:
        self.path = self.path.replace("/resolve/main/", f"/resolve/{COMMIT}/")
        super().do_GET()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    folder = tmp_path / "served"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "net.onnx").write_bytes(b"net" * 1_000_000)
    (folder / "tags.csv").write_bytes(b"name\n")
    server = Hub(folder, {"unasked.bin": b"x"})
    server.RequestHandlerClass = Branch
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def fetch(hub: Hub, cache: Path, repo: str = REPO) -> subprocess.CompletedProcess[str]:
    code = f"""
from lora_doctor.errors import LoraDoctorError
from lora_doctor.instrument_files import from_hub
try:
    print(*from_hub([({repo!r}, "model/net.onnx"), ({repo!r}, "tags.csv")], "the tagger", "MIT", print))
except LoraDoctorError as error:
    print(type(error).__name__, error)
"""
    settings = {
        "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(
        [sys.executable, "-c", code], env=kept | settings, capture_output=True, text=True, check=False, timeout=60
    )


def test_what_is_fetched_is_said_first_and_the_second_time_nothing_is_asked(hub: Hub, tmp_path: Path) -> None:
    first = fetch(hub, tmp_path / "cache")
    assert first.returncode == 0, first.stderr
    said, paths = first.stdout.splitlines()
    assert said == f"Fetching the tagger from {REPO} (licence: MIT): 2 files, 0.00 GB, to {tmp_path / 'cache'}."
    net, tags = map(Path, paths.split())
    assert net.read_bytes() == b"net" * 1_000_000 and tags.read_bytes() == b"name\n"
    assert not any("unasked" in line for line in hub.asked)
    hub.asked.clear()
    assert fetch(hub, tmp_path / "cache").stdout.splitlines() == [paths]
    assert hub.asked == []


def test_a_model_that_the_hub_does_not_have_is_named(hub: Hub, tmp_path: Path) -> None:
    said = fetch(hub, tmp_path / "cache", "someone/absent").stdout
    assert said.startswith("EnvironmentFailure someone/absent: ") and "Check the name; for a gated model" in said
    assert len(said.splitlines()) == 1
