"""Converters take what others wrote: whatever it is, a config or a refusal."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osmia.load.config import to_json
from osmia.load.convert import Conversion, ConvertOptions, HarOptions, Kind, convert
from osmia.load.plan import JsonValue
from osmia.model.errors import ConfigFileError, InputError

WORDS = """
info item request url raw host path query variable key value header body mode formdata urlencoded graphql file src
type auth basic bearer apikey event script exec response log entries method headers name cookies postData params text
mimeType httpVersion startedDateTime time openapi servers paths /a/{b} get post parameters in schema $ref content
application/json multipart/form-data example examples default enum allOf oneOf properties items required components
securitySchemes security
"""
KEYS = st.sampled_from(WORDS.split())
SCALARS: st.SearchStrategy[JsonValue] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from(
        ["", "GET", "http://x/", "{{a}}", "{{$guid}}", "#/info", "#/a", "path", "query", "object", "h2", "3.1"]
    ),
    st.text(max_size=4),
)
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=25,
)
REQUESTS: st.SearchStrategy[JsonValue] = st.builds(
    dict, st.dictionaries(KEYS, VALUES, max_size=5), url=st.just("http://x/"), method=st.just("POST")
)


def _documents(kind: Kind) -> st.SearchStrategy[JsonValue]:
    any_table = st.dictionaries(KEYS, VALUES, max_size=3)
    if kind is Kind.HAR:
        entries: st.SearchStrategy[list[JsonValue]] = st.lists(
            st.builds(dict, any_table, request=REQUESTS), min_size=1, max_size=3
        )
        return st.builds(lambda found: {"log": {"entries": found}}, entries)
    if kind is Kind.POSTMAN:
        items: st.SearchStrategy[list[JsonValue]] = st.lists(
            st.builds(dict, any_table, request=REQUESTS, name=st.just("a")), min_size=1, max_size=3
        )
        return st.builds(lambda table, found: {**table, "info": {}, "item": found}, any_table, items)
    paths = st.dictionaries(st.sampled_from(["/a", "/a/{b}"]), any_table, max_size=2)
    return st.builds(lambda table, found: {**table, "openapi": "3.0.1", "paths": found}, any_table, paths)


@pytest.mark.parametrize("kind", [Kind.POSTMAN, Kind.HAR, Kind.OPENAPI])
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_document_crashes_a_converter(kind: Kind, data: st.DataObject) -> None:
    """Any JSON is converted, or refused with a reason."""
    document = data.draw(_documents(kind))
    options = ConvertOptions(har=HarOptions(has_sleeps=True, has_static=False))

    with contextlib.suppress(InputError, ConfigFileError):
        found = convert(to_json(document if isinstance(document, dict) else {}), "a.json", kind=kind, options=options)
        assert isinstance(found, Conversion)
        assert found.document["steps"]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                ["-X", "-d", "-F", "a=@b", "-H", "a: b", "--next", "'", '"', "$'", "\\", ";", "-u", "--resolve"]
            ),
            st.text(max_size=5),
        ),
        max_size=8,
    )
)
def test_no_command_crashes_the_converter(words: list[str]) -> None:
    """Any words behind `curl` are converted, or refused with a reason."""
    with contextlib.suppress(InputError):
        found = convert(f"curl {' '.join(words)} http://x/", "a.sh", kind=Kind.CURL)
        assert found.document["steps"]
