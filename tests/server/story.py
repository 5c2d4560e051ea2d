"""Made-up but plausible traffic of the demo story, as wire batches: for running the pages without an agent.

`loadgen` calls `testserver` (two pods), which calls `currencies` (two pods) and `postgres`; both ends are reported.
`reports` idles, one external client calls in, and `scale` adds namespaces of ten services each in call chains. Beside
the calls there are connections: under every call, to a cache whose protocol nobody understands, and to a service that
is down.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from osmia.model.histogram import bucket_of
from tests.server.rows import Row, connection_row, object_row

__all__ = ["Call", "Link", "Story", "Workload", "demo_story"]

_NS = 10**9


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload of the story and the addresses of its pods."""

    kind: str
    namespace: str
    name: str
    pods: tuple[str, ...] = ()
    node: str = "node-1"

    def end(self, prefix: str, index: int, service: str = "") -> Row:
        """The eight wire columns of one end, as seen at pod `index`."""
        ip = self.pods[index % len(self.pods)] if self.pods else self.name
        is_pod = bool(self.pods)
        return {
            f"{prefix}_kind": self.kind,
            f"{prefix}_namespace": self.namespace,
            f"{prefix}_name": self.name,
            f"{prefix}_pod": self.pod_name(index) if is_pod else "",
            f"{prefix}_container": self.name if is_pod else "",
            f"{prefix}_node": self.node if is_pod else "",
            f"{prefix}_service": service,
            f"{prefix}_ip": ip,
        }

    def pod_name(self, index: int) -> str:
        """Name of one of its pods."""
        return f"{self.name}-7d9c5b-{index % max(1, len(self.pods)):02d}"


@dataclass(frozen=True, slots=True)
class Call:
    """One endpoint that one workload calls on another at a steady rate."""

    source: Workload
    target: Workload
    protocol: str
    port: int
    service: str
    method: str
    template: str
    rate: float
    median_ns: int
    error_share: float = 0.0
    error_status: str = "500"
    status: str = "200"
    is_tls: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """Connections that one workload opens to another at a steady rate, some of which fail."""

    source: Workload
    target: Workload
    port: int
    service: str
    rate: float
    connect_ns: int = 300_000
    open_on_average: float = 4.0
    failed: tuple[tuple[str, float], ...] = ()
    repeated_share: float = 0.0002


@dataclass
class Story:
    """All workloads and calls, and the dice."""

    workloads: list[Workload]
    calls: list[Call]
    links: list[Link] = field(default_factory=list)
    dice: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - made-up traffic

    def objects(self, seen_ns: int) -> Sequence[Row]:
        """Rows of the `objects` table: nodes, workloads, pods."""
        rows = [
            object_row(kind="Node", namespace="", name=name, seen_ns=seen_ns, ips=(f"192.168.1.{i}",))
            for i, name in enumerate(self._nodes(), 1)
        ]
        for one in self.workloads:
            if one.kind not in {"Deployment", "StatefulSet", "DaemonSet"}:
                continue
            rows.append(
                object_row(
                    kind=one.kind,
                    namespace=one.namespace,
                    name=one.name,
                    seen_ns=seen_ns,
                    replicas_desired=len(one.pods),
                    replicas_ready=len(one.pods),
                )
            )
            for index, ip in enumerate(one.pods):
                rows.append(
                    object_row(
                        kind="Pod",
                        namespace=one.namespace,
                        name=one.pod_name(index),
                        seen_ns=seen_ns,
                        node=one.node,
                        workload_kind=one.kind,
                        workload_name=one.name,
                        phase="Running",
                        ips=(ip,),
                    )
                )
        return rows

    def traffic(self, from_ns: int, to_ns: int, *, rows_per_call: int = 20) -> tuple[list[Row], list[Row]]:
        """Rows of `windows` and `requests` for all that happened in between, both ends of each call."""
        windows: list[Row] = []
        requests: list[Row] = []
        for call in self.calls:
            made = sorted(self._requests(call, from_ns, to_ns), key=lambda one: one[0])
            for role in ("client", "server"):
                if not (call.source if role == "client" else call.target).pods:
                    continue
                windows.extend(_windows(call, role, made))
                weight = max(1, math.ceil(len(made) / rows_per_call))
                kept = [(i, one) for i, one in enumerate(made) if i % weight == 0]
                requests.extend(_request(call, role, i, one, weight) for i, one in kept)
        return windows, requests

    def connections(self, from_ns: int, to_ns: int) -> list[Row]:
        """Rows of `connections` for the same time, as the client saw them."""
        under = {(call.source.name, call.target.name, call.port): call for call in self.calls}
        links = [*self.links, *(Link(c.source, c.target, c.port, c.service, c.rate / 20) for c in under.values())]
        return [_connection(one, from_ns, to_ns, self.dice) for one in links]

    def _nodes(self) -> list[str]:
        return sorted({one.node for one in self.workloads if one.pods})

    def _requests(self, call: Call, from_ns: int, to_ns: int) -> Iterator[tuple[int, int, bool]]:
        expected = call.rate * (to_ns - from_ns) / _NS
        count = int(expected) + (self.dice.random() < expected % 1)
        for _ in range(count):
            latency = int(call.median_ns * math.exp(self.dice.gauss(0, 0.4)))
            yield self.dice.randrange(from_ns, to_ns), latency, self.dice.random() < call.error_share


def demo_story(scale: int = 0) -> Story:
    """The demo's world, plus `scale` namespaces of ten services each."""
    loadgen = Workload("Deployment", "testserver", "loadgen", ("10.244.0.5",))
    testserver = Workload("Deployment", "testserver", "testserver", ("10.244.0.6", "10.244.1.6"))
    currencies = Workload(
        "Deployment", "testserver", "sample-service-currencies", ("10.244.0.7", "10.244.1.7"), "node-2"
    )
    postgres = Workload("StatefulSet", "testserver", "postgres", ("10.244.1.8",), "node-2")
    reports = Workload("Deployment", "testserver", "reports", ("10.244.1.9",), "node-2")
    outside = Workload("External", "", "203.0.113.7")
    front, back = "testserver-service", "sample-service-currencies"
    calls = [
        Call(loadgen, testserver, "http", 8200, front, "GET", "/currencies/", 20, 9_000_000),
        Call(loadgen, testserver, "http", 8200, front, "GET", "/exchange_rate/{}/{}/", 8, 14_000_000),
        Call(loadgen, testserver, "http", 8200, front, "GET", "/status/{}/", 4, 3_000_000, 0.25, "503"),
        Call(loadgen, testserver, "http", 8200, front, "GET", "/slow/", 1, 420_000_000),
        Call(outside, testserver, "http", 8200, front, "GET", "/currencies/", 2, 9_500_000),
        Call(testserver, currencies, "http", 8005, back, "GET", "/currencies", 22, 2_500_000),
        Call(testserver, currencies, "http", 8005, back, "GET", "/rates/{}/{}", 8, 3_100_000, 0.01),
        _sql(testserver, postgres, "SELECT", "SELECT rate FROM rates WHERE base = ? AND quote = ?",
             rate=8, median_ns=1_200_000),
        _sql(testserver, postgres, "INSERT", "INSERT INTO audit (path, at) VALUES (?, ?)",
             rate=12, median_ns=900_000),
        _sql(testserver, postgres, "SELECT", "SELECT pg_sleep(?), count(*) FROM rates r1, rates r2",
             rate=1, median_ns=400_000_000),
        _sql(testserver, postgres, "SELECT", "SELECT * FROM missing WHERE id = ?",
             rate=0.3, median_ns=700_000, error_share=1.0),
        Call(
            testserver, Workload("External", "", "198.51.100.20"), "http", 443, "", "POST", "/v1/rates", 0.5,
            85_000_000, is_tls=True,
        ),
    ]  # fmt: skip
    cache = Workload("StatefulSet", "testserver", "cache", ("10.244.1.11",), "node-2")
    legacy = Workload("Deployment", "testserver", "legacy-report", ("10.244.1.12",), "node-2")
    links = [
        Link(testserver, cache, 6379, "cache", 1.5, open_on_average=12),
        Link(reports, cache, 6379, "cache", 0.1, repeated_share=0.03),
        Link(testserver, legacy, 9000, "legacy-report", 0, failed=(("refused", 0.6), ("timed_out", 0.1))),
        Link(reports, Workload("External", "", "198.51.100.77"), 443, "", 0.2, 38_000_000, 1, (("unreachable", 0.02),)),
    ]
    story = Story([loadgen, testserver, currencies, postgres, reports, outside, cache, legacy], calls, links)
    for number in range(scale):
        _add_namespace(story, number)
    return story


def _sql(  # noqa: PLR0913 - reads as a row of the table above
    source: Workload, target: Workload, verb: str, text: str, *, rate: float, median_ns: int, error_share: float = 0
) -> Call:
    return Call(source, target, "postgres", 5432, "postgres", verb, text, rate, median_ns, error_share, "42P01", "ok")


def _add_namespace(story: Story, number: int) -> None:
    namespace = f"team-{number:02d}"
    services = [
        Workload(
            "Deployment", namespace, f"{namespace}-svc-{i}", (f"10.{100 + number // 200}.{number % 200}.{i + 1}",),
            f"node-{number % 5 + 1}",
        )
        for i in range(10)
    ]  # fmt: skip
    story.workloads.extend(services)
    for i, one in enumerate(services[1:], 1):
        caller = services[story.dice.randrange(i)]
        median = int(1e6 * math.exp(story.dice.gauss(1.5, 1.2)))
        rate = 0.5 + 3 * story.dice.random()
        errors = 0.05 if story.dice.random() < 0.1 else 0.0
        story.calls.append(Call(caller, one, "http", 8080, one.name, "GET", "/api/items/{}", rate, median, errors))
    if number:
        previous = story.workloads[story.workloads.index(services[0]) - 10]
        story.calls.append(
            Call(previous, services[0], "http", 8080, services[0].name, "GET", "/api/gateway", 2, 20_000_000)
        )


def _key(call: Call, role: str, index: int, *, is_error: bool) -> Row:
    return {
        "role": role,
        "protocol": call.protocol,
        "is_tls": call.is_tls,
        **call.source.end("source", index),
        **call.target.end("destination", index, call.service),
        "server_port": call.port,
        "method": call.method,
        "template": call.template,
        "status": call.error_status if is_error else call.status,
    }


def _connection(link: Link, from_ns: int, to_ns: int, dice: random.Random) -> Row:
    seconds = (to_ns - from_ns) / _NS
    count = _about(link.rate * seconds, dice)
    connects = [int(link.connect_ns * math.exp(dice.gauss(0, 0.3))) for _ in range(count)]
    failures: Row = {cause: _about(rate * seconds, dice) for cause, rate in link.failed}
    start_s = from_ns // _NS // 10 * 10
    segments = int(link.open_on_average * seconds * 40)
    return connection_row(
        start_s=start_s,
        connects_ns=connects,
        **link.source.end("source", 0),
        **link.target.end("destination", 0, link.service),
        server_port=link.port,
        active_ms=int(link.open_on_average * seconds * 1_000) if link.rate else 0,
        client_bytes=segments * 120 if link.rate else 0,
        server_bytes=segments * 900 if link.rate else 0,
        segments=segments if link.rate else 0,
        retransmits=int(segments * link.repeated_share) + sum(failures.values()),
        first_ns=from_ns,
        last_ns=to_ns - 1,
        **failures,
    )


def _about(expected: float, dice: random.Random) -> int:
    return int(expected) + (dice.random() < expected % 1)


def _windows(call: Call, role: str, made: Sequence[tuple[int, int, bool]]) -> Iterator[Row]:
    groups: dict[tuple[int, int, bool], list[tuple[int, int]]] = {}
    for index, (time_ns, latency_ns, is_error) in enumerate(made):
        start_s = time_ns // _NS // 10 * 10
        groups.setdefault((start_s, index % 2, is_error), []).append((time_ns, latency_ns))
    for (start_s, index, is_error), found in groups.items():
        histogram: dict[int, int] = {}
        for _, latency_ns in found:
            bucket = bucket_of(latency_ns)
            histogram[bucket] = histogram.get(bucket, 0) + 1
        ordered = sorted(histogram)
        yield {
            "start_s": start_s,
            **_key(call, role, index, is_error=is_error),
            "count": len(found),
            "errors": len(found) if is_error else 0,
            "latency_sum_ns": sum(latency for _, latency in found),
            "latency_max_ns": max(latency for _, latency in found),
            "request_bytes": 180 * len(found),
            "response_bytes": 2_300 * len(found),
            "first_ns": min(time_ns for time_ns, _ in found),
            "last_ns": max(time_ns for time_ns, _ in found),
            "buckets": ordered,
            "bucket_counts": [histogram[bucket] for bucket in ordered],
        }


def _request(call: Call, role: str, index: int, one: tuple[int, int, bool], weight: int) -> Row:
    time_ns, latency_ns, is_error = one
    return {
        "time_ns": time_ns,
        **_key(call, role, index % 2, is_error=is_error),
        "client_port": 40_000 + index % 20_000,
        "pid": 1_000 + index % 50,
        "command": call.source.name[:15] if role == "client" else call.target.name[:15],
        "target": "",
        "is_error": is_error,
        "latency_ns": latency_ns,
        "transfer_ns": latency_ns // 2,
        "request_bytes": 180,
        "response_bytes": 2_300,
        "weight": weight,
    }
