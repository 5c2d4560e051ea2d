"""A value for a JSON Schema as OpenAPI has it: its example, default or first choice, or one of the right kind."""

from __future__ import annotations

from osmia.load.convert.draft import Document, Notes
from osmia.load.convert.lookup import list_at, table_at, text_at
from osmia.load.plan import JsonValue

__all__ = ["Samples"]

_MAX_DEPTH = 12
_MAX_REFERENCES = 30
_TEXTS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "email": "user@example.com",
    "uuid": "{{_randomUUID}}",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "byte": "b3NtaWE=",
    "password": "secret-password",
}


class Samples:
    """Makes values for the schemas of one document."""

    def __init__(self, document: Document, notes: Notes) -> None:
        self._document = document
        self._notes = notes

    def resolved(self, value: JsonValue) -> Document:
        """A table, or what its `$ref` stands for in this document."""
        for _ in range(_MAX_REFERENCES):
            if not isinstance(value, dict):
                return {}
            reference = value.get("$ref")
            if not isinstance(reference, str):
                return value
            if not reference.startswith("#/"):
                self._notes.add(f"{reference} is in another document, which is not read")
                return {}
            value = self._at(reference)
        return {}

    def _at(self, reference: str) -> JsonValue:
        found: JsonValue = self._document
        for part in reference.removeprefix("#/").split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            else:
                self._notes.add(f"{reference} does not exist")
                return {}
        return found

    def example(self, holder: Document) -> JsonValue:
        """What a parameter or media type shows: its example, one of its examples, or a value for its schema."""
        if "example" in holder:
            return holder["example"]
        for one in table_at(holder, "examples").values():
            resolved = self.resolved(one)
            if "value" in resolved:
                return resolved["value"]
        return self.value(holder.get("schema"))

    def value(self, schema: JsonValue, depth: int = 0) -> JsonValue:
        """A value that the schema allows, as far as that is seen without solving it."""
        table = self.resolved(schema)
        for key in ("example", "const", "default"):
            if key in table:
                return table[key]
        for key in ("examples", "enum"):
            if found := list_at(table, key):
                return found[0]
        if depth > _MAX_DEPTH:
            return None
        for key in ("oneOf", "anyOf"):
            if choices := list_at(table, key):
                return self._merged(self.value(choices[0], depth + 1), table, depth)
        if all_of := list_at(table, "allOf"):
            found_value: JsonValue = None
            for one in all_of:
                found_value = _joined(found_value, self.value(one, depth + 1))
            return self._merged(found_value, table, depth)
        return self._typed(table, depth)

    def _merged(self, value: JsonValue, table: Document, depth: int) -> JsonValue:
        return _joined(value, self._table(table, depth)) if "properties" in table else value

    def _typed(self, table: Document, depth: int) -> JsonValue:
        kinds = list_at(table, "type")
        kind = next((one for one in kinds if one != "null"), None) if kinds else table.get("type")
        if kind == "object" or (kind is None and "properties" in table):
            return self._table(table, depth)
        if kind == "array":
            least = table.get("minItems")
            count = max(1, min(least, 10)) if isinstance(least, int) else 1
            return [self.value(table.get("items"), depth + 1) for _ in range(count)]
        if kind == "boolean":
            return True
        if kind in {"integer", "number"}:
            return _number(table)
        return None if kind == "null" else _text(table)

    def _table(self, table: Document, depth: int) -> Document:
        """Every property that can be written; optional ones only near the top, where loops cannot explode."""
        required = list_at(table, "required")
        found: Document = {}
        for name, schema in table_at(table, "properties").items():
            resolved = self.resolved(schema)
            is_wanted = name in required or depth < _MAX_DEPTH // 3
            if is_wanted and resolved.get("readOnly") is not True and resolved.get("deprecated") is not True:
                found[name] = self.value(schema, depth + 1)
        return found


def _joined(first: JsonValue, second: JsonValue) -> JsonValue:
    if isinstance(first, dict) and isinstance(second, dict):
        return {**first, **second}
    return second if first is None else first


def _number(table: Document) -> JsonValue:
    least, most = table.get("minimum"), table.get("maximum")
    if isinstance(least, int | float):
        is_above = table.get("exclusiveMinimum") is True
        return least + 1 if is_above else least
    above = table.get("exclusiveMinimum")
    if isinstance(above, int | float) and not isinstance(above, bool):
        return above + 1
    return min(1, most) if isinstance(most, int | float) else 1


def _text(table: Document) -> str:
    text = _TEXTS.get(text_at(table, "format"), "text")
    least, most = table.get("minLength"), table.get("maxLength")
    if "{{" in text:
        return text
    if isinstance(least, int) and len(text) < least:
        text = (text * (least // len(text) + 1))[: min(least, 10_000)]
    return text[:most] if isinstance(most, int) and most >= 0 else text
