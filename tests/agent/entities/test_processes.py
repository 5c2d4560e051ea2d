"""Names of processes outside Kubernetes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from osmia.agent.entities.processes import program_name, read_process


@pytest.mark.parametrize(
    ("arguments", "command", "name"),
    [
        (["/usr/sbin/nginx", "-g", "daemon off;"], "nginx", "nginx"),
        (["nginx: worker process"], "nginx", "nginx"),
        (["postgres: alice shop 10.0.0.1(5) idle"], "postgres", "postgres"),
        (["curl", "-s", "http://x"], "curl", "curl"),
        (["/usr/local/bin/a-program-with-a-long-name"], "a-program-with-", "a-program-with-a-long-name"),
        (["/usr/bin/python3", "/srv/shop/worker.py"], "python3", "worker.py"),
        (["python3.11", "-u", "-X", "dev", "/srv/shop/manage.py", "runserver"], "python3.11", "shop/manage.py"),
        (["python3", "-m", "http.server", "80"], "python3", "http.server"),
        (["python3", "-c", "print(1)"], "python3", "python3"),
        (["/app/.venv/bin/python", "/app/.venv/bin/gunicorn", "currencies:app"], "gunicorn", "gunicorn"),
        (["node", "--require", "./trace.js", "/srv/api/server.js"], "node", "api/server.js"),
        (["/usr/bin/java", "-Xmx1g", "-jar", "/opt/orders.jar"], "java", "orders.jar"),
        (["java", "-cp", "/opt/lib/*", "com.example.Main"], "java", "Main"),
        (["-bash"], "bash", "bash"),
        (["/bin/sh", "/opt/run.sh"], "sh", "run.sh"),
        (["/bin/bash", "/dev/fd/3"], "bash", "bash"),
        (["sh", "-ec", "curl -H 'X-Key: swordfish' http://x/y"], "sh", "sh"),
        (["/bin/bash", "-lc", "exec /opt/swordfish"], "bash", "bash"),
        (["perl", "-lane", "print /swordfish/"], "perl", "perl"),
        (["node", "--eval=swordfish()"], "node", "node"),
        (["ruby", "--unknown", "token=swordfish"], "ruby", "ruby"),
        (["node", "-r", "./trace.js", "/srv/api/server.js"], "node", "api/server.js"),
        (["java", "-server", "-jar", "/opt/orders.jar"], "java", "orders.jar"),
        (["/usr/bin/java", "-version"], "http-nio-8080-e", "java"),
        ([""], "kworker/0:1", "kworker/0:1"),
        ([], "gone", "gone"),
    ],
)
def test_program_name(arguments: list[str], command: str, name: str) -> None:
    """Interpreters lend their name to their script, everything else is called what it is called."""
    assert program_name(arguments, command) == name


def test_own_process_is_read() -> None:
    """A running process has a start time, a cgroup and a name."""
    facts = read_process(os.getpid(), "pytest")

    assert facts is not None
    assert (facts.pid, facts.start_ticks > 0, bool(facts.name)) == (os.getpid(), True, True)


def test_running_script_is_named_by_its_file(tmp_path: Path) -> None:
    """The real command line of a real interpreter."""
    script = tmp_path / "rates.py"
    script.write_text("print('up', flush=True)\ninput()\n")
    with subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        facts = read_process(child.pid, "python3")
        child.communicate(b"\n")

    assert facts is not None
    assert facts.name == "rates.py"


def test_ended_process_is_none(tmp_path: Path) -> None:
    """What is gone cannot be read."""
    assert read_process(12345, "gone", proc=tmp_path) is None
