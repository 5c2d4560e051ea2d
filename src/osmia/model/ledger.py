"""What may go missing on a request's way, cause by cause: one table that agent, server and UI share.

A cause says what it costs. COUNTS: requests are missing from counts. DETAIL: they are counted, but missing from the
request list, or poorer there. CHOICE: left out of the list on purpose, with a known weight; not a loss.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["CAUSES", "Cause", "Effect", "effect_of", "meaning_of"]


class Effect(enum.StrEnum):
    """What a cause costs."""

    COUNTS = "counts"
    DETAIL = "detail"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Cause:
    """One row of the table; `meaning` is a sentence for users."""

    effect: Effect
    meaning: str


_COUNTS, _DETAIL, _CHOICE = Effect.COUNTS, Effect.DETAIL, Effect.CHOICE

CAUSES: Mapping[str, Cause] = MappingProxyType(
    {
        "sampled": Cause(_CHOICE, "left out of the request list above the rate cap; counted exactly"),
        "ring_full": Cause(_DETAIL, "the kernel had no room for the event; counted, without its text"),
        "histogram_full": Cause(_DETAIL, "no room for another latency bucket; counted, without its latency"),
        "request_list_full": Cause(_DETAIL, "more requests between two reports than the list takes; counted"),
        "list_rows": Cause(_DETAIL, "rows of the request list lost on the way to the server; counted"),
        "unrecognised": Cause(_DETAIL, "the bytes were not what their beginning promised; counted without a route"),
        "unparsed_http": Cause(_DETAIL, "HTTP whose head could not be understood; counted without a route"),
        "unparsed_postgres": Cause(_DETAIL, "PostgreSQL messages that could not be understood; counted without text"),
        "joined_late": Cause(_DETAIL, "prepared before the agent started; counted without the statement's text"),
        "truncated": Cause(_DETAIL, "the text was longer than what is copied; the template may be cut"),
        "late": Cause(_DETAIL, "came after its window was sent; counted in a further part of it"),
        "templates_merged": Cause(_DETAIL, "more routes or statements than are told apart; counted under one"),
        "connections_full": Cause(_COUNTS, "too many connections at once to follow this one"),
        "edges_full": Cause(_COUNTS, "no room for another edge in the kernel's counters"),
        "unreadable": Cause(_COUNTS, "a message was due but the application's memory could not be read"),
        "chunks_lost": Cause(_COUNTS, "bytes of a pipelined connection lost in the full ring"),
        "unmatched": Cause(_COUNTS, "a request and its response could not be matched"),
        "dns_lost": Cause(_DETAIL, "a DNS answer lost in the full ring; an outside peer may lack its name"),
        "stream_gaps": Cause(_COUNTS, "a pipelined connection had a hole; requests in it are unknown"),
        "held_full": Cause(_COUNTS, "too many requests waited for the name of their far end"),
        "windows_full": Cause(_COUNTS, "too many edges and routes between two reports"),
        "tcp_sockets_full": Cause(_DETAIL, "too many connections at once: one is missing from the network figures"),
        "tcp_edges_full": Cause(_DETAIL, "no room for another edge in the kernel's counters of connections"),
        "tcp_histogram_full": Cause(_DETAIL, "no room for another bucket of connect or round-trip times"),
        "tcp_listeners_full": Cause(_DETAIL, "too many listening sockets to watch the queue of this one"),
        "tcp_unowned": Cause(_DETAIL, "a connection ended before it was known whose it was"),
        "queue_full": Cause(_COUNTS, "the server was away and memory for batches was full"),
        "spool_evicted": Cause(_COUNTS, "the server was away and the spool was full; the oldest gave way"),
        "spool_torn": Cause(_COUNTS, "a batch in the spool was damaged"),
        "refused": Cause(_COUNTS, "the server refused the batch"),
    }
)
"""By name as the ledger carries it."""


def effect_of(cause: str) -> Effect:
    """What this cause costs; one that is not in the table (of a newer agent) is taken for the worst."""
    return CAUSES[cause].effect if cause in CAUSES else Effect.COUNTS


def meaning_of(cause: str) -> str:
    """A sentence for users; empty for a cause that is not in the table."""
    return CAUSES[cause].meaning if cause in CAUSES else ""
