"""The order of a check-up's stages; the only file that knows them all.

`run_checkup` looks (files, renders, instruments) and stores what it saw in the run folder; `judge_run` judges what is
stored there and needs neither a GPU nor the inputs.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lora_doctor import __version__, dossier
from lora_doctor import diagnosis as diagnosis_file
from lora_doctor.base_models import load_pipeline, pipeline_family, render_defaults
from lora_doctor.dataset import caption_tokens, read_dataset
from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.labels import load_labels
from lora_doctor.lora_file import read_lora, require_plain_lora
from lora_doctor.matrix import choose_environments, plan_cells
from lora_doctor.plugins import data_folder, find
from lora_doctor.prescription import prescribe
from lora_doctor.prompts import build_prompt
from lora_doctor.report import render_report
from lora_doctor.roles import classify_roles
from lora_doctor.rules import evaluate, load_rules
from lora_doctor.run_folder import RunFolder
from lora_doctor.settings import Settings, from_plain, to_plain
from lora_doctor.spec import induce_spec
from lora_doctor.types import (
    Case,
    Cell,
    Dataset,
    Diagnosis,
    LabelSet,
    LoraFile,
    Measurement,
    Prescription,
    Reading,
    Rule,
    Study,
    TrainingSettings,
    Verdict,
)
from lora_doctor.verdict import Policy, decide, load_policy

Progress = Callable[[str, int, int], None]
"""Called with the stage's name, how much of it is done and how much there is."""
READ_AT_ONCE = 32
DIAGNOSIS, REPORT = "diagnosis.json", "report.html"
EVIDENCE_PICTURES = 6
THUMBNAIL = 192
"""Longest side, pixels, of dataset pictures in a private report."""


def _silent(stage: str, done: int, total: int) -> None:
    """No progress shown."""


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """The opened face and CLIP readers with the label sets they are asked about."""

    face: Any
    clip: Any
    label_sets: Mapping[str, LabelSet]

    @property
    def digest(self) -> str:
        """Names these instruments: readings made by others are not reused."""
        labels = repr(sorted(self.label_sets.items()))
        return hashlib.sha256(f"{self.face.digest}{self.clip.digest}{labels}".encode()).hexdigest()[:16]

    def read(self, images: Sequence[Any]) -> list[Reading]:
        """Everything the instruments see in some pictures (PIL, RGB)."""
        faces = self.face.read(images)
        seen = self.clip.read(images, faces, self.label_sets)
        return [
            Reading(width=image.width, height=image.height, face=face, probabilities=probabilities, embedding=embedding)
            for image, face, (probabilities, embedding) in zip(images, faces, seen, strict=True)
        ]


@dataclass
class _Clock:
    """Seconds per stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - began, 2)


@contextmanager
def _noted_warnings() -> Iterator[list[str]]:
    """Our own warnings become lines of the report; those of the libraries are not the user's business."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield notes
    ours = str(Path(__file__).parent)
    notes += dict.fromkeys(str(w.message) for w in caught if w.filename.startswith(ours))


# ---------------------------------------------------------------- the whole


def run_checkup(settings: Settings, progress: Progress = _silent) -> Diagnosis:
    """Look, measure, judge and draw; the run folder `settings.out` then holds diagnosis.json and report.html.

    Resumes whatever an earlier call with the same settings left unfinished. Raises the children of LoraDoctorError.
    """
    clock = _Clock()
    policy, rules = _judges(settings)
    with clock.stage("files"):
        lora = read_lora(settings.model)
        require_plain_lora(lora)
        dataset = read_dataset(settings.dataset)
        training = _training_settings(settings, lora)
    with clock.stage("load"), _noted_warnings() as notes:
        pipeline = load_pipeline(_base(settings.base), settings.device)
        renderer = _renderer(settings, pipeline, lora)
        instruments = _instruments(settings)
    with RunFolder(settings.out) as run:
        with clock.stage("dataset"):
            references = _read_dataset(dataset, instruments, run, progress)
        dataset = classify_roles(dataset, references, instruments.label_sets)
        spec = induce_spec(dataset, references, instruments.label_sets, settings.character.spec)
        cells = _plan(settings, dataset, references, instruments.label_sets)
        run.put_plan(_fingerprint(settings, lora, dataset, renderer, instruments), cells)
        with clock.stage("render"):
            _render(run, renderer, len(cells), progress)
        with clock.stage("read"):
            readings, missing = _read_renders(run, instruments, progress)
        study = Study(
            cells=cells, renders=readings, missing=missing, dataset=dataset, references=references,
            label_sets=instruments.label_sets, spec=spec, ship_weights=settings.matrix.ship_weights,
        )  # fmt: skip
        case = Case(
            lora=lora, dataset=dataset, references=references, training=training, trigger=settings.trigger,
            label_sets=instruments.label_sets, spec=spec,
        )  # fmt: skip
        with clock.stage("measure"):
            measurements = measure(study, case)
        facts = _facts(settings, study, lora, measurements, instruments, renderer, run, policy)
        facts = replace(facts, warnings=tuple(notes), timings=clock.seconds)
        run.put_json("facts", json.loads(diagnosis_file.to_json(facts)))
        run.put_json("training", _plain_settings(training))
        run.put_json("label_sets", {name: [s.kind, *s.labels] for name, s in instruments.label_sets.items()})
        run.put_json("settings", to_plain(settings))
        return _judge(run, rules, policy, private=settings.report.private)


def judge_run(
    folder: Path, *, rules: Path | None = None, policy: str | None = None, private: bool | None = None
) -> Diagnosis:
    """Judge and draw again from a finished run; torch is never imported.

    `rules` and `policy` default to those of the check-up. Raises InputRefused for a folder without finished
    measurements.
    """
    with RunFolder(folder, create=False) as run:
        stored = run.get_json("settings")
        if stored is None or run.get_json("facts") is None:
            raise InputRefused("holds no finished check-up.", path=folder, advice="Run `lora-doctor check` to its end.")
        settings = from_plain(stored)
        where = rules or settings.judge.rules or data_folder("rules")
        shown = settings.report.private if private is None else private
        return _judge(run, load_rules(where), load_policy(where, policy or settings.judge.policy), private=shown)


def classified(settings: Settings, run: Path, dataset: Dataset) -> Dataset:
    """The dataset with roles, from the readings that a run of these settings stored (or read anew)."""
    instruments = _instruments(settings)
    with RunFolder(run, create=False) as folder:
        references = _read_dataset(dataset, instruments, folder, _silent)
    return classify_roles(dataset, references, instruments.label_sets)


def measure(study: Study, case: Case) -> tuple[Measurement, ...]:
    """Everything that metrics and audits have to say, in the order of their file names."""
    looked = [m for module in find("metrics", needs="measure").values() for m in module.measure(study)]
    audited = [m for module in find("audits", needs="audit").values() for m in module.audit(case)]
    return (*looked, *audited)


# ---------------------------------------------------------------- judging


def _judges(settings: Settings) -> tuple[Policy, tuple[Rule, ...]]:
    folder = settings.judge.rules or data_folder("rules")
    return load_policy(folder, settings.judge.policy), load_rules(folder)


def _judge(run: RunFolder, rules: Sequence[Rule], policy: Policy, *, private: bool) -> Diagnosis:
    facts = diagnosis_file.from_json(json.dumps(run.get_json("facts")))
    training = TrainingSettings(**_tuples(run.get_json("training")))
    labels = {
        name: LabelSet(attribute=name, labels=tuple(words), prompts=(), kind=kind, crop="whole")
        for name, (kind, *words) in run.get_json("label_sets").items()
    }
    findings, not_evaluated = evaluate(rules, facts.measurements)
    shows = {rule.id: rule.shows for rule in rules}
    findings = tuple(replace(f, cells=_evidence_cells(shows[f.rule], facts)) for f in findings)
    novel = [e["name"] for e in facts.matrix["environments"] if not e["trained"]]
    prescription = prescribe(findings, training, facts.measurements, spec=facts.character["spec"], label_sets=labels)
    verdict = decide(findings, not_evaluated, facts.measurements, policy, novel=novel)
    diagnosis = replace(
        facts, findings=findings, not_evaluated=not_evaluated, prescription=prescription, verdict=verdict,
        matrix={**facts.matrix, "threshold": policy.identity_at_least, "policy": policy.name},
    )  # fmt: skip
    run.write_text(DIAGNOSIS, diagnosis_file.to_json(diagnosis))
    run.write_text(REPORT, render_report(diagnosis, templates=data_folder("reports"), run=run.path, private=private))
    return diagnosis


def _evidence_cells(shows: Mapping[str, str], facts: Diagnosis) -> tuple[str, ...]:
    """The cells that a rule points at, worst identity first, spread over environments.

    Of several ship weights the highest is shown: there the LoRA has had its say.
    """
    weight = shows.get("weight", "ship")
    shown = f"{max(facts.matrix['ship_weights']):g}" if weight == "ship" else weight
    rest = {key: value for key, value in shows.items() if key != "weight"}
    drawn = [c for c in facts.cells if f"{c['weight']:g}" == shown and c["image"]]
    fitting = [c for c in drawn if all(_fits(c, key, value) for key, value in rest.items())]
    ordered = sorted(fitting, key=lambda c: (c["identity"] is None, c["identity"] or 0.0, c["key"]))
    seen: Counter[str] = Counter()
    ranked = []
    for cell in ordered:
        ranked.append((seen[cell["environment"]], cell["key"]))
        seen[cell["environment"]] += 1
    return tuple(key for _, key in sorted(ranked, key=lambda pair: pair[0])[:EVIDENCE_PICTURES])


def _fits(cell: Mapping[str, Any], key: str, value: str) -> bool:
    if key == "environment_kind":
        return bool(cell["trained"]) == (value == "trained")
    return key not in cell or str(cell[key]) == value


# ---------------------------------------------------------------- looking


def _base(base: str) -> str | Path:
    return data_folder("miniature") / "base" if base == "miniature" else base


def _instruments(settings: Settings) -> Instruments:
    from lora_doctor.extractors import clip, face

    names = settings.instruments
    device = "cuda" if settings.device.startswith("cuda") else "cpu"
    face_source = data_folder("miniature") / "face" if names.face == "miniature" else names.face
    clip_source = data_folder("miniature") / "clip" if names.clip == "miniature" else names.clip
    beside = Path(clip_source) / "labels.toml"
    labels = names.labels or (beside if beside.is_file() else data_folder("rules") / "labels" / "character.toml")
    return Instruments(
        face=face.load(face_source, device), clip=clip.load(clip_source, device), label_sets=load_labels(labels)
    )


def _training_settings(settings: Settings, lora: LoraFile) -> TrainingSettings:
    """From the training config if there is one; rank and alpha always from the LoRA itself."""
    largest = max(lora.modules, key=lambda module: module.rank)
    read = TrainingSettings()
    if settings.training_config is not None:
        read = read_training_config(settings.training_config)[1]
    return replace(read, rank=largest.rank, alpha=read.alpha if read.alpha is not None else largest.alpha)


def read_training_config(path: Path) -> tuple[Any, TrainingSettings, str]:
    """(trainer module, settings, text) of a training config; UsageError when no trainer recognises it."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}.", path=path, advice="Name the training config.") from error
    trainers = find("trainers", needs="recognises")
    for module in trainers.values():
        if module.recognises(path, text):
            return module, module.read(text), text
    raise UsageError("is no training config known here.", path=path, advice=f"Known: {', '.join(trainers)}.")


def _renderer(settings: Settings, pipeline: Any, lora: LoraFile) -> Any:
    from lora_doctor.render import Renderer

    defaults, asked = render_defaults(pipeline_family(pipeline)), settings.render
    renderer = Renderer(
        pipeline,
        lora,
        steps=asked.steps or defaults.steps,
        guidance=defaults.guidance if asked.guidance is None else asked.guidance,
        width=asked.width or defaults.width,
        height=asked.height or defaults.height,
        batch_size=asked.batch_size,
    )
    renderer.negative_prompt = defaults.negative_prompt if asked.negative_prompt is None else asked.negative_prompt
    return renderer


def _read_dataset(
    dataset: Dataset, instruments: Instruments, run: RunFolder, progress: Progress
) -> tuple[Reading | None, ...]:
    """A reading per dataset image; InputRefused when not one shows a face."""
    from PIL import Image

    kind = f"dataset-{instruments.digest}"
    known = {image.sha256: run.get_reading(kind, image.sha256) for image in dataset.images}
    todo = [image for image in dataset.images if known[image.sha256] is None]
    for start in range(0, len(todo), READ_AT_ONCE):
        batch = todo[start : start + READ_AT_ONCE]
        pictures = [Image.open(image.path).convert("RGB") for image in batch]
        for image, reading in zip(batch, instruments.read(pictures), strict=True):
            run.put_reading(kind, image.sha256, reading)
            known[image.sha256] = reading
        progress("reading the dataset", len(dataset.images) - len(todo) + start + len(batch), len(dataset.images))
    if not any(reading is not None and reading.face.faces for reading in known.values()):
        raise InputRefused(
            f"the face instrument `{instruments.face.name}` finds no face in any of {len(dataset.images)} pictures.",
            path=dataset.path,
            advice="Check that it is the dataset the LoRA was trained on, or set [instruments] face.",
        )
    return tuple(known[image.sha256] for image in dataset.images)


def _trained_counts(dataset: Dataset, references: Sequence[Reading | None], environments: LabelSet) -> dict[str, int]:
    """How many pictures show each environment: the caption's word if it has one, else what CLIP reads."""
    counts: Counter[str] = Counter()
    for image, reading in zip(dataset.images, references, strict=True):
        named = [t for t in caption_tokens(image.caption or "") if t in environments.labels]
        seen = dossier.top_label(reading, environments) if reading is not None else None
        for label in {*named, *([seen] if seen else [])}:
            counts[label] += 1
    fair = max(2, round(0.05 * len(dataset.images)))  # one misread picture makes no environment
    return {label: count for label, count in counts.items() if count >= fair}


def _plan(
    settings: Settings, dataset: Dataset, references: Sequence[Reading | None], label_sets: Mapping[str, LabelSet]
) -> tuple[Cell, ...]:
    matrix = settings.matrix
    known = label_sets["environment"]
    counts = _trained_counts(dataset, references, known)
    chosen = choose_environments(counts, known.labels, seed=settings.seed)
    trained = matrix.trained_environments or tuple(name for name, is_trained in chosen if is_trained)
    novel = matrix.novel_environments or tuple(name for name, is_trained in chosen if not is_trained)

    def prompt_of(environment: str, framing: str) -> str:
        return build_prompt(
            class_token=settings.character.class_token, trigger=settings.trigger, identity_tokens=(),
            framing=framing, environment=environment,
        )  # fmt: skip

    return plan_cells(
        weights=sorted({0.0, *matrix.weights}),
        environments=[*((name, True) for name in trained), *((name, False) for name in novel)],
        framings=matrix.framings,
        replicates=matrix.replicates,
        prompt_of=prompt_of,
        negative_prompt=settings.render.negative_prompt or "",
        seed=settings.seed,
    )


def _fingerprint(
    settings: Settings, lora: LoraFile, dataset: Dataset, renderer: Any, instruments: Instruments
) -> dict[str, Any]:
    """All that changes a render or a reading; a run folder made under another one is refused."""
    return {
        "lora": lora.sha256,
        "dataset": _dataset_digest(dataset),
        "base": str(_base(settings.base)) if settings.base != "miniature" else _base_digest(Path(_base("miniature"))),
        "instruments": instruments.digest,
        "steps": renderer.steps,
        "guidance": renderer.guidance,
        "size": [renderer.width, renderer.height],
        "seed": settings.seed,
        "trigger": settings.trigger,
    }


def _dataset_digest(dataset: Dataset) -> str:
    lines = [f"{i.path.relative_to(dataset.path)} {i.sha256} {i.repeats} {i.caption}" for i in dataset.images]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "backslashreplace")).hexdigest()


def _base_digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            total.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return total.hexdigest()


def _render(run: RunFolder, renderer: Any, total: int, progress: Progress) -> None:
    pending = run.pending()
    done = total - len(pending)
    progress("rendering", done, total)
    for cell, picture in renderer.render(pending):
        if isinstance(picture, str):
            run.save_missing(cell, picture)
        else:
            run.save_image(cell, picture)
        done += 1
        progress("rendering", done, total)


def _read_renders(
    run: RunFolder, instruments: Instruments, progress: Progress
) -> tuple[dict[str, Reading], dict[str, str]]:
    from PIL import Image

    kind = f"render-{instruments.digest}"
    renders = run.renders()
    readings: dict[str, Reading] = {}
    missing = {r.cell.key: r.reason or "no image" for r in renders if r.image is None}
    drawn = [(r.cell.key, r.image) for r in renders if r.image is not None]
    for start in range(0, len(drawn), READ_AT_ONCE):
        batch = drawn[start : start + READ_AT_ONCE]
        stored = {key: run.get_reading(kind, key) for key, _ in batch}
        todo = [(key, image) for key, image in batch if stored[key] is None]
        if todo:
            fresh = instruments.read([Image.open(image).convert("RGB") for _, image in todo])
            for (key, _), reading in zip(todo, fresh, strict=True):
                run.put_reading(kind, key, reading)
                stored[key] = reading
        readings |= {key: reading for key, reading in stored.items() if reading is not None}
        progress("reading the renders", start + len(batch), len(drawn))
    return readings, missing


# ---------------------------------------------------------------- telling


def _facts(
    settings: Settings, study: Study, lora: LoraFile, measurements: tuple[Measurement, ...],
    instruments: Instruments, renderer: Any, run: RunFolder, policy: Policy,
) -> Diagnosis:  # fmt: skip
    """A Diagnosis with everything that was seen and nothing judged yet."""
    from lora_doctor.metrics.ruler import build_ruler

    ruler = build_ruler(study)
    score_of = None if isinstance(ruler, str) else ruler.score
    environments = {cell.environment: cell.trained for cell in study.cells}
    return Diagnosis(
        format_version=diagnosis_file.FORMAT_VERSION,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={
            "lora-doctor": __version__,
            **_versions(("torch", "diffusers", "transformers", "open_clip_torch", "insightface")),
        },
        inputs={"lora": lora.sha256, "dataset": _dataset_digest(study.dataset)},
        lora=dossier.describe_lora(lora, Path(settings.base).name),
        character={
            "trigger": settings.trigger,
            "class_token": settings.character.class_token,
            "spec": dict(study.spec),
        },
        instruments={
            "face": {
                "name": instruments.face.name,
                "licence": instruments.face.licence,
                "sha256": instruments.face.digest,
            },
            "clip": {"name": instruments.clip.name, "sha256": instruments.clip.digest},
        },
        matrix={
            "weights": sorted({cell.weight for cell in study.cells}),
            "environments": [{"name": name, "trained": trained} for name, trained in environments.items()],
            "framings": list(dict.fromkeys(cell.framing for cell in study.cells)),
            "replicates": settings.matrix.replicates,
            "ship_weights": list(study.ship_weights),
            "prompts": list(dict.fromkeys(cell.prompt for cell in study.cells)),
            "negative_prompt": study.cells[0].negative_prompt,
            "sampler": type(renderer.pipeline.scheduler).__name__,
            "steps": renderer.steps,
            "guidance": renderer.guidance,
            "seed": settings.seed,
        },
        cells=dossier.describe_cells(study, run.renders(), run.path, score_of, policy.identity_at_least),
        dataset=dossier.describe_dataset(
            study.dataset,
            study.references,
            study.label_sets,
            pictures=_thumbnails(study.dataset, run) if settings.report.private else None,
        ),
        measurements=measurements,
        findings=(),
        not_evaluated=(),
        prescription=Prescription(),
        verdict=Verdict(outcome="INCONCLUSIVE", sentence="Not judged yet."),
    )


def _thumbnails(dataset: Dataset, run: RunFolder) -> list[str]:
    """Small copies of the dataset's pictures in the run folder, for private reports."""
    from PIL import Image

    folder = run.path / "dataset"
    folder.mkdir(exist_ok=True)
    names = [f"dataset/{number:04d}.png" for number in range(len(dataset.images))]
    for name, image in zip(names, dataset.images, strict=True):
        picture = Image.open(image.path).convert("RGB")
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        picture.save(run.path / name)
    return names


def _versions(packages: Iterable[str]) -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _plain_settings(training: TrainingSettings) -> dict[str, Any]:
    from dataclasses import asdict

    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(training).items()}


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
