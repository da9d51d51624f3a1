"""Run folders in, comparison.json and comparison.html out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lora_doctor.atomic_files import write_atomically
from lora_doctor.comparison import Comparison, compare, to_json
from lora_doctor.comparison_report import render_comparison
from lora_doctor.comparison_runs import read_runs
from lora_doctor.plugins import data_folder
from lora_doctor.run_storage import disk_errors
from lora_doctor.smallest_effects import FILE, load_smallest_effects

JSON, HTML = "comparison.json", "comparison.html"


def compare_folders(
    folders: Sequence[Path], *, rules: Path | None = None, policy: str | None = None, names: Sequence[str] | None = None
) -> tuple[Comparison, dict[str, Path]]:
    """The comparison, and each version's run folder by its name; the runs are left as they are.

    `names`: other names for the versions than their files', one each, no two alike. `rules` and `policy` default to
    those of the first check-up; a rules folder without comparison.toml takes lora-doctor's own. Raises InputRefused and
    UsageError as `read_runs` and `compare` do.
    """
    where = rules if rules is not None and (rules / FILE).is_file() else data_folder("rules")
    runs = read_runs(folders, rules=rules, policy=policy)
    if names is not None:
        runs = tuple(replace(run, name=name) for run, name in zip(runs, names, strict=True))
    return compare(runs, load_smallest_effects(where)), {run.name: run.folder for run in runs}


def write(comparison: Comparison, folders: Mapping[str, Path], out: Path) -> list[Path]:
    """Writes both files into the folder `out`, whole or not at all; EnvironmentFailure when the disk is full."""
    page = render_comparison(comparison, templates=data_folder("reports"), folders=folders)
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        for name, text in ((JSON, to_json(comparison)), (HTML, page)):
            write_atomically(out / name, text.encode("utf-8", errors="backslashreplace"))
    return [out / JSON, out / HTML]
