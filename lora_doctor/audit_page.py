"""An audit -> what `audit` shows in a terminal: roles, captions, pictures, findings; nothing is printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lora_doctor.article_band import article_band
from lora_doctor.dossier import name_in
from lora_doctor.instrument_choice import ADVICE
from lora_doctor.terminal import finding_told, heading, measured, pairs, plain
from lora_doctor.types import IDENTITY_EMPHASIS, IN_CONTEXT, Measurement

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from lora_doctor.dataset_audit import Audit
    from lora_doctor.types import Finding

BAR = 36
FILES_SHOWN = 6
SKIPPED_SHOWN = 8
_VARIETY = (
    ("dataset.environments", "environments"), ("dataset.outfits", "outfits"), ("dataset.poses", "poses"),
    ("dataset.framings", "framings"), ("dataset.lights", "lights"),
)  # fmt: skip
_TEXT = (
    ("captions.trigger_coverage", "hold the trigger"), ("captions.missing_share", "missing"),
    ("captions.near_identical_share", "nearly identical"), ("captions.cut_off_share", "longer than the encoder reads"),
    ("captions.prose_share", "prose"),
)  # fmt: skip
_PICTURES = (
    ("pictures.duplicate_share", "near-duplicates"), ("pictures.small_share", "smaller than trained at"),
    ("pictures.head_cut_share", "heads cut by buckets"), ("people.stranger_share", "another person"),
    ("dataset.no_face_share", "without a face"), ("pictures.text_share", "with writing"),
)  # fmt: skip


def page(audit: Audit) -> Iterable[RenderableType]:
    """What was audited, the roles as a bar, captions, pictures, pictures against captions, findings."""
    from rich.rule import Rule as Line
    from rich.text import Text

    yield Line(Text(f" {plain(audit.dataset.path.name)} ", style="bold"), align="left")
    yield _what(audit)
    yield heading("Roles")
    yield from _roles(audit)
    yield heading("Character and captions")
    yield _character(audit)
    yield _shares(audit, _TEXT)
    yield heading("Pictures")
    yield _variety(audit)
    yield _shares(audit, _PICTURES)
    yield heading("Findings")
    yield from _findings(audit)


def _measurement(audit: Audit, name: str, **where: str) -> Measurement | None:
    return next((m for m in audit.measurements if m.name == name and dict(m.where) == where), None)


def _what(audit: Audit) -> Table:
    dataset, table = audit.dataset, pairs()
    shown = sum(image.repeats for image in dataset.images)
    again = "" if shown == len(dataset.images) else f", shown {shown:g} times an epoch"
    table.add_row("pictures", f"[bold]{len(dataset.images)}[/]{again}")
    habits = "a plain folder" if dataset.trainer == "folder" else f"{dataset.trainer} reads it"
    table.add_row("read as", plain(habits))
    for note in dataset.notes:
        table.add_row("", f"[dim]{plain(note)}[/]")
    for kind, told in audit.record.instruments.items():
        unread = f"[yellow]nothing: {plain(str(told))}.[/] [dim]Files and captions alone are judged. {plain(ADVICE)}[/]"
        named = "" if kind == "none" else _instrument(kind, told["name"], told["licence"])
        table.add_row("looked at by", plain(named) if named else unread)
    for subset in dataset.subsets if len(dataset.subsets) > 1 else ():
        own = sum(dataset.subsets[image.subset] is subset for image in dataset.images)
        table.add_row("", plain(f"{name_in(dataset, subset.folder)}: {own} pictures x {subset.repeats:g}"))
    if dataset.regularisation:
        table.add_row("", f"{dataset.regularisation} regularisation pictures, not looked at")
    table.add_row("trigger", plain(audit.case.trigger or "not known"))
    table.add_row("", f"[dim]{plain(audit.trigger_reason)}[/]")
    for each in sorted(dataset.skipped, key=lambda each: each.remark)[:SKIPPED_SHOWN]:
        label = "[dim]odd[/]" if each.remark else "[yellow]left out[/]"
        table.add_row(label, f"[yellow]{plain(name_in(dataset, each.path))}[/] {plain(each.reason)}")
    if (more := len(dataset.skipped) - SKIPPED_SHOWN) > 0:
        table.add_row("", f"and {more} more (--json --private lists them)")
    return table


def _instrument(kind: str, name: str, licence: str) -> str:
    """`clip ViT-B-32 (licence: MIT)`, the kind once where it is the name too."""
    return f"{' '.join(dict.fromkeys((kind, name)))} (licence: {licence})"


def _roles(audit: Audit) -> Iterable[RenderableType]:
    counts = {role: sum(i.role == role for i in audit.dataset.images) for role in (IDENTITY_EMPHASIS, IN_CONTEXT)}
    unknown = sum(i.role is None for i in audit.dataset.images)
    ratio = _measurement(audit, "dataset.identity_ratio")
    if ratio is not None and ratio.value is not None:
        filled = round(BAR * min(1.0, max(0.0, ratio.value)))
        interval = f" [{ratio.interval[0]:.2f}, {ratio.interval[1]:.2f}]" if ratio.interval else ""
        bar = f"[cyan]{'█' * filled}[/][dim]{'░' * (BAR - filled)}[/]"
        yield f"  {bar}  identity ratio [bold]{ratio.value:.2f}[/]{interval}"
        band = article_band()
        marks = "".join("▔" if band.low <= (i + 0.5) / BAR <= band.high else " " for i in range(BAR))
        yield f"  [green]{marks}[/]  [dim]{band.low:g} to {band.high:g} is the article's band, {band.aim:g} its aim[/]"
    table = pairs(indent=2)
    for role, count in counts.items():
        table.add_row(role, str(count))
    if unknown:
        table.add_row("no role", str(unknown))
    for line in audit.plan:
        table.add_row("", plain(line))
    yield table


def _character(audit: Audit) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=True, padding=(0, 2))
    for name in ("attribute", "character's", "visible", "captioned", "in all captions"):
        table.add_column(name, header_style="dim", justify="left" if name in ("attribute", "character's") else "right")
    for attribute, label in audit.case.spec.items():
        visible = _measurement(audit, "binding.visible", attribute=attribute, label=label)
        captioned = _measurement(audit, "binding.captioned", attribute=attribute, label=label)
        named = _measurement(audit, "captions.identity_token_coverage", attribute=attribute)
        table.add_row(attribute.replace("_", " "), plain(label), *(_percent(m) for m in (visible, captioned, named)))
    return table


def _variety(audit: Audit) -> Table:
    table = pairs(indent=2)
    found = [(label, m) for name, label in _VARIETY if (m := _measurement(audit, name)) and m.value is not None]
    told = [f"{m.value:.1f} {label}" for label, m in found]
    if told:
        table.add_row("effective number of", ", ".join(told))
    return table


def _shares(audit: Audit, names: Sequence[tuple[str, str]]) -> Table:
    table = pairs(indent=2)
    for name, label in names:
        if (m := _measurement(audit, name)) is not None and (m.value is not None or m.reason):
            value = _percent(m) if m.value is not None else f"[dim]{plain(m.reason or '')}[/]"
            table.add_row(label, value)
    return table


def _percent(m: Measurement | None) -> str:
    return "-" if m is None or m.value is None else f"{m.value:.0%}"


def _findings(audit: Audit) -> Iterable[RenderableType]:
    if not audit.findings:
        yield "  [green]Nothing stands out.[/]"
    for number, finding in enumerate(audit.findings, 1):
        yield from finding_told(number, finding, [*measured(finding), *_files(audit, finding)])
    if audit.not_evaluated:
        yield f"[dim]Could not tell: {plain(', '.join(each.rule for each in audit.not_evaluated))}[/]"


def _files(audit: Audit, finding: Finding) -> list[str]:
    """The pictures the finding is about, by name."""
    indexes = dict.fromkeys(index for m in finding.measurements for index in m.pictures)
    names = [name_in(audit.dataset, audit.dataset.images[index].path) for index in indexes]
    more = len(names) - FILES_SHOWN
    return [", ".join(names[:FILES_SHOWN]) + (f" and {more} more" if more > 0 else "")] if names else []
