"""An inspection -> what `inspect` shows of one file in a terminal; nothing is printed."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lora_doctor.audits.lora_spectrum import STEPS, dead, reached
from lora_doctor.safetensors_header import shown
from lora_doctor.terminal import finding_told, heading, measured, pairs, plain
from lora_doctor.wording import setting_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from lora_doctor.inspection import Inspection
    from lora_doctor.types import Finding, LoraModule, ModuleSpectrum

FULL, EMPTY = "━", "╌"
BAR = 24
BLOCKS_SHOWN = 24
KEYS_SHOWN = 5
_SETTINGS = (
    ("kind", "kind"), ("rank", "rank"), ("alpha", "alpha"), ("conv_rank", "conv rank"), ("conv_alpha", "conv alpha"),
    ("learning_rate", "learning rate"), ("text_encoder_learning_rate", "text encoder rate"), ("optimizer", "optimiser"),
    ("lr_scheduler", "schedule"), ("steps", "steps planned"), ("epochs", "epochs planned"), ("batch_size", "batch"),
    ("gradient_accumulation", "accumulation"), ("resolution", "resolution"),
    ("caption_token_dropout", "token dropout"), ("caption_dropout", "caption dropout"),
    ("shuffle_captions", "captions shuffled"), ("flip_augmentation", "pictures mirrored"),
    ("keep_tokens", "tokens kept"), ("network_dropout", "network dropout"),
    ("noise_offset", "noise offset"), ("min_snr_gamma", "min-SNR gamma"), ("clip_skip", "clip skip"),
    ("prediction_type", "prediction"), ("mixed_precision", "precision"), ("seed", "seed"),
)  # fmt: skip
_NO_ENTRY = "metadata has no "


def page(inspection: Inspection, *, keys: bool = False) -> Iterable[RenderableType]:
    """One file: what it is, ranks and scales, spectrum, training, findings; with `keys` every module as well."""
    from rich.rule import Rule as Line
    from rich.text import Text

    lora = inspection.lora
    yield Line(Text(f" {plain(lora.path.name)} ", style="bold"), align="left")
    yield _identity(inspection)
    yield heading("Ranks and scales")
    yield _components(lora.modules, inspection.spectra)
    if any(each.energy for each in inspection.spectra):
        yield heading("Spectrum")
        yield from _spectrum(inspection)
    yield heading("Training")
    yield from _training(inspection)
    yield heading("Findings")
    yield from _findings(inspection)
    if keys:
        yield heading("Modules and tensors")
        yield from _keys(inspection)


# ---------------------------------------------------------------- what it is


def _identity(inspection: Inspection) -> Table:
    lora, record, base = inspection.lora, inspection.lora.record, inspection.base
    table = pairs()
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(m.kind for m in lora.modules).most_common())
    table.add_row("adapter", f"{kinds or 'nothing that can be applied'}   ({lora.format} layout)")
    table.add_row("family", family_text(inspection))
    for sentence in (*inspection.family.evidence, *base.evidence):
        table.add_row("", f"[dim]{plain(sentence)}[/]")
    for sentence in filter(None, (inspection.family.doubt, base.doubt)):
        table.add_row("", f"[yellow]{plain(sentence)}[/]")
    table.add_row("trainer", plain(record.trainer or "unknown: nothing in the metadata tells"))
    triggers = ", ".join(plain(trigger) for trigger in record.triggers[:5])
    table.add_row("trigger", triggers or "not in the file")
    if record.folders:
        table.add_row("trained on", _folders(inspection))
    if inspection.lora.record.altered:
        table.add_row("changed", plain(inspection.lora.record.altered))
    table.add_row("file", f"{lora.size / 2**20:.1f} MiB, {len(lora.metadata)} metadata entries")
    table.add_row("sha256", f"[dim]{lora.sha256}[/]")
    return table


def family_text(inspection: Inspection) -> str:
    """The family in bold, with variant, base and prediction where they are known."""
    base = inspection.base
    told = (inspection.family.variant, base.base, base.name, base.prediction_type)
    return " · ".join([f"[bold]{plain(base.family)}[/]", *(plain(each) for each in told if each)])


def _folders(inspection: Inspection) -> str:
    told = []
    for folder in inspection.lora.record.folders[:4]:
        images = "?" if folder.images is None else str(folder.images)
        repeats = "" if folder.repeats is None else f" x {folder.repeats:g}"
        told.append(f"{plain(folder.name)} ({images} pictures{repeats})")
    more = len(inspection.lora.record.folders) - len(told)
    return ", ".join(told) + (f" and {more} more" if more > 0 else "")


def _components(modules: Sequence[LoraModule], spectra: Sequence[ModuleSpectrum]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for name in ("component", "modules", "rank", "alpha / rank", "norm"):
        table.add_column(name, justify="left" if name == "component" else "right", header_style="dim")
    for component in dict.fromkeys(module.component for module in modules):
        own = [module for module in modules if module.component == component]
        norms = [each.norm for each in spectra if each.component == component]
        ranked = [module for module in own if module.rank]
        table.add_row(
            plain(component), str(len(own)),
            range_text([m.rank for m in ranked]), range_text([m.scale for m in ranked]),
            f"{statistics.median(norms):.3g}" if norms else "-",
        )  # fmt: skip
    return table


def range_text(values: Sequence[float]) -> str:
    """`8`, `4 to 64`, or a dash where there are none."""
    if not values:
        return "-"
    low, high = min(values), max(values)
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


# ---------------------------------------------------------------- the spectrum


def _spectrum(inspection: Inspection) -> Iterable[RenderableType]:
    """Energy held by the strongest directions in the median module, and the norms along the model."""
    curves = [each.energy for each in inspection.spectra if each.energy]
    most = max(len(each.energy) and each.rank for each in inspection.spectra)
    table = pairs()
    for step in STEPS:
        if step > max(most, 1):
            break
        share = statistics.median(curve[step] for curve in curves)
        table.add_row(f"top {step}", f"{_bar(share)} {share:4.0%} of the energy")
    yield table
    by_name = {m.name: m for m in inspection.measurements if not m.where}
    ratio, used = by_name["spectrum.null_ratio"], by_name["spectrum.k90_share"]
    if ratio.value is not None and used.value is not None:
        yield (
            f"Nine tenths of the energy lie in [bold]{used.value:.0%}[/] of the rank; the spectrum is "
            f"[bold]{ratio.value:.2f}[/] times as even as chance (1 = untrained noise)."
        )
    if ratio.reason:
        yield f"[dim]{plain(ratio.reason)}[/]"
    blocks = [m for m in inspection.measurements if m.name == "spectrum.norm" and "block" in m.where]
    if len(blocks) > 1:
        yield _block_bars([(str(m.where["block"]), m.value or 0.0) for m in blocks])


def _block_bars(blocks: Sequence[tuple[str, float]]) -> Table:
    largest = max(norm for _, norm in blocks) or 1.0
    table = pairs()
    for name, norm in blocks[:BLOCKS_SHOWN]:
        table.add_row(plain(name), f"{_bar(norm / largest)} {norm:.3g}")
    if len(blocks) > BLOCKS_SHOWN:
        table.add_row("", f"[dim]and {len(blocks) - BLOCKS_SHOWN} more blocks[/]")
    return table


def _bar(share: float) -> str:
    filled = round(max(0.0, min(1.0, share)) * BAR)
    return f"[green]{FULL * filled}[/][dim]{EMPTY * (BAR - filled)}[/]"


# ---------------------------------------------------------------- training


def _training(inspection: Inspection) -> Iterable[RenderableType]:
    record = inspection.lora.record
    table = pairs()
    progress = record.progress
    if progress.steps is not None or progress.epochs is not None:
        done = [f"{progress.steps} steps" if progress.steps is not None else ""]
        done += [f"{progress.epochs:g} epochs" if progress.epochs is not None else ""]
        table.add_row("done", ", ".join(each for each in done if each))
    missing: dict[str, list[str]] = {}
    for field, label in _SETTINGS:
        value = getattr(record.settings, field)
        if value is None:
            missing.setdefault(record.sources.get(field, "not recorded"), []).append(label)
        else:
            table.add_row(label, f"{plain(setting_text(value))}   [dim]{plain(record.sources.get(field, ''))}[/]")
    if table.row_count:
        yield table
    unsaid = [f"{label} ({reason.removeprefix(_NO_ENTRY)})" for reason, labels in missing.items()
              for label in labels if reason.startswith(_NO_ENTRY)]  # fmt: skip
    if unsaid:
        yield f"[dim]not recorded: {plain(', '.join(unsaid))}[/]"
    for reason, labels in missing.items():
        if not reason.startswith(_NO_ENTRY):
            yield f"[dim]unknown: {', '.join(labels)} ({plain(reason)})[/]"
    if record.hidden:
        yield f"[yellow]{plain(record.hidden)}[/]"
    for name, why in record.unreadable.items():
        yield f"[yellow]unreadable: {plain(name)} ({plain(why)})[/]"


# ---------------------------------------------------------------- findings


def _findings(inspection: Inspection) -> Iterable[RenderableType]:
    if not inspection.findings:
        yield "[green]Nothing stands out.[/]"
    for number, finding in enumerate(inspection.findings, 1):
        yield from finding_told(number, finding, _details(finding, inspection))
    if inspection.not_evaluated:
        yield f"[dim]Could not tell: {', '.join(each.rule for each in inspection.not_evaluated)}[/]"


def _details(finding: Finding, inspection: Inspection) -> list[str]:
    """What exactly is meant, where a count alone would leave the reader to search."""
    lora = inspection.lora
    told: dict[str, Sequence[str]] = {
        "broken-modules": lora.faults,
        "unknown-tensors": [shown(key) for key in lora.unknown_keys],
        "non-finite-weights": [f"{shown(name)}: {count} numbers" for name, count in lora.non_finite.items()],
        "private-metadata": [f"{key}: {excerpt}" for key, excerpt in inspection.leaks],
        "wrong-base-recorded": inspection.base.contradictions,
        "dead-modules": [f"{each.component}.{each.name}" for each in dead(reached(lora, inspection.spectra))],
    }
    if (lines := told.get(finding.rule)) is None:
        return measured(finding)
    more = len(lines) - KEYS_SHOWN
    return [*lines[:KEYS_SHOWN], *([f"and {more} more (--keys lists them)"] if more > 0 else [])]


def _keys(inspection: Inspection) -> Iterable[RenderableType]:
    from rich.table import Table

    norms = {(each.component, each.name): each for each in inspection.spectra}
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for name in ("module", "kind", "rank", "scale", "norm", "k90"):
        table.add_column(name, header_style="dim", overflow="fold")
    for module in inspection.lora.modules:
        found = norms.get((module.component, module.name))
        table.add_row(
            plain(f"{module.component}.{module.name}"), module.kind, str(module.rank or "-"), f"{module.scale:.3g}",
            f"{found.norm:.3g}" if found else "-", str(found.k90) if found else "-",
        )  # fmt: skip
    yield table
    for key in inspection.lora.unknown_keys:
        yield f"[yellow]unknown[/]  {plain(shown(key))}"
    for fault in inspection.lora.faults:
        yield f"[red]broken[/]   {plain(fault)}"
