"""Typed access to the store's rows: the one place where a column's type is trusted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from osmia.server.query.answers import ServicePort
from osmia.server.storage.store import Row

__all__ = ["entity_id", "integer", "integers", "quantile", "services", "text"]


def text(row: Row, column: str) -> str:
    """A String column."""
    return str(row[column])


def integer(row: Row, column: str) -> int:
    """An integer column."""
    return int(row[column])  # type: ignore[call-overload,no-any-return]  # a row's values are objects


def integers(row: Row, column: str) -> Sequence[int]:
    """An Array of integers column."""
    return row[column]  # type: ignore[return-value]  # a row's values are objects


def quantile(row: Row, column: str, index: int) -> int | None:
    """One of the quantiles that `quantiles_sql` gave, None where the histogram was empty."""
    values = integers(row, column)
    return int(values[index]) if values else None


def entity_id(row: Row, end: str) -> str:
    """kind/namespace/name of one end of an edge."""
    return f"{row[f'{end}_kind']}/{row[f'{end}_namespace']}/{row[f'{end}_name']}"


def services(pairs: Iterable[tuple[str, int]]) -> list[ServicePort]:
    """Services and ports of an edge from what both sides saw; a port without a Service goes when one names it."""
    seen = set(pairs)
    named = {port for name, port in seen if name}
    kept = sorted((port, name) for name, port in seen if name or port not in named)
    return [ServicePort(name=name, port=port) for port, name in kept]
