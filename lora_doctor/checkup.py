"""The order of a check-up's stages; the only file that knows them all.

`run_checkup` looks (files, renders, instruments), stores what it saw in the run folder, and has it judged.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from lora_doctor import diagnosis as diagnosis_file
from lora_doctor.arm_plan import ArmPlan, plan_arms
from lora_doctor.base_cache import open_base_cache
from lora_doctor.base_choice import Base, chosen_base, open_base, with_render_defaults
from lora_doctor.base_identity import compare_base
from lora_doctor.class_token import class_token_of, load_class_words
from lora_doctor.compared_run import HOW
from lora_doctor.dataset_layout import read_dataset
from lora_doctor.devices import release_memory
from lora_doctor.facts import facts_of
from lora_doctor.inspection import measure_file
from lora_doctor.instrument_choice import MINIATURE, with_instruments
from lora_doctor.instrument_files import warn
from lora_doctor.instruments import (
    Instruments,
    Progress,
    label_sets_of,
    least_face_of,
    open_instruments,
    read_redrawn,
    read_references,
    read_renders,
    silent,
)
from lora_doctor.judgement import judge, load_judges
from lora_doctor.look_alikes import copies_among
from lora_doctor.lora_file import read_lora
from lora_doctor.lora_tensors import require_sound
from lora_doctor.lora_variants import most_directions
from lora_doctor.matrix_plan import asking, plan_matrix, require_places
from lora_doctor.metrics.identity_choice import Choice, choose_identity
from lora_doctor.other_people import as_chosen
from lora_doctor.plugins import find
from lora_doctor.public_measurements import public
from lora_doctor.redrawing import pictures_to_redraw
from lora_doctor.roles import classify_roles
from lora_doctor.run_fingerprint import decoder_digest, fingerprint_of, memory_for, note_way, ways_remark
from lora_doctor.run_folder import RunFolder
from lora_doctor.safetensors_scan import require_unchanged
from lora_doctor.sequence import never_judged, require_budget, until_decided
from lora_doctor.settings import Settings, to_plain
from lora_doctor.spec import asked_by_name, induce_spec
from lora_doctor.training_config import training_settings
from lora_doctor.trigger_remark import trigger_remark
from lora_doctor.types import (
    ArmCase,
    Case,
    Cell,
    Dataset,
    Diagnosis,
    LabelSet,
    LoraFile,
    Measurement,
    Reading,
    Study,
    TrainingSettings,
)
from lora_doctor.upright import reading_key
from lora_doctor.upright import remark as lying


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


def run_checkup(
    settings: Settings, progress: Progress = silent, announce: Callable[[str], None] | None = None
) -> Diagnosis:
    """Look, measure, judge and draw; the run folder `settings.out` then holds diagnosis.json and report.html.

    `announce` is told, a sentence each, that no caption holds the trigger, what is about to be downloaded, and what the
    policy demands and the matrix has not; None = all but the first as a warning. Resumes whatever an earlier call with
    the same settings left unfinished. Raises the children of LoraDoctorError.
    """
    clock = _Clock()
    judges = load_judges(settings.judge.rules, settings.judge.policy)
    with clock.stage("files"):
        lora = read_lora(settings.model, max_header=settings.max_header)
        require_sound(lora)
        dataset = read_dataset(settings.dataset)
        training = training_settings(settings.training_config, lora)
        unsaid = trigger_remark(dataset, settings.trigger, label_sets_of(settings.instruments))
        if unsaid is not None and announce is not None:
            announce(unsaid.told)
    with RunFolder(settings.out) as run:  # first: that nothing can be written there is said before gigabytes are loaded
        with clock.stage("load"), _noted_warnings() as notes:
            settings, tools = _opened(settings, lora, memory_for(settings, run), announce)
        with clock.stage("files"):
            renderer, instruments, base = tools.renderer, tools.instruments, tools.base
            fingerprint = fingerprint_of(settings, lora, dataset, renderer, instruments, base)
        run.refuse_other(fingerprint, free=HOW)
        with clock.stage("dataset"):
            references = read_references(dataset, instruments, run, progress)
            least_face = least_face_of(dataset, references, instruments, run)
        dataset = classify_roles(dataset, references, instruments.label_sets)
        spec = induce_spec(dataset, references, instruments.label_sets, settings.character.spec)
        kind, remark = class_token_of(dataset, settings.character.class_token, load_class_words())
        settings = replace(settings, character=replace(settings.character, class_token=kind))
        person = _Known(
            dataset=dataset, references=references, spec=spec, class_token=kind,
            asked=asked_by_name(spec, dataset, references, instruments.label_sets),
        )  # fmt: skip
        plan, beside, remarks = _planned(settings, tools, person, lora)
        for sentence in never_judged(plan, judges.policy):
            (announce or warn)(sentence)
            notes.append(sentence)
        notes += [one for one in (remark, lying(dataset), *remarks) if one is not None]
        case = Case(
            lora=lora, dataset=dataset, references=references, training=training, trigger=settings.trigger,
            label_sets=instruments.label_sets, spec=spec,
            base=compare_base(lora.record.base, base.source, base.family), side=_side(settings),
        )  # fmt: skip

        with clock.stage("measure"):
            of_files = (*audited(case), *measure_file(lora))
            copies = copies_among(dataset, references)
        with clock.stage("dataset"):
            redrawn = read_redrawn(
                dataset, pictures_to_redraw(
                    [image.sha256 for image in dataset.images], references, instruments.label_sets, copies
                ),
                renderer.redraw, instruments, run, progress, drawn_by=decoder_digest(fingerprint),
            )  # fmt: skip
        choices: list[Choice] = []
        same_from = instruments.same_from

        def see(known: Sequence[Cell], new: Sequence[Cell], bound: float) -> tuple[Study, tuple[Measurement, ...]]:
            run.put_plan(fingerprint, known, free=HOW)
            if run.pending():
                note_way(run, fingerprint, base.memory)
            with clock.stage("render"):
                _render(run, renderer, new, len(known) - len(new), progress)
            release_memory()  # the instruments compute beside the base model, some of them not in torch
            with clock.stage("read"):
                readings, missing = read_renders(run, instruments, progress)
            arms = {name: tuple(c for c in known if c.arm == name) for name in dict.fromkeys(c.arm for c in known)}
            study = Study(
                cells=arms.pop("", ()), arms=arms, renders=readings, missing=missing, dataset=dataset,
                references=references, label_sets=instruments.label_sets, spec=spec,
                ship_weights=settings.matrix.ship_weights, asked=person.asked, bound=bound,
                with_others=settings.character.with_others, held=judges.policy.identity_at_least,
                copies=copies, least_face=least_face, redrawn=redrawn, same_from=same_from[instruments.face.name],
            )  # fmt: skip
            with clock.stage("measure"):
                choices.append(choose_identity(study, instruments.face.name, instruments.similarities, *choices[:1]))
                study = as_chosen(case, choices[-1], instruments.face.name, same_from)
                found = (*measure(study), *of_files)
                return study, found if settings.report.private else public(found, instruments.label_sets)

        done = until_decided(plan, settings.matrix, judges, see, run, lora=lora.sha256, beside=beside)
        require_unchanged(lora.path, lora.sha256)
        facts = facts_of(settings, done, lora, instruments, renderer, run, base)
        facts = replace(
            facts, warnings=tuple(notes), timings=clock.seconds,
            verdict=replace(facts.verdict, warnings=() if unsaid is None else (unsaid.public,)),
        )  # fmt: skip
        if (otherwise := ways_remark(run)) is not None:
            facts = replace(facts, warnings=(*facts.warnings, otherwise))
        choice = choices[-1]
        if choice.sentence is not None:
            told = {**facts.instruments, "identity": choice.described}
            facts = replace(facts, instruments=told, warnings=(*facts.warnings, choice.sentence))
        run.put_json("facts", json.loads(diagnosis_file.to_json(facts)))
        run.put_json("training", _plain_settings(training))
        run.put_json("label_sets", {name: [s.kind, *s.labels] for name, s in instruments.label_sets.items()})
        run.put_json("references", [reading_key(dataset, image) for image in dataset.images])
        run.put_json("identity", {
            "measured_with": choice.chosen, "least_face": least_face,
            "copies": _keys(dataset, copies), "others": _keys(dataset, done.study.others.groups),
        })  # fmt: skip
        run.put_json("settings", to_plain(settings))
        return judge(run, judges, private=settings.report.private)


@dataclass(frozen=True, kw_only=True)
class _Tools:
    """What draws and what looks."""

    base: Base
    renderer: Any
    instruments: Instruments
    places: LabelSet


def _opened(
    settings: Settings, lora: LoraFile, memory: str, announce: Callable[[str], None] | None
) -> tuple[Settings, _Tools]:  # fmt: skip
    """Everything that has to be loaded, and the settings with what depends on it."""
    settings = replace(settings, base=chosen_base(settings.base, lora))
    if settings.base == MINIATURE or lora.family != "unknown":  # before gigabytes are loaded
        settings = with_instruments(settings, MINIATURE if settings.base == MINIATURE else lora.family)
    base = open_base(replace(settings, memory=memory), lora, announce)
    settings = with_render_defaults(with_instruments(settings, base.family), base)
    renderer = _renderer(settings, base.pipeline, lora)
    renderer.base_cache = open_base_cache(renderer, base, wanted=settings.base_cache)
    instruments = open_instruments(settings, announce or warn)
    places = require_places(instruments.label_sets, settings)
    return settings, _Tools(base=base, renderer=renderer, instruments=instruments, places=places)


@dataclass(frozen=True, kw_only=True)
class _Known:
    """The dataset as the instruments see it, and what prompts say of the character."""

    dataset: Dataset
    references: tuple[Reading | None, ...]
    spec: Mapping[str, str]
    asked: tuple[str, ...]
    class_token: str


def _planned(
    settings: Settings, tools: _Tools, known: _Known, lora: LoraFile
) -> tuple[tuple[Cell, ...], ArmPlan, tuple[str, ...]]:
    """The cells of the matrix and of the arms beside it, all rounds, and what is to be said of them."""
    sets, matrix = tools.instruments.label_sets, settings.matrix
    ask = asking(settings, sets, {name: known.spec[name] for name in known.asked})
    plan, remarks = plan_matrix(settings, known.dataset, known.references, tools.places, ask)
    case = ArmCase(
        matrix=plan, ask=ask, trigger=settings.trigger, class_token=known.class_token, spec=known.spec,
        asked=known.asked, label_sets=sets, dataset=known.dataset, references=known.references,
        ship_weights=matrix.ship_weights, seed=settings.seed, rank=most_directions(lora.modules),
        fitted=tools.renderer.fitted,
    )  # fmt: skip
    beside = plan_arms(case, matrix.arms)
    require_budget(plan, matrix, beside)
    return plan, beside, (*remarks, *beside.remarks)


def _keys(dataset: Dataset, groups: Iterable[Sequence[int]]) -> list[list[str]]:
    """Groups of the dataset's pictures, by the keys of their readings."""
    return [[reading_key(dataset, dataset.images[index]) for index in group] for group in groups]


def _side(settings: Settings) -> int | None:
    """Of a square of the area that is rendered at, pixels."""
    width, height = settings.render.width, settings.render.height
    return None if width is None or height is None else math.isqrt(width * height)


def measure(study: Study) -> tuple[Measurement, ...]:
    """Everything that metrics have to say of renders, in the order of their file names."""
    return tuple(m for module in find("metrics", needs="measure").values() for m in module.measure(study))


def audited(case: Case) -> tuple[Measurement, ...]:
    """Everything that audits have to say of the files, in the order of their file names."""
    return tuple(m for module in find("audits", needs="audit").values() for m in module.audit(case))


# ---------------------------------------------------------------- looking


def _renderer(settings: Settings, pipeline: Any, lora: LoraFile) -> Any:
    from lora_doctor.render import Renderer

    own = ("steps", "guidance", "width", "height", "batch_size")
    return Renderer(pipeline, lora, **{name: getattr(settings.render, name) for name in own})


def _render(run: RunFolder, renderer: Any, cells: Sequence[Cell], before: int, progress: Progress) -> None:
    """Render what is missing of a round's cells; `before` = how many cells earlier rounds had."""
    done = set(cells) - set(run.pending())
    ready, total = before + len(done), before + len(cells)
    progress("rendering", ready, total)
    # The matrix in batches of its own: its pictures are, to the bit, those of a check-up without arms.
    apart = [cell for cell in cells if not cell.arm], [cell for cell in cells if cell.arm]
    for cell, picture in chain.from_iterable(renderer.render(part, done) for part in apart):
        if isinstance(picture, str):
            run.save_missing(cell, picture)
        else:
            run.save_image(cell, picture)
        ready += 1
        progress("rendering", ready, total)


def _plain_settings(training: TrainingSettings) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(training).items()}
