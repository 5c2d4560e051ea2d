"""Looking for secrets in everything that Osmia keeps or says: files raw and unpacked, tables, the whole API."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow as pa
import zstandard

from tests.canary.canaries import CANARIES, needles
from tests.server.process import Cluster

__all__ = ["Haystack", "api_answers", "files_of", "found_in", "table_rows", "unpacked"]

_ZSTD = b"\x28\xb5\x2f\xfd"
_DUMP = """
import sys
from clickhouse_connect import get_client
client = get_client(interface="chdb", path=sys.argv[1])
tables = client.query("SELECT database, name FROM system.tables WHERE database NOT IN ('system', 'INFORMATION_SCHEMA',"
    " 'information_schema') AND engine NOT LIKE '%View'").result_rows
for database, name in tables:
    rows = client.query(f"SELECT * FROM {database}.{name}")
    print(database, name, len(rows.result_rows), rows.column_names)
    for row in rows.result_rows:
        print(row)
"""

Haystack = dict[str, bytes]
"""What was looked at, by where it was."""


def found_in(haystack: Haystack) -> dict[str, list[str]]:
    """By place of a canary: where something of it was found, with the bytes around."""
    found: dict[str, list[str]] = {}
    for canary in CANARIES.values():
        for needle in needles(canary):
            for where, data in haystack.items():
                at = data.find(needle)
                if at >= 0:
                    found.setdefault(canary.place, []).append(f"{where}: {data[max(0, at - 60) : at + 60]!r}")
    return found


def files_of(*directories: Path) -> Haystack:
    """Every file below, as it is on the disk."""
    return {
        str(file.relative_to(directory.parent)): file.read_bytes()
        for directory in directories
        for file in directory.rglob("*")
        if file.is_file()
    }


def unpacked(contents: Iterable[bytes]) -> list[bytes]:
    """Batches of a spool or a journal as text: zstd unpacked, Arrow as rows, whatever stands before them left as is."""
    return [text for data in contents for text in (data, *_rows(data), *_frames(data))]


def _frames(data: bytes) -> Iterable[bytes]:
    for found in re.finditer(re.escape(_ZSTD), data):
        try:
            plain = zstandard.ZstdDecompressor().stream_reader(data[found.start() :], read_across_frames=False).read()
        except zstandard.ZstdError:
            continue
        yield plain
        yield from _rows(plain)


def _rows(data: bytes) -> Iterable[bytes]:
    for opened in (pa.ipc.open_stream, pa.ipc.open_file):
        try:
            yield json.dumps(opened(io.BytesIO(data)).read_all().to_pylist(), default=str).encode()
        except (pa.ArrowException, OSError, ValueError):
            continue


def table_rows(store: Path) -> bytes:
    """Every row of every table of an embedded store that no server has open."""
    command = [sys.executable, "-c", _DUMP, str(store)]
    return subprocess.run(command, check=True, capture_output=True, timeout=120).stdout


def api_answers(http: httpx.Client, cluster: Cluster) -> Haystack:
    """Every GET call of the API with every id that it could be asked for, the live stream, and the metrics."""
    answers: Haystack = {}
    document = http.get("/api/openapi.json").json()
    ids = _ids(cluster)
    for path, calls in document["paths"].items():
        if "get" not in calls or path.endswith("/live"):
            continue
        for url in _urls(path, ids):
            answer = http.get(url, params={"from": "now-1h", "limit": 1000})
            assert answer.status_code in (200, 204, 404, 422), f"{url}: {answer.status_code} {answer.text}"
            answers[url] = answer.content
    for url in ("/metrics", "/healthz", "/api/openapi.json", "/"):
        answers[url] = http.get(url).content
    with http.stream("GET", f"/api/v1/clusters/{cluster.id}/live") as stream:
        answers["live"] = next(stream.iter_bytes())
    return answers


def _ids(cluster: Cluster) -> dict[str, list[str]]:
    drawn: dict[str, Any] = cluster.get("map", from_="now-1h")
    return {
        "cluster_id": [cluster.id],
        "edge_id": [edge["id"] for edge in drawn["edges"]],
        "resource_id": [quote(node["id"], safe="/") for node in drawn["nodes"]],
    }


def _urls(path: str, ids: dict[str, list[str]]) -> list[str]:
    urls = [path]
    for name in re.findall(r"\{(\w+)\}", path):
        urls = [url.replace(f"{{{name}}}", value) for url in urls for value in ids.get(name, ["none"])]
    return urls
