"""A server of the exporter that follows a script, and rows to send it."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from osmia.agent.export import Exporter
from osmia.agent.post import Answer
from osmia.model import wire

__all__ = ["FakeServer", "one_row", "run_until"]

Columns = dict[str, list[object]]


class FakeServer:
    """A `Send` that answers from a script, then with `default`, and stores each number once as the real one does."""

    def __init__(self, *answers: Answer, default: Answer | None = None) -> None:
        self.answers = list(answers)
        self.default = default or Answer(200)
        self.received: list[tuple[wire.Table, int]] = []
        self.stored: dict[int, bytes] = {}

    async def __call__(self, table: wire.Table, sequence: int, payload: bytes) -> Answer:
        """The next answer of the script."""
        self.received.append((table, sequence))
        await anyio.lowlevel.checkpoint()
        answer = self.answers.pop(0) if self.answers else self.default
        if answer.status == 200:
            self.stored.setdefault(sequence, payload)
        return answer


def one_row(table: wire.Table, **known: list[object]) -> Columns:
    """One row of a table, its lists empty and its other columns 1."""
    made: Columns = {name: [[]] if "list" in kind.value else [1] for name, kind in wire.TABLES[table].items()}
    return made | known


async def run_until(exporter: Exporter, condition: Callable[[], bool]) -> None:
    """Run the exporter until the condition holds, at most ten seconds."""
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(exporter.run)
            while not condition():
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
