"""Who had an address when."""

from __future__ import annotations

import pytest

from osmia.model.wire import Table
from osmia.server.ingest.decode import decode
from osmia.server.ingest.late import name_late
from osmia.server.ingest.peers import AddressBook, Owner, name_peers, sighting
from osmia.server.query.late_names import LateNames
from tests.server.rows import NS, Row, body, object_row, window_row

_IP = "10.244.1.7"


def _pod(name: str, workload: str, *, from_s: int, to_s: int = 0, seen_s: int = 1_000) -> Row:
    return object_row(
        kind="Pod",
        name=name,
        ips=(_IP,),
        workload_kind="Deployment",
        workload_name=workload,
        created_ns=from_s * NS,
        deleted_ns=to_s * NS,
        seen_ns=seen_s * NS,
        phase="Running",
    )


def _book(*rows: Row) -> AddressBook:
    book = AddressBook()
    for row in rows:
        book.note(sighting(row))
    return book


def _name_at(book: AddressBook, time_s: int) -> str | None:
    owner = book.owner_at(_IP, time_ns=time_s * NS)
    return owner.name if owner else None


def test_a_pod_s_address_is_its_workload() -> None:
    """The owner is the workload, with the pod and node that it was."""
    book = _book(_pod("cart-1", "cart", from_s=100))

    assert book.owner_at(_IP, time_ns=200 * NS) == Owner("Deployment", "shop", "cart", "cart-1", "node-1")


def test_a_pod_without_an_owner_is_itself() -> None:
    """A bare pod is its own workload."""
    book = _book(object_row(kind="Pod", name="debug", ips=(_IP,), phase="Running"))

    assert book.owner_at(_IP, time_ns=200) == Owner("Pod", "shop", "debug", "debug", "node-1")


def test_an_address_used_again_belongs_to_each_in_its_time() -> None:
    """Requests before the change are the old pod's, those after it the new one's."""
    book = _book(_pod("cart-1", "cart", from_s=100, to_s=500), _pod("mail-1", "mail", from_s=505))

    assert [_name_at(book, t) for t in (50, 300, 503, 506, 900)] == [None, "cart", "cart", "mail", "mail"]


def test_a_deleted_pod_keeps_its_address_for_its_last_reports() -> None:
    """Its last window ends after it; much later the address is nobody's."""
    book = _book(_pod("cart-1", "cart", from_s=100, to_s=500))

    assert (_name_at(book, 510), _name_at(book, 600)) == ("cart", None)


def test_an_older_statement_does_not_undo_a_newer_one() -> None:
    """Batches of different agents may arrive in any order."""
    book = _book(
        _pod("cart-1", "cart", from_s=100, to_s=500, seen_s=501), _pod("cart-1", "cart", from_s=100, seen_s=400)
    )

    assert _name_at(book, 600) is None


def test_a_finished_pod_gives_its_address_away() -> None:
    """A Job's pod is listed long after it ended; its address is free from when it was first seen ended."""
    done = [_pod("job-1", "job", from_s=100, seen_s=s) | {"phase": "Succeeded"} for s in (300, 900)]
    book = _book(*done, _pod("mail-1", "mail", from_s=350))

    assert _name_at(book, 800) == "mail"


def test_an_address_of_several_pods_is_the_node_s() -> None:
    """Pods on the host network share the node's address: the node is all that can be said."""
    node = object_row(kind="Node", name="node-1", namespace="", ips=(_IP,))
    shared = [_pod("a", "a", from_s=1), _pod("b", "b", from_s=1)]

    assert _name_at(_book(*shared), 100) is None
    assert _name_at(_book(*shared, node), 100) == "node-1"


def test_a_pod_that_went_unseen_gives_its_address_away() -> None:
    """Nobody saw its end, but nobody reports it either, while the new owner is reported."""
    book = _book(_pod("cart-1", "cart", from_s=100, seen_s=300), _pod("mail-1", "mail", from_s=900, seen_s=1_000))

    assert (_name_at(book, 350), _name_at(book, 950)) == ("cart", "mail")


def test_only_outsiders_are_named() -> None:
    """Rows get the owner's name where the peer was External, and keep what the agent knew."""
    rows = [
        window_row(start_s=200, target=f"External//{_IP}"),
        window_row(start_s=200, target="External//203.0.113.7"),
        window_row(start_s=200, target="Deployment/shop/known"),
    ]
    decoded = decode(Table.WINDOWS, body(Table.WINDOWS, rows), max_bytes=1 << 20, now_s=200)

    named = name_peers(decoded, _book(_pod("cart-1", "cart", from_s=100)), time_column="last_ns")

    assert named.rows.column("destination_name").to_pylist() == ["cart", "203.0.113.7", "known"]
    assert named.rows.column("destination_pod").to_pylist() == ["cart-1", "", ""]
    assert named.resolved == 1
    assert list(named.unnamed) == ["203.0.113.7"]


@pytest.mark.parametrize(("asked_s", "names"), [(150, ["cart"]), (900, [])])
def test_a_late_name_holds_for_the_rows_it_came_late_for(asked_s: int, names: list[str]) -> None:
    """The name is known for the times of the unnamed rows, and not asked for at others."""
    late_names = LateNames()
    late_names.note_unnamed("c", _IP, first_ns=120 * NS, last_ns=160 * NS)

    name_late("c", _IP, book=_book(_pod("cart-1", "cart", from_s=100)), late_names=late_names)

    found = late_names.between("c", from_ns=asked_s * NS, to_ns=(asked_s + 1) * NS)
    assert [one.name for one in found] == names


def test_an_address_nobody_had_stays_unnamed() -> None:
    """An owner that came after the rows does not get them."""
    late_names = LateNames()
    late_names.note_unnamed("c", _IP, first_ns=10 * NS, last_ns=20 * NS)

    name_late("c", _IP, book=_book(_pod("cart-1", "cart", from_s=100)), late_names=late_names)

    assert late_names.between("c", from_ns=0, to_ns=1 << 62) == []
