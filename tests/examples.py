"""How many examples a property is tried on: a tenth of its own number, unless everything is wanted.

`python -m pytest --hypothesis-profile thorough FILE` tries all of them, on new examples every time.
"""

from hypothesis import settings

TENTH = 10


def many(number: int, quick: int | None = None) -> int:
    """`number` in the profile `thorough`, else `quick`, or a tenth of it."""
    if settings.get_current_profile_name() == "thorough":
        return number
    return number // TENTH if quick is None else quick
