"""lora-doctor.toml and the command line -> Settings; the command line wins."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lora_doctor import settings_values as read
from lora_doctor.errors import InputRefused, UsageError
from lora_doctor.settings_toml import parse, refuse_escapes
from lora_doctor.types import FRAMINGS

FILE_NAME = "lora-doctor.toml"


@dataclass(frozen=True, kw_only=True, slots=True)
class CharacterSettings:
    """`[character]`: who the LoRA must show."""

    class_token: str | None = None
    """What prompts call the character a kind of; None = the class word that most captions say, empty = nothing."""
    spec: Mapping[str, str] = field(default_factory=dict)
    """Attribute -> label; empty = induced from the dataset."""
    with_others: bool = False
    """Whether it is meant for pictures of other people too, who must then stay themselves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstrumentSettings:
    """`[instruments]`: what looks at the pictures."""

    face: str | None = None
    """`miniature`, the name of an insightface pack, `yunet-sface`, or the absolute path of a folder of either; None =
    the miniature's where that is what is looked at, else it has to be named."""
    clip: str | None = None
    """`miniature`, an open_clip name, or the absolute path of a folder; None = as for `face`."""
    labels: Path | None = None
    """A label file of the user's own."""
    identity: tuple[str, ...] = ()
    """Instruments besides `face` that may measure identity, each `kind` or `kind:source`, `@head` for the head alone:
    the one with the clearest gap between floor and ceiling is used."""
    tagger: str | None = None
    """A danbooru tagger, by name or the absolute path of a folder: a second witness for colours."""
    body: str = "clip"
    """What embeds bodies with the head blanked: `clip` (the one above), a DINO model by name or the absolute path of a
    folder, or `none`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MatrixSettings:
    """`[matrix]`: what is rendered."""

    weights: tuple[float, ...] = (0.0, 0.4, 0.6, 0.7, 0.8, 1.0)
    """Ascending, 0 to 2, in hundredths; 0 is always there: it is the floor."""
    ship_weights: tuple[float, ...] = (0.7, 1.0)
    """The weights, out of `weights`, at which the LoRA must hold: the ends of the range that is claimed."""
    trained_environments: tuple[str, ...] | None = None
    """None = the dataset's most frequent ones."""
    novel_environments: tuple[str, ...] | None = None
    """None = drawn from those the dataset never shows."""
    replicates: int = 2
    """Pictures per weight, environment and framing before the first look."""
    most_replicates: int = 8
    """As many at most: one more a round, where something is open still, until the verdict is clear."""
    full: bool = False
    """True = all of `most_replicates` at once, and one look."""
    budget: int | None = None
    """Pictures at most; None = as many as the rounds need."""
    framings: tuple[str, ...] = FRAMINGS
    arms: tuple[str, ...] | None = None
    """What is rendered beside the matrix, by name (`described`, ...); None = every arm, empty = none, nor any probe."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderSettings:
    """`[render]`; None = the base model family's default."""

    steps: int | None = None
    guidance: float | None = None
    width: int | None = None
    """Pixels, a multiple of 8."""
    height: int | None = None
    """Pixels, a multiple of 8."""
    negative_prompt: str | None = None
    batch_size: int | None = None
    sampler: str | None = None
    """A scheduler class of diffusers, or `folder` = the one that the base model's folder names."""
    prediction_type: str | None = None
    """`epsilon` or `v_prediction`; None = as the base model says, or the LoRA that was trained with v-prediction."""
    clip_skip: int | None = None
    """As trainers count: 1 = the last layer. Stable Diffusion 1 and 2 only; None = as the LoRA was trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeSettings:
    """`[judge]`: by which rules."""

    policy: str = "standard"
    """The name of a preset, or the absolute path of a policy file."""
    rules: Path | None = None
    """A rules folder of the user's own; None = the built-in one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportSettings:
    """`[report]`."""

    private: bool = False
    """True = the report holds training pictures and captions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrainSettings:
    """`[retrain]`: how `retrain --run` starts a trainer. No part of a check-up, so that no run folder can bring it."""

    command: tuple[str, ...] | None = None
    """Program and arguments, with {config}, {dataset}, {output}, {lora}; None = the trainer's documented command."""
    folder: Path | None = None
    """Where it is started, the trainer's own folder; None = the new run's folder."""
    hours: float = 48.0
    """After so long the trainer is ended."""
    environment: tuple[str, ...] = ()
    """Names of variables that it is given besides those for libraries and devices, such as HF_TOKEN."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything a check-up needs to know; paths are absolute or relative to the working folder."""

    model: Path
    trigger: str
    dataset: Path
    out: Path
    base: str = "auto"
    """`auto` (by the LoRA's family), `miniature`, a hub id, or the absolute path of a folder or a checkpoint."""
    base_config: Path | None = None
    """For a single-file checkpoint: the folder of its configs and tokenizers."""
    training_config: Path | None = None
    seed: int = 0
    device: str = "auto"
    max_header: int | None = None
    """MiB of a LoRA file's header that are read at most; None = 6."""
    memory: str = "auto"
    """`auto`, `full`, `tiled`, `offload` or `sequential`: what a small graphics card can hold."""
    base_cache: bool = True
    """Whether weight-0 pictures are kept for the next LoRA of the same base model and prompts, and taken from there."""
    character: CharacterSettings = field(default_factory=CharacterSettings)
    instruments: InstrumentSettings = field(default_factory=InstrumentSettings)
    matrix: MatrixSettings = field(default_factory=MatrixSettings)
    render: RenderSettings = field(default_factory=RenderSettings)
    judge: JudgeSettings = field(default_factory=JudgeSettings)
    report: ReportSettings = field(default_factory=ReportSettings)
    source: Path | None = None
    """The lora-doctor.toml these come from; None = the command line alone."""


_SECTIONS: Mapping[str, Callable[..., Any]] = {
    "character": CharacterSettings,
    "instruments": InstrumentSettings,
    "matrix": MatrixSettings,
    "render": RenderSettings,
    "judge": JudgeSettings,
    "report": ReportSettings,
}
_RETRAIN = "retrain"
_TYPED = "command line"
"""Where a value comes from that no file has."""
_READERS: Mapping[str, Callable[[Any, Path], Any]] = {
    "trigger": read.token,
    "dataset": read.path,
    "base": read.name_or_place,
    "base_config": read.path,
    "training_config": read.path,
    "out": read.path,
    "seed": read.whole_number(0, 2**63 - 1),
    "device": read.device,
    "max_header": read.whole_number(1, 1024),
    "memory": read.one_of("auto", "full", "tiled", "offload", "sequential"),
    "base_cache": read.flag,
    "character.class_token": read.token_or_nothing,
    "character.spec": read.spec,
    "character.with_others": read.flag,
    "instruments.face": read.name_or_folder,
    "instruments.clip": read.name_or_folder,
    "instruments.labels": read.path,
    "instruments.identity": read.identity_instruments,
    "instruments.tagger": read.name_or_folder,
    "instruments.body": read.name_or_folder,
    "matrix.weights": read.weights(0),
    "matrix.ship_weights": read.weights(0.01),
    "matrix.trained_environments": read.environments,
    "matrix.novel_environments": read.environments,
    "matrix.replicates": read.whole_number(1, 1000),
    "matrix.most_replicates": read.whole_number(1, 1000),
    "matrix.full": read.flag,
    "matrix.budget": read.whole_number(1, 10**7),
    "matrix.framings": read.framings,
    "matrix.arms": read.arms,
    "render.steps": read.whole_number(1, 1000),
    "render.guidance": read.number(0, 100),
    "render.width": read.whole_number(16, 8192, 8),
    "render.height": read.whole_number(16, 8192, 8),
    "render.negative_prompt": read.line_or_nothing,
    "render.batch_size": read.whole_number(1, 4096),
    "render.sampler": read.line,
    "render.prediction_type": read.one_of("epsilon", "v_prediction"),
    "render.clip_skip": read.whole_number(1, 12),
    "judge.policy": read.name_or_toml,
    "judge.rules": read.path,
    "report.private": read.flag,
    "retrain.command": read.command,
    "retrain.folder": read.path,
    "retrain.hours": read.number(0.001, 10_000),
    "retrain.environment": read.variables,
}
"""Every key there is, as it is dotted in messages."""


def load_settings(model: Path, overrides: Mapping[str, Any]) -> Settings:
    """Settings for `model` from the lora-doctor.toml beside it, else in the working folder, and `overrides`.

    `overrides` has the file's keys, nested or dotted (`matrix.replicates`); None means not given. Paths in the file
    are relative to its folder, paths in `overrides` to the working folder. Raises InputRefused when there is no model,
    UsageError (file, key, what to write instead) for an unknown key, a value that does not fit, or a missing one.
    """
    if not model.is_file():
        what = "is a folder." if model.is_dir() else "no such file."
        raise InputRefused(what, path=model, advice="Give the LoRA's .safetensors file.")
    source = next((path for path in (model.parent / FILE_NAME, Path(FILE_NAME)) if path.is_file()), None)
    values: dict[str, Any] = {}
    if source is not None:
        values |= _stored(source)
    given = _flatten(overrides)
    values |= _read_values(given, Path(), _TYPED)
    if missing := [key for key in ("trigger", "dataset") if key not in values]:
        advice = f"Write `{missing[0]} = ...` into {source or FILE_NAME}."
        if source is None:
            raise UsageError(f"no {FILE_NAME} beside {model} or in this folder.", advice=advice)
        raise UsageError(f"`{missing[0]}` is missing.", path=source, advice=advice)
    values.setdefault("out", model.with_name(f"{model.stem}-checkup"))
    settings = _assemble(values, model, source)
    _check_matrix(settings.matrix, {key: _TYPED if key in given or source is None else str(source) for key in _READERS})
    return settings


def load_retrain(config: Path) -> RetrainSettings:
    """`[retrain]` of the lora-doctor.toml beside a training config, else of the one in the working folder.

    The defaults where there is none; raises UsageError as `load_settings` does.
    """
    source = next((path for path in (config.parent / FILE_NAME, Path(FILE_NAME)) if path.is_file()), None)
    values = {} if source is None else _stored(source)
    return RetrainSettings(**_section(values, _RETRAIN))


def load_audit_tables(dataset: Path) -> dict[str, Any]:
    """Dotted keys of the lora-doctor.toml in the dataset's folder, beside the dataset or in the working folder, read.

    Empty where there is none; raises UsageError as `load_settings` does.
    """
    places = (dataset / FILE_NAME, dataset.parent / FILE_NAME, Path(FILE_NAME))
    source = next((path for path in places if path.is_file()), None)
    return {} if source is None else _stored(source)


def to_plain(settings: Settings) -> dict[str, Any]:
    """Settings as JSON can hold them; paths become absolute, so that another working folder reads the same."""

    def plain(value: Any) -> Any:
        if isinstance(value, Path):
            return str(value.resolve())
        if isinstance(value, Mapping):
            return {key: plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, tuple) else value

    return {key: plain(value) for key, value in asdict(settings).items()}


def from_plain(values: Mapping[str, Any], *, run: Path | None = None) -> Settings:
    """The Settings that `to_plain` made the values from, but for paths being absolute.

    `run` is the folder that they are stored in. Raises UsageError for a key more or fewer than there are today.
    """
    try:
        return _restored(values)
    except (TypeError, KeyError):
        what = "was made by another lora-doctor: its settings are not those of this one."
        raise UsageError(what, path=run, advice="Use that one, or check the LoRA again into another folder.") from None


def _restored(values: Mapping[str, Any]) -> Settings:
    def restored(kind: Callable[..., Any], plain: Mapping[str, Any], paths: Sequence[str]) -> Any:
        made = {key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()}
        found = {key: Path(str(made[key])) for key in paths if made.get(key) is not None}
        return kind(**made | found)

    paths = {"instruments": ("labels",), "judge": ("rules",)}
    tables = {name: restored(kind, values[name], paths.get(name, ())) for name, kind in _SECTIONS.items()}
    top = {key: value for key, value in values.items() if key not in _SECTIONS}
    settings: Settings = restored(
        Settings, top | tables, ("model", "dataset", "out", "training_config", "source", "base_config")
    )
    return settings


def _stored(source: Path) -> dict[str, Any]:
    """The values of a lora-doctor.toml, by dotted keys."""
    flat = _flatten(parse(source))
    for key, value in flat.items():
        refuse_escapes(key, value, source)
    return _read_values(flat, source.parent, str(source))


def _flatten(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables -> dotted keys; `character.spec` stays a table, its keys are the user's."""
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        if key in (*_SECTIONS, _RETRAIN) and isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": inner_value for inner, inner_value in value.items()}
        else:
            flat[key] = value
    return {key: value for key, value in flat.items() if value is not None}


def _read_values(flat: Mapping[str, Any], folder: Path, where: str) -> dict[str, Any]:
    """Each value checked and in its final type."""
    values = {}
    for key, value in flat.items():
        if key not in _READERS:
            name = key if key.isprintable() else ascii(key)
            raise UsageError(f"unknown key `{name}`.", path=where, advice=_did_you_mean(key))
        try:
            values[key] = _READERS[key](value, folder)
        except ValueError as error:
            raise UsageError(f"`{key}` {error}.", path=where, advice=f"It is {_shown(value)} now.") from None
    return values


def _did_you_mean(key: str) -> str:
    """The nearest known key: as it is written, or one with nearly the same last part in another table."""
    known = {name: f"`{name}`" for name in _READERS} | {name: f"`[{name}]`" for name in (*_SECTIONS, _RETRAIN)}
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
    if not near:
        by_last_part = {name.rpartition(".")[2]: name for name in known}
        close = difflib.get_close_matches(key.rpartition(".")[2], by_last_part, n=1, cutoff=0.6)
        near = [by_last_part[name] for name in close]
    return f"Did you mean {known[near[0]]}?" if near else f"Known keys: {', '.join(_READERS)}."


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _assemble(values: Mapping[str, Any], model: Path, source: Path | None) -> Settings:
    tables: dict[str, Any] = {name: kind(**_section(values, name)) for name, kind in _SECTIONS.items()}
    plain = {key: value for key, value in values.items() if "." not in key}
    return Settings(model=model, source=source, **plain, **tables)


def _section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    start = f"{name}."
    return {key.removeprefix(start): value for key, value in values.items() if key.startswith(start)}


def _check_matrix(matrix: MatrixSettings, where: Mapping[str, str]) -> None:
    """What no single key can tell; `where` each key comes from."""
    if stray := [weight for weight in matrix.ship_weights if weight not in matrix.weights]:
        listed = ", ".join(f"{weight:g}" for weight in stray)
        raise UsageError(
            f"`matrix.ship_weights` has {listed}, which `matrix.weights` has not.",
            path=where["matrix.ship_weights"],
            advice="Add them there, or take them out here.",
        )
    if matrix.most_replicates < matrix.replicates:
        what = f"`matrix.most_replicates` is {matrix.most_replicates}, below `matrix.replicates` ({matrix.replicates})."
        place = where["matrix.most_replicates"]
        raise UsageError(what, path=place, advice="Raise it to as many: then there is one round.")
    if both := set(matrix.trained_environments or ()) & set(matrix.novel_environments or ()):
        what = f"{_shown(min(both))} is both a trained and a novel environment."
        raise UsageError(what, path=where["matrix.novel_environments"], advice="Name it in one of the two lists.")
    if matrix.budget is not None and matrix.budget < (least := least_pictures(matrix)):
        what = f"`matrix.budget` is {matrix.budget}, and the first round of the matrix alone is {least} or more."
        place = where["matrix.budget"]
        raise UsageError(what, path=place, advice="Raise it, or take fewer replicates, weights or framings.")


def least_pictures(matrix: MatrixSettings) -> int:
    """Pictures that the first round of the matrix has at least; how many environments there are, the dataset tells."""
    environments = len((*(matrix.trained_environments or ()), *(matrix.novel_environments or ())))
    rounds = matrix.most_replicates if matrix.full else matrix.replicates
    return len(matrix.weights) * max(1, environments) * len(matrix.framings) * rounds
