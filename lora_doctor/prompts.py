"""Trigger, identity tokens, outfit, framing and environment -> the prompt of a cell, in the family's dialect. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from lora_doctor.errors import UsageError

DIALECTS: tuple[str, ...] = ("tags",)
"""`tags`: danbooru-style tokens joined with ", ", as the article's captions are."""


def build_prompt(
    *,
    class_token: str,
    trigger: str,
    identity_tokens: Sequence[str],
    framing: str,
    environment: str,
    outfit: Sequence[str] = (),
    pose: str | None = None,
    dialect: str = "tags",
) -> str:
    """The prompt in tag order: class token, trigger, identity tokens, outfit, pose, environment, framing.

    Empty tokens are left out and a token said twice is said once, at its first place. Raises UsageError for an
    unknown dialect.
    """
    if dialect not in DIALECTS:
        raise UsageError(f"unknown prompt dialect {dialect!r}.", advice=f"Known: {', '.join(DIALECTS)}.")
    tokens = (class_token, trigger, *identity_tokens, *outfit, pose or "", environment, framing)
    return ", ".join(dict.fromkeys(token.strip() for token in tokens if token.strip()))
