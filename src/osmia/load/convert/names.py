"""Other tools' `{{variables}}` in our words: names that the config allows, random values, values that nobody gave."""

from __future__ import annotations

import re
from collections.abc import Container

from osmia.load.convert.draft import Document, Notes
from osmia.load.plan import JsonValue

__all__ = ["NameTable"]

_VARIABLE = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
_ALLOWED = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")


class NameTable:
    """Rewrites texts, and remembers which variables they need."""

    def __init__(self, dynamic: Container[str], notes: Notes) -> None:
        """`dynamic`: the names that may stand behind `{{_`."""
        self._dynamic = dynamic
        self._notes = notes
        self._values: dict[str, str] = {}
        self._renamed: dict[str, str] = {}

    def define(self, name: str, value: str) -> None:
        """A variable has a value; later definitions count."""
        self._values[self._name(name)] = value

    def text(self, text: str) -> str:
        """The text with every variable as the config writes it."""
        return _VARIABLE.sub(self._variable, text)

    def value(self, value: JsonValue) -> JsonValue:
        """The same for all texts in a value."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        return value

    def environment(self) -> Document:
        """`env`: every variable that is used, or has a value; values that are plain come first."""
        rewritten = {name: self.text(value) for name, value in list(self._values.items())}
        for name in list(self._values):
            rewritten.setdefault(name, self._values[name])
        plain = {name: value for name, value in rewritten.items() if "{{" not in value}
        return {**plain, **rewritten}

    def _variable(self, found: re.Match[str]) -> str:
        name = found[1]
        if name.startswith("$"):
            if name[1:] in self._dynamic:
                return f"{{{{_{name[1:]}}}}}"
            self._notes.add(f"{{{{{name}}}}} is no random value here: env.{self._name(name)} stands for it, empty")
        known = self._name(name)
        if known not in self._values:
            self._values[known] = ""
            if not name.startswith("$"):
                self._notes.add(f"{{{{{name}}}}} has no value in what was converted: write it into env.{known}")
        return f"{{{{{known}}}}}"

    def _name(self, name: str) -> str:
        """The same name, or one that the config allows."""
        if name in self._renamed:
            return self._renamed[name]
        known = name
        if not _ALLOWED.fullmatch(name):
            known = re.sub(r"[^a-zA-Z0-9_-]+", "_", name).strip("_-") or "value"
            known = known if known[0].isalpha() else f"v_{known}"
            while known in self._renamed.values():
                known += "_"
            if not name.startswith("$"):
                self._notes.add(f"the variable {name!r} is called {known} here: names are letters, digits, _ and -")
        self._renamed[name] = known
        return known
