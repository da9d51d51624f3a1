"""Captions that say the same, or nearly so, whatever the order of their words. Pure; fast for ten thousand captions."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from lora_doctor.captions import pieces, prose_piece, sentences

ALIKE = 0.9
"""Jaccard similarity of two sets of tokens from which captions are nearly identical (caption-audit 1.3's)."""
_COMPARED = 100
"""Groups a caption is compared with at most, those that share its rarest tokens first: a bound on the time that
captions made to be slow can take. No real dataset reaches it."""


def caption_content(caption: str) -> frozenset[str]:
    """What a caption says, order aside: its folded tags, and the folded words of its prose."""
    said: set[str] = set()
    for piece in pieces(caption):
        said |= {word for words in sentences(piece) for word in words} if prose_piece(piece) else {piece}
    return frozenset(said)


def groups_of(contents: Sequence[frozenset[str]], alike: float = ALIKE) -> list[list[int]]:
    """Indexes by group: every caption with the shortest one that is like it; largest group first.

    Similarity is no equivalence: each member is like the shortest, not each like each. Two sets are only compared where
    they share one of their rarest tokens, so early in both that enough others can follow: prefix and positional
    filtering (Xiao et al., WWW 2008, doi:10.1145/1367497.1367516).
    """
    same: dict[frozenset[str], list[int]] = {}
    for index, content in enumerate(contents):
        same.setdefault(content, []).append(index)
    members = {content: list(indexes) for content, indexes in same.items()}
    if alike < 1.0:
        frequency = Counter(token for content in same for token in content)
        ranked = {content: sorted(content, key=lambda token: (frequency[token], token)) for content in same}
        members = _joined(same, ranked, alike)
    return sorted((sorted(group) for group in members.values()), key=lambda group: (-len(group), group))


def _joined(
    same: Mapping[frozenset[str], Sequence[int]], ranked: Mapping[frozenset[str], list[str]], alike: float
) -> dict[frozenset[str], list[int]]:
    """Every set with the first, in order of size, that it is like."""
    leaders: _Leaders = defaultdict(list)
    members: dict[frozenset[str], list[int]] = {}
    for content in sorted(same, key=lambda one: (len(one), same[one][0])):
        prefix = ranked[content][: len(content) - math.ceil(alike * len(content) - 1e-9) + 1]
        leader = _like(content, prefix, leaders, alike)
        members.setdefault(leader or content, []).extend(same[content])
        if leader is None:
            for at, token in enumerate(prefix):
                leaders[token, len(content)].append((content, at))
    return members


_Leaders = dict[tuple[str, int], list[tuple[frozenset[str], int]]]
"""Token and size of a set -> the first sets of groups that have it early, and at which place."""


def _like(content: frozenset[str], prefix: Sequence[str], leaders: _Leaders, alike: float) -> frozenset[str] | None:
    size, seen = len(content), set[frozenset[str]]()
    for other_size in range(math.ceil(alike * size - 1e-9), size + 1):
        # Shared tokens without which two sets of these sizes are not alike; two sets are never equal here.
        needed = math.ceil(alike / (1 + alike) * (size + other_size) - 1e-9)
        if needed > min(other_size, size - 1):
            continue
        for at, token in enumerate(prefix):
            for leader, there in leaders.get((token, other_size), ()):
                if leader in seen or min(size - at, other_size - there) < needed:
                    continue
                seen.add(leader)
                if len(content & leader) >= needed:
                    return leader
                if len(seen) >= _COMPARED:
                    return None
    return None
