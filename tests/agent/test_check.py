"""`osmia agent check` and the agent that it announces: the same privileges, the same features, the same words."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from osmia.agent.check.machine import CAPABILITIES, Machine
from osmia.model.wire import Table
from tests.agent.running import Sink, wait_for

pytestmark = [pytest.mark.ebpf, pytest.mark.timeout(90)]

NOBODY = 65534
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Case:
    """A set of privileges, and what must come of it."""

    name: str
    dropped: tuple[str, ...] = ()
    kept: tuple[str, ...] | None = None
    uid: int = 0
    exit_code: int = 0
    off: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    inside: tuple[str, ...] = ()

    def command(self, *arguments: str) -> list[str]:
        """The real command with exactly these privileges."""
        return [*self._privileges(), sys.executable, "-m", "osmia", "agent", *arguments]

    def _privileges(self) -> list[str]:
        if self.kept is not None:
            given = ",".join(["-all", *(f"+{name}" for name in self.kept if is_held(name))])
            words = [f"--bounding-set={given}"]
            if self.uid:
                words += [f"--inh-caps={given}", f"--ambient-caps={given}"]
        else:
            words = [f"--bounding-set={','.join(f'-{name}' for name in self.dropped)}"] if self.dropped else []
        user = [f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"] if self.uid else []
        return [*self.inside, "setpriv", "--no-new-privs", *user, *words]


def is_held(name: str) -> bool:
    """Whether root here can give this privilege on (CAP_SYS_RESOURCE is kept from it in some sandboxes)."""
    held = Machine.read()
    return next(held.holds(one.bit) for one in CAPABILITIES if one.name == f"CAP_{name.upper()}")


def lost(*names: str) -> frozenset[str]:
    """Names of features or facts."""
    return frozenset(names)


DAEMON_SET = ("bpf", "perfmon", "net_admin", "sys_resource")
OWN_PROCESSES = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
HIDDEN = ("unshare", "--mount", "sh", "-c", 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', "sh")
CORE = lost("capture", "tcp", "bpf run time")
CASES = (
    Case("root"),
    Case("without bpf", dropped=("bpf",)),
    Case("without perfmon", dropped=("perfmon",)),
    Case("without net_admin", ("net_admin",), exit_code=1, off=lost("conntrack"), missing=lost("CAP_NET_ADMIN")),
    Case("without sys_admin", ("sys_admin",), exit_code=1, off=lost("bpf run time"), missing=lost("CAP_SYS_ADMIN")),
    Case("without sys_ptrace", ("sys_ptrace",)),
    Case("without dac_read_search", ("dac_read_search",)),
    Case("without sys_resource", ("sys_resource",)),
    Case(
        "without bpf and what includes it",
        ("bpf", "sys_admin"),
        exit_code=2,
        off=CORE,
        missing=lost("CAP_BPF", "CAP_SYS_ADMIN"),
    ),
    Case(
        "without perfmon and what includes it",
        ("perfmon", "sys_admin"),
        exit_code=2,
        off=CORE,
        missing=lost("CAP_PERFMON", "CAP_SYS_ADMIN"),
    ),
    Case(
        "root as the DaemonSet",
        kept=DAEMON_SET,
        exit_code=1,
        off=lost("bpf run time"),
        missing=lost("CAP_SYS_ADMIN"),
    ),
    Case(
        "nobody as the DaemonSet",
        kept=DAEMON_SET,
        uid=NOBODY,
        exit_code=1,
        off=lost("bpf run time"),
        missing=lost("CAP_SYS_ADMIN"),
    ),
    Case(
        "without hostPID",
        inside=OWN_PROCESSES,
        exit_code=1,
        off=lost("processes"),
        missing=lost("/proc"),
    ),
    Case("behind hidepid", inside=HIDDEN),
    Case(
        "nobody behind hidepid",
        kept=DAEMON_SET,
        uid=NOBODY,
        inside=HIDDEN,
        exit_code=1,
        off=lost("processes", "bpf run time"),
        missing=lost("/proc", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN"),
    ),
    Case(
        "nobody with bpf and perfmon",
        kept=("bpf", "perfmon"),
        uid=NOBODY,
        exit_code=1,
        off=lost("bpf run time", "conntrack"),
        missing=lost("CAP_SYS_ADMIN", "CAP_NET_ADMIN"),
    ),
    Case(
        "nobody",
        kept=(),
        uid=NOBODY,
        exit_code=2,
        off=CORE | {"conntrack"},
        missing=lost("CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN", "CAP_SYS_ADMIN"),
    ),
)
RUNNING = [case for case in CASES if case.exit_code < 2]


def check(case: Case, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report."""
    result = subprocess.run(
        case.command("check", "--json", *arguments), capture_output=True, text=True, check=False, env=environment()
    )
    assert result.stdout, result.stderr
    return result.returncode, json.loads(result.stdout)


def environment() -> dict[str, str]:
    """Ours without settings of an agent; wide, so that no line is folded."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OSMIA_", "KUBERNETES_"))}  # noqa: TID251 - handed on to the command under test
    return kept | {"COLUMNS": "200"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_check_tells_what_is_lost_with_each_privilege(case: Case) -> None:
    """Exactly the features that need it are off, its row says so and what to do, and the exit code follows."""
    code, report = check(case)

    off = {one["name"] for one in report["features"] if one["state"] in {"off", "reduced"}}
    missing = {one["name"]: one for one in report["machine"] if one["standing"] == "missing"}
    assert (code, report["exit_code"]) == (case.exit_code, case.exit_code)
    assert off == case.off
    assert set(missing) == case.missing
    assert all(one["reason"] and one["remedy"] for one in report["features"] if one["name"] in off)
    assert all(one["lost"] and one["remedy"] for one in missing.values())
    assert {name for one in missing.values() for name in one["lost"]} == off


def test_every_privilege_is_dropped_in_some_case() -> None:
    """The table of privileges has no row that the cases above leave out."""
    dropped = {f"CAP_{name.upper()}" for case in CASES for name in case.dropped}

    assert dropped == {one.name for one in CAPABILITIES}


def test_the_daemon_set_has_the_privileges_of_its_cases() -> None:
    """What is tested here as the DaemonSet's is what the manifest grants."""
    documents = yaml.safe_load_all((ROOT / "deploy/kubernetes/osmia-agent.yaml").read_text())
    (daemon_set,) = [one for one in documents if one and one["kind"] == "DaemonSet"]
    (container,) = daemon_set["spec"]["template"]["spec"]["containers"]

    granted = container["securityContext"]["capabilities"]

    assert granted == {"drop": ["ALL"], "add": [name.upper() for name in DAEMON_SET]}


def test_the_table_is_clear_text() -> None:
    """A person reads marks, what is lost, the remedy and a verdict, and nothing of libbpf's babble."""
    case = next(one for one in CASES if one.name == "nobody")

    result = subprocess.run(case.command("check"), capture_output=True, text=True, check=False, env=environment())

    assert result.returncode == 2
    assert "The agent cannot run here." in result.stdout
    assert re.search(r"✗\s+CAP_BPF\s+missing: load programs and maps\s+lost: capture, tcp\s+add BPF to", result.stdout)
    assert re.search(r"✗\s+capture\s+off\s+HTTP and PostgreSQL requests", result.stdout)
    assert "libbpf:" not in result.stdout
    assert result.stderr == ""


# ---- the agent in the form that was announced ------------------------------------------------------------------------


def leader(case: Case, pid: int) -> int:
    """The agent's own process: the only child, where something stands between that passes no signals on."""
    if case.inside != OWN_PROCESSES:
        return pid
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


@contextlib.contextmanager
def agent(case: Case, sink: Sink) -> Iterator[None]:
    """`osmia agent run` with these privileges, ended by SIGTERM without a complaint."""
    arguments = ["--server", f"http://127.0.0.1:{sink.port}", "--monitoring-id", "m", "--key", "k"]
    command = case.command("run", *arguments, "--scope", "all", "--flush-s", "0.3")
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(command, stderr=words, stdout=words, env=environment())
        try:
            yield
        finally:
            os.kill(leader(case, process.pid), signal.SIGTERM)
            code = process.wait(timeout=20)
            words.seek(0)
            said = words.read().decode()
        assert (code, "Traceback" in said) == (0, False), said


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Takes what the agent sends."""
    server = Sink()
    server.start()
    yield server
    server.stop()


def first(sink: Sink, table: Table, is_it: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The first row that `is_it`; fails when none comes."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        found[:] = [row for row in sink.all(table) if is_it(row)]
        return bool(found)

    wait_for(look, f"such a row in {table}", within_s=30)
    return found[0]


class Hello(http.server.BaseHTTPRequestHandler):
    """Answers 200."""

    def do_GET(self) -> None:
        """Say hello."""
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hello() -> Iterator[str]:
    """A server to be watched."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/announced"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("case", RUNNING, ids=lambda case: case.name)
def test_the_agent_runs_in_the_form_that_was_announced(case: Case, sink: Sink, hello: str) -> None:
    """Whatever the check calls on is on in the agent's ledger too, with the same reasons, and requests are reported."""
    _, report = check(case)
    announced = {one["name"]: (one["state"], one["reason"]) for one in report["features"] if one["name"] != "server"}

    with agent(case, sink):
        first(sink, Table.LEDGER, lambda _: True)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(hello, timeout=5) as response:
            assert response.status == 200
        port = urllib.parse.urlsplit(hello).port
        window = first(sink, Table.WINDOWS, lambda row: row["server_port"] == port and row["role"] == "server")
        if announced["tcp"][0] == "on":
            first(sink, Table.CONNECTIONS, lambda row: row["server_port"] == port)
        ledger = sink.all(Table.LEDGER)[-1]

    states = zip(ledger["feature_states"], ledger["feature_reasons"], strict=True)
    running = dict(zip(ledger["features"], states, strict=True))
    assert running == announced
    assert (window["count"], window["status"]) == (1, "200")


def test_an_agent_that_cannot_run_says_why(sink: Sink) -> None:
    """Where the check says 2, `osmia agent run` ends at once with the same reason."""
    case = next(one for one in CASES if one.name == "nobody")
    _, report = check(case)
    reason = next(one["reason"] for one in report["features"] if one["name"] == "capture")

    result = subprocess.run(
        case.command("run", "--server", f"http://127.0.0.1:{sink.port}", "--monitoring-id", "m", "--key", "k"),
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )

    assert result.returncode == 1
    assert reason in result.stderr
    assert "Traceback" not in result.stderr


# ---- kubeconfig and server -------------------------------------------------------------------------------------------


def test_an_unusable_kubeconfig_stops_check_and_run_alike(tmp_path: Path, sink: Sink) -> None:
    """What is asked for by name and cannot be had is no reduced form: both name the file and end with 2."""
    broken = tmp_path / "kubeconfig"
    broken.write_text("clusters: [")

    code, report = check(CASES[0], "--kubeconfig", str(broken))
    result = subprocess.run(
        CASES[0].command(
            "run",
            "--server",
            f"http://127.0.0.1:{sink.port}",
            "--monitoring-id",
            "m",
            "--key",
            "k",
            "--kubeconfig",
            str(broken),
        ),
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )

    kubernetes = next(one for one in report["features"] if one["name"] == "kubernetes")
    assert (code, result.returncode) == (2, 2)
    assert str(broken) in kubernetes["reason"]
    assert str(broken) in result.stderr


def test_a_key_of_another_owner_is_named_with_the_privilege(tmp_path: Path, sink: Sink) -> None:
    """Check and run end with 2, and the row of CAP_DAC_READ_SEARCH says why; with it the key is read."""
    key = tmp_path / "key"
    key.write_text("secret")
    key.chmod(0o600)
    tmp_path.chmod(0o755)
    poor = Case("nobody", kept=DAEMON_SET, uid=NOBODY)
    rich = Case("nobody", kept=(*DAEMON_SET, "dac_read_search"), uid=NOBODY)
    options = ("--server", f"http://127.0.0.1:{sink.port}", "--monitoring-id", "m", "--key-file", str(key))

    code, report = check(poor, *options)
    result = subprocess.run(
        poor.command("run", *options), capture_output=True, text=True, check=False, env=environment()
    )
    _, read = check(rich, *options)

    facts = {one["name"]: one for one in report["machine"]}
    reasons = {one["name"]: one["reason"] for one in report["features"]}
    assert (code, result.returncode) == (2, 2)
    assert str(key) in reasons["server"]
    assert str(key) in result.stderr
    assert facts["CAP_DAC_READ_SEARCH"]["lost"] == ["server"]
    assert str(key) not in json.dumps(read)


def test_a_server_that_is_away_is_a_reduced_form() -> None:
    """The agent keeps what it sees, so the check says 1 and what to look at."""
    code, report = check(CASES[0], "--server", "http://127.0.0.1:1", "--monitoring-id", "m", "--key", "k")

    server = next(one for one in report["features"] if one["name"] == "server")
    assert (code, server["state"]) == (1, "off")
    assert "is not reached" in server["reason"]


def test_a_web_server_that_is_not_ours_is_told_apart(hello: str) -> None:
    """Something that answers at the address does not do."""
    code, report = check(CASES[0], "--server", hello.rpartition("/")[0], "--monitoring-id", "m", "--key", "k")

    server = next(one for one in report["features"] if one["name"] == "server")
    assert (code, server["state"]) == (1, "off")
    assert "is not an Osmia server" in server["reason"]
