"""`--debug`: the one iteration of a debug run, whole.

`debug_text` is like what curl says with -v: `>` what went out, `<` what came back, `*` what was made of it.
`debug_json` has the keys of Ddosify's debug JSON (`Rule`, `Received`, `Reason` with their capitals), and a few of our
own. If a step was redirected, the original's shape has room for its last exchange; the others stand in `redirects`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

import msgspec
from rich.console import Console
from rich.text import Text

from osmia.load.report.amounts import bytes_text, time_text
from osmia.load.report.document import document_of
from osmia.load.report.outcome import outcome_of
from osmia.load.report.reasons import original_reason, reason_text, status_text
from osmia.load.report.text import PHASE_NAMES
from osmia.load.report.visible import shortened, value_text, visible
from osmia.load.results import Exchange, Results
from osmia.load.tally import Phase

__all__ = ["debug_json", "debug_text"]

_MOST_DEPTH = 100
_MOST_BODY = 10_000
_MOST_VALUE = 200


# ---- for people ----


def debug_text(results: Results, *, width: int = 80, is_colored: bool = False) -> str:
    """Every request and answer in order, then what the run is worth."""
    console = Console(
        file=StringIO(),
        width=max(width, 20),
        color_system="256" if is_colored else None,
        force_terminal=is_colored,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=True,
    )
    for exchange in results.exchanges:
        _exchange(console, exchange)
    if not results.exchanges:
        console.print(Text("* no request was sent", style="yellow"))
    outcome = outcome_of(document_of(results))
    console.print(Text(f"* {outcome.word}: {visible(outcome.sentence)}", style="bold"))
    for verdict in results.verdicts:
        mark = "✓" if verdict.is_met else "✗"
        console.print(Text(f"* {mark} {visible(verdict.rule)}", style="green" if verdict.is_met else "red"))
    file = console.file
    return file.getvalue() if isinstance(file, StringIO) else ""


def _exchange(console: Console, exchange: Exchange) -> None:
    step = exchange.step
    console.print(Text(f"* Step {step.id}" + (f": {visible(step.name)}" if step.name else ""), style="bold"))
    for name, value in {**exchange.environment, **exchange.data}.items():
        console.print(Text(f"* {visible(name)} = {shortened(value_text(value), _MOST_VALUE)}", style="dim"))
    _request(console, exchange)
    if exchange.status:
        _response(console, exchange)
    if exchange.failure is not None:
        told = reason_text(exchange.failure) + (f": {visible(exchange.detail)}" if exchange.detail else "")
        console.print(Text(f"* No answer: {told}", style="red"))
    _findings(console, exchange)
    console.print()


def _request(console: Console, exchange: Exchange) -> None:
    console.print(Text(f"* {visible(exchange.url)}", style="dim"))
    parts = urlsplit(exchange.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # The version is that of the answer; what is below 2 was asked for as 1.1.
    version = exchange.http_version if exchange.http_version[:6] in {"HTTP/2", "HTTP/3"} else "HTTP/1.1"
    _lines(console, ">", f"{exchange.method} {target} {version}", exchange.request_headers, "cyan")
    _body(console, ">", exchange.request_body)


def _response(console: Console, exchange: Exchange) -> None:
    code = exchange.status
    style = "red" if code >= 500 else "yellow" if code >= 400 else "green"  # noqa: PLR2004 - HTTP's
    first = f"{exchange.http_version} {code} {status_text(code)}".rstrip()
    _lines(console, "<", first, exchange.response_headers, style)
    _body(console, "<", exchange.response_body)
    phases = [
        f"{PHASE_NAMES[phase.name.lower()]} {time_text(ns)}"
        for phase, ns in exchange.phases_ns.items()
        if phase not in {Phase.WAIT, Phase.TOTAL} and ns
    ]
    total = f"{bytes_text(len(exchange.response_body))} in {time_text(exchange.service_ns)}"
    console.print(Text(f"* {total}" + (f" ({', '.join(phases)})" if phases else ""), style="dim"))


def _lines(console: Console, mark: str, first: str, headers: tuple[tuple[str, str], ...], style: str) -> None:
    console.print(Text.assemble((f"{mark} ", "dim"), (visible(first), f"bold {style}")))
    for name, value in headers:
        console.print(Text.assemble((f"{mark} ", "dim"), (visible(name), style), f": {visible(value)}"))
    console.print(Text(mark, style="dim"))


def _body(console: Console, mark: str, body: bytes) -> None:
    if not body:
        return
    for line in _body_text(body).split("\n"):
        console.print(Text.assemble((f"{mark} ", "dim"), line))


def _body_text(body: bytes) -> str:
    """JSON indented, other text as it is, anything else by its size; long ones are cut."""
    try:
        text = body.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        return f"({bytes_text(len(body))} that are no text, beginning with {body[:16].hex(' ')})"
    with suppress(msgspec.DecodeError, RecursionError):
        text = msgspec.json.format(body, indent=2).decode()
    rest = len(text) - _MOST_BODY
    shown = visible(text[:_MOST_BODY], keeps_lines=True)
    return shown if rest <= 0 else f"{shown}\n({rest:,} more characters)"


def _findings(console: Console, exchange: Exchange) -> None:
    """What the scenario made of the answer."""
    for capture in exchange.step.captures:
        reason = exchange.failed_captures.get(capture.name)
        if reason is not None:
            console.print(Text(f"* ✗ capture {visible(capture.name)}: {visible(reason)}", style="red"))
    failed = {one.rule: one for one in exchange.failed_assertions}
    for rule in dict.fromkeys([*exchange.step.assertions, *failed]):
        if not exchange.status:
            continue
        one = failed.get(rule)
        if one is None:
            console.print(Text(f"* ✓ {visible(rule)}", style="green"))
            continue
        console.print(Text(f"* ✗ {visible(rule)}" + (f": {visible(one.reason)}" if one.reason else ""), style="red"))
        for name, values in one.received.items():
            shown = ", ".join(shortened(value_text(value), _MOST_VALUE) for value in values)
            console.print(Text(f"*     {visible(name)}: {shown}", style="dim"))


# ---- for scripts ----


def debug_json(results: Results) -> bytes:
    """Pretty JSON with an end of line."""
    steps: dict[str, dict[str, Any]] = {}
    for exchange in results.exchanges:
        key, before = str(exchange.step.id), steps.get(str(exchange.step.id))
        steps[key] = _json_step(exchange)
        if before is not None:
            earlier = before.pop("redirects", [])
            steps[key]["redirects"] = [*earlier, {"request": before["request"], "response": before.get("response")}]
    broken = [verdict for verdict in results.verdicts if not verdict.is_met]
    report: dict[str, Any] = {"steps": steps, "test_status": "failed" if broken else "success"}
    if broken:
        report["failed_criterias"] = [{"rule": one.rule, "received": dict(one.received)} for one in broken]
    return json.dumps(report, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _json_step(exchange: Exchange) -> dict[str, Any]:
    found: dict[str, Any] = {
        "step_id": exchange.step.id,
        "step_name": exchange.step.name,
        "envs": dict(exchange.environment),
        "test_data": dict(exchange.data),
        "failed_captures": dict(exchange.failed_captures),
        "failed_assertions": [
            {"Rule": one.rule, "Received": _only(one.received), "Reason": one.reason}
            for one in exchange.failed_assertions
        ],
        "request": {
            "url": exchange.url,
            "method": exchange.method,
            "headers": _headers(exchange.request_headers),
            "body": _json_body(exchange.request_body),
        },
    }
    if exchange.failure is not None:
        found["error"] = original_reason(exchange.failure) + (f": {exchange.detail}" if exchange.detail else "")
    else:
        found["response"] = {
            "status_code": exchange.status,
            "headers": _headers(exchange.response_headers),
            "body": _json_body(exchange.response_body),
            "response_time": round(exchange.service_ns / 1e6, 3),
        }
    return found


def _only(received: Mapping[str, list[Any]]) -> dict[str, Any]:
    """One iteration saw one value of each name."""
    return {name: values[0] if len(values) == 1 else list(values) for name, values in received.items()}


def _headers(headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """As an object; of a repeated header the values are joined as RFC 9110 does, cookies line by line."""
    joined: dict[str, str] = {}
    for name, value in headers:
        separator = "\n" if name.lower() == "set-cookie" else ", "
        joined[name] = f"{joined[name]}{separator}{value}" if name in joined else value
    return joined


def _json_body(body: bytes) -> Any:  # noqa: ANN401 - JSON
    """Parsed if it is JSON that can be written again, else text."""
    if not body:
        return ""
    with suppress(ValueError, RecursionError):
        parsed = json.loads(body)
        if _depth_of(parsed) <= _MOST_DEPTH:
            return parsed
    return body.decode("utf-8", "replace")


def _depth_of(value: Any) -> int:  # noqa: ANN401 - JSON
    """How deep tables and lists stand in each other; 1 for a text or a number."""
    depth, level = 0, [value]
    while level:
        depth += 1
        inner = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list)))
        level = [child for children in inner for child in children]
    return depth
