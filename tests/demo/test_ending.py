"""However the demo ends, nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.ebpf,
    pytest.mark.lab,
    pytest.mark.timeout(90),
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
]

DEADLINE_S = 30.0


def start(name: str, until: str) -> subprocess.Popen[str]:
    """A demo that has said `until`."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "osmia", "demo", "--listen", "127.0.0.1:0", "--name", name],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert demo.stderr is not None
    for line in demo.stderr:
        if until in line:
            return demo
    pytest.fail(f"the demo never said {until!r}")


def traces(demo: subprocess.Popen[str], name: str) -> list[str]:
    """What is left of a demo: namespaces, directories, processes."""
    namespaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    directories = [str(path) for path in Path(tempfile.gettempdir()).glob(f"osmia-demo-{demo.pid}-*")]
    processes = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"osmia-demo-{demo.pid}-" in words or f"{name}-node" in words:
            processes.append(words)
    return [*(line for line in namespaces.splitlines() if f"osmia-lab-{name}" in line), *directories, *processes]


@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGTERM, "bringing up"), (signal.SIGINT, "Ctrl-C takes"), (signal.SIGHUP, "Ctrl-C takes")],
)
def test_a_signal_at_any_moment_leaves_nothing(number: signal.Signals, moment: str) -> None:
    """Ctrl-C, a closed terminal or a shutdown, while starting or while running: all is taken down."""
    name = f"e{os.getpid() % 10_000}"
    demo = start(name, moment)

    demo.send_signal(number)
    demo.communicate(timeout=DEADLINE_S)

    assert traces(demo, name) == []


def test_server_and_agent_do_not_survive_a_killed_demo() -> None:
    """After kill -9 the kernel ends the children; `osmia lab down` removes the rest."""
    name = f"k{os.getpid() % 10_000}"
    demo = start(name, "Ctrl-C takes")

    demo.kill()
    demo.communicate(timeout=DEADLINE_S)
    down = subprocess.run(
        [sys.executable, "-m", "osmia", "lab", "down", "--name", name], capture_output=True, text=True, check=False
    )

    deadline = time.monotonic() + DEADLINE_S
    while any(not left.startswith(tempfile.gettempdir()) for left in traces(demo, name)):
        assert time.monotonic() < deadline, traces(demo, name)
        time.sleep(0.1)
    assert down.returncode == 0, down.stderr
