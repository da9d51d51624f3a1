"""Forms that several pages in a terminal share: pairs, headings, a finding; nothing is printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lora_doctor.effects import in_part
from lora_doctor.errors import printable
from lora_doctor.measurement_words import limit_text, name_text, words_in
from lora_doctor.plugins import data_folder
from lora_doctor.wording import caption_text, dataset_text, digits, setting_text, too_close

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from lora_doctor.types import Finding, Measurement, NotEvaluated, RankedCause, Verdict

_CAUSES = 3
SETTINGS = {"identity_ratio": "identity ratio, by repeats or new pictures as under Roles"}
"""What an audit calls a setting that most trainers do not have."""
_STYLES = {"blocker": "bold red", "warning": "yellow", "note": "cyan"}


def plain(text: str) -> str:
    """`text` without characters that would move the cursor or be taken for markup."""
    from rich.markup import escape

    return escape(printable(text))


def heading(text: str) -> RenderableType:
    """A line above a part of the page."""
    return f"\n[bold]{text}[/]"


def pairs(indent: int = 0) -> Table:
    """An empty table of names and values."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=bool(indent), padding=(0, 2, 0, indent))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def line(text: str) -> str:
    """White space folded."""
    return " ".join(text.split())


def measured(finding: Finding) -> list[str]:
    """The finding's measurements that have a value, one to a line, each with the rule's limit."""
    told = zip(finding.measurements, measurement_texts(finding), strict=True)
    return [text for m, text in told if m.value is not None]


def measurement_texts(finding: Finding) -> list[str]:
    """The finding's measurements, one to a line: in words, with the rule's limit and the name that rules know it by.

    `Body off-spec in full body = 0.57  [0.34, 0.77]; limit: above 0.15  (body.deficit)`, or that it was not measured
    and why.
    """
    limits = (*finding.limits, *({},) * len(finding.measurements))
    return [_measurement_text(m, limit) for m, limit in zip(finding.measurements, limits, strict=False)]


def _measurement_text(m: Measurement, limit: Mapping[str, float]) -> str:
    place = ", ".join(f"{key} {value}" for key, value in m.where.items() if key != "attribute")
    name = name_text(m.name, words_in(data_folder("reports")), m.where.get("attribute", "attribute"))
    name, known_as = printable(f"{name} ({place})" if place else name), f"  ({m.name})" if name != m.name else ""
    if m.value is None:
        return f"{name}: not measured" + (f": {printable(line(m.reason))}" if m.reason else "")
    interval = f"  [{m.interval[0]:.2f}, {m.interval[1]:.2f}]" if m.interval else ""
    return f"{name} = {digits(m.value)}{interval}{f'; limit: {limit_text(limit)}' if limit else ''}{known_as}"


def verdict_lines(verdict: Verdict, *, most: int | None = None) -> list[str]:
    """What stands below the sentence of a verdict: reasons, waived findings, warnings, what a SHIP covers.

    The reasons are those of a HOLD or an INCONCLUSIVE, `most` of them (None = all), and how many more there are; a
    single one is the sentence itself. Those of a HOLD that are not proven are said to be undecided.
    """
    proven = len(verdict.reasons) if verdict.proven is None else verdict.proven
    told = (*verdict.reasons[:proven], *(f"undecided: {text}" for text in verdict.reasons[proven:]))
    against = told if verdict.outcome != "SHIP" and len(told) > 1 else ()
    rest = 0 if most is None else len(against[most:])
    covered = verdict.limits if verdict.outcome == "SHIP" else ()
    texts = (
        *against[:most],
        *([f"and {rest} more: the report and `lora-doctor gate` list them all"] if rest else []),
        *(f"waived: {t}" for t in verdict.waived),
        *(f"warning: {t}" for t in verdict.warnings),
        *covered,
    )
    return [printable(line(text)) for text in texts]


def unjudged_names(not_evaluated: Sequence[NotEvaluated], findings: Sequence[Finding]) -> str:
    """`body-drift, pose-rigidity in part`: the rules that could not be judged, or not in all that they look for."""
    return ", ".join(printable(f"{n.rule} in part" if in_part(n, findings) else n.rule) for n in not_evaluated)


def effect_text(finding: Finding) -> str:
    """`; waived until 2027-03-01: ...`, to follow the state of a finding; empty where the state says it all."""
    if finding.waiver is not None:
        return printable(f"; waived until {finding.waiver.expires}: {finding.waiver.reason}")
    told = {"warns": "; only warns", "leaves open": "; leaves the verdict open", "ignored": "; ignored by the policy"}
    return told.get(finding.effect or "", "")


def cause_label(cause: RankedCause) -> str:
    """How a cause is announced: likely where more speaks for it than against, possible where nothing does."""
    return "likely cause" if cause.log_odds > 0 else "possible cause" if cause.log_odds == 0 else "less likely"


def lines_shown(text: str) -> list[str]:
    """The lines of a text, such as a diff, each without characters that would move the cursor; tabs stay."""
    lines = (line.removesuffix("\r") for line in text.rstrip().split("\n"))
    return ["\t".join(printable(part) for part in line.split("\t")) for line in lines]


def finding_told(number: int, finding: Finding, details: Sequence[str]) -> Iterable[RenderableType]:
    """One finding: what, how sure, `details`, the likeliest cause with its evidence, the fix; all causes, `_CAUSES` at
    most, between which it is too close to tell."""
    sure = "" if finding.state == "confirmed" else f", {finding.state}"
    about = ", ".join(finding.about.values())
    told = f"{finding.rule}{f' ({about})' if about else ''}"
    yield f"{number}. [{_STYLES[finding.severity]}]{plain(told)}[/] ({finding.severity}{sure})"
    table = pairs(indent=3)
    table.add_row("", plain(line(finding.symptom)))
    for detail in details:
        table.add_row("", plain(detail))
    if doubt := too_close(finding):
        table.add_row("", plain(doubt))
    for cause in finding.causes[: min(finding.close, _CAUSES)]:
        for name, text in _cause_told(cause, "perhaps" if doubt else cause_label(cause)):
            table.add_row(name, plain(line(text)))
    if finding.predicts:
        table.add_row("expect", plain(", ".join(finding.predicts)))
    yield table


def _cause_told(cause: RankedCause, name: str) -> Iterable[tuple[str, str]]:
    """What stands beside each other: `name` and the cause, its evidence, its fixes."""
    yield name, cause.because
    yield from (("", f"- {evidence}") for evidence in cause.evidence[:3])
    for setting, change in cause.fix.change.items():
        asked = ", ".join(f"{how.replace('_', ' ')} {setting_text(amount)}" for how, amount in change.items())
        yield "fix", f"{SETTINGS.get(setting, setting)}: {asked}"
    if cause.fix.dataset:
        yield "fix", dataset_text(cause.fix.dataset)
    if cause.fix.captions:
        yield "fix", caption_text(cause.fix.captions)
    if cause.fix.advice:
        yield "fix", cause.fix.advice
