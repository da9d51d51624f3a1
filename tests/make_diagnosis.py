"""Builds a realistic Diagnosis, with its pictures on disk, for tests of everything that reads one."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from fixtures.miniature.world.character import Character
from fixtures.miniature.world.drawing import draw_scene
from fixtures.miniature.world.scene import random_scene
from lora_doctor.types import (
    FRAMINGS,
    Change,
    Diagnosis,
    Finding,
    Fix,
    Measurement,
    NewPictures,
    NotEvaluated,
    Prescription,
    RankedCause,
    Verdict,
)

WEIGHTS = (0.0, 0.4, 0.6, 0.7, 0.8, 1.0)
SHIP_WEIGHTS = (0.7, 0.8, 1.0)
ENVIRONMENTS = (("library", True), ("garden", True), ("beach", False), ("night_sky", False), ("kitchen", False))
REPLICATES = 2
THRESHOLD = 0.6
SPEC = {
    "hair_colour": "white_hair",
    "hair_length": "long_hair",
    "eye_colour": "blue_eyes",
    "skin": "pale_skin",
    "body": "slender",
    "top": "red_sweater",
}
YUKI = replace(
    Character.from_seed(7),
    hair_colour=SPEC["hair_colour"],
    hair_length=SPEC["hair_length"],
    hair_style="straight_hair",
    eye_colour=SPEC["eye_colour"],
    skin=SPEC["skin"],
    body=SPEC["body"],
    top=SPEC["top"],
    bottom="black_skirt",
)
_T90 = 2.132
"""Student's t, two-sided 90 %, four degrees of freedom: five environments."""

Outcome = Literal["HOLD", "SHIP"]
Cells = tuple[Mapping[str, Any], ...]


def make_diagnosis(folder: Path, outcome: Outcome = "HOLD", *, images: bool = True, private: bool = False) -> Diagnosis:
    """A Diagnosis of 6 weights x 5 environments x 3 framings x 2 replicates, as one of two outcomes.

    HOLD is a LoRA trained on 95 % close-ups (body drifts in full body, hair colour flips at night); SHIP holds. With
    `images` the 180 pictures of 64 x 64 are drawn into `folder/images`; with `private` the dataset's pictures too.
    """
    cells = tuple(_cells(folder if images else None, outcome))
    held = outcome == "SHIP"
    return Diagnosis(
        format_version=1,
        created="2026-06-15T21:04:11Z",
        versions={"lora-doctor": "0.1.0", "python": "3.11.9", "torch": "2.8.0", "diffusers": "0.35.1"},
        inputs={"lora": "9f2c41d07a1b" + "0" * 52, "dataset": "51c2" * 16, "rules": "ab" * 32},
        lora={
            "name": "yuki.safetensors", "format": "peft", "family": "miniature", "trainer": "lora-doctor", "rank": 16,
            "alpha": 16.0, "modules": 32, "base": "miniature",
        },
        character={"trigger": "yuki_nk", "class_token": "1girl", "spec": dict(SPEC)},
        instruments=_INSTRUMENTS,
        matrix=_matrix(),
        cells=cells,
        dataset=_dataset(folder if private else None, outcome),
        measurements=_measurements(cells, outcome),
        findings=() if held else _findings(cells),
        not_evaluated=(
            NotEvaluated(rule="off_spec_outfit", reason="outfit.match was not measured: the spec names no bottom."),
        ),
        prescription=Prescription() if held else _PRESCRIPTION,
        verdict=_SHIP if held else _HOLD,
        warnings=("The training config does not say a seed; the next training cannot be repeated exactly.",),
        timings={"render": 71.4, "read": 9.8, "judge": 0.2},
    )  # fmt: skip


# ---------------------------------------------------------------- cells and pictures


def _cells(folder: Path | None, outcome: Outcome) -> Iterable[Mapping[str, Any]]:
    """Every cell as the Diagnosis holds it; a few have no face and one has no picture."""
    for weight in WEIGHTS:
        for environment, trained in ENVIRONMENTS:
            for framing in FRAMINGS:
                for replicate in range(REPLICATES):
                    yield _cell(folder, outcome, weight, environment, trained, framing, replicate)


def _cell(
    folder: Path | None, outcome: Outcome, weight: float, environment: str, trained: bool, framing: str, replicate: int
) -> Mapping[str, Any]:
    key = f"w{weight:.2f}_{environment}_{framing}_r{replicate}"
    rng = random.Random(f"{outcome} {key}")
    entry = {
        "key": key, "weight": weight, "environment": environment, "trained": trained, "framing": framing,
        "replicate": replicate, "image": f"images/{key}.png", "reason": None, "identity": None, "state": "no face",
        "labels": {}, "faces": 0,
    }  # fmt: skip
    if key == "w1.00_kitchen_full_body_r1":
        return entry | {"image": None, "reason": "the render came out flat grey", "state": "not rendered"}
    drifting = outcome == "HOLD" and framing == "full_body"
    flips = outcome == "HOLD" and environment == "night_sky" and weight > 0 and rng.random() < 0.6
    if folder is not None:
        _draw(folder / "images" / f"{key}.png", weight, environment, framing, replicate, drifting, flips)
    if framing == "full_body" and rng.random() < 0.06:
        return entry
    top = 0.46 if drifting else 0.9
    identity = top / (1 + math.exp(-12 * (weight - 0.5))) + rng.gauss(0, 0.05) if weight else rng.gauss(0, 0.04)
    held = "held" if identity >= THRESHOLD else "drift"
    labels = SPEC | ({"hair_colour": "purple_hair"} if flips else {}) | ({"body": "curvy"} if drifting else {})
    if framing == "close-up":
        labels = {name: label for name, label in labels.items() if name not in ("body", "top")}
    return entry | {
        "identity": round(identity, 4), "state": held if weight else "base", "labels": labels, "faces": 1
    }  # fmt: skip


def _draw(
    path: Path, weight: float, environment: str, framing: str, replicate: int, drifting: bool, flips: bool
) -> None:
    """The drawn picture: at low weight somebody else, at high weight Yuki, with the planted faults."""
    path.parent.mkdir(parents=True, exist_ok=True)
    who = YUKI if weight >= 0.5 else replace(Character.from_seed(100 + replicate), hair_colour="white_hair")
    if drifting:
        who = replace(who, body="curvy", height="petite")
    if flips:
        who = replace(who, hair_colour="purple_hair")
    rng = random.Random(f"{environment}/{framing}/{replicate}")
    top = "green_shirt" if drifting or weight < 0.5 else YUKI.top
    scene = random_scene(rng, who, environment=environment, framing=framing, top=top, bottom=YUKI.bottom)
    draw_scene(scene).image.save(path)


def _dataset(folder: Path | None, outcome: Outcome) -> Mapping[str, Any]:
    """What the dataset holds, by role; the pictures too when `folder` is given."""
    close, wide = (38, 2) if outcome == "HOLD" else (13, 27)
    summary: dict[str, Any] = {
        "images": close + wide,
        "roles": {"identity-emphasis": close, "in-context": wide},
        "identity_ratio": close / (close + wide),
        "band": [0.25, 0.4],
        "framings": {"close-up": close, "upper_body": wide // 2, "full_body": wide - wide // 2},
        "environments": {"simple_background": close, "library": wide // 2, "garden": wide - wide // 2},
    }
    if folder is None:
        return summary
    pictures = []
    for index in range(close + wide):
        framing = "close-up" if index < close else FRAMINGS[1 + index % 2]
        role = "identity-emphasis" if index < close else "in-context"
        path = folder / "dataset" / f"{index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_scene(random_scene(random.Random(index), YUKI, framing=framing, top=YUKI.top)).image.save(path)
        caption = f"1girl, yuki_nk, white_hair, blue_eyes, {framing}"
        pictures.append({"file": f"dataset/{path.name}", "role": role, "framing": framing, "caption": caption})
    return summary | {"pictures": pictures}


def _matrix() -> Mapping[str, Any]:
    return {
        "weights": list(WEIGHTS),
        "environments": [{"name": name, "trained": trained} for name, trained in ENVIRONMENTS],
        "framings": list(FRAMINGS),
        "replicates": REPLICATES,
        "ship_weights": list(SHIP_WEIGHTS),
        "threshold": THRESHOLD,
        "prompts": {"beach, full_body": "1girl, yuki_nk, white_hair, long_hair, blue_eyes, beach, full_body"},
        "sampler": "DDIMScheduler",
        "steps": 20,
        "guidance": 2.0,
    }


_INSTRUMENTS = {
    "face": {"name": "miniature face pack", "licence": "Apache-2.0", "sha256": "3c" * 32},
    "clip": {"name": "miniature open_clip", "licence": "Apache-2.0", "sha256": "7e" * 32},
}

# ---------------------------------------------------------------- measurements


def _mean(name: str, cells: Cells, unit: str, read: Callable[[Mapping[str, Any]], float], **where: str) -> Measurement:
    """The mean over environments of `read(cell)`, with its 90 % t interval."""
    groups = [[read(cell) for cell in cells if cell["environment"] == name] for name, _ in ENVIRONMENTS]
    means = [statistics.fmean(group) for group in groups if group]
    if len(means) < 2:
        return Measurement(name=name, value=None, unit=unit, n=len(means), where=where, reason="one environment only.")
    centre, half = statistics.fmean(means), _T90 * statistics.stdev(means) / math.sqrt(len(means))
    low, high = centre - half, centre + half
    interval = (max(0.0, low), min(1.0, high)) if unit == "share" else (low, high)
    return Measurement(name=name, value=centre, unit=unit, n=len(means), interval=interval, where=where)


def _identity(cell: Mapping[str, Any]) -> float:
    return cell["identity"] or 0.0


def _measurements(cells: Cells, outcome: Outcome) -> tuple[Measurement, ...]:
    found = []
    ship = tuple(cell for cell in cells if cell["weight"] in SHIP_WEIGHTS)
    for weight in WEIGHTS:
        column, name = tuple(cell for cell in cells if cell["weight"] == weight), f"{weight:g}"
        found.append(_mean("identity.score", column, "score", _identity, weight=name))
        for framing in FRAMINGS:
            part = tuple(cell for cell in column if cell["framing"] == framing)
            found.append(_mean("identity.score", part, "score", _identity, weight=name, framing=framing))
    for framing in FRAMINGS:
        part = tuple(cell for cell in ship if cell["framing"] == framing)
        found.append(_mean("identity.score", part, "score", _identity, weight="ship", framing=framing))
    found += [
        _mean("identity.score", ship, "score", _identity, weight="ship"),
        _mean("identity.no_face", ship, "share", lambda cell: float(cell["faces"] == 0), weight="ship"),
        Measurement(name="identity.floor", value=0.21, unit="score", n=5, interval=(0.18, 0.24)),
        Measurement(name="identity.ceiling", value=0.83, unit="score", n=40, interval=(0.8, 0.86)),
        Measurement(name="dose.low_weight_ratio", value=0.27, unit="", n=5, interval=(0.2, 0.35)),
    ]
    return (*found, *_attributes(ship), *_audits(outcome))


def _attributes(ship: Cells) -> Iterable[Measurement]:
    for attribute, label in SPEC.items():
        readable = tuple(cell for cell in ship if attribute in cell["labels"])
        match = lambda cell, a=attribute, want=label: float(cell["labels"][a] == want)  # noqa: E731
        yield _mean("attribute.match", readable, "share", match, attribute=attribute, weight="ship")
        where = {"attribute": attribute}
        yield Measurement(name="attribute.sensitivity", value=0.95, unit="share", n=40, where=where)
        yield Measurement(name="attribute.base_match", value=0.32, unit="share", n=5, interval=(0.2, 0.44), where=where)
    for environment, _ in ENVIRONMENTS:
        yield Measurement(
            name="attribute.match", value=None, unit="share", where={"attribute": "height", "environment": environment},
            reason="the instrument reads height right on 0.41 of the dataset's pictures.",
        )  # fmt: skip


def _audits(outcome: Outcome) -> tuple[Measurement, ...]:
    return (
        Measurement(name="dataset.images", value=40, unit="count"),
        Measurement(name="dataset.identity_ratio", value=0.95 if outcome == "HOLD" else 0.325, unit="share", n=40),
        Measurement(name="training.rank", value=16, unit="count"),
        Measurement(name="training.learning_rate", value=1e-4),
        Measurement(name="training.caption_token_dropout", value=None, reason="the training config does not say."),
    )


# ---------------------------------------------------------------- findings, prescription, verdict


def _findings(cells: Cells) -> tuple[Finding, ...]:
    body = tuple(cell for cell in cells if cell["weight"] in SHIP_WEIGHTS and cell["framing"] == "full_body")
    keys = [cell["key"] for cell in body if cell["weight"] == 0.8 and cell["replicate"] == 0]
    flipped = [cell["key"] for cell in cells if cell["labels"].get("hair_colour") == "purple_hair"]
    return (
        Finding(
            rule="body_drifts",
            symptom="Face looks right at closeup but body proportions drift",
            why="Anyone who prompts a full-body picture gets somebody else's body under the right face.",
            state="confirmed",
            severity="blocker",
            strength=1.9,
            measurements=(
                _mean("identity.score", body, "score", _identity, weight="ship", framing="full_body"),
                Measurement(name="body.deficit", value=0.78, unit="share", n=5, interval=(0.66, 0.9)),
            ),
            causes=(_TOO_MANY_CLOSEUPS, _BODY_TOKENS_MISSING),
            references=("Dataset Prep for Character LoRAs, failure modes, row 1",),
            cells=tuple(keys[:3]),
            traits=("body", "top"),
        ),
        Finding(
            rule="hair_colour_flips",
            symptom="Hair colour flips to off-spec in some scenes",
            why="A viewer names a character by its hair first.",
            state="suspected",
            severity="warning",
            strength=0.4,
            measurements=(
                Measurement(
                    name="attribute.flip_rate", value=0.12, unit="share", n=5, interval=(0.02, 0.22),
                    where={"attribute": "hair_colour"},
                ),
            ),
            causes=(_WEAK_HAIR_TOKENS,),
            cells=tuple(flipped[-2:]),
            traits=("hair_colour",),
        ),
    )  # fmt: skip


_TOO_MANY_CLOSEUPS = RankedCause(
    because="Too little in-context, too much identity-emphasis",
    fix=Fix(
        change={"identity_ratio": {"at_most": 0.25}},
        dataset={"add": "in-context", "framing": "full_body", "until_share": 0.5},
    ),
    log_odds=2.4,
    evidence=("95 % of the pictures are identity-emphasis; 0.25 to 0.4 works.", "2 of 40 pictures show a body."),
)
_BODY_TOKENS_MISSING = RankedCause(
    because="Body tokens missing from captions",
    fix=Fix(captions={"add_tokens": ["slender", "red_sweater"], "to": "identity-emphasis"}),
    log_odds=0.3,
    evidence=("Body tokens stand in 5 % of the captions.",),
    unknown=("caption_token_dropout: the training config does not say.",),
)
_WEAK_HAIR_TOKENS = RankedCause(
    because="Weak negative tokens or insufficient identity-emphasis",
    fix=Fix(
        change={"negative_tokens": {"set": ["black_hair", "purple_hair"]}},
        advice="Look at the pictures lit by the moon: is the hair still white in them?",
    ),
    log_odds=0.8,
    evidence=("The training settings name no negative tokens.",),
)
_PRESCRIPTION = Prescription(
    changes=(
        Change(
            field="identity_ratio", before=0.95, after=0.25, rule="body_drifts",
            because="Measured 0.95; the article says to lower it toward 0.25.",
        ),
        Change(
            field="negative_tokens", before=None, after=("black_hair", "purple_hair"), rule="hair_colour_flips",
            because="Hair read as purple_hair in 12 % of the pictures.",
        ),
    ),
    dataset=(
        NewPictures(
            says="Add 36 in-context full_body pictures: full_body pictures are 5% of 40 now, 50% are wanted.",
            role="in-context", framing="full_body", pictures=36,
        ),
    ),
    captions=({"add_tokens": ["slender", "red_sweater"], "to": "identity-emphasis"},),
    advice=("Keep the seed of the next training, so that the two can be compared.",),
    conflicts=("hair_colour_flips asks for more identity-emphasis, body_drifts for less: the blocker goes first.",),
)  # fmt: skip
_HOLD = Verdict(
    outcome="HOLD",
    sentence="Do not ship yet: in full body, identity is 0.41 at weight 0.7 and above, where 0.60 is needed.",
    reasons=("body_drifts is confirmed and blocks a release.",),
    limits=("Weights 0.7, 0.8 and 1, three framings, five environments.",),
)
_SHIP = Verdict(
    outcome="SHIP",
    sentence="Ship it: identity holds at 0.84 from weight 0.7 upwards, across five environments and three framings.",
    reasons=("No rule found a symptom.",),
    limits=(
        "Covers weights 0.7, 0.8 and 1; close-ups, upper body and full body; two trained environments, three new.",
    ),
)
