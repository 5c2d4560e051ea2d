"""Looking into JSON that others wrote: what is missing or of another kind reads as empty."""

from __future__ import annotations

from osmia.load.plan import JsonValue

__all__ = ["flag_at", "list_at", "table_at", "tables_at", "text_at", "text_of"]


def table_at(value: JsonValue, key: str) -> dict[str, JsonValue]:
    """A table inside a table."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def list_at(value: JsonValue, key: str) -> list[JsonValue]:
    """A list inside a table."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def tables_at(value: JsonValue, key: str) -> list[dict[str, JsonValue]]:
    """The tables of a list inside a table."""
    return [item for item in list_at(value, key) if isinstance(item, dict)]


def text_at(value: JsonValue, key: str) -> str:
    """Text inside a table; numbers and booleans as JSON writes them."""
    return text_of(value.get(key)) if isinstance(value, dict) else ""


def flag_at(value: JsonValue, key: str) -> bool:
    """Whether a table says true."""
    return isinstance(value, dict) and value.get(key) is True


def text_of(value: JsonValue) -> str:
    """A scalar as text."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else ""
