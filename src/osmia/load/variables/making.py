"""How each random value is made: from its name to a maker, which binds a generator and gives the drawing function."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

from osmia.load.plan import JsonValue
from osmia.load.variables.words import TABLES, WORDS

__all__ = ["MAKERS", "Dice", "Draw", "Maker", "iban_check_digits"]


@dataclass(frozen=True, slots=True)
class Dice:
    """Where chance and time come from."""

    random: Callable[[], float]
    bits: Callable[[int], int]
    now_s: Callable[[], float]


Draw: TypeAlias = "Callable[[], JsonValue]"
Text: TypeAlias = "Callable[[], str]"
Maker: TypeAlias = "Callable[[Dice], Draw]"
TextMaker: TypeAlias = "Callable[[Dice], Text]"

_ALNUM = string.ascii_letters + string.digits
_LOWER = string.ascii_lowercase
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DAY_S = 86_400
_YEAR_S = 365 * _DAY_S
_IMAGE_HOST = "https://images.example.com"
_IBANS: Final = (
    ("DE", 18),
    ("ES", 20),
    ("AT", 16),
    ("BE", 12),
    ("DK", 14),
    ("FI", 14),
    ("NO", 11),
    ("PL", 24),
    ("SE", 20),
)
"""Countries whose account part is digits only, and how many."""


# ---- pieces ----


def _words(name: str) -> tuple[str, ...]:
    return tuple(WORDS[name].split()) if name in WORDS else tuple(TABLES[name].split("|"))


def _one_of(items: Sequence[str]) -> TextMaker:
    """One entry of a table."""

    def maker(dice: Dice) -> Text:
        random, count = dice.random, len(items)
        return lambda: items[int(random() * count)]

    return maker


def _word(name: str) -> TextMaker:
    return _one_of(_words(name))


def _joined(pattern: str, *makers: TextMaker) -> TextMaker:
    """Values in the places `{}` of a pattern."""

    def maker(dice: Dice) -> Text:
        draws = [one(dice) for one in makers]
        form = pattern.format
        if len(draws) == 2:  # noqa: PLR2004 - the usual number, without a list
            first, second = draws
            return lambda: form(first(), second())
        return lambda: form(*[draw() for draw in draws])

    return maker


def _changed(maker: TextMaker, change: Callable[[str], str]) -> TextMaker:
    def changed(dice: Dice) -> Text:
        draw = maker(dice)
        return lambda: change(draw())

    return changed


def _digits(pattern: str) -> TextMaker:
    """A digit for each # of a pattern."""
    count = pattern.count("#")
    form = pattern.replace("#", "{}")
    is_plain = len(pattern) == count

    def maker(dice: Dice) -> Text:
        random, limit = dice.random, 10**count
        if is_plain:
            return lambda: f"{int(random() * limit):0{count}d}"
        return lambda: form.format(*f"{int(random() * limit):0{count}d}")

    return maker


def _characters(alphabet: str, count: int) -> TextMaker:
    def maker(dice: Dice) -> Text:
        random, size = dice.random, len(alphabet)
        places = range(count)
        return lambda: "".join([alphabet[int(random() * size)] for _ in places])

    return maker


def _whole(low: int, high: int) -> Maker:
    """A whole number, both ends included."""

    def maker(dice: Dice) -> Draw:
        random, count = dice.random, high - low + 1
        return lambda: low + int(random() * count)

    return maker


def _broken(low: float, high: float, places: int) -> Maker:
    def maker(dice: Dice) -> Draw:
        random, width = dice.random, high - low
        return lambda: round(low + random() * width, places)

    return maker


# ---- identifiers and numbers ----


def _uuid(dice: Dice) -> Text:
    """RFC 9562, version 4."""
    bits = dice.bits

    def draw() -> str:
        one = f"{bits(128) & _UUID_MASK | _UUID_FIXED:032x}"
        return f"{one[:8]}-{one[8:12]}-{one[12:16]}-{one[16:20]}-{one[20:]}"

    return draw


_UUID_FIXED = (4 << 76) | (2 << 62)
_UUID_MASK = ((1 << 128) - 1) ^ (15 << 76) ^ (3 << 62)


def _timestamp(dice: Dice) -> Draw:
    now_s = dice.now_s
    return lambda: int(now_s())


def _rfc3339(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _iso_timestamp(dice: Dice) -> Text:
    now_s = dice.now_s
    return lambda: _rfc3339(now_s())


def _date(from_s: float, to_s: float) -> TextMaker:
    """A moment between two distances from now."""

    def maker(dice: Dice) -> Text:
        now_s, random, width_s = dice.now_s, dice.random, to_s - from_s
        return lambda: _rfc3339(now_s() + from_s + random() * width_s)

    return maker


def _boolean(dice: Dice) -> Draw:
    random = dice.random
    return lambda: random() < 0.5  # noqa: PLR2004 - one half


def _hex_color(dice: Dice) -> Text:
    bits = dice.bits
    return lambda: f"#{bits(24):06x}"


def _ip(dice: Dice) -> Text:
    """A unicast address: 1 to 223 first."""
    bits, random = dice.bits, dice.random

    def draw() -> str:
        rest = bits(24)
        return f"{1 + int(random() * 223)}.{rest >> 16}.{rest >> 8 & 255}.{rest & 255}"

    return draw


def _ipv6(dice: Dice) -> Text:
    """A global unicast address (2000::/3), written in full."""
    bits = dice.bits

    def draw() -> str:
        one = f"{bits(125) | 1 << 125:032x}"
        return ":".join([one[at : at + 4] for at in range(0, 32, 4)])

    return draw


def _mac(dice: Dice) -> Text:
    """Unicast: the lowest bit of the first octet is 0."""
    bits = dice.bits

    def draw() -> str:
        one = f"{bits(48) & ~(1 << 40):012x}"
        return f"{one[:2]}:{one[2:4]}:{one[4:6]}:{one[6:8]}:{one[8:10]}:{one[10:]}"

    return draw


def _semver(dice: Dice) -> Text:
    random = dice.random
    return lambda: f"{int(random() * 10)}.{int(random() * 20)}.{int(random() * 30)}"


def _user_agent(dice: Dice) -> Text:
    system, random = _word("system")(dice), dice.random

    def draw() -> str:
        version = 110 + int(random() * 30)
        if random() < 0.3:  # noqa: PLR2004 - about as many as there are
            return f"Mozilla/5.0 ({system()}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
        return f"Mozilla/5.0 ({system()}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"

    return draw


def _price(dice: Dice) -> Text:
    random = dice.random
    return lambda: f"{int(random() * 100_000) / 100:.2f}"


# ---- money ----


def iban_check_digits(country: str, account: str) -> str:
    """ISO 13616: the two digits that make the number 1 modulo 97."""
    letters = "".join(str(ord(one) - 55) for one in country)
    return f"{98 - int(f'{account}{letters}00') % 97:02d}"


def _iban(dice: Dice) -> Text:
    random = dice.random
    letters = [(country, count, 10**count) for country, count in _IBANS]

    def draw() -> str:
        country, count, limit = letters[int(random() * len(letters))]
        account = f"{int(random() * limit):0{count}d}"
        return f"{country}{iban_check_digits(country, account)}{account}"

    return draw


_BIC = _joined(
    "{}{}{}",
    _characters(string.ascii_uppercase, 4),
    _word("country_code"),
    _characters(string.ascii_uppercase + "23456789", 2),
)
"""ISO 9362: four letters of the bank, two of the country, two of the place."""


def _bitcoin(dice: Dice) -> Text:
    """A pay-to-script-hash address, with a checksum that is right."""
    bits = dice.bits

    def draw() -> str:
        payload = b"\x05" + bits(160).to_bytes(20)
        number = int.from_bytes(payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4])
        found: list[str] = []
        while number:
            number, digit = divmod(number, 58)
            found.append(_BASE58[digit])
        return "".join(reversed(found))

    return draw


# ---- text ----


def _several(maker: TextMaker, low: int, high: int, separator: str) -> TextMaker:
    """Some of them, from so many to so many."""

    def several(dice: Dice) -> Text:
        draw, random, width = maker(dice), dice.random, high - low + 1
        return lambda: separator.join([draw() for _ in range(low + int(random() * width))])

    return several


def _sentence_table() -> tuple[str, ...]:
    """A fixed table of sentences, so that a paragraph costs a few draws and not forty."""
    words = _words("lorem")
    sentences: list[str] = []
    place = 0
    for number in range(96):
        length = 5 + number * 7 % 8
        picked = [words[(place + at * (number % 11 + 1)) % len(words)] for at in range(length)]
        place += length
        sentences.append(f"{' '.join(picked).capitalize()}.")
    return tuple(sentences)


_LOREM = _word("lorem")
_SENTENCE = _one_of(_sentence_table())
_PARAGRAPH = _several(_SENTENCE, 3, 5, " ")
_FIRST, _LAST = _word("first_name"), _word("last_name")
_FULL = _joined("{} {}", _FIRST, _LAST)
_ANY_WORD = _one_of(_words("noun") + _words("verb") + _words("adjective"))
_USER = _changed(_joined("{}.{}{}", _FIRST, _LAST, _digits("##")), str.lower)
_DOMAIN_WORD = _changed(_joined("{}-{}", _word("adjective"), _LAST), str.lower)
_DOMAIN = _joined("{}.{}", _DOMAIN_WORD, _word("domain_suffix"))
_FILE = _joined("{}_{}", _word("adjective"), _changed(_word("noun"), lambda one: one.replace("-", "_")))
_FILE_NAME = _joined("{}.{}", _FILE, _word("extension"))
_STREET = _joined("{} {}", _LAST, _word("street_suffix"))
_BS = _joined("{} {} {}", _word("bs_buzz"), _word("bs_adjective"), _word("bs_noun"))
_CATCH = _joined("{} {} {}", _word("catch_adjective"), _word("catch_descriptor"), _word("catch_noun"))
_PHRASE = _joined(
    "We need to {} the {} {}, so that the {} can {} it!",
    _word("verb"),
    _word("adjective"),
    _word("noun"),
    _word("noun"),
    _word("verb"),
)


def _image(topic: str) -> TextMaker:
    """An address of a picture, on a host that is nobody's (RFC 2606)."""
    return _joined(f"{_IMAGE_HOST}/640/480/{topic}?{{}}", _digits("#####"))


def _image_data(dice: Dice) -> Text:
    """A small picture in its own address: one rectangle of a random colour."""
    bits = dice.bits
    return lambda: (
        "data:image/svg+xml;charset=UTF-8,%3Csvg%20xmlns%3D%22http%3A%2F%2Fwww.w3.org%2F2000%2Fsvg%22%20width%3D%2264%22"
        f"%20height%3D%2264%22%3E%3Crect%20width%3D%2264%22%20height%3D%2264%22%20fill%3D%22%23{bits(24):06x}%22%2F%3E%3C%2Fsvg%3E"
    )


_TOPICS = (
    "Abstract",
    "Animals",
    "Business",
    "Cats",
    "City",
    "Food",
    "Nightlife",
    "Fashion",
    "People",
    "Nature",
    "Sports",
    "Transport",
)

MAKERS: Final[dict[str, Maker]] = {
    "guid": _uuid,
    "timestamp": _timestamp,
    "isoTimestamp": _iso_timestamp,
    "randomUUID": _uuid,
    "randomAlphaNumeric": _one_of(_ALNUM),
    "randomBoolean": _boolean,
    "randomInt": _whole(1, 1000),
    "randomFloat": _broken(0, 1000, 3),
    "randomString": _characters(string.ascii_letters, 10),
    "randomColor": _word("color"),
    "randomHexColor": _hex_color,
    "randomAbbreviation": _word("abbreviation"),
    "randomIP": _ip,
    "randomIPV6": _ipv6,
    "randomMACAddress": _mac,
    "randomPassword": _characters(_ALNUM, 15),
    "randomLocale": _word("locale"),
    "randomUserAgent": _user_agent,
    "randomProtocol": _one_of(("http", "https")),
    "randomSemver": _semver,
    "randomFirstName": _FIRST,
    "randomLastName": _LAST,
    "randomFullName": _FULL,
    "randomNamePrefix": _word("name_prefix"),
    "randomNameSuffix": _word("name_suffix"),
    "randomJobArea": _word("job_area"),
    "randomJobDescriptor": _word("job_descriptor"),
    "randomJobTitle": _joined("{} {} {}", _word("job_descriptor"), _word("job_area"), _word("job_type")),
    "randomJobType": _word("job_type"),
    "randomPhoneNumber": _digits("###-###-####"),
    "randomPhoneNumberExt": _digits("##-###-###-####"),
    "randomCity": _word("city"),
    "randomStreetName": _STREET,
    "randomStreetAddress": _joined("{} {}", _digits("####"), _STREET),
    "randomCountry": _word("country"),
    "randomCountryCode": _word("country_code"),
    "randomLatitude": _broken(-90, 90, 4),
    "randomLongitude": _broken(-180, 180, 4),
    "randomAvatarImage": _joined(f"{_IMAGE_HOST}/avatar/{{}}.png", _digits("####")),
    "randomImageUrl": _joined(f"{_IMAGE_HOST}/640/480?{{}}", _digits("#####")),
    **{f"random{topic}Image": _image(topic.lower()) for topic in _TOPICS},
    "randomImageDataUri": _image_data,
    "randomBankAccount": _digits("########"),
    "randomBankAccountName": _word("account_name"),
    "randomCreditCardMask": _digits("####"),
    "randomBankAccountBic": _BIC,
    "randomBankAccountIban": _iban,
    "randomTransactionType": _word("transaction"),
    "randomCurrencyCode": _word("currency_code"),
    "randomCurrencyName": _word("currency_name"),
    "randomCurrencySymbol": _word("currency_symbol"),
    "randomBitcoin": _bitcoin,
    "randomCompanyName": _joined("{} {}", _LAST, _word("company_suffix")),
    "randomCompanySuffix": _word("company_suffix"),
    "randomBs": _BS,
    "randomBsAdjective": _word("bs_adjective"),
    "randomBsBuzz": _word("bs_buzz"),
    "randomBsNoun": _word("bs_noun"),
    "randomCatchPhrase": _CATCH,
    "randomCatchPhraseAdjective": _word("catch_adjective"),
    "randomCatchPhraseDescriptor": _word("catch_descriptor"),
    "randomCatchPhraseNoun": _word("catch_noun"),
    "randomDatabaseColumn": _word("column"),
    "randomDatabaseType": _word("column_type"),
    "randomDatabaseCollation": _word("collation"),
    "randomDatabaseEngine": _word("engine"),
    "randomDateFuture": _date(_DAY_S, _YEAR_S),
    "randomDatePast": _date(-_YEAR_S, -_DAY_S),
    "randomDateRecent": _date(-_DAY_S, 0),
    "randomWeekday": _word("weekday"),
    "randomMonth": _word("month"),
    "randomDomainName": _DOMAIN,
    "randomDomainSuffix": _word("domain_suffix"),
    "randomDomainWord": _DOMAIN_WORD,
    "randomEmail": _joined("{}@{}", _USER, _DOMAIN),
    "randomExampleEmail": _joined("{}@example.{}", _USER, _one_of(("com", "net", "org"))),
    "randomUserName": _USER,
    "randomUrl": _joined("{}://{}", _one_of(("http", "https")), _DOMAIN),
    "randomFileName": _FILE_NAME,
    "randomFileType": _word("file_type"),
    "randomFileExt": _word("extension"),
    "randomCommonFileName": _joined("{}.{}", _FILE, _word("common_extension")),
    "randomCommonFileType": _word("common_file_type"),
    "randomCommonFileExt": _word("common_extension"),
    "randomFilePath": _joined("{}/{}", _word("directory"), _FILE_NAME),
    "randomDirectoryPath": _word("directory"),
    "randomMimeType": _word("mime"),
    "randomPrice": _price,
    "randomProduct": _word("product"),
    "randomProductAdjective": _word("product_adjective"),
    "randomProductMaterial": _word("product_material"),
    "randomProductName": _joined("{} {} {}", _word("product_adjective"), _word("product_material"), _word("product")),
    "randomDepartment": _word("department"),
    "randomNoun": _word("noun"),
    "randomVerb": _word("verb"),
    "randomIngverb": _word("ingverb"),
    "randomAdjective": _word("adjective"),
    "randomWord": _ANY_WORD,
    "randomWords": _several(_ANY_WORD, 2, 5, " "),
    "randomPhrase": _PHRASE,
    "randomLoremWord": _LOREM,
    "randomLoremWords": _several(_LOREM, 3, 3, " "),
    "randomLoremSentence": _SENTENCE,
    "randomLoremSentences": _several(_SENTENCE, 2, 6, " "),
    "randomLoremParagraph": _PARAGRAPH,
    "randomLoremParagraphs": _several(_PARAGRAPH, 3, 3, "\n"),
    "randomLoremText": _several(_SENTENCE, 1, 8, " "),
    "randomLoremSlug": _several(_LOREM, 3, 3, "-"),
    "randomLoremLines": _several(_SENTENCE, 1, 5, "\n"),
}
"""All names, and what makes their values."""
