"""Base models from the hub: a branch becomes a commit, the files are counted and announced, then fetched once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lora_doctor.base_classes import LEFT_OUT
from lora_doctor.base_folder import COMMIT, HALF, INDEX, STEMS, check_folder, check_index, read_json
from lora_doctor.errors import EnvironmentFailure, InputRefused, first_line

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
_PART = re.compile(r"(unet|transformer|vae|text_encoder(_[23])?|tokenizer(_[23])?|scheduler)")
TEXT_FILES = (".json", ".txt", ".model")
"""Besides weights; `.model` is a tokenizer's vocabulary (sentencepiece)."""
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")


@dataclass(frozen=True, kw_only=True, slots=True)
class HubId:
    """A model on the hub: `owner/name` and, if the user named one, the branch, tag or commit."""

    repo: str
    revision: str | None = None

    @property
    def asked(self) -> str:
        """The revision to look for: the one that was named, else the main branch."""
        return self.revision or "main"

    def __str__(self) -> str:
        return f"{self.repo}@{self.asked}"


@dataclass(frozen=True, kw_only=True, slots=True)
class HubFile:
    """One file of a model on the hub."""

    path: str
    """Relative to the model, with slashes."""
    size: int
    """Bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DownloadPlan:
    """What of a model is fetched: safetensors weights of one variant, configs and tokenizers, nothing else."""

    repo: str
    commit: str
    files: tuple[HubFile, ...]

    @property
    def total(self) -> int:
        """Bytes."""
        return sum(file.size for file in self.files)

    def sentence(self, folder: Path | str) -> str:
        """What is about to be fetched, how much it is, and where it goes."""
        return (
            f"Fetching the base model {self.repo} at commit {self.commit}: {len(self.files)} files, "
            f"{self.total / 1e9:.2f} GB, to {folder}."
        )


def parse_hub_id(text: str) -> HubId | None:
    """`owner/name` or `owner/name@revision`, or None for what cannot be one (a path, say)."""
    repo, mark, revision = text.partition("@")
    owner, slash, name = repo.partition("/")
    if not (slash and all(_NAME.fullmatch(word) and ".." not in word for word in (owner, name))):
        return None
    if mark and (not _REVISION.fullmatch(revision) or ".." in revision):
        return None
    return HubId(repo=repo, revision=revision or None)


def plan_download(repo: str, commit: str, listing: Iterable[HubFile], *, weights: bool = True) -> DownloadPlan:
    """The files of `listing` that are fetched, in order of their paths; pure.

    Of each part's weights one set is chosen: full precision, or `fp16` where that is all there is. `weights` False =
    configs and tokenizers alone. Raises InputRefused when there is no model_index.json, when a part has only pickled
    weights, or when a path would lead out of the folder.
    """
    known = {file.path: file for file in listing}
    for path in known:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path or ":" in path:
            raise InputRefused(f"the hub lists a file that leads out of its folder: {path}", path=repo)
    if INDEX not in known:
        raise InputRefused(
            f"it has no {INDEX}", path=repo, advice="Name a model in diffusers' layout, or a local .safetensors file."
        )
    chosen = [INDEX, *(path for path in known if _is_text_of_a_part(path))]
    if weights:
        for part in sorted({path.partition("/")[0] for path in known if "/" in path}):
            chosen += _weights_of(part, known, repo)
    return DownloadPlan(repo=repo, commit=commit, files=tuple(known[path] for path in sorted(set(chosen))))


def _is_text_of_a_part(path: str) -> bool:
    part, _, name = path.partition("/")
    return _PART.fullmatch(part) is not None and "/" not in name and name.endswith(TEXT_FILES)


def _weights_of(part: str, known: Iterable[str], repo: str) -> list[str]:
    """The .safetensors files of a part, of the first variant that it has."""
    if not _PART.fullmatch(part) or part in LEFT_OUT:
        return []
    names = [path.partition("/")[2] for path in known if path.startswith(f"{part}/")]
    for variant in ("", HALF):
        found = [name for name in names if _variant(name) == variant]
        if found:
            # A part saved whole and in shards: the loader takes the whole file.
            whole = [name for name in found if not _SHARD.search(name.removesuffix(".safetensors"))]
            return [f"{part}/{name}" for name in whole or found]
    if any(name.endswith((".bin", ".ckpt", ".pt", ".pth")) for name in names):
        raise InputRefused(
            f"its `{part}` has no .safetensors weights", path=repo, advice="Pickled weights are never loaded."
        )
    return []


def _variant(name: str) -> str | None:
    """`""` or `fp16` of a weight file in the library's own naming (whole or shard); None for any other file."""
    if "/" in name or not name.endswith(".safetensors"):
        return None
    stem = _SHARD.sub("", name.removesuffix(".safetensors"))
    return next((v for s in STEMS for v in ("", HALF) if stem == (f"{s}.{v}" if v else s)), None)


# ---------------------------------------------------------------- the cache and the network


def cached_folder(hub_id: HubId, cache: Path) -> Path | None:
    """The snapshot folder of a revision that is in the hub's cache already, or None; its files may be incomplete.

    The layout of the cache: `models--owner--name/refs/BRANCH` holds the commit, `snapshots/COMMIT` the files.
    """
    model = cache / f"models--{hub_id.repo.replace('/', '--')}"
    commit = hub_id.asked
    if not COMMIT.fullmatch(commit):
        try:
            commit = (model / "refs" / hub_id.asked).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
        if not COMMIT.fullmatch(commit):
            return None
    folder = model / "snapshots" / commit
    return folder if folder.is_dir() else None


def fetch(hub_id: HubId, announce: Callable[[str], None], *, weights: bool = True) -> Path:
    """The folder of a hub model, from the cache if it is complete there, else downloaded after `announce`.

    Before a download `announce` is given one sentence: which commit, how many files, how many GB, to where. A branch or
    tag is resolved to its commit once, and everything is fetched by that commit. Raises EnvironmentFailure when it is
    neither in the cache nor to be had, InputRefused for a model that is not safe to load.
    """
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    folder = cached_folder(hub_id, cache)
    if folder is not None and _is_complete(folder, weights=weights):
        return folder
    return _download(hub_id, cache, announce, weights=weights)


def _is_complete(folder: Path, *, weights: bool) -> bool:
    """Whether nothing is missing; what is there and unsafe is for `check_folder` to refuse, with its reason."""
    try:
        check_folder(folder, weights=weights)
    except InputRefused as error:
        return not any(word in error.what for word in ("is missing", "no .safetensors", "is not there", "to nowhere"))
    return True


def _download(hub_id: HubId, cache: Path, announce: Callable[[str], None], *, weights: bool) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        info = HfApi().model_info(hub_id.repo, revision=hub_id.revision, files_metadata=True)
        plan = plan_download(hub_id.repo, _commit_of(info, hub_id), _listing(info), weights=weights)
        announce(plan.sentence(cache))
        small = [file.path for file in plan.files if not file.path.endswith(".safetensors")]
        folder = Path(snapshot_download(hub_id.repo, revision=plan.commit, allow_patterns=small))
        check_index(read_json(folder / INDEX, folder), folder)  # before gigabytes are spent on it
        names = [file.path for file in plan.files]
        folder = Path(snapshot_download(hub_id.repo, revision=plan.commit, allow_patterns=names))
        _note_branch(hub_id, folder)
        return folder
    except HFValidationError as error:
        raise InputRefused("neither a folder nor a hub id", path=str(hub_id)) from error
    except (OSError, ValueError) as error:
        raise EnvironmentFailure(
            f"the base model is not in {cache} and could not be had from the hub: {first_line(error)}",
            path=str(hub_id),
            advice=_advice(error),
        ) from error


def _advice(error: BaseException) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error, (GatedRepoError, RepositoryNotFoundError)):  # the hub hides private models as not found
        return "Check the name; for a gated model accept its terms on the hub, then run `hf auth login`."
    return "Go online, or set `base` to a local diffusers folder."


def _note_branch(hub_id: HubId, folder: Path) -> None:
    """Keep which commit a branch was, as the hub's client does, so that the branch is found here the next time."""
    if COMMIT.fullmatch(hub_id.asked):
        return
    note = folder.parent.parent / "refs" / hub_id.asked
    note.parent.mkdir(parents=True, exist_ok=True)
    fresh = note.with_name(f"{note.name}.new")
    fresh.write_text(folder.name, encoding="ascii")
    fresh.replace(note)


def _commit_of(info: Any, hub_id: HubId) -> str:
    commit = str(info.sha)
    if not COMMIT.fullmatch(commit) or (COMMIT.fullmatch(hub_id.asked) and commit != hub_id.asked):
        raise InputRefused(f"the hub answers with commit `{commit}`", path=str(hub_id))
    return commit


def _listing(info: Any) -> Iterator[HubFile]:
    for sibling in info.siblings or ():
        yield HubFile(path=sibling.rfilename, size=sibling.size or 0)
