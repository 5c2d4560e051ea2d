"""What runs on this machine and why the rest does not: found out once, by doing it, and told to everyone.

`osmia agent check` and `osmia agent run` open the same things through the same `Features`, so the agent runs in
exactly the form that the check announced. A feature that cannot be had costs what it gives and nothing else; only a
core feature ends the agent.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from osmia.agent.entities.index import Feature as EntityFeature
from osmia.agent.kernel.attachment import Attachment
from osmia.agent.kernel.capture import Capture
from osmia.agent.kernel.run_time import statistics_on
from osmia.agent.kernel.tcp import TcpCapture, TcpOptions
from osmia.model.errors import OsmiaError, UnavailableError
from osmia.telemetry import get_logger

__all__ = [
    "NAMES",
    "Feature",
    "Features",
    "State",
    "Verdict",
    "judge_capture",
    "measure_programs",
    "open_tcp",
    "sees_host_processes",
    "tracks_connections",
    "try_process",
]

_log = get_logger("agent.features")
_HOST_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO: fixed since Linux 3.8
T = TypeVar("T")


class State(enum.StrEnum):
    """How a feature stands. UNUSED: nothing here asks for it, so nothing is missing."""

    ON = "on"
    REDUCED = "reduced"
    OFF = "off"
    UNUSED = "unused"


class Verdict(enum.IntEnum):
    """What the agent can do here; the exit code of `osmia agent check`."""

    COMPLETE = 0
    REDUCED = 1
    UNABLE = 2


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing that the agent does: whether it works here, why not, and what to do about it."""

    name: str
    state: State
    reason: str = ""
    remedy: str = ""
    gives: str = ""
    is_core: bool = False


NAMES = {
    "capture": "HTTP and PostgreSQL requests with status, latency and bytes",
    "tcp": "connections: connect latency, failures, retransmits, round-trip time",
    "processes": "names of programs that run outside containers",
    "cgroup ids": "the container of a process that has ended already",
    "conntrack": "the pod behind a Service address",
    "kubernetes": "names of pods, workloads and Services",
    "bpf run time": "what capture costs in the kernel, for the overhead governor",
    "server": "reports to the server",
}
"""Every feature, and what it gives."""

_CORE = {"capture"}
_MISSING = {State.OFF, State.REDUCED}


class Features:
    """The features of one run, in the order of `NAMES`; ask it to open whatever may be missing."""

    def __init__(self) -> None:
        self._found: dict[str, Feature] = {}

    def attempt(self, name: str, action: Callable[[], T]) -> T | None:
        """What `action` gives, or None where this machine does not: then the feature is off, for the error's reason.

        An action that works only in part says so itself, by `put`.
        """
        before = self._found.pop(name, None)
        try:
            result = action()
        except OsmiaError as exc:
            self._found |= {name: before} if before else {}
            self.put(name, State.OFF, exc.message, exc.remedy)
            return None
        if name not in self._found:
            self.put(name, State.ON)
        return result

    def put(self, name: str, state: State, reason: str = "", remedy: str = "", *, is_core: bool = False) -> None:
        """Set how a feature stands; logged when that gets worse."""
        before = self._found.get(name)
        self._found[name] = Feature(name, state, reason, remedy, NAMES.get(name, ""), is_core or name in _CORE)
        if state in _MISSING and (before is None or before.state not in _MISSING):
            _log.warning("feature missing", feature=name, state=str(state), reason=reason, remedy=remedy)

    def put_entities(self, features: Iterable[EntityFeature], *, has_kubernetes: bool) -> None:
        """Take over what naming the ends found out (it may change while it runs)."""
        for one in features:
            state = State.ON if one.is_working else State.OFF
            remedy = _REMEDIES.get(one.name, "")
            if one.name == "kubernetes" and not has_kubernetes:
                self.put(one.name, State.UNUSED, one.reason)
            elif one.name == "conntrack" and not one.is_working and not tracks_connections():
                self.put(one.name, State.UNUSED, "the kernel tracks no connections, so no address is rewritten")
            else:
                self.put(one.name, state, one.reason, "" if one.is_working else remedy)

    def all(self) -> list[Feature]:
        """Every feature that was tried, in the order of `NAMES`."""
        order = {name: place for place, name in enumerate(NAMES)}
        return sorted(self._found.values(), key=lambda one: order.get(one.name, len(order)))

    def rows(self) -> list[tuple[str, str, str]]:
        """(feature, state, reason), for the ledger."""
        return [(one.name, str(one.state), one.reason) for one in self.all()]

    def is_on(self, name: str) -> bool:
        """Whether a feature works, fully or in part."""
        found = self._found.get(name)
        return found is not None and found.state in {State.ON, State.REDUCED}

    @property
    def verdict(self) -> Verdict:
        """What the agent can do with these."""
        missing = [one for one in self._found.values() if one.state in _MISSING]
        if any(one.is_core and one.state is State.OFF for one in missing):
            return Verdict.UNABLE
        return Verdict.REDUCED if missing else Verdict.COMPLETE


_REMEDIES = {
    "kubernetes": "see what `osmia agent check` says of the API server and of each right",
    "conntrack": "grant CAP_NET_ADMIN and run in the node's network namespace (hostNetwork), or set --node-netns",
    "cgroup ids": "mount cgroup v2 (the unified hierarchy) where the agent runs",
}


def open_tcp(features: Features, options: TcpOptions) -> TcpCapture:
    """The TCP programs; the feature is reduced where they cannot do all.

    Raises:
        CaptureUnavailableError: the kernel refuses them; the text carries its reason.
    """
    capture = TcpCapture(options)
    if not capture.has_sweep:
        features.put("tcp", State.REDUCED, "the kernel cannot walk its sockets: old, silent connections are not seen")
    return capture


def judge_capture(features: Features, capture: Capture | Attachment) -> None:
    """Say what a capture that has been opened can do."""
    if capture.sweep():
        features.put("capture", State.ON)
        return
    features.put(
        "capture", State.REDUCED, "before Linux 5.13 the size of a long response is told when it ends, not on its way"
    )


def try_process(features: Features) -> None:
    """What depends on this process's privileges and place alone."""
    features.attempt("processes", sees_host_processes)
    features.attempt("bpf run time", measure_programs)


def tracks_connections(proc: Path = Path("/proc")) -> bool:
    """Whether connection tracking is in the running kernel (built in or loaded)."""
    return (proc / "sys/net/netfilter/nf_conntrack_max").exists() or (proc / "sys/net/nf_conntrack_max").exists()


def sees_host_processes(proc: Path = Path("/proc")) -> None:
    """Return if /proc shows every process of this machine, under the number that the kernel gives it.

    Raises:
        UnavailableError: it does not, and why.
    """
    lost = "programs outside containers are named by the kernel's 15 letters"
    if (proc / "self/ns/pid").stat().st_ino != _HOST_PID_NAMESPACE:
        raise UnavailableError(
            f"/proc shows the processes of our own pid namespace only: {lost}", remedy="run with hostPID: true"
        )
    try:
        (proc / "1/stat").read_bytes()
    except OSError as exc:
        reason = os.strerror(exc.errno or 0)
        remedy = "grant CAP_SYS_PTRACE, or mount /proc without hidepid"
        raise UnavailableError(f"/proc hides the processes of others ({reason}): {lost}", remedy=remedy) from exc


def measure_programs() -> None:
    """Return if the kernel measures the run time of our programs when asked.

    Raises:
        UnavailableError: it does not, and why.
    """
    with statistics_on():
        pass
