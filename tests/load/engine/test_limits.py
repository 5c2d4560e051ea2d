"""Where the generator was the limit is said in words, and nothing is said of a good run."""

from __future__ import annotations

import numpy as np
import pytest

from osmia.load.limits import limits
from osmia.load.plan import CountKind, CountShape, Plan, RateShape, RateStage, Shape, Step, UsersShape, UserStage
from osmia.load.results import Reading, WorkerHealth, merged
from osmia.load.tally import RUN, STEP, Failure
from osmia.model.histogram import bucket_of

OPEN = CountShape(CountKind.LINEAR, 1000, 10)
GOOD = WorkerHealth(0, 0.4, 20 << 20)


def reading(
    *, due: int = 1000, started: int = 1000, lag_ns: int = 50_000, errors: dict[Failure, int] | None = None, **run: int
) -> Reading:
    """The end of a run."""
    row, step = np.zeros(1, dtype=RUN), np.zeros(1, dtype=STEP)
    row["iterations_due"] = due
    row["iterations_started"] = started
    row["first_ns"], row["last_ns"] = 1_000_000_000, 11_000_000_000
    row["lag"][0, bucket_of(lag_ns)] = started
    for name, value in run.items():
        row[name] = value
    for failure, count in (errors or {}).items():
        step["errors"][0, failure] = count
    return merged(0, [(row, step)])


def said(
    last: Reading | None = None, *, shape: Shape = OPEN, workers: tuple[WorkerHealth, ...] = (GOOD,)
) -> tuple[str, ...]:
    """What is said of a run that ended like this."""
    last = last or reading()
    plan = Plan(steps=(Step(id=1, url="http://localhost/"),), shape=shape)
    return limits(plan, last=last, at_schedule_end=last, workers=workers, max_connections=100)


def test_a_good_run_has_no_limits() -> None:
    """Everything was started in time, by workers that had time left."""
    assert said() == ()


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (reading(lag_ns=12_000_000), "started late: 99 % within 11.9 ms"),
        (
            reading(started=900, backlog_max=80),
            "100 iterations a second were planned, 90 were started; up to 80 waited",
        ),
        (reading(due=800, started=800), "100 iterations a second were planned, 80 were started"),
        (reading(connections_max=100, backlog_max=7), "all 100 connections"),
        (reading(errors={Failure.NO_LOCAL_PORT: 3}), "3 requests found no free local port"),
        (reading(errors={Failure.NO_DESCRIPTOR: 1234}), "1,234 requests found no free file descriptor"),
        (reading(samples_dropped=5), "5 samples were dropped"),
    ],
)
def test_each_limit_is_said_once(last: Reading, words: str) -> None:
    """One sentence for one limit, with its figures."""
    (sentence,) = said(last)

    assert words in sentence


def test_a_single_hiccup_is_no_limit() -> None:
    """Of twenty iterations one late one is the 99th percentile, and still only one."""
    last = reading(due=20, started=20)
    last.run["lag"][:] = 0
    last.run["lag"][bucket_of(50_000)] = 19
    last.run["lag"][bucket_of(20_000_000)] = 1

    assert not any("started late" in one for one in said(last, shape=CountShape(CountKind.LINEAR, 20, 1)))


def test_a_full_core_is_said_of_its_worker() -> None:
    """A generator without time left sets the pace itself."""
    (sentence,) = said(workers=(GOOD, WorkerHealth(1, 0.99, 0)))

    assert sentence.startswith("worker 1 used 99% of a core")


def test_the_start_of_a_process_is_no_load() -> None:
    """A run of a few milliseconds is mostly the process's own beginning and end."""
    short = reading(first_ns=1_000_000_000, last_ns=1_002_000_000)

    assert said(short, workers=(WorkerHealth(0, 1.0, 0),)) == ()


def test_a_dead_worker_is_said() -> None:
    """Its share is missing, whatever the rest did."""
    (sentence,) = said(workers=(WorkerHealth(0, 0.1, 0, failure="was killed 2.0 s after the beginning by SIGKILL"),))

    assert "worker 0 was killed 2.0 s after the beginning by SIGKILL" in sentence


def test_chance_is_no_shortfall() -> None:
    """Poisson arrivals at a rate are as many as there are: only what was due can be missed."""
    rate = RateShape((RateStage(10.0, 100.0, 100.0),))

    assert said(reading(due=950, started=950), shape=rate) == ()
    assert "950" not in said(reading(due=950, started=800), shape=rate)[0]


def test_users_have_no_schedule_to_keep() -> None:
    """The closed model plans no rate, so none is missed."""
    assert said(reading(due=5, started=1), shape=UsersShape((UserStage(10.0, 5, 5),))) == ()


def test_a_run_that_was_ended_is_not_measured_against_its_plan() -> None:
    """Ctrl-C before the end of the schedule is no shortfall."""
    plan = Plan(steps=(Step(id=1, url="http://localhost/"),), shape=OPEN)
    last = reading(due=10, started=10)

    assert limits(plan, last=last, at_schedule_end=None, workers=(GOOD,), max_connections=100) == ()
