"""SQL to templates."""

from __future__ import annotations

import pytest

from osmia.protocols.sql import EMPTY, normalise


@pytest.mark.parametrize(
    ("sql", "template"),
    [
        ("SELECT 'a', 'it''s', '', ''''", "SELECT ?, ?, ?, ?"),
        (r"SELECT E'it\'s', e'\\', E'\\\''", "SELECT ?, ?, ?"),
        (r"SELECT 'C:\', 1", "SELECT ?, ?"),
        ("SELECT $$a'b$$, $t$ $x$ $$ $t$, $_1$x$_1$", "SELECT ?, ?, ?"),
        ("SELECT B'01', X'ff', N'n', U&'d\\0061t'", "SELECT ?, ?, ?, ?"),
        ("SELECT 1, 1.5, .5, 1., 1e10, 1.5E-3, 0x1F, 0b01, 0o17, 1_000", "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"),
        ("SELECT 'a'\n  'b' FROM t", "SELECT ? FROM t"),
        ("SELECT $1, $2::int", "SELECT ?, ?::int"),
        ("SELECT t1.c2, a$1, x1e5 FROM t1", "SELECT t1.c2, a$1, x1e5 FROM t1"),
        ('SELECT "a""b", "it\'s", U&"d" FROM "T 1"', 'SELECT "a""b", "it\'s", U&"d" FROM "T 1"'),
        ("SELECT TRUE, false, NULL", "SELECT TRUE, false, NULL"),
        ("SELECT 1 -- it's\nFROM t", "SELECT ? FROM t"),
        ("SELECT /* 'a' /* b */ c */ 1", "SELECT ?"),
        ("SELECT a - -1, a-1, -1", "SELECT a - -?, a-?, ?"),
        ("SELECT a::text, b->>'k', c ? 'k' FROM t WHERE d @> '{}'", "SELECT a::text, b->>?, c ? ? FROM t WHERE d @> ?"),
        ("  SELECT\t1\n ,2 ;\n", "SELECT ?, ?"),
        ("SELECT a[1:2], ARRAY[1, 2, 3]", "SELECT a[?:?], ARRAY[?]"),
        ("SELECT ünïcode FROM tablë WHERE x = 'ß'", "SELECT ünïcode FROM tablë WHERE x = ?"),
        ("SELECT interval '1 day', date'2026-01-01'", "SELECT interval ?, date?"),
        ("SELECT 1FROM t", "SELECT ?FROM t"),
        ("SELECT 'a'--b", "SELECT ?"),
    ],
)
def test_literals_go_and_everything_else_stays(sql: str, template: str) -> None:
    """The lexical rules of PostgreSQL's manual: each literal becomes a question mark, nothing else does."""
    assert normalise(sql).template == template


@pytest.mark.parametrize(
    ("sql", "template"),
    [
        ("SELECT 1 FROM t WHERE id IN (1, 2, 3)", "SELECT ? FROM t WHERE id IN (?)"),
        ("SELECT 1 FROM t WHERE id in(1,2)", "SELECT ? FROM t WHERE id in (?)"),
        ("SELECT 1 FROM t WHERE id IN ( $1 , $2 )", "SELECT ? FROM t WHERE id IN (?)"),
        ("SELECT 1 FROM t WHERE id IN (-1, 2)", "SELECT ? FROM t WHERE id IN (?)"),
        ("SELECT 1 FROM t WHERE id IN ($1::int, $2::int)", "SELECT ? FROM t WHERE id IN (?::int)"),
        ("SELECT 1 FROM t WHERE id IN (1, f(2, 3))", "SELECT ? FROM t WHERE id IN (?, f(?, ?))"),
        ("INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y')", "INSERT INTO t (a, b) VALUES (?)"),
        ("INSERT INTO t VALUES(1,DEFAULT),(2,DEFAULT),(3,DEFAULT)", "INSERT INTO t VALUES (?, DEFAULT)"),
        ("INSERT INTO t VALUES (1, now()), (2, now())", "INSERT INTO t VALUES (?, now())"),
        ("SELECT round(1.5, 2), min(1)", "SELECT round(?, ?), min(?)"),
    ],
)
def test_lists_are_one_shape_whatever_their_length(sql: str, template: str) -> None:
    """IN lists and VALUES rows collapse; arguments of functions do not."""
    assert normalise(sql).template == template


@pytest.mark.parametrize(
    ("sql", "template"),
    [
        ("SELECT * FROM users WHERE name = 'secr", "SELECT * FROM users WHERE name = ?…"),
        ("SELECT E'secret\\", "SELECT ?…"),
        ("SELECT $tag$secret $tag", "SELECT ?…"),
        ("SELECT $ta", "SELECT …"),
        ("SELECT 1 /* secr", "SELECT ? …"),
        ("SELECT 1 -- secr", "SELECT ?…"),
        ('SELECT "half', "SELECT …"),
        ("SELECT * FROM use", "SELECT * FROM …"),
        ("SELECT * FROM t WHERE a = 12", "SELECT * FROM t WHERE a = ?…"),
        ("INSERT INTO t (a, b) VALUES (1, 2), (3, 4), (5,", "INSERT INTO t (a, b) VALUES (?)…"),
        ("INSERT INTO t (a, b) VALUES (1, 2), ('x", "INSERT INTO t (a, b) VALUES (?)…"),
        ("SELECT 1 WHERE a IN (1, 2, 3", "SELECT ? WHERE a IN (?…"),
        ("SELECT 1 WHERE a IN (1, 2, ", "SELECT ? WHERE a IN (?…"),
        ("", "…"),
    ],
)
def test_cut_statements_do_not_show_what_was_cut(sql: str, template: str) -> None:
    """An open literal, comment or name at the end of the capture becomes an ellipsis."""
    assert normalise(sql, is_truncated=True).template == template


@pytest.mark.parametrize(
    ("sql", "method"),
    [
        ("select 1", "SELECT"),
        ("(SELECT 1) UNION (SELECT 2)", "SELECT"),
        ("/* c */ -- d\n update t SET a = 1", "UPDATE"),
        ("WITH x AS (SELECT 1) SELECT * FROM x", "WITH"),
        ("BEGIN; UPDATE t SET a = 1; COMMIT", "BEGIN…"),
        ("SELECT ';'", "SELECT"),
        ('SELECT ";"', "SELECT"),
        (";;", EMPTY),
        ("-- ping", EMPTY),
        ("secret words", "unknown"),
        ("42", "unknown"),
    ],
)
def test_method_is_the_first_keyword(sql: str, method: str) -> None:
    """The first keyword in capitals, an ellipsis if more statements follow; other words are unknown."""
    assert normalise(sql).method == method


@pytest.mark.parametrize(
    ("sql", "template"),
    [
        ('SAVEPOINT "s140234_x1"', 'SAVEPOINT "s?_x?"'),
        ("ROLLBACK TO SAVEPOINT _pg3_1", "ROLLBACK TO SAVEPOINT _pg?_?"),
        ('RELEASE SAVEPOINT "s1_x1"', 'RELEASE SAVEPOINT "s?_x?"'),
        ('DECLARE "c_12" CURSOR FOR SELECT a1 FROM t1', 'DECLARE "c_?" CURSOR FOR SELECT a1 FROM t1'),
        ("FETCH FORWARD 100 FROM c_12", "FETCH FORWARD ? FROM c_?"),
        ("DEALLOCATE _pg3_7", "DEALLOCATE _pg?_?"),
        ("ROLLBACK", "ROLLBACK"),
    ],
)
def test_names_that_drivers_count_up_lose_their_numbers(sql: str, template: str) -> None:
    """Savepoints, cursors and prepared statements have one template, however many there were."""
    assert normalise(sql).template == template


def test_identifier_that_looks_like_the_inner_mark_is_harmless() -> None:
    """The private character that stands for quoted names during work cannot be smuggled in."""
    assert normalise('SELECT \ue000, "a b" FROM t').template == 'SELECT \ufffd, "a b" FROM t'
