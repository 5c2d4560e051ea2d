"""Words and values that look alike: how many of each are told apart."""

from __future__ import annotations

import random
import string

import pytest

from osmia.protocols.words import is_word, word_template

LETTERS, MIXED = string.ascii_lowercase, string.ascii_letters
BASE64 = string.ascii_letters + string.digits + "-_"


@pytest.mark.parametrize(
    ("alphabet", "length", "share"),
    [
        (LETTERS, 8, 0.85),
        (LETTERS, 12, 0.91),
        (LETTERS, 16, 0.93),
        (MIXED, 12, 0.94),
        (MIXED, 22, 0.98),
        (BASE64, 16, 0.97),
        (BASE64, 22, 0.99),
    ],
)
def test_most_random_strings_are_recognised(alphabet: str, length: int, share: float) -> None:
    """The figures that the documentation gives hold for a thousand strings of each kind."""
    chance = random.Random(length)  # noqa: S311 - the same strings each time
    strings = ["".join(chance.choices(alphabet, k=length)) for _ in range(1_000)]

    recognised = sum("{" in word_template(one) for one in strings)

    assert recognised >= share * len(strings)


@pytest.mark.parametrize(
    "name",
    [
        "FileNotFoundError",
        "DataFrameGroupBy",
        "GetUserByIdAndTypeForApp",
        "maxWidth",
        "listXmlHttpRequests",
        "PutHTTPSEndpoint",
        "BatchGetItem",
        "to-be-or-not-to-be-a-slug",
        "krankenversicherung",
        "questionnaires",
        "pagamentos",
        "statefulsets",
        "horizontalpodautoscalers",
        "customresourcedefinitions",
        "oauth2callback",
    ],
)
def test_names_stay(name: str) -> None:
    """Methods of RPC, resources of Kubernetes, words of other languages and slugs are no values."""
    assert is_word(name)


def test_long_texts_are_values() -> None:
    """Nobody calls a thing by fifty letters."""
    assert not is_word("word" * 13)
