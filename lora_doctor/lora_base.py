"""The base model a LoRA was trained on, as far as its metadata tells: what names and widths of modules cannot. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lora_doctor.lora_base_names import BASES, FAMILY_PATTERNS, HASHES, OPEN_QUESTIONS, VERSION_BASES

UNKNOWN = "unknown"
_NAME_KEYS = ("ss_sd_model_name", "ot_config.base_model_name")
_VERSION_KEYS = ("ss_base_model_version", "modelspec.architecture", "ot_config.model_type")
_HASH_KEYS = ("ss_new_sd_model_hash", "ss_sd_model_hash")
_PREDICTIONS: Mapping[str, str] = {
    "v": "v_prediction", "v_prediction": "v_prediction", "sd_v1_v": "v_prediction", "sd_v2_v": "v_prediction",
    "epsilon": "epsilon",
}  # fmt: skip
_BASE_PREDICTIONS: Mapping[str, str] = {"noobai-vpred": "v_prediction", "sd-2.1-v": "v_prediction"}
_NOISE_FAMILIES = frozenset({"sd15", "sd2", "sdxl"})
"""The others are trained by flow matching; sd-scripts writes `epsilon` for them all the same (sai_model_spec.py)."""
_DEV_TUNED = frozenset({"flux-kontext", "flux-krea", "flux-fill"})
"""Made from FLUX.1 dev; trainers write `dev` for them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseGuess:
    """What metadata says about the base model."""

    family: str
    """The family the modules tell; if they leave several, the one of them that the metadata names; or `unknown`."""
    base: str | None = None
    """`pony`, `illustrious`, `noobai-vpred`, `flux-schnell`, `wan-2.2-high-noise` ...; None = not said."""
    name: str | None = None
    """What the trainer called the base model, without folders."""
    prediction_type: str | None = None
    """`epsilon` or `v_prediction`; None = not said, or the family is trained by flow matching."""
    evidence: tuple[str, ...] = ()
    contradictions: tuple[str, ...] = ()
    """What the metadata says against the modules, or against itself."""
    unsaid: str | None = None
    """What stays unknown."""

    @property
    def doubt(self) -> str | None:
        """Contradictions and what stays unknown, in one sentence."""
        return "; ".join(filter(None, (*self.contradictions, self.unsaid))) or None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Claim:
    """What one entry of the metadata says."""

    why: str
    family: str | None = None
    base: str | None = None
    exact: bool = False
    """A hash of the whole checkpoint."""


def describe_base(family: str, metadata: Mapping[str, str], candidates: Sequence[str] = ()) -> BaseGuess:
    """The base model behind a LoRA, from the metadata of its file.

    `family`: what the modules tell; `unknown` may become one of `candidates` here. The checkpoint's hash counts before
    its name, its name before the trainer's name for the architecture. Reads kohya's and musubi-tuner's `ss_...`,
    ai-toolkit's `ss_base_model_version`, OneTrainer's `ot_config` and `modelspec...`.
    """
    fields = dict(metadata) | _onetrainer(metadata)
    general = [*_hash_claims(fields), *_version_claims(fields)]
    named = [claim.family for claim in general if claim.family]
    settled = family if family != UNKNOWN else next((one for one in named if one in candidates), UNKNOWN)
    claims = sorted([*general, *_name_claims(settled, fields)], key=_weight)
    fitting = [claim for claim in claims if claim.family in (None, settled)]
    base, against = _most_special([claim for claim in fitting if claim.base])
    prediction, trained, doubted = _prediction(settled, base, fields)
    strangers = [f"{claim.why}, but its modules are {_of(settled)}" for claim in claims if claim not in fitting]
    unsaid = f"the metadata does not say which base: {OPEN_QUESTIONS[settled]}" if settled in OPEN_QUESTIONS else None
    return BaseGuess(
        family=settled,
        base=base,
        name=next((_file_name(fields[key]) for key in _NAME_KEYS if fields.get(key)), None),
        prediction_type=prediction,
        evidence=tuple(dict.fromkeys([*(claim.why for claim in fitting), *trained])),
        contradictions=tuple(dict.fromkeys(strangers + against + doubted)),
        unsaid=None if base else unsaid,
    )


def _of(family: str) -> str:
    return "of no family that is known" if family == UNKNOWN else f"those of {family}"


def _weight(claim: _Claim) -> int:
    """Hashes first, then names, then versions."""
    return 0 if claim.exact else 1 if claim.family is None else 2


def _onetrainer(metadata: Mapping[str, str]) -> dict[str, str]:
    """`ot_config.<key>` -> value, for the strings of OneTrainer's own configuration."""
    try:
        config = json.loads(metadata.get("ot_config", "{}"))
    except (ValueError, RecursionError):
        return {}
    items = config.items() if isinstance(config, dict) else ()
    return {f"ot_config.{key}": value for key, value in items if isinstance(value, str)}


def _hash_claims(fields: Mapping[str, str]) -> Iterator[_Claim]:
    for key in _HASH_KEYS:
        value = fields.get(key, "").strip().lower().removeprefix("0x")
        if value in HASHES:
            family, base = HASHES[value]
            yield _Claim(why=f"{key} is that of {base}", family=family, base=base, exact=len(value) == 64)


def _version_claims(fields: Mapping[str, str]) -> Iterator[_Claim]:
    for key in _VERSION_KEYS:
        value = fields.get(key, "").partition("/")[0]
        plain = re.sub(r"[^a-z0-9]", "", value.lower())
        family = next((one for pattern, one in FAMILY_PATTERNS if re.match(pattern, plain)), None)
        if family is not None:
            yield _Claim(why=f"{key} is {_shown(value)}", family=family, base=VERSION_BASES.get(plain))
    if fields.get("ss_v2", "").lower() == "true":
        yield _Claim(why="ss_v2 is True", family="sd2")


def _name_claims(family: str, fields: Mapping[str, str]) -> Iterator[_Claim]:
    """What the name of the checkpoint holds; nothing when it holds the names of several bases."""
    for key in _NAME_KEYS:
        name = _file_name(fields.get(key, ""))
        base = base_called(name, family)
        if base is not None:
            yield _Claim(why=f"{key} is {_shown(name)}", base=base)


def base_called(name: str, family: str) -> str | None:
    """The base model of a family that goes by this file name or hub id; None for none, or the names of several."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower())
    found = [base for pattern, base in BASES.get(family, ()) if re.search(pattern, plain)]
    special = [base for base in found if not any(_refines(other, base) for other in found)]
    return special[0] if len(special) == 1 else None


def predicted_by(name: str, family: str) -> str | None:
    """What the base model that goes by this file name or hub id predicts; None where the name does not tell."""
    base = base_called(name, family)
    if family not in _NOISE_FAMILIES:
        return None
    if re.search(r"v[^a-z0-9]?pred", name.lower()):
        return "v_prediction"
    return None if base is None else _BASE_PREDICTIONS.get(base, "epsilon")


def _most_special(claims: Sequence[_Claim]) -> tuple[str | None, list[str]]:
    """The base that the claims, the weightiest first, agree on; and each claim against it."""
    if not claims:
        return None, []
    first = claims[0]
    chosen = first
    for claim in claims[1:]:
        if not first.exact and _refines(claim.base, chosen.base):
            chosen = claim
    against = [claim for claim in claims if claim.base != chosen.base and not _refines(chosen.base, claim.base)]
    return chosen.base, [f"{chosen.why}, but {claim.why}" for claim in against]


def _refines(special: str | None, general: str | None) -> bool:
    """Whether a base is a kind of another: `noobai-vpred` of `noobai`."""
    if special is None or general is None or special == general:
        return False
    return special.startswith(f"{general}-") or (general == "flux-dev" and special in _DEV_TUNED)


def _prediction(family: str, base: str | None, fields: Mapping[str, str]) -> tuple[str | None, list[str], list[str]]:
    """What the model was trained to predict, where that is said, and what speaks against it."""
    if family not in _NOISE_FAMILIES:
        return None, [], []
    known = _BASE_PREDICTIONS.get(base or "")
    for key in ("modelspec.prediction_type", "ss_base_model_version"):
        value = fields.get(key, "").strip().lower()
        said = _PREDICTIONS.get(value)
        if said is not None:
            doubts = [f"{base} predicts {known}, but {key} is {_shown(value)}"] if known not in (None, said) else []
            return said, [f"{key} is {_shown(value)}"], doubts
    return known, [], []


def _file_name(path: str) -> str:
    """The last part of a path of any system; a hub id keeps its owner."""
    text = path.strip()
    parts = [part for part in re.split(r"[\\/]", text) if part]
    local = re.match(r"[\\/.~]|[A-Za-z]:", text) or re.search(r"\.(safetensors|ckpt|pt|bin|gguf)\Z", text.lower())
    owner = len(parts) == 2 and not local
    return "/".join(parts) if owner else (parts[-1] if parts else "")


def _shown(text: str) -> str:
    return ascii(text) if len(text) <= 60 else f"{ascii(text[:56])[:-1]}...'"
