"""What goes out: the bytes as they were given, from the plan or from the script, and what the script may answer."""

from __future__ import annotations

import dataclasses

import pytest

from osmia.load.client.transport import Give, Outgoing, Pool, Shows, Transport, WireStep
from osmia.load.tally import Failure, Phase
from tests.load.conformance.rig import Answers, Link, Shown, Stage, Witness, exercise, get, ok

_SECOND_NS = 1_000_000_000

REQUESTS = {
    "a bare GET": b"GET / HTTP/1.1\r\nHost: test\r\n\r\n",
    "a query and odd characters": b"GET /a%20b/../c;d?x=1&y=%7B%7D&z=a,b HTTP/1.1\r\nHost: test\r\n\r\n",
    "headers in their order and case": (
        b"GET / HTTP/1.1\r\nHost: test\r\nX-b: 1\r\nx-A: 2\r\nACCEPT: text/html\r\nUser-Agent: me/1\r\n\r\n"
    ),
    "the same header twice": b"GET / HTTP/1.1\r\nHost: test\r\nX-One: a\r\nX-One: b\r\n\r\n",
    "a form": (
        b"POST /form HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 7\r\n\r\na=1&b=2"
    ),
    "a body without a type": b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc",
    "an empty body": b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n",
    "a body of all bytes": b"PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 256\r\n\r\n" + bytes(range(256)),
    "GET with a body": b"GET / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}",
    "DELETE": b"DELETE /thing/17 HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer abc\r\n\r\n",
    "DELETE with a body": b"DELETE /thing HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}",
    "PATCH": b"PATCH /x HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nCookie: a=1; b=2\r\n\r\nx",
    "OPTIONS for the server": b"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n",
    "a large body": b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2000000\r\n\r\n" + b"y" * 2_000_000,
    "another host's name": b"GET / HTTP/1.1\r\nHost: elsewhere.example:8080\r\n\r\n",
    "bytes beyond ASCII": "GET / HTTP/1.1\r\nHost: test\r\nX-Name: h\u00e9\u4e16\r\n\r\n".encode(),
    "a long target": b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: test\r\n\r\n",
}


@pytest.mark.parametrize("name", list(REQUESTS))
@pytest.mark.parametrize("source", ["plan", "script"])
def test_requests_arrive_as_they_were_given(transport: Transport, stage: Stage, name: str, source: str) -> None:
    """Byte for byte, fixed or rendered."""
    request = REQUESTS[name]
    peer = stage.answer(ok())
    script = Witness(renders=lambda _state, _step: request)
    step = WireStep(endpoint=peer.endpoint(), request=request if source == "plan" else None)

    outcome = exercise(transport, step, script=script, count=2, peers=[peer])

    assert peer.requests == [request, request]
    assert outcome.statuses() == {200: 2}


def test_head_goes_out_as_head(transport: Transport, stage: Stage) -> None:
    """The method is as given."""
    request = get("/", "X-Header: x").replace(b"GET", b"HEAD")
    peer = stage.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")

    exercise(transport, WireStep(endpoint=peer.endpoint(), request=request, is_head=True), count=2, peers=[peer])

    assert peer.requests == [request, request]


def test_each_iteration_renders_its_own(transport: Transport, stage: Stage) -> None:
    """The state that `begin` gave comes back, and one connection carries requests of all kinds."""
    kinds = [REQUESTS["a form"], REQUESTS["a bare GET"], REQUESTS["DELETE"], REQUESTS["a body of all bytes"]]
    peer = stage.answer(ok())
    script = Witness(renders=lambda state, _step: kinds[int(str(state)) % 4])

    step = WireStep(endpoint=peer.endpoint(), request=None)
    exercise(transport, step, script=script, count=8, peers=[peer])

    assert peer.requests == kinds * 2
    assert peer.links == 1


def test_the_script_sees_the_answer(transport: Transport, stage: Stage) -> None:
    """State, step, status, head as received, body, time."""
    peer = stage.answer(ok(b"body", "Set-Cookie: a=1", "X-Case: Kept", status="201 Created"))
    script = Witness()
    step = WireStep(endpoint=peer.endpoint(), request=get(), shows=Shows.ALWAYS, keeps_body=True)

    exercise(transport, step, script=script, peers=[peer])

    [shown] = script.shown
    assert (shown.state, shown.step, shown.status, shown.body) == (0, 0, 201, b"body")
    assert shown.head == b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\nSet-Cookie: a=1\r\nX-Case: Kept\r\n\r\n"
    assert 0 < shown.service_ns < _SECOND_NS


def test_a_body_is_shown_only_if_asked_for(transport: Transport, stage: Stage) -> None:
    """Without `keeps_body` it is read and dropped."""
    peer = stage.answer(ok(b"body"))
    script = Witness()

    step = WireStep(endpoint=peer.endpoint(), request=get(), shows=Shows.ALWAYS)
    exercise(transport, step, script=script, count=2, peers=[peer])

    assert [shown.body for shown in script.shown] == [b"", b""]


def test_only_redirects_are_shown(transport: Transport, stage: Stage) -> None:
    """Shows.REDIRECTS: 301, 302, 303, 307, 308 and nothing else."""
    statuses = [200, 300, 301, 302, 303, 304, 305, 307, 308, 404, 500]
    peer = stage.answer(*(ok(b"", status=f"{status} Some") for status in statuses))
    script = Witness()

    step = WireStep(endpoint=peer.endpoint(), request=get(), shows=Shows.REDIRECTS)
    outcome = exercise(transport, step, script=script, count=len(statuses), peers=[peer])

    assert [shown.status for shown in script.shown] == [301, 302, 303, 307, 308]
    assert outcome.statuses() == dict.fromkeys(statuses, 1)


def test_a_failed_assertion_is_counted(transport: Transport, stage: Stage) -> None:
    """False: answered all the same."""
    peer = stage.answer(ok())
    script = Witness(answers=lambda shown: int(str(shown.state)) % 3 != 0)

    step = WireStep(endpoint=peer.endpoint(), request=get(), shows=Shows.ALWAYS)
    outcome = exercise(transport, step, script=script, count=9, peers=[peer])

    assert outcome.steps[0]["assertion_failed"] == 3
    assert outcome.steps[0]["answered"] == 9
    assert outcome.run["iterations_assertion_failed"] == 3
    assert outcome.run["iterations_succeeded"] == 6


def test_a_redirect_is_followed_as_the_script_says(transport: Transport, stage: Stage) -> None:
    """The chain is one request of its step: one answer, the last one's status, all hops' time and bytes."""

    async def each(link: Link) -> None:
        while True:
            request = await link.request()
            peer.requests.append(request)
            await link.send(b"", pause_s=0.02)
            if b"/end" in request:
                await link.send(ok(b"arrived"))
            else:
                await link.send(ok(b"", "Location: /end", status="302 Found"))

    peer = stage.serve(each)
    script = Witness(answers=lambda shown: get("/end") if shown.status == 302 else True)
    step = WireStep(endpoint=peer.endpoint(), request=get("/start"), shows=Shows.REDIRECTS)

    outcome = exercise(transport, step, script=script, count=2, peers=[peer], has_samples=True)

    assert peer.requests == [get("/start"), get("/end")] * 2
    assert outcome.samples is not None
    assert outcome.samples["status"].tolist() == [200, 200]
    assert (outcome.samples["ended_ns"] - outcome.samples["started_ns"] >= 38_000_000).all()
    assert outcome.steps[0]["response_max_ns"] < 2 * outcome.steps[0]["service_min_ns"]
    assert outcome.phase_s(Phase.WAIT) < 0.01
    assert outcome.statuses() == {200: 2}
    assert outcome.steps[0]["redirects"] == 2
    assert outcome.steps[0]["started"] == outcome.steps[0]["answered"] == 2
    assert outcome.steps[0]["service_min_ns"] >= 38_000_000
    assert outcome.phase_s(Phase.SERVER_PROCESSING) >= 0.076
    assert outcome.steps[0]["sent_bytes"] == 2 * len(get("/start") + get("/end"))
    assert peer.links == 1


@pytest.mark.parametrize("pool", list(Pool))
def test_a_redirect_may_go_elsewhere(transport: Transport, stage: Stage, pool: Pool) -> None:
    """`Outgoing`: to another host, and back again in the next iteration."""
    there = stage.answer(ok(b"there"))
    here = stage.answer(ok(b"", status="307 Temporary Redirect"))

    def follow(shown: Shown) -> Answers:
        return Outgoing(there.endpoint(), get("/there")) if shown.status == 307 else True

    step = WireStep(endpoint=here.endpoint(), request=get("/here"), shows=Shows.ALWAYS, keeps_body=True)
    script = Witness(answers=follow)
    outcome = exercise(transport, step, script=script, count=3, pool=pool, peers=[here, there])

    assert here.requests == [get("/here")] * 3
    assert there.requests == [get("/there")] * 3
    assert outcome.statuses() == {200: 3}
    assert [shown.body for shown in script.shown] == [b"", b"there"] * 3
    links = 3 if pool is Pool.PER_USER_NEW else 1
    assert (here.links, there.links) == (links, links)


def test_a_loop_ends_where_the_script_ends_it(transport: Transport, stage: Stage) -> None:
    """The script counts hops; its refusal is the request's failure."""
    peer = stage.answer(ok(b"", "Location: /", status="301 Moved Permanently"))
    hops: dict[object, int] = {}

    def follow(shown: Shown) -> Answers:
        hops[shown.state] = hops.get(shown.state, 0) + 1
        return get("/") if hops[shown.state] <= 10 else Give(Failure.TOO_MANY_REDIRECTS)

    step = WireStep(endpoint=peer.endpoint(), request=get(), shows=Shows.REDIRECTS)
    outcome = exercise(transport, step, script=Witness(answers=follow), count=2, peers=[peer])

    assert outcome.failures() == {Failure.TOO_MANY_REDIRECTS: 2}
    assert outcome.statuses() == {}
    assert outcome.steps[0]["redirects"] == 20
    assert int(outcome.steps[0]["phase_ns"].sum()) == 0
    assert len(peer.requests) == 22


def test_the_timeout_is_over_the_whole_chain(transport: Transport, stage: Stage) -> None:
    """Each hop is fast enough, all of them are not."""

    async def each(link: Link) -> None:
        while True:
            await link.request()
            await link.send(b"", pause_s=0.2)
            await link.send(ok(b"", status="302 Found"))

    peer = stage.serve(each)
    step = WireStep(endpoint=peer.endpoint(), request=get(), shows=Shows.REDIRECTS, timeout_ns=500_000_000)

    outcome = exercise(transport, step, script=Witness(answers=lambda _shown: get()), peers=[peer])

    assert outcome.failures() == {Failure.READ_TIMEOUT: 1}
    assert 1 <= outcome.steps[0]["redirects"] <= 2
    assert 0.48 < outcome.seconds < 2


def test_a_script_that_will_not_is_a_failure_without_request(transport: Transport, stage: Stage) -> None:
    """`Give` from `render`: nothing is sent, the next step goes on."""
    peer = stage.answer(ok())

    def render(_state: object, step: int) -> bytes | Give:
        return Give(Failure.REQUEST_INVALID) if step == 0 else get("/second")

    steps = [WireStep(endpoint=peer.endpoint(), request=None) for _ in range(2)]
    outcome = exercise(transport, *steps, script=Witness(renders=render), count=3, peers=[peer])

    assert outcome.failures(0) == {Failure.REQUEST_INVALID: 3}
    assert outcome.statuses(1) == {200: 3}
    assert peer.requests == [get("/second")] * 3
    assert outcome.run["iterations_failed"] == 3


def test_a_rendered_request_may_go_elsewhere(transport: Transport, stage: Stage) -> None:
    """A variable in the host: some go here, some there."""
    peers = [stage.answer(ok()), stage.answer(ok(status="404 Not Found"))]
    script = Witness(renders=lambda state, _step: Outgoing(peers[int(str(state)) % 2].endpoint(), get()))

    outcome = exercise(
        transport, WireStep(endpoint=peers[0].endpoint(), request=None), script=script, count=10, peers=peers
    )

    assert outcome.statuses() == {200: 5, 404: 5}
    assert [peer.links for peer in peers] == [1, 1]


def test_a_host_may_be_another_each_time(transport: Transport, stage: Stage) -> None:
    """Sixty servers, one after the other and round again: each request arrives where it was sent."""
    peers = [stage.answer(ok(status=f"{400 + number} Some")) for number in range(60)]
    script = Witness(renders=lambda state, _step: Outgoing(peers[int(str(state)) % 60].endpoint(), get(f"/{state}")))

    step = WireStep(endpoint=peers[0].endpoint(), request=None)
    outcome = exercise(transport, step, script=script, users=2, count=120, peers=peers)

    assert outcome.statuses() == {400 + number: 2 for number in range(60)}
    assert all(len(peer.requests) == 2 for peer in peers)


def test_begins_and_ends_are_told(transport: Transport, stage: Stage) -> None:
    """Once per iteration, with the state in between."""
    peer = stage.answer(ok())
    script = Witness()

    step = WireStep(endpoint=peer.endpoint(), request=get())
    exercise(transport, step, script=script, users=3, count=9, asks_ends=True, peers=[peer])

    assert sorted(number for number, _ in script.begun) == list(range(9))
    assert sorted(int(str(state)) for state in script.ended) == list(range(9))


def test_a_silent_plan_asks_the_script_nothing(transport: Transport, stage: Stage) -> None:
    """Fixed requests that nobody looks at: no call at all."""
    peer = stage.answer(ok())
    script = Witness()

    exercise(transport, WireStep(endpoint=peer.endpoint(), request=get()), script=script, count=5, peers=[peer])

    assert (script.begun, script.shown, script.failed, script.ended) == ([], [], [], [])


def test_steps_keep_their_order(transport: Transport, stage: Stage) -> None:
    """Fixed, rendered and fixed again."""
    peer = stage.answer(ok())
    script = Witness(renders=lambda _state, step: get(f"/rendered{step}"))
    endpoint = peer.endpoint()
    steps = [
        WireStep(endpoint=endpoint, request=get("/first")),
        WireStep(endpoint=endpoint, request=None),
        WireStep(endpoint=dataclasses.replace(endpoint), request=get("/third")),
    ]

    exercise(transport, *steps, script=script, count=3, peers=[peer])

    assert peer.requests == [get("/first"), get("/rendered1"), get("/third")] * 3
    assert peer.links == 1
