"""Whether every `{{name}}` will have a value when its text is needed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from osmia.load.config.cursor import Found
from osmia.load.config.report import Report
from osmia.load.templates import names_in

__all__ = ["Scope"]


class Scope:
    """What is known while the steps are read in their order."""

    def __init__(self, *, dynamic: Iterable[str], environment: Mapping[str, str], captured: Mapping[str, int]) -> None:
        """`dynamic`: names behind `{{_`; `captured`: each name that any step captures, to that step's number."""
        self._dynamic = frozenset(dynamic)
        self._environment = environment
        self._captured = captured
        self._known: set[str] = set()
        self._no_lists: set[str] = set()

    def add(self, names: Iterable[str]) -> None:
        """These have a value from here on."""
        self._known.update(names)

    def add_scalars(self, names: Iterable[str]) -> None:
        """These are no lists, whatever happens: `rand(name)` has nothing to choose from."""
        self._no_lists.update(set(names) - self._captured.keys())

    def check(self, found: Found, report: Report, *, file_text: str | None = None) -> None:
        """Reports the names in a value that will have none; in the text of a file only warns, which may not mean us."""
        for name in names_in(found.text if file_text is None else file_text):
            wrong = self.wrong(name)
            if wrong is None:
                continue
            problem, remedy = wrong
            if file_text is None:
                report.error(found.path, found.node, f"{{{{{name}}}}} {problem}", remedy=remedy)
            else:
                report.warn(found.path, found.node, f"{{{{{name}}}}} {problem}, and is sent as it is", remedy=remedy)

    def wrong(self, name: str) -> tuple[str, str] | None:
        """What is wrong with a name and what to do, or None."""
        if name.startswith("$"):
            return self._wrong_outside(name[1:])
        if name.startswith("_"):
            return self._wrong_dynamic(name[1:])
        if name.startswith("rand(") and name.endswith(")"):
            name = name[len("rand(") : -1].strip()
            if name in self._no_lists:
                return "has nothing to choose from", f"make {name} a list, or write {{{{{name}}}}}"
        return None if name in self._known else self._unknown(name)

    def _wrong_outside(self, name: str) -> tuple[str, str] | None:
        if name in self._environment:
            return None
        if name in self._dynamic:
            return "is no variable of the environment", f"random values begin with _: {{{{_{name}}}}}"
        return "is no variable of the environment", f"set it before the start: export {name}=..."

    def _wrong_dynamic(self, name: str) -> tuple[str, str] | None:
        if name in self._dynamic:
            return None
        close = difflib.get_close_matches(name, self._dynamic, n=1)
        return "is no random value", f"did you mean {{{{_{close[0]}}}}}?" if close else "see load-language.md for all"

    def _unknown(self, name: str) -> tuple[str, str]:
        if name in self._captured:
            return "has no value yet", f"step {self._captured[name]} captures it, for the steps after it"
        if name in self._dynamic:
            return "has no value", f"random values begin with _: {{{{_{name}}}}}"
        close = difflib.get_close_matches(name, self._known, n=1)
        if close:
            return "has no value", f"did you mean {{{{{close[0]}}}}}?"
        return "has no value", f"give it one: env, data, or capture_env of an earlier step ({self._shown()})"

    def _shown(self) -> str:
        shown = sorted(self._known)[:8]
        rest = ", ..." if len(self._known) > len(shown) else ""
        return f"known here: {', '.join(shown)}{rest}" if shown else "there is none yet"
