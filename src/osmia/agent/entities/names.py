"""Names of addresses outside, from the DNS answers that processes here were given.

An address may have many names (a front of a content network) and a name many addresses; what a peer should be called
is what its own client asked for. So an answer is kept for the control group that read it, and for everybody.

A peer's name must not flap, or one edge would be two:

- the first name of an address stays; another one takes its place only when the first was in no answer for its time to
  live, and for ten minutes (who asks for both of two names in turn would see them change places otherwise);
- a name is kept beyond its time to live for as long as it is asked for (connections outlive answers), and for an hour;
- who has not asked itself (it did before the agent started, or another process asks for it) gets the name that others
  were given, if they were all given the same one.

Names inside the cluster are left out: the owner of such an address is known from the API server.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from dataclasses import dataclass

from osmia.protocols.dns import read_answer
from osmia.protocols.paths import host_template

__all__ = ["DnsNames"]

_MAX_NAMES = 32_768
_KEPT_NS = 3_600_000_000_000
_LEAST_TTL_S = 600
_EVERYBODY = 0
_PLAIN = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?")
_INSIDE = re.compile(r"\.(svc|pod)(\..+)?$|\.cluster\.local$|\.arpa$|^localhost(\.|$)")


@dataclass(slots=True)
class _Name:
    """What an address is called; `name` is empty where answers differ. Times are Unix ns."""

    name: str
    until_ns: int
    used_ns: int


class DnsNames:
    """Address to name, per control group and for everybody; at most `limit` entries, the longest unused go first."""

    def __init__(self, *, limit: int = _MAX_NAMES) -> None:
        self._limit = limit
        self._names: OrderedDict[tuple[int, str], _Name] = OrderedDict()
        self.counters: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._names)

    def learn(self, payload: bytes, cgroup_id: int, *, now_ns: int) -> bool:
        """Take in a DNS answer that a process of this control group read; whether it gave any address a new name."""
        answer = read_answer(payload)
        if answer is None:
            self.counters["unread"] += 1
            return False
        self.counters["answers"] += 1
        if not _PLAIN.fullmatch(answer.name) or _INSIDE.search(answer.name):
            return False
        name = host_template(answer.name)  # some labels are tokens: <32 hex digits>.tunnel.example
        is_news = False
        for address in answer.addresses:
            until_ns = now_ns + max(address.ttl_s, _LEAST_TTL_S) * 1_000_000_000
            is_news |= self._keep((cgroup_id, address.ip), name, until_ns, now_ns)
            is_news |= self._keep_shared(address.ip, name, until_ns, now_ns)
        while len(self._names) > self._limit:
            self._names.popitem(last=False)
            self.counters["evicted"] += 1
        return is_news

    def name_of(self, ip: str, cgroup_id: int, *, now_ns: int) -> str:
        """What an address is called for a control group; empty if nobody asked."""
        for key in ((cgroup_id, ip), (_EVERYBODY, ip)):
            found = self._names.get(key)
            if found is not None and now_ns < max(found.until_ns, found.used_ns + _KEPT_NS):
                found.used_ns = now_ns
                self._names.move_to_end(key)
                return found.name
        return ""

    def _keep(self, key: tuple[int, str], name: str, until_ns: int, now_ns: int) -> bool:
        held = self._names.get(key)
        is_news = held is None or (held.name != name and held.until_ns <= now_ns)
        if held is None or is_news:
            self._names[key] = _Name(name, until_ns, now_ns)
        elif held.name == name:
            held.until_ns = max(held.until_ns, until_ns)
            held.used_ns = now_ns
        self._names.move_to_end(key)
        return is_news

    def _keep_shared(self, ip: str, name: str, until_ns: int, now_ns: int) -> bool:
        """For everybody: the name, or none from the moment on that two are in use at once."""
        key = (_EVERYBODY, ip)
        held = self._names.get(key)
        if held is not None and held.name != name and held.until_ns > now_ns:
            is_news = held.name != ""
            self._names[key] = _Name("", max(held.until_ns, until_ns), now_ns)
            self._names.move_to_end(key)
            return is_news
        return self._keep(key, name, until_ns, now_ns)
