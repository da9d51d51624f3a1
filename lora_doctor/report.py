"""Draws a Diagnosis or an AuditRecord as one self-contained HTML page: it arranges and formats, and judges nothing.

The words, the layout and the drawings are templates in `reports/`; here is what a template language does badly:
pictures as data URIs, cells by axis, the geometry of the chart, numbers as text. The only importer of jinja2.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_doctor.album import Album, Image
from lora_doctor.charts import apart, scale
from lora_doctor.errors import EnvironmentFailure, InputRefused
from lora_doctor.measurement_words import OPERATORS, words_in
from lora_doctor.report_arms import arm_views, evidence_in_arms, is_withheld
from lora_doctor.report_unmeasured import unmeasured
from lora_doctor.types import AuditRecord, Diagnosis, Finding, Measurement
from lora_doctor.wording import digits, how_to_go_on, setting_text

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

Axes = Mapping[str, tuple[Any, ...]]

ARMS: Mapping[str, Sequence[tuple[str, Mapping[str, str]]]] = {
    "no_trigger": (("leak.identity", {}), ("leak.score", {}), ("leak.ratio", {})),
    "other_people": (("bleed.score", {}), ("control.loss", {"kind": "trait"})),
    "places": (("drift.place_loss", {}), ("drift.relative", {}), ("drift.people", {})),
    "described": (("trigger.description_gain", {}),),
    "outfits": (("control.loss", {"kind": "outfit"}),),
    "poses": (("control.loss", {"kind": "pose"}), ("control.loss", {"kind": "expression"})),
}
"""The arms that a report shows, with what was measured in each; none of those in `report_arms.WITHHELD` is."""


def render_report(diagnosis: Diagnosis, *, templates: Path, run: Path | None, private: bool) -> str:
    """`diagnosis` as HTML text that needs no other file and makes no network request; equal input, equal bytes.

    `templates` is the folder with `report.html.j2`, `report.css`, `report.js`. `run` is the folder the image paths
    of the diagnosis are relative to (None: no pictures). Pictures and captions of the dataset are shown only when
    `private`. Raises EnvironmentFailure when a template file is missing.
    """
    album = Album(run)
    axes = _axes(diagnosis.cells)
    squares = _squares(diagnosis, axes, album)
    context = {
        **_shared(diagnosis, templates, album, private),
        "axes": axes,
        "squares": squares,
        "strip": _strip(diagnosis, axes, squares),
        "evidence": [_evidence(finding, squares) for finding in diagnosis.findings],
        "beyond": [evidence_in_arms(finding, diagnosis, album, private=private) for finding in diagnosis.findings],
        "withheld": [not private and is_withheld(finding, diagnosis) for finding in diagnosis.findings],
        "chart": _chart(diagnosis, axes),
        "arms": arm_views(diagnosis, ARMS, album),
        "pairs": [_before(pair, album) for pair in diagnosis.before.get("pairs") or ()],
    }
    return _environment(templates).get_template("report.html.j2").render(context)


def _before(pair: Mapping[str, Any], album: Album) -> dict[str, Any]:
    """A cell of the training before and of this one, with both pictures."""
    return {**pair, "before": album.get(pair.get("image_before")), "after": album.get(pair.get("image_after"))}


def render_audit(record: AuditRecord, *, templates: Path, run: Path | None, private: bool) -> str:
    """The record of an audit as HTML text, under the same terms as `render_report`."""
    context = _shared(record, templates, Album(run), private)
    return _environment(templates).get_template("audit.html.j2").render(context)


def draw_page(template: str, context: Mapping[str, Any], templates: Path) -> str:
    """A page of another kind, `template` in the folder `templates`, in the same style and under the same policy."""
    return _environment(templates).get_template(template).render({**_frame(templates), **context})


def _frame(templates: Path) -> dict[str, Any]:
    """Style, script, and the policy that lets nothing else in."""
    from markupsafe import Markup

    try:
        css, js = ((templates / f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    except OSError as error:
        raise EnvironmentFailure("report template missing.", path=templates, advice="Install it again.") from error
    policy = _content_security_policy(css, js)
    return {"css": Markup(css), "js": Markup(js), "csp": policy, "words": words_in(templates), "comparing": OPERATORS}


def _shared(record: Diagnosis | AuditRecord, templates: Path, album: Album, private: bool) -> dict[str, Any]:
    """What both pages need."""
    return {
        "d": record,
        "private": private,
        **_frame(templates),
        "unmeasured": unmeasured(record.measurements),
        "find": _finder(record.measurements),
        "bindings": _bindings(record.measurements),
        "dataset_pictures": [(p, album.get(p.get("file"))) for p in record.dataset.get("pictures") or () if private],
    }


def _bindings(measurements: Iterable[Measurement]) -> list[dict[str, Any]]:
    """The *visible x captioned* table: one row per attribute and label, the most visible first within an attribute."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for m in measurements:
        if m.name in ("binding.visible", "binding.captioned") and {"attribute", "label"} <= m.where.keys():
            key = m.where["attribute"], m.where["label"]
            rows.setdefault(key, {"attribute": key[0], "label": key[1]})[m.name.partition(".")[2]] = m
    order = list(dict.fromkeys(attribute for attribute, _ in rows))

    def seen(row: Mapping[str, Any]) -> float:
        return -(row["visible"].value or 0.0) if "visible" in row else 0.0

    return sorted(rows.values(), key=lambda row: (order.index(row["attribute"]), seen(row)))


def _environment(templates: Path) -> Environment:
    """jinja2 with everything escaped, whatever the file is called, and no name silently undefined."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": format_number, "setting": setting_text, "spoken": _spoken, "sentence": _sentence}
    environment.filters |= {"how_to_go_on": how_to_go_on, "coded": _coded}
    return environment


def _content_security_policy(css: str, js: str) -> str:
    """Nothing may load or run but this very style and this very script; pictures only from the file itself."""
    style, script = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, js))
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


# ---------------------------------------------------------------- text

_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control, bidirectional and zero-width characters, and what no encoding can write."""


_CODE = re.compile("`([^`]+)`")


def _visible(value: Any) -> Any:
    """Text with its invisible characters spelled out; called by jinja2 on everything it prints."""
    from markupsafe import Markup

    if value is None:
        return "–"
    if isinstance(value, Markup):
        return value
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found.group()):04x}", str(value))


def _coded(text: str) -> Markup:
    """A sentence whose parts between backticks are code, everything in it escaped."""
    from markupsafe import Markup

    pieces = _CODE.split(_visible(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if i % 2 else piece for i, piece in enumerate(pieces)
    )  # fmt: skip


TWO_DECIMALS = ("score", "similarity", "ratio", "distance", "sd", "weight")
"""Units whose numbers all have two decimals, however small they are."""


def format_number(value: Any, unit: str = "") -> str:
    """A number as the report writes it: `62 %` for a share, two decimals for a score, a whole count, else `digits`."""
    number = _number(value)
    if number is None:
        return "–" if value is None else str(value)
    if unit == "share":
        small = 0 < abs(number) < 0.01
        text = f"{100 * number:.{1 if small else 0}f}\u202f%"
    elif unit in TWO_DECIMALS:
        text = f"{number:.2f}"
    elif unit in ("count", "pixels") or abs(number) >= 1000:
        text = f"{number:,.0f}".replace(",", "\u202f")
    else:
        text = digits(number)
    return re.sub(r"^-(?=[0.]*\D*$)", "", text).replace("-", "−")


def _spoken(token: Any) -> str:
    """`full_body` as `full body`; a weight as `0.7`."""
    return f"{token:g}" if isinstance(token, float) else str(token).replace("_", " ")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _number(value: Any) -> float | None:
    """`value` as a finite float, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


# ---------------------------------------------------------------- the matrix


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One cell as the page shows it."""

    key: str
    weight: float
    environment: str
    framing: str
    replicate: Any
    image: Image | None
    identity: float | None
    state: str
    reason: str | None
    off_spec: tuple[tuple[str, str, str], ...]
    """Attribute, label read, label asked, where the two differ."""
    elsewhere: tuple[str, ...] = ()
    """The framing and the environment that it is read as, where they are not those asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Square:
    """All replicates at one weight, environment and framing."""

    id: str
    weight: float
    environment: str
    framing: str
    pictures: tuple[Picture, ...]
    identity: float | None
    """Mean over the pictures that have one."""
    step: int | None
    """Shade of the colour scale, 0 to 7."""
    states: str


Squares = Mapping[tuple[float, str, str], Square]


def _axes(cells: Sequence[Mapping[str, Any]]) -> Axes:
    """The three axes with their values in the order they are shown; environments of the dataset first.

    Raises InputRefused for a cell without its place in the matrix: a diagnosis may come from somebody else.
    """
    for cell in cells:
        if _number(cell.get("weight")) is None or any(
            not isinstance(cell.get(name), str) for name in ("key", "environment", "framing")
        ):
            raise InputRefused("not a diagnosis: a cell names no key, weight, environment or framing.")
    trained = {cell["environment"]: bool(cell.get("trained")) for cell in cells}
    return {
        "weight": tuple(sorted({float(cell["weight"]) for cell in cells})),
        "environment": tuple(sorted(trained, key=lambda name: not trained[name])),
        "framing": tuple(dict.fromkeys(cell["framing"] for cell in cells)),
        "trained": tuple(name for name, shown in trained.items() if shown),
    }


def _squares(diagnosis: Diagnosis, axes: Axes, album: Album) -> Squares:
    """Every combination of the three axes that has a cell."""
    spec = diagnosis.character.get("spec") or {}
    gathered: dict[tuple[float, str, str], list[Picture]] = {}
    for cell in diagnosis.cells:
        picture = _picture(cell, spec, album)
        gathered.setdefault((picture.weight, picture.environment, picture.framing), []).append(picture)
    return {place: _square(place, pictures, axes) for place, pictures in gathered.items()}


def _picture(cell: Mapping[str, Any], spec: Mapping[str, Any], album: Album) -> Picture:
    labels = cell.get("labels") or {}
    return Picture(
        key=str(cell["key"]),
        weight=float(cell["weight"]),
        environment=cell["environment"],
        framing=cell["framing"],
        replicate=cell.get("replicate", 0),
        image=album.get(cell.get("image")),
        identity=_number(cell.get("identity")),
        state=str(cell.get("state") or ""),
        reason=cell.get("reason"),
        off_spec=tuple((name, labels[name], asked) for name, asked in spec.items() if labels.get(name, asked) != asked),
        elsewhere=tuple(labels[k] for k in ("framing", "environment") if labels.get(k, cell[k]) != cell[k]),
    )


def _square(place: tuple[float, str, str], pictures: Sequence[Picture], axes: Axes) -> Square:
    weight, environment, framing = place
    scores = [picture.identity for picture in pictures if picture.identity is not None]
    mean = sum(scores) / len(scores) if scores else None
    where = (axes["weight"].index(weight), axes["environment"].index(environment), axes["framing"].index(framing))
    return Square(
        id="square-" + "-".join(map(str, where)),
        weight=weight,
        environment=environment,
        framing=framing,
        pictures=tuple(pictures),
        identity=mean,
        step=None if mean is None else min(7, max(0, int(8 * mean))),
        states=", ".join(dict.fromkeys(picture.state for picture in pictures)),
    )


def _evidence(finding: Finding, squares: Squares) -> list[tuple[Square, Picture, Picture | None]]:
    """The finding's cells, each with its square and the same cell of the base model (weight 0)."""
    pairs = []
    for square, shown in _named(finding.cells, squares):
        base = squares.get((0.0, square.environment, square.framing))
        twins = [p for p in base.pictures if p.replicate == shown.replicate] if base and shown.weight else []
        pairs.append((square, shown, twins[0] if twins else None))
    return pairs


def _named(keys: Iterable[str], squares: Squares) -> list[tuple[Square, Picture]]:
    """The pictures with these cell keys, in the order of the keys; a key of no cell is passed over."""
    known = {picture.key: (square, picture) for square in squares.values() for picture in square.pictures}
    return [known[key] for key in keys if key in known]


def _strip(diagnosis: Diagnosis, axes: Axes, squares: Squares) -> list[Picture]:
    """One prompt at every weight: that of the first finding's evidence, else the first new environment."""
    shown = _named((key for finding in diagnosis.findings for key in finding.cells), squares)
    if shown:
        environment, framing, replicate = shown[0][1].environment, shown[0][1].framing, shown[0][1].replicate
    else:
        novel = [name for name in axes["environment"] if name not in axes["trained"]]
        environment = next(iter((*novel, *axes["environment"])), "")
        framing, replicate = "".join(axes["framing"][len(axes["framing"]) // 2 :][:1]), 0
    along = [squares.get((weight, environment, framing)) for weight in axes["weight"]]
    return [p for square in along if square for p in square.pictures if p.replicate == replicate]


# ---------------------------------------------------------------- measurements


def _finder(measurements: Iterable[Measurement]) -> Callable[..., Measurement | None]:
    """A look-up by name and exact slice: `find("identity.score", weight="0.7")`."""
    known = {(m.name, frozenset(m.where.items())): m for m in measurements}

    def find(name: str, **where: str) -> Measurement | None:
        return known.get((name, frozenset(where.items())))

    return find


_LEFT, _RIGHT, _TOP, _BOTTOM = 54.0, 568.0, 18.0, 300.0
"""The plotting area inside the chart's 720 x 348 units."""
_LINE = 25.0
"""Units between two names beside the chart."""


def _chart(diagnosis: Diagnosis, axes: Axes) -> Mapping[str, Any] | None:
    """Identity against weight: a line for all framings (None) and one for each; None when no weight was measured.

    `lines` holds (weight, Measurement) pairs, `x` and `y` turn weight and score into SVG units, `labels` says at which
    height each line's name stands.
    """
    find = _finder(diagnosis.measurements)
    slices = {None: {}, **{framing: {"framing": framing} for framing in axes["framing"]}}
    rows = {
        framing: [(w, find("identity.score", weight=f"{w:g}", **where)) for w in axes["weight"]]
        for framing, where in slices.items()
    }
    whole = {name: [(w, m) for w, m in row if m and m.value is not None] for name, row in rows.items()}
    lines = {name: line for name, line in whole.items() if line}
    seen: list[tuple[float, Measurement]] = [point for line in lines.values() for point in line]
    if not seen:
        return None
    threshold = _number(diagnosis.matrix.get("threshold"))
    heights = [float(y) for _, m in seen for y in (m.value or 0.0, *(m.interval or ()))]
    low, high = min(0.0, threshold or 0.0, *heights) - 0.02, max(1.0, threshold or 1.0, *heights) + 0.02
    first, last = float(axes["weight"][0]), float(axes["weight"][-1])

    x, y = scale((first, last), (_LEFT, _RIGHT)), scale((low, high), (_BOTTOM, _TOP))
    labels = apart({name: y(line[-1][1].value or 0.0) for name, line in lines.items()}, _LINE)
    ship = [w for w in diagnosis.matrix.get("ship_weights") or () if _number(w) is not None and first <= w <= last]
    return {"lines": lines, "x": x, "y": y, "labels": labels, "threshold": threshold, "ship": ship}
