"""Templates of HTTP targets: which parts of a path or query are values, and what stands for them.

`/users/42/orders/7f3c…?page=2&q=shoes` becomes `/users/{id}/orders/{hash}?page&q`. The rules lean to replacing:
a word taken for a value merges two endpoints, a value taken for a word leaks it and makes a new endpoint each time.

A segment is judged as a whole first (UUID, date, e-mail address, number), then piece by piece between separators
(`order-1234.pdf` becomes `order-{id}.pdf`). Opaque tokens are known by how often letter case and digits alternate:
in random base64 about 0.6 times a character, in camelCase words at most 0.35 times.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from osmia.protocols.parser import CUT

__all__ = ["target_template"]

_MAX_QUERY_NAMES = 16
_MAX_WORD = 48
_PLAIN = re.compile(r"(?:/|[A-Za-z_\-!~]{1,15}(?![A-Za-z_\-!~]))*")
_WHOLE = re.compile(
    r"""(?P<uuid>\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?)
      | (?P<date>\d{4}-[01]\d(?:-[0-3]\d(?:[T_ ][\d:.,\-]+(?:Z|[+-]\d\d:?\d\d)?)?)?)
      | (?P<email>[^@]+@[a-z\[].*)
      | (?P<version>v\d{1,3}(?:\.\d{1,3})*(?:(?:alpha|beta|rc)\d{0,2})?|\d\.\d)
      | (?P<id>[+-]?\d+(?:[.,:]-?\d+)*)
      | (?P<hash>0x[0-9a-f]+)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SEPARATORS = re.compile(r"([^A-Za-z0-9\x80-\U0010ffff]+)")
_HEX = re.compile(r"(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{7,}|[0-9a-f]{16,}", re.IGNORECASE)
_NUMBERED = re.compile(r"([^\d]+)\d{4,}")
_REPEATED = re.compile(r"\{(id|hash)\}(?:[^A-Za-z0-9{}]+\{\1\})+")
_RUN = re.compile(r"[a-z]+|[A-Z]+|[0-9]+|[^A-Za-z0-9]+")
_QUOTED = re.compile(r"'[^']*'?")
_INDEX = re.compile(r"\[[^\]]*\d[^\]]*\]")


def target_template(target: str, *, is_truncated: bool) -> str:
    """The template of an origin-form target; if `is_truncated`, what the cut may have split becomes `CUT`."""
    target = target.partition("#")[0]
    path, question, query = target.partition("?")
    if question:
        return _path_template(path) + _query_template(query, is_truncated=is_truncated)
    if not is_truncated:
        return _path_template(path)
    whole, _, _ = path.rpartition("/")
    return f"{_path_template(whole)}/{CUT}"


def _path_template(path: str) -> str:
    if _PLAIN.fullmatch(path):
        return path
    return "/".join([segment if not segment else _segment(segment) for segment in path.split("/")])


def _segment(segment: str) -> str:
    """One path segment: its matrix parameters lose their values, percent-encoding is looked through."""
    name, *parameters = segment.split(";")
    template = _decoded(name)
    for parameter in parameters:
        template += ";" + _decoded(parameter.partition("=")[0])
    return template


def _decoded(word: str) -> str:
    if "%" not in word:
        return _word(word)
    # Twice, because a value that was encoded twice is still a value.
    plain = unquote(unquote(word))
    template = _word(plain)
    return word if template == plain else quote(template, safe="{}@:!$&'()*+,=~[]")


def _word(word: str) -> str:
    """A word with its values replaced: a placeholder, a mixture, or the word as it is."""
    whole = _WHOLE.fullmatch(word)
    if whole:
        kind = whole.lastgroup
        return word if kind == "version" else f"{{{kind}}}"
    if "'" in word:  # OData: Users('anna')
        return _QUOTED.sub("{id}", word)
    name, equals, value = word.partition("=")
    if equals and value.strip("="):  # Hive partitions: day=monday
        return f"{_pieces(name)}={{id}}"
    if _is_opaque(_SEPARATORS.sub("", word), shortest=16, share=0.4):
        return "{hash}"
    return _pieces(word)


def _pieces(word: str) -> str:
    template = "".join([_piece(piece) for piece in _SEPARATORS.split(word)])
    return _REPEATED.sub(r"{\1}", template) if "}" in template else template


def _piece(piece: str) -> str:
    if piece.isalpha() and len(piece) <= _MAX_WORD:
        return "{hash}" if _is_opaque(piece, shortest=16, share=0.4) else piece
    if piece.isdigit():
        return "{id}"
    if len(piece) > _MAX_WORD or _HEX.fullmatch(piece) or _is_mixed(piece):
        return "{hash}"
    numbered = _NUMBERED.fullmatch(piece)
    return f"{numbered[1]}{{id}}" if numbered else piece


def _is_mixed(piece: str) -> bool:
    """Letters and at least three digits, alternating: base36, ULID, nanoid, key prefixes."""
    runs = _RUN.findall(piece)
    digits = sum(len(run) for run in runs if run.isdigit())
    return len(piece) >= 8 and digits >= 3 and len(runs) >= 4  # noqa: PLR2004 - the rule, told above


def _is_opaque(word: str, *, shortest: int, share: float) -> bool:
    return len(word) >= shortest and len(_RUN.findall(word)) - 1 >= share * len(word)


def _query_template(query: str, *, is_truncated: bool) -> str:
    """Sorted names of a query; a name that the cut may have split is left out."""
    fields = query.replace(";", "&").split("&")
    if is_truncated and "=" not in fields[-1]:
        fields.pop()
    names = sorted({_query_name(field) for field in fields if field})
    kept = "&".join(names[:_MAX_QUERY_NAMES])
    is_cut = is_truncated or len(names) > _MAX_QUERY_NAMES
    return f"?{kept}{CUT if is_cut else ''}"


def _query_name(field: str) -> str:
    name = unquote(unquote(field.partition("=")[0]))
    if not name.isprintable() or any(mark in name for mark in "&=?#"):
        return "{id}"
    if name.isalpha() and len(name) < 16:  # noqa: PLR2004 - as in _PLAIN
        return name
    return _word(_INDEX.sub("[]", name).replace(" ", "+"))
