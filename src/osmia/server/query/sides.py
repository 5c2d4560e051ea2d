"""Choosing one end of each edge: where both ends were watched, both counted the same requests, so never add them.

The server's side wins when it counted at least as many as the client's; otherwise some replicas of the server are not
watched and the client's side knows more.
"""

from __future__ import annotations

from osmia.server.query.ranges import TimeRange

__all__ = ["IN_RANGE", "choice_sql", "range_parameters"]

IN_RANGE = "cluster = {cluster:String} AND t >= {from_s:UInt32} AND t < {to_s:UInt32}"
"""Condition on every rollup table; `range_parameters` has its values."""


def range_parameters(cluster: str, span: TimeRange) -> dict[str, object]:
    """Values for `IN_RANGE`."""
    return {"cluster": cluster, "from_s": span.from_s, "to_s": span.to_s}


def choice_sql(span: TimeRange, condition: str = "1") -> str:
    """Subquery (edge_id, role): the chosen side over the range of each edge that fulfils the condition."""
    return (
        "SELECT edge_id, role FROM ("
        f"SELECT edge_id, role, sum(n) AS seen FROM edge_{span.resolution.suffix} "
        f"WHERE {IN_RANGE} AND {condition} GROUP BY edge_id, role) ORDER BY seen DESC, role DESC LIMIT 1 BY edge_id"
    )
