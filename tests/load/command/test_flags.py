"""Flags become plans: the original's defaults, the newer models, and messages that say what to write instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from osmia.load.flags import Flags, applied, duration_of, ignored, plan_of
from osmia.load.plan import (
    ArrivalPattern,
    BasicAuth,
    CountKind,
    CountShape,
    ManualShape,
    RateShape,
    RateStage,
    Segment,
    Sleep,
    UsersShape,
    UserStage,
)
from osmia.load.shape import planned
from osmia.model.errors import ConfigError

TARGET = "http://localhost:8200/currencies/"


def test_defaults_are_the_original_s() -> None:
    """A target alone: 100 GETs over 10 s, linear, 5 s of patience, nothing verified, a report for people."""
    plan = plan_of(Flags(target=TARGET))

    assert plan.shape == CountShape(CountKind.LINEAR, 100, 10)
    (step,) = plan.steps
    assert (step.id, step.method, step.url, step.timeout_s) == (1, "GET", TARGET, 5.0)
    assert not step.tls.is_verified
    assert step.follows_redirects
    assert plan.output == "stdout"
    assert not plan.is_debug


def test_every_flag_of_the_original_is_in_the_plan() -> None:
    """-m -b -a -h -T -P -o -l, the certificate and --debug."""
    plan = plan_of(
        Flags(
            target="https://localhost/{{_randomInt}}/",
            count=1000,
            duration="20",
            load_type="Waved",
            method="post",
            body='{"a": 1}',
            auth="ada:love:lace",
            headers=("Accept: text/html", "X-Empty:"),
            timeout="7",
            proxy="http://localhost:3128",
            output="stdout-json",
            cert_path="cert.pem",
            cert_key_path="key.pem",
            is_debug=True,
        )
    )

    (step,) = plan.steps
    assert plan.shape == CountShape(CountKind.WAVED, 1000, 20)
    assert (step.method, step.body, step.timeout_s) == ("POST", '{"a": 1}', 7.0)
    assert step.auth == BasicAuth("ada", "love:lace")
    assert step.headers == (("Accept", "text/html"), ("X-Empty", ""))
    assert (step.tls.cert_path, step.tls.key_path) == ("cert.pem", "key.pem")
    assert (plan.proxy, plan.output, plan.is_debug) == ("http://localhost:3128", "stdout-json", True)


@pytest.mark.parametrize(
    ("flags", "shape"),
    [
        (Flags(target=TARGET, vus=50, duration="30"), UsersShape((UserStage(30.0, 50, 50),))),
        (Flags(target=TARGET, vus=50), UsersShape((UserStage(10.0, 50, 50),))),
        (Flags(target=TARGET, vus=5, count=20, duration="2s"), UsersShape((UserStage(2.0, 5, 5),), 20)),
        (Flags(target=TARGET, vus=5, count=20), UsersShape((UserStage(86400.0, 5, 5),), 20)),
        (Flags(target=TARGET, rate="6000/m"), RateShape((RateStage(10.0, 100.0, 100.0),))),
        (Flags(target=TARGET, rate="50/s", count=200), RateShape((RateStage(4.0, 50.0, 50.0),))),
        (Flags(target=TARGET, rate="50", count=200, duration="4"), RateShape((RateStage(4.0, 50.0, 50.0),))),
        (
            Flags(target=TARGET, stages="30s:100/s, 1m:100/s"),
            RateShape((RateStage(30.0, 0.0, 100.0), RateStage(60.0, 100.0, 100.0))),
        ),
        (
            Flags(target=TARGET, stages="500ms:20,1m30s:0", vus=10),
            UsersShape((UserStage(0.5, 10, 20), UserStage(90.0, 20, 0))),
        ),
        (Flags(target=TARGET, stages="5s:40", rate="10"), RateShape((RateStage(5.0, 10.0, 40.0),))),
    ],
)
def test_newer_flags_make_the_other_models(flags: Flags, shape: UsersShape | RateShape) -> None:
    """--vus is closed, --rate open, --stages either; -n and -d end them."""
    assert plan_of(flags).shape == shape


@pytest.mark.parametrize("count", [1, 3, 10, 66, 100, 997, 1224])
@pytest.mark.parametrize("rate", ["3", "33", "0.7", "68.1", "1000/m"])
def test_a_count_at_a_rate_is_exact(rate: str, count: int) -> None:
    """Whatever the division leaves behind."""
    assert planned(plan_of(Flags(target=TARGET, rate=rate, count=count)).shape).iterations == count


def test_arrivals_are_spread_by_chance_if_asked() -> None:
    """--arrivals poisson goes with every open shape."""
    shape = plan_of(Flags(target=TARGET, arrivals="poisson")).shape

    assert isinstance(shape, CountShape)
    assert shape.pattern is ArrivalPattern.POISSON


def test_flags_change_the_plan_of_a_file() -> None:
    """Beside a config file the load, the protocols and the limits may be given; its steps stay."""
    planned = plan_of(Flags(target=TARGET, count=5, duration="2"))
    flags = Flags(
        count=7,
        is_verified=True,
        is_http2=True,
        think_time="900-100",
        environment=("HOST=http://b", "EMPTY="),
        seed=3,
        workers=1,
        max_connections=9,
        forbids_other_hosts=True,
        is_debug=True,
    )

    plan = applied(planned, flags)

    (step,) = plan.steps
    assert plan.shape == CountShape(CountKind.LINEAR, 7, 2)
    assert step.tls.is_verified
    assert step.is_http2
    assert step.sleep == Sleep(100, 900)
    assert plan.environment == {"HOST": "http://b", "EMPTY": ""}
    assert (plan.seed, plan.is_debug) == (3, True)
    assert (plan.limits.workers, plan.limits.max_connections, plan.limits.forbids_other_hosts) == (1, 9, True)


def test_no_flags_change_nothing() -> None:
    """A file's plan is taken as it is."""
    planned = replace(plan_of(Flags(target=TARGET)), shape=ManualShape((Segment(1, 2),)), proxy="http://p", seed=4)

    assert applied(planned, Flags()) == planned


def test_request_flags_beside_a_file_are_told() -> None:
    """They describe a request that the file's steps replace, as in the original; but not in silence."""
    assert ignored(Flags(target=TARGET, method="GET", headers=("A: b",), count=3)) == ["-t", "-m", "-h"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10", 10.0), ("0.5", 0.5), ("500ms", 0.5), ("2m", 120.0), ("1h", 3600.0), ("1m30s", 90.0), ("0", 0.0)],
)
def test_durations_have_units_or_are_seconds(text: str, seconds: float) -> None:
    """Plain numbers are seconds, as in the original."""
    assert duration_of("-d", text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (Flags(), "-t = '': there is no target - write -t http://host/path, or --config file.json"),
        (
            Flags(target="localhost:8200"),
            "-t = 'localhost:8200': not the URL of a web server - write it whole, such as http://localhost:8200",
        ),
        (
            Flags(target="ftp://files/"),
            "-t = 'ftp://files/': not the URL of a web server - write http://… or https://…",
        ),
        (
            Flags(target="http://h:99999/"),
            "-t = 'http://h:99999/': the URL 'http://h:99999/' has the port 99999 - ports are 1 to 65535",
        ),
        (
            Flags(target=TARGET, proxy="ftp://p"),
            "-P = 'ftp://p': the proxy 'ftp://p' is none of http, https, socks4, socks5, socks5h",
        ),
        (Flags(target=TARGET, count=10**20), f"-n = {10**20}: must be at most 1,000,000,000,000"),
        (Flags(target=TARGET, vus=10**7), "--vus = 10000000: must be at most 1,000,000"),
        (Flags(target=TARGET, stages="1s:10000000"), "--stages = '1s:10000000': must be at most 1,000,000"),
        (Flags(target=TARGET, rate="99999999/s"), "--rate = '99999999/s': must be at most 10,000,000"),
        (Flags(target=TARGET, workers=2000), "--workers = 2000: must be at most 1,024"),
        (
            Flags(target=TARGET, duration="99999999"),
            "-d = '99999999': longer than a year - plain numbers are seconds",
        ),
        (
            Flags(target=TARGET, method="UPDATE"),
            "-m = 'UPDATE': no such method - one of GET, POST, PUT, DELETE, PATCH, HEAD, OPTIONS",
        ),
        (
            Flags(target=TARGET, headers=("help",)),
            "-h = 'help': not a header - write -h 'Name: value' (for help: --help)",
        ),
        (Flags(target=TARGET, auth="ada"), "-a = '…': no user and password - write -a user:password"),
        (
            Flags(target=TARGET, cert_path="c.pem"),
            (
                "--cert_path = 'c.pem': a certificate needs its key, and a key its certificate"
                " - add --cert_key_path FILE.pem"
            ),
        ),
        (
            Flags(target=TARGET, duration="0"),
            "-d = '0': a load lasts longer than nothing - write -d 10 for ten seconds",
        ),
        (
            Flags(target=TARGET, duration="ten"),
            "-d = 'ten': not a duration - write seconds (10, 0.5) or 500ms, 30s, 2m, 1h",
        ),
        (
            Flags(target=TARGET, duration="1.5"),
            "-d = '1.5': iterations are counted per whole second - round it, or use --rate or --vus",
        ),
        (Flags(target=TARGET, count=0), "-n = 0: must be at least 1 - -n 1000 is a thousand iterations"),
        (
            Flags(target=TARGET, load_type="sine"),
            "-l = 'sine': no such shape - one of linear, incremental, waved",
        ),
        (
            Flags(target=TARGET, load_type="waved", vus=5),
            "-l = 'waved': --vus has a shape of its own - -l goes with -n and -d; leave it out",
        ),
        (
            Flags(target=TARGET, rate="100", vus=5),
            (
                "--rate = '100': --vus 5 is the closed model and --rate the open one - --vus: users who wait for their"
                " answers; --rate: arrivals that wait for nobody. Choose one"
            ),
        ),
        (
            Flags(target=TARGET, rate="100", count=50, duration="10"),
            "-n = 50: 100 over 10 s is 1000 iterations - give two of -n, -d and --rate",
        ),
        (
            Flags(target=TARGET, rate="fast"),
            "--rate = 'fast': not a number - write 100, 100/s, 6000/m or 360000/h",
        ),
        (
            Flags(target=TARGET, stages="10:5,10:5/s"),
            "--stages = '10:5,10:5/s': some are users and some are rates - write /s after each number, or after none",
        ),
        (
            Flags(target=TARGET, stages="100"),
            "--stages = '100': not a stage - write DURATION:USERS or DURATION:RATE/s, such as 30s:100,1m:0",
        ),
        (
            Flags(target=TARGET, vus=3, arrivals="poisson"),
            "--arrivals = 'poisson': virtual users do not arrive - use --rate or -n, not --vus",
        ),
        (
            Flags(target=TARGET, think_time="1s"),
            "--think-time = '1s': not a time in ms - write --think-time 500 or 200-800",
        ),
        (
            Flags(target=TARGET, environment=("A",)),
            "--env = 'A': not a variable - write --env NAME=value, the name in letters, digits, _ and -",
        ),
        (Flags(target=TARGET, max_connections=0), "--max-connections = 0: must be at least 1"),
    ],
)
def test_mistakes_are_told_with_their_remedy(flags: Flags, message: str) -> None:
    """Flag, value, what is wrong, what to write."""
    with pytest.raises(ConfigError) as raised:
        plan_of(flags)

    assert str(raised.value) == message


def test_a_password_is_never_shown() -> None:
    """Not even in the message about it."""
    with pytest.raises(ConfigError) as raised:
        plan_of(Flags(target=TARGET, auth=":s3cret"))

    assert "s3cret" not in str(raised.value)
