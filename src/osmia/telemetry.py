"""How every program logs and counts: structured events on stderr, and Prometheus metrics declared in tables."""

from __future__ import annotations

import logging
import sys

import structlog

from osmia.model.errors import ConfigError

__all__ = ["configure_logging", "get_logger"]


def configure_logging(*, level: str = "info", json: bool = False) -> None:
    """Send events to stderr: coloured on a terminal, `key=value` lines otherwise, JSON when asked.

    Raises:
        ConfigError: there is no such level.
    """
    levels = {name.lower(): number for name, number in logging.getLevelNamesMapping().items() if number}
    if level.lower() not in levels:
        raise ConfigError("log_level", level, "no such level", remedy="debug, info, warning, error or critical")
    colors = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=28)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(levels[level.lower()]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose events carry `component=name`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(component=name)
    return logger
