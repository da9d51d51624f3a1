"""Where an instrument's files come from: a folder of the user's, or the hub, after a sentence says what is fetched."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lora_doctor.errors import EnvironmentFailure, InputRefused, first_line

Announce = Callable[[str], None]
"""Told in a sentence what is about to be downloaded."""


def warn(sentence: str) -> None:
    """Announces as a warning, where nobody else listens."""
    warnings.warn(sentence, stacklevel=3)


def from_folder(folder: Path, patterns: Sequence[str], what: str) -> list[Path]:
    """For each pattern the file of the folder that fits; of several the newest name, quantised ones last.

    Raises InputRefused, naming the pattern, where none fits.
    """
    found = []
    for pattern in patterns:
        fitting = [path for path in folder.glob(pattern) if path.is_file()]
        if not fitting:
            needs = f"{what} needs {' and '.join(patterns)}."
            raise InputRefused(f"holds no {pattern}.", path=folder, advice=needs)
        exact = [path for path in fitting if "int8" not in path.name]
        found.append(max(exact or fitting, key=lambda path: path.name))
    return found


def from_hub(
    wanted: Sequence[tuple[str, str]], what: str, licence: str, announce: Announce, revision: str | None = None
) -> list[Path]:
    """The path of every (repository, file), from the hub's cache if all are there, else downloaded after `announce`.

    The sentence says what, under which licence, how many files and GB, to where. Raises EnvironmentFailure when they
    are neither here nor to be had.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    cache = Path(constants.HF_HUB_CACHE)
    here = [try_to_load_from_cache(repo, name, cache_dir=cache, revision=revision) for repo, name in wanted]
    known = [Path(path) for path in here if isinstance(path, str)]
    return known if len(known) == len(wanted) else _download(wanted, what, licence, announce, revision, cache)


def _download(
    wanted: Sequence[tuple[str, str]], what: str, licence: str, announce: Announce, revision: str | None, cache: Path
) -> list[Path]:
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    repos = list(dict.fromkeys(repo for repo, _ in wanted))
    try:
        sizes = {
            (repo, file.rfilename): file.size or 0
            for repo in repos
            for file in HfApi().model_info(repo, revision=revision, files_metadata=True).siblings or ()
        }
        total = sum(sizes.get(each, 0) for each in wanted)
        announce(
            f"Fetching {what} from {' and '.join(repos)} (licence: {licence}): {len(wanted)} files, "
            f"{total / 1e9:.2f} GB, to {cache}."
        )
        return [Path(hf_hub_download(repo, name, revision=revision, cache_dir=cache)) for repo, name in wanted]
    except HFValidationError as error:
        raise InputRefused("neither a folder nor a hub id.", path=repos[0]) from error
    except (OSError, ValueError) as error:
        names = ", ".join(Path(name).name for _, name in wanted)
        closed = isinstance(error, (GatedRepoError, RepositoryNotFoundError))
        advice = "Check the name; for a gated model accept its terms on the hub, then run `hf auth login`."
        raise EnvironmentFailure(
            f"{what} is not in {cache} and could not be had from the hub: {first_line(error)}",
            path=" and ".join(repos),
            advice=advice if closed else f"Go online once, or name a folder that holds {names}.",
        ) from error


def digest(paths: Iterable[Path]) -> str:
    """SHA-256 over the files' contents, in the order given."""
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                total.update(chunk)
    return total.hexdigest()
