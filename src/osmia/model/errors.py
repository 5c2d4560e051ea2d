"""Every error that Osmia raises on purpose, as one tree.

::

    OsmiaError                  root: message, and a remedy the reader can act on
    ├── ConfigError             a setting, flag or file is wrong (names field, value, remedy)
    │   └── ConfigFileError           a file has problems, all of them: each names its place
    ├── UnavailableError        this machine or peer cannot do what was asked, and why
    │   ├── CaptureUnavailableError   eBPF capture cannot run here
    │   └── StoreUnavailableError     the telemetry store cannot be opened or reached
    ├── RejectedError           the other side understood and said no (bad key, unknown cluster)
    ├── InputError              data from outside does not have the promised form
    └── LabError                the lab could not build or take down its world
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "CaptureUnavailableError",
    "ConfigError",
    "ConfigFileError",
    "InputError",
    "LabError",
    "OsmiaError",
    "Problem",
    "RejectedError",
    "StoreUnavailableError",
    "UnavailableError",
]


class OsmiaError(Exception):
    """Root of the tree; `str()` is what happened and, after a dash, what to do about it."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(f"{message} - {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


class ConfigError(OsmiaError):
    """A setting, flag or file is wrong."""

    def __init__(self, field: str, value: object, problem: str, *, remedy: str = "") -> None:
        super().__init__(f"{field} = {value!r}: {problem}", remedy=remedy)
        self.field = field
        self.value = value


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, or only odd, in a file: where it stands, what it is and what to do about it.

    `line` and `column` count from 1; 0 where there is none (the whole file, the command line). `path` is the key's,
    `steps[2].assertion[0]`; `value` what stands there, as text, or empty.
    """

    file: str
    line: int = 0
    column: int = 0
    path: str = ""
    value: str = ""
    problem: str
    remedy: str = ""

    def __str__(self) -> str:
        """`FILE:LINE:COLUMN: PATH = VALUE: what is wrong - what to do`."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        what = f"{self.path} = {self.value}" if self.path and self.value else self.path or self.value
        text = ": ".join(part for part in (place, what, self.problem) if part)
        return f"{text} - {self.remedy}" if self.remedy else text


class ConfigFileError(ConfigError):
    """A file has problems; `str()` is one line for each, warnings after them: one may explain the other."""

    def __init__(self, problems: Sequence[Problem], *, warnings: Sequence[Problem] = ()) -> None:
        first = problems[0]
        super().__init__(first.path, first.value, first.problem, remedy=first.remedy)
        self.args = ("\n".join([*map(str, problems), *(f"warning: {one}" for one in warnings)]),)
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)


class UnavailableError(OsmiaError):
    """This machine or peer cannot do what was asked."""


class CaptureUnavailableError(UnavailableError):
    """EBPF capture cannot run on this machine."""


class StoreUnavailableError(UnavailableError):
    """The telemetry store cannot be opened or reached."""


class RejectedError(OsmiaError):
    """The other side understood and refused."""


class InputError(OsmiaError):
    """Data from outside does not have the promised form."""


class LabError(OsmiaError):
    """The lab could not build or take down its world."""
