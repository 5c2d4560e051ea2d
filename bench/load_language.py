"""What a scenario costs in Python: one assertion, template, capture, cookie header, random value, criterion."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import orjson

from bench.result import Bench, Result, at_least, at_most, median_ns
from osmia.load.assertions import compile_assertion
from osmia.load.captures import compile_captures
from osmia.load.cookies import Jar
from osmia.load.criteria import compile_criterion
from osmia.load.language.answer import Answer
from osmia.load.language.parser import parse
from osmia.load.plan import Capture, CaptureSource, JsonValue
from osmia.load.results import Reading
from osmia.load.tally import RUN, STEP
from osmia.load.templates import compile_template
from osmia.load.variables import VARIABLE_NAMES, Variables
from tests.load.language.reference import holds

__all__ = ["BENCHES"]

_HEAD = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
_BODY = b'{"user": {"id": 42, "name": "Anna", "roles": ["a", "b"]}, "token": "0123456789abcdef0123456789abcdef"}'
_RULE = 'status_code == 200 && less_than(response_time, 500) && json_path("user.id") == 42'
_TEMPLATE = "http://shop.example/users/{{id}}/orders/{{order}}?token={{token}}"
_SCOPE: dict[str, JsonValue] = {"id": "4711", "order": "17", "token": "0123456789abcdef"}


def _ns(action: Callable[[], object], *, repeats: int = 7, seconds: float = 0.01) -> float:
    """The least of some medians of something warm: others share the machine, and first calls take a hundred times."""
    for _ in range(100):
        action()
    return min(median_ns(action, repeats=3, seconds=seconds) for _ in range(repeats))


def _answer() -> Answer:
    return Answer(200, _HEAD, _BODY, 12_000_000, dict(_SCOPE))


def _assertion() -> Result:
    answer, rule = _answer(), compile_assertion(_RULE)
    return at_most(_ns(lambda: rule.holds(answer)) / 1000, 0.8, "us", _RULE)


def _assertion_simple() -> Result:
    answer, rule = _answer(), compile_assertion("status_code == 200 && less_than(response_time, 500)")
    return at_most(_ns(lambda: rule.holds(answer)) / 1000, 0.2, "us", rule.text)


def _assertion_ratio() -> Result:
    """Against parsing and walking each time, as the original does."""
    answer, rule = _answer(), compile_assertion(_RULE)
    ours = _ns(lambda: rule.holds(answer))
    theirs = _ns(lambda: holds(parse(_RULE), answer))
    return at_least(theirs / ours, 15, "x", f"parsed and walked each time: {theirs / 1000:.1f} us, same run")


def _template() -> Result:
    render = compile_template(_TEMPLATE, variables=Variables(1))
    return at_most(_ns(lambda: render(_SCOPE)) / 1000, 0.4, "us", "a URL with three variables")


def _template_ratio() -> Result:
    """Against an expression replaced each time."""
    render = compile_template(_TEMPLATE, variables=Variables(1))
    places = re.compile(r"\{\{\s*([\w.$-]+)\s*\}\}")
    ours = _ns(lambda: render(_SCOPE))
    theirs = _ns(lambda: places.sub(lambda found: str(_SCOPE[found[1]]), _TEMPLATE))
    return at_least(theirs / ours, 4, "x", f"re.sub: {theirs / 1000:.2f} us, same run")


def _template_json() -> Result:
    text = '{"id": "{{id}}", "name": "{{_randomFullName}}", "amount": "{{_randomInt}}", "note": "for {{token}}"}'
    render = compile_template(text, variables=Variables(1), is_json=True, leaves_unset=True)
    return at_most(_ns(lambda: render(_SCOPE)) / 1000, 2.5, "us", "a JSON body with four variables, two random")


def _capture() -> Result:
    answer, scope = _answer(), dict(_SCOPE)
    capture = compile_captures([Capture("TOKEN", CaptureSource.BODY_JSON, "token")])
    return at_most(_ns(lambda: capture(answer, scope)) / 1000, 0.8, "us", "json_path in a body of 100 bytes")


def _capture_ratio() -> Result:
    """Against parsing the whole of a body of some kilobytes."""
    body = orjson.dumps({"items": [{"id": n, "name": f"item {n}", "tags": ["a", "b"]} for n in range(100)], "t": 1})
    answer, scope = Answer(200, _HEAD, body, 1, {}), dict(_SCOPE)
    capture = compile_captures([Capture("T", CaptureSource.BODY_JSON, "items.10.id")])
    ours = _ns(lambda: capture(answer, scope))
    theirs = _ns(lambda: orjson.loads(body)["items"][10]["id"])
    return at_least(theirs / ours, 5, "x", f"orjson and two look-ups: {theirs / 1000:.1f} us for {len(body)} bytes")


def _cookies() -> Result:
    jar = Jar(now_s=lambda: 0.0)
    jar.take(["sid=abc; Path=/", "lang=en; Path=/", "cart=17; Path=/shop"], "http://h/shop/x")
    return at_most(_ns(lambda: jar.header_for("http://h/shop/cart")) / 1000, 0.3, "us", "three cookies")


def _variables() -> Result:
    functions = {name: Variables(1).function(name) for name in VARIABLE_NAMES}
    slowest = max((_ns(draw, repeats=3, seconds=0.003), name) for name, draw in functions.items())
    return at_most(slowest[0] / 1000, 10, "us", f"the slowest of {len(functions)}: {slowest[1]}")


def _criterion() -> Result:
    run, steps = np.zeros((), RUN), np.zeros(3, STEP)
    run["iterations_finished"] = 1000
    run["iterations"][100:400] = 3
    criterion = compile_criterion("p95(iteration_duration) < 100000 && fail_count_perc < 0.05")
    now = Reading(1, run, steps)
    return at_most(_ns(lambda: criterion.holds(now)) / 1000, 50, "us", "ten times a second, for aborting")


BENCHES: dict[str, Bench] = {
    "assertion_us": _assertion,
    "assertion_simple_us": _assertion_simple,
    "assertion_ratio": _assertion_ratio,
    "template_us": _template,
    "template_ratio": _template_ratio,
    "template_json_us": _template_json,
    "capture_us": _capture,
    "capture_ratio": _capture_ratio,
    "cookie_header_us": _cookies,
    "variable_max_us": _variables,
    "criterion_us": _criterion,
}
