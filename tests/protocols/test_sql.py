"""SQL to templates."""

from __future__ import annotations

import pytest

from osmia.protocols.parser import text_of
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
        ('SELECT "a""b", "it\'s", U&"d" FROM "T 1"', 'SELECT "?", "?", U&"d" FROM "?"'),
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


@pytest.mark.parametrize(
    ("sql", "template"),
    [
        (
            'SELECT "user_id", "Order", "größe", "t.c" FROM "shop-api"',
            'SELECT "user_id", "Order", "größe", "t.c" FROM "shop-api"',
        ),
        ('SELECT 1 AS "Anna Schmidt"', 'SELECT ? AS "?"'),
        ('SELECT 1 AS "anna@example.com"', 'SELECT ? AS "?"'),
        ('SELECT * FROM "tmp_7f3c9a1b2d"', 'SELECT * FROM "tmp_?"'),
        ('SELECT * FROM "events_2024_01"', 'SELECT * FROM "events_?"'),
        ('SELECT * FROM "sbgzfvlqwx"', 'SELECT * FROM "?"'),
        ('SELECT "a;b", "c,d" FROM t', 'SELECT "?", "?" FROM t'),
    ],
)
def test_quoted_identifiers_stay_where_they_are_made_of_words(sql: str, template: str) -> None:
    """A quoted name may hold any text; only what reads like a name is kept."""
    assert normalise(sql).template == template


@pytest.mark.parametrize(
    ("sql", "template"),
    [
        ("SET app.token TO swordfish", "SET app.token TO ?"),
        ("SET LOCAL app.user = anna, bob", "SET LOCAL app.user = ?"),
        ('SET SESSION "app"."user" TO "anna"', 'SET SESSION "app"."user" TO ?'),
        ("SET ROLE anna", "SET ROLE ?"),
        ("SET SESSION AUTHORIZATION anna", "SET SESSION AUTHORIZATION ?"),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
        ("BEGIN; SET LOCAL app.user TO anna; SELECT 1", "BEGIN; SET LOCAL app.user TO ?; SELECT ?"),
        ("CREATE ROLE us3r_xk2qz9wv7pb LOGIN", "CREATE ROLE us3r_? LOGIN"),
        ("SELECT * FROM tmp_7f3c9a1b2d JOIN t1 USING (id)", "SELECT * FROM tmp_? JOIN t1 USING (id)"),
        (
            "SELECT int4range(1, 2), sha256(a), jsonb_path_query(b)",
            "SELECT int4range(?, ?), sha256(a), jsonb_path_query(b)",
        ),
        ("SELECT col_2024_total FROM sales_q1_report", "SELECT col_2024_total FROM sales_q1_report"),
        ("UPDATE t SET a = b, c = 'd'", "UPDATE t SET a = b, c = ?"),
        ("ALTER ROLE anna SET app.token TO swordfish", "ALTER ROLE anna SET app.token TO ?"),
        ("ALTER SYSTEM SET a = 'b'", "ALTER SYSTEM SET a = ?"),
        ("ALTER TABLE t ALTER COLUMN c SET DEFAULT 1", "ALTER TABLE t ALTER COLUMN c SET DEFAULT ?"),
        ("CREATE ROLE app LOGIN PASSWORD 'swordfish'", "CREATE ROLE app LOGIN PASSWORD ?"),
        ("CREATE USER app PASSWORD swordfish", "CREATE USER app PASSWORD ?"),
        ('ALTER USER app WITH ENCRYPTED PASSWORD "swordfish"', "ALTER USER app WITH ENCRYPTED PASSWORD ?"),
        ("SELECT password FROM users", "SELECT password FROM users"),
        ("NOTIFY jobs, 'swordfish'", "NOTIFY jobs, ?"),
        ("LISTEN user_4711", "LISTEN user_?"),
        ('UNLISTEN "anna@example.com"', 'UNLISTEN "?"'),
        ("COPY t FROM STDIN WITH (FORMAT csv, DELIMITER ';')", "COPY t FROM STDIN WITH (FORMAT csv, DELIMITER ?)"),
        ("CREATE SUBSCRIPTION s CONNECTION 'host=h password=p'", "CREATE SUBSCRIPTION s CONNECTION ?"),
        ("DO $$ BEGIN PERFORM 'swordfish'; END $$", "DO ?"),
        ("PREPARE sbgzfvlqwx AS SELECT 1", "PREPARE ? AS SELECT ?"),
        ("EXECUTE fetch_user('swordfish', 4)", "EXECUTE fetch_user(?, ?)"),
        ("DEALLOCATE stmtcache_7f3c9a1b2d7f3c9a1b2d", "DEALLOCATE stmtcache_?"),
        ("BEGIN; DECLARE c_12 CURSOR FOR SELECT a", "BEGIN; DECLARE c_? CURSOR FOR SELECT a"),
    ],
)
def test_values_without_quotes_and_names_with_values_go(sql: str, template: str) -> None:
    """Settings and passwords may be written as bare words; names of channels and the like may carry ids."""
    assert normalise(sql).template == template


@pytest.mark.parametrize(
    ("sql", "template"),
    [
        (r"SELECT 'C:\' FROM t", "SELECT ? FROM t"),
        (
            r"SELECT a LIKE $1 ESCAPE '\' OR b LIKE $2 ESCAPE '\' FROM t",
            "SELECT a LIKE ? ESCAPE ? OR b LIKE ? ESCAPE ? FROM t",
        ),
        (r"SELECT 'it\'s swordfish' FROM t", "SELECT ? FROM t"),
        (r"SELECT a, 'x\' swordfish \'y' FROM t", "SELECT a, ?…"),
        (r"SELECT 'a\\' FROM t", "SELECT ? FROM t"),
        (r"SELECT E'it\'s', 1 FROM t", "SELECT ?, ? FROM t"),
    ],
)
def test_a_backslash_before_a_quote_is_read_both_ways(sql: str, template: str) -> None:
    """Whatever standard_conforming_strings is, no part of a string shows; where nothing decides, the template ends."""
    assert normalise(sql).template == template


def test_a_cut_string_with_a_backslash_shows_nothing_in_either_reading() -> None:
    """The cut took what would have told how the backslash is meant."""
    assert normalise(r"SELECT a, 'it\'s swordfish and mo", is_truncated=True).template == "SELECT a, ?…"


def test_letters_of_other_encodings_do_not_hide_a_quote() -> None:
    """The second byte of a Shift-JIS letter is a backslash that escapes nothing; what follows it is not shown."""
    sql = b"SELECT a, E'\x95\\' || swordfish || '1'".replace(b"\\x95", b"\x95")

    assert normalise(text_of(sql)).template == "SELECT a, ?…"


@pytest.mark.parametrize("sql", ["hunter two", "swordfish; SELECT 1", "passwort: geheim", "{'a': b}"])
def test_what_is_no_statement_shows_none_of_its_words(sql: str) -> None:
    """Text that does not begin with a command could be anything."""
    template = normalise(sql).template

    assert not any(word in template for word in ("hunter", "swordfish", "geheim", "passwort", "b}"))
