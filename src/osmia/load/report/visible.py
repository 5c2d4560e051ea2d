"""Text from outside, made fit to be shown: what a terminal obeys or a reader cannot see is written out.

Step names, URLs, rules, received values and error texts come from configs and from targets. A control character
among them must not move the cursor, and a bidirectional override must not turn a line around.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from osmia.load.plan import JsonValue

__all__ = ["encodable", "received_text", "shortened", "value_text", "values_text", "visible"]

_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufffe\uffff]")


def visible(text: str, *, keeps_lines: bool = False) -> str:
    r"""Control, direction and zero-width characters as `\x1b` or `\u202e`; tabs and ends of lines may be kept."""
    return _HIDDEN.sub(lambda found: found[0] if keeps_lines and found[0] in "\t\n" else _escape(found[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - one byte


def shortened(text: str, most: int) -> str:
    """At most so many characters, with an ellipsis in place of the rest."""
    return text if len(text) <= most else text[: most - 1] + "…"


def encodable(value: JsonValue) -> JsonValue:
    r"""The same without halves of characters (a body may hold `\ud800`), which are not to be written as UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [encodable(item) for item in value]
    if isinstance(value, dict):
        return {str(encodable(name)): encodable(item) for name, item in value.items()}
    return value


def value_text(value: JsonValue) -> str:
    """A received value as JSON, on one line."""
    return visible(msgspec.json.encode(encodable(value)).decode())


def received_text(received: Mapping[str, JsonValue], *, most: int = 160) -> str:
    """`status_code = 503, body = "..."`."""
    return ", ".join(f"{visible(name)} = {shortened(value_text(value), most)}" for name, value in received.items())


def values_text(values: Iterable[JsonValue], *, most: int = 80) -> str:
    """Several received values, each shortened."""
    return ", ".join(shortened(value_text(value), most) for value in values)
