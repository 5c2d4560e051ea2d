"""A server without wires that remembers what it was asked, and runs of plans against it in virtual time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from osmia.load.client.fake import FakeAnswer, FakeTransport
from osmia.load.client.transport import Endpoint, Work
from osmia.load.plan import CountKind, CountShape, Plan, Step
from osmia.load.scenario import Compiled, Findings, Surroundings, compile_plan, load_of
from osmia.load.tally import RUN, STEP, Failure, block_bytes, views

__all__ = ["World", "compiled", "plan_of", "redirect"]

NOW_S = 1_000_000.0


def plan_of(*steps: Step, count: int = 1, **settings: object) -> Plan:
    """A plan of these steps."""
    return Plan(steps=steps, shape=CountShape(CountKind.LINEAR, count, 1), seed=1, **settings)  # type: ignore[arg-type]  # a test's settings


def compiled(plan: Plan) -> Compiled:
    """The plan for worker 0, in a world where time stands still."""
    return compile_plan(plan, worker=0, world=Surroundings(lambda: NOW_S, {"FROM_OUTSIDE": "out"}))


def redirect(status: int, location: str) -> FakeAnswer:
    """An answer that leads elsewhere."""
    return FakeAnswer(status=status, head=f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\n\r\n".encode())


class World:
    """What was asked in `asked`, what was counted in `run_tally` and `steps`, what was found in `findings`."""

    def __init__(self, answer: Callable[[Endpoint, bytes], FakeAnswer | Failure] | None = None) -> None:
        self._answer = answer or (lambda _endpoint, _request: FakeAnswer())
        self.asked: list[tuple[Endpoint, bytes]] = []
        self.tally: np.void = np.zeros(1, dtype=RUN)[0]
        self.steps = np.zeros(0, dtype=STEP)
        self.findings = Findings(())

    def __call__(self, endpoint: Endpoint, request: bytes) -> FakeAnswer | Failure:
        """Answer as told, and remember."""
        self.asked.append((endpoint, request))
        return self._answer(endpoint, request)

    def run(self, plan: Plan) -> None:
        """All of a plan, by one worker."""
        part = compiled(plan)
        block = bytearray(block_bytes(len(plan.steps)))
        run, self.steps = views(block)
        self.tally = run[0]
        run["zero_ns"] = 1
        work = Work(
            steps=part.steps,
            load=load_of(plan, worker=0),
            script=part.scenario,
            block=memoryview(block),
            pool=part.pool,
            asks_ends=part.asks_ends,
        )
        FakeTransport(self).run(work)
        self.findings = part.scenario.findings()

    @property
    def lines(self) -> list[str]:
        """Host and request line of everything asked, in order."""
        return [f"{endpoint.host} {request.split(b' HTTP', 1)[0].decode()}" for endpoint, request in self.asked]

    @property
    def requests(self) -> list[bytes]:
        """Everything asked, in order."""
        return [request for _, request in self.asked]
