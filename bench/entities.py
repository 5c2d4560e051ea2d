"""What naming the ends costs: per event where answers are cached, per connection where they are looked up."""

from __future__ import annotations

import os
import time
from pathlib import Path

from bench.result import Bench, Result, at_most, median_ns
from osmia.agent.entities import Entities, EntityOptions
from osmia.agent.entities.cgroups import parse
from osmia.agent.entities.netlink import parse as parse_netlink
from osmia.agent.entities.processes import read_process
from osmia.model.request import Address

__all__ = ["BENCHES"]

_DUMP = Path(__file__).parents[1] / "tests" / "captures" / "conntrack" / "dump-ipv4.bin"
_UID = "5c8e3e2f_9d1c_4b0a_8f6e_1234567890ab"
_PATH = (
    f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_UID}.slice/cri-containerd-{'3f1d' * 16}.scope"
)


def _entities() -> Entities:
    return Entities(EntityOptions(node_netns=""))


def _local_cached() -> Result:
    entities, now_ns, pid = _entities(), time.time_ns(), os.getpid()
    entities.local(0, pid, "python", at_ns=now_ns)
    value = median_ns(lambda: entities.local(0, pid, "python", at_ns=now_ns)) / 1000
    return at_most(value, 2, "us", "every event: a process seen before")


def _remote() -> Result:
    entities, now_ns = _entities(), time.time_ns()
    address = Address("203.0.113.7", 443)
    value = median_ns(lambda: entities.remote(address, at_ns=now_ns)) / 1000
    return at_most(value, 10, "us", "every connection: an address nobody has")


def _process() -> Result:
    pid = os.getpid()
    return at_most(median_ns(lambda: read_process(pid, "python")) / 1000, 200, "us", "a process seen first")


def _cgroup() -> Result:
    return at_most(median_ns(lambda: parse(_PATH)) / 1000, 15, "us", "a cgroup path seen first")


def _conntrack() -> Result:
    data = _DUMP.read_bytes()
    count = sum(message.flow is not None for message in parse_netlink(data))
    value = median_ns(lambda: list(parse_netlink(data))) / 1000 / count
    return at_most(value, 10, "us/entry", "recorded dump; pyroute2 took 183")


BENCHES: dict[str, Bench] = {
    "local_cached": _local_cached,
    "remote": _remote,
    "process": _process,
    "cgroup_path": _cgroup,
    "conntrack_entry": _conntrack,
}
