"""What holds for any bytes, at any cut."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from osmia.model.request import Protocol
from osmia.protocols.parser import MAX_SNIPPET_BYTES
from osmia.protocols.paths import target_template
from osmia.protocols.postgres import PostgresConnection
from osmia.protocols.registry import PROTOCOLS
from osmia.protocols.sql import normalise

CANARY = "Kanari8Vogel7Lied"
"""A marked value; no four characters of it may come out, wherever the text is cut."""

TRACES = re.compile("|".join(re.escape(CANARY[i : i + 4]) for i in range(len(CANARY) - 3)))

LITERALS = (
    f"'{CANARY}'",
    f"'it''s {CANARY}'",
    f"E'\\'{CANARY}\\\\'",
    f"$${CANARY}$$",
    f"$q$ '{CANARY}' $q$",
    f"U&'{CANARY}'",
    f"'a'\n '{CANARY}'",
    f"/* {CANARY} /* '{CANARY} */ */ 1",
    f"-- {CANARY}\n1",
    f"'\\'{CANARY}'",
    f'"{CANARY}"',
    f'"a {CANARY}"',
)
STATEMENTS = (
    "SET app.token TO {}; SET LOCAL app.user = {}, {}; ALTER ROLE r SET x TO {}",
    "CREATE ROLE r PASSWORD {}; NOTIFY ch, {}; EXECUTE st({}, {})",
    "SELECT a FROM t WHERE b = {} AND c IN ({}, {}) ORDER BY d",
    "INSERT INTO t (a, b) VALUES ({}, {}), ({}, {})",
    'UPDATE "odd, name" SET a = {}, b = b || {} WHERE "c""d" = {}',
    "SELECT f({}) /* x */, {}::text, data->>{} -- end\n FROM t; DELETE FROM t WHERE a = {}",
)


@pytest.mark.parametrize("protocol", list(Protocol))
@given(head=st.binary(max_size=600), tail=st.binary(max_size=64))
@example(head=b"E CURSOR\0Z\0\0\0\5T", tail=b"")
@example(head=b"Z\0\0\0\5", tail=b"Z\0\0\0\5")
def test_parsers_never_raise(protocol: Protocol, head: bytes, tail: bytes) -> None:
    """Any bytes give an answer, of bounded size and safe to print."""
    request = PROTOCOLS[protocol].request(head)
    response = PROTOCOLS[protocol].response(head, tail)

    assert len(request.target) <= MAX_SNIPPET_BYTES
    assert len(request.template) <= 3 * MAX_SNIPPET_BYTES
    assert len(request.method) <= 32
    assert len(response.status) <= 32
    assert "\x1b" not in request.target + request.template + response.status


@given(
    pieces=st.lists(
        st.tuples(
            st.sampled_from([b"Q", b"P", b"B", b"D", b"E", b"C", b"H", b"S", b"F", b"d", b"c", b"f", b"p", b"X", b"?"]),
            st.binary(max_size=40),
        ),
        max_size=12,
    ),
    cut=st.integers(0, 512),
)
def test_connection_takes_any_messages(pieces: list[tuple[bytes, bytes]], cut: int) -> None:
    """Well-framed nonsense, cut anywhere, neither raises nor grows the memory beyond its bound."""
    connection = PostgresConnection(capacity=3)

    for _ in range(2):
        connection.feed_request(b"".join(kind + (len(body) + 4).to_bytes(4) + body for kind, body in pieces)[:cut])

    assert connection.statistics().names <= 3


@given(text=st.text(max_size=300), is_truncated=st.booleans())
@example(text='"\ue000"', is_truncated=False)
def test_normalising_any_text_is_bounded(text: str, is_truncated: bool) -> None:  # noqa: FBT001 - hypothesis calls by name
    """A template is at most three times as long as its text (a space after each comma, a mark per literal)."""
    assert len(normalise(text, is_truncated=is_truncated).template) <= 3 * len(text) + 20


@given(
    statement=st.sampled_from(STATEMENTS),
    literals=st.lists(st.sampled_from(LITERALS), min_size=4, max_size=4),
)
def test_no_cut_shows_a_value_of_a_statement(statement: str, literals: list[str]) -> None:
    """Whatever the literals' form and wherever the capture ends, no part of a value is in the template."""
    sql = statement.format(*literals)

    for end in range(len(sql) + 1):
        template = normalise(sql[:end], is_truncated=end < len(sql)).template
        assert not TRACES.search(template), (sql[:end], template)


@given(
    statement=st.sampled_from(STATEMENTS),
    numbers=st.lists(st.integers(0, 10**12), min_size=4, max_size=4),
)
def test_template_does_not_depend_on_numbers(statement: str, numbers: list[int]) -> None:
    """Two executions that differ in numbers only have one template."""
    assert normalise(statement.format(*numbers)) == normalise(statement.format(1, 2, 3, 4))


@given(sql=st.sampled_from(STATEMENTS), literals=st.lists(st.sampled_from(LITERALS), min_size=4, max_size=4))
def test_normalising_twice_changes_nothing(sql: str, literals: list[str]) -> None:
    """A template is its own template."""
    template = normalise(sql.format(*literals)).template

    assert normalise(template).template == template


VALUES = st.one_of(
    st.integers(10**3, 10**12).map(str),
    st.uuids().map(str),
    st.binary(min_size=12, max_size=32).map(bytes.hex),
    st.dates().map(str),
    st.from_regex(r"[a-z]{3,8}\.[a-z]{3,8}@[a-z]{3,8}\.(com|org)", fullmatch=True),
)


@given(value=VALUES, word=st.sampled_from(["users", "orders", "api", "v1"]), cut=st.integers(1, 60))
def test_no_cut_shows_a_value_of_a_path(value: str, word: str, cut: int) -> None:
    """An id, hash, date or address in a path, or any value in a query, is never in the template, whole or cut."""
    target = f"/{word}/{value}/items?q={value}&{word}={value}"

    assert value not in target_template(target, is_truncated=False)
    assert value[:5] not in target_template(target[:-cut], is_truncated=True)
