"""What a load test is, once its config or flags are understood: frozen values that every part of the engine reads.

A `Plan` is complete and valid: files are read, defaults filled in, names checked. Text that may hold `{{variables}}`
is kept as it was written; `load.templates` compiles it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

__all__ = [
    "UNTIL_COUNT_S",
    "ArrivalPattern",
    "BasicAuth",
    "Body",
    "Capture",
    "CaptureSource",
    "Column",
    "ColumnType",
    "CookieSetting",
    "CountKind",
    "CountShape",
    "Criterion",
    "DataFile",
    "JsonValue",
    "Limits",
    "ManualShape",
    "Mode",
    "Part",
    "Plan",
    "RateShape",
    "RateStage",
    "RowOrder",
    "Segment",
    "Shape",
    "Sleep",
    "Step",
    "Tls",
    "UserStage",
    "UsersShape",
]

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"


class Mode(StrEnum):
    """Who the iterations are."""

    DDOSIFY = "ddosify"  # one crowd: connections are shared, nobody keeps cookies
    DISTINCT_USER = "distinct-user"  # each iteration is a new user: own connections, own cookies, gone at its end
    REPEATED_USER = "repeated-user"  # users come back: each keeps its connections and cookies


# ---- when iterations start ----


class CountKind(StrEnum):
    """How `CountShape` spreads its iterations over the seconds."""

    LINEAR = "linear"
    INCREMENTAL = "incremental"
    WAVED = "waved"


class ArrivalPattern(StrEnum):
    """How arrivals lie inside their second."""

    EVEN = "even"
    POISSON = "poisson"


@dataclass(frozen=True, slots=True)
class CountShape:
    """So many iterations over so many whole seconds (`iteration_count`, `duration`, `load_type`)."""

    kind: CountKind
    count: int
    duration_s: int
    pattern: ArrivalPattern = ArrivalPattern.EVEN


@dataclass(frozen=True, slots=True)
class Segment:
    """One entry of `manual_load`."""

    duration_s: int
    count: int


@dataclass(frozen=True, slots=True)
class ManualShape:
    """Segments in a row, each linear."""

    segments: tuple[Segment, ...]
    pattern: ArrivalPattern = ArrivalPattern.EVEN


@dataclass(frozen=True, slots=True)
class RateStage:
    """The arrival rate goes from one value to another in a straight line; iterations per second."""

    duration_s: float
    start_per_s: float
    end_per_s: float


@dataclass(frozen=True, slots=True)
class RateShape:
    """An arrival rate (open model): `--rate`, `--stages 30s:100/s`."""

    stages: tuple[RateStage, ...]
    pattern: ArrivalPattern = ArrivalPattern.EVEN


@dataclass(frozen=True, slots=True)
class UserStage:
    """Virtual users go from one number to another in a straight line."""

    duration_s: float
    start: int
    end: int


UNTIL_COUNT_S = 24 * 3600.0
"""The one stage of virtual users whose end is a count of iterations lasts so long: there has to be an end."""


@dataclass(frozen=True, slots=True)
class UsersShape:
    """Virtual users that iterate as fast as they are answered (closed model): `--vus`.

    `count` ends the run after so many iterations in all; None: only time ends it.
    """

    stages: tuple[UserStage, ...]
    count: int | None = None


Shape: TypeAlias = CountShape | ManualShape | RateShape | UsersShape


# ---- what an iteration does ----


class CaptureSource(StrEnum):
    """Where a captured value comes from."""

    BODY_JSON = "json_path"
    BODY_XPATH = "xpath"
    BODY_HTML = "xpath_html"
    BODY_REGEXP = "regexp"
    HEADER = "header_key"
    HEADER_REGEXP = "header_regexp"
    COOKIE = "cookie_name"


@dataclass(frozen=True, slots=True)
class Capture:
    """One entry of `capture_env`: `name` is set from the response for the steps that follow.

    `path` is the gjson path, xpath, expression, header or cookie name; `header` the header that HEADER_REGEXP searches;
    `match_number` says which match of an expression counts, from 0.
    """

    name: str
    source: CaptureSource
    path: str
    match_number: int = 0
    header: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body; `file_name` and `content_type` are empty for plain fields."""

    name: str
    content: str | bytes
    file_name: str = ""
    content_type: str = ""


Body: TypeAlias = str | bytes | tuple[Part, ...]
"""Text with variables, the bytes of a file as they are, or the parts of a form."""


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """Both may hold variables."""

    username: str
    password: str


@dataclass(frozen=True, slots=True)
class Tls:
    """How a step's TLS is made. The original never verifies; `--verify` does."""

    cert_path: str = ""
    key_path: str = ""
    server_name: str = ""
    is_verified: bool = False
    is_resumed: bool = False


@dataclass(frozen=True, slots=True)
class Sleep:
    """Milliseconds, both ends included."""

    min_ms: int
    max_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request of the scenario."""

    id: int
    name: str = ""
    method: str = "GET"
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: Body = ""
    timeout_s: float = 5.0
    """Over connecting, sending, all redirects and the whole body; 0 is none."""
    sleep: Sleep | None = None
    auth: BasicAuth | None = None
    tls: Tls = field(default_factory=Tls)
    is_http2: bool = False
    """With TLS as far as the server agrees."""
    assumes_http2: bool = True
    """Whether `is_http2` holds without TLS, too, where nothing is agreed upon; the original's `h2` does not."""
    is_http3: bool = False
    is_compressed: bool = True
    """Whether gzip is asked for when the step's headers do not say."""
    follows_redirects: bool = True
    captures: tuple[Capture, ...] = ()
    assertions: tuple[str, ...] = ()


# ---- what iterations know ----


class ColumnType(StrEnum):
    """What a CSV column is read as."""

    STRING = "string"
    JSON = "json"
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"


class RowOrder(StrEnum):
    """Which row an iteration gets."""

    RANDOM = "random"
    SEQUENTIAL = "sequential"


@dataclass(frozen=True, slots=True)
class Column:
    """Column `index` of the file is `{{data.FILE.tag}}`."""

    index: int
    tag: str
    type: ColumnType = ColumnType.STRING


@dataclass(frozen=True, slots=True)
class DataFile:
    """A CSV file, read and typed: one row per iteration. `rows` hold values in the order of `columns`."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[JsonValue, ...], ...]
    order: RowOrder = RowOrder.RANDOM


@dataclass(frozen=True, slots=True)
class CookieSetting:
    """A cookie that every user has from the start. `raw`, a Set-Cookie header's value, overrides the rest."""

    name: str = ""
    value: str = ""
    domain: str = ""
    path: str = ""
    expires: str = ""
    max_age: int = 0
    is_http_only: bool = False
    is_secure: bool = False
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Criterion:
    """A success criterion of the whole run; `delay_s` is how long an aborting one must stay broken."""

    rule: str
    is_abort: bool = False
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Ceilings of this run; 0 workers: as many as there are cores for what is planned."""

    max_connections: int = 10_000
    workers: int = 0
    forbids_other_hosts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole load test."""

    steps: tuple[Step, ...]
    shape: Shape
    mode: Mode = Mode.DDOSIFY
    proxy: str = ""
    environment: Mapping[str, JsonValue] = field(default_factory=dict)
    data: tuple[DataFile, ...] = ()
    has_cookies: bool = False
    cookies: tuple[CookieSetting, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    output: str = "stdout"
    is_debug: bool = False
    sampling_rate: int = 3
    """How many received values a failed assertion shows."""
    seed: int | None = None
    limits: Limits = field(default_factory=Limits)
