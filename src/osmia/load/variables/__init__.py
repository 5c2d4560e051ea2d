"""Random values for `{{_name}}`: the original's names, from our own tables, seeded, in 0.1 to 4 microseconds each.

A value is made by a function without arguments that is bound to one generator and its tables when a template is
compiled, so that nothing is looked up when it is used. Numbers are drawn as `int(random() * n)`: `randint` takes four
times as long. Two `Variables` with one seed give the same values in the same order of uses.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Final

from osmia.load.plan import JsonValue
from osmia.load.variables.making import MAKERS, Dice

__all__ = ["TEXT_NAMES", "VARIABLE_NAMES", "Variables"]

_NUMBERS_AND_TRUTHS: Final = frozenset(
    {"timestamp", "randomBoolean", "randomInt", "randomFloat", "randomLatitude", "randomLongitude"}
)
VARIABLE_NAMES: Final = frozenset(MAKERS)
"""All names, without the underscore."""
TEXT_NAMES: Final = VARIABLE_NAMES - _NUMBERS_AND_TRUTHS
"""Those whose values are always text."""


class Variables:
    """The random values of one worker. `now_s` is Unix time, for timestamps and dates."""

    __slots__ = ("_dice", "_functions", "random")

    def __init__(self, seed: int | None, *, now_s: Callable[[], float] = time.time) -> None:
        dice = random.Random(seed)  # noqa: S311 - test data, not secrets
        self._dice = Dice(dice.random, dice.getrandbits, now_s)
        self._functions: dict[str, Callable[[], JsonValue]] = {}
        self.random = dice.random
        """A number from 0 to below 1, of the same seed."""

    def function(self, name: str) -> Callable[[], JsonValue]:
        """What makes the values of a name (without underscore).

        Raises:
            KeyError: there is none of that name.
        """
        if name not in self._functions:
            self._functions[name] = MAKERS[name](self._dice)
        return self._functions[name]

    def all(self) -> Mapping[str, JsonValue]:
        """One value of every name, for pages and tests."""
        return {name: self.function(name)() for name in sorted(VARIABLE_NAMES)}
