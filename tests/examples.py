"""How many examples a property is tried on: a tenth of its own number, unless everything is wanted.

`python -m pytest --hypothesis-profile thorough FILE` tries all of them, on new examples every time.
"""

from hypothesis import settings

TENTH = 10


def many(number: int) -> int:
    """`number` in the profile `thorough`, else a tenth of it."""
    return number if settings.get_current_profile_name() == "thorough" else number // TENTH
