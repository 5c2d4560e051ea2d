"""`--out report.html`: the run as one page that needs nothing else: no network, no installed font, no script.

The order is that of attention: what came of it, why it is to be doubted, the numbers, then over time, then each step.
A content security policy lets only this page's own script run (by its hash), so that not even a mistake in escaping
would let a target's answer act in the reader's browser.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from hashlib import sha256
from importlib.resources import files

from osmia.load.report.amounts import plural, time_text
from osmia.load.report.document import Document, document_of
from osmia.load.report.outcome import Outcome, outcome_of
from osmia.load.report.page.markup import Child, Raw, joined, tag
from osmia.load.report.page.pictures import distribution, over_time
from osmia.load.report.page.sections import (
    criteria,
    generator,
    key_figures,
    outcomes,
    seconds_table,
    shown_steps,
    step_section,
    steps_table,
)
from osmia.load.report.visible import shortened
from osmia.load.results import Results

__all__ = ["html_page"]

_LOGO = Raw(
    '<svg width="22" height="22" viewBox="0 0 22 22" aria-hidden="true"><g fill="none" stroke="var(--accent)" '
    'stroke-width="2"><path d="M11 2l7.8 4.5v9L11 20l-7.8-4.5v-9z"/><circle cx="11" cy="11" r="3.2" '
    'fill="var(--accent)"/></g></svg>'
)
_HOW_TO_READ = (
    "Response time runs from the moment at which a request should have been sent to its last byte, service time from "
    "the moment at which it was sent. Both count answered requests only. Percentiles are within 1.6 % of the exact "
    "value; minimum, maximum and counts are exact. Phases are counted where they happened: a kept connection has none "
    "to make."
)


def html_page(results: Results) -> str:
    """The whole page."""
    document = document_of(results)
    outcome = outcome_of(document)
    script = _resource("report.js")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", shortened(f"{outcome.word}: {document.plan.load} · Osmia load", 120)),
        tag("style", Raw(_font() + _resource("report.css"))),
    )
    body = tag("body", _top(), tag("main", _main(document, outcome), id="main"), tag("script", Raw(script)))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _policy(script: str) -> str:
    digest = b64encode(sha256(script.encode()).digest()).decode()
    allowed = f"style-src 'unsafe-inline'; font-src data:; script-src 'sha256-{digest}'"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def _resource(name: str) -> str:
    return files("osmia.load.report.page").joinpath(name).read_text(encoding="utf-8")


def _font() -> str:
    """Inter's Latin letters, the type of the web interface; what it does not have is taken from the system."""
    data = b64encode(files("osmia.load.report.page").joinpath("inter-latin.woff2").read_bytes()).decode()
    source = f'src:url("data:font/woff2;base64,{data}") format("woff2")'
    return f'@font-face{{font-family:"Inter Variable";font-weight:100 900;{source}}}\n'


def _top() -> Raw:
    button = tag("button", "Dark", id="theme", type="button", hidden=True, aria_label="Change the theme")
    brand = (_LOGO, tag("b", "Osmia"), tag("span", "load report", class_="dim"))
    return tag("header", *brand, tag("span", class_="grow"), button, class_="top")


def _main(document: Document, outcome: Outcome) -> list[Child]:
    left = tag("div", over_time(document), distribution(document.requests), class_="stackup")
    shown = shown_steps(document)
    cards = [criteria(document), steps_table(document), outcomes(document.requests), generator(document)]
    right = tag("aside", cards, class_="stackup")
    return [
        _headline(document, outcome),
        _limits(document),
        key_figures(document),
        tag("div", left, right, class_="columns"),
        [step_section(step) for step in shown],
        _left_out(len(document.steps) - len(shown)),
        _other_hosts(document),
        seconds_table(document.series),
        tag("footer", _HOW_TO_READ),
    ]


def _headline(document: Document, outcome: Outcome) -> Raw:
    plan = document.plan
    began = datetime.fromisoformat(document.began_at)
    facts = [
        plan.load,
        f"ran {time_text(document.duration_s * 1e9)}",
        f"{document.generator.transport} transport, {plural(len(document.generator.workers), 'worker')}",
        f"mode {plan.mode}",
        "" if plan.seed is None else f"seed {plan.seed}",
        f"{began:%Y-%m-%d %H:%M:%S} UTC",
        f"Osmia {document.osmia}",
    ]
    chips = [tag("span", host, class_="chip mono") for host in plan.hosts]
    return tag(
        "section",
        tag("h1", tag("span", outcome.word, class_=outcome.tone.value), f" · {outcome.sentence}"),
        tag("p", chips, [tag("span", fact) for fact in facts if fact], class_="facts"),
        class_=f"head {outcome.tone.value}",
    )


def _limits(document: Document) -> Raw:
    limits = document.generator.limits
    if not limits:
        return Raw("")
    title = tag(
        "b", "The generator, not only the target, was the limit: read rates and latencies with care.", class_="warning"
    )
    return tag("section", title, tag("ul", [tag("li", limit) for limit in limits]), class_="card limits", role="alert")


def _left_out(count: int) -> Raw:
    if not count:
        return Raw("")
    told = f"{plural(count, 'more step')} with fewer failures and shorter times: in the table above, whole in run.json."
    return tag("p", told, class_="dim")


def _other_hosts(document: Document) -> Raw:
    if not document.other_hosts:
        return Raw("")
    rows = [
        tag("tr", tag("th", host, class_="mono", scope="row"), tag("td", plural(count, "redirect"), class_="n"))
        for host, count in document.other_hosts.items()
    ]
    title = tag("h3", "Redirects to hosts that the plan does not name")
    return tag("section", joined([title, tag("table", tag("tbody", rows))]), class_="card")
