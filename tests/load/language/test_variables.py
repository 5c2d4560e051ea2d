"""Random values: all names of the original, in forms that others accept, the same for a seed."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import uuid
from datetime import UTC, datetime
from email.headerregistry import Address
from urllib.parse import unquote, urlsplit

import pytest

from osmia.load.variables import TEXT_NAMES, VARIABLE_NAMES, Variables

NOW_S = 1_795_485_905.0
MANY = 300
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
ORIGINAL = """
guid timestamp isoTimestamp randomUUID randomAlphaNumeric randomBoolean randomInt randomColor randomHexColor
randomAbbreviation randomIP randomIPV6 randomMACAddress randomPassword randomLocale randomUserAgent randomProtocol
randomSemver randomFirstName randomLastName randomFullName randomNamePrefix randomNameSuffix randomJobArea
randomJobDescriptor randomJobTitle randomJobType randomPhoneNumber randomPhoneNumberExt randomCity randomStreetName
randomStreetAddress randomCountry randomCountryCode randomLatitude randomLongitude randomAvatarImage randomImageUrl
randomAbstractImage randomAnimalsImage randomBusinessImage randomCatsImage randomCityImage randomFoodImage
randomNightlifeImage randomFashionImage randomPeopleImage randomNatureImage randomSportsImage randomTransportImage
randomImageDataUri randomBankAccount randomBankAccountName randomCreditCardMask randomBankAccountBic
randomBankAccountIban randomTransactionType randomCurrencyCode randomCurrencyName randomCurrencySymbol randomBitcoin
randomCompanyName randomCompanySuffix randomBs randomBsAdjective randomBsBuzz randomBsNoun randomCatchPhrase
randomCatchPhraseAdjective randomCatchPhraseDescriptor randomCatchPhraseNoun randomDatabaseColumn randomDatabaseType
randomDatabaseCollation randomDatabaseEngine randomDateFuture randomDatePast randomDateRecent randomWeekday randomMonth
randomDomainName randomDomainSuffix randomDomainWord randomEmail randomExampleEmail randomUserName randomUrl
randomFileName randomFileType randomFileExt randomCommonFileName randomCommonFileType randomCommonFileExt
randomFilePath randomDirectoryPath randomMimeType randomPrice randomProduct randomProductAdjective
randomProductMaterial randomProductName randomDepartment randomNoun randomVerb randomIngverb randomAdjective randomWord
randomWords randomPhrase randomLoremWord randomLoremWords randomLoremSentence randomLoremSentences
randomLoremParagraph randomLoremParagraphs randomLoremText randomLoremSlug randomLoremLines randomFloat randomString
"""


def drawn(name: str) -> list[str]:
    """Many values of a name, as text."""
    draw = Variables(1, now_s=lambda: NOW_S).function(name)
    return [str(draw()) for _ in range(MANY)]


def test_all_names_of_the_original_are_there() -> None:
    """No more and no less."""
    assert set(ORIGINAL.split()) == VARIABLE_NAMES


@pytest.mark.parametrize("name", sorted(VARIABLE_NAMES))
def test_values_are_of_their_type_and_differ(name: str) -> None:
    """Text where text is promised, never empty, more than one value."""
    draw = Variables(1).function(name)
    values = [draw() for _ in range(MANY)]

    assert all(isinstance(value, str) is (name in TEXT_NAMES) for value in values)
    assert all(str(value) for value in values)
    assert name == "timestamp" or name == "isoTimestamp" or len(set(values)) > 1  # noqa: PLR1714 - reads better


def test_a_seed_gives_the_same_values() -> None:
    """In the same order of uses; another seed gives others."""
    one, same, other = (Variables(seed, now_s=lambda: NOW_S).all() for seed in (5, 5, 6))

    assert one == same
    assert one != other


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("randomAlphaNumeric", r"[A-Za-z0-9]"),
        ("randomHexColor", r"#[0-9a-f]{6}"),
        ("randomMACAddress", r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}"),
        ("randomPassword", r"[A-Za-z0-9]{15}"),
        ("randomString", r"[A-Za-z]{10}"),
        ("randomLocale", r"[a-z]{2}"),
        ("randomSemver", r"\d+\.\d+\.\d+"),
        ("randomPhoneNumber", r"\d{3}-\d{3}-\d{4}"),
        ("randomPhoneNumberExt", r"\d{2}-\d{3}-\d{3}-\d{4}"),
        ("randomCountryCode", r"[A-Z]{2}"),
        ("randomCurrencyCode", r"[A-Z]{3}"),
        ("randomBankAccount", r"\d{8}"),
        ("randomCreditCardMask", r"\d{4}"),
        ("randomBankAccountBic", r"[A-Z]{6}[A-Z2-9]{2}"),
        ("randomPrice", r"\d{1,3}\.\d{2}"),
        ("randomFileName", r"[a-z]+_[a-z_]+\.[a-z0-9]+"),
        ("randomFilePath", r"(/[a-z]+)+/[a-z]+_[a-z_]+\.[a-z0-9]+"),
        ("randomDirectoryPath", r"(/[a-z]+)+"),
        ("randomMimeType", r"[a-z]+/[a-z0-9+-]+"),
        ("randomDomainName", r"[a-z]+-[a-z]+\.[a-z]+"),
        ("randomLoremSlug", r"[a-z]+-[a-z]+-[a-z]+"),
        ("randomLoremSentence", r"[A-Z][a-z]*( [a-z]+)+\."),
    ],
)
def test_values_have_their_form(name: str, form: str) -> None:
    """Every one of many."""
    assert [value for value in drawn(name) if not re.fullmatch(form, value)] == []


def test_uuids_are_of_version_4() -> None:
    """As Python's own parser says."""
    for name in ("guid", "randomUUID"):
        found = [uuid.UUID(value) for value in drawn(name)]
        assert {(one.version, one.variant) for one in found} == {(4, uuid.RFC_4122)}
        assert len(set(found)) == MANY


def test_ibans_and_bitcoin_addresses_have_valid_checks() -> None:
    """ISO 13616 modulo 97, and the double SHA-256 of base58check."""
    for value in drawn("randomBankAccountIban"):
        turned = value[4:] + value[:4]
        assert int("".join(str(int(one, 36)) for one in turned)) % 97 == 1
    for value in drawn("randomBitcoin"):
        number = 0
        for one in value:
            number = number * 58 + BASE58.index(one)
        whole = number.to_bytes(25)
        assert hashlib.sha256(hashlib.sha256(whole[:21]).digest()).digest()[:4] == whole[21:]


def test_addresses_are_addresses() -> None:
    """IPv4, IPv6, e-mail, URLs."""
    assert all(ipaddress.IPv4Address(one) and not one.startswith(("0.", "224.")) for one in drawn("randomIP"))
    assert all(ipaddress.IPv6Address(one) for one in drawn("randomIPV6"))
    assert all(Address(addr_spec=one) for name in ("randomEmail", "randomExampleEmail") for one in drawn(name))
    assert {urlsplit(one).hostname for one in drawn("randomCatsImage")} == {"images.example.com"}
    assert all(urlsplit(one).hostname and urlsplit(one).scheme in {"http", "https"} for one in drawn("randomUrl"))
    assert all("<svg" in unquote(one.partition(",")[2]) for one in drawn("randomImageDataUri"))


def test_dates_lie_where_their_names_say() -> None:
    """RFC 3339 in UTC: within a year ahead, a year back, a day back; timestamps are now."""
    now = datetime.fromtimestamp(NOW_S, UTC)

    def distances_s(name: str) -> list[float]:
        return [(datetime.fromisoformat(one) - now).total_seconds() for one in drawn(name)]

    assert all(0 < one <= 366 * 86_400 for one in distances_s("randomDateFuture"))
    assert all(-366 * 86_400 <= one < 0 for one in distances_s("randomDatePast"))
    assert all(-86_401 <= one <= 0 for one in distances_s("randomDateRecent"))
    assert set(drawn("isoTimestamp")) == {"2026-11-24T02:05:05.000Z"}
    assert set(drawn("timestamp")) == {"1795485905"}


def test_numbers_lie_in_their_ranges() -> None:
    """Both ends of randomInt are reached."""
    draw = Variables(1).function("randomInt")
    found = {draw() for _ in range(20_000)}

    assert found == set(range(1, 1001))
    assert all(-90 <= float(one) <= 90 for one in drawn("randomLatitude"))
    assert all(-180 <= float(one) <= 180 for one in drawn("randomLongitude"))
    assert all(0 <= float(one) <= 1000 for one in drawn("randomFloat"))
