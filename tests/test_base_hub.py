"""Base models from the hub: ids, download plans, the cache's own layout, and a real client against a small hub."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_doctor.base_hub import HubFile, HubId, cached_folder, fetch, parse_hub_id, plan_download
from lora_doctor.base_models import load_pipeline, resolve_base
from lora_doctor.errors import EnvironmentFailure, InputRefused
from tests.tiny_pipeline import tiny_folder

REPO = "someone/tiny-model"
COMMIT = "89abcdef01" * 4
SDXL = {
    "README.md": 1, "model_index.json": 600, "sd_xl_base_1.0.safetensors": 6_938_078_334, "evil.py": 10,
    "scheduler/scheduler_config.json": 500, "tokenizer/merges.txt": 500_000, "tokenizer/vocab.json": 1_000_000,
    "text_encoder/config.json": 600, "text_encoder/model.safetensors": 492_265_880,
    "text_encoder/model.fp16.safetensors": 246_144_152, "text_encoder/model.onnx": 492_000_000,
    "text_encoder/flax_model.msgpack": 492_000_000, "text_encoder/pytorch_model.bin": 492_000_000,
    "unet/config.json": 1_700, "unet/diffusion_pytorch_model.fp16.safetensors": 5_135_149_760,
    "vae/config.json": 600, "vae/diffusion_pytorch_model.safetensors": 334_643_268,
    "vae_1_0/diffusion_pytorch_model.safetensors": 334_643_268, "unet/modeling.py": 10,
}  # fmt: skip


def listing(sizes: dict[str, int]) -> list[HubFile]:
    return [HubFile(path=path, size=size) for path, size in sizes.items()]


@pytest.mark.parametrize(
    ("text", "repo", "revision"),
    [
        ("owner/name", "owner/name", None),
        ("owner/name@main", "owner/name", "main"),
        (f"owner/name@{COMMIT}", "owner/name", COMMIT),
        ("owner/na.me-2_x@refs/pr/3", "owner/na.me-2_x", "refs/pr/3"),
    ],
)
def test_a_hub_id_may_name_a_revision(text: str, repo: str, revision: str | None) -> None:
    assert parse_hub_id(text) == HubId(repo=repo, revision=revision)


@pytest.mark.parametrize(
    "text",
    ["name", "a/b/c", "../b", "a/..", "a/b@", "a/b@../x", "a/b@-x", "a b/c", "a/b@x y", "/b", "a/", "a/b@\n", "~/b"],
)
def test_what_cannot_be_a_hub_id_is_none(text: str) -> None:
    assert parse_hub_id(text) is None


def test_a_plan_holds_one_set_of_safetensors_and_the_texts_of_the_parts() -> None:
    plan = plan_download(REPO, COMMIT, listing(SDXL))
    assert [file.path for file in plan.files] == [
        "model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json",
        "text_encoder/model.safetensors", "tokenizer/merges.txt", "tokenizer/vocab.json", "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors", "vae/config.json", "vae/diffusion_pytorch_model.safetensors",
    ]  # fmt: skip
    assert plan.total == sum(SDXL[file.path] for file in plan.files)
    assert plan.sentence("/cache") == (
        f"Fetching the base model {REPO} at commit {COMMIT}: 10 files, 5.96 GB, to /cache."
    )


def test_a_plan_without_weights_is_some_megabytes() -> None:
    plan = plan_download(REPO, COMMIT, listing(SDXL), weights=False)
    assert plan.total < 2_000_000 and not any(file.path.endswith(".safetensors") for file in plan.files)


def test_a_plan_takes_all_shards() -> None:
    shards = {f"transformer/diffusion_pytorch_model-0000{n}-of-00003.safetensors": 10 for n in (1, 2, 3)}
    index = {"transformer/diffusion_pytorch_model.safetensors.index.json": 5}
    half = {"transformer/diffusion_pytorch_model.fp16-00001-of-00001.safetensors": 4}
    plan = plan_download(REPO, COMMIT, listing({"model_index.json": 1} | shards | index | half))
    assert {file.path for file in plan.files} == {"model_index.json", *shards, *index}


def test_a_part_with_pickled_weights_alone_is_refused_before_anything_is_fetched() -> None:
    with pytest.raises(InputRefused, match=r"its `unet` has no \.safetensors weights"):
        plan_download(REPO, COMMIT, listing({"model_index.json": 1, "unet/diffusion_pytorch_model.bin": 3}))


@pytest.mark.parametrize("path", ["../x.json", "/etc/x.json", "unet/../../x.json", "unet\\..\\x.json", "C:x.json"])
def test_a_file_that_would_land_outside_is_refused(path: str) -> None:
    with pytest.raises(InputRefused, match="leads out of its folder"):
        plan_download(REPO, COMMIT, listing({"model_index.json": 1, path: 1}))


def test_a_model_without_an_index_is_refused_with_what_to_do() -> None:
    with pytest.raises(InputRefused, match=r"it has no model_index\.json.*local \.safetensors file"):
        plan_download(REPO, COMMIT, listing({"model.safetensors": 1}))


# ---------------------------------------------------------------- the cache


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture
def cache(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache in the hub's own layout with the tiny model in it; the machine is offline."""
    from huggingface_hub import constants

    model = tmp_path / "cache" / f"models--{REPO.replace('/', '--')}"
    (model / "blobs").mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(COMMIT)
    for file in (path for path in saved.rglob("*") if path.is_file()):
        blob = model / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, blob)
        place = model / "snapshots" / COMMIT / file.relative_to(saved)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.path.relpath(blob, place.parent))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("text", [REPO, f"{REPO}@main", f"{REPO}@{COMMIT}"])
def test_a_model_that_is_here_needs_no_network_and_is_known_by_its_commit(cache: Path, text: str) -> None:
    said: list[str] = []
    source = resolve_base(text, said.append)
    assert (source.kind, source.name, source.commit) == ("hub", f"{REPO}@{COMMIT}", COMMIT)
    assert said == []
    assert load_pipeline(source, "cpu").unet is not None


def test_the_cache_is_the_one_that_the_hubs_client_reads(cache: Path) -> None:
    from huggingface_hub import try_to_load_from_cache

    folder = cached_folder(HubId(repo=REPO), cache)
    assert folder is not None
    assert try_to_load_from_cache(REPO, "model_index.json") == str(folder / "model_index.json")


@pytest.mark.parametrize("text", [f"{REPO}@other", f"{REPO}@{'0' * 40}", "someone/absent"])
def test_what_is_not_here_offline_is_named_with_its_revision_and_the_place(cache: Path, text: str) -> None:
    with pytest.raises(EnvironmentFailure, match="could not be had from the hub") as caught:
        load_pipeline(text, "cpu")
    said = str(caught.value)
    assert (text if "@" in text else f"{text}@main") in said and str(cache) in said and "\n" not in said


def test_a_half_fetched_model_is_not_taken_for_whole(cache: Path) -> None:
    folder = cached_folder(HubId(repo=REPO), cache)
    assert folder is not None
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(EnvironmentFailure, match="could not be had"):
        fetch(HubId(repo=REPO), print)


def test_a_hostile_model_in_the_cache_is_refused_not_fetched_again(cache: Path) -> None:
    folder = cached_folder(HubId(repo=REPO), cache)
    assert folder is not None
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").unlink()
    (folder / "model_index.json").write_text(json.dumps(index | {"unet": ["evil", "Evil"]}))
    with pytest.raises(InputRefused, match="code of its own"):
        load_pipeline(REPO, "cpu")


@pytest.mark.parametrize("content", ["../../../etc", "", "zz", "\udcff"])
def test_a_spoilt_reference_in_the_cache_leads_nowhere(cache: Path, content: str) -> None:
    reference = cache / f"models--{REPO.replace('/', '--')}" / "refs" / "main"
    reference.write_bytes(content.encode(errors="surrogateescape"))
    assert cached_folder(HubId(repo=REPO), cache) is None


# ---------------------------------------------------------------- a small hub


class Hub(ThreadingHTTPServer):
    """Serves one model the way the hub does, and remembers what was asked for."""

    def __init__(self, folder: Path, extra: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self.files |= extra
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        """Silence."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        if path in (
            f"/api/models/{REPO}",
            f"/api/models/{REPO}/revision/main",
            f"/api/models/{REPO}/revision/{COMMIT}",
        ):
            files = [{"rfilename": name, "size": len(data)} for name, data in self.server.files.items()]
            self.answer(json.dumps({"id": REPO, "modelId": REPO, "sha": COMMIT, "siblings": files}).encode())
        elif path.startswith(f"/api/models/{REPO}/tree/{COMMIT}"):
            self.answer(json.dumps([self.entry(name, data) for name, data in self.server.files.items()]).encode())
        elif (name := path.removeprefix(f"/{REPO}/resolve/{COMMIT}/")) in self.server.files:
            data = self.server.files[name]
            digest = hashlib.sha256(data).hexdigest()
            self.answer(data, ETag=f'"{digest}"', **{"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"})
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def entry(self, name: str, data: bytes) -> dict[str, Any]:
        return {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}

    def answer(self, data: bytes, **headers: str) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(len(data)), "Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


@pytest.fixture
def hub(saved: Path, request: pytest.FixtureRequest) -> Iterator[Hub]:
    extra = {"evil.py": b"raise SystemExit(9)", "unet/diffusion_pytorch_model.bin": b"pickle", "README.md": b"#"}
    server = Hub(saved, extra | getattr(request, "param", {}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def download(hub: Hub, cache: Path, text: str) -> subprocess.CompletedProcess[str]:
    """`fetch` by the real client in a process of its own, since it reads its settings when it is imported."""
    code = f"""
from lora_doctor.base_hub import fetch, parse_hub_id
from lora_doctor.errors import LoraDoctorError
try:
    print(fetch(parse_hub_id({text!r}), print))
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


def fetched(hub: Hub) -> set[str]:
    return {line.rpartition(f"{COMMIT}/")[2] for line in hub.asked if line.startswith("GET /someone")}


def test_a_branch_becomes_a_commit_the_sizes_are_told_and_only_what_is_needed_is_fetched(
    hub: Hub, tmp_path: Path
) -> None:
    result = download(hub, tmp_path / "cache", f"{REPO}@main")
    assert result.returncode == 0, result.stderr
    said, folder = result.stdout.splitlines()
    assert said.startswith(f"Fetching the base model {REPO} at commit {COMMIT}: ") and "0.00 GB" in said
    assert Path(folder).name == COMMIT
    assert not any("/resolve/main" in line for line in hub.asked)
    assert not fetched(hub) & {"evil.py", "unet/diffusion_pytorch_model.bin", "README.md"}
    assert load_pipeline(Path(folder), "cpu").unet.dtype == torch.float32


@pytest.mark.parametrize("text", [REPO, f"{REPO}@main", f"{REPO}@{COMMIT}"])
def test_the_second_time_nothing_is_asked(hub: Hub, tmp_path: Path, text: str) -> None:
    first = download(hub, tmp_path / "cache", text)
    hub.asked.clear()
    second = download(hub, tmp_path / "cache", text)
    assert second.stdout.splitlines() == first.stdout.splitlines()[1:]
    assert hub.asked == []


EVIL_INDEX = {"model_index.json": b'{"_class_name": "StableDiffusionPipeline", "unet": ["evil", "Evil"]}'}


@pytest.mark.parametrize("hub", [EVIL_INDEX], indirect=True)
def test_a_hostile_model_is_refused_before_its_weights_are_fetched(hub: Hub, tmp_path: Path) -> None:
    result = download(hub, tmp_path / "cache", REPO)
    assert "InputRefused" in result.stdout and "code of its own" in result.stdout, result.stderr
    assert not any(name.endswith(".safetensors") for name in fetched(hub))


def test_a_model_that_the_hub_does_not_have_is_named(hub: Hub, tmp_path: Path) -> None:
    result = download(hub, tmp_path / "cache", "someone/absent@main")
    assert result.stdout.startswith("EnvironmentFailure someone/absent@main: ")
    assert "Check the name; for a gated model" in result.stdout
    assert len(result.stdout.splitlines()) == 1
