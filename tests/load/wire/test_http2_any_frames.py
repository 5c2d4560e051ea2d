"""HTTP/2 of the core against servers that send anything: nothing hangs, and the books are right."""

from __future__ import annotations

import random

import pytest

from osmia.load.client.transport import Http, Shows, Transport, WireStep
from osmia.load.tally import Failure
from tests.load.conformance.rig import Link, Stage, Witness, exercise, get
from tests.load.wire.frames import (
    DATA,
    END_STREAM,
    HEADERS,
    RST_STREAM,
    answered,
    frame,
    goaway,
    greet,
    heads,
    incoming,
)

_TIMEOUT_NS = 30_000_000


def _frames(random_: random.Random, stream: int) -> bytes:
    """Something like an answer to this stream, in the order and number of a madman."""
    other = max(1, stream + random_.choice((-4, -2, 2, 4)))
    choices = [
        heads(stream, (":status", str(random_.choice((100, 103, 200, 204, 304, 500))))),
        heads(stream, (":status", "200"), ("content-length", str(random_.randrange(9)))),
        heads(stream, ("x-trailer", "1"), ends=True),
        heads(other, (":status", "200"), ends=True),
        frame(HEADERS, stream, random_.randbytes(random_.randrange(20)), random_.randrange(64)),
        frame(DATA, stream, b"some", random_.choice((0, END_STREAM))),
        frame(DATA, other, b"else", END_STREAM),
        frame(RST_STREAM, random_.choice((stream, other)), random_.randrange(14).to_bytes(4, "big")),
        frame(random_.randrange(16), random_.choice((0, stream, other)), random_.randbytes(random_.randrange(30))),
        goaway(random_.choice((0, stream, other, 2**31 - 1)), random_.randrange(3)),
        frame(8, random_.choice((0, stream)), random_.randrange(2**31).to_bytes(4, "big")),
        frame(4, 0, b"\0\x03" + random_.randrange(5).to_bytes(4, "big")),
        frame(5, stream, (2).to_bytes(4, "big") + heads(2, (":status", "200"))[9:], 4),
        answered(stream),
    ]
    return b"".join(random_.choices(choices, k=random_.randrange(1, 6)))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("is_shown", [False, True])
def test_any_frames(core: Transport, stage: Stage, seed: int, is_shown: bool) -> None:  # noqa: FBT001
    """Each request ends once: answered, or failed for a reason that HTTP/2 can have."""
    random_ = random.Random(seed)  # noqa: S311 - to be the same each time

    async def each(link: Link) -> None:
        await greet(link)
        async for one in incoming(link):
            if one.ends and random_.random() < 0.5:
                await link.send(answered(one.stream))
            elif one.ends:
                await link.send(_frames(random_, one.stream))
                if random_.random() < 0.05:
                    return

    peer = stage.serve(each)
    step = WireStep(
        endpoint=peer.endpoint(http=Http.TWO),
        request=b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody" if seed % 2 else get(),
        shows=Shows.ALWAYS if is_shown else Shows.NEVER,
        keeps_body=is_shown,
        timeout_ns=_TIMEOUT_NS,
    )
    script = Witness()

    outcome = exercise(core, step, script=script, users=10, count=200, peers=[peer])

    row = outcome.steps[0]
    assert row["answered"] + row["failed"] == row["started"] == 200
    assert row["answered"] >= 1
    assert len(script.shown) == (row["answered"] if is_shown else 0)
    assert set(outcome.failures()) <= {
        Failure.CONNECTION_CLOSED,
        Failure.CONNECTION_RESET,
        Failure.HTTP2_GOAWAY,
        Failure.HTTP2_PROTOCOL,
        Failure.HTTP2_REFUSED_STREAM,
        Failure.HTTP2_STREAM_RESET,
        Failure.READ_TIMEOUT,
        Failure.RESPONSE_MALFORMED,
        Failure.WRITE_TIMEOUT,
    }
