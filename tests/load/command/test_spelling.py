"""One dash or two, = or a space: every way in which the original's flags are written."""

from __future__ import annotations

import click
import pytest

from osmia.load.spelling import canonical

VALUES = {
    "t": "-t",
    "n": "-n",
    "h": "-h",
    "config": "--config",
    "cert_path": "--cert_path",
    "max_connections": "--max-connections",
}
FLAGS = {"debug": "--debug", "verify": "--verify", "insecure": "--insecure", "help": "--help"}


def spelled(*arguments: str) -> list[str]:
    """The command line as click gets it."""
    return canonical(arguments, values=VALUES, flags=FLAGS)


@pytest.mark.parametrize(
    "typed",
    [("-config", "a.json"), ("--config", "a.json"), ("-config=a.json",), ("--config=a.json",)],
)
def test_names_have_one_dash_or_two(typed: tuple[str, ...]) -> None:
    """As Go programs take them."""
    assert spelled(*typed) == ["--config", "a.json"]


@pytest.mark.parametrize("typed", [("-t", "http://a"), ("--t", "http://a"), ("-t=http://a",), ("--t=http://a",)])
def test_letters_have_two_dashes_or_one(typed: tuple[str, ...]) -> None:
    """The same for single letters."""
    assert spelled(*typed) == ["-t", "http://a"]


@pytest.mark.parametrize("typed", ["-cert_path=c", "--cert-path=c", "--cert_path=c", "-cert-path=c"])
def test_words_are_joined_by_dash_or_underscore(typed: str) -> None:
    """The original joins by underscores, the newer flags by dashes."""
    assert spelled(typed) == ["--cert_path", "c"]
    assert spelled(typed.replace("cert", "max").replace("path", "connections")) == ["--max-connections", "c"]


def test_values_are_taken_whatever_they_look_like() -> None:
    """A value with dashes and equals signs is a value; the first = ends the name."""
    assert spelled("-h", "-t: 1", "-t=http://a?b=-n", "-n1000") == ["-h", "-t: 1", "-t", "http://a?b=-n", "-n", "1000"]


def test_flags_may_say_true_or_false() -> None:
    """-debug=false is no flag at all, -verify=false its opposite."""
    assert spelled("-debug", "-debug=true", "-debug=false") == ["--debug", "--debug"]
    assert spelled("-verify=false", "-help") == ["--insecure", "--help"]


def test_a_sub_command_s_words_are_left_alone() -> None:
    """What follows the first word is the sub-command's."""
    assert spelled("-debug", "convert", "-out", "-t=1") == ["--debug", "convert", "-out", "-t=1"]
    assert spelled("-", "-debug") == ["-", "-debug"]


def test_a_missing_value_is_left_to_click() -> None:
    """Click says which flag lacks its value."""
    assert spelled("-t") == ["-t"]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("-debugg", "there is no flag --debugg - did you mean --debug?"),
        ("--max-conections=4", "there is no flag --max-conections - did you mean --max-connections?"),
        ("-x", "there is no flag -x - --help lists them all"),
        ("-debug=maybe", "--debug is on or off and takes no value 'maybe' - write --debug or --debug=false"),
    ],
)
def test_unknown_flags_are_told_with_the_nearest(typed: str, message: str) -> None:
    """A typo is answered with what was probably meant."""
    with pytest.raises(click.UsageError) as raised:
        spelled(typed)

    assert raised.value.message == message
