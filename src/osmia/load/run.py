"""The composition root of `osmia load`: flags or a config file -> plan -> transport -> engine -> reports -> exit code.

Reports go to stdout, everything else to stderr, so that `-o stdout-json | jq` works whatever is said on the way. The
first Ctrl-C (or SIGTERM, or SIGHUP) ends the run as if its time were over, the second gives up what is still in flight;
both end with a report of what was sent.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from osmia.load.ceilings import Machine, warnings
from osmia.load.engine import Engine
from osmia.load.exits import ExitCode, exit_code
from osmia.load.flags import Flags, applied, ignored, plan_of
from osmia.load.outputs import Outputs
from osmia.load.plan import Plan
from osmia.load.templates import names_in
from osmia.model.errors import ConfigError

if TYPE_CHECKING:
    from osmia.load.client.transport import Transport
    from osmia.load.results import Results

__all__ = ["Choices", "run", "transports"]

_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CORE = "osmia.load.client.core.loop"
_ENDING = b"\nosmia: ending; what is in flight is finished. Ctrl-C again gives it up.\n"
_REASONS = {
    ExitCode.BROKEN: "a load worker ended early, so the counts are not complete",
    ExitCode.CRITERIA_FAILED: "a success criterion is not met",
    ExitCode.ABORTED: "a success criterion ended the run early",
    ExitCode.UNREACHABLE: "the target was not reached by a single request",
    ExitCode.GENERATOR_LIMITED: "this machine was the limit, not the target",
    ExitCode.INTERRUPTED: "interrupted; the report covers what was sent",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What was chosen that is no part of the plan: who sends, what is written where, what is asked."""

    transport: str = "auto"
    files: tuple[Path, ...] = ()
    is_quiet: bool = False
    is_plain: bool = False
    is_agreed: bool = False
    fails_if_limited: bool = False


def run(flags: Flags, choices: Choices) -> ExitCode:
    """Everything from the flags to the exit code.

    Raises:
        ConfigError: a flag, the config or an output file is wrong; nothing was sent.
        UnavailableError: this machine lacks what the plan needs.
    """
    _replace_closed_streams()
    plan = _plan(flags)
    name = _transport_name(plan, choices.transport)
    descriptors = _raise_descriptor_limit()
    with ExitStack() as stack:
        outputs = stack.enter_context(
            Outputs(plan, choices.files, is_quiet=choices.is_quiet, is_plain=choices.is_plain)
        )
        outputs.announce(name)
        _agree(warnings(plan, _machine(descriptors), name), choices)
        engine = stack.enter_context(Engine(plan, _transport(name), on_samples=outputs.on_samples))
        with _interruptible(engine), outputs.live(engine.workers_count) as view:
            for reading in engine.readings():
                view.update(reading)
        results = engine.results()
        outputs.write(results)
    if outputs.lost_samples():
        _say(
            f"{outputs.lost_samples():,} requests are not in the files of requests: the disk was too slow", color="red"
        )
    return _ended(results, choices)


def _replace_closed_streams() -> None:
    """Who started us with `>&-` wants to see nothing; Python then has no stream there at all."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open to the end
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - likewise


def transports() -> dict[str, str]:
    """What can send here, or why it cannot: name -> versions or a reason."""
    return {"core": _core_version(), "curl": _curl_version()}


# ---- the plan ----


def _plan(flags: Flags) -> Plan:
    if not flags.config:
        plan = plan_of(flags)
        _check_variables(plan)
        return plan
    for flag in ignored(flags):
        _say(f"{flag} is ignored: the steps are those of {flags.config}", color="yellow")
    from osmia.load.config import load

    loaded = load(flags.config, supplied=[one.partition("=")[0] for one in flags.environment])
    for warning in loaded.warnings:
        _say(str(warning), color="yellow")
    return applied(loaded.plan, flags)


def _check_variables(plan: Plan) -> None:
    """Every variable of a request made of flags has a value, or nothing is sent.

    Raises:
        ConfigError: one that has none.
    """
    (step,) = plan.steps
    headers = [("-h", f"{name}: {value}") for name, value in step.headers]
    texts = [("-t", step.url), ("-b", str(step.body)), *headers]
    texts += [("-a", f"{step.auth.username}:{step.auth.password}")] if step.auth else []
    if not any("{{" in text for _, text in texts):
        return
    from osmia.load.config.names import Scope
    from osmia.load.config.rules import dynamic_names

    dynamic = dynamic_names()
    scope = Scope(dynamic=dynamic, environment=os.environ, captured={})  # noqa: TID251 - the user's, not settings of ours
    scope.add(plan.environment)
    for flag, text in texts:
        for name in names_in(text):
            if (wrong := scope.wrong(name)) is None:
                continue
            is_ours = not name.startswith(("_", "$", "rand(", "data.")) and name not in dynamic
            remedy = f"give it one: --env {name}=VALUE" if is_ours else wrong[1]
            raise ConfigError(flag, "…" if flag == "-a" else text, f"{{{{{name}}}}} {wrong[0]}", remedy=remedy)


# ---- who sends ----


def _transport_name(plan: Plan, wanted: str) -> str:
    if wanted != "auto":
        return wanted
    return "curl" if _needs_curl(plan) or find_spec(_CORE) is None else "core"


def _needs_curl(plan: Plan) -> bool:
    """Whether the plan asks for what only libcurl speaks."""
    has_other_proxy = bool(plan.proxy) and not plan.proxy.lower().startswith("http://")
    return has_other_proxy or any(step.is_http3 for step in plan.steps)


def _transport(name: str) -> Callable[[], Transport]:
    if name == "core":
        from osmia.load.client.core import CoreTransport

        return CoreTransport
    from osmia.load.client.curl import CurlTransport

    return CurlTransport


def _core_version() -> str:
    return "not built (`make setup` builds it)" if find_spec(_CORE) is None else "built"


def _curl_version() -> str:
    try:
        import pycurl
    except ImportError:
        return "not installed (pip install 'osmia[load]')"
    return str(pycurl.version)


# ---- before it starts ----


def _raise_descriptor_limit() -> int:
    """Allow this process, and the workers that it forks, as many open files as the machine does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _machine(descriptors: int) -> Machine:
    first, last = _PORT_RANGE.read_text(encoding="ascii").split()
    return Machine(cores=len(os.sched_getaffinity(0)), descriptors=descriptors, ports=int(last) - int(first) + 1)


def _agree(told: list[str], choices: Choices) -> None:
    """Tell what is more than this machine can be expected to do; at a terminal, ask."""
    for text in told:
        _say(text, color="yellow")
    if told and not choices.is_agreed and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm("Go on all the same?", abort=True, err=True)


@contextmanager
def _interruptible(engine: Engine) -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP end the run: the first finishes what is in flight, the second gives it up."""
    told = 0

    def end(_number: int, _frame: FrameType | None) -> None:
        nonlocal told
        told += 1
        if told == 1:
            engine.stop()
            with suppress(OSError):  # after SIGHUP there is no terminal
                os.write(sys.stderr.fileno(), _ENDING)
        else:
            engine.abort()

    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    numbers = [number for number in ends if signal.getsignal(number) is not signal.SIG_IGN]  # nohup
    before = [signal.signal(number, end) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _ended(results: Results, choices: Choices) -> ExitCode:
    code = exit_code(results, fails_if_limited=choices.fails_if_limited)
    for worker in results.workers:
        if worker.failure:
            _say(f"worker {worker.number} {worker.failure}", color="red")
    if code in _REASONS and not choices.is_quiet:
        _say(f"{_REASONS[code]} (exit code {int(code)})", color="red")
    return code


def _say(text: str, *, color: str) -> None:
    click.secho(f"osmia: {text}", fg=color, err=True)
