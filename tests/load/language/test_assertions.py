"""Assertions about an answer: what holds, what does not, what is said about it; compiled as walked."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.load.assertions import compile_assertion
from osmia.load.language.answer import Answer
from osmia.load.language.parser import parse
from osmia.load.language.problems import RuleError
from tests.load.language.conftest import BODY, HEAD, MakeAnswer
from tests.load.language.reference import holds

TRUE = [
    # what the original got wrong
    "true || false && false",
    "variables.number == 7 && !(variables.number == 8)",
    "'5' != '6'",
    "not(exists(headers.x))",
    'regexp(headers.server, "ng.*", 0) == "nginx"',
    # names
    "status_code == 200",
    "STATUS_CODE == 200 && Response_Time > 12",
    "response_time >= 12.5 && response_time <= 12.5",
    "response_size > 100",
    'headers.server == "nginx" && headers.SERVER == "nginx"',
    'cookies.sid == "abc" && cookies.sid.value == "abc" && cookies.sid.name == "sid"',
    "cookies.sid.maxAge == 3600 && cookies.sid.secure && !cookies.sid.httpOnly",
    'cookies.sid.path == "/" && cookies.old.expires == 10 && cookies.old.httpOnly',
    'contains(cookies.old.rawExpires, "1970") && contains(cookies.sid.raw, "Max-Age=3600")',
    'cookies.old.expires < time("Tue, 24 Nov 2026 08:00:00 GMT")',
    # text from outside beside numbers, truths and structures
    "headers.x-count == 7 && headers.x-count < 8 && headers.x-count >= 7",
    "variables.digits == 7 && variables.digits != 8 && variables.flag == true && variables.flag",
    "headers.x-list == [1, 2.0]",
    "equals(body, " + BODY.decode() + ")",
    "in(1, headers.x-list)",
    # values of JSON bodies have types
    'json_path("user.id") == 42 && json_path("user.id") != "42"',
    'json_path("text") == "5" && json_path("text") != 5',
    'json_path("user.is_new") && json_path("user.is_new") != 1',
    'json_path("user.ratio") == 2',
    'json_path("user.none") == null && !exists(json_path("user.none")) && !exists(json_path("user.nothing"))',
    'json_path("ids") == [3, 1, 2] && json_path("ids.#") == 3',
    'json_path("user") == {"id": 42, "name": "Anna", "is_new": true, "none": null, "ratio": 2}',
    'json_path("big") == 123456789012345678901234567890',
    # functions
    "less_than(status_code, 201) && greater_than(status_code, 199) && equals(status_code, 200)",
    'in(status_code, [200, 201]) && !in("a", ["b"]) && in(json_path("user.id"), [1, 42])',
    'contains(body, "Anna") && contains(json_path("ids"), 3) && contains(json_path("user"), "id")',
    "range(status_code, 200, 201) && !range(status_code, 199, 200)",
    'range(json_path("user.id"), 42, 43)',
    'matches(headers.server, "^n") && !matches(headers.server, "^x") && matches(status_code, "2..")',
    'regexp(body, "[0-9]", 1) == 2',
    'min(json_path("ids")) == 1 && max(json_path("ids")) == 3 && avg(json_path("ids")) == 2',
    'p50(json_path("ids")) == 2 && p99(json_path("ids")) == 3 && p99_9([1]) == 1 && p99.9([1]) == p999([1])',
    "p80([1,2,3,4,5]) == 4 && p90([1,2,3,4,5]) == 5",
    # arithmetic
    "1 + 2 * 3 == 7 && 7 / 2 == 3.5 && 7 % 4 == 3 && -status_code == -200 && 1 - 2 - 3 == -4",
    '"a" + "b" == "ab" && variables.word + "!" == "seven!"',
    "variables.number + 1 == 8 && headers.x-count * 2 == 14",
    '"a" < "b" && variables.word > "sev"',
]
FALSE = [
    "false || true && false",
    "headers.nothing == 1",
    "headers.nothing != 1",
    "variables.nothing == 1 || true",
    'cookies.nothing == ""',
    'json_path("nothing") == null',
    'json_path("user.name") < 5',
    'json_path("user.name")',
    'json_path("text") > 4',
    "variables.word == 7",
    "headers.server > 3",
    'xpath("//a") == 1',
    'regexp(body, "nowhere") == ""',
    "in(1, headers.server)",
    "status_code / (variables.number - 7) > 1",
    "variables.word * 2 == 2",
    'p95(json_path("user")) > 1',
]


@pytest.mark.parametrize("rule", TRUE)
def test_what_holds(make_answer: MakeAnswer, rule: str) -> None:
    """Each of these is true of the answer, compiled and walked, and nothing is said against it."""
    assertion = compile_assertion(rule)

    assert assertion.holds(make_answer())
    assert assertion.explain(make_answer())[1] == ""


@pytest.mark.parametrize("rule", FALSE)
def test_what_does_not_hold(make_answer: MakeAnswer, rule: str) -> None:
    """False, or without a value; a reason is given."""
    assertion = compile_assertion(rule)

    assert not assertion.holds(make_answer())
    assert assertion.explain(make_answer())[1]


_WALKABLE = [rule for rule in TRUE + FALSE if "xpath" not in rule and "cookies" not in rule]


@given(st.data())
def test_compiled_rules_are_what_walked_rules_are(data: st.DataObject) -> None:
    """Parts of the rules above, put together at random, over answers that vary."""
    parts = data.draw(st.lists(st.sampled_from(_WALKABLE), min_size=1, max_size=3))
    sign = data.draw(st.sampled_from([" && ", " || ", " == ", " != "]))
    rule = sign.join(f"({part})" for part in parts)
    digits = data.draw(st.sampled_from(["7", "07", "x", "[1]", "1e2", ""]))
    answer = Answer(
        data.draw(st.sampled_from([200, 404])),
        HEAD,
        data.draw(st.sampled_from([BODY, b"", b"{"])),
        1,
        {"digits": digits},
    )

    assert compile_assertion(rule).holds(answer) is holds(parse(rule), answer)


_OPERANDS = (
    "0", "1", "2.0", "true", "false", "null", "'1'", "'x'", "[]", "[1]", "{}", "status_code", "headers.x-count",
    "variables.digits", "variables.list", "variables.number", "variables.nothing", 'json_path("text")',
    'json_path("user.id")', 'json_path("user.is_new")', 'json_path("user.none")', 'json_path("ids")', "body",
)  # fmt: skip


@pytest.mark.parametrize("sign", ["==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "&&", "||"])
def test_every_sign_between_every_two_operands_is_as_walked(make_answer: MakeAnswer, sign: str) -> None:
    """Whatever compiles gives what the walk gives: whichever types are known beforehand."""
    answer = make_answer()
    compared = 0
    for left in _OPERANDS:
        for right in _OPERANDS:
            rule = f"{left} {sign} {right}"
            if sign in "+-*/%":
                rule = f"exists({rule}) && {rule} == 8"
            try:
                assertion = compile_assertion(rule)
            except RuleError:
                continue
            compared += 1
            assert assertion.holds(answer) is holds(parse(rule), answer), rule

    assert compared > 20


def test_xml_and_html_are_searched(make_answer: MakeAnswer) -> None:
    """XPath 1.0: text of the first node, numbers and truths; HTML by the first child's text."""
    xml = make_answer(b"<a><b>one<c>two</c></b><b>3</b></a>")
    html = make_answer("<html><body><h1>Grüße<i>x</i></h1><p><b>y</b></p></body></html>".encode())

    assert compile_assertion('xpath("//b") == "onetwo" && xpath("//b[2]") == 3').holds(xml)
    assert compile_assertion('xpath("count(//b)") == 2 && xpath("//b[2]/text()") == "3"').holds(xml)
    assert compile_assertion('html_path("//h1") == "Grüße" && !exists(html_path("//p"))').holds(html)
    assert not compile_assertion('exists(xpath("//b"))').holds(make_answer(b"<!DOCTYPE x [<!ENTITY e 'y'>]><b>&e;</b"))


def test_a_body_equals_a_file(tmp_path: Path, make_answer: MakeAnswer) -> None:
    """As text or as JSON; the file is read when the rule is compiled."""
    file = tmp_path / "expected.json"
    file.write_text('{"b": [1, 2.0],\n "a": "x"}\n')
    rule = compile_assertion(f'equals_on_file(body, "{file}")')
    file.unlink()

    assert rule.holds(make_answer(b'{"a":"x","b":[1,2]}'))
    assert not rule.holds(make_answer(b'{"a":"x","b":[1,3]}'))
    with pytest.raises(RuleError, match="cannot be read"):
        compile_assertion(f'equals_on_file(body, "{file}")')


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("statuscode == 200", "there is no 'statuscode', column 1 - did you mean status_code?"),
        ("header.x == 1", "did you mean headers."),
        ("response_time-5 > 0", "a minus needs spaces around it"),
        ("iteration_duration == 1", "there are status_code"),
        ("1 < 2 && less_then(1, 2)", "there is no function 'less_then', column 10 - did you mean less_than?"),
        ("exists()", "exists takes 1 argument, not 0, column 1 - write exists(x)"),
        ("regexp(body)", "regexp takes 2 to 3 arguments, not 1"),
        ("status_code", "a rule says what must be true, and this is a number"),
        ('"abc"', "a rule says what must be true, and this is text"),
        ("1 < 2 < 3", "1 < 2 is true or false"),
        ('status_code < "a"', "a number and text have no order"),
        ('"a" - 1 == 2', "- needs a number"),
        ("!status_code", "! needs true or false"),
        ("status_code && true", "&& needs true or false"),
        ("1 / 0 == 1", "1 / 0 cannot be computed: division by zero"),
        ("json_path(status_code) == 1", "json_path needs text in quotes"),
        ('matches(body, "(")', "is no regular expression"),
        ('regexp(body, "a", -1) == ""', "counted from 0"),
        ('xpath("//[") == ""', "is no XPath"),
        ('time("yesterday") > 1', "is no date"),
        ("avg(1) > 1", "avg needs a series or an array, and 1 is a number"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_before_the_test_starts(rule: str, said: str) -> None:
    """Wrong names, wrong types that can be seen, constants that cannot be computed: what, where, and what to write."""
    with pytest.raises(RuleError) as caught:
        compile_assertion(rule)

    assert said in str(caught.value)
    assert str(caught.value).endswith("^")


def test_received_values_stand_by_their_names(make_answer: MakeAnswer) -> None:
    """Names and what was extracted, as the original's reports have them, and the part that is false."""
    rule = 'less_than(response_time, 100) && json_path("user.id") == 41 && headers.X-Count == 7'

    received, reason = compile_assertion(rule).explain(make_answer())

    assert received == {"response_time": 12.5, 'json_path("user.id")': 42, "headers.X-Count": "7"}
    assert reason == 'json_path("user.id") == 41 is false: json_path("user.id") is 42'


def test_a_missing_value_is_the_reason(make_answer: MakeAnswer) -> None:
    """Which one is missing."""
    received, reason = compile_assertion("headers.x == 1 && status_code == 200").explain(make_answer())

    assert received == {"status_code": 200}
    assert reason == "headers.x == 1: the answer has no header x"


@pytest.mark.parametrize(
    ("rule", "has_head", "has_body"),
    [
        ("status_code == 200 && response_time < 5 && variables.a == 1", False, False),
        ("exists(headers.x)", True, False),
        ('json_path("a") == 1', False, True),
        ("response_size == 1", False, True),
        ('contains(body, "x")', True, True),
    ],
)
def test_a_rule_tells_what_it_needs(rule: str, has_head: bool, has_body: bool) -> None:  # noqa: FBT001 - the case's
    """So that bodies are not kept for rules that do not read them."""
    needs = compile_assertion(rule).needs

    assert (needs.has_head, needs.has_body) == (has_head, has_body)


def test_deep_rules_compile() -> None:
    """What the parser lets through, Python's compiler does, too."""
    deep = "!" * 38 + "true"
    nested = "(" * 38 + "status_code" + " + 1)" * 38 + " == 238"

    assert compile_assertion(deep).holds(Answer(200, b"", b"", 0, {}))
    assert compile_assertion(nested).holds(Answer(200, b"", b"", 0, {}))


def test_text_is_decoded_as_its_type_says(make_answer: MakeAnswer) -> None:
    """UTF-8, another charset of Content-Type, or marks for what cannot be read."""
    latin = make_answer(
        "é".encode("latin-1"), head=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=latin-1\r\n\r\n"
    )
    unknown = make_answer(b"\xff", head=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=nonsense\r\n\r\n")

    assert (make_answer("é".encode()).text, latin.text, unknown.text) == ("é", "é", "\ufffd")
