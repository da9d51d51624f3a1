"""Inspections -> what `inspect` shows of several files in a terminal: a table, or below each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lora_doctor.inspection_page import family_text, range_text
from lora_doctor.terminal import pairs, plain
from lora_doctor.wording import setting_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table

    from lora_doctor.inspection import Inspection


class SideBySide:
    """Several files as columns of one table, the rows in which they differ in bold; one below the other where a column
    would be narrower than its longest word."""

    def __init__(self, inspections: Sequence[Inspection]) -> None:
        self._names = [plain(name) for name in names_apart([each.lora.path for each in inspections])]
        self._told = [dict(_summary(each)) for each in inspections]
        rows = dict.fromkeys(row for one in self._told for row in one)
        self._rows = {row: [one.get(row, "-") for one in self._told] for row in rows}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[RenderableType]:
        """What rich asks of whatever can be printed."""
        from rich.measure import Measurement

        table = self._table()
        if Measurement.get(console, options.update(width=10**4), table).minimum <= options.max_width:
            yield table
        else:
            for name, one in zip(self._names, self._told, strict=True):
                yield f"[bold]{name}[/]"
                yield self._list(one)

    def _table(self) -> Table:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2))
        table.add_column("")
        for name in self._names:
            table.add_column(name, overflow="fold")
        for row, values in self._rows.items():
            table.add_row(row, *values, style="" if len(set(values)) == 1 else "bold")
        return table

    def _list(self, told: dict[str, str]) -> Table:
        table = pairs(indent=2)
        for row, values in self._rows.items():
            table.add_row(row, told.get(row, "-"), style="" if len(set(values)) == 1 else "bold")
        return table


def names_apart(paths: Sequence[Path]) -> list[str]:
    """The files' names; where several have one, each with as many of its folders as tell them apart, if any do."""
    alike = Counter(path.name for path in paths)
    return [path.name if alike[path.name] == 1 else _with_folders(path, paths) for path in paths]


def _with_folders(path: Path, paths: Sequence[Path]) -> str:
    whole = [other.absolute().parts for other in paths]
    own = path.absolute().parts
    for depth in range(2, len(own)):
        if sum(parts[-depth:] == own[-depth:] for parts in whole) == whole.count(own):
            return "/".join(own[-depth:])
    return str(path)


def _summary(inspection: Inspection) -> Iterable[tuple[str, str]]:
    lora, settings = inspection.lora, inspection.lora.record.settings
    spectrum = {m.name: m.value for m in inspection.measurements if not m.where}
    ranked = [module for module in lora.modules if module.rank]
    yield "family", family_text(inspection)
    yield "adapter", ", ".join(f"{n} {kind}" for kind, n in Counter(m.kind for m in lora.modules).most_common())
    yield "trainer", plain(inspection.lora.record.trainer or "unknown")
    yield "trigger", plain(", ".join(inspection.lora.record.triggers[:2]) or "-")
    yield "rank", range_text([module.rank for module in ranked])
    yield "alpha / rank", range_text([module.scale for module in ranked])
    for name, label, form in (
        ("spectrum.norm", "norm", "{:.3g}"), ("spectrum.k90_share", "rank used (k90)", "{:.0%}"),
        ("spectrum.null_ratio", "evenness (1 = chance)", "{:.2f}"), ("spectrum.dead_share", "dead modules", "{:.1%}"),
    ):  # fmt: skip
        value = spectrum.get(name)
        yield label, "-" if value is None else form.format(value)
    for field, label in (*(("learning_rate", "learning rate"),), ("steps", "steps planned"), ("epochs", "epochs")):
        yield label, plain(setting_text(value)) if (value := getattr(settings, field)) is not None else "-"
    done = inspection.lora.record.progress.steps
    yield "steps done", "-" if done is None else str(done)
    yield "size", f"{lora.size / 2**20:.1f} MiB"
    yield "findings", ", ".join(each.rule for each in inspection.findings) or "none"
