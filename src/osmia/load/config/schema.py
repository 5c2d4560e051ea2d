"""Every key of a load test's config, declared once: the check, the published JSON Schema and the reference page.

Names, defaults and meanings are the original's; keys that it does not have (`vus`, `rate`, `stages`, `arrivals`,
`seed`, `workers`, `max_connections`, `forbid_other_hosts`, `verify`, `http2`, `http3`, a step's `tls`) are in its
style.
"""

from __future__ import annotations

from typing import Final

from osmia.load.config.kinds import ANY, FLAG, Choice, Either, Items, Key, Names, Number, Table, Text, Whole
from osmia.load.plan import ArrivalPattern, ColumnType, CountKind, Mode, RowOrder

__all__ = ["CONFIG", "METHODS", "TABLES"]

METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")

_NAME = Text(r"[a-zA-Z][a-zA-Z0-9_-]*", "a letter, then letters, digits, _ and -")
_TEXT = Text()
_YEAR_S = 31_536_000
_MOST = 1_000_000_000_000
_TEMPLATE = Text(is_template=True)

_AUTH: Final = Table(
    "auth",
    (
        Key("type", Choice(("basic",)), "The only kind there is.", "basic"),
        Key("username", _TEMPLATE, "User name.", ""),
        Key("password", _TEMPLATE, "Password.", ""),
    ),
    "Credentials that a step sends as `Authorization: Basic`.",
)

_OTHERS: Final = Table(
    "others",
    (
        Key("disable-compression", FLAG, "Do not ask for gzip.", default=False),
        Key("h2", FLAG, "Speak HTTP/2 where the server agrees, which needs https; wins over the test's `http2`."),
        Key("h3", FLAG, "Speak HTTP/3; wins over the test's `http3`."),
        Key("disable-redirect", FLAG, "Do not follow redirects: the 3xx is the answer.", default=False),
        Key("keep-alive", FLAG, "false: the connection is closed after the answer.", default=True),
        Key("hostname", _TEXT, "Name for TLS (SNI and verification) instead of the URL's.", ""),
    ),
    "Switches of a step.",
)

_TLS: Final = Table(
    "tls",
    (
        Key("verify", FLAG, "Verify the server's certificate; wins over the test's `verify`."),
        Key("resume", FLAG, "Resume TLS sessions on new connections, as browsers do.", default=False),
    ),
    "How a step's TLS is made.",
)

_PART: Final = Table(
    "payload_multipart",
    (
        Key("name", _TEXT, "The field's name.", is_required=True),
        Key("value", _TEMPLATE, "The field's text, or the path or URL of a file.", is_required=True),
        Key("type", Choice(("text", "file")), "What `value` is.", "text"),
        Key("src", Choice(("local", "remote")), "Where a file is: on this machine, or behind a URL.", "local"),
    ),
    "One field of a multipart form.",
)

_REGEXP: Final = Table(
    "regexp",
    (
        Key("exp", _TEXT, "The expression.", is_required=True),
        Key("matchNo", Whole(0, 1_000_000), "Which match counts, from 0.", 0),
    ),
    "An expression whose match is the value.",
)

_CAPTURE: Final = Table(
    "capture_env",
    (
        Key("from", Choice(("body", "header", "cookies")), "Where the value is.", is_required=True),
        Key("json_path", _TEXT, "Body: a path in JSON (gjson syntax)."),
        Key("xpath", _TEXT, "Body: an XPath in XML."),
        Key("xpath_html", _TEXT, "Body: an XPath in HTML."),
        Key("regexp", _REGEXP, "Body or header: an expression."),
        Key("header_key", _TEXT, "Header: its name."),
        Key("cookie_name", _TEXT, "Cookies: its name."),
    ),
    "A value taken from the answer for the steps that follow.",
)

_STEP: Final = Table(
    "steps",
    (
        Key("id", Whole(1, 65535), "Number in results, each once; without it: its place in the list."),
        Key("name", _TEXT, "Name in results.", ""),
        Key("url", _TEMPLATE, "Where the request goes.", is_required=True),
        Key("method", Choice(METHODS), "HTTP method.", "GET"),
        Key("headers", Names(_TEMPLATE, what="header to value, both may hold `{{variables}}`"), "Request headers."),
        Key("payload", _TEMPLATE, "Request body.", ""),
        Key("payload_file", _TEXT, "Path or URL of a file that is the body; wins over `payload`."),
        Key("payload_multipart", Items(_PART), "A form; wins over `payload_file` and `payload`, sets Content-Type."),
        Key("timeout", Number(0, _YEAR_S, "seconds"), "For the whole request, redirects included; 0 is none.", 5),
        Key(
            "sleep",
            Either((Text(r" *[0-9]{1,9} *(- *[0-9]{1,9} *)?", 'milliseconds as "1000" or "300-500"'), Whole(0))),
            "Milliseconds to rest after the step, fixed or drawn from a range; at most 90000.",
        ),
        Key("auth", _AUTH, "Basic authentication."),
        Key("others", _OTHERS, "Switches."),
        Key("tls", _TLS, "How TLS is made."),
        Key("cert_path", _TEXT, "Client certificate, a PEM file; needs `cert_key_path`.", ""),
        Key("cert_key_path", _TEXT, "The certificate's key, a PEM file.", ""),
        Key("capture_env", Names(_CAPTURE, _NAME, "name to where its value is"), "Values for later steps."),
        Key("assertion", Items(_TEXT), "Rules that the answer must meet."),
    ),
    "One request of the scenario. Steps run in order.",
)

_SEGMENT: Final = Table(
    "manual_load",
    (
        Key("duration", Whole(1, _YEAR_S, "seconds"), "How long.", is_required=True),
        Key("count", Whole(0, _MOST), "How many iterations start in that time, evenly.", is_required=True),
    ),
    "One segment of the load.",
)

_STAGE: Final = Table(
    "stages",
    (
        Key("duration", Number(0, _YEAR_S, "seconds"), "How long the way there takes; 0: at once.", is_required=True),
        Key("rate", Number(0, 10_000_000), "Iterations per second at the stage's end."),
        Key("vus", Whole(0, 1_000_000), "Virtual users at the stage's end."),
    ),
    "A straight line from where the stage before ended; the first begins at the test's `rate` or `vus`, else at 0.",
)

_COLUMN: Final = Table(
    "vars",
    (
        Key("tag", _NAME, "The column is `{{data.FILE.tag}}`.", is_required=True),
        Key("type", Choice(tuple(ColumnType)), "What its cells are read as.", "string"),
    ),
    "One column of a CSV file.",
)

_DATA: Final = Table(
    "data",
    (
        Key("path", _TEXT, "Path or URL of the CSV file.", is_required=True),
        Key(
            "vars",
            Names(_COLUMN, Text("[0-9]{1,4}", 'a column number from 0, as "0"'), "column number to column"),
            "The columns that are used.",
            is_required=True,
        ),
        Key("delimiter", Text(r"[^\r\n\"]", 'one character, for instance ";"'), "What separates cells.", ","),
        Key("skip_first_line", FLAG, "The first line is a heading.", default=False),
        Key("skip_empty_line", FLAG, "Empty lines are no rows.", default=True),
        Key("allow_quota", FLAG, "A quote may stand inside an unquoted cell.", default=False),
        Key("order", Choice(tuple(RowOrder)), "Which row an iteration gets.", "random"),
    ),
    "A CSV file: one row per iteration.",
)

_COOKIE: Final = Table(
    "cookies",
    (
        Key("name", _TEXT, "Name.", ""),
        Key("value", _TEXT, "Value.", ""),
        Key("domain", _TEXT, "Domain.", ""),
        Key("path", _TEXT, "Path.", ""),
        Key("expires", _TEXT, "When it expires, as `Thu, 16 Mar 2027 09:24:02 GMT`.", ""),
        Key("max_age", Number(-(2**31), 2**31 - 1, is_whole=True), "Seconds until it expires.", 0),
        Key("http_only", FLAG, "HttpOnly.", default=False),
        Key("secure", FLAG, "Secure.", default=False),
        Key("raw", _TEXT, "A whole Set-Cookie value; wins over the rest.", ""),
    ),
    "A cookie that every user has from the start.",
)

_JAR: Final = Table(
    "cookie_jar",
    (
        Key("enabled", FLAG, "Users keep cookies; needs a user mode in `engine_mode`.", default=False),
        Key("cookies", Items(_COOKIE), "Cookies from the start."),
    ),
    "Cookies.",
)

_CRITERION: Final = Table(
    "success_criterias",
    (
        Key("rule", _TEXT, "What must hold, for instance `p95(iteration_duration) < 200`.", is_required=True),
        Key("abort", FLAG, "End the test when it does not hold.", default=False),
        Key("delay", Number(0, _YEAR_S, "seconds"), "How long it must be broken before the test is ended.", 0),
    ),
    "What the whole test must meet to have passed.",
)

CONFIG: Final = Table(
    "config",
    (
        Key("$schema", _TEXT, "Where the JSON Schema is; for editors."),
        Key("iteration_count", Whole(1, _MOST), "How many iterations start in all.", 100, aliases=("request_count",)),
        Key("load_type", Choice(tuple(CountKind)), "How they are spread over the time.", "linear"),
        Key("duration", Number(0, _YEAR_S, "seconds", is_above=True), "How long iterations are started.", 10),
        Key("manual_load", Items(_SEGMENT, 1), "Segments in a row; win over the three keys above."),
        Key(
            "vus",
            Whole(1, 1_000_000),
            "Virtual users that iterate without a pause, for `duration` or `iteration_count`.",
        ),
        Key("rate", Number(0, 10_000_000, is_above=True), "Iterations started per second, whatever the answers take."),
        Key("stages", Items(_STAGE, 1), "Rates or virtual users that change in straight lines."),
        Key("arrivals", Choice(tuple(ArrivalPattern)), "How starts lie inside their second.", "even"),
        Key("steps", Items(_STEP, 1), "The scenario: what one iteration does.", is_required=True),
        Key("engine_mode", Choice(tuple(Mode)), "Who the iterations are.", "ddosify"),
        Key("output", Choice(("stdout", "stdout-json")), "Text, or one line of JSON.", "stdout"),
        Key("proxy", _TEXT, "Proxy URL: http, https, socks4, socks5 or socks5h.", ""),
        Key("env", Names(ANY, _NAME, "name to value"), "Values for `{{name}}`."),
        Key("data", Names(_DATA, _NAME, "name to CSV file"), "CSV files for `{{data.NAME.tag}}`."),
        Key("cookie_jar", _JAR, "Cookies."),
        Key("success_criterias", Items(_CRITERION), "What the whole test must meet."),
        Key("debug", FLAG, "One iteration, told in full.", default=False),
        Key("sampling_rate", Whole(0, 1000), "How many received values a failed assertion shows.", 3),
        Key("verify", FLAG, "Verify the servers' certificates.", default=False),
        Key("http2", FLAG, "Speak HTTP/2 where servers agree.", default=False),
        Key("http3", FLAG, "Speak HTTP/3.", default=False),
        Key("forbid_other_hosts", FLAG, "A redirect to a host that no step names is a failure.", default=False),
        Key("seed", Whole(0, 2**53), "Makes random values, rows and pauses the same in every run."),
        Key("workers", Whole(0, 1024), "Processes; 0: as many as the machine and the load ask for.", 0),
        Key("max_connections", Whole(1, 1_000_000), "Connections open at once; more wait.", 10_000),
    ),
    "A load test.",
)

TABLES: Final = (
    CONFIG,
    _STEP,
    _PART,
    _AUTH,
    _OTHERS,
    _TLS,
    _CAPTURE,
    _REGEXP,
    _SEGMENT,
    _STAGE,
    _DATA,
    _COLUMN,
    _JAR,
    _COOKIE,
    _CRITERION,
)
"""Every table, in the order in which they are described."""
