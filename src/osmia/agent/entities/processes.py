"""Naming what runs outside Kubernetes: systemd unit, else container, else the program's own name.

An interpreter says little ("python3"), so its script, module or jar is taken where the command line is plain about it.
A process that is gone before it could be looked at keeps the command name that the kernel gave.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from osmia.agent.entities.cgroups import Membership, parse_proc

__all__ = ["ProcessFacts", "program_name", "read_process", "short_id"]

_INTERPRETER = re.compile(r"^(python|pypy|ruby|perl|php|node|nodejs|bun|deno|java|bash|sh|dash)[\d.]*$")
_GENERIC_SCRIPTS = {"__main__.py", "main.py", "app.py", "manage.py", "server.js", "index.js", "main.js", "app.js"}
_OPTIONS_WITH_VALUE = {"-W", "-X", "-I", "-r", "--require", "--import", "-cp", "-classpath", "--class-path", "-C"}
_INLINE = re.compile(r"-[A-Za-z]{0,4}[ceE]|-p|-pe|--(?:eval|print)(?:=.*)?")  # program text follows: `bash -lc '...'`
_FILE = re.compile(r"[\w./@+~-]{1,200}")
_KERNEL_NAME_MAX = 15
_SHORT_ID = 12


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What /proc says of a process; `start_ticks` with the pid makes it unique since boot."""

    pid: int
    start_ticks: int
    name: str
    cgroup_path: str
    membership: Membership


def read_process(pid: int, command: str, *, proc: Path = Path("/proc")) -> ProcessFacts | None:
    """Facts of a running process, None if it has ended. `command` is what the kernel calls it."""
    directory = proc / str(pid)
    try:
        stat = (directory / "stat").read_text(errors="replace")
        cgroup = (directory / "cgroup").read_text(errors="replace")
        arguments = (directory / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    path, membership = parse_proc(cgroup)
    return ProcessFacts(pid, int(fields[19]), program_name(arguments, command), path, membership)


def program_name(arguments: Sequence[str], command: str) -> str:
    """A name for a program from its command line, else from the kernel's name for it."""
    program = arguments[0].rpartition("/")[2] if arguments and arguments[0] else ""
    if program and _INTERPRETER.match(program.lstrip("-")):
        return _script(program.lstrip("-"), arguments[1:]) or program.lstrip("-")
    # Servers rewrite their command line ("postgres: checkpointer", "nginx: master process").
    title = program.split(":")[0].split()[0] if program.split(":")[0].split() else ""
    # A thread may carry its own kernel name; the program's is better, unless it was rewritten beyond recognition.
    is_same = title.startswith(command[:_KERNEL_NAME_MAX]) or len(command) == _KERNEL_NAME_MAX
    is_plain = bool(re.fullmatch(r"[\w.+-]{2,}", title))
    return title if title and is_plain and (is_same or _is_path(arguments)) else command or title or "unknown"


def _is_path(arguments: Sequence[str]) -> bool:
    return bool(arguments) and ("/" in arguments[0] or len(arguments) > 1)


def _script(program: str, arguments: Sequence[str]) -> str:
    """What an interpreter runs, or empty."""
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "-m" and rest:
            return rest[0]
        if argument == "-jar" and rest:
            return rest[0].rpartition("/")[2]
        if _INLINE.fullmatch(argument):
            return ""
        if argument in _OPTIONS_WITH_VALUE:
            del rest[:1]
        elif not argument.startswith("-"):
            return argument.rpartition(".")[2] if program.startswith("java") else _file(argument)
    return ""


def _file(path: str) -> str:
    """The script's name, with its directory where the name alone says nothing."""
    directory, _, name = path.rpartition("/")
    if not _FILE.fullmatch(path):  # a value of an option that we do not know, which may be anything
        return ""
    if not any(letter.isalpha() for letter in name):  # /dev/fd/3
        return ""
    above = directory.rpartition("/")[2]
    return f"{above}/{name}" if name in _GENERIC_SCRIPTS and above else name


def short_id(container_id: str) -> str:
    """A container id as people write it."""
    return container_id[:_SHORT_ID]
