"""What users write for the load engine: rules, templates, configs. Any text is understood or refused with a reason."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from osmia.load.assertions import compile_assertion
from osmia.load.config import load_text
from osmia.load.language.answer import Answer
from osmia.load.language.extract import is_catastrophic
from osmia.load.language.functions import percentile_share
from osmia.load.language.parser import parse
from osmia.load.language.problems import RuleError
from osmia.load.language.tree import Call, Literal, Name, show, walk
from osmia.load.plan import JsonValue
from osmia.load.templates import UnsetVariableError, compile_template, is_json_text, names_in
from osmia.load.variables import Variables
from osmia.model.errors import OsmiaError
from tests.fuzz.target import Target, require
from tests.load.language.reference import holds

__all__ = ["SCENARIO_TARGETS"]

_HEAD = b"HTTP/1.1 200 OK\r\nX-N: 7\r\nServer: nginx\r\nSet-Cookie: sid=abc; Max-Age=60; Secure; Path=/\r\n\r\n"
_BODY = b'{"a":{"b":[1,2.5,"3",null,true]},"n":"12","s":"text"}'
_SCOPE: dict[str, JsonValue] = {"n": 7, "t": "5", "l": [1, "b"], "o": {"k": None}, "data.u.x": "z"}
_WALKED = {"not", "less_than", "greater_than", "equals", "in", "contains", "range", "exists", "matches", "regexp"}
_WALKED |= {"json_path", "min", "max", "avg"}
_CONFIGS = Path(__file__).parent.parent / "load/config"


def _assertion(data: bytes) -> None:
    """A rule is refused with a place inside it, or it is the same after printing and when walked."""
    rule = data.decode("utf-8", "surrogateescape")
    try:
        tree = parse(rule)
    except RuleError as error:
        require(holds=1 <= error.column <= len(rule) + 1 and "^" in str(error), what=repr(error))
        return
    require(holds=parse(show(tree)) == tree, what=f"printed as {show(tree)!r}")
    if any(
        isinstance(one, Literal) and isinstance(one.value, str) and is_catastrophic(one.value) for one in walk(tree)
    ):
        return
    try:
        assertion = compile_assertion(rule, read_file=lambda path: path.encode("utf-8", "replace"))
    except RuleError:
        return
    answer = Answer(200, _HEAD, _BODY, 12_000_000, dict(_SCOPE))
    found = assertion.holds(answer)
    _, reason = assertion.explain(answer)
    require(holds=isinstance(found, bool) and bool(reason) is not found, what=f"{found} because {reason!r}")
    calls = {one.name for one in walk(tree) if isinstance(one, Call)}
    names = {one.text for one in walk(tree) if isinstance(one, Name)}
    if all(one in _WALKED or percentile_share(one) for one in calls) and not any("cookies." in one for one in names):
        require(holds=found is holds(tree, answer), what=f"{rule!r} is {found}, walked {not found}")


def _rules() -> Iterable[bytes]:
    return [
        b'status_code == 200 && less_than(response_time, 100) || !(json_path("a.b.0") != 1.5e3)',
        b"in(status_code, [200, 201]) && not(exists(headers.x)) && headers.X-N == 7 && variables.t >= 5",
        b'equals(body, {"a": [1, -2, \'x\\n\\u00e9\'], "b": null}) || contains(body, "te")',
        b"range(response_size, 0, 9) == range(1, 2, 3)",
        b'regexp(body, "t..t", 0) == "text" && matches(headers.server, "^ng") && cookies.sid.maxAge < 61',
        b"p95([1, 2]) % 2 == 0",
        b'xpath("//a") == "1" || html_path("//h1") == \'b\' || time("Tue, 24 Nov 2026 08:00:00 GMT") > 5 / 2 - -1 * 3',
        b'equals_on_file(body, "x") || min(json_path("a.b")) + avg([1]) < max([2, 3]) || variables.o == {"k": null}',
    ]


def _template(data: bytes) -> None:
    """A template leaves what is no variable as it is; JSON stays JSON."""
    text = data.decode("utf-8", "replace")
    is_json = is_json_text(text)
    names = names_in(text)
    variables = Variables(1)
    body = compile_template(text, variables=variables, is_json=is_json, leaves_unset=True, environ={"HOME": "/r"})
    with contextlib.suppress(UnsetVariableError):
        rendered = body(_SCOPE)
        require(holds=bool(names) or rendered == text, what=f"{text!r} became {rendered!r}")
        require(holds=not is_json or is_json_text(rendered), what=f"{text!r} became {rendered!r}, no JSON")
        require(holds=len(rendered) <= len(text) * 1000, what=f"{len(rendered)} characters of {len(text)}")
    strict = compile_template(text, variables=variables, environ={"HOME": "/r"})
    try:
        strict(_SCOPE)
    except UnsetVariableError as error:
        require(holds=error.name in names or f"rand({error.name})" in names, what=f"{error} of {names}")
    if not names:
        require(holds=strict({}) == text, what=f"{text!r} changed")


def _templates() -> Iterable[bytes]:
    return [
        b"http://h/{{n}}/{{ t }}?a={{data.u.x}}&b={{_randomInt}}&c={{$HOME}}&d={{rand(l)}}",
        b'{"a": "{{n}}", "b": "x{{o}}y\\"", "{{t}}": ["{{l}}", "{{nope}}", "{{_randomBoolean}}", "{{rand( l )}}"]}',
        b"{{#each}} {{ a b }} {{_nope}} {{{n}}} }} {{ \\ ' {x} {{$NOPE}} {{rand(n)}}",
    ]


def _config(data: bytes) -> None:
    """A config is a plan, or an error of ours; the first byte says in which form. Nothing is fetched or read."""
    text = data[1:].decode("utf-8", "replace")
    name = "config.json" if data[:1] == b"j" else "config.yaml"
    with contextlib.suppress(OsmiaError):
        loaded = load_text(text, name, folder=Path("/nowhere"), environment={"HOME": "/r"}, fetch=_nothing)
        require(holds=bool(loaded.plan.steps), what="a plan without steps")


def _nothing(address: str) -> bytes:
    raise OSError(f"{address} is not fetched by a fuzzer")


def _configs() -> Iterable[bytes]:
    for path in sorted([*_CONFIGS.glob("good/*"), *_CONFIGS.glob("bad/*")]):
        if path.suffix in {".json", ".yaml"}:
            yield (b"j" if path.suffix == ".json" else b"y") + path.read_bytes()


_LANGUAGE = tuple(
    f"osmia.load.language.{one}" for one in ("lexer", "parser", "tree", "code", "functions", "values", "rule")
)
_READERS = ("cells", "cursor", "document", "json_text", "kinds", "names", "reading", "rules", "shaping", "stepping")
SCENARIO_TARGETS = {
    "assertion": Target(_assertion, _rules, ("osmia.load.assertions", *_LANGUAGE), max_bytes=512),
    "template": Target(_template, _templates, ("osmia.load.templates",), max_bytes=512),
    "config": Target(
        _config,
        _configs,
        tuple(f"osmia.load.config.{one}" for one in (*_READERS, "yaml_text")),
        max_bytes=4096,
    ),
}
"""Every parser of what users of the load engine write."""
