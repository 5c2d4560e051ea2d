"""The reference page names all there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from osmia.load.assertions import compile_assertion
from osmia.load.language.functions import COMMON, PERCENTILES
from osmia.load.language.problems import RuleError
from osmia.load.variables import VARIABLE_NAMES

PAGE = (Path(__file__).parents[3] / "docs/reference/load-language.md").read_text()


def test_every_random_value_is_on_the_page() -> None:
    """No more and no less."""
    section = PAGE.partition("### Random values")[2].partition("## Captures")[0]

    assert set(re.findall(r"`((?:random\w+)|guid|timestamp|isoTimestamp)`", section)) == VARIABLE_NAMES


@pytest.mark.parametrize("name", [*COMMON, *PERCENTILES, "json_path", "xpath", "html_path", "regexp", "equals_on_file"])
def test_every_function_is_on_the_page(name: str) -> None:
    """Where functions are listed."""
    section = PAGE.partition("### Functions")[2].partition("### Names of success criteria")[0]

    assert re.search(rf"`{name}\b", section)


def test_the_message_on_the_page_is_the_message() -> None:
    """Word for word."""
    with pytest.raises(RuleError) as caught:
        compile_assertion("status_code == 200 && less_then(response_time, 500)")

    assert str(caught.value) in PAGE
