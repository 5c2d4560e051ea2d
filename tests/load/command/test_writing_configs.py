"""The sub-commands that help to write configs: validate, convert, schema, variables; and what is said of bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.load.command.world import Book, osmia_load, report_of

GOOD: dict[str, Any] = {
    "iteration_count": 20,
    "duration": 2,
    "env": {"HOST": "http://localhost:8200"},
    "steps": [{"id": 1, "url": "{{HOST}}/currencies/", "assertion": ["status_code == 200"]}],
    "success_criterias": [{"rule": "p95(iteration_duration) < 800"}],
}


def written(directory: Path, **changes: Any) -> str:  # noqa: ANN401 - a document
    """A config with changes, indented, so that problems have lines."""
    path = directory / "config.json"
    path.write_text(json.dumps({**GOOD, **changes}, indent=2))
    return str(path)


def step(**changes: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - a document
    """The steps of a config with one that is changed."""
    return [{**GOOD["steps"][0], **changes}]


def test_a_good_config_is_described(tmp_path: Path) -> None:
    """What it would do, and exit code 0; nothing is sent."""
    said = osmia_load("validate", written(tmp_path))

    assert said.returncode == 0, said.stderr
    for text in ("20", "currencies", "p95(iteration_duration) < 800"):
        assert text in said.stdout


def test_an_unknown_key_is_a_warning(tmp_path: Path) -> None:
    """With the nearest that exists; the config is good."""
    said = osmia_load("validate", written(tmp_path, itteration_count=5))

    assert said.returncode == 0
    assert "iteration_count" in said.stderr


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"duration": 0}, ("duration = 0",)),
        ({"load_type": "sine"}, ("load_type", "sine", "linear")),
        ({"steps": []}, ("steps",)),
        ({"steps": [*GOOD["steps"], *GOOD["steps"]]}, ("steps[1].id", "1")),
        ({"steps": step(url="ftp://files/")}, ("steps[0].url", "http")),
        ({"steps": step(method="FETCH")}, ("steps[0].method", "FETCH")),
        ({"steps": step(url="http://a/{{TOKEN}}/")}, ("TOKEN",)),
        ({"steps": step(assertion=["status_code = 200"])}, ("steps[0].assertion[0]",)),
        ({"steps": step(timeout=-1)}, ("steps[0].timeout", "-1")),
        ({"success_criterias": [{"rule": "p95(iteration_duration < 5"}]}, ("success_criterias[0].rule",)),
        ({"engine_mode": "unique-user"}, ("engine_mode", "distinct-user")),
    ],
)
def test_bad_configs_name_line_key_value_and_remedy(
    tmp_path: Path, changes: dict[str, Any], parts: tuple[str, ...]
) -> None:
    """By validate and by a run alike: exit code 2, the file and the line."""
    path = written(tmp_path, **changes)

    for arguments in (("validate", path), ("--config", path)):
        said = osmia_load(*arguments)

        assert said.returncode == 2
        assert said.stdout == ""
        assert f"{path}:" in said.stderr
        for part in parts:
            assert part in said.stderr


def test_what_is_no_json_is_told_with_its_place(tmp_path: Path) -> None:
    """Line and column of the first character that does not fit."""
    path = tmp_path / "config.json"
    path.write_text('{\n  "steps": [,]\n}\n')

    said = osmia_load("validate", str(path))

    assert said.returncode == 2
    assert f"{path}:2:" in said.stderr


def test_a_missing_file_is_told() -> None:
    """By name."""
    said = osmia_load("--config", "nowhere.json")

    assert said.returncode == 2
    assert "nowhere.json" in said.stderr


def test_a_curl_command_becomes_a_config_that_runs(book: Book, tmp_path: Path) -> None:
    """Copied from a browser, piped in, run."""
    command = f"curl '{book.url}/echo/?a=1' -X PUT -H 'X-Bee: busy' --data-raw 'hum'"

    converted = osmia_load("convert", "-", given=command)
    path = tmp_path / "config.json"
    path.write_text(converted.stdout)
    report = report_of(osmia_load("--config", str(path), "-n", "3", "-d", "1", "-o", "stdout-json"))

    assert converted.returncode == 0, converted.stderr
    assert report["success_count"] == 3
    assert {(line["method"], line["path"], line["body"]) for line in book.lines()} == {("PUT", "/echo/", "hum")}


def test_conversions_may_be_yaml() -> None:
    """For those who will edit it."""
    said = osmia_load("convert", "-", "--yaml", given="curl http://localhost/")

    assert said.returncode == 0, said.stderr
    assert "url: http://localhost/" in said.stdout


def test_what_is_none_of_the_kinds_is_refused() -> None:
    """With the kinds that there are."""
    said = osmia_load("convert", "-", given='{"what": 1}')

    assert said.returncode != 0
    assert "Postman" in said.stderr


def test_the_schema_describes_configs() -> None:
    """JSON Schema on stdout."""
    said = osmia_load("schema")

    assert said.returncode == 0
    assert json.loads(said.stdout)["$schema"].startswith("https://json-schema.org/")


def test_every_variable_is_listed_with_an_example() -> None:
    """More than a hundred; the same with the same seed, but for those that are about now."""
    first, second = (osmia_load("variables", "--seed", "1").stdout.splitlines() for _ in range(2))

    assert len(first) > 110
    assert any(line.startswith("{{_randomInt}}") for line in first)
    assert len(set(first) ^ set(second)) < 20
