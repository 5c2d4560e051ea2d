"""Success criteria: rules about a whole run, evaluated on the workers' counters and histograms at any time.

Numbers: `iterations`, `requests`, `rps`, `success_count`, `fail_count` (iterations that failed or had a failed
assertion), `server_fail_count`, `assertion_fail_count` (iterations), `fail_count_perc` and `error_rate` (shares, 0..1;
of iterations and of requests without an answer), `in_flight`, `backlog`. Series, in ms, for `min`, `max`, `avg` and
percentiles: `iteration_duration`, `response_time` (from when a request should have been sent), `service_time` (from
when it was), `lag`. Of one step: `steps.ID.requests`, `.rps`, `.fail_count`, `.error_rate`, `.response_time`,
`.service_time`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from osmia.load.language.code import Compiler, Function, Kind, Piece, Vocabulary
from osmia.load.language.functions import COMMON, PERCENTILES, percentiles
from osmia.load.language.problems import EvaluationError, nearest
from osmia.load.language.rule import Rule
from osmia.load.language.tree import Name
from osmia.load.plan import JsonValue
from osmia.load.results import Reading, Verdict, quantile_ns
from osmia.model.histogram import MIDPOINTS_NS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Criterion", "Decision", "compile_criterion", "decide"]

_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Criterion:
    """A compiled success criterion."""

    rule: Rule[Reading]

    def judge(self, reading: Reading) -> Verdict:
        """Whether it is met; what cannot be known yet (no iteration has ended) is not."""
        if self.rule.holds(reading):
            return Verdict(self.rule.text, is_met=True, received=self.rule.explain(reading)[0])
        received, reason = self.rule.explain(reading)
        return Verdict(self.rule.text, is_met=False, received=received, reason=reason)

    def holds(self, reading: Reading) -> bool:
        """The same without saying why."""
        return self.rule.holds(reading)


@dataclass(frozen=True, slots=True)
class Decision:
    """Since when an aborting criterion is broken (None: it is not), and whether the run ends for it now."""

    broken_since_s: float | None
    is_over: bool


def compile_criterion(rule: str, *, step_ids: Sequence[int] | None = None) -> Criterion:
    """A rule about a run. Without `step_ids`, in the plan's order, `steps.ID` is taken to be one of it.

    Raises:
        RuleError: the rule is not understood, or speaks of a step that there is none of.
    """
    return Criterion(Rule(rule, _RunVocabulary(step_ids)))


def decide(
    criterion: Criterion, reading: Reading, *, elapsed_s: float, delay_s: float, broken_since_s: float | None
) -> Decision:
    """Whether a run ends early: broken for `delay_s` without a break; nothing is judged before an iteration ended."""
    if not int(reading.run["iterations_finished"]) or criterion.holds(reading):
        return Decision(None, is_over=False)
    since_s = elapsed_s if broken_since_s is None else broken_since_s
    return Decision(since_s, is_over=elapsed_s - since_s >= delay_s)


# ---- what there is ----


@dataclass(frozen=True, slots=True)
class _Times:
    """A histogram as a series of ms; extremes are exact where they are known."""

    histogram: NDArray[np.uint64]
    name: str
    least_ns: int = 0
    most_ns: int = 0

    def quantile(self, share: float) -> float:
        """Nearest rank, at most 1.6 % off."""
        found = quantile_ns(self.histogram, share)
        if found is None:
            raise EvaluationError(f"{self.name} has no values yet")
        return self._bounded(found) / _NS_PER_MS

    def smallest(self) -> float:
        """The least."""
        return self.least_ns / _NS_PER_MS if self.least_ns else self.quantile(0.0)

    def largest(self) -> float:
        """The greatest."""
        return self.most_ns / _NS_PER_MS if self.most_ns else self.quantile(1.0)

    def average(self) -> float:
        """The mean of the buckets' midpoints, at most 1.6 % off."""
        count = int(self.histogram.sum())
        if not count:
            raise EvaluationError(f"{self.name} has no values yet")
        return float(np.dot(self.histogram.astype(np.float64), MIDPOINTS_NS)) / count / _NS_PER_MS

    def _bounded(self, value_ns: int) -> int:
        value_ns = max(value_ns, self.least_ns)
        return min(value_ns, self.most_ns) if self.most_ns else value_ns


def _share(part: int, whole: int, name: str) -> float:
    if not whole:
        raise EvaluationError(f"{name} is a share of nothing: nothing has ended yet")
    return part / whole


def _running_s(reading: Reading) -> float:
    """From the first start to now, or to the last end if nothing is under way."""
    first_ns = int(reading.run["first_ns"])
    last_ns = reading.at_ns if int(reading.run["in_flight"]) else int(reading.run["last_ns"])
    if not first_ns or last_ns <= first_ns:
        raise EvaluationError("the run has no duration yet")
    return (last_ns - first_ns) / 1e9


def _count(*fields: str) -> Callable[[Reading], JsonValue]:
    return lambda reading: sum(int(reading.run[field]) for field in fields)


def _fail_share(reading: Reading) -> float:
    run = reading.run
    failed = int(run["iterations_failed"]) + int(run["iterations_assertion_failed"])
    return _share(failed, int(run["iterations_finished"]), "fail_count_perc")


def _requests(steps: NDArray[np.void]) -> int:
    return int(steps["answered"].sum()) + int(steps["failed"].sum())


def _error_rate(steps: NDArray[np.void], name: str) -> float:
    return _share(int(steps["failed"].sum()), _requests(steps), name)


def _step_times(field: str, name: str) -> Callable[[NDArray[np.void]], _Times]:
    """Service or response time of steps, all of them in one series."""

    def times(steps: NDArray[np.void]) -> _Times:
        histogram = np.atleast_2d(steps[field]).sum(axis=0)
        most_ns = int(steps[f"{field}_max_ns"].max())
        minima = steps["service_min_ns"][steps["service_min_ns"] > 0] if field == "service" else ()
        return _Times(histogram, name, int(min(minima, default=0)), most_ns)

    return times


_NUMBERS: Mapping[str, Callable[[Reading], JsonValue]] = {
    "iterations": _count("iterations_finished"),
    "requests": lambda reading: _requests(reading.steps),
    "rps": lambda reading: _requests(reading.steps) / _running_s(reading),
    "success_count": _count("iterations_succeeded"),
    "fail_count": _count("iterations_failed", "iterations_assertion_failed"),
    "server_fail_count": _count("iterations_failed"),
    "assertion_fail_count": _count("iterations_assertion_failed"),
    "fail_count_perc": _fail_share,
    "error_rate": lambda reading: _error_rate(reading.steps, "error_rate"),
    "in_flight": _count("in_flight"),
    "backlog": _count("backlog"),
}
_SERIES: Mapping[str, Callable[[Reading], _Times]] = {
    "iteration_duration": lambda reading: _Times(
        reading.run["iterations"],
        "iteration_duration",
        int(reading.run["iteration_min_ns"]),
        int(reading.run["iteration_max_ns"]),
    ),
    "response_time": lambda reading: _step_times("response", "response_time")(reading.steps),
    "service_time": lambda reading: _step_times("service", "service_time")(reading.steps),
    "lag": lambda reading: _Times(reading.run["lag"], "lag"),
}
_STEP_NUMBERS: Final = ("requests", "rps", "fail_count", "error_rate")
_STEP_SERIES: Final = ("response_time", "service_time")


class _RunVocabulary(Vocabulary):
    """What rules about a run can say."""

    def __init__(self, step_ids: Sequence[int] | None) -> None:
        self._step_ids = step_ids

    def name(self, compiler: Compiler, node: Name) -> Piece:
        """A figure of the run, or `steps.ID.figure`."""
        if number := _NUMBERS.get(node.text):
            return Piece(f"{compiler.bind(number)}(a)", Kind.NUMBER)
        if series := _SERIES.get(node.text):
            return Piece(f"{compiler.bind(series)}(a)", Kind.SERIES)
        if node.text.startswith("steps."):
            return self._of_step(compiler, node)
        names = [*_NUMBERS, *_SERIES]
        remedy = nearest(node.text, names) or f"there are {', '.join(names)} and steps.ID.NAME"
        raise compiler.error(f"there is no {node.text!r} in a criterion", node, remedy)

    def function(self, name: str) -> Function | None:
        """A common one, or a percentile."""
        return COMMON.get(name) or percentiles(name)

    def function_names(self) -> list[str]:
        """For suggestions."""
        return [*COMMON, *PERCENTILES]

    def _of_step(self, compiler: Compiler, node: Name) -> Piece:
        _, _, rest = node.text.partition(".")
        identity, _, figure = rest.partition(".")
        if figure not in _STEP_NUMBERS and figure not in _STEP_SERIES:
            names = ", ".join((*_STEP_NUMBERS, *_STEP_SERIES))
            raise compiler.error(
                f"a step has no {figure!r}", node, nearest(figure, names.split(", ")) or f"it has {names}"
            )
        index = self._index(compiler, node, identity)
        if figure in _STEP_SERIES:
            times = _step_times(figure.removesuffix("_time"), node.text)
            return Piece(f"{compiler.bind(lambda reading: times(_step(reading, index)))}(a)", Kind.SERIES)
        read = _step_number(figure, node.text)
        return Piece(f"{compiler.bind(lambda reading: read(reading, _step(reading, index)))}(a)", Kind.NUMBER)

    def _index(self, compiler: Compiler, node: Name, identity: str) -> int:
        if not identity.isdecimal():
            raise compiler.error(f"{identity!r} is no step's id", node, "write steps.1.rps")
        if self._step_ids is None:
            return 0  # only read, not run: the plan's steps are not known
        if int(identity) not in self._step_ids:
            there = ", ".join(map(str, self._step_ids))
            raise compiler.error(f"there is no step {identity}", node, f"there are {there}")
        return self._step_ids.index(int(identity))


def _step(reading: Reading, index: int) -> NDArray[np.void]:
    return reading.steps[index : index + 1]


def _step_number(figure: str, name: str) -> Callable[[Reading, NDArray[np.void]], JsonValue]:
    figures: Mapping[str, Callable[[Reading, NDArray[np.void]], JsonValue]] = {
        "requests": lambda _, steps: _requests(steps),
        "rps": lambda reading, steps: _requests(steps) / _running_s(reading),
        "fail_count": lambda _, steps: int(steps["failed"].sum()) + int(steps["assertion_failed"].sum()),
        "error_rate": lambda _, steps: _error_rate(steps, name),
    }
    return figures[figure]
