"""The error tree: as drawn, as it reads."""

from __future__ import annotations

import re

from osmia.model import errors
from osmia.model.errors import ConfigError, OsmiaError


def drawn_tree() -> dict[str, str]:
    """Class to base, read from the drawing in the module's docstring."""
    parents: dict[str, str] = {}
    path: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^( +(?:[│├└─ ]*))([A-Z]\w+Error)\b", line)
        if found:
            depth = len(found[1])
            path = {level: name for level, name in path.items() if level < depth} | {depth: found[2]}
            above = [name for level, name in sorted(path.items()) if level < depth]
            parents[found[2]] = above[-1] if above else "Exception"
    return parents


def raised() -> dict[str, type[Exception]]:
    """Every public class that can be raised."""
    classes = {name: getattr(errors, name) for name in errors.__all__}
    return {name: one for name, one in classes.items() if issubclass(one, Exception)}


def test_drawn_tree_is_the_real_one() -> None:
    """Every error stands in the docstring under its base, and nothing else does."""
    assert drawn_tree() == {name: one.__bases__[0].__name__ for name, one in raised().items()}


def test_every_error_has_one_root() -> None:
    """Catching `OsmiaError` catches whatever Osmia raises on purpose."""
    assert all(issubclass(one, OsmiaError) for one in raised().values())


def test_message_ends_with_the_remedy() -> None:
    """An error reads: what happened, then what to do about it."""
    assert str(OsmiaError("port 80 is taken", remedy="choose another")) == "port 80 is taken - choose another"
    assert str(OsmiaError("it broke")) == "it broke"


def test_configuration_error_names_field_and_value() -> None:
    """A wrong setting is told with its name and its value."""
    error = ConfigError("listen", "80:x", "not a port", remedy="use HOST:PORT")

    assert (error.field, error.value) == ("listen", "80:x")
    assert str(error) == "listen = '80:x': not a port - use HOST:PORT"
