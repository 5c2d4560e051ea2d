"""Templates of HTTP targets: which parts of a path or query are values, and what stands for them.

`/users/42/orders/7f3c…?page=2&q=shoes` becomes `/users/{id}/orders/{hash}?page&q`. Each segment is judged by
`words.py`; beyond that, what follows a word like `reset` or `invite` is a token whatever it looks like, unless it is
a word that such routes go on with (`/password/reset/confirm`). Of a query only the names stay; one without a value
is taken for a value itself unless it is short and plain (`?wsdl`, and `?anna` too).
"""

from __future__ import annotations

import functools
import re
from urllib.parse import quote, unquote

from osmia.protocols.parser import CUT
from osmia.protocols.words import is_word, word_template

__all__ = ["authority_template", "host_template", "target_template"]

_MAX_QUERY_NAMES = 16
_MAX_BARE_NAME = 12
_MOST_ENCODED = 5
_PLAIN = re.compile(r"(?:/|[A-Za-z_\-!~]{1,7}(?![A-Za-z_\-!~]))*")
_INDEX = re.compile(r"\[[^\]]*\d[^\]]*\]")
_QUERY_NAME = re.compile(r"[\w.\-\[\]$:@!*'()~+ ]+")
_BARE_NAME = re.compile(r"[A-Za-z_\-]+")
_HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[\w.\-]+)(:\d{1,5})?")
_ADDRESS = re.compile(r"\[|[\d.]+$")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
# fmt: off
_BEFORE_TOKENS = frozenset([
    "activate", "activation", "apikey", "apikeys", "bearer", "confirm", "confirmation", "credential", "credentials",
    "invitation", "invitations", "invite", "invites", "jwt", "magic", "magiclink", "otp", "passcode", "passwd",
    "password", "passwords", "pwd", "recover", "recovery", "reset", "secret", "secrets", "token", "tokens", "unlock",
    "unsubscribe", "verification", "verify",
])
_NOT_TOKENS = frozenset([
    "account", "accounts", "all", "api", "app", "apps", "auth", "authorize", "callback", "cancel", "change", "check",
    "code", "codes", "complete", "confirm", "confirmation", "create", "current", "data", "delete", "details", "device",
    "done", "edit", "email", "emails", "exchange", "expired", "failed", "failure", "forgot", "generate", "health",
    "history", "info", "introspect", "introspection", "invalid", "key", "keys", "link", "links", "list", "login",
    "logout", "me", "metadata", "mobile", "new", "password", "passwords", "phone", "policy", "preview", "reject",
    "refresh", "remove", "renew", "request", "requests", "required", "resend", "reset", "revoke", "rotate", "rules",
    "search", "send", "sent", "settings", "set", "setup", "sms", "start", "status", "submit", "success", "token",
    "tokens", "unlock", "update", "user", "users", "validate", "verify", "verification",
])
# fmt: on
# fmt: off
_ROOTS = (  # one of these is in each of the words before tokens; a search for all the words takes ten times as long
    "activat", "apikey", "bearer", "confirm", "credential", "invit", "jwt", "magic", "otp", "pass", "pwd", "recover",
    "reset", "secret", "token", "unlock", "unsubscribe", "verif",
)
# fmt: on


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


def authority_template(authority: str) -> str:
    """The template of a host and port, without what stands before an `@`; `{host}` if it is not one."""
    found = _HOST_AND_PORT.fullmatch(authority.rpartition("@")[2])
    if found is None:
        return "{host}"
    host = "{ip}" if _ADDRESS.match(found[1]) else host_template(found[1])
    return host + (found[2] or "")


def host_template(host: str) -> str:
    """The name of a host without tokens among its labels; numbers stay, since they tell regions and machines."""
    return ".".join([_label(label) for label in host.split(".")])


def _label(label: str) -> str:
    template = word_template(label)
    return template if "{hash}" in template or "{uuid}" in template else label


def _path_template(path: str) -> str:
    if not any(map(path.lower().__contains__, _ROOTS)):
        if _PLAIN.fullmatch(path):
            return path
        return "/".join([segment and _segment(segment) for segment in path.split("/")])
    templates: list[str] = []
    is_token_due = False
    for segment in path.split("/"):
        low = segment.lower()
        templates.append("{token}" if is_token_due and segment and low not in _NOT_TOKENS else _segment(segment))
        is_token_due = _announces_token(low)
    return "/".join(templates)


def _announces_token(segment: str) -> bool:
    """`reset`, and also `password-reset`, `reset_password`, `magic-link`."""
    if segment in _BEFORE_TOKENS:
        return True
    return ("-" in segment or "_" in segment) and not _BEFORE_TOKENS.isdisjoint(re.split("[-_]", segment))


@functools.lru_cache(maxsize=2048)
def _segment(segment: str) -> str:
    """One path segment: its matrix parameters lose their values, percent-encoding is looked through."""
    name, *parameters = segment.split(";")
    template = _decoded(name)
    for parameter in parameters:
        template += ";" + _decoded(parameter.partition("=")[0])
    return template


def _decoded(word: str) -> str:
    if "%" not in word:
        return word_template(word)
    plain = _unquoted(word)
    if plain is None or "\ufffd" in plain:  # bytes that are no text
        return "{hash}"
    template = word_template(plain)
    return word if template == plain else quote(template, safe="{}@:!$&'()*+,=~[]")


def _unquoted(word: str) -> str | None:
    """The word decoded as often as it was encoded, since a value that was encoded twice is still a value."""
    for _ in range(_MOST_ENCODED):
        if not _ESCAPE.search(word):
            return word
        word = unquote(word)
    return None


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
    name, equals, _ = field.partition("=")
    return _name(name) if equals else _bare_name(name)


@functools.lru_cache(maxsize=2048)
def _name(name: str) -> str:
    plain = _unquoted(name)
    if plain is None or not _QUERY_NAME.fullmatch(plain) or not plain.isprintable():
        return "{id}"
    return word_template(_INDEX.sub("[]", plain).replace(" ", "+"))


def _bare_name(name: str) -> str:
    """A name without `=` is a flag (`?wsdl`) or the whole search (`?4711`, `?red+shoes`)."""
    if len(name) <= _MAX_BARE_NAME and _BARE_NAME.fullmatch(name):
        return name if is_word(name) else "{id}"
    template = word_template(_unquoted(name) or "")
    return template if template.startswith("{") and template.endswith("}") else "{id}"
