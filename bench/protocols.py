"""How long understanding one request takes, beside the library one would otherwise use."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import sqlparse
from sqlparse import tokens

from bench.result import Bench, Result, at_least, at_most, median_ns
from osmia.agent.redaction import Redaction
from osmia.model.request import Protocol
from osmia.protocols.postgres import PostgresConnection, scan
from osmia.protocols.registry import PROTOCOLS, STREAMS
from osmia.protocols.sql import normalise
from osmia.protocols.streams import Chunk

__all__ = ["BENCHES", "STATEMENTS"]

STATEMENTS = (
    "SELECT 1;",
    "BEGIN",
    "SELECT * FROM rate WHERE base = 'USD' AND quote = 'EUR'",
    "SELECT id, name, base, quote, rate, at FROM rates WHERE base = $1 AND quote = $2 ORDER BY at DESC LIMIT 10",
    "UPDATE pgbench_accounts SET abalance = abalance + -3261 WHERE aid = 76542;",
    "INSERT INTO audit (at, who, what) VALUES ('2026-11-23 18:00', 'anna', E'it\\'s'), ('2026-11-23 18:01', 'bo', 'b')",
    """SELECT u.id, u.email, o.total FROM users u JOIN orders o ON o.user_id = u.id /* report */
        WHERE u.created > '2026-01-01' AND o.state IN (1, 2, 3, 4, 5, 6, 7, 8) -- newest first
        ORDER BY o.id DESC""",
    """SELECT "testserver_currency"."id", "testserver_currency"."code", "testserver_currency"."name" FROM
        "testserver_currency" INNER JOIN "testserver_rate" ON ("testserver_currency"."id" =
        "testserver_rate"."base_id") WHERE ("testserver_rate"."quote_id" = 42 AND NOT ("testserver_currency"."code"
        = 'XAU')) ORDER BY "testserver_currency"."code" ASC LIMIT 21""",
)
"""What drivers and ORMs send, from a ping to a join."""

_BIND = b"B\0\0\0\x1a\0_pg3_7\0\0\1\0\0\0\1\0\0\0\2EU\0\0D\0\0\0\6P\0E\0\0\0\x09\0\0\0\0\0S\0\0\0\4"
_PARSE = b"P\0\0\0\x1d_pg3_7\0SELECT $1, name\0\0\0S\0\0\0\4"
_GET = b"GET /users/4711/orders/7f3c9a1b2?page=2&q=shoes HTTP/1.1\r\nHost: shop\r\nAccept: */*\r\n\r\n"
_OK = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\nContent-Length: 612\r\n\r\n"
_ROWS = b"T\0\0\0\x1e\0\1n\0" + bytes(21) + b"D\0\0\0\x0b\0\1\0\0\0\0011" + b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\5I"
_RUN = b"B\0\0\0\x1c\0_pg3_7\0\0\1\0\0\0\1\0\0\0\2EU\0\1\0\0" + b"D\0\0\0\6P\0" + b"E\0\0\0\x09\0\0\0\0\0"
_COLUMN = b"\0\1n\0" + bytes(18)
_RAN = b"2\0\0\0\4" + b"T\0\0\0\x1a" + _COLUMN + b"D\0\0\0\x0b\0\1\0\0\0\0011" + b"C\0\0\0\x0dSELECT 1\0"
_DEPTH, _BATCHES, _RECORD_BYTES = 16, 8, 512


def _with_sqlparse(sql: str) -> str:
    """The nearest that sqlparse offers: literals by token type, comments left out."""
    parts: list[str] = []
    for token in sqlparse.parse(sql)[0].flatten():  # type: ignore[no-untyped-call]  # sqlparse has no types
        if token.ttype in tokens.Literal or token.ttype in tokens.Name.Placeholder:
            parts.append("?")
        elif token.ttype not in tokens.Comment:
            parts.append(str(token.value))
    return " ".join("".join(parts).split())


def _normalise_all() -> float:
    """Median ns per statement, past the cache."""
    uncached = normalise.__wrapped__
    return median_ns(lambda: [uncached(sql) for sql in STATEMENTS]) / len(STATEMENTS)


def _sql() -> Result:
    ours = _normalise_all()
    return at_most(ours / 1000, 25, "us/statement", "mean of eight statements, cache off")


def _sql_ratio() -> Result:
    ours = _normalise_all()
    theirs = median_ns(lambda: [_with_sqlparse(sql) for sql in STATEMENTS]) / len(STATEMENTS)
    return at_least(theirs / ours, 20, "x", f"sqlparse {theirs / 1000:.0f} us/statement, same run")


def _prepared() -> Result:
    connection = PostgresConnection()
    connection.feed_request(_PARSE)

    def feed() -> None:
        scan.cache_clear()  # parameters differ each time in real life
        connection.feed_request(_BIND)

    return at_most(median_ns(feed) / 1000, 20, "us", "Bind, Describe, Execute, Sync of a known statement")


def _postgres_answer() -> Result:
    parser = PROTOCOLS[Protocol.POSTGRES]
    return at_most(median_ns(lambda: parser.response(_ROWS, _ROWS[-64:])) / 1000, 15, "us", "one row")


def _http_request() -> Result:
    parser = PROTOCOLS[Protocol.HTTP]
    return at_most(median_ns(lambda: parser.request(_GET)) / 1000, 25, "us", "path with two ids and a query")


def _http_fresh() -> Result:
    parser = PROTOCOLS[Protocol.HTTP]
    heads = [_GET.replace(b"4711", b"%d" % (7919 * i)).replace(b"7f3c9a1b2", b"%09xa1" % (i * i)) for i in range(500)]
    ours = median_ns(lambda: [parser.request(head) for head in heads]) / len(heads)
    return at_most(ours / 1000, 30, "us", "the same with ids never seen before")


def _templates() -> Result:
    redaction = Redaction()
    routes = [f"/api/v1/{word}/{{id}}" for word in ("users", "orders", "carts", "prices", "stocks")]
    ask = functools.partial(redaction.template, protocol=Protocol.HTTP, service="Deployment/shop/web", at_ns=0)
    return at_most(median_ns(lambda: [ask(route) for route in routes]) / len(routes) / 1000, 3, "us", "known routes")


def _templates_flood() -> Result:
    redaction = Redaction()
    names = [f"/u/{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}/profile" for i in range(5000)]
    ask = functools.partial(redaction.template, protocol=Protocol.HTTP, service="Deployment/shop/web", at_ns=0)
    return at_most(median_ns(lambda: [ask(name) for name in names]) / len(names) / 1000, 15, "us", "5,000 routes")


def _http_response() -> Result:
    parser = PROTOCOLS[Protocol.HTTP]
    return at_most(median_ns(lambda: parser.response(_OK, b"")) / 1000, 10, "us", "nginx's headers")


def _pipeline(request: bytes, response: bytes, *, ends: tuple[bytes, bytes] = (b"", b"")) -> list[Chunk]:
    """A connection with 16 requests under way at a time, as the kernel copies it: records of 512 bytes."""
    chunks: list[Chunk] = []
    positions = {True: 0, False: 0}
    for batch in range(_BATCHES):
        for is_request, data in ((True, request * _DEPTH + ends[0]), (False, response * _DEPTH + ends[1])):
            for start in range(0, len(data), _RECORD_BYTES):
                piece = data[start : start + _RECORD_BYTES]
                chunks.append(Chunk(is_request, batch * 1000, positions[is_request], piece, len(piece)))
                positions[is_request] += len(piece)
    return chunks


def _stream_ns(protocol: Protocol, chunks: Sequence[Chunk]) -> float:
    """Median ns for one exchange."""
    exchanges = _DEPTH * _BATCHES

    def feed() -> int:
        stream = STREAMS[protocol]()
        return sum(len(stream.feed(chunk)) for chunk in chunks)

    if feed() != exchanges:
        raise AssertionError(f"the stream found {feed()} exchanges, not {exchanges}")
    return median_ns(feed) / exchanges


def _http_stream_ns() -> float:
    body = b"x" * 612
    return _stream_ns(Protocol.HTTP, _pipeline(_GET, _OK + body))


def _postgres_stream_ns() -> float:
    return _stream_ns(Protocol.POSTGRES, _pipeline(_RUN, _RAN, ends=(b"S\0\0\0\4", b"Z\0\0\0\5I")))


def _http_stream() -> Result:
    return at_most(_http_stream_ns() / 1000, 40, "us/exchange", "16 GETs under way, 612-byte bodies copied whole")


def _postgres_stream() -> Result:
    return at_most(_postgres_stream_ns() / 1000, 60, "us/exchange", "Bind, Describe, Execute; 16 before each Sync")


def _http_stream_ratio() -> Result:
    parser = PROTOCOLS[Protocol.HTTP]
    parsing = median_ns(lambda: (parser.request(_GET), parser.response(_OK, b"")))
    return at_most(
        _http_stream_ns() / parsing, 2, "x", f"parsing request and response {parsing / 1000:.1f} us, same run"
    )


def _postgres_stream_ratio() -> Result:
    parser, connection = PROTOCOLS[Protocol.POSTGRES], PostgresConnection()
    connection.feed_request(_PARSE)

    def parse() -> None:
        scan.cache_clear()
        connection.feed_request(_RUN)
        parser.response(_RAN, b"")

    parsing = median_ns(parse)
    ours = _postgres_stream_ns()
    return at_most(ours / parsing, 2, "x", f"parsing statement and answer {parsing / 1000:.1f} us, same run")


BENCHES: dict[str, Bench] = {
    "sql": _sql,
    "sql_ratio": _sql_ratio,
    "postgres_prepared": _prepared,
    "postgres_answer": _postgres_answer,
    "http_request": _http_request,
    "http_fresh": _http_fresh,
    "http_response": _http_response,
    "templates": _templates,
    "templates_flood": _templates_flood,
    "http_stream": _http_stream,
    "http_stream_ratio": _http_stream_ratio,
    "postgres_stream": _postgres_stream,
    "postgres_stream_ratio": _postgres_stream_ratio,
}
