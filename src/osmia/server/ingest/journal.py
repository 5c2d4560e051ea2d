"""What the writer is about to store, kept in files so that a crash can neither lose nor double it.

Batches of several agents are stored by one insert. The store forgets a half-done insert only when exactly the same
one is repeated under the same token, and after a crash the agents' retries would come grouped differently. So the
group is written down first; the next start repeats it under its token before it lets anybody in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa

__all__ = ["Group", "Journal"]

_SUFFIX = ".arrow"
_TABLE_KEY, _TOKENS_KEY = b"osmia.table", b"osmia.tokens"


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one table that are stored by one insert, and the tokens of the batches they came in."""

    table: str
    tokens: tuple[str, ...]
    rows: pa.Table

    @property
    def token(self) -> str:
        """The token of the insert; a lone batch keeps its own."""
        if len(self.tokens) == 1:
            return self.tokens[0]
        return "group-" + hashlib.sha256("\n".join(self.tokens).encode()).hexdigest()[:32]


class Journal:
    """A directory with one file per group that is being stored; as bounded as the writer's groups in flight."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @classmethod
    def open(cls, directory: Path) -> Journal:
        """Make the directory and drop half-written files: their batches were never acknowledged."""
        directory.mkdir(parents=True, exist_ok=True)
        for half in directory.glob("*.part"):
            half.unlink()
        return cls(directory)

    def keep(self, group: Group) -> None:
        """Write a group down."""
        notes = {_TABLE_KEY: group.table.encode(), _TOKENS_KEY: msgspec.json.encode(group.tokens)}
        rows = group.rows.replace_schema_metadata(notes)
        path = self._path(group)
        half = path.with_suffix(".part")
        with pa.OSFile(str(half), "wb") as sink, pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows)
        half.rename(path)

    def drop(self, group: Group) -> None:
        """Forget a group that is stored."""
        self._path(group).unlink(missing_ok=True)

    def pending(self) -> Iterator[Group]:
        """Groups that a crash left behind."""
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            with pa.OSFile(str(path), "rb") as source, pa.ipc.open_stream(source) as reader:
                rows = reader.read_all()
            notes = rows.schema.metadata
            tokens: Sequence[str] = msgspec.json.decode(notes[_TOKENS_KEY], type=tuple[str, ...])
            yield Group(notes[_TABLE_KEY].decode(), tuple(tokens), rows.replace_schema_metadata(None))

    def _path(self, group: Group) -> Path:
        name = hashlib.sha256(f"{group.table}|{group.token}".encode()).hexdigest()[:40]
        return self._directory / f"{name}{_SUFFIX}"
