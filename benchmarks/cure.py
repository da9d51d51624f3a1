"""Does the prescription cure, and would anything else have?

    python -m benchmarks.cure --kept [--short]
    python -m benchmarks.cure --work DIR [FOLDER ...] [--seeds 11 12] [--arms prescribed placebo wrong] [--processes 2]

Every faulty LoRA (a FOLDER of `benchmarks.detection`; default: the bundled patients) is trained again and checked again
three ways: as prescribed; as it was, for as long, with a new seed (placebo); and as another fault of the table would be
treated (wrong). New pictures that a prescription asks for are drawn as the patient's own were: same habits, same
captions. Cured = the finding that was treated is gone, not even suspected, it could be judged, and no blocker is
confirmed that was not before. Pairs are those with the same LoRA and seed. Resumable: trials that are finished are kept
in `benchmarks/results/cure`, and read again; `--kept` does no more than that.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cure_arms import ARMS, arms
from benchmarks.cure_tables import Trial, pairs, rows, shares, side_by_side
from benchmarks.jobs import run_jobs
from benchmarks.kept import RESULTS
from fixtures.miniature.build.datasets import draw_asked
from fixtures.miniature.build.recipes import PATIENTS, RECIPES
from fixtures.miniature.world.character import Character
from lora_doctor.checkup import run_checkup
from lora_doctor.diagnosis import from_json
from lora_doctor.judgement import DIAGNOSIS, STORED, training_and_labels
from lora_doctor.plugins import data_folder
from lora_doctor.retrain_prepare import prepare
from lora_doctor.retraining import train_and_check
from lora_doctor.rule_files import load_rules
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import load_settings
from lora_doctor.types import Diagnosis, Prescription
from lora_doctor.wording import setting_text

RUN = "lora-checkup"


@dataclass(frozen=True)
class Job:
    """One retraining of one patient."""

    patient: Path
    work: Path
    arm: str
    seed: int
    results: Path = RESULTS / "cure"

    @property
    def kept(self) -> Path:
        """Where the outcome is kept."""
        return self.results / f"{self.patient.name}.{self.arm}-{self.seed}.json"

    @property
    def folder(self) -> Path:
        """The patient's copy: dataset, LoRA and the check-up before."""
        return self.work / self.patient.name

    @property
    def trial(self) -> Path:
        """Where this retraining takes place."""
        return self.folder / f"{self.arm}-{self.seed}"


def recipe_of(patient: str) -> tuple[str, int]:
    """Name of a bundled patient, or a folder name as `low-rank-206` -> its fault and the seed of its character."""
    if patient in PATIENTS:
        return PATIENTS[patient]
    fault, _, seed = patient.rpartition("-")
    return fault, int(seed)


def examine(job: Job) -> None:
    """The check-up before, the same for all arms; one that lies beside the LoRA is taken up."""
    print(f"{job.patient.name} before", file=sys.stderr, flush=True)
    if not job.folder.exists():
        shutil.copytree(job.patient, job.folder)
    run_checkup(load_settings(job.folder / "lora.safetensors", {}))


def treat(job: Job) -> Trial:
    """One retraining and what the check-up after it says; from what is kept where it is known."""
    if not job.kept.is_file():
        print(f"{job.patient.name} {job.arm} {job.seed}", file=sys.stderr, flush=True)
        run = job.trial / "before"
        if not run.exists():  # a run folder is for one process at a time
            shutil.copytree(job.folder / RUN, run)
        told = told_to(job, run)
        plan = prepare(run, job.folder / "training.toml", seed=job.seed, add=new_pictures(job, told), instead=told)
        out = job.trial / "training"
        if not out.exists():
            plan.write(out)
        retrained = train_and_check(plan, out, lambda stage, done, total: None)
        job.kept.parent.mkdir(parents=True, exist_ok=True)
        found = outcome(job, told, retrained.before, retrained.after)
        job.kept.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return Trial(**json.loads(job.kept.read_text("utf-8")))


def told_to(job: Job, run: Path) -> Prescription:
    """What the patient is told in this arm."""
    before = from_json((run / DIAGNOSIS).read_text("utf-8"))
    with RunFolder(run, create=False) as folder:
        training, labels = training_and_labels({name: folder.get_json(name) for name in STORED})
    rules = load_rules(data_folder("rules"))
    return arms(before, recipe_of(job.patient.name)[0], training, labels, rules)[job.arm]


def new_pictures(job: Job, told: Prescription) -> Path | None:
    """A folder with the pictures the prescription asks for, None when it asks for none."""
    recipe, seed = recipe_of(job.patient.name)
    trigger = load_settings(job.folder / "lora.safetensors", {}).trigger
    add = job.trial / "asked"
    if add.exists():
        shutil.rmtree(add)
    return add if draw_asked(add, Character.from_seed(seed), RECIPES[recipe], trigger, told.dataset) else None


def outcome(job: Job, told: Prescription, before: Diagnosis, after: Diagnosis) -> dict[str, object]:
    """What is kept of a trial."""
    treated = next(iter(before.confirmed), "")
    states = {finding.rule: finding.state for finding in reversed(after.findings)}
    untold = treated in {each.rule for each in after.not_evaluated}
    blockers = [f.rule for f in after.findings if f.state == "confirmed" and f.severity == "blocker"]
    return {
        "patient": job.patient.name, "fault": recipe_of(job.patient.name)[0], "arm": job.arm, "seed": job.seed,
        "treated": treated, "told": _words(told), "verdict": after.verdict.outcome,
        "left": states.get(treated, "not judged" if untold else "gone"),
        "new_blockers": sorted(set(blockers) - set(before.confirmed)), "confirmed": list(after.confirmed),
    }  # fmt: skip


def _words(told: Prescription) -> str:
    changes = [f"{c.field} {_short(c.before)} -> {_short(c.after)}" for c in told.changes]
    captions = [f"captions: {' '.join(fix['tokens']) or fix['add_tokens']}" for fix in told.captions]
    pictures = [f"{each.pictures} {each.framing or each.role} pictures" for each in told.dataset]
    left_out = [f"pictures of another {each.attribute} left out" for each in told.left_out]
    return ", ".join([*changes, *captions, *pictures, *left_out]) or "-"


def _short(value: object) -> str:
    """The setting in words; a long list of tokens is counted."""
    return f"{len(value)} tokens" if isinstance(value, tuple) and len(value) > 3 else setting_text(value)


def planned(
    patients: Sequence[Path], work: Path, names: Sequence[str], seeds: Sequence[int], results: Path = Job.results
) -> list[Job]:
    """Every trial, a whole table of one seed after the other."""
    return [Job(patient, work, arm, seed, results) for seed in seeds for patient in patients for arm in names]


def kept_trials(results: Path) -> list[Trial]:
    """What is kept, by seed, then in the table's order of faults, then by patient and arm."""
    found = [Trial(**json.loads(path.read_text("utf-8"))) for path in results.glob("*.json")]
    order = list(RECIPES)
    return sorted(found, key=lambda one: (one.seed, order.index(one.fault), one.patient, ARMS.index(one.arm)))


def main() -> None:
    """Print every trial, the shares of cured patients, and the paired tests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--work", type=Path, default=Path("build/cure"))
    parser.add_argument("--results", type=Path, default=Job.results, help="where outcomes are kept")
    parser.add_argument("--kept", action="store_true", help="tell of what is kept, and do no more")
    parser.add_argument("--short", action="store_true", help="a row for each patient and seed instead of each trial")
    parser.add_argument("--seeds", type=int, nargs="*", default=(11, 12))
    parser.add_argument("--arms", nargs="*", default=ARMS, choices=ARMS)
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    trials = []
    if not asked.short:
        print(next(lines := rows(())), next(lines), sep="\n")
    for trial in kept_trials(asked.results) if asked.kept else _trials(asked):
        if not asked.short:
            print(*list(rows([trial]))[2:], sep="\n", flush=True)
        trials.append(trial)
    if asked.short:
        print(*side_by_side(trials), sep="\n")
    print("", *shares(trials), "", *pairs(trials), sep="\n")


def _trials(asked: argparse.Namespace) -> Iterator[Trial]:
    """Every trial that is asked for, as it ends."""
    bundled = [data_folder("miniature") / "patients" / name for name in PATIENTS if PATIENTS[name][0] != "healthy"]
    jobs = planned(asked.folders or bundled, asked.work, asked.arms, asked.seeds, asked.results)
    todo = {job.patient: job for job in jobs if not job.kept.is_file()}
    for _ in run_jobs(examine, list(todo.values()), asked.processes):
        pass
    yield from run_jobs(treat, jobs, asked.processes)


if __name__ == "__main__":
    main()
