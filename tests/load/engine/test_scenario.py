"""Scenarios on a transport without wires: what is fixed, what is rendered, where redirects lead, what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from osmia.load.client.fake import FakeAnswer
from osmia.load.client.transport import Endpoint, Http, Pool, ProxyKind, Shows
from osmia.load.message import USER_AGENT
from osmia.load.plan import BasicAuth, Limits, Mode, Part, Sleep, Step, Tls
from osmia.load.tally import Failure
from osmia.model.errors import ConfigError
from tests.load.engine.world import World, compiled, plan_of, redirect

AGENT = USER_AGENT.encode()


def fixed(step: Step, **settings: Any) -> bytes:  # noqa: ANN401 - passed on
    """The bytes of a step that never varies."""
    request = compiled(plan_of(step, **settings)).steps[0].request
    assert request is not None
    return request


# ---- fixed requests ----


def test_a_plain_step_is_bytes() -> None:
    """Nothing varies, so nothing is asked: a request, an endpoint, redirects shown, no body kept."""
    step = compiled(plan_of(Step(id=1, url="http://example.com:8080/x?y=1#z"))).steps[0]

    assert step.request == (
        b"GET /x?y=1 HTTP/1.1\r\nHost: example.com:8080\r\nUser-Agent: " + AGENT + b"\r\nAccept-Encoding: gzip\r\n\r\n"
    )
    assert step.endpoint == Endpoint(host="example.com", port=8080)
    assert step.shows is Shows.REDIRECTS
    assert not step.keeps_body


def test_settings_of_a_step_reach_the_wire() -> None:
    """TLS, protocol, timeout, sleep, HEAD, redirects and Connection: close."""
    tls = Tls(cert_path="/c.pem", key_path="/k.pem", server_name="sni.example", is_verified=True, is_resumed=True)
    one = Step(
        id=1,
        method="HEAD",
        url="https://h/",
        headers=(("Connection", "close"),),
        timeout_s=1.5,
        sleep=Sleep(5, 7),
        tls=tls,
        is_http2=True,
        follows_redirects=False,
    )

    step = compiled(plan_of(one)).steps[0]

    assert step.endpoint == Endpoint(
        host="h",
        port=443,
        is_tls=True,
        server_name="sni.example",
        http=Http.TWO,
        is_verified=True,
        is_resumed=True,
        cert_path="/c.pem",
        key_path="/k.pem",
    )
    assert (step.shows, step.is_head, step.is_closed_after) == (Shows.NEVER, True, True)
    assert (step.timeout_ns, step.sleep_ns) == (1_500_000_000, (5_000_000, 7_000_000))


@pytest.mark.parametrize(
    ("step", "http"),
    [
        (Step(id=1, url="http://h/", is_http2=True), Http.TWO),
        (Step(id=1, url="http://h/", is_http2=True, assumes_http2=False), Http.ONE),
        (Step(id=1, url="https://h/", is_http2=True, assumes_http2=False), Http.TWO),
    ],
)
def test_http2_without_tls_only_where_it_is_assumed(step: Step, http: Http) -> None:
    """Configs of the original say h2 of http URLs, too, where it does nothing; asking for it by flag means it."""
    assert compiled(plan_of(step)).steps[0].endpoint.http is http


@pytest.mark.parametrize(
    ("mode", "pool"),
    [
        (Mode.DDOSIFY, Pool.SHARED),
        (Mode.DISTINCT_USER, Pool.PER_USER_NEW),
        (Mode.REPEATED_USER, Pool.PER_USER_KEPT),
    ],
)
def test_modes_decide_who_shares_connections(mode: Mode, pool: Pool) -> None:
    """One crowd, a new user each time, or users who come back."""
    assert compiled(plan_of(Step(id=1, url="http://h/"), mode=mode)).pool is pool


def test_credentials_become_a_header() -> None:
    """The step's own, which win over a header of that name, or those in the URL."""
    headers = (("authorization", "other"),)

    request = fixed(Step(id=1, url="http://h/", headers=headers, auth=BasicAuth("Aladdin", "open sesame")))

    assert request.count(b"uthorization") == 1
    assert b"Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n" in request
    assert b"Authorization: Basic dTpw\r\n" in fixed(Step(id=1, url="http://u:p@h/"))


def test_a_form_is_a_body_with_its_boundary() -> None:
    """Fields and bytes of files, the boundary told in the head, the length right."""
    parts = (Part("a", "1"), Part("f", b"\x00\xff", "f.bin", "application/x"))

    request = fixed(Step(id=1, method="POST", url="http://h/", headers=(("Content-Type", "x"),), body=parts))

    head, body = request.split(b"\r\n\r\n", 1)
    boundary = head.split(b"boundary=")[1].split(b"\r\n")[0]
    assert head.count(b"Content-Type") == 1
    assert b"Content-Length: %d" % len(body) in head
    assert body == (
        b'--%b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1'
        b'\r\n--%b\r\nContent-Disposition: form-data; name="f"; filename="f.bin"\r\nContent-Type: application/x'
        b"\r\n\r\n\x00\xff\r\n--%b--\r\n"
    ) % (boundary, boundary, boundary)


def test_a_plain_proxy_is_asked_in_absolute_form() -> None:
    """With the proxy's credentials; https goes through a tunnel and knows nothing of it."""
    step = Step(id=1, url="http://h:81/x")
    secure = Step(id=2, url="https://h/x")

    first, second = compiled(plan_of(step, secure, proxy="http://u:p@proxy:3128")).steps

    assert first.request is not None
    assert second.request is not None
    assert first.request.startswith(b"GET http://h:81/x HTTP/1.1\r\nHost: h:81\r\n")
    assert b"Proxy-Authorization: Basic dTpw\r\n" in first.request
    assert second.request.startswith(b"GET /x HTTP/1.1\r\n")
    assert b"Proxy-Authorization" not in second.request
    assert first.endpoint.proxy is not None
    assert (first.endpoint.proxy.kind, first.endpoint.proxy.authorization) == (ProxyKind.HTTP, "Basic dTpw")


def test_other_proxies_speak_for_themselves() -> None:
    """Through SOCKS the request is what it would be without."""
    (step,) = compiled(plan_of(Step(id=1, url="http://h/x"), proxy="socks5://u:p@proxy")).steps

    assert step.request is not None
    assert step.request.startswith(b"GET /x HTTP/1.1\r\n")
    assert b"Proxy-Authorization" not in step.request


@pytest.mark.parametrize(
    "step",
    [
        Step(id=3, url="http://h:99999/"),
        Step(id=3, url="ftp://h/"),
        Step(id=3, url="http://h/", headers=(("X", "a\r\nb"),)),
        Step(id=3, url="http://h/", method="GE T"),
    ],
)
def test_what_can_never_be_sent_is_a_config_error(step: Step) -> None:
    """It is found when the plan is compiled, and names the step."""
    with pytest.raises(ConfigError, match="step 3"):
        compiled(plan_of(step))


def test_a_proxy_that_is_none_is_a_config_error() -> None:
    """The same for the proxy."""
    with pytest.raises(ConfigError, match="proxy"):
        compiled(plan_of(Step(id=1, url="http://h/"), proxy="gopher://h"))


# ---- redirects ----


def test_redirects_are_followed_and_counted() -> None:
    """Two hops on the way, one request of the step, answered once."""
    hops = {b"GET /a": redirect(301, "/b"), b"GET /b": redirect(302, "c?d=1")}
    world = World(lambda _, request: hops.get(request.split(b" HTTP")[0], FakeAnswer()))

    world.run(plan_of(Step(id=1, url="http://h/a"), count=2))

    assert world.lines == ["h GET /a", "h GET /b", "h GET /c?d=1"] * 2
    assert [int(world.steps[0][name]) for name in ("started", "answered", "redirects", "failed")] == [2, 2, 4, 0]
    assert int(world.steps[0]["statuses"][200]) == 2


def test_redirects_keep_or_drop_the_body() -> None:
    """A POST that is seen other becomes GET; one that is temporarily elsewhere stays POST."""
    world = World(
        lambda _, request: redirect(303 if b"/see" in request else 307, "/x") if b"/x" not in request else FakeAnswer()
    )
    steps = [Step(id=n, method="POST", url=f"http://h/{path}", body="b") for n, path in ((1, "see"), (2, "temp"))]

    world.run(plan_of(*steps))

    assert world.lines == ["h POST /see", "h GET /x", "h POST /temp", "h POST /x"]
    assert world.asked[3][1].endswith(b"Content-Length: 1\r\n\r\nb")


def test_a_redirect_to_another_host_goes_there() -> None:
    """With its own endpoint, without credentials, and it is counted by host."""
    world = World(lambda endpoint, _: FakeAnswer() if endpoint.host == "b" else redirect(302, "https://b:444/y"))
    step = Step(id=1, url="http://a/", auth=BasicAuth("u", "p"), tls=Tls(server_name="sni.a"))

    world.run(plan_of(step))

    endpoint, request = world.asked[1]
    assert (endpoint.host, endpoint.port, endpoint.is_tls, endpoint.server_name) == ("b", 444, True, "")
    assert b"Authorization" not in request
    assert world.findings.other_hosts == {"b": 1}


def test_hosts_of_other_steps_are_no_strangers() -> None:
    """A redirect among the hosts of the plan is neither counted nor forbidden."""
    world = World(lambda endpoint, _: redirect(302, "http://b/y") if endpoint.host == "a" else FakeAnswer())
    steps = (Step(id=1, url="http://a/"), Step(id=2, url="http://b/"))

    world.run(plan_of(*steps, limits=Limits(forbids_other_hosts=True)))

    assert world.lines == ["a GET /", "b GET /y", "b GET /"]
    assert world.findings.other_hosts == {}


def test_other_hosts_can_be_forbidden() -> None:
    """Nothing is sent there, the request has failed, and it is still told where it would have gone."""
    world = World(lambda _, __: redirect(302, "http://b/"))

    world.run(plan_of(Step(id=1, url="http://a/"), limits=Limits(forbids_other_hosts=True)))

    assert world.lines == ["a GET /"]
    assert int(world.steps[0]["errors"][Failure.REDIRECT_FORBIDDEN]) == 1
    assert int(world.tally["iterations_failed"]) == 1
    assert world.findings.other_hosts == {"b": 1}


def test_redirects_end_after_ten() -> None:
    """A loop is left after the tenth hop, and is a failure with a name."""
    world = World(lambda _, __: redirect(302, "/again"))

    world.run(plan_of(Step(id=1, url="http://h/"), Step(id=2, url="http://h/")))

    assert len(world.asked) == 2 * 11
    assert [int(step["errors"][Failure.TOO_MANY_REDIRECTS]) for step in world.steps] == [1, 1]


def test_redirects_that_lead_nowhere_fail() -> None:
    """A Location that is no http URL."""
    world = World(lambda _, __: redirect(302, "ftp://h/"))

    world.run(plan_of(Step(id=1, url="http://h/")))

    assert int(world.steps[0]["errors"][Failure.REQUEST_INVALID]) == 1


def test_a_redirect_without_location_is_an_answer() -> None:
    """304-like answers of odd servers count with their status."""
    world = World(lambda _, __: FakeAnswer(status=302))

    world.run(plan_of(Step(id=1, url="http://h/")))

    assert int(world.steps[0]["statuses"][302]) == 1
    assert int(world.steps[0]["answered"]) == 1


def test_redirects_can_be_switched_off() -> None:
    """Then they are answers as any."""
    world = World(lambda _, __: redirect(302, "/x"))

    world.run(plan_of(Step(id=1, url="http://h/", follows_redirects=False)))

    assert world.lines == ["h GET /"]
    assert int(world.steps[0]["statuses"][302]) == 1


def test_redirects_through_a_plain_proxy_stay_absolute() -> None:
    """The proxy is asked for the next place, too."""
    world = World(lambda _, request: FakeAnswer() if b"/new " in request else redirect(302, "/new"))

    world.run(plan_of(Step(id=1, url="http://h/"), proxy="http://u:p@proxy:3128"))

    assert world.lines == ["h GET http://h/", "h GET http://h/new"]
    assert b"Proxy-Authorization: Basic dTpw\r\n" in world.asked[1][1]


# ---- debugging ----


def test_debugging_keeps_redirects_apart() -> None:
    """Each hop is an exchange of its own."""
    world = World(lambda _, request: FakeAnswer(body=b"fine") if b"/b " in request else redirect(302, "/b"))

    world.run(plan_of(Step(id=1, url="http://h/a"), is_debug=True))

    exchanges = world.findings.exchanges
    assert [(one.url, one.status, one.response_body) for one in exchanges] == [
        ("http://h/a", 302, b""),
        ("http://h/b", 200, b"fine"),
    ]
    assert exchanges[0].response_headers == (("Location", "/b"),)


def test_debugging_keeps_failures() -> None:
    """What got no answer is shown with what was sent."""
    world = World(lambda _, __: Failure.CONNECTION_REFUSED)

    world.run(plan_of(Step(id=1, url="http://h/a"), is_debug=True))

    (exchange,) = world.findings.exchanges
    assert (exchange.failure, exchange.status, exchange.url) == (Failure.CONNECTION_REFUSED, 0, "http://h/a")
