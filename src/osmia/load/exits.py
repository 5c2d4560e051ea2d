"""What a finished run ends with: one exit code for each thing that a script may want to tell apart. Pure."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from osmia.load.tally import Failure

if TYPE_CHECKING:
    from osmia.load.results import Results

__all__ = ["ExitCode", "exit_code"]


class ExitCode(IntEnum):
    """The exit codes of `osmia load`. Where several fit, the one that explains the others wins.

    Requests that failed are no reason by themselves, as in the original: whether they matter is said by criteria.
    """

    PASSED = 0
    BROKEN = 1  # the run itself broke: a worker died, the machine lacks something
    BAD_CONFIG = 2  # a flag or the config is wrong; nothing was sent
    CRITERIA_FAILED = 3
    ABORTED = 4  # ended early by a criterion with abort
    UNREACHABLE = 5  # not one request reached the target
    GENERATOR_LIMITED = 6  # only if asked for: the generator, not the target, was the limit
    INTERRUPTED = 130


_NOT_REACHED = frozenset(
    {
        Failure.CONNECTION_REFUSED,
        Failure.CONNECTION_TIMEOUT,
        Failure.HOST_UNREACHABLE,
        Failure.NETWORK_UNREACHABLE,
        Failure.DNS_NOT_FOUND,
        Failure.DNS_TIMEOUT,
        Failure.DNS_FAILED,
        Failure.TLS_FAILED,
        Failure.TLS_CERTIFICATE_INVALID,
        Failure.TLS_CERTIFICATE_EXPIRED,
        Failure.TLS_HOSTNAME_MISMATCH,
        Failure.TLS_CLIENT_CERTIFICATE,
        Failure.TLS_TIMEOUT,
        Failure.PROXY_CONNECTION_REFUSED,
        Failure.PROXY_TIMEOUT,
        Failure.PROXY_AUTHENTICATION,
        Failure.PROXY_FAILED,
        Failure.HTTP2_NOT_NEGOTIATED,
    }
)
"""No connection came about: the target has not seen the request."""


def exit_code(results: Results, *, fails_if_limited: bool = False) -> ExitCode:
    """What the run ends with."""
    reasons = (
        (ExitCode.INTERRUPTED, results.is_interrupted),
        (ExitCode.BROKEN, any(worker.failure for worker in results.workers)),
        (ExitCode.UNREACHABLE, _is_unreachable(results)),
        (ExitCode.ABORTED, results.is_aborted),
        (ExitCode.CRITERIA_FAILED, not all(verdict.is_met for verdict in results.verdicts)),
        (ExitCode.GENERATOR_LIMITED, fails_if_limited and bool(results.limits)),
    )
    return next((code for code, is_so in reasons if is_so), ExitCode.PASSED)


def _is_unreachable(results: Results) -> bool:
    answered = sum(int(step.tally["answered"]) for step in results.steps)
    failed = sum(int(step.tally["failed"]) for step in results.steps)
    not_reached = sum(int(step.tally["errors"][failure]) for step in results.steps for failure in _NOT_REACHED)
    cancelled = sum(int(step.tally["errors"][Failure.CANCELLED]) for step in results.steps)
    return not answered and not_reached > 0 and not_reached + cancelled == failed
