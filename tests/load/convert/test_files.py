"""Collections, recordings and descriptions as their tools write them become configs that load."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from osmia.load.config import load_text, to_yaml
from osmia.load.convert import Conversion, ConvertOptions, HarOptions, Kind, convert
from osmia.model.errors import InputError

FILES = Path(__file__).parent / "files"
ENVIRONMENT = (FILES / "local.postman_environment.json").read_text()
NEEDED = ("avatar.png", "a.txt", "b.txt", "rows.csv", "a.png", "file.bin")


def _convert(name: str, options: ConvertOptions | None = None) -> Conversion:
    return convert((FILES / name).read_text(), name, options=options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("shop.postman_collection.json", ConvertOptions(postman_environment=ENVIRONMENT)),
        ("shop.har", ConvertOptions(har=HarOptions(has_sleeps=True))),
        ("shop.openapi.yaml", ConvertOptions()),
    ],
)
def test_file_becomes_a_config_that_loads(name: str, options: ConvertOptions, tmp_path: Path) -> None:
    """The whole config and every warning; OSMIA_SNAPSHOTS=1 writes them anew, to be read."""
    found = _convert(name, options)

    text = to_yaml(found.document)
    said = text + "".join(f"# {warning}\n" for warning in found.warnings)
    expected = FILES / f"{name}.expected.yaml"
    if "OSMIA_SNAPSHOTS" in os.environ:  # noqa: TID251 - a switch of the test's, not a setting
        expected.write_text(said)
    assert said == expected.read_text()
    for file in NEEDED:
        (tmp_path / file).write_text("x")
    loaded = load_text(text.replace("pictures/", ""), "a.yaml", folder=tmp_path, environment={})
    assert len(loaded.plan.steps) >= 5
    assert loaded.warnings == ()


def test_postman_folder_can_be_chosen() -> None:
    """Only the requests of one folder, with what it hands down."""
    found = _convert("shop.postman_collection.json", ConvertOptions(folder="Account"))

    steps = found.document["steps"]
    assert isinstance(steps, list)
    assert [step["name"] for step in steps if isinstance(step, dict)] == ["Account / Sign in", "Account / Avatar"]


def test_older_postman_format_is_understood() -> None:
    """Format 2.0 has tables for authentication, and texts for headers and URLs."""
    text = """{"info": {"name": "old"}, "item": [{"name": "a", "request": {
      "url": "localhost:8200/:id?x=1", "method": "post", "header": "A: b\\nC: d:e",
      "auth": {"type": "basic", "basic": {"username": "u", "password": "{{p}}"}},
      "body": {"mode": "urlencoded", "urlencoded": "a=1&b=2"}}}, {"name": "b", "request": "http://localhost/"}]}"""
    found = convert(text, "a.json")

    assert found.document["steps"] == [
        {
            "id": 1,
            "name": "a",
            "url": "http://localhost:8200/:id?x=1",
            "method": "POST",
            "headers": {"A": "b", "C": "d:e", "Content-Type": "application/x-www-form-urlencoded"},
            "auth": {"username": "u", "password": "{{p}}"},
            "payload": "a=1&b=2",
        },
        {"id": 2, "name": "b", "url": "http://localhost/"},
    ]
    assert found.warnings == (
        "a: the path variable :id has no value",
        "{{p}} has no value in what was converted: write it into env.p",
    )


def test_recording_without_static_files_and_other_hosts() -> None:
    """Images and scripts, and what goes to other hosts, can be left out; that is said."""
    options = ConvertOptions(har=HarOptions(has_static=False, hosts=("shop.example",)))
    found = _convert("shop.har", options)

    steps = found.document["steps"]
    assert isinstance(steps, list)
    names = [step["name"] for step in steps if isinstance(step, dict)]
    assert names == ["/", "/cart", "/login", "/upload"]
    assert found.warnings[-2:] == (
        "requests left out because they go to other hosts: 1",
        "requests left out because they are wss URLs: 1",
    )


def test_openapi_server_and_tag_can_be_chosen() -> None:
    """Where the API is, and which operations are wanted."""
    found = _convert("shop.openapi.yaml", ConvertOptions(server="http://localhost:8200/", tag="users"))

    steps = found.document["steps"]
    assert isinstance(steps, list)
    assert [step["url"] for step in steps if isinstance(step, dict)] == [
        "http://localhost:8200/users/{name}/files",
        "http://localhost:8200/sign-in",
    ]


@pytest.mark.parametrize(
    ("text", "kind", "refusal"),
    [
        ("{}", None, "a.json is no Postman collection, HAR, OpenAPI document or curl command"),
        ("{}", Kind.HAR, "this is no HAR"),
        ("{}", Kind.POSTMAN, "this is no Postman collection"),
        ("{}", Kind.OPENAPI, "this is no OpenAPI document"),
        ('{"swagger": "2.0"}', None, "Swagger 2.0 is not understood"),
        ('{"openapi": "3.0.0"}', None, "the document has no operation"),
        ('{"info": {}, "item": []}', None, "the collection has no request"),
        ('{"log": {"entries": []}}', None, "no request is left - the recording is empty"),
        ("wget http://x/", Kind.CURL, "no curl command with a URL was found"),
        ("curl 'http://x/", None, "the quote ' in line 1 does not end"),
    ],
)
def test_what_cannot_be_converted_is_refused(text: str, kind: Kind | None, refusal: str) -> None:
    """With the reason, and what would help."""
    with pytest.raises(InputError) as refused:
        convert(text, "a.json", kind=kind)

    assert str(refused.value).startswith(refusal)
