"""A plan compiled for one worker: wire steps, and the script that renders, inspects and remembers; pure.

What can be decided once is decided here, per step: a step without variables is bytes, a step whose answers nobody
looks at is never shown, and what is looked at goes through one function made for exactly that step (captures, then
assertions). The transport calls `Scenario` once or twice per request, so the functions it reaches allocate one
`Answer` and nothing else as long as all is well; failures, redirects and debugging take the long way.

An iteration goes on whatever its steps do. Captures that fail are set to "" and assertions see them so.

What a plan does not use of the language is not imported: a plain load starts without parsers, tables and lxml.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypedDict, Unpack, cast

from osmia.load.client.transport import Arrivals, Give, Outgoing, Pool, Shows, Users, WireStep
from osmia.load.language.answer import Answer, Needs
from osmia.load.message import (
    MAX_REDIRECTS,
    REDIRECTS,
    Url,
    content_encoding,
    decoded,
    header,
    headers_of,
    is_same_site,
    parse_url,
    redirected,
    redirection,
    take_apart,
    target_of,
    with_cookie,
)
from osmia.load.plan import JsonValue, Mode, Plan, Step, UsersShape
from osmia.load.rendering import Endpoints, Iteration, Request, Texts, compile_request, proxy_of
from osmia.load.results import AssertionFailures, Exchange
from osmia.load.shape import arrivals, planned, share, user_changes
from osmia.load.tally import Failure
from osmia.model.errors import ConfigError, InputError

if TYPE_CHECKING:
    from osmia.load.assertions import Assertion
    from osmia.load.captures import Captures
    from osmia.load.cookies import Jar
    from osmia.load.data import Rows

__all__ = ["Compiled", "Findings", "Scenario", "Surroundings", "compile_plan", "load_of"]

_POOLS = {Mode.DDOSIFY: Pool.SHARED, Mode.DISTINCT_USER: Pool.PER_USER_NEW, Mode.REPEATED_USER: Pool.PER_USER_KEPT}
_MOST_CHARACTERS = 4096
"""Of a received value that a report shows."""
_MOST_HOSTS = 100
_OTHERS = "(others)"


@dataclass(frozen=True, slots=True)
class Findings:
    """What a worker's scenario has to tell beyond counters; `failures` are those of each step."""

    failures: tuple[tuple[AssertionFailures, ...], ...]
    other_hosts: Mapping[str, int] = field(default_factory=dict)
    exchanges: tuple[Exchange, ...] = ()


@dataclass(frozen=True, slots=True)
class Compiled:
    """A worker's share of a plan, as its transport needs it."""

    steps: tuple[WireStep, ...]
    scenario: Scenario
    pool: Pool
    asks_ends: bool = False


def load_of(plan: Plan, *, worker: int) -> Arrivals | Users:
    """When the worker's iterations start, or how many users it has."""
    workers = max(1, plan.limits.workers)
    shape = plan.shape
    if isinstance(shape, UsersShape):
        return Users(
            changes=user_changes(shape, worker=worker, workers=workers),
            duration_ns=int(planned(shape).duration_s * 1e9),
            count=None if shape.count is None else share(shape.count, worker, workers),
            first=worker,
            stride=workers,
        )
    blocks = arrivals(shape, worker=worker, workers=workers, seed=plan.seed or 0)
    return Arrivals(blocks, first=worker, stride=workers)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a scenario may know of the world: Unix time (cookies expire), the process's environment, whom to tell.

    `on_finding` is called whenever `Scenario.findings` has more to say.
    """

    now_s: Callable[[], float]
    environ: Mapping[str, str] = field(default_factory=dict)
    on_finding: Callable[[], None] = lambda: None


def compile_plan(plan: Plan, *, worker: int, world: Surroundings) -> Compiled:
    """Compile a plan for one worker.

    Raises:
        ConfigError: something in it cannot be compiled or sent.
    """
    scenario = Scenario(plan, worker=worker, world=world)
    return Compiled(scenario.wire_steps, scenario, _POOLS[plan.mode])


@dataclass(slots=True)
class _Rule:
    """One assertion of a step and what it has seen fail."""

    text: str
    assertion: Assertion
    count: int = 0
    received: dict[str, list[JsonValue]] = field(default_factory=dict)
    reason: str = ""


class _Found(TypedDict, total=False):
    """What a debug run adds to an exchange."""

    failure: Failure
    detail: str
    failed_captures: Mapping[str, str]
    failed_assertions: tuple[AssertionFailures, ...]


Inspect = Callable[[Iteration, int, bytes, bytes, int], bool]


class _CompiledStep:
    """One step of the scenario."""

    def __init__(self, step: Step, request: Request, endpoints: Endpoints, plan: Plan) -> None:
        self.step = step
        self.request = request
        self.endpoints = endpoints
        self.rules = [_Rule(text, _assertion(step, text)) for text in step.assertions]
        self.capture = _captures(step) if step.captures else None
        needs = self.capture.needs if self.capture else Needs()
        for rule in self.rules:
            needs |= rule.assertion.needs
        self.needs_body = plan.is_debug or needs.has_body
        self.own_cookie = "; ".join(
            value for name, value in step.headers if name.lower() == "cookie" and "{{" not in value
        )
        self.is_inspected = bool(self.rules or self.capture or plan.has_cookies or plan.is_debug)

    def wire_step(self) -> WireStep:
        """As the transport needs it."""
        step, sleep = self.step, self.step.sleep
        redirects = Shows.REDIRECTS if step.follows_redirects else Shows.NEVER
        return WireStep(
            endpoint=self.request.endpoint,
            request=self.request.fixed,
            shows=Shows.ALWAYS if self.is_inspected else redirects,
            keeps_body=self.needs_body,
            is_head=step.method == "HEAD",
            timeout_ns=round(step.timeout_s * 1e9),
            sleep_ns=(sleep.min_ms * 1_000_000, sleep.max_ms * 1_000_000) if sleep else (0, 0),
            is_closed_after=self.request.is_closed_after,
        )


class Scenario:
    """The script of one worker: see `client.transport.Script`."""

    def __init__(self, plan: Plan, *, worker: int, world: Surroundings) -> None:
        self._plan = plan
        self._now_s = world.now_s
        self._on_finding = world.on_finding
        texts = Texts(plan, seed=(plan.seed or 0) * 1_000_003 + worker, environ=world.environ)
        proxy = proxy_of(plan)
        self._steps = [
            _CompiledStep(
                step,
                compile_request(step, texts, endpoints := Endpoints(step, proxy), has_cookies=plan.has_cookies),
                endpoints,
                plan,
            )
            for step in plan.steps
        ]
        self.wire_steps = tuple(step.wire_step() for step in self._steps)
        self._plain = texts.plain
        self._changing = tuple(texts.changing.items())
        self._rows = _rows(plan) if plan.data else None
        self._jars: dict[int, Jar] = {}
        self._renders = [step.request.render for step in self._steps]
        self._inspects: list[Inspect] = [self._inspection(index) for index in range(len(self._steps))]
        self._own_hosts = {step.request.url.host for step in self._steps if step.request.url is not None}
        self._other_hosts: dict[str, int] = {}
        self._exchanges: list[Exchange] = []
        self._detail = ""

    # ---- what the transport calls ----

    def begin(self, iteration: int, user: int) -> Iteration:
        """A new scope; a user who comes back has its old jar."""
        scope = self._plain.copy()
        for name, template in self._changing:
            scope[name] = template(scope)
        if self._rows is not None:
            scope.update(self._rows.of(iteration))
        return Iteration(scope, self._jar(user) if self._plan.has_cookies else None)

    def render(self, state: Iteration, step: int) -> bytes | Outgoing | Give:
        """The request of a step that varies."""
        try:
            request = self._renders[step](state)  # type: ignore[misc]  # only called for steps that have one
        except InputError as exc:  # UnsetVariableError is one
            self._detail = str(exc)
            return Give(Failure.REQUEST_INVALID)
        state.request = request
        return request

    def inspect(  # noqa: PLR0913, PLR0917 - as the seam has it
        self, state: Iteration, step: int, status: int, head: bytes, body: bytes, service_ns: int
    ) -> bytes | Outgoing | Give | bool:
        """An answer: follow it, or look at it."""
        if status in REDIRECTS and self._steps[step].step.follows_redirects:
            following = self._redirect(state, step, status, head)
            if following is not None:
                return following
        return self._inspects[step](state, status, head, body, service_ns)

    def fail(self, state: Iteration, step: int, failure: Failure) -> None:
        """No answer: only debugging wants to know."""
        if self._plan.is_debug:
            self._expose_failure(state, step, failure)

    def end(self, state: Iteration) -> None:
        """Nothing is kept of an iteration."""

    # ---- what it remembers ----

    def findings(self) -> Findings:
        """All that was found so far."""
        failures = tuple(
            tuple(
                AssertionFailures(
                    rule.text, rule.count, {name: list(seen) for name, seen in rule.received.items()}, rule.reason
                )
                for rule in step.rules
                if rule.count
            )
            for step in self._steps
        )
        return Findings(failures, dict(self._other_hosts), tuple(self._exchanges))

    def _note(self, step: _CompiledStep, answer: Answer) -> bool:
        """At least one rule does not hold: count each that does not, and keep a few of the values that it saw."""
        holds = True
        for rule in step.rules:
            if rule.assertion.holds(answer):
                continue
            holds = False
            rule.count += 1
            if rule.count <= self._plan.sampling_rate:
                received, rule.reason = rule.assertion.explain(answer)
                for name, value in received.items():
                    rule.received.setdefault(name, []).append(_shortened(value))
        if not holds:
            self._on_finding()
        return holds

    def _jar(self, user: int) -> Jar:
        """The cookies of a user: those of a user who comes back are kept."""
        if self._plan.mode is not Mode.REPEATED_USER:
            return self._new_jar()
        jar = self._jars.get(user)
        if jar is None:
            jar = self._jars[user] = self._new_jar()
        return jar

    def _new_jar(self) -> Jar:
        from osmia.load.cookies import Jar

        return Jar(self._plan.cookies, now_s=self._now_s)

    # ---- redirects ----

    def _redirect(self, state: Iteration, step: int, status: int, head: bytes) -> bytes | Outgoing | Give | None:
        """The request that follows, what forbids it, or None: the answer leads nowhere and is as good as any."""
        location = header(head, "location")
        if not location:
            return None
        compiled = self._steps[step]
        request, came = self._sent(state, step)
        if state.step != step:
            state.step, state.hops = step, 0
        if self._plan.is_debug:
            self._expose(state, step, Answer(status, head, b"", 0, state.scope))
        if state.jar is not None:
            state.jar.store(head, str(came))
        try:
            to = redirection(came, location)
        except InputError as exc:
            self._detail = str(exc)
            return Give(Failure.REQUEST_INVALID)
        if not self._may_go(to, came):
            return Give(Failure.REDIRECT_FORBIDDEN)
        if state.hops >= MAX_REDIRECTS:
            return Give(Failure.TOO_MANY_REDIRECTS)
        state.hops += 1
        authorization = compiled.endpoints.proxy_authorization
        following = redirected(request, came, to, status=status, proxy_authorization=authorization)
        if state.jar is not None:
            own = compiled.own_cookie if is_same_site(to, came) else ""
            value = "; ".join(one for one in (own, state.jar.header_for(str(to))) if one)
            following = with_cookie(following, value, replaces=True)
        is_own = (to.host, to.port, to.is_tls) == (came.host, came.port, came.is_tls)
        state.url = to
        state.request = Outgoing(compiled.endpoints.of(to, is_own=is_own and state.hops == 1), following)
        return state.request

    def _sent(self, state: Iteration, step: int) -> tuple[bytes, Url]:
        """The last request of a step and its URL."""
        request = self._steps[step].request
        if state.step == step and state.url is not None and isinstance(state.request, Outgoing):
            return state.request.request, state.url
        sent = request.fixed if request.fixed is not None else state.request
        wire = sent.request if isinstance(sent, Outgoing) else sent
        if request.url is None and state.url is not None:
            return wire, state.url
        target = target_of(wire)
        base = request.url
        if base is None or "://" in target[:8]:
            return wire, parse_url(target)
        return wire, Url(base.scheme, base.host, base.port, target)

    def _may_go(self, to: Url, came: Url) -> bool:
        """Count redirects to hosts that nobody asked to load, and forbid them if that is wanted."""
        if to.host == came.host or to.host in self._own_hosts:
            return True
        name = to.host if to.host in self._other_hosts or len(self._other_hosts) < _MOST_HOSTS else _OTHERS
        self._other_hosts[name] = self._other_hosts.get(name, 0) + 1
        self._on_finding()
        return not self._plan.limits.forbids_other_hosts

    # ---- debugging ----

    def _expose(self, state: Iteration, step: int, answer: Answer | None = None, **found: Unpack[_Found]) -> None:
        """Keep one exchange whole."""
        request, url = self._sent(state, step)
        taken = take_apart(request)
        head = answer.head if answer else b""
        self._exchanges.append(
            Exchange(
                step=self._steps[step].step,
                method=taken.method,
                url=str(url),
                request_headers=taken.headers,
                request_body=taken.body,
                http_version=head.split(b" ", 1)[0].decode("latin-1") if head else "",
                status=answer.status if answer else 0,
                response_headers=headers_of(head),
                response_body=answer.body if answer else b"",
                service_ns=answer.service_ns if answer else 0,
                environment={n: v for n, v in state.scope.items() if not n.startswith("data.")},
                data={n.removeprefix("data."): v for n, v in state.scope.items() if n.startswith("data.")},
                **found,
            )
        )

    def _exposed(self, step: int) -> Inspect:
        """The inspection of a debug run: the same, and everything is kept."""
        compiled = self._steps[step]

        def inspect(state: Iteration, status: int, head: bytes, body: bytes, service_ns: int) -> bool:
            sent = self._sent(state, step)
            body = decoded(body, content_encoding(head))
            answer = Answer(status, head, body, service_ns, state.scope, state.jar)
            if state.jar is not None:
                state.jar.store(head, str(sent[1]))
            missed = compiled.capture(answer, state.scope) if compiled.capture else {}
            holds = self._note(compiled, answer)
            failed = self.findings().failures[step]
            self._expose(state, step, answer, failed_captures=missed, failed_assertions=failed)
            return holds

        return inspect

    def _expose_failure(self, state: Iteration, step: int, failure: Failure) -> None:
        """A request of a debug run that got no answer."""
        compiled, detail, self._detail = self._steps[step], self._detail, ""
        if failure is Failure.REQUEST_INVALID and compiled.request.fixed is None:
            unsent = Exchange(step=compiled.step, method=compiled.step.method, url=compiled.step.url)
            self._exchanges.append(replace(unsent, failure=failure, detail=detail))
        else:
            self._expose(state, step, failure=failure, detail=detail)

    # ---- made for one step each ----

    def _inspection(self, step: int) -> Inspect:
        """The one function that looks at all answers of a step: no branch in it that the step does not need."""
        if self._plan.is_debug:
            return self._exposed(step)
        compiled = self._steps[step]
        names: dict[str, object] = {
            "Answer": Answer,
            "capture": compiled.capture,
            "decoded": decoded,
            "encoding_of": content_encoding,
            "note": partial(self._note, compiled),
            "store": partial(self._store, step),
        }
        lines = ["def inspect(state, status, head, body, service_ns):"]
        if self._plan.has_cookies:
            lines.append("    if b'ookie' in head or b'OOKIE' in head: store(state, head)")
        if compiled.needs_body:
            # content_encoding() knows better; this is to call it less often.
            lines.append("    if b'ncoding' in head or b'NCODING' in head: body = decoded(body, encoding_of(head))")
        if compiled.rules or compiled.capture:
            lines.append("    answer = Answer(status, head, body, service_ns, state.scope, state.jar)")
        if compiled.capture:
            lines.append("    capture(answer, state.scope)")
        if compiled.rules:
            names.update({f"holds{number}": rule.assertion.holds for number, rule in enumerate(compiled.rules)})
            condition = " and ".join(f"holds{number}(answer)" for number in range(len(compiled.rules)))
            lines.append(f"    return True if {condition} else note(answer)")
        else:
            lines.append("    return True")
        exec(compile("\n".join(lines), f"<step {compiled.step.id}>", "exec"), names)  # noqa: S102 - our own lines, above
        return cast("Inspect", names["inspect"])

    def _store(self, step: int, state: Iteration, head: bytes) -> None:
        """Cookies that an answer sets."""
        if state.jar is not None:
            state.jar.store(head, str(self._sent(state, step)[1]))


def _shortened(value: JsonValue) -> JsonValue:
    """A received value that a report can show."""
    if isinstance(value, str) and len(value) > _MOST_CHARACTERS:
        return f"{value[:_MOST_CHARACTERS]}... ({len(value):,} characters)"
    if isinstance(value, (list, dict)) and len(text := str(value)) > _MOST_CHARACTERS:
        return f"{text[:_MOST_CHARACTERS]}... ({len(text):,} characters)"
    return value


def _assertion(step: Step, rule: str) -> Assertion:
    from osmia.load.assertions import compile_assertion

    try:
        return compile_assertion(rule)
    except InputError as exc:
        raise ConfigError(f"assertion of step {step.id}", rule, str(exc)) from exc


def _captures(step: Step) -> Captures:
    from osmia.load.captures import compile_captures

    try:
        return compile_captures(step.captures)
    except InputError as exc:
        raise ConfigError(f"captures of step {step.id}", step.url, str(exc)) from exc


def _rows(plan: Plan) -> Rows:
    from osmia.load.data import Rows

    return Rows(plan.data, seed=plan.seed or 0)
