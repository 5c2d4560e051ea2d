"""One worker of the load engine's core in a process of its own, for `bench/load.py`: a job as JSON in, figures out."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from bench.load_scenario import SCENARIO
from osmia.load.client.core import CoreTransport
from osmia.load.client.transport import Arrivals, Endpoint, Http, Script, Users, WireStep, Work
from osmia.load.plan import CountKind, CountShape, Plan
from osmia.load.scenario import Surroundings, compile_plan
from osmia.load.tally import block_bytes, views
from osmia.model.histogram import MIDPOINTS_NS

__all__ = ["Figures", "Job"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to send; `rate` 0 is the closed model with so many `users`."""

    port: int
    is_tls: bool = False
    http: int = 1
    users: int = 64
    max_connections: int = 10_000
    seconds: float = 1.5
    rate: int = 0
    is_scenario: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of it; CPU is that of the run alone."""

    rate: float
    answered: int
    failed: int
    due: int
    cpu_us: float
    lag_p99_us: float
    rss_mib: float
    backlog: int
    connections: int


class _Nobody:
    """A script that is never asked."""

    def _never(self, *_: object) -> NoReturn:
        raise AssertionError("a static step asks nobody")

    begin = render = inspect = fail = end = _never


def main() -> None:
    """Run the job that the only argument tells."""
    job = Job(**json.loads(sys.argv[1]))
    block = memoryview(bytearray(block_bytes(1)))
    run, steps = views(block)
    step, script = _scenario(job) if job.is_scenario else (_static(job), _Nobody())
    work = Work(steps=[step], load=_load(job), script=script, block=block, max_connections=job.max_connections)
    run[0]["zero_ns"] = time.monotonic_ns() + 5_000_000
    spent_s = -time.process_time()
    CoreTransport().run(work)
    spent_s += time.process_time()
    answered = int(steps[0]["answered"])
    figures = Figures(
        rate=answered / max(1e-9, float(run[0]["last_ns"] - run[0]["first_ns"]) / 1e9),
        answered=int(steps[0]["statuses"][200]),
        failed=int(steps[0]["failed"]),
        due=int(run[0]["iterations_due"]),
        cpu_us=spent_s * 1e6 / max(1, answered),
        lag_p99_us=_p99_us(run[0]["lag"]),
        rss_mib=_peak_mib(),
        backlog=int(run[0]["backlog_max"]),
        connections=int(run[0]["connections_opened"]),
    )
    print(json.dumps(dataclasses.asdict(figures)))


def _static(job: Job) -> WireStep:
    endpoint = Endpoint(host="127.0.0.1", port=job.port, is_tls=job.is_tls, http=Http(job.http))
    return WireStep(endpoint=endpoint, request=f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{job.port}\r\n\r\n".encode())


def _scenario(job: Job) -> tuple[WireStep, Script]:
    step = dataclasses.replace(SCENARIO, url=f"http://127.0.0.1:{job.port}/rates?at={{{{_randomInt}}}}")
    plan = Plan(steps=(step,), shape=CountShape(CountKind.LINEAR, 1, 1), seed=1)
    compiled = compile_plan(plan, worker=0, world=Surroundings(time.time))
    return compiled.steps[0], compiled.scenario


def _load(job: Job) -> Arrivals | Users:
    if not job.rate:
        return Users(changes=[(0, job.users)], duration_ns=int(job.seconds * 1e9))

    def blocks() -> Iterator[NDArray[np.int64]]:
        for tenth in range(int(job.seconds * 10)):
            yield ((np.arange(job.rate // 10) / (job.rate // 10) + tenth) * 1e8).astype(np.int64)

    return Arrivals(blocks=blocks())


def _peak_mib() -> float:
    """Of this program; `ru_maxrss` would remember what the process was before it became it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _p99_us(histogram: NDArray[np.uint64]) -> float:
    total = int(histogram.sum())
    if not total:
        return 0.0
    return float(MIDPOINTS_NS[int(np.searchsorted(histogram.cumsum(), 0.99 * total))]) / 1e3


if __name__ == "__main__":
    main()
