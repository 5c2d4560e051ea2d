"""Fill a running server with plausible traffic: `python tests/server/seed.py http://127.0.0.1:8460 [--scale 30]`.

Makes (or takes again) the cluster "demo", posts the last minutes at once and then goes on until interrupted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from osmia.model.wire import CONTENT_ENCODING, CONTENT_TYPE, Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.server.rows import Row, body, ledger_row
from tests.server.story import Story, demo_story

_NS = 10**9
_AGENTS = ("seed-node-1", "seed-node-2")


class Seeder:
    """Plays the agents of one cluster."""

    def __init__(self, server: str, story: Story) -> None:
        self._http = httpx.Client(base_url=server, timeout=30)
        self._story = story
        self._sequence = time.time_ns() // 1_000
        self._started_ns = time.time_ns()
        self._exported = 0
        cluster = self._cluster()
        self.cluster_id: str = cluster["id"]
        self._headers = {
            "Authorization": f"Bearer {cluster['install']['key']}",
            "Osmia-Cluster": self.cluster_id,
            "Content-Type": CONTENT_TYPE,
            "Content-Encoding": CONTENT_ENCODING,
        }

    def flush(self, from_ns: int, to_ns: int) -> int:
        """Post everything that happened in between; returns the number of rows."""
        windows, requests = self._story.traffic(from_ns, to_ns)
        self._exported += sum(int(str(row["count"])) for row in windows)
        connections = self._story.connections(from_ns, to_ns)
        posts = [(Table.WINDOWS, windows), (Table.REQUESTS, requests), (Table.CONNECTIONS, connections)]
        for table, rows in posts:
            for begin in range(0, len(rows), 20_000):
                self._post(table, rows[begin : begin + 20_000], _AGENTS[0])
        for agent in _AGENTS:
            self._post(Table.LEDGER, [self._ledger(agent, to_ns)], agent)
        return len(windows) + len(requests)

    def objects(self) -> None:
        """Post what exists in the cluster."""
        self._post(Table.OBJECTS, self._story.objects(time.time_ns()), _AGENTS[0])

    def _cluster(self) -> dict[str, Any]:
        known = self._http.get("/api/v1/clusters").raise_for_status().json()["items"]
        for one in known:
            if one["name"] == "demo":
                found: dict[str, Any] = self._http.get(f"/api/v1/clusters/{one['id']}").json()
                return found
        made = self._http.post("/api/v1/clusters", json={"name": "demo"}).raise_for_status()
        added: dict[str, Any] = made.json()
        return added

    def _ledger(self, agent: str, now_ns: int) -> Row:
        is_second = agent == _AGENTS[1]
        alive_ns = max(0, now_ns - self._started_ns)
        return ledger_row(
            time_ns=now_ns,
            node=agent.removeprefix("seed-"),
            version="seed",
            started_ns=self._started_ns,
            seen=self._exported,
            exported=self._exported,
            events=self._exported,
            sample_every=1,
            lag_ns=1_200_000_000,
            cpu_ns=alive_ns // 40,
            rss_bytes=96 << 20,
            bpf_ns=alive_ns // 90,
            bpf_programs=["on_receive", "on_send"],
            bpf_program_ns=[alive_ns // 150, alive_ns // 225],
            features=["capture", "tcp", "conntrack", "kubernetes"],
            feature_states=["on", "on", "off" if is_second else "on", "on"],
            feature_reasons=["", "", "CAP_NET_ADMIN is missing" if is_second else "", ""],
        )

    def _post(self, table: Table, rows: Sequence[Row], agent: str) -> None:
        self._sequence += 1
        payload = body(table, rows)
        headers = {**self._headers, "Osmia-Agent": agent, "Osmia-Sequence": str(self._sequence)}
        while True:
            answer = self._http.post(f"/api/v1/ingest/{table}", content=payload, headers=headers)
            if answer.status_code not in {429, 503}:
                break
            time.sleep(float(answer.headers.get("Retry-After", "1")))
        answer.raise_for_status()


def main() -> None:
    """Seed until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server")
    parser.add_argument("--scale", type=int, default=0, help="namespaces of ten services to add")
    parser.add_argument("--minutes", type=float, default=5, help="history to post at once")
    parser.add_argument("--once", action="store_true", help="stop after the history")
    given = parser.parse_args()
    seeder = Seeder(given.server, demo_story(given.scale))
    seeder.objects()
    print(f"cluster demo = {seeder.cluster_id}")  # noqa: T201 - a script
    until = time.time_ns()
    done = until - int(given.minutes * 60 * _NS)
    while done < until:
        following = min(until, done + 20 * _NS)
        seeder.flush(done, following)
        done = following
    objects_due_ns = until + 60 * _NS
    while not given.once:
        time.sleep(max(0.0, 2 - (time.time_ns() - done) / _NS))
        now = time.time_ns()
        seeder.flush(done, now)
        done = now
        if now >= objects_due_ns:
            seeder.objects()
            objects_due_ns = now + 60 * _NS


if __name__ == "__main__":
    main()
