"""Every error that Osmia raises on purpose, as one tree.

::

    OsmiaError                  root: message, and a remedy the reader can act on
    ├── ConfigError             a setting, flag or file is wrong (names field, value, remedy)
    ├── UnavailableError        this machine or peer cannot do what was asked, and why
    │   ├── CaptureUnavailableError   eBPF capture cannot run here
    │   └── StoreUnavailableError     the telemetry store cannot be opened or reached
    ├── RejectedError           the other side understood and said no (bad key, unknown cluster)
    ├── InputError              data from outside does not have the promised form
    └── LabError                the lab could not build or take down its world
"""

from __future__ import annotations

__all__ = [
    "CaptureUnavailableError",
    "ConfigError",
    "InputError",
    "LabError",
    "OsmiaError",
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
