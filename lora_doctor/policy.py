"""When a LoRA may ship: a policy file, and the presets it extends -> `Policy`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from lora_doctor.errors import UsageError, nearest
from lora_doctor.policy_file import EXTENDS, FOLDER, RULES, WAIVERS, Key, PolicyFile, read_layers
from lora_doctor.types import FRAMINGS, Waiver

Claim = Literal["interval", "point"]
"""Which side of its limit a number must be on: the whole interval, or the estimate."""
Level = Literal["fail", "warn", "ignore"]
"""What a rule's finding can do to a release; `ignore` is said among the verdict's limits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """When a LoRA may ship; every number comes from a policy file, and `standard.toml` argues for it.

    A `warn_...` number is held against the very demand without `warn_`: a LoRA that meets that demand and not the
    stricter one ships with a warning. None = no warning level.
    """

    name: str
    extends: str = ""
    """The preset that the file extends."""
    identity_at_least: float
    """The identity score at which the character counts as held (0 = base model, 1 = the character's own pictures)."""
    identity_claim: Claim
    framing_identity_at_least: float
    """The identity score in each of `framings`, over the ship weights, that the others cannot make up for; held against
    it as `identity_claim` says."""
    weights: tuple[float, ...]
    """The weights that must each hold."""
    weight_claim: Claim
    environments: int
    """How many environments must hold."""
    novel: int
    """How many of them must be new to the dataset."""
    environment_claim: Claim
    framings: tuple[str, ...]
    """The framings that must come when they are asked for, with a face."""
    no_face_at_most: float
    """Share of renders without a face that is borne in each of them."""
    no_face_claim: Claim
    adherence_loss_at_most: float
    """Share of the base model's pictures in which what the prompt asks for comes, that the LoRA may lose."""
    adherence_claim: Claim
    framing_loss_at_most: float
    """Share of the pictures of each framing, of those that the base model frames as asked, that the LoRA may frame
    otherwise: what is claimed of close-ups is claimed of close-ups."""
    framing_claim: Claim
    gap_at_least: float
    """Least gap between floor and ceiling at which identity can be measured."""
    picture_gap_at_least: float
    """The same with an instrument that looks at whole pictures (CCIP, DINO) instead of faces."""
    hold: tuple[Literal["blocker", "warning", "note"], ...]
    """Findings of these severities hold a release; blockers and warnings that are not among them warn."""
    bears: float
    """A finding beyond its rule's number by less than this share of the way there is (0 to 1) only warns, be it
    suspected or confirmed. A stronger one holds when confirmed, and leaves the verdict open when suspected."""
    optional_rules: tuple[str, ...] = ()
    """Rules that may stay unevaluated in a SHIP; their findings only warn."""
    warn_identity_at_least: float | None = None
    warn_environments: int | None = None
    warn_novel: int | None = None
    warn_no_face_at_most: float | None = None
    warn_gap_at_least: float | None = None
    warn_picture_gap_at_least: float | None = None
    rules: Mapping[str, Level] = field(default_factory=dict)
    """Rule -> what its finding does, whatever its severity."""
    waivers: tuple[Waiver, ...] = ()


WARN = "warn_"
LARGEST = {
    "no_face_at_most": "no render shows a face",
    "adherence_loss_at_most": "nothing comes that is asked for",
    "framing_loss_at_most": "no picture is framed as asked",
}
"""Demands that a number be small -> what they bear at 1; all others ask that it be large."""
KEYS = tuple(f.name for f in fields(Policy) if f.name not in ("name", EXTENDS))
WARN_KEYS = tuple(key for key in KEYS if key.startswith(WARN))


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolvedPolicy:
    """A policy, and the files it was put together from."""

    policy: Policy
    layers: tuple[PolicyFile, ...]
    """The chosen file first, then those it extends."""
    origins: Mapping[Key, tuple[PolicyFile, Key]]
    """Key (`("rules", "hair-flip")`, `("waivers", 1)`) -> the file it comes from, and its key there."""

    def at(self, *key: str | int) -> str:
        """`<path>:<line>` of a key, or of the file when no file says it."""
        found = next((self.origins[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self.origins), None)
        return str(self.layers[0].path) if found is None else found[0].at(*found[1], *key[len(found[1]) :])


def has_presets(folder: Path) -> bool:
    """Whether a rules folder has policies of its own."""
    return (folder / FOLDER).is_dir()


def load_policy(folder: Path, choice: str) -> Policy:
    """The policy of a choice: the preset `<folder>/policies/<choice>.toml`, or the path of a file.

    `folder` is the rules folder. Raises UsageError for an unknown name (listing the known ones), for a missing, unknown
    or unfit key, and for keys that contradict each other, with the file and the line.
    """
    resolved = resolve_policy(folder, choice)
    for key, complaint in contradictions(resolved.policy):
        raise UsageError(ended(complaint), path=resolved.at(*key))
    return resolved.policy


def resolve_policy(folder: Path, choice: str) -> ResolvedPolicy:
    """As `load_policy`, with where each key comes from, and without a look at contradictions."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    layers = read_layers(folder, choice)
    for layer in layers:
        for at, complaint in misfits(layer):
            raise UsageError(ended(complaint), path=at)
    values, origins = _merged(layers)
    extends = layers[1].name if len(layers) > 1 else ""
    try:
        raw = {**values, "name": layers[0].name, EXTENDS: extends}
        # The tuple is what lets pydantic's config reach a dataclass of the standard library.
        adapter = TypeAdapter(tuple[Policy], config=ConfigDict(extra="forbid", allow_inf_nan=False))
        policy = adapter.validate_python((raw,))[0]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = tuple(first["loc"][1:])
        found = next((origins[key[:n]] for n in range(len(key), 0, -1) if key[:n] in origins), None)
        where = found[0].at(*found[1], *key[len(found[1]) :]) if found else layers[0].path
        raise UsageError(f"{'.'.join(map(str, key))}: {first['msg'].lower()}.", path=where) from error
    return ResolvedPolicy(policy=policy, layers=layers, origins=origins)


def _merged(layers: Sequence[PolicyFile]) -> tuple[dict[str, Any], dict[Key, tuple[PolicyFile, Key]]]:
    """The nearest layer wins; `[rules]` is merged rule by rule, waivers add up."""
    values: dict[str, Any] = {RULES: {}, WAIVERS: []}
    origins: dict[Key, tuple[PolicyFile, Key]] = {}
    for layer in reversed(layers):
        for name, value in layer.values.items():
            if name == RULES:
                values[RULES] |= value
                origins |= {(RULES, rule): (layer, (RULES, rule)) for rule in value}
            elif name == WAIVERS:
                start = len(values[WAIVERS])
                values[WAIVERS] += [_dated(waiver) for waiver in value]
                origins |= {(WAIVERS, start + i): (layer, (WAIVERS, i)) for i in range(len(value))}
            elif name != EXTENDS:
                values[name] = value
                origins[(name,)] = (layer, (name,))
    return values, origins


def _dated(waiver: Mapping[str, Any]) -> dict[str, Any]:
    """`expires` as text, whether the file wrote a date or a text."""
    day = waiver.get("expires")
    return {**waiver, "expires": day.isoformat()} if isinstance(day, date) else dict(waiver)


# ---------------------------------------------------------------- what the schema cannot say


def misfits(layer: PolicyFile) -> Iterator[tuple[str, str]]:
    """What one file says that no policy can, as (place, complaint): unknown keys, and waivers that are none."""
    for name, value in layer.values.items():
        if name not in (*KEYS, EXTENDS):
            yield layer.at(name), f"{name}: is not a key of a policy. {nearest(name, (*KEYS, EXTENDS))}".rstrip(" .")
        elif name == RULES and not isinstance(value, Mapping):
            yield layer.at(name), "rules: a table of rule = level is wanted"
        elif name == WAIVERS and not (isinstance(value, list) and all(isinstance(one, Mapping) for one in value)):
            yield layer.at(name), "waivers: tables headed [[waivers]] are wanted"
        elif name == WAIVERS:
            for i, waiver in enumerate(value):
                yield from ((layer.at(WAIVERS, i, *key), text) for key, text in _waiver_misfits(waiver))


_WAIVER_KEYS = tuple(f.name for f in fields(Waiver))


def _waiver_misfits(waiver: Mapping[str, Any]) -> Iterator[tuple[Key, str]]:
    for name in waiver:
        if name not in _WAIVER_KEYS:
            yield (name,), f"waivers.{name}: is not a key of a waiver. {nearest(name, _WAIVER_KEYS)}".rstrip(" .")
    for name in ("rule", "reason"):
        text = waiver.get(name)
        if not isinstance(text, str) or not text.strip() or not text.isprintable():
            yield (name,), f"waivers.{name}: a waiver names its rule and its reason, each a text of one line"
    if not _is_day(waiver.get("expires")):
        yield ("expires",), "waivers.expires: a waiver has a last day, such as 2027-03-01"
    lora = waiver.get("lora", "")
    if lora and not (isinstance(lora, str) and 8 <= len(lora) <= 64 and set(lora) <= set("0123456789abcdef")):
        yield ("lora",), "waivers.lora: the first 8 to 64 digits of the LoRA's SHA-256 are wanted, in lower case"


def _is_day(value: Any) -> bool:
    if isinstance(value, date):
        return not isinstance(value, datetime)
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def contradictions(policy: Policy) -> Iterator[tuple[Key, str]]:
    """Keys of a policy that cannot be meant together, as (key, complaint)."""
    for key in WARN_KEYS:
        demand = key.removeprefix(WARN)
        warn, fail = getattr(policy, key), getattr(policy, demand)
        if warn is None:
            continue
        largest = demand in LARGEST
        if warn >= fail if largest else warn <= fail:
            side = "below" if largest else "above"
            laxer = "the same as" if warn == fail else "laxer than"
            yield (key,), f"{key}: {warn:g} is {laxer} {demand} = {fail:g}, and would never warn; put it {side}"
    if not 0 <= policy.bears < 1:
        yield ("bears",), f"bears: {policy.bears:g} is no share below 1"
    for key in LARGEST:
        if not 0 <= (value := getattr(policy, key)) <= 1:
            yield (key,), f"{key}: {value:g} is no share"
    for framing in policy.framings:
        if framing not in FRAMINGS:
            yield ("framings",), f"framings: {framing!r} is none. {nearest(framing, FRAMINGS)}".rstrip(" .")
    for rule in policy.optional_rules:
        if policy.rules.get(rule) == "fail":
            told = "a finding that hiding its measurement would undo cannot hold a release"
            yield (RULES, rule), f"rules.{rule}: is `fail` here and among optional_rules; {told}"


def unknown_rules(policy: Policy, known: Sequence[str]) -> Iterator[tuple[Key, str]]:
    """Rules that the policy names and the rules folder does not have, as (key, complaint)."""
    for rule in policy.rules:
        if rule not in known:
            yield (RULES, rule), f"rules.{rule}: there is no such rule. {nearest(rule, known)}".rstrip(" .")
    for rule in policy.optional_rules:
        if rule not in known:
            yield ("optional_rules",), f"optional_rules: there is no rule {rule!r}. {nearest(rule, known)}".rstrip(" .")
    for i, waiver in enumerate(policy.waivers):
        if waiver.rule in KEYS:
            told = "a demand of the policy cannot be waived; change its number, in the open"
            yield (WAIVERS, i, "rule"), f"waivers.rule: {waiver.rule}: {told}"
        elif waiver.rule not in known:
            told = f"there is no rule {waiver.rule!r}. {nearest(waiver.rule, known)}"
            yield (WAIVERS, i, "rule"), f"waivers.rule: {told}".rstrip(" .")


def ended(complaint: str) -> str:
    """The complaint as a sentence: with a full stop, unless it ends with a question."""
    return complaint if complaint.endswith("?") else f"{complaint}."
