"""Word or value: what stands for a piece of text where a program's own names and its users' values look alike.

The rules lean to replacing: a word taken for a value merges two endpoints, a value taken for a word leaks it and makes
a new endpoint each time. A text is judged as a whole first (UUID, date, e-mail address, key, number), then piece by
piece between separators (`order-1234.pdf` becomes `order-{id}.pdf`).

Digits are values, except one behind a word (`oauth2`, `step1`) and in names everybody knows (`sha256`). Letters are
judged by how often words of camelCase and digits change, and by how surprising each letter is after the one before: a
table of that was made from the identifiers of some ten thousand Python modules and the translations of Django into
sixteen languages. Together they tell 0.88 of random lower-case strings of eight letters, 0.93 of twelve, 0.95 of
sixteen, with capitals among them 0.92 to 0.98, and take one real word in five hundred, one camelCase name in 1,500
for random. So a secret that is made of words stays; no rule on text alone can tell it.
"""

from __future__ import annotations

import functools
import re
from itertools import pairwise

__all__ = ["is_word", "word_template"]

_MAX_WORD = 48
_WHOLE = re.compile(
    r"""(?P<uuid>\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?)
      | (?P<date>\d{4}-[01]\d(?:-[0-3]\d(?:[T_ ][\d:.,\-]+(?:Z|[+-]\d\d:?\d\d)?)?)?)
      | (?P<email>[^@]+@(?:[a-z\[].*|\d+\.\d+\.\d+\.\d+\S*))
      | (?P<version>v\d{1,3}(?:\.\d{1,3})*(?:(?:alpha|beta|rc)\d{0,2})?|\d\.\d)
      | (?P<id>[+-]?\d+(?:[.,:]-?\d+)*)
      | (?P<hash>0x[0-9a-f]+
          | eyJ[\w-]{6,}.*                                          # JSON in base64: a token
          | (?:AKIA|ASIA|AIza|ya29\.|SG\.|gh[opsur]_|github_pat_|glpat-|xox[abeprs]-|[prs]k_(?:live|test)_|npm_).{8,})
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SEPARATORS = re.compile(r"([^A-Za-z0-9\x80-\U0010ffff]+)")
_HEX = re.compile(r"(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{7,}|[0-9a-f]{16,}", re.IGNORECASE)
_NUMBERED = re.compile(r"(\D+?)(\d+)")
_KNOWN_NUMBERED = re.compile(
    r"(?:sha|hmac|aes|rsa|rs|hs|es|utf|utf-|iso|base|x|h|int|uint|float|arm|amd|win|mp|crc|md|k)"
    r"(?:16|32|64|86|128|224|256|384|512|264|265|85|58|62)",
    re.IGNORECASE,
)
_REPEATED = re.compile(r"\{(id|hash)\}(?:[^A-Za-z0-9{}]+\{\1\})+")
_RUN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")  # words of camelCase, numbers
_QUOTED = re.compile(r"'[^']*'?")
_KNOWN = frozenset(["phpmyadmin", "rhythms", "websockify", "wsdl", "xhprof", "xmlrpc", "jsonrpc", "grpcweb", "twirp"])

# How surprising the second letter is after the first, 0 to 9: -log2 of its share, less one. Rows a to z, columns too.
_SURPRISE = (
    "54338646475232949232557756",
    "25562778248266269235389949",
    "28562782373378179452489967",
    "26641667169455279435478767",
    "45325557585342657123756466",
    "37562369198366279344398959",
    "26661743298454379235388958",
    "17761889266556279453479859",
    "45343548775341358423749694",
    "17741779375685278725278986",
    "26671765274455268433376949",
    "27641758186266269843469939",
    "13771899297546229746389979",
    "27332526375574369732458957",
    "54436647575331449234354787",
    "28662774398287239243498949",
    "67456677699275969547069999",
    "26441658285545269433467957",
    "38362674273466336631386956",
    "27571774198566369234487947",
    "34453548475232539222588797",
    "17680999199675399666599969",
    "16652673296573279336789859",
    "46352585299446428651677468",
    "34453447356343419522665766",
    "25661767276554379755485944",
)
_PAIRS = {
    chr(97 + first) + chr(97 + second): int(digit)
    for first, row in enumerate(_SURPRISE)
    for second, digit in enumerate(row)
}
_CHANGING = 0.3  # changes between words, capitals and digits per character, from 16 characters on
_CHANGING_SHORT = 0.33
_CHANGING_TOGETHER = 0.4  # over pieces, of which one alone may be a token (`main.8f3a9c1b.js`)
_SURPRISING = 4.25  # mean over a word of at least eight letters
_SURPRISING_TOGETHER = 4.75  # over pieces that are too short to be judged alone


def is_word(text: str) -> bool:
    """Whether nothing in the text looks like a value."""
    return len(text) <= _MAX_WORD and word_template(text) == text


@functools.lru_cache(maxsize=4096)
def word_template(word: str) -> str:
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
    is_joined = _SEPARATORS.search(word) is not None
    return "{hash}" if is_joined and _is_random(word, _SURPRISING_TOGETHER, 12) else _pieces(word)


def _pieces(word: str) -> str:
    template = "".join([_piece(piece) for piece in _SEPARATORS.split(word)])
    return _REPEATED.sub(r"{\1}", template) if "}" in template else template


def _piece(piece: str) -> str:
    if piece.isalpha() and len(piece) <= _MAX_WORD:
        return "{hash}" if _is_random(piece, _SURPRISING, 8) else piece
    if piece.isdigit():
        return "{id}"
    if len(piece) > _MAX_WORD or _HEX.fullmatch(piece) or _is_mixed(piece):
        return "{hash}"
    numbered = _NUMBERED.fullmatch(piece)
    if numbered is None or len(numbered[2]) == 1 or _KNOWN_NUMBERED.fullmatch(piece):
        return piece
    return f"{numbered[1]}{{id}}"


def _is_mixed(piece: str) -> bool:
    """Letters and digits as no name has them: digits twice, or some before letters, or letters that are random."""
    runs = _RUN.findall(piece)
    digits = [len(run) for run in runs if run.isdigit()]
    if not digits or len(piece) < 6:  # noqa: PLR2004 - k8s, i18n, a1b2
        return False
    return (
        len(digits) > 1
        or (not runs[-1].isdigit() and digits[0] > 2)  # noqa: PLR2004 - x509certs, but 3d and h264
        or (len(piece) >= 12 and piece.upper() == piece)  # noqa: PLR2004 - keys are written in capitals
        or _is_random(piece, _SURPRISING, 8)
    )


def _is_random(word: str, limit: float, shortest: int) -> bool:
    """Whether letters follow each other, or change their case, as chance would have it."""
    runs: list[str] = _RUN.findall(word)
    size = sum(map(len, runs))
    if size < shortest or word.lower() in _KNOWN:
        return False
    pieces = len(_SEPARATORS.findall(word.strip("-_."))) + 1
    is_long = size >= 16  # noqa: PLR2004 - as measured
    changing = _CHANGING_TOGETHER if pieces > 1 else _CHANGING if is_long else _CHANGING_SHORT
    if (is_long or pieces == 1) and len(runs) - pieces >= changing * size:
        return True
    pairs = [_PAIRS[pair] for run in runs if run.isalpha() for pair in map("".join, pairwise(run.lower()))]
    return len(pairs) >= shortest - 3 and sum(pairs) >= limit * len(pairs)
