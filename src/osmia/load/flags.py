"""What the flags of `osmia load` mean: a plan of one request, or changes to the plan of a config file. Pure.

The original's flags (`-t -n -d -l …`) make the same plan here as there; the newer ones add the closed model
(`--vus`), arrival rates (`--rate`), stages of either, and limits. Every message names the flag, what was written and
what to write.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from osmia.load.message import parse_proxy, parse_url
from osmia.load.plan import (
    UNTIL_COUNT_S,
    ArrivalPattern,
    BasicAuth,
    CountKind,
    CountShape,
    Limits,
    ManualShape,
    Plan,
    RateShape,
    RateStage,
    Shape,
    Sleep,
    Step,
    Tls,
    UsersShape,
    UserStage,
)
from osmia.model.errors import ConfigError, InputError

__all__ = ["METHODS", "Flags", "applied", "duration_of", "ignored", "plan_of"]

METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
DEFAULT_SHAPE: Final = CountShape(CountKind.LINEAR, 100, 10)
DEFAULT_DURATION_S: Final = 10.0
DEFAULT_TIMEOUT_S: Final = 5.0
_YEAR_S: Final = 31_536_000
_MOST_ITERATIONS: Final = 1_000_000_000_000
_MOST_PER_S: Final = 10_000_000
_MOST_USERS: Final = 1_000_000
_MOST_CONNECTIONS: Final = 1_000_000
_MOST_WORKERS: Final = 1024
"""As in configs (`config.schema`): what is beyond is a slip of the finger."""

_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_PER_S: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)")
_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:/(s|m|h))?")
_THINK_TIME = re.compile(r"(\d+)(?:-(\d+))?(?:ms)?")
_LONGEST_THINK_TIME_MS = 90_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What was typed; None and empty: was not. Texts are parsed here, so that every mistake is told in one way."""

    target: str = ""
    count: int | None = None
    duration: str | None = None
    load_type: str | None = None
    method: str | None = None
    body: str | None = None
    auth: str | None = None
    headers: tuple[str, ...] = ()
    timeout: str | None = None
    proxy: str | None = None
    output: str | None = None
    config: str = ""
    cert_path: str = ""
    cert_key_path: str = ""
    is_debug: bool = False
    vus: int | None = None
    rate: str | None = None
    stages: str | None = None
    arrivals: str | None = None
    think_time: str | None = None
    is_http2: bool = False
    is_http3: bool = False
    is_verified: bool | None = None
    environment: tuple[str, ...] = ()
    seed: int | None = None
    workers: int | None = None
    max_connections: int | None = None
    forbids_other_hosts: bool = False


def plan_of(flags: Flags) -> Plan:
    """The plan of one request.

    Raises:
        ConfigError: a flag is missing or wrong, or two of them contradict each other.
    """
    if not flags.target:
        raise ConfigError("-t", "", "there is no target", remedy="write -t http://host/path, or --config file.json")
    step = Step(
        id=1,
        method=_method(flags.method or "GET"),
        url=_url(flags.target),
        headers=tuple(_header(one) for one in flags.headers),
        body=flags.body or "",
        timeout_s=DEFAULT_TIMEOUT_S if flags.timeout is None else duration_of("-T", flags.timeout),
        auth=_auth(flags.auth),
        tls=_tls(flags),
        is_http2=flags.is_http2,
        is_http3=flags.is_http3,
    )
    return applied(Plan(steps=(step,), shape=DEFAULT_SHAPE), flags)


def applied(plan: Plan, flags: Flags) -> Plan:
    """The plan with everything that flags may change in any plan: its shape, proxy, output, protocols and limits.

    Raises:
        ConfigError: a flag is wrong, or two of them contradict each other.
    """
    return replace(
        plan,
        steps=tuple(_changed(step, flags) for step in plan.steps),
        shape=_patterned(_shape(flags, plan.shape), flags.arrivals),
        proxy=plan.proxy if flags.proxy is None else _proxy(flags.proxy),
        environment={**plan.environment, **dict(_variable(one) for one in flags.environment)},
        output=flags.output or plan.output,
        is_debug=plan.is_debug or flags.is_debug,
        seed=plan.seed if flags.seed is None else flags.seed,
        limits=_limits(plan.limits, flags),
    )


def ignored(flags: Flags) -> list[str]:
    """The flags that describe a request and so mean nothing beside a config file, whose steps do."""
    given = {
        "-t": flags.target,
        "-m": flags.method,
        "-b": flags.body,
        "-a": flags.auth,
        "-h": flags.headers,
        "-T": flags.timeout,
        "--cert_path": flags.cert_path,
        "--cert_key_path": flags.cert_key_path,
    }
    return [name for name, value in given.items() if value]


def duration_of(flag: str, text: str) -> float:
    """Seconds from "10", "1.5", "500ms", "30s", "2m", "1h", "1m30s".

    Raises:
        ConfigError: it is none of these.
    """
    parts = [(match[1], match[2]) for match in _DURATION.finditer(text)]
    if not text or "".join(number + unit for number, unit in parts) != text:
        raise ConfigError(flag, text, "not a duration", remedy="write seconds (10, 0.5) or 500ms, 30s, 2m, 1h")
    duration_s = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if duration_s > _YEAR_S:
        raise ConfigError(flag, text, "longer than a year", remedy="plain numbers are seconds")
    return duration_s


# ---- the request ----


def _url(text: str) -> str:
    if "{{" in text:
        return text
    if "://" not in text:
        raise ConfigError("-t", text, "not the URL of a web server", remedy=f"write it whole, such as http://{text}")
    if not text.lower().startswith(("http://", "https://")):
        raise ConfigError("-t", text, "not the URL of a web server", remedy="write http://… or https://…")
    try:
        parse_url(text)
    except InputError as exc:
        raise ConfigError("-t", text, exc.message, remedy=exc.remedy) from exc
    return text


def _method(text: str) -> str:
    if text.upper() not in METHODS:
        raise ConfigError("-m", text, "no such method", remedy=f"one of {', '.join(METHODS)}")
    return text.upper()


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ConfigError("-h", text, "not a header", remedy="write -h 'Name: value' (for help: --help)")
    return name.strip(), value.strip()


def _proxy(text: str) -> str:
    if text:
        try:
            parse_proxy(text)
        except InputError as exc:
            raise ConfigError("-P", text, exc.message, remedy=exc.remedy) from exc
    return text


def _auth(text: str | None) -> BasicAuth | None:
    if text is None:
        return None
    username, colon, password = text.partition(":")
    if not colon or not username:
        raise ConfigError("-a", "…", "no user and password", remedy="write -a user:password")
    return BasicAuth(username, password)


def _tls(flags: Flags) -> Tls:
    if bool(flags.cert_path) != bool(flags.cert_key_path):
        given, missing = ("cert_path", "cert_key_path") if flags.cert_path else ("cert_key_path", "cert_path")
        raise ConfigError(
            f"--{given}",
            getattr(flags, given),
            "a certificate needs its key, and a key its certificate",
            remedy=f"add --{missing} FILE.pem",
        )
    return Tls(cert_path=flags.cert_path, key_path=flags.cert_key_path)


def _changed(step: Step, flags: Flags) -> Step:
    is_verified = step.tls.is_verified if flags.is_verified is None else flags.is_verified
    return replace(
        step,
        tls=replace(step.tls, is_verified=is_verified),
        is_http2=step.is_http2 or flags.is_http2,
        assumes_http2=step.assumes_http2 or flags.is_http2,
        is_http3=step.is_http3 or flags.is_http3,
        sleep=step.sleep if flags.think_time is None else _think_time(flags.think_time),
    )


def _think_time(text: str) -> Sleep:
    match = _THINK_TIME.fullmatch(text)
    if match is None:
        raise ConfigError("--think-time", text, "not a time in ms", remedy="write --think-time 500 or 200-800")
    ends = sorted((int(match[1]), int(match[2] or match[1])))
    if ends[1] > _LONGEST_THINK_TIME_MS:
        raise ConfigError("--think-time", text, "too long", remedy=f"at most {_LONGEST_THINK_TIME_MS} ms")
    return Sleep(ends[0], ends[1])


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_-]*", name):
        raise ConfigError(
            "--env", text, "not a variable", remedy="write --env NAME=value, the name in letters, digits, _ and -"
        )
    return name, value


# ---- the load ----


def _shape(flags: Flags, planned: Shape) -> Shape:
    """What the load flags make of the planned shape, which stays if none of them was given."""
    _refuse_contradictions(flags)
    duration_s = None if flags.duration is None else _load_duration(flags.duration)
    if flags.stages is not None:
        return _stages(flags)
    if flags.vus is not None:
        return _users(flags.vus, flags.count, duration_s)
    if flags.rate is not None:
        return _rate(flags, duration_s)
    if flags.count is None and duration_s is None and flags.load_type is None:
        return planned
    return _counted(flags, duration_s, planned if isinstance(planned, CountShape) else DEFAULT_SHAPE)


def _refuse_contradictions(flags: Flags) -> None:
    models = {"--vus": flags.vus, "--rate": flags.rate}
    given = [name for name, value in models.items() if value is not None]
    if len(given) > 1:
        raise ConfigError(
            "--rate",
            flags.rate,
            f"--vus {flags.vus} is the closed model and --rate the open one",
            remedy="--vus: users who wait for their answers; --rate: arrivals that wait for nobody. Choose one",
        )
    given += ["--stages"] if flags.stages is not None else []
    if flags.load_type is not None and given:
        raise ConfigError(
            "-l", flags.load_type, f"{given[0]} has a shape of its own", remedy="-l goes with -n and -d; leave it out"
        )
    if flags.stages is not None and flags.duration is not None:
        raise ConfigError("-d", flags.duration, "stages have their own durations", remedy="leave -d out")
    if flags.count is not None and flags.count < 1:
        raise ConfigError("-n", flags.count, "must be at least 1", remedy="-n 1000 is a thousand iterations")
    if flags.count is not None:
        _refuse_more("-n", flags.count, _MOST_ITERATIONS)


def _load_duration(text: str) -> float:
    duration_s = duration_of("-d", text)
    if duration_s <= 0:
        raise ConfigError("-d", text, "a load lasts longer than nothing", remedy="write -d 10 for ten seconds")
    return duration_s


def _counted(flags: Flags, duration_s: float | None, planned: CountShape) -> CountShape:
    seconds = planned.duration_s if duration_s is None else duration_s
    if seconds != int(seconds):
        raise ConfigError(
            "-d", flags.duration, "iterations are counted per whole second", remedy="round it, or use --rate or --vus"
        )
    name = planned.kind if flags.load_type is None else flags.load_type.lower()
    if name not in list(CountKind):
        raise ConfigError("-l", flags.load_type, "no such shape", remedy=f"one of {', '.join(CountKind)}")
    count = planned.count if flags.count is None else flags.count
    return replace(planned, kind=CountKind(name), count=count, duration_s=int(seconds))


def _users(vus: int, count: int | None, duration_s: float | None) -> UsersShape:
    if vus < 1:
        raise ConfigError("--vus", vus, "must be at least 1", remedy="--vus 50 is fifty users at once")
    _refuse_more("--vus", vus, _MOST_USERS)
    if duration_s is None:
        duration_s = DEFAULT_DURATION_S if count is None else UNTIL_COUNT_S
    return UsersShape((UserStage(duration_s, vus, vus),), count)


def _rate(flags: Flags, duration_s: float | None) -> RateShape:
    per_s = _per_second("--rate", flags.rate or "")
    if per_s <= 0:
        raise ConfigError("--rate", flags.rate, "must be more than nothing", remedy="--rate 100 is a hundred a second")
    if flags.count is not None:
        needed_s = flags.count / per_s
        if duration_s is not None and abs(duration_s * per_s - flags.count) >= 1:
            raise ConfigError(
                "-n",
                flags.count,
                f"{flags.rate} over {duration_s:g} s is {duration_s * per_s:.0f} iterations",
                remedy="give two of -n, -d and --rate",
            )
        duration_s = _not_beyond(flags.count, per_s, needed_s)
    return RateShape((RateStage(DEFAULT_DURATION_S if duration_s is None else duration_s, per_s, per_s),))


def _not_beyond(count: int, per_s: float, duration_s: float) -> float:
    """The duration, less what its last digit is too much: rates are integrated exactly, as the decimals they are."""
    while Fraction(repr(per_s)) * Fraction(repr(duration_s)) > count:
        duration_s = math.nextafter(duration_s, 0)
    return duration_s


def _stages(flags: Flags) -> RateShape | UsersShape:
    text = flags.stages or ""
    parsed = [_stage(one.strip()) for one in text.split(",")]
    kinds = {is_rate for _, _, is_rate in parsed}
    if len(kinds) > 1:
        raise ConfigError(
            "--stages", text, "some are users and some are rates", remedy="write /s after each number, or after none"
        )
    is_rate = kinds.pop() or flags.rate is not None
    if is_rate and flags.vus is not None:
        raise ConfigError("--stages", text, "rates do not go with --vus", remedy="write the numbers without /s")
    if is_rate and flags.count is not None:
        raise ConfigError("-n", flags.count, "the stages say how many iterations there are", remedy="leave -n out")
    begin = _per_second("--rate", flags.rate) if flags.rate is not None else float(flags.vus or 0)
    starts = [begin, *(end for _, end, _ in parsed)]
    if is_rate:
        return RateShape(tuple(RateStage(s, a, b) for (s, b, _), a in zip(parsed, starts, strict=False)))
    _refuse_fractions(text, [end for _, end, _ in parsed])
    _refuse_more("--stages", max(starts), _MOST_USERS, written=text)
    stages = tuple(UserStage(s, int(a), int(b)) for (s, b, _), a in zip(parsed, starts, strict=False))
    return UsersShape(stages, flags.count)


def _stage(text: str) -> tuple[float, float, bool]:
    duration, colon, target = text.partition(":")
    if not colon:
        raise ConfigError(
            "--stages", text, "not a stage", remedy="write DURATION:USERS or DURATION:RATE/s, such as 30s:100,1m:0"
        )
    duration_s = duration_of("--stages", duration.strip())
    if duration_s <= 0:
        raise ConfigError("--stages", text, "a stage takes some time", remedy="write 1s:100 to get there fast")
    return duration_s, _per_second("--stages", target.strip()), "/" in target


def _refuse_fractions(text: str, users: Sequence[float]) -> None:
    if any(number != int(number) for number in users):
        raise ConfigError("--stages", text, "there are no half users", remedy="write whole numbers, or rates with /s")


def _per_second(flag: str, text: str) -> float:
    match = _RATE.fullmatch(text)
    if match is None:
        raise ConfigError(flag, text, "not a number", remedy="write 100, 100/s, 6000/m or 360000/h")
    per_s = float(match[1]) / _PER_S[match[2] or ""]
    _refuse_more(flag, per_s, _MOST_PER_S, written=text)
    return per_s


def _refuse_more(flag: str, number: float, most: int, *, written: str = "") -> None:
    if number > most:
        raise ConfigError(flag, written or number, f"must be at most {most:,}")


def _patterned(shape: Shape, arrivals: str | None) -> Shape:
    if arrivals is None:
        return shape
    if isinstance(shape, UsersShape):
        raise ConfigError("--arrivals", arrivals, "virtual users do not arrive", remedy="use --rate or -n, not --vus")
    return _with_pattern(shape, ArrivalPattern(arrivals))


def _with_pattern(shape: CountShape | ManualShape | RateShape, pattern: ArrivalPattern) -> Shape:
    return replace(shape, pattern=pattern)


def _limits(limits: Limits, flags: Flags) -> Limits:
    given = (
        ("--workers", flags.workers, 0, _MOST_WORKERS),
        ("--max-connections", flags.max_connections, 1, _MOST_CONNECTIONS),
    )
    for name, value, least, most in given:
        if value is not None and value < least:
            raise ConfigError(name, value, f"must be at least {least}")
        if value is not None:
            _refuse_more(name, value, most)
    return Limits(
        max_connections=limits.max_connections if flags.max_connections is None else flags.max_connections,
        workers=limits.workers if flags.workers is None else flags.workers,
        forbids_other_hosts=limits.forbids_other_hosts or flags.forbids_other_hosts,
    )
