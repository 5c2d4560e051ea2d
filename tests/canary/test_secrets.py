"""No secret of an application's traffic leaves it: not to the store, the API, the spool, the journal or any log."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from osmia.agent.kernel.capture import Capture, CaptureOptions
from osmia.model.errors import CaptureUnavailableError
from tests.canary.canaries import ALLOWED, CANARIES, OUTSIDE_TEXT
from tests.canary.search import Haystack, api_answers, files_of, found_in, table_rows, unpacked
from tests.canary.world import NAMESPACE, Harvest, World, canary_world, until
from tests.server.process import Cluster

pytestmark = [pytest.mark.anyio, pytest.mark.ebpf, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def anyio_backend() -> str:
    """The API server emulation is aiohttp, which runs on asyncio only."""
    return "asyncio"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Three pods that know secrets."""
    if os.geteuid() != 0:
        pytest.skip("pods need cgroups, which need root")
    if not await anyio.Path("/sys/fs/cgroup/unified").is_dir():
        pytest.skip("cgroup v2 is not mounted at /sys/fs/cgroup/unified")
    try:
        Capture(CaptureOptions(ring_bytes=1 << 16, max_connections=64, max_edges=64, max_buckets=64)).close()
    except CaptureUnavailableError as exc:
        pytest.skip(str(exc))
    async with canary_world(tmp_path) as made:
        yield made


def _requests(cluster: Cluster) -> list[dict[str, object]]:
    items: list[dict[str, object]] = cluster.get("requests", from_="now-1h", limit=1000)["items"]
    return items


async def _send_until_stored(world: World, cluster: Cluster) -> None:
    """Another round if the machine was so busy that the ring lost some of the first."""
    for rounds_left in (2, 1, 0):
        await anyio.to_thread.run_sync(world.send)
        try:
            await until(lambda: _is_complete(cluster), "the requests are stored", wait_s=30)
        except AssertionError:
            if not rounds_left:
                raise
        else:
            return


def _is_complete(cluster: Cluster) -> bool:
    """Whether the last statement and the last path of a round have arrived."""
    templates = {str(one["template"]) for one in _requests(cluster)}
    return f"/{ALLOWED}/pipelined/{{hash}}?t" in templates and "SELECT ?, ?" in templates


async def test_no_secret_is_kept_or_told_anywhere(world: World) -> None:
    """Canaries in every place where a secret can be are nowhere; a word that may travel is everywhere it should be."""
    seen: Haystack = {}
    with (
        Harvest(world.data / "journal", world.spool) as harvest,
        world.server() as server,
        server.add_cluster("canaries") as cluster,
        world.agent(cluster) as agent,
    ):
        await _send_until_stored(world, cluster)
        assert await anyio.to_thread.run_sync(server.stop) == 0
        seen["server log, first run"] = "\n".join(server.lines).encode()

        await anyio.to_thread.run_sync(world.send)
        await until(lambda: any(world.spool.rglob("*.batch")), "the agent spools while there is no server")
        seen |= files_of(world.spool)

        with world.server() as again:
            back = Cluster(again.http, {"id": cluster.id, "install": {"key": cluster.key}})
            await until(lambda: not any(world.spool.rglob("*.batch")), "the spool is emptied")
            seen |= await anyio.to_thread.run_sync(api_answers, again.http, back)
            agent.send_signal(signal.SIGTERM)
            await anyio.to_thread.run_sync(agent.wait, 60)
            await anyio.to_thread.run_sync(again.stop)
            seen["server log, second run"] = "\n".join(again.lines).encode()
    seen["agent log"] = world.agent_log.read_bytes()
    seen |= {f"journal or spool, unpacked, {n}": data for n, data in enumerate(unpacked(harvest.contents()))}
    seen |= files_of(world.data)
    seen["every table"] = await anyio.to_thread.run_sync(table_rows, world.data / "store")

    assert found_in(seen) == {}
    with_allowed = {where.split(",")[0] for where, data in seen.items() if ALLOWED.encode() in data}
    assert {"every table", "journal or spool"} <= with_allowed
    assert any(where.endswith("/requests") for where in with_allowed)
    assert b"capturing" in seen["agent log"]


async def test_with_its_namespace_named_the_text_travels(world: World) -> None:
    """The same search finds every canary of a path or statement in request rows, and none of the others anywhere."""
    with world.server() as server, server.add_cluster("raw") as cluster:
        with world.agent(cluster, "--raw-namespaces", NAMESPACE):
            await _send_until_stored(world, cluster)
        answers = await anyio.to_thread.run_sync(api_answers, server.http, cluster)
        raw = "\n".join(str(one["raw"]) for one in _requests(cluster)).encode()
        quality = cluster.get("quality")

    found = found_in(answers)
    assert CANARIES.keys() - OUTSIDE_TEXT - found_in({"raw": raw}).keys() == set(), quality
    assert OUTSIDE_TEXT & found.keys() == set()
    assert {place for place, where in found.items() if not all("/requests: " in one for one in where)} == set()


async def test_one_end_in_a_named_namespace_is_not_enough(world: World) -> None:
    """Naming another namespace, or only some of those that talk, lets nothing through."""
    with world.server() as server, server.add_cluster("other") as cluster:
        with world.agent(cluster, "--raw-namespaces", "other"):
            await _send_until_stored(world, cluster)

        assert {one["raw"] for one in _requests(cluster)} == {""}


def test_canaries_do_not_hide_each_other() -> None:
    """No canary stands within another, so that what is found is told apart."""
    texts = [one.text for one in CANARIES.values()]

    assert not [(a, b) for a in texts for b in texts if a != b and a in b]
