"""The declared keys for others: the JSON Schema for editors and checkers, and the reference page."""

from __future__ import annotations

import json

from osmia.load.config.kinds import Key, Schema
from osmia.load.config.schema import TABLES
from osmia.load.plan import JsonValue

__all__ = ["json_schema", "reference_page", "schema_text"]


def json_schema() -> Schema:
    """JSON Schema (2020-12) of a config file."""
    first = TABLES[0]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Osmia load test",
        "$ref": f"#/$defs/{first.name}",
        "$defs": {table.name: table.definition() for table in TABLES},
    }


def schema_text() -> str:
    """The schema as it is published: `docs/reference/load-config.schema.json`, `osmia load schema`."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


_INTRODUCTION = """\
# Load test config

Written from the table of keys by `make docs`; do not edit. The same as [JSON Schema](load-config.schema.json), for
editors: `"$schema": "load-config.schema.json"` in JSON, `# yaml-language-server: $schema=load-config.schema.json` in
YAML. `osmia load validate FILE` checks a file and starts nothing.

A config is JSON or YAML (1.2: `on` and `yes` are text). Keys, defaults and meanings are those of the Ddosify engine, so
its files run as they are. Names of keys are known in any case; keys that nobody knows are not used, and a warning says
which was perhaps meant. `null` is as good as leaving the key out. Where text is asked for, a number or boolean is taken
as it is written. Relative paths are looked up in the working directory, then beside the config.

Whatever is wrong is told at once, each with file, line, column, key, value and remedy:

```text
load.json:7:17: steps[0].method = "GTE": must be one of GET, POST, PUT, DELETE, PATCH, HEAD, OPTIONS - did you mean GET?
```

Which load it is: `manual_load` counts before all; then `stages`, `rate` or `vus`, of which there can be one (`stages`
may begin at a `rate` or a number of `vus`); else `iteration_count`, `duration` and `load_type`. With `rate`,
`iteration_count` ends the test after so many; with `vus`, too, and without `duration` only that does.

`{{name}}` stands for a value of `env`, of a `data` file (`{{data.FILE.tag}}`), or of a capture of an **earlier** step;
`{{rand(name)}}` for one element of a list, `{{_name}}` for a [random value](load-language.md), `{{$NAME}}` for a
variable of the environment. A name that nothing gives a value is an error (in a `payload_file`: a warning).
"""


def reference_page() -> str:
    """`docs/reference/load-config.md`."""
    lines = [_INTRODUCTION]
    for table in TABLES:
        lines += [f"## {table.name}", "", table.help, "", "| key | value | default | |", "|---|---|---|---|"]
        lines += [_row(key) for key in table.keys if not key.name.startswith("$")]
        lines += [""]
    return "\n".join(lines)


def _row(key: Key) -> str:
    aliases = f" Older name: {', '.join(f'`{alias}`' for alias in key.aliases)}." if key.aliases else ""
    default = "**needed**" if key.is_required else _default(key.default)
    return f"| `{key.name}` | {_cell(key.kind.words())} | {default} | {_cell(key.help + aliases)} |"


def _default(value: JsonValue) -> str:
    return "" if value is None or value == "" else f"`{json.dumps(value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
