"""JSON and YAML are read with places, and refused with reasons."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.load.config.document import parse
from osmia.load.config.nodes import Node, Place
from osmia.load.config.writing import to_json, to_yaml
from osmia.load.plan import JsonValue
from osmia.model.errors import ConfigFileError

SCALARS: st.SearchStrategy[JsonValue] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4))
)
WRITABLE = st.text(st.characters(exclude_categories=("Cs", "Cc", "Co", "Cn"), exclude_characters="\ufeff\u2028\u2029"))
WRITABLE_VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), WRITABLE),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WRITABLE, inner, max_size=4)),
)
NO_NUMBER = "this is no JSON number: no leading +, zeros or dot, and digits after the dot"
HALF = r"characters beyond \uffff are two \u together, or are written as they are"
NO_COMMENT = "JSON has no comments: take it out, or write the config as YAML, which has them (#)"


def _at(node: Node, *keys: str | int) -> Node:
    for key in keys:
        value = node.value
        if isinstance(key, int):
            assert isinstance(value, tuple)
            node = value[key]
        else:
            assert isinstance(value, dict)
            node = value[key]
    return node


def _refusal(text: str, name: str) -> str:
    with pytest.raises(ConfigFileError) as refused:
        parse(text, name)
    return str(refused.value)


@given(VALUES)
def test_json_reads_what_json_writes(value: JsonValue) -> None:
    """Every value comes back from its JSON, whatever text and numbers are in it."""
    assert parse(json.dumps(value), "a.json").plain() == value


@given(st.dictionaries(WRITABLE, WRITABLE_VALUES, max_size=4))
def test_yaml_reads_what_is_written_as_yaml(document: dict[str, JsonValue]) -> None:
    """Documents come back from the YAML that converters write."""
    assert parse(to_yaml(document), "a.yaml").plain() == document


@given(st.dictionaries(WRITABLE, WRITABLE_VALUES, max_size=4))
def test_json_reads_what_is_written_as_json(document: dict[str, JsonValue]) -> None:
    """Documents come back from the JSON that converters write."""
    assert parse(to_json(document), "a.json").plain() == document


@given(st.text())
@pytest.mark.parametrize("name", ["a.json", "a.yaml", "a"])
def test_no_text_crashes_the_reader(name: str, text: str) -> None:
    """Any text is read, or refused as a config."""
    with contextlib.suppress(ConfigFileError):
        assert isinstance(parse(text, name), Node)


@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_values_remember_where_they_stand(name: str) -> None:
    """Line and column of values and keys count from 1."""
    node = parse('{\n  "steps": [\n    {"id": 1, "url": "http://x/"}\n  ]\n}', name)

    assert _at(node, "steps", 0, "url").place == Place(3, 22)
    assert _at(node, "steps", 0).keys["url"] == Place(3, 15)


def test_yaml_is_version_1_2() -> None:
    """Words, times and leading zeros are what YAML 1.2 says, not what 1.1 said."""
    node = parse("{a: on, b: 1:30, c: 010, d: 0o10, e: 2026-01-31, f: 1e3, g: ~, h: no, i: 0x1F, j: .5}", "a.yaml")

    expected = {"a": "on", "b": "1:30", "c": 10, "d": 8, "e": "2026-01-31", "f": 1000.0, "g": None, "h": "no", "i": 31}
    assert node.plain() == {**expected, "j": 0.5}
    assert _at(node, "c").source == "010"


def test_yaml_merges_tables() -> None:
    """`<<` brings in what is not written, and what is written counts."""
    node = parse("base: &base {a: 1, b: 2}\nstep:\n  <<: *base\n  b: 3\n", "a.yaml")

    assert _at(node, "step").plain() == {"a": 1, "b": 3}


def test_keys_of_yaml_are_text() -> None:
    """Column numbers may stand without quotes."""
    assert parse("vars:\n  0: {tag: a}\n", "a.yaml").plain() == {"vars": {"0": {"tag": "a"}}}


def test_a_byte_order_mark_is_no_text() -> None:
    """Files saved by some editors begin with one."""
    assert parse('\ufeff{"a": 1}', "a.json").plain() == {"a": 1}


def test_what_begins_like_json_is_json() -> None:
    """A name that says nothing leaves it to the text."""
    assert "no comma after the last value" in _refusal('{"a": 1,}', "-")
    assert parse('{"a": 1,}', "a.yml").plain() == {"a": 1}


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ('{"a": 1,}', "a.json:1:8: a comma before } - take it out: JSON has no comma after the last value"),
        ('{"a": 01}', f"a.json:1:7: 01 where a value should be - {NO_NUMBER}"),
        ('{"a": NaN}', "a.json:1:7: NaN where a value should be - JSON has no NaN and no Infinity"),
        ('{"a": True}', "a.json:1:7: True where a value should be - in JSON it is written true"),
        ("{a: 1}", 'a.json:1:2: a where a key should be - a key stands in double quotes: "..."'),
        ("{'a': 1}", 'a.json:1:2: a single quote where a key should be - JSON text stands in double quotes: "..."'),
        ('{"a": 1 "b": 2}', "a.json:1:9: '\"' after a value - a comma or } is missing (opened in line 1, column 1)"),
        ('{\n// x\n"a": 1}', f"a.json:2:1: a comment where a key should be - {NO_COMMENT}"),
        ('{"a": "x\ny"}', r"a.json:1:9: a line break or tab inside text - write \n or \t"),
        (r'{"a": "\q"}', r"a.json:1:8: a backslash that means nothing - write \\ for a backslash itself"),
        (r'{"a": "\ud800x"}', rf"a.json:1:7: half a character in this text - {HALF}"),
        ('{"a": "x', 'a.json:1:7: text without an end - its closing " is missing'),
        ('{"a": 1} b', "a.json:1:10: b after the end of the document - a file holds one JSON value"),
        ('{"a" 1}', "a.json:1:6: 1 after the key 'a' - a colon and a value follow a key"),
        ("", "a.json:1:1: the file's end where a value should be"),
        ("[" * 5000, "a.json:1:101: more than 100 values inside each other"),
    ],
)
def test_json_says_what_it_forbids(text: str, refusal: str) -> None:
    """Each mistake has its place, its name and, where there is one, its remedy."""
    assert _refusal(text, "a.json") == refusal


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("url: {{host}}/x", ("a.yaml:1:7", "no text where a key should be", 'stands in quotes: "{{name}}"')),
        ("a: b: c", ("a.yaml:1:5", "text with a colon and a space in it stands in quotes")),
        ("a:\n\t- b", ("a.yaml:2:1", "YAML is indented with spaces, not tabs")),
        ("a: *b", ("a.yaml:1:4", "*b stands for nothing")),
        ("a: !x b", ("a.yaml:1:4", "the tag !x", "configs have no tags")),
        ("a: 1\n---\nb: 1", ("a.yaml:2:1", "a second document")),
        ("a: [1, 2", ("a.yaml:2:1", "did not find expected")),
        ("a: &a [*a]", ("a.yaml:1:8", "*a stands for nothing")),
        ("a: " + "1" * 5000, ("a.yaml:1:4", "a number of 5000 digits")),
        ("- " * 100_000, ("a.yaml:1:201", "more than 100 values inside each other")),
        ("\0", ("a.yaml", "this is not YAML")),
    ],
)
def test_yaml_says_what_is_wrong(text: str, parts: tuple[str, ...]) -> None:
    """Each mistake has its place and a text; what the library says is kept, with a remedy for what is common."""
    refusal = _refusal(text, "a.yaml")

    assert [part for part in parts if part not in refusal] == []


def test_aliases_cannot_make_billions_of_values() -> None:
    """Ten lines of aliases are counted before anything is built of them."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 10)]

    assert "more than 1,000,000 values" in _refusal("\n".join(lines), "a.yaml")
