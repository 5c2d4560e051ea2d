"""What a question is about: one cluster and time range, and how its tables are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from osmia.server.query.late_names import LateName
from osmia.server.query.ranges import TimeRange
from osmia.server.query.sides import choice_sql
from osmia.server.storage.store import Row, Store

__all__ = ["Scope"]

_ENDS = ("source", "destination")
_IN_RANGE = "cluster = {cluster:String} AND t >= {from_s:UInt32} AND t < {to_s:UInt32}"
_REQUESTS_IN_RANGE = "cluster = {cluster:String} AND time_ns >= {from_ns:UInt64} AND time_ns < {to_ns:UInt64}"


def _renamed(table: str, condition: str) -> str:
    """The table with late names in place of addresses, and edge ids that follow from them."""
    columns, positions = [], []
    for end in _ENDS:
        position = f"{end}_position"
        positions.append(
            f"if(x.{end}_kind = 'External', indexOf({{late_ips:Array(String)}}, x.{end}_name), 0) AS {position}"
        )
        for part, values in (("kind", "late_kinds"), ("namespace", "late_namespaces"), ("name", "late_names")):
            column = f"{end}_{part}"
            late = f"{{{values}:Array(String)}}[{position}]"
            columns.append(f"if({position} > 0, {late}, CAST(x.{column}, 'String')) AS {column}")
    replaced = [f"{end}_{part}" for end in _ENDS for part in ("kind", "namespace", "name")]
    ends = "concat(source_kind, '/', source_namespace, '/', source_name, '|', destination_kind, '/', "
    ends += "destination_namespace, '/', destination_name, '|', protocol)"
    return (
        f"(SELECT *, sipHash64({ends}) AS edge_id FROM (SELECT {', '.join(positions)}, {', '.join(columns)}, "  # noqa: S608 - made of constants
        f"x.* EXCEPT ({', '.join(replaced)}, edge_id) FROM {table} AS x WHERE {condition}))"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One cluster over one range.

    `edges`, `endpoints`, `requests` and `connections` name the tables in SQL, already cut to the range.
    """

    store: Store
    cluster: str
    span: TimeRange
    newest_ns: int
    late_names: Sequence[LateName] = ()

    @property
    def edges(self) -> str:
        """Rollup by edge and step."""
        return self._table(f"edge_{self.span.resolution.suffix}", _IN_RANGE)

    @property
    def endpoints(self) -> str:
        """Rollup by edge, endpoint, status and step."""
        return self._table(f"endpoint_{self.span.resolution.suffix}", _IN_RANGE)

    @property
    def requests(self) -> str:
        """Single requests."""
        return self._table("requests", _REQUESTS_IN_RANGE)

    @property
    def connections(self) -> str:
        """Rollup of connections by edge, port and step."""
        return self._table(f"connection_{self.span.resolution.suffix}", _IN_RANGE)

    @property
    def newest_ms(self) -> int | None:
        """Unix ms of the cluster's newest request."""
        return self.newest_ns // 10**6 or None

    def seconds_covered(self, *, first_ns: int, last_ns: int) -> float:
        """Seconds over which the rate of something first and last seen then is averaged; at least 1."""
        return self.span.seconds_covered(first_ns=first_ns, last_ns=last_ns, newest_ns=self.newest_ns)

    def choice(self, condition: str = "1") -> str:
        """Subquery (edge_id, role): the chosen side of each edge that fulfils the condition, see sides.py."""
        return choice_sql(self.edges, condition)

    async def read(self, sql: str, values: Mapping[str, object] | None = None) -> Sequence[Row]:
        """Rows of a question, with the range's values bound besides the given ones."""
        bound: dict[str, object] = {
            "cluster": self.cluster,
            "from_s": self.span.from_s,
            "to_s": self.span.to_s,
            "from_ns": self.span.from_s * 10**9,
            "to_ns": self.span.to_s * 10**9,
            "end_ns": self.span.end_ms * 10**6,
        }
        if self.late_names:
            bound |= {
                "late_ips": [one.ip for one in self.late_names],
                "late_kinds": [one.kind for one in self.late_names],
                "late_namespaces": [one.namespace for one in self.late_names],
                "late_names": [one.name for one in self.late_names],
            }
        return await self.store.query(sql, bound | dict(values or {}))

    def _table(self, table: str, condition: str) -> str:
        if self.late_names:
            return _renamed(table, condition)
        return f"(SELECT *, edge_id FROM {table} WHERE {condition})"  # noqa: S608 - made of constants
