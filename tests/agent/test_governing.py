"""The governor at work: real capture, a budget that real load breaks, steps in the ledger, and the way back."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from osmia.agent.governor import Level
from osmia.model.wire import Table
from tests.agent.running import Sink, nginx_or_skip, running_agent, serving_nginx, wait_for, wrk

pytestmark = [pytest.mark.ebpf, pytest.mark.timeout(120)]


def test_load_over_the_budget_costs_detail_within_5_s_and_calm_gives_it_back(tmp_path: Path) -> None:
    """The first step comes within five seconds, each is in the ledger with its cause, and counts stay exact."""
    nginx_or_skip()
    sink = Sink()
    sink.start()
    answered: list[int] = []
    budget = ("--bpf-budget-cores", "0.03", "--cpu-budget-cores", "4", "--calm-s", "2")
    with serving_nginx(tmp_path) as port, running_agent(tmp_path, sink.port, *budget) as agent:
        wait_for(lambda: sink.all(Table.LEDGER), "the first report")
        began_ns = time.time_ns()
        load = threading.Thread(target=lambda: answered.append(wrk(port, seconds=8)))
        load.start()
        wait_for(sink.steps, "a step down")
        load.join()
        wait_for(lambda: sink.steps()[-1][2] == "full", "everything is back", within_s=60)
        wait_for(lambda: sink.counted(port) >= answered[0], "all is reported")
    sink.stop()

    steps = sink.steps()
    first_ns, before, after, cause = steps[0]
    assert first_ns - began_ns <= 5_000_000_000
    assert (before, after) == ("full", "payload")
    assert "capture in the kernel uses" in cause
    assert [step[1] for step in steps[1:]] == [step[2] for step in steps[:-1]]
    assert all(abs(Level[down.upper()] - Level[up.upper()]) == 1 for _, down, up, _ in steps)
    # wrk leaves a few requests unanswered when its time is up.
    assert answered[0] <= sink.counted(port) <= answered[0] + 16
    assert "governor step" in agent.text()
