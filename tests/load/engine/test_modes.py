"""Engine modes do what their names say, as a real server sees it, on both transports."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

import pytest

from osmia.load.client.transport import Transport
from osmia.load.engine import Engine
from osmia.load.plan import CountKind, CountShape, Limits, Mode, Plan, Shape, Step, UsersShape, UserStage
from osmia.load.results import Results
from tests.load.engine.crowd import Crowd

CLOSED = UsersShape((UserStage(30.0, 3, 3),), count=12)
Make = Callable[[], Transport]


def run(transport: Make, crowd: Crowd, mode: Mode, *, shape: Shape = CLOSED, has_cookies: bool = False) -> Results:
    """Two steps, /login and /home, as the mode says."""
    steps = (Step(id=1, url=f"{crowd.url}/login"), Step(id=2, url=f"{crowd.url}/slow"))
    plan = Plan(steps=steps, shape=shape, mode=mode, has_cookies=has_cookies, limits=Limits(workers=1))
    with Engine(plan, transport) as engine:
        for _ in engine.readings():
            pass
        return engine.results()


def test_one_crowd_shares_its_connections(transport: Make, crowd: Crowd) -> None:
    """Mode ddosify: twelve iterations of three at a time need three connections, and nobody keeps a cookie."""
    results = run(transport, crowd, Mode.DDOSIFY)

    visits = crowd.visits()
    assert int(results.run["iterations_succeeded"]) == 12
    assert len(visits) == 24
    assert len({visit.connection for visit in visits}) == 3
    assert {visit.cookie for visit in visits} == {""}
    assert int(results.run["connections_opened"]) == 3


def test_a_distinct_user_is_distinct(transport: Make, crowd: Crowd) -> None:
    """Each iteration has a connection of its own, for both of its steps, and no other uses it."""
    results = run(transport, crowd, Mode.DISTINCT_USER)

    paths = defaultdict(list)
    for visit in crowd.visits():
        paths[visit.connection].append(visit.path)
    assert list(paths.values()) == [["/login", "/slow"]] * 12
    assert int(results.run["connections_opened"]) == 12
    assert int(results.run["connections"]) == 0


def test_a_repeated_user_comes_back(transport: Make, crowd: Crowd) -> None:
    """Three users keep their three connections for all twelve iterations, and each uses its own only."""
    run(transport, crowd, Mode.REPEATED_USER)

    visits = Counter(visit.connection for visit in crowd.visits())
    assert len(visits) == 3
    assert visits.total() == 24
    assert all(count % 2 == 0 for count in visits.values())


def test_repeated_users_of_an_open_load_are_as_many_as_run_at_once(transport: Make, crowd: Crowd) -> None:
    """Ten iterations a second of about 20 ms never meet: one user comes back ten times."""
    run(transport, crowd, Mode.REPEATED_USER, shape=CountShape(CountKind.LINEAR, 10, 1))

    visits = Counter(visit.connection for visit in crowd.visits())
    assert visits.total() == 20
    assert len(visits) == 1


@pytest.mark.parametrize("mode", [Mode.DISTINCT_USER, Mode.REPEATED_USER])
def test_users_are_as_many_as_workers_have(transport: Make, crowd: Crowd, mode: Mode) -> None:
    """Over two processes it is the same: twelve strangers, or four who come back."""
    steps = (Step(id=1, url=f"{crowd.url}/login"), Step(id=2, url=f"{crowd.url}/slow"))
    shape = UsersShape((UserStage(30.0, 4, 4),), count=12)
    with Engine(Plan(steps=steps, shape=shape, mode=mode, limits=Limits(workers=2)), transport) as engine:
        for _ in engine.readings():
            pass

    connections = {visit.connection for visit in crowd.visits()}
    assert len(connections) == (12 if mode is Mode.DISTINCT_USER else 4)
