"""The pictures under a finding are of its slice, and those that show it come first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lora_doctor.evidence import PICTURES, evidence_cells, traits_of
from lora_doctor.types import FRAMINGS, Diagnosis, Finding, LabelSet, Measurement
from tests.make_diagnosis import ENVIRONMENTS, make_diagnosis

PLACES = tuple(name for name, _ in ENVIRONMENTS)


def label_set(attribute: str, kind: str, *labels: str) -> LabelSet:
    return LabelSet(attribute=attribute, labels=labels, prompts=(), kind=kind, crop="whole")  # type: ignore[arg-type]


LABELS = {
    "framing": label_set("framing", "framing", *FRAMINGS),
    "place": label_set("place", "environment", *PLACES),
    "pose": label_set("pose", "pose", "standing", "sitting"),
    "expression": label_set("expression", "expression", "smile", "open_mouth"),
    "hair_colour": label_set("hair_colour", "identity", "white_hair", "red_hair"),
    "body": label_set("body", "body", "slender", "curvy"),
    "top": label_set("top", "outfit", "red_sweater", "blue_shirt"),
}


@pytest.fixture
def facts(tmp_path: Path) -> Diagnosis:
    """A LoRA that holds; every picture is read as asked."""
    made = make_diagnosis(tmp_path, "SHIP", images=False)
    return replace(made, cells=tuple(_read(c, framing=c["framing"], place=c["environment"]) for c in made.cells))


def _read(cell: Mapping[str, Any], **labels: str) -> Mapping[str, Any]:
    return {**cell, "image": cell["image"] or f"images/{cell['key']}.png", "labels": {**cell["labels"], **labels}}


def finding(name: str, about: Mapping[str, str] | None = None, **where: str) -> Finding:
    return Finding(
        rule="a-rule", symptom="Wrong.", why="", state="confirmed", severity="blocker", strength=1.0, causes=(),
        measurements=(Measurement(name=name, value=0.5, where=where),), about=about or {},
    )  # fmt: skip


def shown(facts: Diagnosis, found: Finding, **shows: str) -> list[Mapping[str, Any]]:
    cells = {cell["key"]: cell for cell in (*facts.cells, *facts.arms)}
    return [cells[key] for key in evidence_cells(found, shows, facts, LABELS)]


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_finding_about_one_framing_shows_that_framing(facts: Diagnosis, framing: str) -> None:
    found = finding("framing.loss", {"framing": framing}, framing=framing)
    seen = shown(facts, found, weight="ship", framing="close-up")
    assert {cell["framing"] for cell in seen} == {framing} and len(seen) == PICTURES
    assert {cell["weight"] for cell in seen} == {1.0}


def test_a_finding_about_one_weight_shows_that_weight(facts: Diagnosis) -> None:
    at = {name: {c["weight"] for c in shown(facts, finding("identity.score", **where), weight="0.4")}
          for name, where in (("score", {"weight": "0.7"}), ("ship", {"weight": "ship"}), ("ratio", {}))}  # fmt: skip
    assert at == {"score": {0.7}, "ship": {1.0}, "ratio": {0.4}}


@pytest.mark.parametrize(
    ("found", "labels"),
    [
        (finding("attribute.flip_rate", attribute="eye_colour"), {"eye_colour": "red_eyes"}),
        (finding("framing.loss", {"framing": "close-up"}, framing="close-up"), {"framing": "full_body"}),
        (finding("environment.adherence_loss", environment_kind="novel"), {"place": "library"}),
        (finding("overbake.adherence_loss", weight="ship"), {"framing": "full_body"}),
    ],
)
def test_what_is_read_otherwise_than_asked_comes_first_however_like_the_character_it_is(
    facts: Diagnosis, found: Finding, labels: Mapping[str, str]
) -> None:
    """Two such pictures of one environment go before a picture of every other one."""
    wrong = {f"w1.00_beach_close-up_r{n}" for n in (0, 1)}
    cells = [_read(c, **labels) | {"identity": 0.99} if c["key"] in wrong else c for c in facts.cells]
    seen = shown(replace(facts, cells=tuple(cells)), found, weight="ship", framing="close-up")
    assert {cell["key"] for cell in seen[:2]} == wrong and len({cell["environment"] for cell in seen}) > 3


def test_a_flip_is_shown_at_the_ship_weight_it_is_seen_at(facts: Diagnosis) -> None:
    """Hair that flips at 0.7 alone is not shown with pictures at weight 1 that have the right colour."""
    flipped = {f"w0.70_{place}_full_body_r0" for place in PLACES[:3]} | {"w0.80_beach_full_body_r1"}
    cells = [_read(c, hair_colour="red_hair") if c["key"] in flipped else c for c in facts.cells]
    seen = shown(replace(facts, cells=tuple(cells)), finding("attribute.flip_rate", attribute="hair_colour"))
    assert {cell["key"] for cell in seen[:4]} == flipped and seen[0]["weight"] == 0.8
    assert {cell["weight"] for cell in seen[4:]} == {1.0}


@pytest.mark.parametrize(("name", "trait"), [("body.deficit", "body"), ("outfit.deficit", "top")])
def test_a_finding_about_the_body_or_the_outfit_shows_where_that_is_wrong(
    facts: Diagnosis, name: str, trait: str
) -> None:
    wrong, label = "w1.00_beach_full_body_r1", LABELS[trait].labels[1]
    cells = [_read(c, **{trait: label}) if c["key"] == wrong else c for c in facts.cells]
    cells = [c | {"identity": -0.5} if c["key"] == "w1.00_garden_full_body_r0" else c for c in cells]
    case = replace(facts, cells=tuple(cells))
    assert shown(case, finding(name), weight="ship", framing="full_body")[0]["key"] == wrong


def test_the_traits_of_a_finding_are_those_it_measured(facts: Diagnosis) -> None:
    spec = facts.character["spec"]
    of = {name: traits_of(finding(name, **where), spec, LABELS) for name, where in (
        ("attribute.flip_rate", {"attribute": "hair_colour"}), ("body.deficit", {}), ("outfit.deficit", {}),
        ("identity.small_face_loss", {}), ("side.mirrored_share", {"attribute": "parting"}))}  # fmt: skip
    assert of == {"attribute.flip_rate": ("hair_colour",), "body.deficit": ("body",), "outfit.deficit": ("top",),
                  "identity.small_face_loss": (), "side.mirrored_share": ()}  # fmt: skip


def test_the_worst_identity_leads_where_nothing_is_read_otherwise(facts: Diagnosis) -> None:
    low = "w1.00_beach_upper_body_r1"
    cells = [c | {"identity": -0.3} if c["key"] == low else c for c in facts.cells]
    seen = shown(replace(facts, cells=tuple(cells)), finding("identity.score", weight="ship"), weight="ship")
    assert seen[0]["key"] == low and {c["environment"] for c in seen} == set(PLACES)


def test_a_finding_about_poses_shows_pictures_that_were_asked_for_one(facts: Diagnosis) -> None:
    asked = {"standing+smile": "sitting", "sitting+smile": "sitting", "smile": "standing"}
    arms = [
        _read(next(c for c in facts.cells if c["weight"] == 1.0), pose=read, expression="open_mouth")
        | {"key": words, "arm": "poses", "asked": words, "identity": 0.9 if words != "smile" else 0.1}
        for words, read in asked.items()
    ]
    case = replace(facts, arms=tuple(arms))
    assert [c["key"] for c in shown(case, finding("control.loss", kind="pose"), arm="poses")] == [
        "standing+smile", "sitting+smile",
    ]  # fmt: skip
    assert len(shown(case, finding("control.loss", kind="expression"), arm="poses")) == 3
