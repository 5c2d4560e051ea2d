"""What a load scenario costs in Python per request: a JSON capture, three assertions, a random value in the URL."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from bench.result import Bench, Result, at_most
from osmia.load.plan import Capture, CaptureSource, CountKind, CountShape, Plan, Step
from osmia.load.scenario import Scenario, Surroundings, compile_plan

__all__ = ["BENCHES", "SCENARIO"]

_BODY = b'{"id": 4711, "name": "Currency", "items": [{"code": "EUR", "rate": 1.0842}, {"code": "CHF", "rate": 0.93}]}'
_HEAD = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Tue, 24 Nov 2026 01:00:00 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n"
) % len(_BODY)
_SERVICE_NS = 350_000
_ROUNDS, _CALLS = 15, 10_000

SCENARIO = Step(
    id=1,
    url="http://localhost:8080/rates?at={{_randomInt}}",
    captures=(Capture("RATE", CaptureSource.BODY_JSON, "items.0.rate"),),
    assertions=("status_code == 200", "response_time < 1000", 'json_path("items.0.code") == "EUR"'),
)
"""The scenario of the comparison with wrk and Lua."""


def _scenario(*steps: Step) -> Scenario:
    plan = Plan(steps=steps, shape=CountShape(CountKind.LINEAR, 1, 1), seed=1)
    return compile_plan(plan, worker=0, world=Surroundings(lambda: 0.0)).scenario


def _us(scenario: Scenario) -> float:
    """One iteration of one step, as a transport calls it."""
    begin, render, inspect = scenario.begin, scenario.render, scenario.inspect

    def request() -> None:
        state = begin(1, -1)
        render(state, 0)
        inspect(state, 0, 200, _HEAD, _BODY, _SERVICE_NS)

    state = begin(1, -1)
    if inspect(state, 0, 200, _HEAD, _BODY, _SERVICE_NS) is not True:
        raise AssertionError("the scenario does not hold")
    return statistics.median(_cpu_us(request) for _ in range(_ROUNDS))


def _cpu_us(request: Callable[[], None]) -> float:
    """Of this thread, so that a busy machine costs nothing."""
    began_ns = time.thread_time_ns()
    for _ in range(_CALLS):
        request()
    return (time.thread_time_ns() - began_ns) / _CALLS / 1e3


def _python() -> Result:
    return at_most(_us(_scenario(SCENARIO)), 5.0, "us/request", "capture, three assertions, random value in the URL")


BENCHES: dict[str, Bench] = {"python_us": _python}
