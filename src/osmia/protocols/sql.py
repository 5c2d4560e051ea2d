r"""SQL text to template: one statement shape for all its executions, with every literal out.

    SELECT * FROM rate  -- hot path          SELECT * FROM rate WHERE base = ? AND day IN (?)
     WHERE base = 'USD' AND day IN (1, 2)

A statement is cut into *gaps* (identifiers, operators, punctuation, white space: kept) and *tokens* (everything else).
One possessive regular expression eats a gap, identifiers included, and names the token after it; so Python runs once
per literal and not once per word, and the lexing of PostgreSQL's manual (section 4.1) is still followed exactly:
E'', B'', X'', N'', U&'' strings, $tag$ quotes, nested comments, digits inside identifiers.

What is cut off by the end of the snippet never leaks: an open literal becomes `?…`, an open comment or name `…`.
Whether a backslash in a plain string escapes the quote behind it is a setting of the session that cannot be seen
(`standard_conforming_strings`). Both readings are tried; if both are possible and differ, the template ends there.

Kept on purpose: TRUE, FALSE, NULL, letter case, quoted identifiers made of words. Replaced beyond literals: values
that stand without quotes (`SET x TO secret`, `PASSWORD secret`), what looks like a value in quoted identifiers and in
names of savepoints, cursors, channels and prepared statements, and any text that does not begin as a statement does.
"""

from __future__ import annotations

import functools
import itertools
import re
from dataclasses import dataclass
from typing import NamedTuple

from osmia.protocols.parser import CUT, UNKNOWN
from osmia.protocols.words import word_template

__all__ = ["EMPTY", "FOREIGN", "Statement", "normalise", "without_numbers"]

EMPTY = "EMPTY"
"""Method of a query string without a statement: drivers send it as a ping."""

FOREIGN = "(unknown statement)"
"""Template of a text that does not begin with a command: nothing tells which of its words are values."""

# fmt: off
_COMMANDS = frozenset([
    "ABORT", "ALTER", "ANALYZE", "ANALYSE", "BEGIN", "CALL", "CHECKPOINT", "CLOSE", "CLUSTER", "COMMENT", "COMMIT",
    "COPY", "CREATE", "DEALLOCATE", "DECLARE", "DELETE", "DISCARD", "DO", "DROP", "END", "EXECUTE", "EXPLAIN",
    "FETCH", "GRANT", "IMPORT", "INSERT", "LISTEN", "LOAD", "LOCK", "MERGE", "MOVE", "NOTIFY", "PREPARE",
    "REASSIGN", "REFRESH", "REINDEX", "RELEASE", "RESET", "REVOKE", "ROLLBACK", "SAVEPOINT", "SECURITY", "SELECT",
    "SET", "SHOW", "START", "TABLE", "TRUNCATE", "UNLISTEN", "UPDATE", "VACUUM", "VALUES", "WITH",
    # replication, PgBouncer's console, databases that speak the protocol
    "BASE_BACKUP", "CREATE_REPLICATION_SLOT", "DROP_REPLICATION_SLOT", "IDENTIFY_SYSTEM", "READ_REPLICATION_SLOT",
    "START_REPLICATION", "TIMELINE_HISTORY", "DISABLE", "ENABLE", "KILL", "PAUSE", "RECONNECT", "RELOAD", "RESUME",
    "SHUTDOWN", "SUSPEND", "WAIT_CLOSE", "BACKUP", "RESTORE", "SUBSCRIBE", "UNLOAD", "UPSERT", "USE",
])
# fmt: on
_LEXEME = r"""(?P<gap>(?:
            (?!(?:[ebxn]|u&)')[^\W\d][\w$]*+          # a name or keyword, unless it is the prefix of a string
          | [^\w'"$\-/.]++                            # white space, punctuation, operators
          | -(?!-) | /(?!\*) | \.(?!\d)
          | \$(?!\d|\$|[^\W\d]\w*\$)
        )*+)
        (?: (?P<escaped>e'(?:[^'\\]|\\.|'')*+(?P<escaped_end>'?))
          | (?P<string>(?:[bxn]|u&)?'(?:@|'')*+(?:'[ \t\f]*[\r\n]\s*'(?:@|'')*+)*+(?P<string_end>'?))
          | (?P<name>"(?:[^"]|"")*+(?P<name_end>"?))
          | (?P<parameter>\$\d+)
          | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
          | (?P<number>0x[\da-f_]+|0[ob][0-7_]+|(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:e[+-]?\d+)?)
          | (?P<line>--[^\r\n]*)
          | (?P<comment>/\*)
          | (?P<end>$)
        )"""
_FLAGS = re.VERBOSE | re.IGNORECASE | re.DOTALL
_TOKEN = re.compile(_LEXEME.replace("@", "[^']"), _FLAGS)
_TOKEN_ESCAPING = re.compile(_LEXEME.replace("@", r"[^'\\]|\\."), _FLAGS)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_HALF_CHARACTER = "\ufffd\\"  # the backslash may be the second byte of a letter of another encoding
_PLAIN_NAME = re.compile(r"[\w$.\-?]{1,63}")
_IN_TEMPLATE = re.compile(r"\{\w+\}")
_SPLIT_WORD = re.compile(r"[\w$\ufffd]+$")
_FIRST_WORD = re.compile(r"[(\s;]*([A-Za-z]+)")
_DIGIT_IN_WORD = re.compile(r"\d\w{4}")
_WORD = re.compile(r"(?<![\w$\"?.])[^\W\d]\w*+")
_LETTER = re.compile(r"[^\W\d_]")
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
    r"((?:\A|; ?)(?:SAVEPOINT|RELEASE(?: SAVEPOINT)?|ROLLBACK(?: WORK| TRANSACTION)? TO(?: SAVEPOINT)?|DECLARE|CLOSE"
    r"|DEALLOCATE|PREPARE|EXECUTE|LISTEN|UNLISTEN|NOTIFY|(?:FETCH|MOVE)[\w ?]*? (?:FROM|IN)) )(\"[^\"]*\"|[\w$]+)",
    re.IGNORECASE,
)
_SETTING = re.compile(
    r"((?:\A|; ?)(?:ALTER (?:DATABASE|FUNCTION|PROCEDURE|ROLE|SYSTEM|USER)\b[^;]*? )?SET (?:LOCAL |SESSION )?"
    r"(?:[\w.\"]+ ?(?:=|\bTO\b) ?|ROLE |AUTHORIZATION |TIME ZONE ))[^;]+",
    re.IGNORECASE,
)
_PASSWORD = re.compile(
    r"((?:\A|; ?)(?:CREATE|ALTER) (?:ROLE|USER|GROUP) [^;]*?\bPASSWORD )(\"[^\"]*\"|[\w$]+)", re.IGNORECASE
)
# fmt: off
_BARE_VALUES = frozenset([
    "SAVEPOINT", "RELEASE", "ROLLBACK", "DECLARE", "CLOSE", "DEALLOCATE", "PREPARE", "EXECUTE", "FETCH", "MOVE",
    "LISTEN", "UNLISTEN", "NOTIFY", "SET", "ALTER", "CREATE",
])
# fmt: on
_MANY_NUMBERS = re.compile(r"\?[^\W_]*(?:_?\?[^\W_]*){2,}")
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
    if _HALF_CHARACTER in sql:
        sql, is_truncated = sql.partition(_HALF_CHARACTER)[0], True
    text, is_cut = _read(sql, is_truncated=is_truncated)
    text = " ".join(text.split())
    if is_truncated and not is_cut:
        text = _SPLIT_WORD.sub("", text) + CUT
    text = _tidy(text).rstrip("; ")
    if not text:
        return _EMPTY_STATEMENT
    method = _method(text)
    if method == UNKNOWN:
        return Statement(UNKNOWN, FOREIGN if _LETTER.search(text) else text)
    if method in _BARE_VALUES or ";" in text:
        text = _without_bare_values(text)
    if _DIGIT_IN_WORD.search(text):
        text = _WORD.sub(_odd_word, text)
    if ";" in text:
        method += CUT
    return Statement(method, text)


@functools.lru_cache(maxsize=1024)
def without_numbers(name: str) -> str:
    """The name of a statement, cursor, channel or savepoint without what its driver counted up, and without values."""
    bare = name.strip(' "')
    if bare in ("", CUT):
        return name
    counted = _MANY_NUMBERS.sub("?", _NUMBER_IN_NAME.sub("?", bare))
    is_plain = _PLAIN_NAME.fullmatch(counted) and word_template(counted) == counted
    return name.replace(bare, counted if is_plain else "?")


def _without_bare_values(text: str) -> str:
    """Names that are counted up and values that stand without quotes, at the beginning of any statement of a text."""
    text = _COUNTED.sub(lambda found: found[1] + without_numbers(found[2]), text)
    text = _SETTING.sub(lambda found: found[1] + ("?" + CUT if found[0].endswith(CUT) else "?"), text)
    return _PASSWORD.sub(r"\1?", text)


def _read(sql: str, *, is_truncated: bool) -> tuple[str, bool]:
    """The text with `?` for literals, and whether a token ran into its end."""
    plain = _without_literals(sql, _TOKEN)
    if not plain.is_doubtful:
        return plain.text, plain.is_cut
    escaping = _without_literals(sql, _TOKEN_ESCAPING)
    if plain.text == escaping.text:
        return plain.text, plain.is_cut
    if not is_truncated and plain.is_cut != escaping.is_cut:  # one of them leaves a literal open: it is the other
        return (escaping if plain.is_cut else plain).text, False
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(plain.text, escaping.text, strict=False))
    common = "".join([one for one, _ in same])
    return common[: common.rfind("?") + 1] + CUT, True


class _Reading(NamedTuple):
    """A text without its literals; `is_cut` says that a token ran into the end.

    `is_doubtful`: a plain string has a backslash before a quote.
    """

    text: str
    is_cut: bool
    is_doubtful: bool = False


def _without_literals(sql: str, token: re.Pattern[str]) -> _Reading:
    parts: list[str] = []
    position = 0
    is_doubtful = False
    while True:
        found = token.match(sql, position)
        if found is None:  # unreachable by construction; a cut is the safe answer
            return _Reading("".join([*parts, CUT]), is_cut=True)
        parts.append(found["gap"])
        position = found.end()
        kind = found.lastgroup
        if kind == "end":
            return _Reading("".join(parts), is_cut=False, is_doubtful=is_doubtful)
        if kind in ("number", "parameter"):
            parts.append("?")
            continue
        if kind == "string":
            is_doubtful = is_doubtful or "\\'" in found["string"]
        replacement, position = _replacement(sql, found)
        parts.append(replacement)
        if position < 0:
            return _Reading("".join(parts), is_cut=True, is_doubtful=is_doubtful)


def _replacement(sql: str, found: re.Match[str]) -> tuple[str, int]:
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
        return (_identifier(found["name"]), found.end()) if found["name_end"] else (CUT, -1)
    has_end = found["string_end"] or found["escaped_end"]
    return ("?", found.end()) if has_end else ("?" + CUT, -1)


@functools.lru_cache(maxsize=1024)
def _without_hash(name: str) -> str:
    template = word_template(name)
    return _IN_TEMPLATE.sub("?", template) if "{hash}" in template else name


def _odd_word(found: re.Match[str]) -> str:
    """An identifier without a token that a program put into it (`tmp_7f3c9a1b`)."""
    return _without_hash(found[0]) if _DIGIT_IN_WORD.search(found[0]) else found[0]


@functools.lru_cache(maxsize=1024)
def _identifier(quoted: str) -> str:
    """A quoted identifier without what looks like a value; one with spaces or signs in it may be any text."""
    name = quoted[1:-1]
    if not _PLAIN_NAME.fullmatch(name):
        return '"?"'
    template = word_template(name)
    return quoted if template == name else f'"{_IN_TEMPLATE.sub("?", template)}"'


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
