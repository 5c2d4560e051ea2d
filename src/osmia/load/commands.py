"""`osmia load`: the command line of the load engine, with the original's flags, and what helps to write its configs."""

from __future__ import annotations

import platform
import typing
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import click

from osmia import __version__
from osmia.load.flags import Flags
from osmia.load.spelling import canonical

__all__ = ["load"]

_EXAMPLES = """\
  A thousand requests, spread evenly over ten seconds:
    osmia load -t http://localhost:8200/currencies/ -n 1000 -d 10 -m GET
  Another URL each time (`osmia load variables` lists what there is):
    osmia load -t 'http://localhost:8200/status/{{_randomInt}}/' -n 100
  One request, and everything about it:
    osmia load -t http://localhost:8200/currencies/ --debug
  Fifty users who ask as fast as they are answered, for half a minute:
    osmia load -t http://localhost:8200/ --vus 50 -d 30s
  500 a second, reached within 30 s and held for a minute, with a page to show:
    osmia load -t http://localhost:8200/ --stages 30s:500/s,1m:500/s --out report.html
  A scenario of several steps, and a verdict for CI:
    osmia load --config scenario.json -o stdout-json --out junit.xml
"""

_EXAMPLE = 60
"""Characters that an example of a variable has room for."""

_EXITS = (
    ("0", "done, and every success criterion is met"),
    ("1", "the run itself broke"),
    ("2", "a flag or the config is wrong; nothing was sent"),
    ("3", "a success criterion is not met"),
    ("4", "a criterion ended the run early"),
    ("5", "the target was not reached by a single request"),
    ("6", "the generator was the limit (--fail-if-generator-limited)"),
    ("130", "interrupted: Ctrl-C; the report covers what was sent"),
)


class _Option(click.Option):
    """An option that knows under which heading of --help it stands."""

    def __init__(
        self,
        declarations: Sequence[str],
        *,
        section: str,
        **attributes: typing.Any,  # noqa: ANN401 - click's own
    ) -> None:
        super().__init__(declarations, **attributes)
        self.section = section


def _in(section: str) -> Callable[..., Callable[[Callable[..., object]], Callable[..., object]]]:
    """A decorator like click.option for options of one heading."""

    def option(
        *declarations: str,
        **attributes: typing.Any,  # noqa: ANN401 - click's own
    ) -> Callable[[Callable[..., object]], Callable[..., object]]:
        return click.option(*declarations, cls=_Option, section=section, **attributes)

    return option


class _Load(click.Group):
    """`osmia load` itself runs a test; a few words make it do something else."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        values: dict[str, str] = {}
        flags: dict[str, str] = {"help": "--help"}
        for parameter in self.params:
            names = flags if isinstance(parameter, click.Option) and parameter.is_flag else values
            for spelling in (*parameter.opts, *parameter.secondary_opts):
                names[spelling.lstrip("-").replace("-", "_")] = spelling
        return super().parse_args(ctx, canonical(args, values=values, flags=flags))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0] if args else ""
        if word and word not in self.commands:
            remedy = f"the target goes behind -t: osmia load -t {word}" if _is_target(word) else "--help shows how"
            raise click.UsageError(f"{word!r} is neither a flag nor one of {', '.join(self.commands)} - {remedy}", ctx)
        return super().resolve_command(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "-t URL [FLAGS]")
        formatter.write_usage(ctx.command_path, "--config FILE [FLAGS]", prefix="       ")
        formatter.write_usage(ctx.command_path, "COMMAND …", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(parameter, "section", "Help"), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)
        self.format_commands(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Exit codes"):
            formatter.write_dl(list(_EXITS))
        formatter.write_paragraph()
        formatter.write("Examples:\n" + _EXAMPLES)


def _is_target(word: str) -> bool:
    return "://" in word or "." in word or "/" in word or ":" in word


_request = _in("The request")
_load_ = _in("The load")
_scenario = _in("The scenario")
_wire = _in("The wire")
_out = _in("The report")
_limit = _in("Safety and limits")


@click.group(
    cls=_Load,
    invoke_without_command=True,
    context_settings={"help_option_names": ["--help"], "max_content_width": 120},
)
@_request("-t", "target", metavar="URL", default="", help="The target. {{variables}} may stand anywhere in it.")
@_request("-m", "method", metavar="METHOD", help="GET (default), POST, PUT, DELETE, PATCH, HEAD or OPTIONS.")
@_request("-b", "body", metavar="TEXT", help="The body; {{variables}} in it are filled in.")
@_request("-h", "headers", metavar="'NAME: VALUE'", multiple=True, help="A header; may be repeated.")
@_request("-a", "auth", metavar="USER:PASSWORD", help="Basic authentication.")
@_request("-T", "timeout", metavar="SECONDS", help="Longest time for a whole answer (default 5; 0: none).")
@_request("--cert_path", "cert_path", metavar="FILE", default="", help="A client certificate (PEM), with:")
@_request("--cert_key_path", "cert_key_path", metavar="FILE", default="", help="its key.")
@_load_("-n", "count", metavar="COUNT", type=int, help="Iterations in all (default 100).")
@_load_("-d", "duration", metavar="SECONDS", help="How long they are spread over (default 10); 90s and 5m work, too.")
@_load_("-l", "load_type", metavar="SHAPE", help="linear (default), incremental or waved.")
@_load_(
    "--rate",
    "rate",
    metavar="PER_SECOND",
    help="Open model: so many arrivals a second, whether or not others are still waiting; 100, 100/s, 6000/m.",
)
@_load_(
    "--vus",
    "vus",
    metavar="USERS",
    type=int,
    help="Closed model: so many virtual users at once, each as fast as it is answered; with -n until so many are done.",
)
@_load_(
    "--stages",
    "stages",
    metavar="TIME:TO,…",
    help="Ramps, one after another: 30s:100,1m:100,10s:0 are users, 30s:100/s,… a rate. From 0, or --vus or --rate.",
)
@_load_(
    "--arrivals",
    "arrivals",
    type=click.Choice(["even", "poisson"]),
    help="How arrivals lie within their second (default even).",
)
@_load_("--think-time", "think_time", metavar="MS[-MS]", help="Rest after each request, between these two times.")
@_scenario("--config", "config", metavar="FILE", default="", help="A scenario, JSON or YAML; its steps replace -t.")
@_scenario("--env", "environment", metavar="NAME=VALUE", multiple=True, help="Set a {{variable}}; may be repeated.")
@_scenario("--seed", "seed", metavar="NUMBER", type=int, help="The same random values, rows and arrivals each time.")
@_scenario("--debug", "is_debug", is_flag=True, help="One iteration, and everything that was sent and received.")
@_wire("-P", "proxy", metavar="URL", help="A proxy: http://, https://, socks4://, socks5:// or socks5h://.")
@_wire(
    "--verify/--insecure",
    "is_verified",
    default=None,
    help="Check certificates, or do not (default, as in the original).",
)
@_wire(
    "--http2", "is_http2", is_flag=True, help="HTTP/2: over https where the server agrees, over http without asking."
)
@_wire("--http3", "is_http3", is_flag=True, help="HTTP/3 (QUIC); needs a libcurl that has it.")
@_wire(
    "--transport",
    "transport",
    type=click.Choice(["auto", "core", "curl"]),
    default="auto",
    help="Who sends: the compiled core, libcurl, or whichever can (default).",
)
@_out(
    "-o",
    "output",
    metavar="FORM",
    type=click.Choice(["stdout", "stdout-json"]),
    help="stdout (default): a report to read; stdout-json: one line of JSON and nothing else on stdout.",
)
@_out(
    "--out",
    "files",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Write FILE, too: .json, .csv, .html, .xml (JUnit), .ndjson (every request); may be repeated.",
)
@_out("--quiet", "is_quiet", is_flag=True, help="No banner and no progress on stderr.")
@_out("--no-color", "is_plain", is_flag=True, help="No colours.")
@_limit("--yes", "is_agreed", is_flag=True, help="Do not ask, whatever is planned.")
@_limit("--workers", "workers", metavar="NUMBER", type=int, help="Processes that send (default: one per core).")
@_limit(
    "--max-connections",
    "max_connections",
    metavar="NUMBER",
    type=int,
    help="Connections at once; beyond it arrivals wait and are counted as backlog (default 10000).",
)
@_limit(
    "--forbid-other-hosts",
    "forbids_other_hosts",
    is_flag=True,
    help="Do not follow redirects to hosts that the plan does not name.",
)
@_limit(
    "--fail-if-generator-limited",
    "fails_if_limited",
    is_flag=True,
    help="Exit code 6 when this machine, not the target, was the limit.",
)
@click.option("--version", "shows_version", is_flag=True, help="Versions of Osmia and of what it sends with.")
@click.pass_context
def load(ctx: click.Context, /, **given: typing.Any) -> None:  # noqa: ANN401 - click's keywords, made types below
    """Put load on HTTP servers, and say honestly how they bore it.

    The flags of ddosify work as they are, with one dash or two. Of every request two times are told: the service
    time, from when it was sent, and the response time, from when it should have been. Reports go to stdout, all else
    to stderr.
    """
    if given["is_plain"]:
        ctx.color = False
    if ctx.invoked_subcommand is not None:
        return
    if given["shows_version"]:
        click.echo(_version())
        return
    flags = Flags(**{field.name: given[field.name] for field in fields(Flags)})
    if not (flags.target or flags.config):
        raise click.UsageError("there is no target - write -t http://host/path or --config FILE; --help shows how", ctx)
    from osmia.load.run import Choices, run

    ctx.exit(run(flags, Choices(**{field.name: given[field.name] for field in fields(Choices)})))


def _version() -> str:
    """What the original told, and the libraries that send."""
    from osmia.load.run import transports

    lines = [f"Version: {__version__}"]
    lines += [f"{name}: {what}" for name, what in transports().items()]
    lines += [f"Python: {platform.python_version()}", f"OS/Arch: {platform.system().lower()}/{platform.machine()}"]
    return "\n".join(lines)


@load.command()
@click.argument("file", metavar="FILE|-")
def validate(file: str) -> None:
    """Read a config; tell every problem in it with its line and remedy, or what it would do. Sends nothing."""
    from osmia.load.config import describe
    from osmia.load.config import load as read

    loaded = read(file)
    for warning in loaded.warnings:
        click.secho(f"osmia: {warning}", fg="yellow", err=True)
    click.echo("\n".join(describe(loaded.plan)))


@load.command()
@click.argument("file", metavar="FILE|-", type=click.File(encoding="utf-8"))
@click.option(
    "--from",
    "kind",
    type=click.Choice(["postman", "har", "openapi", "curl"]),
    help="What FILE is; otherwise it is seen from what is in it.",
)
@click.option("--yaml", "is_yaml", is_flag=True, help="Write YAML instead of JSON.")
@click.option("--environment", type=click.File(encoding="utf-8"), help="Postman: an exported environment.")
@click.option("--folder", default="", help="Postman: this folder only.")
@click.option("--server", default="", help="OpenAPI: where the API is.")
@click.option("--tag", default="", help="OpenAPI: operations with this tag only.")
@click.option("--host", "hosts", multiple=True, help="HAR: requests to this host and below it only; may be repeated.")
@click.option("--no-static", "is_lean", is_flag=True, help="HAR: without images, styles, scripts and fonts.")
@click.option("--sleeps", "has_sleeps", is_flag=True, help="HAR: rest between requests as long as the user did.")
def convert(file: typing.TextIO, **given: typing.Any) -> None:  # noqa: ANN401 - click's keywords, made types below
    """Make a config of a Postman collection, a HAR, an OpenAPI document or curl commands, on stdout.

    What could not be carried over is told on stderr.
    """
    from osmia.load.config import to_json, to_yaml
    from osmia.load.convert import ConvertOptions, HarOptions, Kind
    from osmia.load.convert import convert as converted

    options = ConvertOptions(
        postman_environment=given["environment"].read() if given["environment"] else "",
        folder=given["folder"],
        har=HarOptions(has_sleeps=given["has_sleeps"], has_static=not given["is_lean"], hosts=given["hosts"]),
        server=given["server"],
        tag=given["tag"],
    )
    kind = Kind(given["kind"]) if given["kind"] else None
    conversion = converted(file.read(), file.name, kind=kind, options=options)
    for warning in conversion.warnings:
        click.secho(f"osmia: {warning}", fg="yellow", err=True)
    click.echo((to_yaml if given["is_yaml"] else to_json)(conversion.document), nl=False)


@load.command()
def schema() -> None:
    """The JSON Schema of configs, for editors."""
    from osmia.load.config import schema_text

    click.echo(schema_text(), nl=False)


@load.command()
@click.option("--seed", type=int, help="The same examples each time.")
def variables(seed: int | None) -> None:
    """List every dynamic variable with an example of what it becomes."""
    from osmia.load.language.extract import text_of
    from osmia.load.variables import Variables

    made = Variables(seed).all()
    width = max(map(len, made)) + 6
    for name, value in made.items():
        text = " ".join(text_of(value).split())
        click.echo(f"{'{{_' + name + '}}':<{width}}{text if len(text) <= _EXAMPLE else text[: _EXAMPLE - 1] + '…'}")
