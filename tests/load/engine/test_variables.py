"""Scenarios that vary: what is rendered where, what is known when, what answers are looked at and remembered."""

from __future__ import annotations

import gzip
import json

import pytest

from osmia.load.client.fake import FakeAnswer
from osmia.load.client.transport import Endpoint, Shows
from osmia.load.plan import (
    BasicAuth,
    Capture,
    CaptureSource,
    Column,
    ColumnType,
    CookieSetting,
    DataFile,
    Mode,
    Part,
    RowOrder,
    Step,
)
from osmia.load.tally import Failure
from tests.load.engine.world import World, compiled, plan_of, redirect


def json_answer(**fields: object) -> FakeAnswer:
    """An answer with a JSON body."""
    return FakeAnswer(body=json.dumps(fields).encode())


# ---- what is constant ----


def test_a_constant_variable_is_text() -> None:
    """A plain value of the environment leaves nothing to render, in whatever part of the request it stands."""
    step = Step(
        id=1,
        method="POST",
        url="{{BASE}}/x?{{QUERY}}",
        headers=(("X-{{NAME}}", "{{VALUE}}"),),
        body='{"a": "{{NUMBER}}"}',
        auth=BasicAuth("{{NAME}}", "p"),
    )
    environment = {"BASE": "http://h:81/api", "QUERY": "y=1", "NAME": "n", "VALUE": "v", "NUMBER": 5}

    (wire,) = compiled(plan_of(step, environment=environment)).steps

    assert wire.request is not None
    assert wire.request.startswith(b"POST /api/x?y=1 HTTP/1.1\r\nHost: h:81\r\n")
    assert b"X-n: v\r\n" in wire.request
    assert b"Authorization: Basic bjpw\r\n" in wire.request
    assert wire.request.endswith(b'{"a": 5}')
    assert (wire.endpoint.host, wire.endpoint.port) == ("h", 81)


def test_the_environment_of_the_process_is_text() -> None:
    """`{{$NAME}}` is what it was at the start; a name that only ends like one is another."""
    one = Step(id=1, url="http://h/{{$FROM_OUTSIDE}}/{{COPY}}")
    other = Step(id=2, url="http://h/{{XFROM_OUTSIDE}}")
    world = World()

    world.run(plan_of(one, other, environment={"COPY": "{{$FROM_OUTSIDE}}"}))

    assert world.lines == ["h GET /out/out"]
    assert compiled(plan_of(one, environment={"COPY": "{{$FROM_OUTSIDE}}"})).steps[0].request is not None
    assert int(world.steps[1]["errors"][Failure.REQUEST_INVALID]) == 1


def test_bodies_are_sent_with_what_has_no_value() -> None:
    """As the original does: in a body an unknown variable stays as it is written."""
    world = World()

    world.run(plan_of(Step(id=1, method="POST", url="http://h/", body="a {{NEVER_SET}} b")))

    assert world.requests[0].endswith(b"\r\n\r\na {{NEVER_SET}} b")


def test_rand_draws_from_a_list() -> None:
    """`rand(LIST)` is one of its elements, anew at each use."""
    world = World()

    world.run(plan_of(Step(id=1, url="http://h/{{rand(WORDS)}}"), environment={"WORDS": ["a", "b", "c"]}, count=50))

    assert set(world.lines) == {"h GET /a", "h GET /b", "h GET /c"}


def test_a_variable_that_is_captured_is_not_constant() -> None:
    """The same name, set by a capture: the environment's value holds until then."""
    login = Step(id=1, url="http://h/{{TOKEN}}", captures=(Capture("TOKEN", CaptureSource.BODY_JSON, "token"),))
    world = World(lambda _endpoint, _request: json_answer(token="new"))

    world.run(plan_of(login, Step(id=2, url="http://h/{{TOKEN}}"), environment={"TOKEN": "old"}, count=2))

    assert world.lines == ["h GET /old", "h GET /new"] * 2


def test_a_dynamic_value_of_the_environment_is_drawn_once_per_iteration() -> None:
    """All steps of an iteration see the same, the next iteration sees another."""
    steps = [Step(id=n, url="http://h/{{ID}}") for n in (1, 2)]
    world = World()

    world.run(plan_of(*steps, environment={"ID": "{{_randomUUID}}"}, count=3))

    assert world.lines[0::2] == world.lines[1::2]
    assert len(set(world.lines)) == 3


def test_a_dynamic_variable_is_drawn_at_each_use() -> None:
    """Two uses are two values, in one step and over iterations."""
    world = World()

    world.run(plan_of(Step(id=1, url="http://h/{{_randomUUID}}?b={{_randomUUID}}"), count=2))

    drawn = [part for line in world.lines for part in line.removeprefix("h GET /").split("?b=")]
    assert len(set(drawn)) == 4


def test_the_seed_decides_what_is_drawn() -> None:
    """The same plan draws the same values."""
    worlds = [World(), World()]

    for world in worlds:
        world.run(plan_of(Step(id=1, url="http://h/{{_randomInt}}"), count=5))

    assert worlds[0].lines == worlds[1].lines


# ---- where variables may stand ----


def test_a_rendered_path_is_a_path() -> None:
    """Blanks and letters beyond ASCII are encoded, a fragment is left out."""
    world = World()

    world.run(
        plan_of(Step(id=1, url="http://h/a{{WORD}}?q={{WORD}}#x"), environment={"WORD": "ü b"}, has_cookies=False)
    )

    assert world.lines == ["h GET /a%C3%BC%20b?q=%C3%BC%20b"]


def test_a_variable_may_be_the_host() -> None:
    """Each value has its endpoint and its Host."""
    hosts = DataFile("hosts", (Column(0, "name"),), (("a.example",), ("b.example:81",)), order=RowOrder.SEQUENTIAL)
    world = World()

    world.run(plan_of(Step(id=1, url="http://{{data.hosts.name}}/x"), data=(hosts,), count=3))

    assert [(endpoint.host, endpoint.port) for endpoint, _ in world.asked] == [
        ("a.example", 80),
        ("b.example", 81),
        ("a.example", 80),
    ]
    assert b"Host: b.example:81\r\n" in world.requests[1]


def test_rows_of_data_belong_to_iterations() -> None:
    """In order, from the beginning again when they are through; typed values stand as JSON in JSON bodies."""
    columns = (Column(0, "name"), Column(1, "age", ColumnType.INT))
    users = DataFile("users", columns, (("ann", 30), ("bo", 40)), order=RowOrder.SEQUENTIAL)
    body = '{"name": "{{data.users.name}}", "age": "{{data.users.age}}"}'
    world = World()

    world.run(plan_of(Step(id=1, method="POST", url="http://h/", body=body), data=(users,), count=3))

    sent = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in world.requests]
    assert sent == [{"name": "ann", "age": 30}, {"name": "bo", "age": 40}, {"name": "ann", "age": 30}]
    assert all(b"Content-Length: %d\r\n" % len(r.partition(b"\r\n\r\n")[2]) in r for r in world.requests)


def test_variables_in_headers_credentials_and_forms_are_rendered() -> None:
    """The general way: everything may vary at once."""
    captures = (Capture("WHO", CaptureSource.BODY_JSON, "who"),)
    login = Step(id=1, url="http://h/", captures=captures)
    form = Step(
        id=2,
        method="POST",
        url="http://h/{{WHO}}",
        headers=(("X-Who", "<{{WHO}}>"),),
        auth=BasicAuth("{{WHO}}", "p"),
        body=(Part("who", "{{WHO}}"), Part("f", b"\x00", "f.bin")),
    )
    world = World(lambda _endpoint, _request: json_answer(who="ann"))

    world.run(plan_of(login, form))

    head, body = world.requests[1].split(b"\r\n\r\n", 1)
    assert head.startswith(b"POST /ann HTTP/1.1\r\nHost: h\r\n")
    assert b"X-Who: <ann>" in head
    assert b"Authorization: Basic YW5uOnA=" in head
    assert b'name="who"\r\n\r\nann\r\n' in body
    assert b"Content-Length: %d" % len(body) in head


@pytest.mark.parametrize(
    "step",
    [
        Step(id=2, url="http://h/", headers=(("X", "{{EVIL}}"),)),
        Step(id=2, url="http://h/{{EVIL}}"),
        Step(id=2, url="http://h{{EVIL}}/"),
        Step(id=2, url="http://h/", headers=(("{{EVIL}}", "x"),)),
        Step(id=2, url="http://h/{{NEVER_SET}}"),
    ],
)
def test_what_cannot_be_sent_is_not_sent(step: Step) -> None:
    """Line breaks in captured values and variables that are not set fail the request, and nothing goes out."""
    captures = (Capture("EVIL", CaptureSource.BODY_JSON, "evil"),)
    world = World(lambda _endpoint, _request: json_answer(evil="a\r\nX-Injected: 1"))

    world.run(plan_of(Step(id=1, url="http://h/", captures=captures), step))

    assert len(world.asked) == 1
    assert int(world.steps[1]["errors"][Failure.REQUEST_INVALID]) == 1
    assert int(world.tally["iterations_failed"]) == 1


# ---- what answers are looked at ----


@pytest.mark.parametrize(
    ("step", "shows", "keeps_body"),
    [
        (Step(id=1, url="http://h/"), Shows.REDIRECTS, False),
        (Step(id=1, url="http://h/", follows_redirects=False), Shows.NEVER, False),
        (Step(id=1, url="http://h/", assertions=("status_code == 200",)), Shows.ALWAYS, False),
        (Step(id=1, url="http://h/", assertions=("headers.X == 1",)), Shows.ALWAYS, False),
        (Step(id=1, url="http://h/", assertions=('contains(body, "x")',)), Shows.ALWAYS, True),
        (Step(id=1, url="http://h/", captures=(Capture("A", CaptureSource.HEADER, "X"),)), Shows.ALWAYS, False),
        (Step(id=1, url="http://h/", captures=(Capture("A", CaptureSource.BODY_JSON, "x"),)), Shows.ALWAYS, True),
    ],
)
def test_no_more_is_shown_than_is_needed(step: Step, shows: Shows, keeps_body: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """Bodies are copied to Python only for what reads them."""
    (wire,) = compiled(plan_of(step)).steps

    assert (wire.shows, wire.keeps_body) == (shows, keeps_body)


def test_captures_come_before_assertions_and_reach_the_next_step() -> None:
    """A rule sees what its own step captured; the next URL does, too."""
    captures = (Capture("ID", CaptureSource.BODY_JSON, "id"),)
    first = Step(id=1, url="http://h/", captures=captures, assertions=("variables.ID == 7",))
    world = World(lambda _endpoint, _request: json_answer(id=7))

    world.run(plan_of(first, Step(id=2, url="http://h/{{ID}}")))

    assert world.lines == ["h GET /", "h GET /7"]
    assert int(world.tally["iterations_succeeded"]) == 1


def test_a_failed_capture_is_empty_and_goes_on() -> None:
    """What is not found is set to nothing."""
    captures = (Capture("ID", CaptureSource.BODY_JSON, "id"),)
    world = World(lambda _endpoint, _request: json_answer(other=1))

    world.run(plan_of(Step(id=1, url="http://h/", captures=captures), Step(id=2, url="http://h/x{{ID}}")))

    assert world.lines == ["h GET /", "h GET /x"]


def test_bodies_are_decoded_before_they_are_looked_at() -> None:
    """Gzip was asked for, so gzip is understood."""
    body = gzip.compress(b'{"id": 9}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    world = World(lambda _endpoint, _request: FakeAnswer(body=body, head=head))
    captures = (Capture("ID", CaptureSource.BODY_JSON, "id"),)

    world.run(plan_of(Step(id=1, url="http://h/", captures=captures), Step(id=2, url="http://h/{{ID}}")))

    assert world.lines[1] == "h GET /9"


def test_failed_assertions_are_counted_by_rule_with_a_few_samples() -> None:
    """Each rule on its own, exact counts, received values up to the sampling rate."""
    rules = ("status_code == 200", "status_code == 201", "response_size < 1")
    world = World(lambda _endpoint, _request: json_answer(x=1))

    world.run(plan_of(Step(id=1, url="http://h/", assertions=rules), count=50, sampling_rate=2))

    failures = {one.rule: one for one in world.findings.failures[0]}
    assert {rule: one.count for rule, one in failures.items()} == {rules[1]: 50, rules[2]: 50}
    assert failures[rules[1]].received["status_code"] == [200, 200]
    assert failures[rules[1]].reason
    assert int(world.steps[0]["assertion_failed"]) == 50
    assert int(world.tally["iterations_assertion_failed"]) == 50


def test_large_received_values_are_cut() -> None:
    """A report shows the beginning of a megabyte."""
    world = World(lambda _endpoint, _request: FakeAnswer(body=b"x" * 1_000_000))

    world.run(plan_of(Step(id=1, url="http://h/", assertions=('body == "y"',))))

    (failure,) = world.findings.failures[0]
    (seen,) = failure.received["body"]
    assert isinstance(seen, str)
    assert len(seen) < 5000
    assert seen.endswith("(1,000,000 characters)")


def test_redirects_of_varying_requests_are_followed() -> None:
    """From where the request really went."""
    world = World(lambda _endpoint, request: FakeAnswer() if b"/there" in request else redirect(302, "there"))

    world.run(plan_of(Step(id=1, url="http://h/dir/{{_randomInt}}", assertions=("status_code == 200",))))

    assert world.lines[1] == "h GET /dir/there"
    assert int(world.tally["iterations_succeeded"]) == 1


# ---- cookies ----

LOGIN = FakeAnswer(head=b"HTTP/1.1 200 OK\r\nSet-Cookie: user=ann; Path=/\r\nContent-Length: 0\r\n\r\n")


def cookies(world: World) -> list[str]:
    """The Cookie field of each request."""
    return [
        next((line[8:] for line in request.decode().split("\r\n") if line.startswith("Cookie: ")), "")
        for request in world.requests
    ]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.DISTINCT_USER, ["", "user=ann", "", "user=ann"]),
        (Mode.REPEATED_USER, ["", "user=ann", "user=ann", "user=ann"]),
    ],
)
def test_users_keep_their_cookies(mode: Mode, expected: list[str]) -> None:
    """A new user has none; a user who comes back has those of the last time."""
    world = World(lambda _endpoint, request: LOGIN if b"/login" in request else FakeAnswer())
    steps = (Step(id=1, url="http://h/login"), Step(id=2, url="http://h/home"))

    world.run(plan_of(*steps, mode=mode, has_cookies=True, count=2))

    assert cookies(world) == expected


def test_every_user_has_the_plans_cookies() -> None:
    """From the start, joined with those of the step, and only where they belong."""
    settings = (CookieSetting(name="a", value="1", domain="h", path="/"),)
    steps = (Step(id=1, url="http://h/", headers=(("Cookie", "own=2"),)), Step(id=2, url="http://other/"))
    world = World()

    world.run(plan_of(*steps, mode=Mode.DISTINCT_USER, has_cookies=True, cookies=settings))

    assert cookies(world) == ["own=2; a=1", ""]


def test_redirects_set_and_send_cookies() -> None:
    """What a redirect sets is sent to where it leads."""
    head = b"HTTP/1.1 302 Found\r\nLocation: /home\r\nSet-Cookie: user=bo\r\n\r\n"
    world = World(lambda _endpoint, request: FakeAnswer() if b"/home" in request else FakeAnswer(status=302, head=head))

    world.run(plan_of(Step(id=1, url="http://h/"), mode=Mode.DISTINCT_USER, has_cookies=True))

    assert cookies(world) == ["", "user=bo"]


def test_redirects_keep_the_steps_own_cookies_at_home() -> None:
    """What the step itself sends goes along on its own host, and not to another."""
    leads = {b"/a": "/b", b"/b": "http://other/c"}

    def answer(_endpoint: Endpoint, request: bytes) -> FakeAnswer:
        path = request.split(b" ", 2)[1]
        return redirect(302, leads[path]) if path in leads else FakeAnswer()

    world = World(answer)
    step = Step(id=1, url="http://h/a", headers=(("Cookie", "own=1"),))

    world.run(plan_of(step, mode=Mode.DISTINCT_USER, has_cookies=True, cookies=(CookieSetting(name="a", value="2"),)))

    assert [one.split("; ")[0] for one in cookies(world)][:2] == ["own=1", "own=1"]
    assert "own=1" not in cookies(world)[2]


# ---- debugging ----


def test_debugging_shows_what_a_step_knew() -> None:
    """Environment, data, failed captures, failed assertions and the variable that was not set."""
    data = DataFile("d", (Column(0, "x"),), (("row",),))
    first = Step(
        id=1,
        url="http://h/{{A}}/{{data.d.x}}",
        captures=(Capture("B", CaptureSource.BODY_JSON, "b"),),
        assertions=("status_code == 201",),
    )
    world = World(lambda _endpoint, _request: json_answer(x=1))

    world.run(plan_of(first, Step(id=2, url="http://h/{{C}}"), environment={"A": "a"}, data=(data,), is_debug=True))

    one, two = world.findings.exchanges
    assert (one.url, one.environment["A"], one.data) == ("http://h/a/row", "a", {"d.x": "row"})
    assert list(one.failed_captures) == ["B"]
    assert [failure.rule for failure in one.failed_assertions] == ["status_code == 201"]
    assert two.failure is Failure.REQUEST_INVALID
    assert "C" in two.detail
