r"""SQL text to template: one statement shape for all its executions, with every literal out.

    SELECT * FROM rate  -- hot path          SELECT * FROM rate WHERE base = ? AND day IN (?)
     WHERE base = 'USD' AND day IN (1, 2)

A statement is cut into *gaps* (identifiers, operators, punctuation, white space: kept) and *tokens* (everything else).
One possessive regular expression eats a gap, identifiers included, and names the token after it; so Python runs once
per literal and not once per word, and the lexing of PostgreSQL's manual (section 4.1) is still followed exactly:
E'', B'', X'', N'', U&'' strings, $tag$ quotes, nested comments, digits inside identifiers.

What is cut off by the end of the snippet never leaks: an open literal becomes `?…`, an open comment or name `…`.
As the server does by default, a backslash in a plain string is taken literally (`standard_conforming_strings`).

Kept on purpose: TRUE, FALSE, NULL, letter case, quoted identifiers. Replaced beyond literals: numbers inside names of
savepoints, cursors and prepared statements, which drivers count up without end.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from osmia.protocols.parser import CUT, UNKNOWN

__all__ = ["EMPTY", "Statement", "normalise", "without_numbers"]

EMPTY = "EMPTY"
"""Method of a query string without a statement: drivers send it as a ping."""

# fmt: off
_COMMANDS = frozenset([
    "ABORT", "ALTER", "ANALYZE", "ANALYSE", "BEGIN", "CALL", "CHECKPOINT", "CLOSE", "CLUSTER", "COMMENT", "COMMIT",
    "COPY", "CREATE", "DEALLOCATE", "DECLARE", "DELETE", "DISCARD", "DO", "DROP", "END", "EXECUTE", "EXPLAIN",
    "FETCH", "GRANT", "IMPORT", "INSERT", "LISTEN", "LOAD", "LOCK", "MERGE", "MOVE", "NOTIFY", "PREPARE",
    "REASSIGN", "REFRESH", "REINDEX", "RELEASE", "RESET", "REVOKE", "ROLLBACK", "SAVEPOINT", "SECURITY", "SELECT",
    "SET", "SHOW", "START", "TABLE", "TRUNCATE", "UNLISTEN", "UPDATE", "VACUUM", "VALUES", "WITH",
])
# fmt: on
_TOKEN = re.compile(
    r"""(?P<gap>(?:
            (?!(?:[ebxn]|u&)')[^\W\d][\w$]*+          # a name or keyword, unless it is the prefix of a string
          | [^\w'"$\-/.]++                            # white space, punctuation, operators
          | -(?!-) | /(?!\*) | \.(?!\d)
          | \$(?!\d|\$|[^\W\d]\w*\$)
        )*+)
        (?: (?P<escaped>e'(?:[^'\\]|\\.|'')*+(?P<escaped_end>'?))
          | (?P<string>(?:[bxn]|u&)?'(?:[^']|'')*+(?:'[ \t\f]*[\r\n]\s*'(?:[^']|'')*+)*+(?P<string_end>'?))
          | (?P<name>"(?:[^"]|"")*+(?P<name_end>"?))
          | (?P<parameter>\$\d+)
          | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
          | (?P<number>0x[\da-f_]+|0[ob][0-7_]+|(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:e[+-]?\d+)?)
          | (?P<line>--[^\r\n]*)
          | (?P<comment>/\*)
          | (?P<end>$)
        )""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_HELD = "\ue000"  # stands for a quoted identifier while white space is set right
_ODD_NAME = re.compile(r"[\s,;()?\[\]\ue000]")
_SPLIT_WORD = re.compile(r"[\w$\ufffd]+$")
_FIRST_WORD = re.compile(r"[(\s;]*([A-Za-z]+)")
_SIGN = re.compile(r"([(,=<>\[] ?)[-+] ?\?")
_LIST = re.compile(
    r"((?:(?<=\bIN )\(|(?<=\bVALUES )\(|(?<=\), )\(|\[))(\?(?:::\"?\w+\"?(?:\[\])?)?)(?:, \2)+(?=[)\]]|…|, ?…)",
    re.IGNORECASE,
)
_TIGHT_LISTS = (" IN(?", " in(?", " VALUES(?", " values(?")
_ROWS = re.compile(r"(\((?:[^()]|\([^()]*\))*+\))(?:, \1)+")
_CUT_ROW = re.compile(r"(?<=\))(?:, ?\(?[^()]*)…$")
_CUT_LIST = re.compile(r"(?<=[(\[]\?), ?…$")
_COUNTED = re.compile(
    r"\A((?:SAVEPOINT|RELEASE(?: SAVEPOINT)?|ROLLBACK(?: WORK| TRANSACTION)? TO(?: SAVEPOINT)?|DECLARE|CLOSE|DEALLOCATE"
    r"|PREPARE|EXECUTE|(?:FETCH|MOVE)[\w ?]*? (?:FROM|IN)) )(\"[^\"]*\"|[\w$]+)",
    re.IGNORECASE,
)
_COUNTED_METHODS = frozenset(
    ["SAVEPOINT", "RELEASE", "ROLLBACK", "DECLARE", "CLOSE", "DEALLOCATE", "PREPARE", "EXECUTE", "FETCH", "MOVE"]
)
_NUMBER_IN_NAME = re.compile(r"(?<=_)[0-9a-f]+(?![A-Za-z0-9])|[0-9]+")


@dataclass(frozen=True, slots=True)
class Statement:
    """What a query string says: `method` is its first keyword, with `CUT` after it if other statements follow."""

    method: str
    template: str


_EMPTY_STATEMENT = Statement(EMPTY, "(empty query)")


@functools.lru_cache(maxsize=1024)
def normalise(sql: str, *, is_truncated: bool = False) -> Statement:
    """The statement shape of a query string; `is_truncated` says that its end was not captured."""
    text, names, is_cut = _without_literals(sql)
    text = " ".join(text.split())
    if is_truncated and not is_cut:
        text = _SPLIT_WORD.sub("", text) + CUT
    text = _tidy(text).rstrip("; ")
    if not text:
        return _EMPTY_STATEMENT
    method = _method(text)
    if method in _COUNTED_METHODS:
        text = _COUNTED.sub(lambda found: found[1] + without_numbers(found[2]), text, count=1)
    if ";" in text:
        method += CUT
    for name in names:
        text = text.replace(_HELD, name, 1)
    return Statement(method, text)


def without_numbers(name: str) -> str:
    """The name of a statement, cursor or savepoint without what its driver counted up (decimal or hexadecimal)."""
    return _NUMBER_IN_NAME.sub("?", name)


def _without_literals(sql: str) -> tuple[str, list[str], bool]:
    """The text with `?` for literals; the identifiers held back from spacing; whether a token ran into the end."""
    parts: list[str] = []
    names: list[str] = []
    position = 0
    if _HELD in sql:
        sql = sql.replace(_HELD, "\ufffd")
    while True:
        found = _TOKEN.match(sql, position)
        if found is None:  # unreachable by construction; a cut is the safe answer
            return "".join([*parts, CUT]), names, True
        parts.append(found["gap"])
        position = found.end()
        kind = found.lastgroup
        if kind == "end":
            return "".join(parts), names, False
        if kind in ("number", "parameter"):
            parts.append("?")
            continue
        replacement, position = _replacement(sql, found, names)
        parts.append(replacement)
        if position < 0:
            return "".join(parts), names, True


def _replacement(sql: str, found: re.Match[str], names: list[str]) -> tuple[str, int]:
    """What stands for one token, and where the text goes on; -1 if the token has no end."""
    if found["line"] is not None:
        return " ", found.end()
    if found["comment"]:
        end = _comment_end(sql, found.end())
        return CUT if end < 0 else " ", end
    if found["dollar"]:
        end = sql.find(found["dollar"], found.end())
        return ("?" + CUT, -1) if end < 0 else ("?", end + len(found["dollar"]))
    if found["name"]:
        return _name(found, names)
    has_end = found["string_end"] or found["escaped_end"]
    return ("?", found.end()) if has_end else ("?" + CUT, -1)


def _name(found: re.Match[str], names: list[str]) -> tuple[str, int]:
    if not found["name_end"]:
        return CUT, -1
    if not _ODD_NAME.search(found["name"]):
        return found["name"], found.end()
    names.append(found["name"])
    return _HELD, found.end()


def _comment_end(sql: str, position: int) -> int:
    """Position after the block comment whose opening ends at `position`, -1 if it stays open; they nest."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(sql, position):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return -1


def _tidy(text: str) -> str:
    """White space and lists as everybody would write them; `text` has single spaces already."""
    if " ," in text or "( " in text or " )" in text:
        text = text.replace(" ,", ",").replace("( ", "(").replace(" )", ")")
    if "," in text:
        text = text.replace(",", ", ").replace(",  ", ", ")
    if "?" not in text:
        return text
    text = _SIGN.sub(r"\1?", text)
    if "(?" not in text and "[?" not in text:
        return text
    for tight in _TIGHT_LISTS:
        text = text.replace(tight, f"{tight[:-2]} (?")
    text = _LIST.sub(r"\1\2", text)
    if "), (" in text:
        text = _ROWS.sub(r"\1", text)
    return _CUT_LIST.sub(CUT, _CUT_ROW.sub(CUT, text)) if text.endswith(CUT) else text


def _method(text: str) -> str:
    word = _FIRST_WORD.match(text)
    method = word[1].upper() if word else UNKNOWN
    return method if method in _COMMANDS else UNKNOWN
