"""What came of a run, in one sentence: the headline of every report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from osmia.load.report.amounts import plural, share_text, time_text
from osmia.load.report.document import Document

__all__ = ["Outcome", "Tone", "outcome_of"]


class Tone(StrEnum):
    """How it is to be taken."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One word, one sentence and their tone."""

    tone: Tone
    word: str
    sentence: str


def outcome_of(document: Document) -> Outcome:
    """The first that fits; what is wrong comes before what is right."""
    broken = [verdict.rule for verdict in document.criteria if not verdict.is_met]
    requests = document.requests
    if document.is_aborted:
        at_s = next((one.aborted_at_s for one in document.criteria if one.aborted_at_s is not None), None)
        when = f" at {time_text(at_s * 1e9)}" if at_s is not None else ""
        return Outcome(Tone.BAD, "Aborted", f"A criterion ended the run{when}: {', '.join(broken)}".rstrip(": "))
    if broken:
        return Outcome(Tone.BAD, "Failed", _broken(broken, len(document.criteria)))
    if document.is_interrupted:
        return Outcome(Tone.WARNING, "Interrupted", f"Ended early: {_summary(document)}")
    if requests.failed and not requests.answered:
        return Outcome(Tone.BAD, "Failed", f"No request was answered: {requests.errors[0].text}")
    if document.criteria:
        met = (
            "The criterion is met" if len(document.criteria) == 1 else f"All {len(document.criteria)} criteria are met"
        )
        return Outcome(Tone.GOOD, "Passed", f"{met}: {_summary(document)}")
    is_clean = not requests.failed and not requests.assertion_failed
    return Outcome(Tone.GOOD if is_clean else Tone.WARNING, "Done", _summary(document))


def _broken(broken: list[str], count: int) -> str:
    if count == 1:
        return f"The criterion is not met: {broken[0]}"
    return f"{len(broken)} of {count} criteria {'is' if len(broken) == 1 else 'are'} not met: {'; '.join(broken)}"


def _summary(document: Document) -> str:
    """`1,000 iterations in 10 s, none failed`."""
    iterations, requests = document.iterations, document.requests
    did = f"{plural(iterations.finished, 'iteration')} in {time_text(document.duration_s * 1e9)}"
    if not iterations.finished and not requests.started:
        return "no request was sent"
    wrong = []
    if requests.failed:
        wrong.append(
            f"{share_text(requests.failed, requests.answered + requests.failed)} of the requests got no answer"
        )
    if requests.assertion_failed:
        wrong.append(f"{share_text(requests.assertion_failed, requests.answered)} of the answers failed an assertion")
    return f"{did}, {' and '.join(wrong) or 'none failed'}"
