"""The one command `osmia`: each sub-command lives beside its program and is imported only when it is called."""

from __future__ import annotations

import importlib
import sys
import typing

import click

from osmia import __version__
from osmia.model.errors import ConfigError, OsmiaError

__all__ = ["main"]

_PROGRAMS = {
    "agent": ("osmia.agent.commands", "Watch this machine: requests, connections, who calls whom."),
    "demo": ("osmia.demo.commands", "Bring up a small Kubernetes with sample apps and watch it live."),
    "lab": ("osmia.lab.commands", "A small Kubernetes on this machine, for trying and testing."),
    "load": ("osmia.load.commands", "Put load on HTTP servers and measure honestly how they bear it."),
    "server": ("osmia.server.commands", "The platform: store, service map, API and pages."),
}


class _Programs(click.Group):
    """A group that imports `osmia.<program>.commands` on demand, so that `osmia --help` stays instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_PROGRAMS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _PROGRAMS:
            return None
        module = importlib.import_module(_PROGRAMS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Programs"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_PROGRAMS.items())])


@click.group(cls=_Programs, context_settings={"help_option_names": ["--help"]})
@click.version_option(__version__, prog_name="osmia")
def _root() -> None:
    """Osmia: see which service calls which, how slowly and why; then put load on it and watch it break."""


def main() -> None:
    """Entry point; turns Osmia's own errors into one clear line and exit code 2 (configuration) or 1."""
    code: object = None
    try:
        code = _root.main(standalone_mode=False)  # what a command gave to `Context.exit`, else None
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except click.exceptions.Exit as exc:
        sys.exit(exc.exit_code)
    except OsmiaError as exc:
        _end_with(exc)
    except ExceptionGroup as group:
        cause = _only_cause(group)
        if not isinstance(cause, OsmiaError):
            raise
        _end_with(cause)
    if isinstance(code, int):
        sys.exit(code)


def _end_with(error: OsmiaError) -> typing.NoReturn:
    click.secho(f"osmia: {error}", fg="red", err=True)
    sys.exit(2 if isinstance(error, ConfigError) else 1)


def _only_cause(error: Exception) -> Exception:
    """The error inside task groups that failed for one reason."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
