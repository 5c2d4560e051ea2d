"""The cards of the report: the key figures, criteria, steps at a glance, the generator, and each step in full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from osmia.load.report.amounts import (
    NOT_KNOWN,
    bytes_text,
    clock_text,
    count_text,
    memory_text,
    plural,
    rate_text,
    share_text,
    time_text,
)
from osmia.load.report.document import (
    AssertionDocument,
    Document,
    LatencyDocument,
    RequestsDocument,
    SecondDocument,
    StepDocument,
)
from osmia.load.report.page.charts import share_bar
from osmia.load.report.page.markup import Child, Raw, joined, tag
from osmia.load.report.text import PHASE_NAMES, QUANTILE_NAMES
from osmia.load.report.visible import received_text, shortened, value_text

__all__ = [
    "criteria",
    "generator",
    "key_figures",
    "outcomes",
    "seconds_table",
    "shown_steps",
    "step_section",
    "steps_table",
]

_PHASE_LOOKS = {
    "dns": "k-r1",
    "connect": "k-grey",
    "tls": "k-r3",
    "request_write": "k-soft",
    "server_processing": "k-accent",
    "response_read": "k-r2",
}
_MOST_RECEIVED = 400
_MOST_SECTIONS = 20


def _ms(value: float | None) -> str:
    return time_text(None if value is None else value * 1e6)


def _table(head: Sequence[str], rows: Iterable[Sequence[Child]], *, first: str = "", look: str = "") -> Raw:
    """A table whose first column is text and whose others are numbers."""
    header = tag("tr", tag("th", first, scope="col"), [tag("th", name, class_="n", scope="col") for name in head])
    body = [
        tag("tr", tag("th", row[0], scope="row"), [tag("td", cell, class_="n") for cell in row[1:]]) for row in rows
    ]
    return tag("table", tag("thead", header), tag("tbody", body), class_=look or None)


# ---- the whole run ----


def key_figures(document: Document) -> Raw:
    """Six numbers: what was sent, how long it took, what went wrong, and whether the generator can be trusted."""
    requests, plan = document.requests, document.plan
    whole = requests.answered + requests.failed
    asked = f"{count_text(requests.started)} in {time_text(document.duration_s * 1e9)}"
    if plan.planned_iterations is not None and document.generator.lag.count and plan.planned_s:
        asked = f"asked {rate_text(plan.planned_iterations * plan.steps / plan.planned_s)}"
    figures = [_figure("Requests", rate_text(requests.rate_per_s), asked)]
    for name, field in (("p50", "p50_ms"), ("p95", "p95_ms"), ("p99", "p99_ms")):
        service = f"service {_ms(getattr(requests.service, field))}"
        figures.append(_figure(f"{name} response", _ms(getattr(requests.response, field)), service))
    wrong = requests.failed + requests.assertion_failed
    figures.append(_figure("Failed", share_text(wrong, whole), _wrong(requests), "bad" if wrong else ""))
    is_limit = bool(document.generator.limits)
    late = f"late p99 {_ms(document.generator.lag.p99_ms)}" if document.generator.lag.count else _cpu(document)
    figures.append(
        _figure("Generator", "limited" if is_limit else "fine", late, "warning" if is_limit else "good")
        if requests.started
        else _figure("Generator", NOT_KNOWN, "sent nothing")
    )
    return tag("section", figures, class_="card kpis", aria_label="Key figures")


def _figure(name: str, value: str, below: str, look: str = "") -> Raw:
    parts = (tag("span", name, class_="dim"), tag("b", value, class_=look or None), tag("span", below, class_="faint"))
    return tag("div", *parts, class_="kpi")


def _wrong(requests: RequestsDocument) -> str:
    if requests.failed and requests.assertion_failed:
        return f"{count_text(requests.failed)} no answer, {count_text(requests.assertion_failed)} wrong"
    if requests.assertion_failed:
        return f"{count_text(requests.assertion_failed)} of {count_text(requests.answered)} wrong"
    return f"{count_text(requests.failed)} of {count_text(requests.answered + requests.failed)}"


def _cpu(document: Document) -> str:
    return f"CPU {share_text(max((worker.cpu for worker in document.generator.workers), default=0), 1)}"


def criteria(document: Document) -> Raw:
    """Which success criteria are met; a hint how to have some where there are none."""
    if not document.criteria:
        hint = "None were set. With success_criterias a run can pass or fail, and its exit code says which."
        return tag("section", tag("h3", "Criteria"), tag("p", hint, class_="dim"), class_="card")
    rows = []
    for verdict in document.criteria:
        at_s = verdict.aborted_at_s
        told = [received_text(verdict.received), verdict.reason]
        told.append("" if at_s is None else f"ended the run at {time_text(at_s * 1e9)}")
        word = tag("td", "✓ met" if verdict.is_met else "✗ not met", class_="good" if verdict.is_met else "bad")
        why = [tag("div", text, class_="dim") for text in told if text]
        rows.append(tag("tr", tag("td", tag("span", verdict.rule, class_="mono"), why), word))
    return tag("section", tag("h3", "Criteria"), tag("table", tag("tbody", rows), class_="verdict"), class_="card")


def shown_steps(document: Document) -> list[StepDocument]:
    """The steps that get a section: all, or of very many those with most failures and then the slowest, in order."""
    worst = sorted(
        document.steps,
        key=lambda step: (step.requests.failed + step.requests.assertion_failed, step.requests.response.p95_ms or 0),
        reverse=True,
    )[:_MOST_SECTIONS]
    return [step for step in document.steps if step in worst]


def steps_table(document: Document) -> Raw:
    """The steps at a glance, each a link to its section."""
    linked = {step.id for step in shown_steps(document)}
    rows = [
        [
            joined([_step_link(step, is_linked=step.id in linked)]),
            rate_text(step.requests.rate_per_s).removesuffix("/s"),
            _ms(step.requests.response.p95_ms),
            _failed_share(step.requests),
        ]
        for step in document.steps
    ]
    return tag("section", tag("h3", "Steps"), _table(["/s", "p95", "failed"], rows, first="step"), class_="card")


def _step_link(step: StepDocument, *, is_linked: bool) -> Raw:
    name = shortened(f"{step.id} {step.name or step.url}", 120)
    return tag("a", name, href=f"#step-{step.id}") if is_linked else tag("span", name)


def _failed_share(requests: RequestsDocument) -> Raw:
    wrong = requests.failed + requests.assertion_failed
    text = share_text(wrong, requests.answered + requests.failed) if wrong else "0" if requests.started else NOT_KNOWN
    return tag("span", text, class_="bad" if wrong else None)


def outcomes(requests: RequestsDocument, *, is_card: bool = True) -> Raw:
    """Status codes and reasons for no answer, as bars of the whole."""
    whole = requests.answered + requests.failed
    rows = [
        _outcome(f"{status.code} {status.text}".rstrip(), status.count, whole, _status_look(status.code))
        for status in requests.statuses
    ]
    rows += [_outcome(error.text, error.count, whole, "k-bad") for error in requests.errors]
    body: Child = tag("table", tag("tbody", rows)) if rows else tag("p", "No request was sent.", class_="dim")
    title = tag("h3", "Answers")
    return tag("section", title, body, class_="card") if is_card else tag("div", title, body)


def _status_look(code: int) -> str:
    return ("k-soft", "k-accent", "k-grey", "k-r1", "k-r2")[min(4, max(0, code // 100 - 1))]


def _outcome(name: str, count: int, whole: int, look: str) -> Raw:
    bar = tag("div", tag("i", class_=look, style=f"width:{100 * count / max(1, whole):.2f}%"), class_="bar")
    cells = (tag("td", count_text(count), class_="n"), tag("td", share_text(count, whole), class_="n"))
    return tag("tr", tag("th", name, bar, scope="row"), *cells)


def generator(document: Document) -> Raw:
    """The generator's own health: whether what it measured is the target's."""
    health = document.generator
    rows: list[Sequence[Child]] = []
    if health.lag.count:
        rows.append(["Started late", f"p50 {_ms(health.lag.p50_ms)}, p99 {_ms(health.lag.p99_ms)}"])
    rows.append(["Waited at once", count_text(health.backlog_max)])
    rows.append(
        ["Connections", f"{count_text(health.connections_opened)} opened, {count_text(health.connections_max)} at once"]
    )
    if health.handshakes:
        rows.append(
            ["TLS handshakes", f"{count_text(health.handshakes)}, {count_text(health.handshakes_resumed)} resumed"]
        )
    if health.cpu_us_per_request is not None:
        rows.append(["CPU per request", time_text(health.cpu_us_per_request * 1000)])
    if health.samples_dropped:
        rows.append(["Samples dropped", count_text(health.samples_dropped)])
    for worker in health.workers:
        told = f"CPU {share_text(worker.cpu, 1)}, {memory_text(worker.rss_bytes)}"
        failed = tag("div", worker.failure, class_="bad") if worker.failure else Raw("")
        rows.append([f"Worker {worker.number}", joined([told, failed])])
    body = [tag("tr", tag("th", row[0], scope="row"), tag("td", row[1], class_="n")) for row in rows]
    return tag("section", tag("h3", "Generator"), tag("table", tag("tbody", body)), class_="card")


# ---- one step ----


def step_section(step: StepDocument) -> Raw:
    """A step in full."""
    requests = step.requests
    header = tag(
        "header",
        tag("h2", f"{step.id} {step.name}" if step.name else f"Step {step.id}", id=f"step-{step.id}"),
        tag("span", f"{step.method} {step.url}", class_="mono dim"),
    )
    numbers = tag("p", _step_numbers(requests), class_="dim")
    if not requests.started:
        return tag("section", header, tag("p", "It was never reached.", class_="dim"), class_="card step")
    left: list[Child] = [outcomes(requests, is_card=False), _assertions(step.assertions)]
    sides: list[list[Child]] = [[_latency_table(requests), *left], [_phases(requests)]] if requests.answered else [left]
    blocks = [tag("div", [tag("div", part) for part in side if part], class_="stackup") for side in sides]
    return tag("section", header, numbers, tag("div", blocks, class_="two"), class_="card step")


def _step_numbers(requests: RequestsDocument) -> str:
    parts = [
        plural(requests.started, "request"),
        rate_text(requests.rate_per_s),
        f"{bytes_text(requests.sent_bytes)} sent",
        f"{bytes_text(requests.received_bytes)} received",
        f"{share_text(requests.reused, requests.answered + requests.failed)} on kept connections",
    ]
    if requests.retried:
        parts.append(f"{count_text(requests.retried)} sent again")
    if requests.redirects:
        parts.append(plural(requests.redirects, "redirect"))
    return " · ".join(parts)


def _latency_table(requests: RequestsDocument) -> Raw:
    def row(name: str, latency: LatencyDocument) -> list[Child]:
        return [name, *(_ms(getattr(latency, field)) for field in QUANTILE_NAMES)]

    rows = [row("Response", requests.response), row("Service", requests.service)]
    return joined([tag("h3", "Latency"), _table(list(QUANTILE_NAMES.values()), rows)])


def _phases(requests: RequestsDocument) -> Raw:
    """Where the service time went, as one bar and its figures."""
    parts = [
        (_PHASE_LOOKS[phase.name], phase.share or 0, f"{PHASE_NAMES[phase.name]}: {share_text(phase.share or 0, 1)}")
        for phase in requests.phases
    ]
    bar = share_bar(
        parts, label="Shares of the service time: " + ", ".join(title for _, share, title in parts if share)
    )
    rows: list[Sequence[Child]] = [
        [
            joined([tag("i", class_=f"dot {_PHASE_LOOKS[phase.name]}"), PHASE_NAMES[phase.name]]),
            _ms(phase.mean_ms),
            count_text(phase.count),
            share_text(phase.share or 0, 1) if phase.count else NOT_KNOWN,
        ]
        for phase in requests.phases
    ]
    rows.append([tag("b", "Total"), tag("b", _ms(requests.service.mean_ms)), count_text(requests.answered), ""])
    table = _table(["mean", "times", "share of all time"], rows, first="phase, where it happened")
    return joined([tag("h3", "Where the service time went"), bar, table])


def _assertions(assertions: Sequence[AssertionDocument]) -> Raw:
    """Rules that failed, with what they saw."""
    if not assertions:
        return Raw("")
    blocks = []
    for one in assertions:
        received = [
            tag("div", f"{name}: {', '.join(shortened(value_text(value), _MOST_RECEIVED) for value in values)}")
            for name, values in one.received.items()
        ]
        blocks.append(
            tag(
                "div",
                tag(
                    "div", tag("span", one.rule, class_="mono"), " ", tag("b", plural(one.count, "time"), class_="bad")
                ),
                tag("div", one.reason, class_="dim") if one.reason else "",
                tag("div", received, class_="received mono") if received else "",
            )
        )
    return joined([tag("h3", "Assertions that failed"), tag("div", blocks, class_="stackup")])


# ---- every second ----


_SECONDS = {
    "requests": count_text,
    "arrivals": count_text,
    "failed": count_text,
    "errors_5xx": count_text,
    "assertion_failed": count_text,
    "in_flight": count_text,
    "response_p50_ms": _ms,
    "response_p95_ms": _ms,
    "response_p99_ms": _ms,
    "service_p99_ms": _ms,
}
_SECONDS_HEAD = ["done", "asked", "no answer", "5xx", "wrong", "in flight", "p50", "p95", "p99", "service p99"]
_MOST_ROWS = 240


def seconds_table(series: Sequence[SecondDocument]) -> Raw:
    """The charts as numbers, for those who cannot see them or want them exactly."""
    if not series:
        return Raw("")
    rows = [
        [clock_text(second.at_s), *(form(getattr(second, name)) for name, form in _SECONDS.items())]
        for second in series[:_MOST_ROWS]
    ]
    rest = len(series) - len(rows)
    more = (
        tag("p", f"{plural(rest, 'more interval')}: the JSON document has all of them.", class_="dim") if rest else ""
    )
    table = tag("div", _table(_SECONDS_HEAD, rows, first="at"), class_="scroll", tabindex=0)
    return tag("details", tag("summary", "Every interval as a table"), table, more, class_="card")
