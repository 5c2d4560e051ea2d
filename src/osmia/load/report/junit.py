"""`--out junit.xml`: what continuous integration shows. One test case per step, assertion rule and criterion.

A step fails when a request of it got no answer, a rule when an answer broke it, a criterion when it is not met; a run
that was interrupted is an error, and a generator that was the limit is said in `system-err`. Times are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from osmia.load.report.amounts import count_text, share_text
from osmia.load.report.describe import step_title
from osmia.load.report.document import Document, StepDocument, document_of
from osmia.load.report.outcome import outcome_of
from osmia.load.report.visible import received_text, value_text, visible
from osmia.load.results import Results

__all__ = ["junit_xml"]


@dataclass(frozen=True, slots=True)
class _Case:
    """A test case; `problem` is the failure's message and `detail` its text."""

    name: str
    time_s: float
    problem: str = ""
    detail: str = ""


def junit_xml(results: Results) -> bytes:
    """The file, in UTF-8."""
    document = document_of(results)
    root = ET.Element("testsuites", name="osmia load")
    for step, described in zip(results.steps, document.steps, strict=True):
        cases = [_answered(described), *_rules(described, step.step.assertions)]
        _suite(root, f"step {step_title(step.step)}", cases, document)
    if document.criteria:
        _suite(root, "success criteria", _criteria(document), document)
    _whole(root, document)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _answered(step: StepDocument) -> _Case:
    requests = step.requests
    time_s = (requests.service.mean_ms or 0) / 1000
    name = f"{step.method} {step.url} is answered"
    if not requests.failed:
        return _Case(name, time_s)
    whole = requests.answered + requests.failed
    problem = f"{count_text(requests.failed)} of {count_text(whole)} requests got no answer"
    lines = [f"{error.text}: {count_text(error.count)} ({share_text(error.count, whole)})" for error in requests.errors]
    return _Case(name, time_s, problem, "\n".join(lines))


def _rules(step: StepDocument, rules: Iterable[str]) -> Iterable[_Case]:
    """Every rule of the plan, and every failed one that is not in it (none, if the engine is right)."""
    failed = {one.rule: one for one in step.assertions}
    time_s = (step.requests.service.mean_ms or 0) / 1000
    for rule in dict.fromkeys([*rules, *failed]):
        one = failed.get(rule)
        if one is None:
            yield _Case(rule, time_s)
            continue
        problem = f"failed for {count_text(one.count)} of {count_text(step.requests.answered)} answers"
        received = [f"{name}: {', '.join(map(value_text, values))}" for name, values in one.received.items()]
        yield _Case(rule, time_s, problem, "\n".join(filter(None, [one.reason, *received])))


def _criteria(document: Document) -> Iterable[_Case]:
    for verdict in document.criteria:
        problem = "" if verdict.is_met else "the criterion is not met"
        detail = "\n".join(filter(None, [received_text(verdict.received), verdict.reason]))
        yield _Case(verdict.rule, document.duration_s, problem, detail)


def _suite(root: ET.Element, name: str, cases: Iterable[_Case], document: Document) -> None:
    suite = ET.SubElement(root, "testsuite", name=visible(name), timestamp=document.began_at, errors="0", skipped="0")
    shown = list(cases)
    suite.set("tests", str(len(shown)))
    suite.set("failures", str(sum(bool(case.problem) for case in shown)))
    suite.set("time", f"{sum(case.time_s for case in shown):.6f}")
    for case in shown:
        element = ET.SubElement(
            suite, "testcase", name=visible(case.name), classname=visible(name), time=f"{case.time_s:.6f}"
        )
        if case.problem:
            failure = ET.SubElement(element, "failure", message=visible(case.problem), type="failure")
            failure.text = visible(case.detail, keeps_lines=True)


def _whole(root: ET.Element, document: Document) -> None:
    """The run itself as a case: an error if it did not run as planned. And the sums over all suites."""
    suite = ET.SubElement(
        root, "testsuite", name="run", timestamp=document.began_at, tests="1", failures="0", skipped="0"
    )
    suite.set("time", f"{document.duration_s:.6f}")
    is_cut = document.is_interrupted or document.is_aborted
    suite.set("errors", str(int(is_cut)))
    name = f"{document.plan.load} against {', '.join(document.plan.hosts)}"
    case = ET.SubElement(suite, "testcase", name=visible(name), classname="run", time=f"{document.duration_s:.6f}")
    outcome = outcome_of(document)
    if is_cut:
        ET.SubElement(case, "error", message=visible(outcome.sentence), type=outcome.word.lower())
    ET.SubElement(suite, "system-out").text = visible(f"{outcome.word}: {outcome.sentence}")
    if document.generator.limits:
        ET.SubElement(suite, "system-err").text = visible("\n".join(document.generator.limits), keeps_lines=True)
    for total in ("tests", "failures", "errors"):
        root.set(total, str(sum(int(one.get(total, "0")) for one in root.iter("testsuite"))))
    root.set("time", f"{document.duration_s:.6f}")
