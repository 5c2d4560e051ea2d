"""Config files of every kind become the plans that they ask for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from osmia.load.config import Loaded, describe, load, load_text
from osmia.load.plan import (
    ArrivalPattern,
    BasicAuth,
    Capture,
    CaptureSource,
    Column,
    ColumnType,
    CookieSetting,
    CountKind,
    CountShape,
    Criterion,
    DataFile,
    JsonValue,
    Limits,
    ManualShape,
    Mode,
    Part,
    Plan,
    RateShape,
    RateStage,
    RowOrder,
    Segment,
    Shape,
    Sleep,
    Step,
    Tls,
    UsersShape,
    UserStage,
)
from osmia.model.errors import InputError

GOOD = Path(__file__).parent / "good"
ENVIRONMENT = {"REGION": "eu"}


def _nothing(url: str) -> bytes:
    raise InputError(f"nothing is behind {url}")


def _load(name: str) -> Loaded:
    return load(GOOD / name, environment=ENVIRONMENT, fetch=_nothing)


def _plan(text: str) -> Plan:
    return load_text(text, "a.yaml", environment={}, fetch=_nothing).plan


def _shape(keys: str) -> Shape:
    return _plan(f"{keys}\nsteps: [{{url: http://localhost/}}]").shape


def test_smallest_config_has_the_originals_defaults() -> None:
    """A step with a URL is enough; everything else is as in the original."""
    loaded = _load("smallest.json")

    step = Step(id=1, url="http://localhost:8200/currencies/")
    assert loaded == Loaded(Plan(steps=(step,), shape=CountShape(CountKind.LINEAR, 100, 10)), ())


def test_older_config_is_understood() -> None:
    """The older alias, words in other cases, and the older keep-alive switch."""
    loaded = _load("older.json")

    first = Step(id=1, url="http://localhost:8200/exchange_rate/EUR/", timeout_s=3)
    second = Step(
        id=2,
        name="sign in",
        method="POST",
        url="http://localhost:8200/users/sign-in/",
        headers=(("Content-Type", "application/json"), ("Connection", "close")),
        body='{"name": "{{_randomFirstName}}"}',
        auth=BasicAuth("kali", "maja"),
        is_http2=True,
        assumes_http2=False,
        is_compressed=False,
        follows_redirects=False,
    )
    assert loaded.plan == Plan(steps=(first, second), shape=CountShape(CountKind.WAVED, 1555, 21))


def test_manual_load_is_segments() -> None:
    """`manual_load` is the shape; an id may be any number."""
    loaded = _load("manual.json")

    assert loaded.plan == Plan(
        steps=(Step(id=7, url="http://localhost:8200/", sleep=Sleep(500, 500)),),
        shape=ManualShape((Segment(5, 5), Segment(6, 10), Segment(7, 20))),
        proxy="http://user:secret@localhost:3128",
        sampling_rate=5,
    )


def test_journey_has_environment_data_cookies_and_criteria() -> None:
    """Everything around the steps of a scenario."""
    plan = _load("journey.yaml").plan

    cookies = (
        CookieSetting(name="currency", value="EUR", domain="localhost", path="/", max_age=3600, is_http_only=True),
        CookieSetting(raw="theme=dark; Path=/; Secure"),
    )
    columns = (Column(0, "name"), Column(1, "age", ColumnType.INT), Column(3, "address", ColumnType.JSON))
    rows: tuple[tuple[JsonValue, ...], ...] = (("kali", 31, {"zip": 53111}), ("maja", 28, {"zip": 89073}))
    assert replace(plan, steps=()) == Plan(
        steps=(),
        shape=CountShape(CountKind.INCREMENTAL, 60, 20),
        mode=Mode.REPEATED_USER,
        environment={
            "host": "http://localhost:8200",
            "items": [12, 15, 21],
            "session": "{{_guid}}",
            "greeting": "hello {{host}}",
        },
        data=(DataFile("users", columns, rows, RowOrder.SEQUENTIAL),),
        has_cookies=True,
        cookies=cookies,
        criteria=(
            Criterion("p95(iteration_duration) < 900", is_abort=True, delay_s=3),
            Criterion("fail_count_perc <= 0.05"),
        ),
    )


def test_journey_has_steps() -> None:
    """Captures from everywhere, assertions, a reversed sleep, files and forms."""
    plan = _load("journey.yaml").plan

    order = (GOOD / "order.json").read_text()
    first = Step(
        id=1,
        name="sign in",
        url="{{host}}/users/sign-in/",
        method="POST",
        headers=(("Content-Type", "application/json"), ("X-Session", "{{session}}"), ("X-Version", "010")),
        body='{"name": "{{data.users.name}}", "age": "{{data.users.age}}"}\n',
        auth=BasicAuth("{{data.users.name}}", "maja"),
        sleep=Sleep(100, 300),
        captures=(
            Capture("TOKEN", CaptureSource.BODY_JSON, "token"),
            Capture("TRACE", CaptureSource.HEADER, "X-Trace"),
            Capture("TRACE_ID", CaptureSource.HEADER_REGEXP, "[a-z]+", 1, "X-Trace"),
            Capture("SESSION_COOKIE", CaptureSource.COOKIE, "session"),
            Capture("FIRST_NUMBER", CaptureSource.BODY_REGEXP, "[0-9]+"),
            Capture("TITLE", CaptureSource.BODY_HTML, "//h1"),
        ),
        assertions=("status_code == 200", "in(status_code, [200, 201])"),
    )
    second = Step(id=2, name="buy", url="{{host}}/items/{{rand(items)}}/?token={{TOKEN}}", method="PUT", body=order)
    form = (
        Part("caption", "by {{data.users.name}}"),
        Part("picture", order.encode(), "order.json", "application/octet-stream"),
    )
    assert plan.steps == (first, second, Step(id=3, url="{{host}}/pictures/", method="POST", body=form))


def test_journey_warns_about_what_is_not_used() -> None:
    """An unknown key and a name in a file that may be no template."""
    warnings = [str(one).removeprefix(str(GOOD)) for one in _load("journey.yaml").warnings]

    known = "FIRST_NUMBER, SESSION_COOKIE, TITLE, TOKEN, TRACE, TRACE_ID, data.users.address, data.users.age, ..."
    assert warnings == [
        "/journey.yaml:27:5: success_criterias[0].p95_is: unknown key, not used - known here: rule, abort, delay",
        (
            '/journey.yaml:59:19: steps[1].payload_file = "order.json": {{not_ours}} has no value, and is sent as it is'
            f" - give it one: env, data, or capture_env of an earlier step (known here: {known})"
        ),
    ]


def test_stages_begin_at_the_rate_and_jump() -> None:
    """Stages are straight lines; one without a duration is a jump; steps may say otherwise than the test."""
    plan = _load("stages.yaml").plan

    assert plan.shape == RateShape((RateStage(30, 10, 100), RateStage(60.5, 200, 200)), ArrivalPattern.POISSON)
    assert plan.steps == (
        Step(
            id=1,
            url="https://localhost:8443/",
            tls=Tls(server_name="api.example", is_verified=True, is_resumed=True),
            is_http2=True,
        ),
        Step(id=2, url="https://localhost:8443/other", is_http3=True),
    )
    assert plan.seed == 7
    assert plan.limits == Limits(max_connections=500, workers=2, forbids_other_hosts=True)


def test_virtual_users_and_outside_variables() -> None:
    """`vus` is the closed model; `{{$NAME}}` may name what the process's environment has."""
    assert _load("users.yaml").plan == Plan(
        steps=(Step(id=1, url="http://localhost:8200/{{$REGION}}/", timeout_s=0),),
        shape=UsersShape((UserStage(2.5, 50, 50),)),
    )


@pytest.mark.parametrize(
    ("keys", "shape"),
    [
        ("rate: 50", RateShape((RateStage(10, 50, 50),))),
        ("{rate: 50, duration: 0.5}", RateShape((RateStage(0.5, 50, 50),))),
        ("{rate: 50, iteration_count: 200}", RateShape((RateStage(4, 50, 50),))),
        ("{rate: 50, iteration_count: 200, duration: 3}", RateShape((RateStage(3, 50, 50),))),
        ("{vus: 5, iteration_count: 20}", UsersShape((UserStage(86400, 5, 5),), 20)),
        ("{vus: 5, iteration_count: 20, duration: 9}", UsersShape((UserStage(9, 5, 5),), 20)),
        (
            "{stages: [{duration: 5, vus: 10}, {duration: 5, vus: 0}]}",
            UsersShape((UserStage(5, 0, 10), UserStage(5, 10, 0))),
        ),
        ("{vus: 4, stages: [{duration: 5, vus: 10}]}", UsersShape((UserStage(5, 4, 10),))),
        ("{duration: 1e1, iteration_count: 1E2, load_type: Linear}", CountShape(CountKind.LINEAR, 100, 10)),
        ("{duration: null, Iteration_Count: 5}", CountShape(CountKind.LINEAR, 5, 10)),
        ("{iteration_count: 5, request_count: 6}", CountShape(CountKind.LINEAR, 5, 10)),
        ("{arrivals: poisson}", CountShape(CountKind.LINEAR, 100, 10, ArrivalPattern.POISSON)),
        ("{manual_load: [{duration: 1, count: 2}], iteration_count: 9}", ManualShape((Segment(1, 2),))),
    ],
)
def test_shapes(keys: str, shape: Shape) -> None:
    """Which load the keys ask for, alone and together."""
    text = keys if not keys.startswith("{") else "\n".join(_top_level(keys))

    assert _shape(text) == shape


def _top_level(flow: str) -> list[str]:
    """`{a: 1, b: [..]}` as lines, so that steps can follow."""
    inner, depth, lines = flow[1:-1], 0, [""]
    for character in inner:
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth == 0:
            lines.append("")
        else:
            lines[-1] += character
    return [line.strip() for line in lines]


def test_files_may_be_fetched() -> None:
    """A URL in place of a path is fetched, once."""
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return b"\x00\xff" if url.endswith("bin") else b"1,2\n"

    text = """
    data: {numbers: {path: "http://files/n.csv", vars: {"0": {tag: a, type: int}, "1": {tag: b, type: float}}}}
    steps:
      - {url: http://x/, payload_file: "http://files/a.bin"}
      - url: http://x/
        payload_multipart: [{name: f, value: "http://files/a.bin?x=1", type: file, src: remote}]
      - {url: http://x/, payload_file: "http://files/a.bin"}
    """
    plan = load_text(text, "a.yaml", environment={}, fetch=fetch).plan

    assert plan.data[0].rows == ((1, 2.0),)
    assert plan.steps[0].body == plan.steps[2].body == b"\x00\xff"
    assert plan.steps[1].body == (Part("f", b"1,2\n", "a.bin", "application/octet-stream"),)
    assert asked == ["http://files/n.csv", "http://files/a.bin", "http://files/a.bin?x=1"]


def test_client_certificate_is_checked_and_kept(tmp_path: Path) -> None:
    """A pair that works is in the plan; paths are looked up beside the config, too."""
    pair = trustme.CA().issue_cert("client.example")
    pair.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    pair.private_key_pem.write_to_path(tmp_path / "key.pem")
    config = tmp_path / "load.yaml"
    config.write_text("steps: [{url: https://x/, cert_path: cert.pem, cert_key_path: key.pem}]")

    tls = load(config, environment={}, fetch=_nothing).plan.steps[0].tls

    assert tls == Tls(cert_path=str(tmp_path / "cert.pem"), key_path=str(tmp_path / "key.pem"))


def test_plans_are_described() -> None:
    """A plan in lines that people read."""
    captures = "captures TOKEN, TRACE, TRACE_ID, SESSION_COOKIE, FIRST_NUMBER, TITLE"
    sleep = "then rests 100 to 300 ms"
    assert describe(_load("journey.yaml").plan) == (
        "load: 60 iterations in 20 s, incremental",
        "mode: repeated-user, cookies",
        "data: users, 2 rows of name, age, address, sequential",
        "steps: 3",
        f"  1. sign in: POST {{{{host}}}}/users/sign-in/ (a body of 61 bytes; {captures}; 2 assertions; {sleep})",
        "  2. buy: PUT {{host}}/items/{{rand(items)}}/?token={{TOKEN}} (a body of 59 bytes)",
        "  3. POST {{host}}/pictures/ (a form of 2 fields)",
        "must hold: p95(iteration_duration) < 900, else the test ends",
        "must hold: fail_count_perc <= 0.05",
    )
