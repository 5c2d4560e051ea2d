"""The story on tape: what an agent sent, kept in a file, and sent again to a server as if it happened now.

A recording is a sequence of msgpack values: offset in seconds from its start, table, and the batch's payload as it
travelled. Replayed, every time in it moves by the same multiple of a window's length, so that windows stay aligned and
the page shows the story at most one window late. It loops.
"""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import anyio
import msgspec
import zstandard
from aiohttp import web

from osmia.demo.api import Api
from osmia.demo.world import Say, cluster_named, scratch, start_server
from osmia.model import wire
from osmia.model.errors import InputError
from osmia.model.window import WINDOW_S

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Tape", "read_tapes", "recorder", "replay", "shifted"]

_TIMES = {
    wire.Table.WINDOWS: {"start_s": 1, "first_ns": 10**9, "last_ns": 10**9},
    wire.Table.REQUESTS: {"time_ns": 10**9},
    wire.Table.OBJECTS: {"seen_ns": 10**9},
    wire.Table.LEDGER: {"time_ns": 10**9, "started_ns": 10**9},
    wire.Table.CONNECTIONS: {"start_s": 1, "first_ns": 10**9, "last_ns": 10**9},
    wire.Table.LISTENERS: {"start_s": 1},
}
"""Columns that hold times, with their units per second."""

_PAYLOAD_MAX = 64 * 1024 * 1024


class Tape(msgspec.Struct, array_like=True):
    """One batch of a recording."""

    offset_s: float
    recorded_s: float
    table: wire.Table
    payload: bytes


@asynccontextmanager
async def recorder(target: str, path: Path, *, host: str) -> AsyncIterator[str]:
    """A proxy in front of a server, on `host`, that also writes every batch to a file; gives its address."""
    began = time.time()
    encoder = msgspec.msgpack.Encoder()
    async with aiohttp.ClientSession() as session:
        with path.open("wb") as file:

            async def pass_on(request: web.Request) -> web.Response:
                payload = await request.read()
                tape = Tape(time.time() - began, time.time(), wire.Table(request.match_info["table"]), _small(payload))
                record = encoder.encode(tape)
                file.write(len(record).to_bytes(4, "big") + record)
                headers = {name: value for name, value in request.headers.items() if name.lower() in _PASSED}
                # The payload is passed on as it came: compressed already, whatever aiohttp thinks of the header.
                async with session.post(
                    f"{target}{request.path}", data=payload, headers=headers, skip_auto_headers=("Content-Encoding",)
                ) as answer:
                    return web.Response(status=answer.status, body=await answer.read())

            application = web.Application(client_max_size=_PAYLOAD_MAX)
            application.router.add_post("/api/v1/ingest/{table}", pass_on)
            runner = web.AppRunner(application, auto_decompress=False)
            await runner.setup()
            site = web.TCPSite(runner, host, 0)
            await site.start()
            yield f"http://{host}:{runner.addresses[0][1]}"
            await runner.cleanup()


_PASSED = frozenset(
    {
        "authorization",
        "content-type",
        "content-encoding",
        *("osmia-cluster", "osmia-agent", "osmia-sequence"),
    }
)


def _small(payload: bytes) -> bytes:
    """The same content in fewer bytes: recordings are packaged, batches only travel."""
    raw = zstandard.ZstdDecompressor().decompress(payload, max_output_size=_PAYLOAD_MAX)
    return zstandard.ZstdCompressor(level=19).compress(raw)


async def replay(  # noqa: PLR0913 - the command's own options
    *, listen: str, data: Path | None, name: str, reason: str, duration_s: float | None, say: Say
) -> None:
    """Start a server and play the packaged recording to it, over and over, until cancelled or the time is up."""
    notice = f"A recording, not this machine: {reason}"
    with scratch() as directory:
        async with start_server([listen], data or directory / "store", directory, notice=notice) as server:
            cluster_id, key = await cluster_named(server.api, name)
            say(f"the recorded story is playing:  {server.api.url}/clusters/{cluster_id}/map")
            headers = wire.ingest_headers(cluster=cluster_id, key=key, agent="recording")
            tapes = list(read_tapes(resources.files("osmia.demo").joinpath("recordings/story.tape").read_bytes()))
            with anyio.move_on_after(duration_s):
                await _play(server.api, tapes, headers)


async def _play(api: Api, tapes: Sequence[Tape], headers: Mapping[str, str]) -> None:
    """Send the tapes at their times, over and over."""
    sequence = time.time_ns() // 1000
    while True:
        began = time.time()
        for tape in tapes:
            await anyio.sleep(max(0.0, began + tape.offset_s - time.time()))
            sequence += 1
            payload = shifted(tape, now_s=time.time())
            await api.send(f"/ingest/{tape.table}", payload, {**headers, "Osmia-Sequence": str(sequence)})


def shifted(tape: Tape, *, now_s: float) -> bytes:
    """The tape's payload with every time moved to now, by a multiple of a window's length."""
    import pyarrow as pa

    shift_s = int((now_s - tape.recorded_s) // WINDOW_S * WINDOW_S)
    raw = zstandard.ZstdDecompressor().decompress(tape.payload, max_output_size=_PAYLOAD_MAX)
    rows = pa.ipc.open_stream(raw).read_all()
    for column, per_second in _TIMES[tape.table].items():
        rows = _moved(rows, column, shift_s * per_second)
    out = io.BytesIO()
    with pa.ipc.new_stream(out, rows.schema) as writer:
        writer.write_table(rows)
    return wire.compress(out.getvalue())


def _moved(rows: pa.Table, column: str, by: int) -> pa.Table:
    import pyarrow as pa

    index = rows.schema.get_field_index(column)
    values = [value + by for value in rows.column(index).to_pylist()]
    return rows.set_column(index, rows.schema.field(index), pa.array(values, rows.schema.field(index).type))


def read_tapes(data: bytes) -> Iterator[Tape]:
    """The batches of a recording, in order.

    Raises:
        InputError: it ends in the middle of a batch.
    """
    decoder = msgspec.msgpack.Decoder(Tape)
    position = 0
    while position < len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        record = data[position + 4 : position + 4 + size]
        if len(record) < size:
            raise InputError("the recording is cut", remedy="record it again: osmia demo --record FILE")
        yield decoder.decode(record)
        position += 4 + size
