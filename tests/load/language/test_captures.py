"""Captures: from bodies, headers and cookies into the scope; what is not found is empty and said."""

from __future__ import annotations

import pytest

from osmia.load.captures import compile_captures
from osmia.load.cookies import Jar
from osmia.load.language.extract import MISSING, is_catastrophic, json_path, walked
from osmia.load.plan import Capture, CaptureSource, JsonValue
from osmia.model.errors import InputError
from tests.load.language.conftest import BODY, MakeAnswer


@pytest.mark.parametrize(
    ("capture", "value"),
    [
        (Capture("X", CaptureSource.BODY_JSON, "user.id"), 42),
        (Capture("X", CaptureSource.BODY_JSON, "user.ratio"), 2.0),
        (Capture("X", CaptureSource.BODY_JSON, "ids"), [3, 1, 2]),
        (Capture("X", CaptureSource.BODY_JSON, "user.none"), None),
        (Capture("X", CaptureSource.BODY_JSON, "big"), 123456789012345678901234567890),
        (Capture("X", CaptureSource.BODY_REGEXP, r"[0-9]+"), "42"),
        (Capture("X", CaptureSource.BODY_REGEXP, r"[0-9]+", match_number=1), "2"),
        (Capture("X", CaptureSource.HEADER, "x-count"), "7"),
        (Capture("X", CaptureSource.HEADER_REGEXP, "n.", match_number=1, header="Server"), "nx"),
        (Capture("X", CaptureSource.COOKIE, "sid"), "abc"),
    ],
)
def test_a_value_is_captured_with_its_type(make_answer: MakeAnswer, capture: Capture, value: JsonValue) -> None:
    """From wherever it is."""
    scope: dict[str, JsonValue] = {}
    answer = make_answer(head=make_answer().head.replace(b"nginx", b"ngnx"))

    failed = compile_captures([capture])(answer, scope)

    assert scope == {"X": value}
    assert type(scope["X"]) is type(value)
    assert not failed


@pytest.mark.parametrize(
    ("capture", "reason"),
    [
        (Capture("X", CaptureSource.BODY_JSON, "nothing"), "json_path nothing finds nothing in the body"),
        (Capture("X", CaptureSource.BODY_XPATH, "//a"), "xpath //a finds nothing in the body"),
        (Capture("X", CaptureSource.BODY_REGEXP, "n", match_number=99), "the body has no match 99 of n"),
        (Capture("X", CaptureSource.HEADER, "X-No"), "the answer has no header X-No"),
        (Capture("X", CaptureSource.HEADER_REGEXP, "z", header="Server"), "no header Server has match 0 of z"),
        (Capture("X", CaptureSource.COOKIE, "no"), "there is no cookie no"),
    ],
)
def test_what_is_not_found_is_empty_and_said(make_answer: MakeAnswer, capture: Capture, reason: str) -> None:
    """The scope has "", whatever it had before; the others are captured all the same."""
    scope: dict[str, JsonValue] = {"X": "old"}

    failed = compile_captures([capture, Capture("Y", CaptureSource.HEADER, "server")])(make_answer(), scope)

    assert scope == {"X": "", "Y": "nginx"}
    assert failed == {"X": reason}


def test_markup_is_captured(make_answer: MakeAnswer) -> None:
    """XML strictly, HTML as browsers read it."""
    scope: dict[str, JsonValue] = {}
    xml = compile_captures([Capture("A", CaptureSource.BODY_XPATH, "//item[2]/@id")])
    html = compile_captures([Capture("B", CaptureSource.BODY_HTML, "//title")])

    assert not xml(make_answer(b"<list><item id='1'/><item id='2'/></list>"), scope)
    assert not html(make_answer(b"<html><title>Shop<p>broken"), scope)

    assert scope == {"A": "2", "B": "Shop<p>broken"}


def test_a_cookie_of_the_user_is_captured_where_the_answer_sets_none(make_answer: MakeAnswer) -> None:
    """The last answer after redirects rarely sets the session again."""
    answer = make_answer(head=b"HTTP/1.1 200 OK\r\n\r\n")
    answer.jar = Jar(now_s=lambda: 0.0)
    answer.jar.take(["session=kept; Path=/"], "http://h/")
    scope: dict[str, JsonValue] = {}

    assert not compile_captures([Capture("S", CaptureSource.COOKIE, "session")])(answer, scope)
    assert scope == {"S": "kept"}


@pytest.mark.parametrize(
    "capture",
    [Capture("X", CaptureSource.BODY_REGEXP, "("), Capture("X", CaptureSource.BODY_XPATH, "//[")],
)
def test_a_path_that_is_none_is_refused_before_the_test_starts(capture: Capture) -> None:
    """With the capture's name."""
    with pytest.raises(InputError, match="capture X"):
        compile_captures([capture])


@pytest.mark.parametrize(
    ("source", "has_head", "has_body"),
    [
        (CaptureSource.BODY_JSON, False, True),
        (CaptureSource.BODY_REGEXP, True, True),
        (CaptureSource.HEADER, True, False),
        (CaptureSource.COOKIE, True, False),
    ],
)
def test_captures_tell_what_they_need(source: CaptureSource, has_head: bool, has_body: bool) -> None:  # noqa: FBT001 - the case's
    """So that nothing else is kept."""
    needs = compile_captures([Capture("X", source, "a")]).needs

    assert (needs.has_head, needs.has_body) == (has_head, has_body)


@pytest.mark.parametrize(
    "path", ["user", "user.id", "user.none", "ids", "ids.1", "ids.9", "ids.#", "nothing", "user.id.x", "text", "big"]
)
def test_the_fall_back_finds_what_pygjson_finds(path: str) -> None:
    """Plain paths on orjson, and on what is no JSON."""
    assert walked(path)(BODY) == json_path(path)(BODY)
    assert walked(path)(b"nonsense") is MISSING


def test_the_fall_back_reads_lists_of_objects_and_escaped_dots() -> None:
    """`#.key` of each element; a dot behind a backslash belongs to its key."""
    body = b'{"a.b": 1, "l": [{"k": 1}, {"k": 2}, {"j": 3}]}'

    for path, value in (("a\\.b", 1), ("l.#.k", [1, 2])):
        assert walked(path)(body) == json_path(path)(body) == value


@pytest.mark.parametrize("path", ["a.*", "a.#(b>1)", "@reverse", "a|b", "{a,b}", "a?"])
def test_the_fall_back_refuses_what_it_cannot_do(path: str) -> None:
    """Rather an error at the start than a wrong value."""
    with pytest.raises(ValueError, match="pygjson"):
        walked(path)


def test_expressions_that_may_take_forever_are_known() -> None:
    """A repetition without bound within another."""
    assert [is_catastrophic(one) for one in (r"(a+)+$", r"(.*,)*x", r"((a|b)*c)*")] == [True, True, True]
    assert [is_catastrophic(one) for one in (r"a+b+", r"(ab){3}", r"(a+){2}", "(", r"[a-z]+@\w+")] == [False] * 5
