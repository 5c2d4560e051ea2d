"""Whatever a plan is, its counts agree: random plans against a server of moods, checked by the suite's books."""

from __future__ import annotations

import asyncio
import random
import time

import numpy as np
import pytest

from osmia.load.client.core import CoreTransport
from osmia.load.client.transport import Arrivals, Give, Outgoing, Pool, Shows, Users, WireStep
from osmia.load.tally import Failure, Phase
from tests.load.conformance.rig import Answers, Link, Peer, Shown, Stage, Witness, exercise, get, ok

_MS_NS = 1_000_000


def _moody(seed: int, stage: Stage) -> Peer:
    """A server that answers, waits, hangs up, says nonsense or sends its answer in two pieces."""
    chance = random.Random(seed)  # noqa: S311 - to be the same again

    async def each(link: Link) -> None:
        while await link.request():
            mood = chance.random()
            if mood < 0.05:
                link.reset()
            elif mood < 0.1:
                return
            elif mood < 0.15:
                await link.send(b"220 no HTTP\r\n\r\n")
            elif mood < 0.25:
                await asyncio.sleep(0.02)
            elif mood < 0.4:
                await link.send(ok()[:20], ok()[20:], pause_s=0.002)
                continue
            await link.send(ok(status=chance.choice(["200 OK", "302 Found", "503 Later"])))

    return stage.serve(each)


def _step(chance: random.Random, peer: Peer) -> WireStep:
    return WireStep(
        endpoint=peer.endpoint(),
        request=chance.choice([get(), None]),
        shows=chance.choice(list(Shows)),
        keeps_body=chance.random() < 0.5,
        timeout_ns=chance.choice([0, 5 * _MS_NS, 1000 * _MS_NS]),
        sleep_ns=chance.choice([(0, 0), (0, 3 * _MS_NS)]),
        is_closed_after=chance.random() < 0.2,
    )


def _load(chance: random.Random) -> Arrivals | Users:
    if chance.random() < 0.5:
        return Users(changes=[(0, 8), (40 * _MS_NS, 2), (60 * _MS_NS, 12)], duration_ns=100 * _MS_NS)
    at_ns = sorted(chance.randrange(100 * _MS_NS) for _ in range(100))
    return Arrivals(blocks=iter([np.array(at_ns[:30], dtype=np.int64), np.array(at_ns[30:], dtype=np.int64)]))


@pytest.mark.parametrize("seed", range(12))
def test_the_books_balance(seed: int, stage: Stage) -> None:
    """Each request is counted once, has one sample, and its phases are its time; each iteration ends once."""
    chance = random.Random(seed)  # noqa: S311 - to be the same again
    peer = _moody(seed, stage)

    def answer(_: Shown) -> Answers:
        choices: list[Answers] = [True, True, False, get("/on"), Give(Failure.TOO_MANY_REDIRECTS)]
        return chance.choice([*choices, Outgoing(peer.endpoint(), get("/elsewhere"))])

    script = Witness(renders=lambda _, step: get(f"/{step}"), answers=answer)
    ends_at = time.monotonic() + chance.choice([0.05, 60])
    outcome = exercise(
        CoreTransport(),
        *(_step(chance, peer) for _ in range(chance.randint(1, 3))),
        script=script,
        load=_load(chance),
        pool=chance.choice(list(Pool)),
        has_samples=True,
        stop=lambda: 0 if time.monotonic() < ends_at else 2,
        max_connections=chance.choice([1, 4, 1000]),
        max_in_flight=chance.choice([0, 3]),
        asks_ends=True,
        peers=[peer],
    )

    requests = sum(int(step["started"]) for step in outcome.steps)
    assert outcome.samples is not None
    assert len(outcome.samples) == requests > 0
    assert len(script.begun) == outcome.run["iterations_started"]
    for step in outcome.steps:
        assert int(step["phase_ns"][Phase.DNS : Phase.TOTAL].sum()) == int(step["phase_ns"][Phase.TOTAL])
        assert step["statuses"][0] == 0
