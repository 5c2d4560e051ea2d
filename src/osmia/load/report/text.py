"""The final report for a terminal: what came of it first, then each step, then the generator.

Readable at 80 columns (quantiles that have no room are left out below), in colour or without. All text from outside
goes through `visible`, and never through rich's markup.
"""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from osmia import __version__
from osmia.load.plan import Plan
from osmia.load.report.amounts import (
    bytes_text,
    count_text,
    memory_text,
    plural,
    rate_text,
    share_text,
    time_text,
)
from osmia.load.report.describe import hosts_of, shape_text
from osmia.load.report.document import (
    AssertionDocument,
    Document,
    GeneratorDocument,
    LatencyDocument,
    RequestsDocument,
    StepDocument,
    document_of,
)
from osmia.load.report.outcome import Tone, outcome_of
from osmia.load.report.visible import received_text, shortened, value_text, visible
from osmia.load.results import Results

__all__ = ["PHASE_NAMES", "QUANTILE_NAMES", "banner_text", "final_text"]

PHASE_NAMES = {
    "dns": "DNS",
    "connect": "Connection",
    "tls": "TLS",
    "request_write": "Request write",
    "server_processing": "Server processing",
    "response_read": "Response read",
}
"""What the phases are called in every report; the words are the original's."""

QUANTILE_NAMES = {
    "mean_ms": "mean",
    "p50_ms": "p50",
    "p90_ms": "p90",
    "p95_ms": "p95",
    "p99_ms": "p99",
    "p99_9_ms": "p99.9",
    "max_ms": "max",
}
"""The columns of every table of latencies."""

_DISPENSABLE = ("mean_ms", "p90_ms")
_ROOM_FOR_ALL = 76
_STYLES = {Tone.GOOD: "green", Tone.WARNING: "yellow", Tone.BAD: "red"}
_BAR = 24
_INDENT = (0, 0, 0, 2)


def banner_text(plan: Plan, transport: str, *, width: int = 80, is_colored: bool = False) -> str:
    """What is about to happen: the target and the load that is planned."""
    console = _console(width, is_colored=is_colored)
    steps = "" if len(plan.steps) == 1 else f" · {plural(len(plan.steps), 'step')}"
    console.print(_target_line(list(hosts_of(plan))))
    console.print(Text(f"{shape_text(plan.shape)}{steps} · {plan.mode.value} · {transport}", style="dim"))
    return _written(console)


def final_text(results: Results, *, width: int = 80, is_colored: bool = False) -> str:
    """The whole report, with an end of line."""
    document = document_of(results)
    console = _console(width, is_colored=is_colored)
    _head(console, document)
    for step in document.steps:
        _step(console, step)
    _criteria(console, document)
    _generator(console, document.generator)
    return _written(console)


def _console(width: int, *, is_colored: bool) -> Console:
    return Console(
        file=StringIO(),
        width=width,
        color_system="256" if is_colored else None,
        force_terminal=is_colored,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )


def _written(console: Console) -> str:
    file = console.file
    assert isinstance(file, StringIO)  # noqa: S101 - made so above
    return "\n".join(line.rstrip() for line in file.getvalue().split("\n"))


def _target_line(hosts: list[str]) -> Text:
    return Text.assemble((f"Osmia load {__version__}", "bold"), "  ", visible(", ".join(hosts)))


# ---- what came of it ----


def _head(console: Console, document: Document) -> None:
    plan, outcome = document.plan, outcome_of(document)
    console.print()
    console.print(_target_line(plan.hosts))
    workers = plural(len(document.generator.workers), "worker")
    seed = "" if plan.seed is None else f" · seed {plan.seed}"
    console.print(Text(f"{plan.load} · {plan.mode} · {document.generator.transport}, {workers}{seed}", style="dim"))
    console.print()
    style = _STYLES[outcome.tone]
    console.print(Text.assemble((outcome.word, f"bold {style}"), "  ", (visible(outcome.sentence), style)))
    if document.generator.limits:
        console.print(Text("The generator was the limit, so read latencies and rates with care:", style="bold yellow"))
    for limit in document.generator.limits:
        console.print(Padding(Text(visible(limit), style="yellow"), _INDENT))
    console.print()
    console.print(_summary(document))


def _summary(document: Document) -> Table:
    """Iterations, requests and bytes of the whole run."""
    iterations, requests = document.iterations, document.requests
    table = _facts()
    asked = max(document.plan.planned_iterations or 0, iterations.due)
    of_asked = f" of {count_text(asked)} asked" if asked > iterations.started else ""
    done = [f"{count_text(iterations.started)}{of_asked}"]
    if iterations.finished:
        succeeded = f"{share_text(iterations.succeeded, iterations.finished)} succeeded"
        done += [rate_text(iterations.rate_per_s), succeeded]
    table.add_row("Iterations", _dotted(done))
    table.add_row("Requests", _requests_text(requests))
    if requests.started:
        table.add_row("", _bytes_text(requests))
    if len(document.steps) > 1 and requests.answered:
        table.add_row("Response time", _latency_text(requests.response))
        table.add_row("Service time", _latency_text(requests.service))
    for host, count in document.other_hosts.items():
        table.add_row(
            "Redirects", Text(f"{plural(count, 'redirect')} to {visible(host)}, which is no host of the plan")
        )
    return table


def _requests_text(requests: RequestsDocument) -> Text:
    if not requests.started:
        return Text("none sent", style="dim")
    parts: list[str | tuple[str, str]] = [count_text(requests.started), rate_text(requests.rate_per_s)]
    whole = requests.answered + requests.failed
    if requests.failed:
        parts.append((f"{count_text(requests.failed)} got no answer ({share_text(requests.failed, whole)})", "red"))
    if requests.assertion_failed:
        wrong = f"{count_text(requests.assertion_failed)} failed an assertion"
        parts.append((f"{wrong} ({share_text(requests.assertion_failed, requests.answered)})", "red"))
    if not requests.failed and not requests.assertion_failed and requests.answered:
        parts.append(("none failed", "green"))
    return _dotted(parts)


def _bytes_text(requests: RequestsDocument) -> Text:
    parts = [f"{bytes_text(requests.sent_bytes)} sent", f"{bytes_text(requests.received_bytes)} received"]
    if requests.retried:
        parts.append(f"{count_text(requests.retried)} sent again")
    if requests.redirects:
        parts.append(plural(requests.redirects, "redirect"))
    return Text(" · ".join(parts), style="dim")


def _latency_text(latency: LatencyDocument) -> Text:
    shown = (("p50", latency.p50_ms), ("p95", latency.p95_ms), ("p99", latency.p99_ms), ("max", latency.max_ms))
    return _dotted([f"{name} {_ms(value)}" for name, value in shown])


# ---- steps ----


def _step(console: Console, step: StepDocument) -> None:
    requests = step.requests
    console.print()
    name = f"Step {step.id}" + (f"  {visible(step.name)}" if step.name else "")
    console.print(Text(name, style="bold"))
    console.print(Padding(Text(f"{step.method} {visible(step.url)}", style="dim", overflow="fold"), _INDENT))
    console.print(Padding(_requests_text(requests), _INDENT))
    if requests.answered:
        console.print()
        console.print(Padding(_latency_table(requests, console.width), _INDENT))
        console.print()
        console.print(Padding(_phase_table(requests, console.width), _INDENT))
    if requests.statuses or requests.errors or step.assertions:
        console.print()
        console.print(Padding(_answers_table(step), _INDENT))


def _latency_table(requests: RequestsDocument, width: int) -> Table:
    shown = [name for name in QUANTILE_NAMES if width >= _ROOM_FOR_ALL or name not in _DISPENSABLE]
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    for name in shown:
        table.add_column(QUANTILE_NAMES[name], justify="right", no_wrap=True)
    for label, latency in (("Response", requests.response), ("Service", requests.service)):
        table.add_row(label, *(_ms(getattr(latency, name)) for name in shown))
    return table


def _phase_table(requests: RequestsDocument, width: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False, header_style="dim")
    table.add_column("Phase", no_wrap=True)
    for name in ("mean", "times", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    bar = min(_BAR, max(0, width - 58))
    table.add_column("", no_wrap=True)
    for phase in requests.phases:
        share = phase.share or 0
        cells = (_ms(phase.mean_ms), count_text(phase.count), share_text(share, 1) if phase.count else "—")
        style = "" if phase.count else "dim"
        table.add_row(PHASE_NAMES[phase.name], *cells, Text("█" * round(share * bar), style="blue"), style=style)
    table.add_row("Total", _ms(requests.service.mean_ms), count_text(requests.answered), "", "", style="bold")
    return table


def _answers_table(step: StepDocument) -> Table:
    requests = step.requests
    table = _facts()
    label = "Status codes"
    for status in requests.statuses:
        style = "red" if status.code >= 500 else "yellow" if status.code >= 400 else ""  # noqa: PLR2004 - HTTP's
        text = f"{status.code} {status.text}".rstrip()
        table.add_row(label, _counted(text, status.count, requests.answered, style))
        label = ""
    label = "No answer"
    for error in requests.errors:
        table.add_row(label, _counted(error.text, error.count, requests.answered + requests.failed, "red"))
        label = ""
    label = "Assertions"
    for assertion in step.assertions:
        table.add_row(label, _assertion(assertion))
        label = ""
    return table


def _counted(text: str, count: int, whole: int, style: str) -> Text:
    return Text.assemble((text, style), f"  {count_text(count)}", (f"  {share_text(count, whole)}", "dim"))


def _assertion(assertion: AssertionDocument) -> Text:
    text = Text.assemble((visible(assertion.rule), "red"), f"  failed {plural(assertion.count, 'time')}")
    if assertion.reason:
        text.append(f"\n{visible(assertion.reason)}", style="dim")
    for name, values in assertion.received.items():
        shown = ", ".join(shortened(value_text(value), 60) for value in values)
        text.append(f"\n{visible(name)}: {shown}", style="dim")
    return text


# ---- criteria and generator ----


def _criteria(console: Console, document: Document) -> None:
    if not document.criteria:
        return
    console.print()
    console.print(Text("Criteria", style="bold"))
    for verdict in document.criteria:
        mark, style = ("✓", "green") if verdict.is_met else ("✗", "red")
        console.print(Padding(Text(f"{mark} {visible(verdict.rule)}", style=style), _INDENT))
        aborted = verdict.aborted_at_s
        told = [received_text(verdict.received) if verdict.received else "", visible(verdict.reason)]
        told.append("" if aborted is None else f"ended the run at {time_text(aborted * 1e9)}")
        if any(told):
            console.print(Padding(Text(" · ".join(filter(None, told)), style="dim"), (0, 0, 0, 4)))


def _generator(console: Console, generator: GeneratorDocument) -> None:
    console.print()
    word, style = ("was the limit", "yellow") if generator.limits else ("fine", "green")
    console.print(Text.assemble(("Generator  ", "bold"), (word, style)))
    table = _facts()
    late = f"p50 {_ms(generator.lag.p50_ms)} · p99 {_ms(generator.lag.p99_ms)} · max {_ms(generator.lag.max_ms)}"
    if generator.lag.count:
        table.add_row("Started late", Text(late))
    waited = f" · {plural(generator.backlog_max, 'iteration')} waited at once" if generator.backlog_max else ""
    connections = f"{count_text(generator.connections_opened)} opened · {count_text(generator.connections_max)} at once"
    table.add_row("Connections", Text(connections + waited))
    if generator.handshakes:
        resumed = f", {count_text(generator.handshakes_resumed)} resumed" if generator.handshakes_resumed else ""
        table.add_row("TLS", Text(plural(generator.handshakes, "handshake") + resumed))
    table.add_row("Processes", _workers_text(generator))
    console.print(Padding(table, _INDENT))


def _workers_text(generator: GeneratorDocument) -> Text:
    cpus = [worker.cpu for worker in generator.workers]
    if not cpus:
        return Text("none had started")
    parts: list[str | tuple[str, str]] = [f"CPU {share_text(max(cpus), 1)} of a core at most"]
    parts.append(f"{memory_text(max(worker.rss_bytes for worker in generator.workers))} each")
    if generator.cpu_us_per_request is not None:
        parts.append(f"{time_text(generator.cpu_us_per_request * 1000)} per request")
    parts += [(f"{worker.number}: {visible(worker.failure)}", "red") for worker in generator.workers if worker.failure]
    return _dotted(parts)


def _facts() -> Table:
    """Two columns: what it is, what it was."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, show_edge=False, pad_edge=False)
    table.add_column(no_wrap=True, min_width=13)
    table.add_column(overflow="fold")
    return table


def _dotted(parts: list[str] | list[str | tuple[str, str]]) -> Text:
    text = Text()
    for number, part in enumerate(parts):
        text.append(" · " if number else "", style="dim")
        text.append(*(part if isinstance(part, tuple) else (part,)))
    return text


def _ms(value: float | None) -> str:
    return time_text(None if value is None else value * 1e6)
