"""The numbered SQL files under `migrations/`, rendered for one node or for a cluster, applied once each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from osmia.model.errors import ConfigError

__all__ = ["LEDGER_TABLE", "Migration", "Topology", "load"]

LEDGER_TABLE = "schema_migrations"
"""Table that remembers which migrations a database has seen."""

DEDUPLICATION_WINDOW = 1000
"""Insert tokens that each table remembers; a retry must come within that many inserts."""

_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
_DEFINITION = re.compile(r"^@define (\w+)\n(.*?)\n@end$", re.DOTALL | re.MULTILINE)
_OBJECT = re.compile(r"@(?:table|view)\((\w+)\)")
_ENGINE = re.compile(r"@engine\((\w+), (\w+)(?:, (\w+))?\)")


@dataclass(frozen=True, slots=True)
class Topology:
    """Where the tables will live: `cluster` empty means one node (embedded or a single server).

    Raises:
        ConfigError: a name is not an identifier, so that it cannot stand in SQL unquoted.
    """

    database: str
    cluster: str = ""

    def __post_init__(self) -> None:
        for field, value in (("database", self.database), ("cluster", self.cluster or "none")):
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
                raise ConfigError(f"store-url {field}", value, "not an identifier", remedy="use letters, digits and _")


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file and its statements for the chosen topology."""

    number: int
    name: str
    statements: tuple[str, ...]


def load(topology: Topology) -> list[Migration]:
    """Every migration in order, rendered for the topology."""
    folder = resources.files("osmia.server.storage") / "migrations"
    found = sorted((entry.name, entry.read_text("utf-8")) for entry in folder.iterdir() if _NAME.fullmatch(entry.name))
    return [_migration(name, text, topology) for name, text in found]


def _migration(file_name: str, text: str, topology: Topology) -> Migration:
    match = _NAME.fullmatch(file_name)
    if match is None:
        raise ValueError(file_name)
    return Migration(int(match[1]), match[2], tuple(_statements(text, topology)))


def _statements(text: str, topology: Topology) -> Iterator[str]:
    text = re.sub(r"^--.*\n", "", text, flags=re.MULTILINE)
    definitions = {name: body.strip() for name, body in _DEFINITION.findall(text)}
    body = _DEFINITION.sub("", text)
    for raw in body.split(";\n"):
        statement = _expand(raw.strip(), definitions)
        if statement:
            yield from _render(statement, topology)


def _expand(statement: str, definitions: dict[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda match: definitions[match[1]], statement)


def _render(statement: str, topology: Topology) -> Iterator[str]:
    local = "_local" if topology.cluster else ""
    everywhere = f" ON CLUSTER {topology.cluster}" if topology.cluster else ""
    window = "replicated_deduplication_window" if topology.cluster else "non_replicated_deduplication_window"
    # The first name is the one being made; only it is made everywhere.
    rendered = _OBJECT.sub(rf"\1{local}{everywhere}", statement, count=1)
    rendered = _OBJECT.sub(rf"\1{local}", rendered)
    rendered = rendered.replace("@dedup", f"{window} = {DEDUPLICATION_WINDOW}")
    yield _ENGINE.sub(lambda match: _engine(match[1], match[3] or "", topology), rendered)
    made, engine = _OBJECT.search(statement), _ENGINE.search(statement)
    if topology.cluster and statement.startswith("ALTER TABLE "):  # the table over the parts has the same columns
        yield _OBJECT.sub(rf"\1{everywhere}", statement, count=1)
    if topology.cluster and made is not None and engine is not None:
        yield (
            f"CREATE TABLE IF NOT EXISTS {made[1]}{everywhere} AS {made[1]}{local}\n"
            f"ENGINE = Distributed({topology.cluster}, {topology.database}, {made[1]}{local}, sipHash64({engine[2]}))"
        )


def _engine(family: str, version: str, topology: Topology) -> str:
    if not topology.cluster:
        return f"{family}({version})" if version else family
    arguments = ["'/clickhouse/tables/{shard}/{database}/{table}'", "'{replica}'", *([version] if version else [])]
    return f"Replicated{family}({', '.join(arguments)})"
