"""A file's text to nodes, JSON or YAML by the file's name, with every mistake told with file, line and column."""

from __future__ import annotations

from osmia.load.config.json_text import parse_json
from osmia.load.config.nodes import Node, SyntaxProblemError
from osmia.load.config.yaml_text import parse_yaml
from osmia.model.errors import ConfigFileError, Problem

__all__ = ["parse"]

_YAML_ENDINGS = (".yaml", ".yml")


def parse(text: str, name: str) -> Node:
    """The value that the text of the file `name` holds.

    `.yaml` and `.yml` are YAML; anything else is JSON if it begins like JSON, or is called `.json`.

    Raises:
        ConfigFileError: the text is not what it should be; one problem, because what follows is a guess.
    """
    text = text.removeprefix("\ufeff")
    lowered = name.lower()
    begins_like_json = text.lstrip()[:1] in {"{", "["}
    is_json = lowered.endswith(".json") or (begins_like_json and not lowered.endswith(_YAML_ENDINGS))
    try:
        return parse_json(text) if is_json else parse_yaml(text)
    except SyntaxProblemError as error:
        line, column = error.place.line, error.place.column
        problem = Problem(file=name, line=line, column=column, problem=error.problem, remedy=error.remedy)
        raise ConfigFileError([problem]) from error
