"""Settings: where values come from, and what is said of wrong ones."""

from __future__ import annotations

import click
import msgspec
import pytest
from click.testing import CliRunner

from osmia.model.errors import ConfigError
from osmia.settings import SettingRow, options, read, setting, table


class Config(msgspec.Struct, frozen=True):
    """One setting of each type."""

    listen: str = setting("127.0.0.1:80", "Where to listen, HOST:PORT.")
    ring_bytes: int = setting(1024, "Size of the ring in bytes.")
    interval_s: float = setting(2.0, "Seconds between flushes.")
    verbose: bool = setting(default=False, help="Say more.")
    labels: tuple[str, ...] = setting((), "Labels, comma-separated.")


@click.command()
@options(Config, "hive")
def command(**given: object) -> None:
    """Print the settings."""
    click.echo(repr(read("hive", Config, given, {})))


def test_defaults_hold_where_nothing_is_given() -> None:
    """Without flags and variables a table is its defaults."""
    assert read("hive", Config, {}, {}) == Config()


def test_environment_overrides_defaults_in_every_type() -> None:
    """Variables are text; each becomes what its setting is."""
    environ = {
        "OSMIA_HIVE_LISTEN": "[::]:8080",
        "OSMIA_HIVE_RING_BYTES": "4096",
        "OSMIA_HIVE_INTERVAL_S": "0.5",
        "OSMIA_HIVE_VERBOSE": "true",
        "OSMIA_HIVE_LABELS": "a=1, b=2,",
        "OSMIA_OTHER_THING": "not ours",
    }

    assert read("hive", Config, {}, environ) == Config("[::]:8080", 4096, 0.5, True, ("a=1", "b=2"))  # noqa: FBT003 - a row


def test_flags_override_the_environment() -> None:
    """What was typed wins over what was exported; None means not typed."""
    config = read("hive", Config, {"ring_bytes": 1, "listen": None}, {"OSMIA_HIVE_RING_BYTES": "2"})

    assert (config.ring_bytes, config.listen) == (1, "127.0.0.1:80")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("OSMIA_HIVE_RING_BYTES", "many"),
        ("OSMIA_HIVE_INTERVAL_S", "soon"),
        ("OSMIA_HIVE_VERBOSE", "perhaps"),
    ],
)
def test_wrong_value_is_named_with_its_remedy(key: str, value: str) -> None:
    """The error tells which variable, which value, and what would be right."""
    with pytest.raises(ConfigError) as caught:
        read("hive", Config, {}, {key: value})

    assert key in caught.value.field
    assert caught.value.value == value
    assert "default" in caught.value.remedy


def test_wrong_flag_is_named_as_a_flag() -> None:
    """A value typed as an option is not blamed on the environment."""
    with pytest.raises(ConfigError, match="option ring_bytes = 'many'"):
        read("hive", Config, {"ring_bytes": "many"}, {})


@pytest.mark.parametrize(
    ("key", "remedy"),
    [("OSMIA_HIVE_RING_BYTE", "did you mean OSMIA_HIVE_RING_BYTES?"), ("OSMIA_HIVE_QUEEN", "known: OSMIA_HIVE_")],
)
def test_unknown_variable_stops_the_start(key: str, remedy: str) -> None:
    """A misspelt setting is an error that names the nearest one, or all."""
    with pytest.raises(ConfigError, match="no such setting") as caught:
        read("hive", Config, {}, {key: "1"})

    assert caught.value.remedy.startswith(remedy)


def test_a_misspelt_secret_is_not_told() -> None:
    """The message names the variable; its value may be a key that must not stand in a log."""
    with pytest.raises(ConfigError, match="OSMIA_HIVE_KEYS") as caught:
        read("hive", Config, {}, {"OSMIA_HIVE_KEYS": "swordfish"})

    assert "swordfish" not in str(caught.value)


def test_table_lists_every_setting_in_order() -> None:
    """The reference and the help text are made from this."""
    rows = table("hive", Config)

    assert [row.name for row in rows] == ["listen", "ring_bytes", "interval_s", "verbose", "labels"]
    assert rows[1] == SettingRow("ring_bytes", 1024, "Size of the ring in bytes.", "OSMIA_HIVE_RING_BYTES")


def test_options_are_the_table() -> None:
    """Each setting is an option with its help and default; a flag given twice makes a tuple."""
    runner = CliRunner()

    said = runner.invoke(command, ["--ring-bytes", "7", "--verbose", "--labels", "a", "--labels", "b"])
    help_text = runner.invoke(command, ["--help"]).output

    assert said.output.strip() == repr(Config(ring_bytes=7, verbose=True, labels=("a", "b")))
    for row in table("hive", Config):
        assert f"--{row.name.replace('_', '-')}" in help_text
        assert row.help.split()[0] in help_text
