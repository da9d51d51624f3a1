"""Values of settings, and doubts about causes, as text: in terminal, report and prescription the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lora_doctor.looks import OPEN_ENDS
from lora_doctor.types import CLOSE_UP, IDENTITY_EMPHASIS, IN_CONTEXT, Change, Diagnosis, Finding

FOR_NEW = "for use with the new in-context pictures"
"""What a change says that does harm where these are not added."""


def how_to_go_on(diagnosis: Diagnosis) -> str:
    """Where the verdict is open and only the number of pictures ended the rendering: what renders more; else empty."""
    rounds = diagnosis.matrix.get("rounds") or {}
    stopped = rounds.get("stopped")
    if diagnosis.verdict.outcome != "INCONCLUSIVE" or stopped not in OPEN_ENDS:
        return ""
    most = rounds.get("reach") or rounds["at_most"] + 4
    if diagnosis.before:  # of a retraining, which takes the settings of the check-up before it
        what = f"`--most-replicates {most}`"
    else:
        in_settings = f"`most_replicates = {most}` under [matrix] in lora-doctor.toml"
        what = "a larger --budget" if stopped == "budget" else in_settings
    told = "More pictures may decide it"
    if stopped == "out of reach":
        left = rounds["at_most"] - rounds["looks"][-1]
        rest = "The round that is left" if left == 1 else f"The {left} rounds that are left"
        if "reach" not in rounds:
            return f"{rest} would hardly decide it, nor would several times as many: it is too close to the limit."
        told = f"{rest} would hardly decide it; more may, with some luck"
    return f"{told}: with {what} the same command goes on, and keeps what is rendered."


def too_close(finding: Finding, most: int = 3) -> str | None:
    """What to say where the first causes are too close to tell which comes first, and what would tell; else None."""
    if finding.close < 2:
        return None
    unknown = list(dict.fromkeys(line for cause in finding.causes[: finding.close] for line in cause.unknown))
    would = f" Not known, and would tell: {'; '.join(unknown[:most])}." if unknown else ""
    return f"Which of the first {finding.close} causes comes first is too close to tell.{would}"


def setting_text(value: Any) -> str:
    """A training setting as text: three significant digits, lists with commas, None is `not set`."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name.replace('_', ' ')}: {setting_text(part)}" for name, part in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(setting_text, value)) or "none"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def digits(number: float) -> str:
    """A number with two decimals; whole ones without, large and very small ones with three significant digits."""
    if number == 0 or 0.01 <= abs(number) < 10:
        return f"{number:.0f}" if number == int(number) else f"{number:.2f}"
    return f"{number:.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def change_text(change: Change) -> str:
    """`0.952 -> 0.25`, or `stays 0.33` where something else would change the setting."""
    before, after = setting_text(change.before), setting_text(change.after)
    return f"stays {after}" if before == after else f"{before} -> {after}"


def role_asked(fix: Mapping[str, Any]) -> str:
    """The role of the pictures that a fix of the dataset asks for; where it names none, its framing says: a close-up
    shows who it is, wider pictures where and how."""
    return str(fix.get("add") or (IDENTITY_EMPHASIS if fix.get("framing") == CLOSE_UP else IN_CONTEXT))


def dataset_text(fix: Mapping[str, Any]) -> str:
    """A fix of the dataset as text: `Dataset: add in-context pictures in full body until they are 50% of the set`."""
    left_out = fix.get("leave_out")
    if left_out is not None:
        named = "these pictures" if left_out == "pictures" else f"the pictures that show another {_spoken(left_out)}"
        return f"Dataset: leave {named} out"
    framing = f" in {_spoken(fix['framing'])}" if "framing" in fix else ""
    share = f" until they are {fix['until_share']:.0%} of the set" if "until_share" in fix else ""
    many = fix.get("environments_at_least")
    places = f" until they show {many} environments or more" if many is not None else ""
    return f"Dataset: add {role_asked(fix)} pictures{framing}{share}{places}"


def _spoken(name: Any) -> str:
    return str(name).replace("_", " ")


def caption_text(fix: Mapping[str, Any]) -> str:
    """A fix of captions as text: `Captions: add trigger in the captions of all pictures`."""
    where = f" in the captions of {fix['to']} pictures" if "to" in fix else ""
    tokens, added, corrected = setting_text(fix.get("tokens") or ()), fix.get("add_tokens"), fix.get("correct_tokens")
    if added is not None:
        return f"Captions: add {tokens if fix.get('tokens') else setting_text(added)}{where}"
    if (token := fix.get("remove_token")) is not None:
        return f"Captions: take {token} out where the picture does not show it"
    if corrected is not None:
        kind = _spoken(corrected)
        return f"Captions: name {tokens if fix.get('tokens') else f'the true {kind}'} and no other {kind}{where}"
    return f"Captions: {setting_text(fix)}"
