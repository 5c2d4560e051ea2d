"""`python -m tests.truth`: the whole comparison at the scale that the project promises, as a table."""

from __future__ import annotations

import sys
import time

import click

from tests.truth.world import Outcome, Scale, compare, run

__all__: list[str] = []


@click.command()
@click.option("--requests", default=100_000, help="HTTP requests in all")
@click.option("--statements", default=20_000, help="SQL statements in all")
@click.option("--clients", default=2, help="client processes")
@click.option("--ring-kib", default=8192, help="size of the agent's event ring")
@click.option("--tolerance", default=0.05, help="how far p50 and p95 may be off")
def _main(requests: int, statements: int, clients: int, ring_kib: int, tolerance: float) -> None:
    began = time.monotonic()
    outcome = run(Scale(requests, statements, clients, ring_kib=ring_kib))
    took_s = time.monotonic() - began
    total = sum(book.statuses.total() for book in outcome.books.values())
    lost = {cause: count for cause, count in outcome.ledger.items() if count and cause != "seen"}
    edges = f"{len(outcome.books)} ends of {len(outcome.books) // 2} edges"
    click.echo(f"{edges}, {total // 2} requests, each from both ends, {took_s:.0f} s")
    click.echo(f"worst p50 off by {_worst(outcome, 0.5):.2%}, worst p95 by {_worst(outcome, 0.95):.2%}")
    click.echo(f"{total - outcome.events} without event; the ledger says of the whole machine: {lost or 'none lost'}")
    complaints = compare(outcome, tolerance=tolerance)
    click.echo("\n".join(complaints) or "the books agree")
    sys.exit(bool(complaints))


def _worst(outcome: Outcome, share: float) -> float:
    books = ((key, outcome.books[key].quantile(share)) for key in outcome.timed)
    return max(abs(outcome.seen[key].quantile(share) - theirs) / theirs for key, theirs in books)


if __name__ == "__main__":
    _main()
