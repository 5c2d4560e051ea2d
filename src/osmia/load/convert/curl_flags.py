"""curl's options as far as they are known here: their letters, whether a value follows, what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

__all__ = ["Fate", "Given", "Option", "options_of"]


class Fate(StrEnum):
    """What becomes of an option."""

    CARRIED = "carried"
    OUTPUT = "output"  # it only says what curl shows or keeps
    LOST = "lost"  # it means something that a load test does not do


class Option(NamedTuple):
    """One option by its long name."""

    name: str
    has_value: bool
    fate: Fate


class Given(NamedTuple):
    """An option as it stands in a command; `option` is None for what curl may know and this table does not.

    A word that is no option is an URL: its name is empty.
    """

    written: str
    option: Option | None
    value: str
    is_word: bool = False


_SWITCHES: Final = """
compressed location L head I get G insecure k http1.0 0 http1.1 - http2 - http2-prior-knowledge - http3 - http3-only -
basic - next : path-as-is - globoff g location-trusted -
"""
_VALUES: Final = """
request X header H data d data-raw - data-binary - data-ascii - data-urlencode - json - form F form-string - user u
cookie b proxy x socks5 - socks5-hostname - socks4 - socks4a - proxy-user U user-agent A referer e max-time m url -
cert E key - resolve - connect-to - oauth2-bearer - range r upload-file T url-query -
"""
_OUTPUT_SWITCHES: Final = """
silent s show-error S verbose v include i remote-name O fail f fail-with-body - no-buffer N progress-bar # remote-time R
remote-header-name J no-progress-meter - trace-time - disable q create-dirs - styled-output - ipv4 4 tcp-nodelay -
"""
_OUTPUT_VALUES: Final = "output o dump-header D write-out w stderr - trace - trace-ascii - output-dir - cookie-jar c"
_LOST_SWITCHES: Final = """
digest - ntlm - negotiate - anyauth - proxy-digest - ipv6 6 tlsv1.2 - tlsv1.3 - tlsv1 1 tlsv1.0 - tlsv1.1 -
proxytunnel p cert-status - no-keepalive - http0.9 - post301 - post302 - post303 - retry-all-errors -
retry-connrefused - parallel Z ssl-reqd - proxy-insecure - tr-encoding - raw - junk-session-cookies j netrc n
"""
_LOST_VALUES: Final = """
cacert - capath - ciphers - tls13-ciphers - curves - connect-timeout - max-redirs - retry - retry-delay -
retry-max-time - limit-rate - speed-limit Y speed-time y interface - dns-servers - unix-socket - aws-sigv4 - config K
noproxy - pass - cert-type - key-type - pinnedpubkey - keepalive-time - local-port - max-filesize - tls-max -
proxy-header - proxy-cacert - proxy-cert - proxy-key - time-cond z continue-at C etag-save - etag-compare -
haproxy-clientip - expect100-timeout - doh-url - rate - parallel-max - variable - expand-data - netrc-file -
request-target - preproxy -
"""


def _rows(text: str) -> Iterator[tuple[str, str]]:
    words = text.split()
    index = 0
    while index < len(words):
        has_letter = index + 1 < len(words) and len(words[index + 1]) == 1
        yield words[index], words[index + 1] if has_letter else "-"
        index += 2 if has_letter else 1


_OPTIONS: dict[str, Option] = {}
_LETTERS: dict[str, Option] = {}
for _text, _has_value, _fate in (
    (_SWITCHES, False, Fate.CARRIED),
    (_VALUES, True, Fate.CARRIED),
    (_OUTPUT_SWITCHES, False, Fate.OUTPUT),
    (_OUTPUT_VALUES, True, Fate.OUTPUT),
    (_LOST_SWITCHES, False, Fate.LOST),
    (_LOST_VALUES, True, Fate.LOST),
):
    for _name, _letter in _rows(_text):
        _OPTIONS[_name] = _LETTERS[_letter] = Option(_name, _has_value, _fate)
_LETTERS.pop("-", None)


def options_of(words: list[str]) -> Iterator[Given]:
    """A command's words, without `curl` itself, as options and URLs."""
    rest = list(reversed(words))
    is_only_words = False
    while rest:
        word = rest.pop()
        if is_only_words or not word.startswith("-") or word == "-":
            yield Given(word, None, word, is_word=True)
        elif word == "--":
            is_only_words = True
        elif word.startswith("--"):
            yield _long(word, rest)
        else:
            yield from _short(word, rest)


def _long(word: str, rest: list[str]) -> Given:
    option = _OPTIONS.get(word[2:])
    if option is None and word.startswith("--no-") and word[5:] in _OPTIONS:
        return Given(word, Option(word[2:], has_value=False, fate=Fate.OUTPUT), "")
    value = rest.pop() if option is not None and option.has_value and rest else ""
    return Given(word, option, value)


def _short(word: str, rest: list[str]) -> Iterator[Given]:
    """`-sSL`, `-XPOST`, `-H 'A: b'`."""
    for index, letter in enumerate(word[1:], start=1):
        option = _LETTERS.get(letter) if letter != ":" else _OPTIONS["next"]
        if option is not None and option.has_value:
            glued = word[index + 1 :]
            yield Given(f"-{letter}", option, glued or (rest.pop() if rest else ""))
            return
        yield Given(f"-{letter}", option, "")
