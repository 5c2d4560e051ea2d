"""Configs that are wrong, and exactly what is said of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osmia.load.config import Loaded, load, load_text, to_json
from osmia.load.config.schema import TABLES
from osmia.load.plan import JsonValue
from osmia.model.errors import ConfigFileError, InputError

BAD = Path(__file__).parent / "bad"
CONFIGS = sorted(path.name for path in BAD.iterdir() if path.suffix in {".json", ".yaml"})


def _refused(url: str) -> bytes:
    raise InputError(f"{url} is not asked")


def _said(name: str) -> str:
    """What is said, with the places of this checkout taken out."""
    with pytest.raises(ConfigFileError) as refused:
        load(BAD / name, environment={}, fetch=_refused)
    return str(refused.value).replace(str(BAD), "BAD").replace(str(Path.cwd()), "HERE") + "\n"


@pytest.mark.parametrize("name", CONFIGS)
def test_bad_config_is_told_all_that_is_wrong(name: str) -> None:
    """Every problem with its place, key, value and remedy; OSMIA_SNAPSHOTS=1 writes the texts anew, to be read."""
    said, expected = _said(name), BAD / f"{name}.txt"

    if "OSMIA_SNAPSHOTS" in os.environ:  # noqa: TID251 - a switch of the test's, not a setting
        expected.write_text(said)
    assert said == expected.read_text()


def test_error_holds_the_problems_one_by_one() -> None:
    """Programs find file, line, column, key and remedy without reading the text."""
    with pytest.raises(ConfigFileError) as refused:
        load(BAD / "no_steps.json", environment={}, fetch=_refused)

    first = refused.value.problems[1]
    assert (first.line, first.column, first.path, first.value) == (1, 21, "iteration_count", "0")
    assert [one.remedy for one in refused.value.warnings] == ["did you mean steps?"]


def test_missing_file_is_said() -> None:
    """There is nothing to read."""
    with pytest.raises(ConfigFileError) as refused:
        load(BAD / "nowhere.json", environment={}, fetch=_refused)

    assert str(refused.value) == f"{BAD}/nowhere.json: cannot be read: No such file or directory"


def test_other_bytes_are_said(tmp_path: Path) -> None:
    """A config is UTF-8."""
    (tmp_path / "a.json").write_bytes(b'{"a": "\xff"}')

    with pytest.raises(ConfigFileError, match=r"is no UTF-8 text \(byte 7\) - save it as UTF-8"):
        load(tmp_path / "a.json", environment={}, fetch=_refused)


def test_a_file_of_another_kind_is_not_told_without_end() -> None:
    """After two hundred problems the rest is counted."""
    steps = ",".join(['{"method": 1}'] * 500)

    with pytest.raises(ConfigFileError) as refused:
        load_text(f'{{"steps": [{steps}]}}', "a.json", environment={}, fetch=_refused)

    assert len(refused.value.problems) == 201
    assert str(refused.value.problems[-1]) == "a.json: and 800 more problems"


def test_doubled_keys_are_warned_about() -> None:
    """The last one counts, as in the original."""
    loaded = load_text('{"steps": [{"url": "http://a/", "url": "http://b/"}]}', "a.json", environment={})

    assert loaded.plan.steps[0].url == "http://b/"
    assert [str(one) for one in loaded.warnings] == [
        "a.json:1:33: steps[0].url: comes twice in this table; this last one counts"
    ]


def test_expressions_that_may_take_minutes_are_warned_about() -> None:
    """Nested repetitions, in a capture and in a rule; others pass in silence."""
    steps = [
        {
            "id": 1,
            "url": "http://a/",
            "assertion": ["regexp(body, '(a+)+b', 0) == 'x'", "matches(body, '[a-z]+')"],
            "capture_env": {"X": {"from": "body", "regexp": {"exp": "(.*,)*", "matchNo": 0}}},
        }
    ]

    loaded = load_text(json.dumps({"steps": steps}), "a.json", environment={})

    assert [one.path for one in loaded.warnings] == ["steps[0].assertion[0]", "steps[0].capture_env.X"]
    assert all("takes minutes" in one.problem for one in loaded.warnings)


# ---- nothing crashes ----

NAMES = [key.name for table in TABLES for key in table.keys]
WORDS = st.one_of(
    st.sampled_from(
        ["body", "header", "cookies", "http://x/", "{{a}}", "{{_guid}}", "{{$A}}", "{{rand(a)}}", "1-2", "a"]
    ),
    st.text(max_size=6),
)
SCALARS: st.SearchStrategy[JsonValue] = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 100_000), st.floats(allow_nan=False, allow_infinity=False), WORDS
)
KEYS = st.one_of(st.sampled_from(NAMES), WORDS)
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=20,
)
STEPS: st.SearchStrategy[JsonValue] = st.builds(
    dict, st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6), url=WORDS
)
DOCUMENTS: st.SearchStrategy[dict[str, JsonValue]] = st.builds(
    dict, st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6), steps=st.lists(STEPS, max_size=2)
)


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS)
def test_no_document_crashes_the_reader(document: dict[str, JsonValue]) -> None:
    """Any document is a plan, or a `ConfigFileError` whose problems name their places."""
    try:
        found: Loaded | ConfigFileError = load_text(to_json(document), "a.json", environment={}, fetch=_refused)
    except ConfigFileError as refused:
        found = refused

    if isinstance(found, ConfigFileError):
        assert all(problem.line and problem.problem for problem in found.problems)
    else:
        assert found.plan.steps


def test_credentials_are_not_repeated() -> None:
    """Messages end up in logs: passwords of URLs and `auth` are left out."""
    text = 'proxy: "socks9://me:secret@p"\nsteps: [{url: "ftp://me:secret@x/", auth: {password: "secret{{x}}"}}]'

    with pytest.raises(ConfigFileError) as refused:
        load_text(text, "a.yaml", environment={}, fetch=_refused)

    assert "secret" not in str(refused.value)
    assert [problem.path for problem in refused.value.problems] == ["proxy", "steps[0].url", "steps[0].auth.password"]
