"""Documents to text: YAML as people write it, or JSON; read back, both are what was written."""

from __future__ import annotations

import json
from collections.abc import Mapping

import yaml

from osmia.load.config.yaml_text import reads_as_text
from osmia.load.plan import JsonValue

__all__ = ["to_json", "to_yaml"]


def to_yaml(document: Mapping[str, JsonValue]) -> str:
    """YAML in the order of the document; long text below `|`, and quotes only where they are needed."""
    return yaml.dump(dict(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"))


def to_json(document: Mapping[str, JsonValue]) -> str:
    """JSON with an indentation of two."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002 - PyYAML's
        del indentless
        super().increase_indent(flow, False)  # noqa: FBT003 - PyYAML's


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Text with several lines below `|`; in quotes where YAML 1.2 would read a number, as PyYAML writes for 1.1."""
    style = None
    if "\n" in text and text.strip() and not text[0].isspace():
        style = "|"
    elif not reads_as_text(text):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
