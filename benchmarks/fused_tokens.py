"""Is a token in nearly every caption because the pictures show it, or only out of habit? The two causes, told apart.

    python -m benchmarks.fused_tokens [--characters 20] [--first-seed 9001]

For every character, attribute and cause, at two severities: a token of the attribute is put in nine of ten captions.
*In the pictures*: nine of ten (mild) or all of them that can show it do. *Only in the captions*: two of five (mild) or
none of them show it. The likelier cause of the rule `fused-token` answers; where it names none, it abstained.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.defects.bindings import redraw
from benchmarks.defects.draft import Draft, Picture, Severity, healthy
from fixtures.miniature.world import vocabulary as words
from fixtures.miniature.world.captions import attribute_values, visible_attributes

ATTRIBUTES = ("environment", "top", "bottom", "pose", "expression", "hair_colour", "hair_style")
IN_PICTURES, IN_CAPTIONS = "in the pictures", "only in the captions"
CAUSES = (IN_PICTURES, IN_CAPTIONS)
CAPTIONED = 0.9
SHOWN = {
    (IN_PICTURES, "mild"): 0.9, (IN_PICTURES, "strong"): 1.0,
    (IN_CAPTIONS, "mild"): 0.4, (IN_CAPTIONS, "strong"): 0.0,
}  # fmt: skip
PICTURES_SHOW, HARDLY = 0.85, 0.6
"""As in rules/dataset/fused-token.yaml: shares from which and below which the rule blames the one or the other."""


def plant(draft: Draft, attribute: str, cause: str, severity: Severity) -> str:
    """Fuse a token of the attribute with the trigger, for that cause; the token."""
    own = attribute_values(draft.pictures[0].scene)[attribute]
    options = [label for label in words.ATTRIBUTES[attribute] if label not in (own, words.PLAIN_BACKGROUND)]
    token = draft.rng.choice(options)
    shows = set(map(id, _showing(draft, attribute)))
    mixed = draft.rng.sample(draft.pictures, len(draft.pictures))
    able = [picture for picture in mixed if id(picture) in shows]
    wanted = round(SHOWN[cause, severity] * len(able))
    for i, picture in enumerate(able):
        others = [option for option in options if option != token]
        _show(draft, picture, attribute, token if i < wanted else draft.rng.choice(others))
    captioned = draft.rng.sample(mixed, round(CAPTIONED * len(mixed)))
    for picture in mixed:
        own = attribute_values(picture.scene)[attribute]
        kept = [word for word in picture.tokens or [] if word not in words.ATTRIBUTES[attribute]]
        picture.tokens = [*kept, *([token] if picture in captioned else [own] if id(picture) in shows else [])]
    return token


def _showing(draft: Draft, attribute: str) -> list[Picture]:
    """Pictures in which the attribute is to be seen."""
    return [picture for picture in draft.pictures if attribute in visible_attributes(picture.scene.framing)]


def _show(draft: Draft, picture: Picture, attribute: str, label: str) -> None:
    if attribute in ("hair_colour", "hair_style"):
        picture.scene = replace(picture.scene, character=replace(picture.scene.character, **{attribute: label}))
        picture.image = None
        return
    redraw(draft, picture, **{attribute: label})


def answer(measurements: Any, token: str) -> tuple[str, float | None]:
    """The cause that the share of pictures which show the token speaks for, and the share."""
    named = {m.where["token"]: m for m in measurements if m.name == "captions.token_visible_share"}
    value = named[token].value if token in named else None
    if value is None or HARDLY <= value < PICTURES_SHOW:
        return "abstained", value
    return (IN_PICTURES if value >= PICTURES_SHOW else IN_CAPTIONS), value


def trials(seeds: range) -> Iterator[tuple[str, str, Severity, str, float | None]]:
    """Attribute, planted cause, severity, answer and share of every dataset."""
    from lora_doctor.dataset_audit import AuditSettings, audit_dataset, open_audit_instruments
    from lora_doctor.instrument_choice import BUNDLED

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        tools = open_audit_instruments(AuditSettings(dataset=place, out=place, instruments=BUNDLED))
        for seed in seeds:
            for attribute in ATTRIBUTES:
                for i, (cause, severity) in enumerate(SHOWN):
                    draft = healthy(seed, i % 2)
                    token = plant(draft, attribute, cause, severity)  # type: ignore[arg-type]
                    folder = place / f"{seed}-{attribute}-{i}"
                    draft.write(folder)
                    settings = AuditSettings(dataset=folder, out=place / "run", trigger=draft.trigger)
                    audit = audit_dataset(settings, instruments=tools)
                    told, value = answer(audit.measurements, token)
                    yield attribute, cause, severity, told, value  # type: ignore[misc]


def main() -> None:
    """Audit everything and print the confusion table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--characters", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=9001)
    asked = parser.parse_args()
    told = Counter(
        (attribute, cause, severity, answered)
        for attribute, cause, severity, answered, _ in trials(
            range(asked.first_seed, asked.first_seed + asked.characters)
        )
    )
    print("\n".join(table(told)))


def table(told: Counter[tuple[str, str, str, str]]) -> list[str]:
    """Markdown: per attribute, cause and severity how often the answer was right, wrong or abstained; and all
    together."""
    lines = ["| token of | cause | severity | right | wrong | abstained |", "|---|---|---|---|---|---|"]
    total: Counter[str] = Counter()
    for attribute in ATTRIBUTES:
        for cause, severity in SHOWN:
            counts = {answered: told[attribute, cause, severity, answered] for answered in (*CAUSES, "abstained")}
            wrong = sum(counts[other] for other in CAUSES if other != cause)
            total.update(right=counts[cause], wrong=wrong, abstained=counts["abstained"])
            lines.append(f"| {attribute} | {cause} | {severity} | {counts[cause]} | {wrong} | {counts['abstained']} |")
    share = total["right"] / max(1, total.total())
    return [*lines, f"| all | | | {total['right']} ({share:.1%}) | {total['wrong']} | {total['abstained']} |"]


if __name__ == "__main__":
    main()
