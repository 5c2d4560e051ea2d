"""The demo on this machine: it passes when all is well and fails when one thing is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

pytestmark = [pytest.mark.ebpf, pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(120)]


def run_check(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of `osmia demo --check`."""
    result = subprocess.run(
        [sys.executable, "-m", "osmia", "demo", "--check", "--json", "--name", f"t{os.getpid() % 10_000}", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout, result.stderr[-2000:]
    answer: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return result.returncode, answer


@pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root")
def test_the_map_equals_what_everybody_logged() -> None:
    """Counts, statuses, rates, latencies, Services: every check passes."""
    code, answer = run_check()

    assert [check for check in answer["checks"] if not check["passed"]] == []
    assert (code, answer["passed"]) == (0, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root")
def test_five_requests_that_never_were_are_noticed() -> None:
    """An edge whose counts were altered fails the check that counts it."""
    code, answer = run_check("--sabotage", "counts")

    failed = {check["name"] for check in answer["checks"] if not check["passed"]}
    assert (code, answer["passed"]) == (1, False)
    assert "loadgen → testserver: requests" in failed
