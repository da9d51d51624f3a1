"""sd-scripts: where each setting stands, in the file of arguments and in the dataset config that it names. Pure.

Source: kohya-ss/sd-scripts library/train_util.py (read_config_from_file: sections are flattened), library/
config_util.py (generate_params_by_fallbacks: subset, dataset, general, then the arguments; None is absent, 0 is not).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_doctor.edits.by_ending import parsed
from lora_doctor.edits.edit import REMOVED
from lora_doctor.named_places import found_file
from lora_doctor.trainers.places import Place
from lora_doctor.types import ConfigFiles

_GOES_ON = "resume"
"""A saved state that a training goes on from."""
_SCHEDULE = ("T_max", "T_0", "total_iters", "first_cycle_max_steps")
"""Lengths in steps among the arguments that a scheduler's class takes."""
NO_RATE = "learning_rate: Adafactor finds its rate itself without relative_step=False in optimizer_args; it stays."
GOES_ON_NO_MORE = f"{_GOES_ON} is taken out for the new training: it would go on from the old LoRA's."
OTHER_NAMES = {"train_batch_size": "batch_size", "max_resolution": "resolution"}
"""Arguments whose name in a dataset config is another."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its place."""

    place: Place
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Subset:
    """A folder of pictures: its table, and those that its settings fall back to, nearest first."""

    layers: tuple[Table, ...]

    @property
    def table(self) -> Table:
        """Its own."""
        return self.layers[0]

    @property
    def regularisation(self) -> bool:
        """Whether its pictures only keep the base model as it is."""
        return self.table.values.get("is_reg") is True

    def holder(self, key: str) -> tuple[Table, str] | None:
        """The nearest table that gives the setting, and the name that it gives it; None where none does."""
        for table in self.layers:
            for name in (key, *(other for other, own in OTHER_NAMES.items() if own == key)):
                if table.values.get(name) not in (None, ""):
                    return table, name
        return None

    def value(self, key: str) -> Any:
        """The setting as sd-scripts finds it; None where it is nowhere."""
        held = self.holder(key)
        return None if held is None else held[0].values[held[1]]


@dataclass(frozen=True, slots=True)
class Args:
    """The arguments, flattened."""

    values: Mapping[str, Any]
    places: Mapping[str, Place]
    new: Place
    """The table that new arguments go to."""

    def get(self, name: str) -> Any:
        """The value; None where it is not given, or empty."""
        value = self.values.get(name)
        return None if value == "" else value

    def place(self, name: str) -> Place:
        """Where the argument stands, or where it is to stand."""
        return self.places.get(name, self.new.below(name))

    def pairs(self, name: str) -> Mapping[str, str]:
        """An argument that is a list of `name=value`."""
        listed = self.get(name)
        pairs = [str(one).split("=", 1) for one in (listed if isinstance(listed, list) else [listed])]
        return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}

    @property
    def schedule(self) -> dict[str, Any]:
        """The lengths that the schedule of the learning rate has of its own, in steps.

        Source: library/train_util.py (get_scheduler_fix: lr_scheduler_args go to the scheduler's class as they are).
        """
        told = self.pairs("lr_scheduler_args")
        own = {name: told[name] for name in _SCHEDULE if name in told}
        return {name: self.get(name) for name in ("lr_decay_steps", "lr_scheduler_timescale")} | own

    @property
    def finds_its_rate(self) -> bool:
        """Whether the optimiser is Adafactor as it is by default: what the arguments say of rates is passed over then.

        Source: library/train_util.py (get_optimizer), and the same in musubi-tuner's training/trainer_base.py.
        """
        told = self.pairs("optimizer_args")
        relative = told.get("relative_step", "True") != "False" or told.get("warmup_init") == "True"
        return str(self.get("optimizer_type")).lower() == "adafactor" and relative

    @property
    def goes_on(self) -> bool:
        """Whether the training goes on from the saved state of another."""
        return self.get(_GOES_ON) is not None

    def anew(self, output: Path) -> dict[Place, Any]:
        """What makes it a training of its own, with the new LoRA going to the folder `output`."""
        values: dict[Place, Any] = {self.place("output_dir"): str(output.absolute())}
        return values | ({self.place(_GOES_ON): REMOVED} if self.goes_on else {})

    def table(self) -> Table:
        """As what subsets fall back to at last."""
        return Table(self.new, self.values)


def args_of(path: Path, text: str) -> Args:
    """The arguments of a config, from all of its sections; new ones go where `network_dim` or its like is."""
    config = parsed(path, text)
    values: dict[str, Any] = {}
    places: dict[str, Place] = {}
    for key, value in config.items() if isinstance(config, dict) else ():
        section = value if isinstance(value, dict) else {key: value}
        keys = (key,) if isinstance(value, dict) else ()
        for name, one in section.items():
            values[name], places[name] = one, Place(path, (*keys, name))
    beside = next((places[name] for name in ("network_dim", "network_module", "learning_rate") if name in places), None)
    return Args(values, places, Place(path, beside.keys[:-1] if beside else ()))


def dataset_path(args: Args, path: Path) -> Path | None:
    """The dataset config that the arguments name, beside them where there is no such file; None where none is named."""
    name = args.get("dataset_config")
    return found_file(name, path) or path.parent / name if isinstance(name, str) else None


def subsets_of(config: ConfigFiles, path: Path, args: Args | None) -> list[Subset]:
    """The subsets of the dataset config at `path`, one of the config's files."""
    data = parsed(path, config.texts.get(path, ""))
    if not isinstance(data, dict):
        return []
    root, outer = Place(path, ()), (args.table(),) if args else ()
    general = Table(root.below("general"), data["general"] if isinstance(data.get("general"), dict) else {})
    found = []
    for dataset in tables_of(root, data, "datasets"):
        for subset in tables_of(dataset.place, dataset.values, "subsets"):
            found.append(Subset((subset, dataset, general, *outer)))
    return found


def tables_of(place: Place, values: Mapping[str, Any], key: str) -> Iterator[Table]:
    """The tables in the list that stands at `key` of a table."""
    listed = values.get(key)
    for number, one in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(one, dict):
            yield Table(place.below(key, number), one)
