"""Config files to plans: the file is found, understood, checked."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from osmia.load.config.document import parse
from osmia.load.config.files import Fetch, Files, fetch_url
from osmia.load.config.reading import Loaded, read_plan
from osmia.model.errors import ConfigFileError, Problem

__all__ = ["load", "load_text"]

_MAX_BYTES = 64 << 20


def load(
    path: str | Path,
    *,
    environment: Mapping[str, str] | None = None,
    fetch: Fetch = fetch_url,
    supplied: Collection[str] = (),
) -> Loaded:
    """The plan that a config file asks for; "-" is stdin.

    Args:
        path: the file, JSON or YAML.
        environment: what `{{$NAME}}` may name; the process's own if it is None.
        fetch: gets what URLs in the config name.
        supplied: variables that get a value elsewhere, by flags.

    Raises:
        ConfigFileError: with everything that is wrong.
    """
    name = str(path)
    try:
        text = (sys.stdin.buffer.read(_MAX_BYTES + 1) if name == "-" else _read(Path(path))).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"is no UTF-8 text (byte {error.start})"
        raise ConfigFileError([Problem(file=name, problem=problem, remedy="save it as UTF-8")]) from error
    except (OSError, ValueError) as error:
        problem = str(getattr(error, "strerror", "") or error)
        raise ConfigFileError([Problem(file=name, problem=f"cannot be read: {problem}")]) from error
    files = Files(Path() if name == "-" else Path(path).parent, fetch)
    return read_plan(parse(text, name), name, files=files, environment=_outside(environment), supplied=supplied)


def load_text(
    text: str,
    name: str,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    fetch: Fetch = fetch_url,
) -> Loaded:
    """The same for a config that is text already; `name` is for messages and says JSON or YAML.

    Raises:
        ConfigFileError: with everything that is wrong.
    """
    files = Files(folder or Path(), fetch)
    return read_plan(parse(text, name), name, files=files, environment=_outside(environment))


def _outside(environment: Mapping[str, str] | None) -> Mapping[str, str]:
    """The process's own environment if no other is given."""
    return os.environ if environment is None else environment  # noqa: TID251 - {{$NAME}} is the user's, no setting of ours


def _read(path: Path) -> bytes:
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"larger than {_MAX_BYTES >> 20} MiB, which is no config")
    return path.read_bytes()
