"""A comparison -> what `compare` shows in a terminal; nothing is printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lora_doctor.comparison_samples import WHOLE, unit_of
from lora_doctor.comparison_words import difference_text, level_text, place, quantity_name
from lora_doctor.terminal import heading, pairs, plain
from lora_doctor.types import Measurement

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from lora_doctor.comparison import Comparison, Contrast

_OUTCOME = {"SHIP": "green", "HOLD": "red", "INCONCLUSIVE": "yellow"}
_ANSWER = {"ship": "green", "close": "yellow", "inconclusive": "yellow", "none": "red"}
_STATES = (("worse", "red"), ("better", "green"), ("alike", "dim"), ("open", "dim"), ("not measured", "dim"))
_SAID = {"open": "cannot be told", "not measured": "not measured"}
_ROWS = 12


def page(comparison: Comparison) -> Iterable[RenderableType]:
    """The answer, the versions, what changed against the first, the best against the runner-up, trade-offs, terms."""
    from rich.rule import Rule as Line
    from rich.text import Text

    choice = comparison.choice
    title = f" {plain(comparison.trigger)}: {len(comparison.runs)} versions "
    yield Line(Text(title, style="bold"), align="left")
    yield f"[{_ANSWER[choice.answer]} bold]{plain(choice.sentence)}[/]"
    yield heading("Versions")
    yield _versions(comparison)
    first = comparison.runs[0].name
    for run in comparison.runs[1:]:
        yield heading(f"{plain(run.name)} against {plain(first)}")
        yield _changes([c for c in comparison.contrasts if c.run == run.name])
    if comparison.rivals and len(comparison.runs) > 2:
        one, other = comparison.rivals[0].run, comparison.rivals[0].against
        yield heading(f"The best against the runner-up: {plain(one)} against {plain(other)}")
        yield _changes(comparison.rivals)
    yield from _trade_offs(comparison)
    yield heading("Terms")
    yield _terms(comparison)


def _versions(comparison: Comparison) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=True, padding=(0, 2))
    table.add_column("", overflow="fold")
    table.add_column("verdict", header_style="dim")
    for weight in comparison.weights:
        mark = "*" if weight in comparison.ship_weights else ""
        table.add_column(f"{weight}{mark}", header_style="dim", justify="right")
    for run in comparison.runs:
        scores = [level_text(run.level("identity", weight)) for weight in comparison.weights]
        table.add_row(plain(run.name), f"[{_OUTCOME.get(run.outcome, '')}]{run.outcome}[/]", *scores)
    table.caption = "identity by weight"
    if comparison.ship_weights:
        table.caption += "; * = ship weights, over which the differences below are taken"
    table.caption_justify = "left"
    return table


def _changes(contrasts: Sequence[Contrast]) -> Table:
    """What got worse, better, and the rest; single weights only where they show what the whole does not."""
    table = pairs(indent=2)
    overall = {c.quantity: c for c in contrasts if c.whole}
    for state, style in _STATES:
        found = [c for c in overall.values() if c.state == state]
        if state in ("worse", "better"):
            for each in found:
                table.add_row(f"[{style}]{state}[/]", _told(each))
            single = [c for c in contrasts if not c.whole and c.state == state
                      and (c.quantity not in overall or overall[c.quantity].state != state)]  # fmt: skip
            for each in single:
                table.add_row(f"[{style}]{state}[/]", f"{_told(each)} [dim]{place(each.weight)}[/]")
        elif found:
            names = ", ".join(quantity_name(each.quantity) for each in found)
            table.add_row(_SAID.get(state, state), f"[dim]{plain(names)}[/]")
    return table


def _told(contrast: Contrast) -> str:
    return f"{plain(quantity_name(contrast.quantity))} {plain(difference_text(contrast.difference))}"


def _trade_offs(comparison: Comparison) -> Iterable[RenderableType]:
    """The versions and weights that none beats, where there are several."""
    from rich.table import Table

    front = [row for row in comparison.pareto if row.beaten_by is None]
    if len(front) < 2:
        return
    yield heading("Trade-offs: no version and weight is best in everything")
    table = Table(box=None, pad_edge=True, padding=(0, 1))
    table.add_column("", overflow="fold")
    for name in ("weight", *(name.replace("_", " ") for name in WHOLE)):
        table.add_column(name, header_style="dim", justify="right", no_wrap=True)
    for row in front[:_ROWS]:
        levels = [Measurement(name=name, value=row.levels.get(name), unit=unit_of(name)) for name in WHOLE]
        table.add_row(plain(row.run), row.weight, *map(level_text, levels))
    yield table
    if len(front) > _ROWS:
        yield f"  [dim]and {len(front) - _ROWS} more in --json[/]"


def _terms(comparison: Comparison) -> Table:
    table = pairs(indent=2)
    table.add_row("compared", f"{comparison.shared_cells} shared cells, {len(comparison.environments)} environments")
    table.add_row("ruler", plain(comparison.ruler))
    table.add_row("policy", plain(comparison.policy))
    for note in comparison.notes:
        table.add_row("[yellow]note[/]", plain(note))
    table.add_row("worse, better", "the whole 90 % interval lies beyond the smallest effect that matters")
    return table
