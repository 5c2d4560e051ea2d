"""What runs and why not: told once, kept current, never fatal but for the core."""

from __future__ import annotations

from pathlib import Path

import pytest

from osmia.agent.entities.index import Feature as EntityFeature
from osmia.agent.features import NAMES, Features, State, Verdict, sees_host_processes
from osmia.model.errors import UnavailableError

REFUSED = UnavailableError("not here", remedy="elsewhere")


def refuse() -> int:
    """What cannot be had."""
    raise REFUSED


def test_what_works_is_on_and_handed_over() -> None:
    """The opened thing comes back, and the verdict is complete."""
    features = Features()

    assert features.attempt("tcp", lambda: 7) == 7
    assert (features.rows(), features.verdict) == ([("tcp", "on", "")], Verdict.COMPLETE)


def test_what_does_not_work_is_off_with_its_reason() -> None:
    """Nothing is raised; reason and remedy are the error's."""
    features = Features()

    assert features.attempt("tcp", refuse) is None
    (tcp,) = features.all()
    assert (tcp.state, tcp.reason, tcp.remedy) == (State.OFF, "not here", "elsewhere")
    assert (features.is_on("tcp"), features.verdict) == (False, Verdict.REDUCED)


def test_only_the_core_is_indispensable() -> None:
    """Without capture the agent cannot run."""
    features = Features()
    features.attempt("capture", refuse)

    assert features.verdict is Verdict.UNABLE


def test_an_action_may_say_that_it_works_in_part() -> None:
    """What it put itself stays, until it is tried again."""
    features = Features()
    features.attempt("capture", lambda: features.put("capture", State.REDUCED, "half"))

    assert features.rows() == [("capture", "reduced", "half")]
    assert (features.is_on("capture"), features.verdict) == (True, Verdict.REDUCED)
    features.attempt("capture", lambda: None)
    assert features.verdict is Verdict.COMPLETE


def test_what_nobody_asked_for_is_not_missing() -> None:
    """A host outside any cluster runs complete."""
    features = Features()
    features.put_entities([EntityFeature("kubernetes", is_working=False, reason="none")], has_kubernetes=False)

    assert (features.rows(), features.verdict) == ([("kubernetes", "unused", "none")], Verdict.COMPLETE)


def test_a_cluster_that_goes_and_comes_back_is_followed() -> None:
    """The state is that of now."""
    features = Features()
    for is_working, expected in ((True, "on"), (False, "off"), (True, "on")):
        reason = "" if is_working else "gone"
        one = EntityFeature("kubernetes", is_working=is_working, reason=reason)
        features.put_entities([one], has_kubernetes=True)
        assert features.rows() == [("kubernetes", expected, reason)]


def test_rows_stand_in_the_order_of_the_table() -> None:
    """Whatever was tried first."""
    features = Features()
    for name in reversed(NAMES):
        features.put(name, State.ON)

    assert [name for name, _, _ in features.rows()] == list(NAMES)


def test_another_pid_namespace_is_told_apart(tmp_path: Path) -> None:
    """Its numbers are not the kernel's: reading them would name strangers."""
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").touch()

    with pytest.raises(UnavailableError, match="own pid namespace only") as told:
        sees_host_processes(tmp_path)

    assert told.value.remedy == "run with hostPID: true"
