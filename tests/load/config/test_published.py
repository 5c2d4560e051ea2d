"""What is published is what is checked: JSON Schema and reference page come from the table of keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from osmia.load.config.document import parse
from osmia.load.config.publishing import json_schema, reference_page, schema_text
from osmia.load.config.report import Report
from osmia.load.config.schema import CONFIG, TABLES
from osmia.load.plan import JsonValue

GOOD = Path(__file__).parent / "good"
VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def test_published_schema_is_one() -> None:
    """It follows the rules of JSON Schema itself."""
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text()))


@pytest.mark.parametrize(
    "name", sorted(path.name for path in GOOD.iterdir() if path.name not in {"users.csv", "order.json"})
)
def test_schema_accepts_what_is_read(name: str) -> None:
    """Every good config has the published form; what it does not know is what is warned about."""
    document = parse((GOOD / name).read_text(), name).plain()
    errors = [error.message for error in VALIDATOR.iter_errors(document)]

    assert errors == (["Additional properties are not allowed ('p95_is' was unexpected)"] if "journey" in name else [])


def test_every_key_is_described_and_every_table_is_listed() -> None:
    """The table says what each key does, and the page has a section for each table."""
    assert [key.name for table in TABLES for key in table.keys if len(key.help) < 5] == []
    assert [table.name for table in TABLES if f"\n## {table.name}\n" not in reference_page()] == []


# ---- the schema and the check are one ----

SCALARS: st.SearchStrategy[JsonValue] = st.one_of(
    st.booleans(),
    st.integers(-2, 100_000),
    st.sampled_from([0.5, 2.0, "a", "1", "GET", "wAveD", "body", "5-10", "", "a-b", ";"]),
)
SCALAR_LISTS = st.lists(SCALARS, max_size=2)


def _documents() -> st.SearchStrategy[dict[str, Any]]:
    """Tables of known keys with right and wrong values, two levels deep."""
    names = sorted({key.name for table in TABLES for key in table.keys} - {"$schema"})
    inner = st.one_of(SCALARS, SCALAR_LISTS, st.dictionaries(st.sampled_from([*names, "0"]), SCALARS, max_size=3))
    tables = st.dictionaries(st.sampled_from(names), inner, max_size=3)
    steps = st.lists(st.dictionaries(st.sampled_from([*names, "url"]), inner, max_size=3), max_size=2)
    values = st.one_of(SCALARS, tables, st.lists(tables, max_size=2))
    keys = [key.name for key in CONFIG.keys if key.name not in {"$schema", "steps"}]
    return st.fixed_dictionaries({"steps": steps}, optional=dict.fromkeys(keys, values))


@settings(max_examples=400, deadline=None)
@given(_documents())
def test_schema_and_check_agree(document: dict[str, Any]) -> None:
    """A document that only has known keys passes both or neither; unknown keys are errors of the schema alone."""
    report = Report("a")
    CONFIG.check(parse(json.dumps(document), "a.json"), "", report)
    errors = [error for error in VALIDATOR.iter_errors(document) if error.validator != "additionalProperties"]

    assert bool(errors) == bool(report.errors)


def test_schema_is_yaml_too() -> None:
    """The page's advice for YAML editors works: the schema's text is YAML as well."""
    assert yaml.safe_load(schema_text()) == json_schema()
