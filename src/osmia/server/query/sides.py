"""Choosing one end of each edge: where both ends were watched, both counted the same requests, so never add them.

The server's side wins when it counted at least as many as the client's; otherwise some replicas of the server are not
watched and the client's side knows more.
"""

from __future__ import annotations

__all__ = ["choice_sql", "preferred"]


def preferred(count: str) -> str:
    """SQL that ends a query with a row per edge and role: keeps one row per edge, by the rule above."""
    return f"ORDER BY {count} DESC, role DESC LIMIT 1 BY edge_id"


def choice_sql(edges: str, condition: str = "1") -> str:
    """Subquery (edge_id, role): the chosen side of each edge of a table expression that fulfils the condition."""
    return (
        f"SELECT edge_id, role FROM (SELECT edge_id, role, sum(n) AS seen FROM {edges} WHERE {condition} "  # noqa: S608 - made of constants
        f"GROUP BY edge_id, role) {preferred('seen')}"
    )
