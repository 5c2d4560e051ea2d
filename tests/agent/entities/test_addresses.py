"""Who had an address at a time."""

from __future__ import annotations

import pytest

from osmia.agent.entities.addresses import RETENTION_NS, AddressBook

_S = 1_000_000_000


@pytest.fixture
def book() -> AddressBook[str]:
    """An empty book."""
    return AddressBook()


def test_owner_by_time(book: AddressBook[str]) -> None:
    """An address answers with the owner of the event's own time, not of now."""
    book.claim("10.0.0.1", "a", "first", at_ns=100 * _S)
    book.release("10.0.0.1", "a", at_ns=200 * _S)
    book.claim("10.0.0.1", "b", "second", at_ns=250 * _S)

    owners = [book.owner("10.0.0.1", at_ns=at * _S) for at in (80, 95, 150, 201, 220, 245, 300)]

    # Shortly before a beginning and after an end the owner is still meant; in between it is nobody's.
    assert owners == [None, "first", "first", "first", None, "second", "second"]


def test_late_deletion_leaves_the_successor(book: AddressBook[str]) -> None:
    """News of the old pod's end, after the new pod's beginning, takes nothing away."""
    book.claim("10.0.0.1", "old", "old", at_ns=100 * _S)
    book.claim("10.0.0.1", "new", "new", at_ns=110 * _S)
    book.release("10.0.0.1", "old", at_ns=120 * _S)

    assert [book.owner("10.0.0.1", at_ns=at * _S) for at in (105, 130)] == ["old", "new"]


def test_claiming_again_updates_the_owner(book: AddressBook[str]) -> None:
    """The same object keeps its interval and may change its value."""
    book.claim("10.0.0.1", "a", "before", at_ns=100 * _S)
    book.claim("10.0.0.1", "a", "after", at_ns=200 * _S)

    assert book.owner("10.0.0.1", at_ns=150 * _S) == "after"


def test_ended_intervals_expire(book: AddressBook[str]) -> None:
    """What ended is kept for the retention, what lasts for ever."""
    book.claim("10.0.0.1", "a", "ended", at_ns=0)
    book.release("10.0.0.1", "a", at_ns=10 * _S)
    book.claim("10.0.0.2", "b", "lasting", at_ns=0)

    book.expire(now_ns=10 * _S + RETENTION_NS)
    kept = len(book)
    book.expire(now_ns=11 * _S + RETENTION_NS)

    assert (kept, len(book)) == (2, 1)
    assert book.owner("10.0.0.2", at_ns=_S) == "lasting"


def test_addresses_are_bounded() -> None:
    """Beyond the limit a claim is refused and counted; owners known already may move on."""
    book: AddressBook[str] = AddressBook(limit=2)
    for number in range(4):
        book.claim(f"10.0.0.{number}", "u", "o", at_ns=0)
    book.claim("10.0.0.1", "v", "p", at_ns=_S)

    assert (len(book), book.refused) == (2, 2)
    assert book.owner("10.0.0.1", at_ns=_S) == "p"


def test_history_of_one_address_is_bounded(book: AddressBook[str]) -> None:
    """An address that changes hands all the time keeps its newest owners."""
    for number in range(100):
        book.claim("10.0.0.1", str(number), str(number), at_ns=number * _S)

    assert book.owner("10.0.0.1", at_ns=99 * _S) == "99"
    assert book.owner("10.0.0.1", at_ns=1 * _S) is None
