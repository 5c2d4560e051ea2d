"""Which text leaves the node: few templates per service whatever the traffic, raw text only where it is allowed."""

from __future__ import annotations

import random
import string
import sys

import pytest

from osmia.agent.redaction import OTHER, VARYING, Redaction
from osmia.model.entity import Entity, EntityKind
from osmia.model.request import UNCAPTURED, Protocol
from osmia.protocols.parser import UNRECOGNISED
from osmia.protocols.paths import target_template
from osmia.protocols.sql import normalise

SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS
WORKLOAD = "Deployment/shop/web"
ROUTES = (
    *(f"/api/v1/{thing}" for thing in ("users", "orders", "carts", "products", "prices", "stocks", "reviews")),
    *(f"/api/v1/{thing}/{{id}}" for thing in ("users", "orders", "carts", "products", "prices", "stocks", "reviews")),
    *(f"/api/v1/users/{{id}}/{thing}" for thing in ("orders", "addresses", "payments", "settings", "avatar")),
    *(f"/admin/{thing}/" for thing in ("login", "logout", "auth/user", "auth/group", "shop/order", "shop/order/add")),
    *(f"/shop.Cart/{method}" for method in ("Add", "Remove", "List", "Empty", "Checkout", "Watch", "Merge", "Share")),
    *("/", "/graphql", "/login", "/logout", "/healthz", "/metrics", "/favicon.ico", "/robots.txt", "/search?page&q"),
    *("/static/css/{hash}.css", "/static/js/main.{hash}.js", "/cart", "/checkout", "/checkout/confirm", "/about"),
    *("/help", "/help/shipping", "/help/returns"),
)
"""Fifty and some routes as typical applications have them."""


def ask(redaction: Redaction, template: str, *, at_ns: int = 0, protocol: Protocol = Protocol.HTTP) -> str:
    """The template reported for one of the workload."""
    return redaction.template(template, protocol=protocol, service=WORKLOAD, at_ns=at_ns)


def words(seed: int, count: int, *, length: int = 8) -> list[str]:
    """Distinct words without any digit, as user names and a scanner's guesses are."""
    chance = random.Random(seed)  # noqa: S311 - the same words each time
    return list(dict.fromkeys("".join(chance.choices(string.ascii_lowercase, k=length)) for _ in range(count)))


def namespaced(namespace: str) -> Entity:
    """A workload of a namespace."""
    return Entity(EntityKind.DEPLOYMENT, "web", namespace=namespace)


def test_real_routes_stay_as_they_are() -> None:
    """The routes of an ordinary application are far below the bound and never merged."""
    redaction = Redaction()

    assert len(ROUTES) > 50
    for _ in range(3):
        assert [ask(redaction, route) for route in ROUTES] == list(ROUTES)
    assert redaction.statistics().merged == redaction.statistics().other == 0


@pytest.mark.parametrize("pattern", ["/u/{}", "/{}", "/u/{}/profile", "/{}/{}", "/a/{}/b/{}?c", "/search?{}"])
def test_100000_paths_are_few_templates(pattern: str) -> None:
    """Whatever position varies, the templates reported for a service are bounded, and so is what is remembered."""
    redaction = Redaction(templates_max=200)
    names = words(1, 100_000)

    answers = {ask(redaction, pattern.replace("{}", name), at_ns=n * SECOND_NS // 100) for n, name in enumerate(names)}

    statistics = redaction.statistics()
    assert statistics.templates <= 200
    assert len(answers) <= 400
    assert any(VARYING in answer for answer in answers)
    assert statistics.merged + statistics.other + 400 > len(names)


def test_routes_that_are_used_survive_a_scanner() -> None:
    """Between guesses at every depth, routes in use keep their names."""
    redaction = Redaction(templates_max=200)
    guesses = words(2, 30_000)
    for _ in range(5):
        for route in ROUTES:
            ask(redaction, route)

    for n, guess in enumerate(guesses):
        ask(redaction, f"/{guess}" if n % 2 else f"/api/v1/users/{guess}", at_ns=n * SECOND_NS // 100)

    assert [ask(redaction, route, at_ns=HOUR_NS // 6) for route in ROUTES] == list(ROUTES)


def test_a_position_that_varies_is_learned() -> None:
    """User names in a path end as one template, while a route beside them that is used keeps its name."""
    redaction = Redaction(templates_max=50)
    for _ in range(5):
        ask(redaction, "/u/settings")

    answers = [ask(redaction, f"/u/{name}") for name in words(3, 500)]

    assert answers[-1] == "/u/{name}"
    assert ask(redaction, "/u/settings") == "/u/settings"


def test_rpc_methods_beside_varying_paths_stay() -> None:
    """Merging happens where traffic varies; a hundred methods of another branch are not touched."""
    redaction = Redaction(templates_max=200)
    methods = [f"/twirp/shop.Cart/{word.title()}" for word in words(4, 100)]
    for _ in range(5):
        for method in methods:
            ask(redaction, method)

    for name in words(5, 5_000):
        ask(redaction, f"/files/{name}")

    assert [ask(redaction, method) for method in methods] == methods


def test_statements_are_bounded_too() -> None:
    """A table per tenant ends as one statement with the table's name left out."""
    redaction = Redaction(templates_max=100)
    statement = "SELECT a FROM tenant_{} WHERE id = 1"
    statements = [normalise(statement.format(word)).template for word in words(6, 20_000)]

    answers = [ask(redaction, one, protocol=Protocol.POSTGRES) for one in statements]

    assert answers[-1] == "SELECT a FROM {name} WHERE id = ?"
    assert len(set(answers)) <= 100
    assert redaction.statistics().templates <= 100


def test_what_fits_nowhere_is_other() -> None:
    """Templates that share no position are counted together once the places are taken."""
    redaction = Redaction(templates_max=4)

    answers = [ask(redaction, "/" * depth + "x") for depth in range(1, 12)]

    assert answers[-1] == OTHER
    assert redaction.statistics().other > 0


def test_the_same_traffic_gives_the_same_templates() -> None:
    """Nothing depends on chance, a clock or the order of a set."""
    names = words(7, 3_000)

    runs = [[ask(redaction, f"/u/{name}/x") for name in names] for redaction in (Redaction(), Redaction())]

    assert runs[0] == runs[1]


def test_unused_templates_make_room_after_an_hour() -> None:
    """A release with new routes is not merged because of the old ones."""
    redaction = Redaction(templates_max=100)
    for n in range(80):
        ask(redaction, "/old" * (n + 1))

    answers = {ask(redaction, "/new" * (n + 1), at_ns=2 * HOUR_NS) for n in range(60)}

    assert OTHER not in answers
    assert redaction.statistics().forgotten >= 60


def test_services_do_not_share_their_bound() -> None:
    """One workload's traffic merges nothing of another's, nor one protocol's of another."""
    redaction = Redaction(templates_max=20)
    for name in words(8, 1_000):
        ask(redaction, f"/u/{name}")

    answer = redaction.template("/u/anna", protocol=Protocol.HTTP, service="Deployment/shop/api", at_ns=0)

    assert answer == "/u/anna"


def test_memory_is_bounded_over_any_number_of_services() -> None:
    """A client that talks to the whole internet does not fill the agent; the longest unused give way."""
    redaction = Redaction()

    for n in range(5_000):
        for path in ("/a", "/b/c", "/d"):
            redaction.template(path, protocol=Protocol.HTTP, service=f"external//{n}", at_ns=n)

    statistics = redaction.statistics()
    assert statistics.services <= 2_048
    assert statistics.templates <= 20_000
    assert statistics.templates + statistics.forgotten == 15_000


def test_deep_paths_do_not_recurse_without_bound() -> None:
    """A path of nothing but slashes costs a bounded number of branches."""
    redaction = Redaction(templates_max=10)
    limit = sys.getrecursionlimit()

    answers = {ask(redaction, "/a" * depth, at_ns=depth * HOUR_NS) for depth in range(1, 2_000, 50)}

    assert sys.getrecursionlimit() == limit
    assert answers


@pytest.mark.parametrize("fixed", [UNCAPTURED, UNRECOGNISED, OTHER])
def test_words_of_our_own_pass(fixed: str) -> None:
    """What the agent says itself takes no place and is never merged."""
    redaction = Redaction(templates_max=1)

    assert ask(redaction, fixed) == fixed
    assert redaction.statistics().templates == 0


@pytest.mark.parametrize(
    ("source", "destination", "target"),
    [("shop", "shop", "/a?b=c"), ("shop", "bank", ""), ("bank", "shop", ""), ("", "shop", ""), ("bank", "bank", "")],
)
def test_raw_text_needs_both_ends(source: str, destination: str, target: str) -> None:
    """A request's text travels only if the namespaces of client and server are both named."""
    redaction = Redaction(raw_namespaces=("shop",))

    assert redaction.target("/a?b=c", namespaced(source), namespaced(destination)) == target


def test_nothing_is_raw_by_default() -> None:
    """Without the setting no text travels, not even where there is no namespace."""
    redaction = Redaction()

    assert redaction.target("/a", namespaced("shop"), namespaced("shop")) == ""
    assert redaction.target("/a", namespaced(""), namespaced("")) == ""


def test_templates_of_the_parsers_are_taken_as_they_are() -> None:
    """What parsers give goes in and comes out unchanged below the bound, for paths and statements of any form."""
    redaction = Redaction()
    paths = [target_template(one, is_truncated=False) for one in ("/a/1?b=c", "*", "/x;y=z", "//", "/?", "/a b")]
    statements = [normalise(one).template for one in ("SELECT 1", "", "a?b", "INSERT INTO t VALUES (1), (2)")]

    assert [ask(redaction, one) for one in paths] == paths
    assert [ask(redaction, one, protocol=Protocol.POSTGRES) for one in statements] == statements
