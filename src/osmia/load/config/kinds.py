"""The kinds of values that a config's keys have: each checks a node, and describes itself as JSON Schema and in words.

A `Key` is declared once (in `schema`); the check, the published schema and the reference page all come from it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from osmia.load.config.nodes import Node
from osmia.load.config.report import Report
from osmia.load.plan import JsonValue

__all__ = [
    "ANY",
    "FLAG",
    "Any",
    "Choice",
    "Either",
    "Flag",
    "Items",
    "Key",
    "Kind",
    "Names",
    "Number",
    "Schema",
    "Table",
    "Text",
    "Whole",
    "entry",
]

Schema: TypeAlias = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Text:
    """Text, perhaps with `{{variables}}`. Numbers and booleans are taken as written: a header's `010` needs no quotes.

    `pattern`, where there is one, must match as a whole, and only text can; `form` says in words what it asks, and
    `example` shows one that is right.
    """

    pattern: str = ""
    form: str = "text"
    example: str = ""
    is_template: bool = False

    def check(self, node: Node, path: str, report: Report) -> None:
        """Reports what is no text, or does not have the form."""
        if not isinstance(node.value, str if self.pattern else str | int | float):
            report.error(path, node, f"must be {self.form}, not {node.kind}", remedy=self._remedy(node))
        elif self.pattern and not re.fullmatch(self.pattern, node.source):
            report.error(path, node, f"must be {self.form}", remedy=self._remedy(node))

    def schema(self) -> Schema:
        """As JSON Schema."""
        if self.pattern:
            return {"type": "string", "pattern": f"^(?:{self.pattern})$"}
        return {"type": ["string", "number", "boolean"]}

    def words(self) -> str:
        """For the reference page."""
        return f"{self.form}, may hold `{{{{variables}}}}`" if self.is_template else self.form

    def _remedy(self, node: Node) -> str:
        if self.example:
            return f"for instance {self.example}"
        return 'put JSON in quotes, or below "|" in YAML' if isinstance(node.value, tuple | Mapping) else ""


@dataclass(frozen=True, slots=True)
class Number:
    """A number between two bounds, both included unless `is_above`; `unit` is part of the words."""

    minimum: float = 0
    maximum: float | None = None
    unit: str = ""
    is_above: bool = False
    is_whole: bool = False

    def check(self, node: Node, path: str, report: Report) -> None:
        """Reports what is no such number."""
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            is_quoted = isinstance(value, str) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value)
            report.error(path, node, self._asked(node), remedy="write it without quotes" if is_quoted else "")
        elif (self.is_whole and value != int(value)) or not self._is_within(value):
            report.error(path, node, f"must be {self.words()}")

    def _is_within(self, value: float) -> bool:
        is_low = value <= self.minimum if self.is_above else value < self.minimum
        return not is_low and (self.maximum is None or value <= self.maximum)

    def _asked(self, node: Node) -> str:
        return f"must be {self.words()}, not {node.kind}"

    def schema(self) -> Schema:
        """As JSON Schema."""
        found: Schema = {"type": "integer" if self.is_whole else "number"}
        found["exclusiveMinimum" if self.is_above else "minimum"] = self.minimum
        if self.maximum is not None:
            found["maximum"] = self.maximum
        return found

    def words(self) -> str:
        """For the reference page and messages."""
        what = "a whole number" if self.is_whole else "a number"
        unit = f" of {self.unit}" if self.unit else ""
        if self.is_above:
            most = "" if self.maximum is None else f", at most {_figure(self.maximum)}"
            return f"{what}{unit} above {_figure(self.minimum)}{most}"
        if self.maximum is None:
            return f"{what}{unit}, {_figure(self.minimum)} or more"
        return f"{what}{unit} from {_figure(self.minimum)} to {_figure(self.maximum)}"


def _figure(value: float) -> str:
    return f"{value:,.15g}"


def Whole(minimum: int, maximum: int | None = None, unit: str = "") -> Number:  # noqa: N802 - stands beside the kinds
    """A whole number between two bounds, both included."""
    return Number(minimum, maximum, unit, is_whole=True)


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def check(self, node: Node, path: str, report: Report) -> None:
        """Reports anything else."""
        if not isinstance(node.value, bool):
            is_word = str(node.value).lower() in {"true", "false", "yes", "no", "on", "off", "0", "1"}
            remedy = "write true or false, without quotes" if is_word else ""
            report.error(path, node, f"must be true or false, not {node.kind}", remedy=remedy)

    def schema(self) -> Schema:
        """As JSON Schema."""
        return {"type": "boolean"}

    def words(self) -> str:
        """For the reference page."""
        return "true or false"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words; their case counts only if `is_exact`."""

    values: tuple[str, ...]
    is_exact: bool = False

    def check(self, node: Node, path: str, report: Report) -> None:
        """Reports anything else, with the word that was perhaps meant."""
        word = node.source if isinstance(node.value, str | int | float) else None
        if word is None or self.meant(word) is None:
            closest = difflib.get_close_matches(str(word).lower(), {one.lower(): one for one in self.values}, n=1)
            right = next((one for one in self.values if closest and one.lower() == closest[0]), "")
            remedy = f"did you mean {right}?" if right else ""
            report.error(path, node, f"must be one of {', '.join(self.values)}", remedy=remedy)

    def meant(self, word: str) -> str | None:
        """The value that the word stands for."""
        return next((one for one in self.values if one == word or self._is_alike(one, word)), None)

    def _is_alike(self, one: str, word: str) -> bool:
        return not self.is_exact and one.lower() == word.lower()

    def schema(self) -> Schema:
        """As JSON Schema: the words for editors to offer, and a pattern for their other spellings."""
        values: list[JsonValue] = list(self.values)
        if self.is_exact or not any(character.isalpha() for one in self.values for character in one):
            return {"enum": values}
        spellings = "|".join("".join(map(_any_case, one)) for one in self.values)
        return {"anyOf": [{"enum": values}, {"type": "string", "pattern": f"^(?:{spellings})$"}]}

    def words(self) -> str:
        """For the reference page."""
        return ", ".join(f"`{one}`" for one in self.values)


def _any_case(character: str) -> str:
    return f"[{character.upper()}{character.lower()}]" if character.isalpha() else re.escape(character)


@dataclass(frozen=True, slots=True)
class Any:
    """Any value."""

    def check(self, node: Node, path: str, report: Report) -> None:
        """Everything is right."""

    def schema(self) -> Schema:
        """As JSON Schema."""
        return {}

    def words(self) -> str:
        """For the reference page."""
        return "any value"


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    item: Kind
    minimum: int = 0

    def check(self, node: Node, path: str, report: Report) -> None:
        """Reports what is no list, and every item that is wrong."""
        if not isinstance(node.value, tuple):
            report.error(path, node, f"must be a list, not {node.kind}", remedy="put it in [ ], or behind - in YAML")
            return
        if len(node.value) < self.minimum:
            report.error(path, node, "must not be empty" if self.minimum == 1 else f"must have {self.minimum} or more")
        for index, item in enumerate(node.value):
            self.item.check(item, f"{path}[{index}]", report)

    def schema(self) -> Schema:
        """As JSON Schema."""
        found: Schema = {"type": "array", "items": self.item.schema()}
        return {**found, "minItems": self.minimum} if self.minimum else found

    def words(self) -> str:
        """For the reference page."""
        return f"a list of: {self.item.words()}"


@dataclass(frozen=True, slots=True)
class Names:
    """A table whose keys are the user's own names."""

    value: Kind
    key: Text = field(default_factory=Text)
    what: str = "name to value"

    def check(self, node: Node, path: str, report: Report) -> None:
        """Reports what is no table, wrong names and wrong values."""
        if not isinstance(node.value, Mapping):
            report.error(path, node, f"must be a table ({self.what}), not {node.kind}")
            return
        _warn_about_doubled(node, path, report)
        for name, value in node.value.items():
            inner = entry(path, name)
            if self.key.pattern and not re.fullmatch(self.key.pattern, name):
                where = Node(name, node.keys.get(name, node.place), name)
                report.error(inner, where, f"the name must be {self.key.form}")
            self.value.check(value, inner, report)

    def schema(self) -> Schema:
        """As JSON Schema."""
        found: Schema = {"type": "object", "additionalProperties": self.value.schema()}
        return {**found, "propertyNames": {"pattern": f"^(?:{self.key.pattern})$"}} if self.key.pattern else found

    def words(self) -> str:
        """For the reference page."""
        kind = f" ({self.value.words()})" if isinstance(self.value, Table) else ""
        return f"a table: {self.what}{kind}"


@dataclass(frozen=True, slots=True)
class Either:
    """One of several kinds, told apart by what they are to JSON (the first that accepts the value's type is asked)."""

    kinds: tuple[Kind, ...]

    def check(self, node: Node, path: str, report: Report) -> None:
        """Reports the least that any of the kinds has against the value."""
        trials = []
        for kind in self.kinds:
            trial = Report(report.file)
            kind.check(node, path, trial)
            if not trial.errors:
                report.warnings += trial.warnings
                return
            trials.append(trial)
        report.error(path, node, f"must be {self.words()}")

    def schema(self) -> Schema:
        """As JSON Schema."""
        return {"anyOf": [kind.schema() for kind in self.kinds]}

    def words(self) -> str:
        """For the reference page."""
        return " or ".join(kind.words() for kind in self.kinds)


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table: declared once for the check, the published schema and the reference page.

    `default` is what counts where the key is missing, and shown; None: nothing. Key and aliases are known in any case,
    as in the original.
    """

    name: str
    kind: Kind
    help: str
    default: JsonValue = None
    aliases: tuple[str, ...] = ()
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table with known keys; others are warned about, not refused, as in the original. `name` heads its section."""

    name: str
    keys: tuple[Key, ...]
    help: str = ""

    def check(self, node: Node, path: str, report: Report) -> None:
        """Reports what is no table, missing keys, wrong values, and warns about keys that nobody knows."""
        if not isinstance(node.value, Mapping):
            remedy = (
                f"its keys are {self._names()}" if path else 'the smallest config is {"steps": [{"url": "http://..."}]}'
            )
            report.error(path, node, f"must be a table, not {node.kind}", remedy=remedy)
            return
        _warn_about_doubled(node, path, report)
        for key in self.keys:
            self._check_key(key, node, path, report)
        known = {name.lower() for key in self.keys for name in (key.name, *key.aliases)}
        for name in node.value:
            if name.lower() not in known:
                self._warn_about(name, node, path, report)

    def found(self, node: Node, name: str) -> Iterator[tuple[str, Node]]:
        """The key's entries as written, the name before its aliases; null is as good as nothing."""
        key = self.key(name)
        entries = node.value if isinstance(node.value, Mapping) else {}
        for wanted in (key.name, *key.aliases):
            for written, value in entries.items():
                if written.lower() == wanted.lower() and value.value is not None:
                    yield written, value

    def key(self, name: str) -> Key:
        """The declaration of the key."""
        return next(key for key in self.keys if key.name == name)

    def _check_key(self, key: Key, node: Node, path: str, report: Report) -> None:
        entries = list(self.found(node, key.name))
        if not entries and key.is_required:
            remedy = f"{key.help[0].lower()}{key.help[1:].rstrip('.')}"
            report.error(path or key.name, node, f"{key.name} is missing", remedy=remedy)
        for written, value in entries:
            key.kind.check(value, entry(path, written), report)
        for written, _ in entries[1:]:
            place = node.keys.get(written, node.place)
            report.warn_key(entry(path, written), place, f"not used: {entries[0][0]} says the same and counts")

    def _warn_about(self, name: str, node: Node, path: str, report: Report) -> None:
        close = difflib.get_close_matches(name.lower(), [key.name for key in self.keys], n=1)
        remedy = f"did you mean {close[0]}?" if close else f"known here: {self._names()}"
        report.warn_key(entry(path, name), node.keys.get(name, node.place), "unknown key, not used", remedy=remedy)

    def _names(self) -> str:
        return ", ".join(key.name for key in self.keys if not key.name.startswith("$"))

    def schema(self) -> Schema:
        """As JSON Schema: a reference; the definitions stand together at its end."""
        return {"$ref": f"#/$defs/{self.name}"}

    def definition(self) -> Schema:
        """What the reference stands for."""
        properties: Schema = {}
        for key in self.keys:
            described: Schema = {"description": key.help, **key.kind.schema()}
            properties[key.name] = described if key.default is None else {**described, "default": key.default}
            for alias in key.aliases:
                properties[alias] = {"description": f"Older name of {key.name}.", "deprecated": True, **described}
        found: Schema = {"type": "object", "description": self.help, "additionalProperties": False}
        required: list[JsonValue] = [key.name for key in self.keys if key.is_required]
        return {**found, **({"required": required} if required else {}), "properties": properties}

    def words(self) -> str:
        """For the reference page."""
        return f"[{self.name}](#{self.name})"


def _warn_about_doubled(node: Node, path: str, report: Report) -> None:
    for span in node.doubled:
        report.warn_key(entry(path, span.name), span.place, "comes twice in this table; this last one counts")


_BARE_NAME: Final = re.compile(r"[A-Za-z0-9_$-]+")


def entry(path: str, name: str) -> str:
    """The path of a table's entry: `steps[0].headers["X Y"]`."""
    if not _BARE_NAME.fullmatch(name):
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'{path}["{quoted}"]'
    return f"{path}.{name}" if path else name


Kind: TypeAlias = "Text | Number | Flag | Choice | Any | Items | Names | Either | Table"

ANY: Final = Any()
FLAG: Final = Flag()
