"""What is fuzzed: for each parser of foreign bytes, one function that raises when a promise is broken, and seeds.

Every target promises: no exception, an output whose size is bounded by its input's, and (for the streams) the same
result in any cuts. The runner adds bounds on time and memory.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import numpy as np
import zstandard

from osmia.agent.assembly import Assembler
from osmia.agent.entities import hosts, netlink
from osmia.agent.entities.client import Access, KubernetesClient
from osmia.agent.entities.informer import Informer, InformerTiming, Source
from osmia.agent.entities.objects import EndpointSlice, MetadataOnly, Node, Object, Pod, Service, Workload
from osmia.agent.events import EVENT, EventFlag, EventKind, ProtocolCode, RoleCode
from osmia.agent.spool import Batch, Spool
from osmia.model.errors import OsmiaError
from osmia.model.request import Protocol
from osmia.model.wire import Table
from osmia.protocols.dns import read_answer
from osmia.protocols.parser import MAX_SNIPPET_BYTES
from osmia.protocols.paths import target_template
from osmia.protocols.postgres import PostgresConnection
from osmia.protocols.registry import PROTOCOLS, STREAMS
from osmia.protocols.sql import normalise
from osmia.server.ingest.decode import decode
from osmia.server.ingest.shape import shape
from tests.agent.events import FakeEntities, batch, event
from tests.captures.recording import load
from tests.captures.understood import captures, exchanges
from tests.fuzz.pieces import check_stream, pack
from tests.fuzz.scenarios import SCENARIO_TARGETS
from tests.fuzz.target import Target, require
from tests.lab.apiserver.world import deployment, pod, service
from tests.protocols.test_dns import CHAIN, answer
from tests.server.rows import body
from tests.server.test_decode import _LIMIT, _NOW_S, _ROWS

__all__ = ["TARGETS", "Target"]

_TEMPLATE_PER_BYTE = 3
_WALL_NS = 1_700_000_000_000_000_000


# ---- parsers of snippets


def _requests(protocol: Protocol) -> Iterable[bytes]:
    return [
        one.request
        for path in captures(protocol)
        for turns in load(path).connections
        for one in exchanges(turns, protocol)
    ]


def _responses(protocol: Protocol) -> Iterable[bytes]:
    return [
        len(one.head).to_bytes(2) + one.head + one.tail
        for path in captures(protocol)
        for turns in load(path).connections
        for one in exchanges(turns, protocol)
    ]


def _request(protocol: Protocol, data: bytes) -> None:
    one = PROTOCOLS[protocol].request(data)
    require(holds=len(one.target) <= 2 * MAX_SNIPPET_BYTES, what=f"target of {len(one.target)}")
    require(holds=len(one.template) <= _TEMPLATE_PER_BYTE * len(data) + 200, what=f"template of {len(one.template)}")
    require(holds=len(one.method) <= 40, what=f"method {one.method!r}")
    require(holds="\x1b" not in one.template + one.method + one.host, what="a control character")


def _response(protocol: Protocol, data: bytes) -> None:
    cut = 2 + int.from_bytes(data[:2]) % 4097
    one = PROTOCOLS[protocol].response(data[2:cut], data[cut:])
    require(holds=len(one.status) <= 32, what=f"status {one.status!r}")
    require(holds=one.rows is None or one.rows >= 0, what=f"{one.rows} rows")


def _postgres_request(data: bytes) -> None:
    _request(Protocol.POSTGRES, data)
    connection = PostgresConnection(capacity=3)
    middle = len(data) // 2
    for part in (data[:middle], data[middle:], data):
        connection.feed_request(part)
    require(holds=connection.statistics().names <= 3, what="more names than there is room for")


def _sql(data: bytes) -> None:
    text, is_truncated = data[1:].decode("utf-8", "replace"), bool(data[:1] > b"\x7f")
    template = normalise.__wrapped__(text, is_truncated=is_truncated).template
    require(holds=len(template) <= _TEMPLATE_PER_BYTE * len(text) + 20, what=f"template of {len(template)}")


def _path(data: bytes) -> None:
    text, is_truncated = data[1:].decode("utf-8", "replace"), bool(data[:1] > b"\x7f")
    template = target_template(text, is_truncated=is_truncated)
    # A character that is not ASCII takes up to twelve once it is percent-encoded.
    require(holds=len(template) <= 12 * len(text) + 20, what=f"template of {len(template)}")


def _statements() -> Iterable[bytes]:
    connection = PostgresConnection()
    return [b"\0" + connection.feed_request(one).target.encode() for one in _requests(Protocol.POSTGRES)]


def _paths() -> Iterable[bytes]:
    return [b"\0" + PROTOCOLS[Protocol.HTTP].request(one).target.encode() for one in _requests(Protocol.HTTP)]


def _dns(data: bytes) -> None:
    found = read_answer(data)
    if found is not None:
        require(holds=len(found.name) <= 255 and 1 <= len(found.addresses) <= 64, what=f"{found!r}")
        require(holds=all(one.ttl_s >= 0 for one in found.addresses), what=f"{found!r}")


def _answers() -> Iterable[bytes]:
    one = answer("www.shop.example.", *CHAIN)
    return [one, len(one).to_bytes(2) + one, answer("a.", ("a.", 9, "AAAA", "fd00::1"), kind="AAAA")]


# ---- streams


def _connections(protocol: Protocol) -> Iterable[bytes]:
    for path in captures(protocol):
        for turns in load(path).connections:
            pieces = [(turn.is_client, turn.head, max(0, turn.length - len(turn.head))) for turn in turns]
            for start in range(0, len(pieces), 6):
                yield pack(pieces[start : start + 6])
            yield pack(sorted(pieces, key=lambda piece: not piece[0]))  # as a pipeline


def _stream(protocol: Protocol, data: bytes) -> None:
    check_stream(STREAMS[protocol], data)


# ---- what the kernel gives the agent


def _events(data: bytes) -> None:
    """Rows of the ring: their plain fields by the fuzzer's bytes, their texts too."""
    usable = len(data) // EVENT.itemsize * EVENT.itemsize
    rows = np.frombuffer(data[:usable], dtype=EVENT).copy() if usable else np.zeros(1, dtype=EVENT)
    if not usable:
        rows.view(np.uint8)[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    # What the kernel promises (events.h): lengths fit their fields, kinds and protocols are of the lists.
    for name, most in (("request_length", 512), ("response_head_length", 192), ("response_tail_length", 64)):
        rows[name] %= most + 1
    rows["kind"] = rows["kind"] % len(EventKind) + 1
    rows["protocol"] = rows["protocol"] % 2 + 1
    rows["role"] = rows["role"] % 2 + 1
    answers: list[object] = []
    assembler = Assembler(FakeEntities(), on_dns=lambda payload, *_: answers.append(read_answer(payload)))
    for step in range(2):
        found = assembler.add(rows, wall_offset_ns=_WALL_NS, now_ns=_WALL_NS + step * 60_000_000_000)
        require(holds=len(list(found)) <= 600 * len(rows), what=f"{len(list(found))} requests of {len(rows)} rows")
    assembler.flush()


def _drains() -> Iterable[bytes]:
    chunk = {"kind": EventKind.CHUNK, "flags": int(EventFlag.SENT), "response_head": b""}
    yield batch(event()).tobytes()
    yield batch(event(protocol=ProtocolCode.POSTGRES, request=b"Q\0\0\0\x0dSELECT 1\0")).tobytes()
    yield batch(event(**chunk), event(kind=EventKind.CLOSED, request=b"")).tobytes()
    yield batch(
        event(**chunk, request=b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"),
        event(kind=EventKind.CHUNK, flags=0, response_head=b"", request=b"HTTP/1.1 204 No\r\n\r\n" * 2),
    ).tobytes()
    yield batch(event(), event(kind=EventKind.REMAINDER, response_bytes=9000, role=RoleCode.SERVER)).tobytes()
    yield batch(event(kind=EventKind.DNS, protocol=ProtocolCode.DNS, request=next(iter(_answers())))).tobytes()


def _netlink(data: bytes) -> None:
    messages = list(netlink.parse(data))
    require(holds=len(messages) <= len(data) // 16, what=f"{len(messages)} messages of {len(data)} bytes")
    found: set[str] = set()
    hosts._take(data, found)
    require(holds=len(found) <= len(data) // 16, what=f"{len(found)} addresses of {len(data)} bytes")


def _datagrams() -> Iterable[bytes]:
    return [
        path.read_bytes()[:1024] for path in sorted((Path(__file__).parent.parent / "captures/conntrack").glob("*.bin"))
    ]


# ---- what comes from elsewhere


def _wire(data: bytes) -> None:
    """A batch: as it comes, and compressed first, so that mutations reach what is inside."""
    table = list(Table)[data[0] % len(Table)] if data else Table.WINDOWS
    compressor = zstandard.ZstdCompressor(level=1)
    for payload in (data[1:], compressor.compress(data[1:])):
        with contextlib.suppress(OsmiaError):
            rows = decode(table, payload, max_bytes=_LIMIT, now_s=_NOW_S)
            shaped = shape(table, rows, cluster="c", agent="a", token="t")
            require(holds=shaped.num_rows == rows.num_rows, what="rows came or went")


def _batches() -> Iterable[bytes]:
    for number, table in enumerate(Table):
        packed = body(table, [_ROWS[table]])
        yield bytes([number]) + packed
        yield bytes([number]) + zstandard.ZstdDecompressor().decompressobj().decompress(packed)


@functools.cache
def _folder() -> Path:
    keep = tempfile.TemporaryDirectory(prefix="osmia-fuzz-")
    _KEPT.append(keep)
    return Path(keep.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []
_SPOOL_BYTES = 100_000


def _spool(data: bytes) -> None:
    """A spool directory with one foreign file: its name up to the first newline, then its content."""
    name, _, content = data.partition(b"\n")
    text = name.decode("utf-8", "replace").replace("/", "_").replace("\0", "_").strip(".")[:80]
    folder = _folder()
    with contextlib.suppress(OSError):
        (folder / (text or "x")).write_bytes(content)
    with Spool.open(folder, max_bytes=_SPOOL_BYTES) as spool:
        spool.put(Batch(Table.WINDOWS, 7, 1, 10, b"payload"))
        found = spool.oldest(10)
        for one in found:
            require(holds=len(one.payload) <= max(len(content), 7), what=f"{one!r}")
            spool.drop(one)
        require(holds=1 <= len(found) <= 2, what=f"{len(found)} batches of two files")
    for path in folder.iterdir():
        path.unlink()


def _spooled() -> Iterable[bytes]:
    with tempfile.TemporaryDirectory() as folder, Spool.open(Path(folder), max_bytes=_SPOOL_BYTES) as spool:
        for number, table in enumerate(Table):
            spool.put(Batch(table, number, 1, 10, b"payload" * number))
        return [path.name.encode() + b"\n" + path.read_bytes() for path in Path(folder).glob("*.batch")]


_KINDS: tuple[Source[Object], ...] = (
    Source("/api/v1/pods", "Pod", Pod),
    Source("/api/v1/services", "Service", Service),
    Source("/api/v1/nodes", "Node", Node),
    Source("/apis/discovery.k8s.io/v1/endpointslices", "EndpointSlice", EndpointSlice),
    Source("/apis/apps/v1/deployments", "Deployment", Workload),
    Source("/apis/apps/v1/replicasets", "ReplicaSet", MetadataOnly, is_metadata_only=True),
)
_OBJECTS_MAX = 3


def _watch(data: bytes) -> None:
    """Lines of a watch, of a kind that the first byte names."""
    source = _KINDS[data[0] % len(_KINDS)] if data else _KINDS[0]
    model: dict[str, object] = {}

    def changed(old: Object | None, new: Object | None) -> None:
        if old is not None:
            del model[old.metadata.uid + "/".join(old.key)]
        if new is not None:
            model[new.metadata.uid + "/".join(new.key)] = new

    client = KubernetesClient(Access(url="http://127.0.0.1:1"))
    informer = Informer(client, source, changed, InformerTiming(objects_max=_OBJECTS_MAX))
    for line in data[1:].split(b"\n"):
        informer._take(line)
    require(holds=len(informer.objects) <= _OBJECTS_MAX, what="more objects than are held")
    require(holds=len(model) == len(informer.objects), what="told other objects than are held")


def _lines() -> Iterable[bytes]:
    status = {"kind": "Status", "code": 410, "message": "gone"}
    bookmark = {"kind": "Pod", "metadata": {"resourceVersion": "9"}}
    for number, one in ((0, pod()), (1, service()), (4, deployment())):
        events = [("ADDED", one), ("MODIFIED", one), ("DELETED", one), ("BOOKMARK", bookmark), ("ERROR", status)]
        for count in (1, 3, 5):
            lines = [msgspec.json.encode({"type": type_, "object": what}) for type_, what in events[:count]]
            yield bytes([number]) + b"\n".join(lines)


_SQL_MODULES = ("osmia.protocols.sql", "osmia.protocols.words")
_PATH_MODULES = ("osmia.protocols.paths", "osmia.protocols.words")
TARGETS: Mapping[str, Target] = {
    "http1_request": Target(
        functools.partial(_request, Protocol.HTTP),
        functools.partial(_requests, Protocol.HTTP),
        ("osmia.protocols.http1", *_PATH_MODULES),
    ),
    "http1_response": Target(
        functools.partial(_response, Protocol.HTTP),
        functools.partial(_responses, Protocol.HTTP),
        ("osmia.protocols.http1",),
    ),
    "http1_stream": Target(
        functools.partial(_stream, Protocol.HTTP),
        functools.partial(_connections, Protocol.HTTP),
        ("osmia.protocols.http1_stream", "osmia.protocols.http1_framing", "osmia.protocols.streams"),
        max_bytes=4096,
    ),
    "postgres_request": Target(
        _postgres_request, functools.partial(_requests, Protocol.POSTGRES), ("osmia.protocols.postgres", *_SQL_MODULES)
    ),
    "postgres_response": Target(
        functools.partial(_response, Protocol.POSTGRES),
        functools.partial(_responses, Protocol.POSTGRES),
        ("osmia.protocols.postgres_response",),
    ),
    "postgres_stream": Target(
        functools.partial(_stream, Protocol.POSTGRES),
        functools.partial(_connections, Protocol.POSTGRES),
        ("osmia.protocols.postgres_stream", "osmia.protocols.postgres_framing", "osmia.protocols.streams"),
        max_bytes=4096,
    ),
    "sql": Target(_sql, _statements, _SQL_MODULES),
    "paths": Target(_path, _paths, _PATH_MODULES),
    "dns": Target(_dns, _answers, ("osmia.protocols.dns",), max_bytes=600),
    "events": Target(
        _events,
        _drains,
        ("osmia.agent.assembly", "osmia.agent.following", "osmia.agent.ends", "osmia.agent.reading"),
        max_bytes=3 * EVENT.itemsize,
    ),
    "netlink": Target(_netlink, _datagrams, ("osmia.agent.entities.netlink", "osmia.agent.entities.hosts")),
    "wire": Target(_wire, _batches, ("osmia.server.ingest.decode", "osmia.server.ingest.shape"), max_bytes=8192),
    "spool": Target(_spool, _spooled, ("osmia.agent.spool",)),
    "watch": Target(_watch, _lines, ("osmia.agent.entities.informer", "osmia.agent.entities.objects"), max_bytes=4096),
    **SCENARIO_TARGETS,
}
"""Every parser of bytes that others write, and of what users write."""
