"""The cookies of one user, as RFC 6265 has them."""

from __future__ import annotations

import pytest

from osmia.load.cookies import MAX_COOKIES, MAX_PER_DOMAIN, Jar
from osmia.load.language.cookie import parse_date, parse_set_cookie
from osmia.load.plan import CookieSetting


class Clock:
    """A time that only tests move."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        """Unix time."""
        return self.now_s


@pytest.mark.parametrize(
    ("line", "came_from", "goes_to", "sent"),
    [
        ("a=1", "http://h/", "http://h/x/y", "a=1"),
        ("a=1", "http://h/", "http://sub.h/", ""),
        ("a=1", "http://h:8080/", "http://h:9090/", "a=1"),
        ("a=1", "http://H.example/", "http://h.EXAMPLE/", "a=1"),
        ("a=1; Domain=h.example", "http://h.example/", "http://sub.h.example/", "a=1"),
        ("a=1; Domain=.h.example", "http://sub.h.example/", "http://h.example/", "a=1"),
        ("a=1; Domain=h.example", "http://h.example/", "http://nothh.example/", ""),
        ("a=1; Domain=other.example", "http://h.example/", "http://other.example/", ""),
        ("a=1; Domain=sub.h.example", "http://h.example/", "http://sub.h.example/", ""),
        ("a=1; Domain=com", "http://h.com/", "http://h.com/", ""),
        ("a=1; Domain=co.uk", "http://h.co.uk/", "http://g.co.uk/", ""),
        ("a=1; Domain=localhost", "http://localhost/", "http://localhost/", "a=1"),
        ("a=1; Domain=127.0.0.1", "http://127.0.0.1/", "http://127.0.0.1/", "a=1"),
        ("a=1; Domain=0.0.1", "http://127.0.0.1/", "http://127.0.0.1/", ""),
        ("a=1", "http://[::1]:80/", "http://[::1]/", "a=1"),
        ("a=1", "http://h/x/y", "http://h/x/z", "a=1"),
        ("a=1", "http://h/x/y", "http://h/", ""),
        ("a=1; Path=/x", "http://h/", "http://h/x", "a=1"),
        ("a=1; Path=/x", "http://h/", "http://h/x/y?q", "a=1"),
        ("a=1; Path=/x", "http://h/", "http://h/xy", ""),
        ("a=1; Path=x", "http://h/d/e", "http://h/d/f", "a=1"),
        ("a=1; Secure", "https://h/", "http://h/", ""),
        ("a=1; Secure", "https://h/", "https://h/", "a=1"),
        ("a=1; Secure", "http://h/", "https://h/", ""),
        ("a=1; Max-Age=0", "http://h/", "http://h/", ""),
        ("a=1; Max-Age=-5", "http://h/", "http://h/", ""),
        ("a=1; Max-Age=x", "http://h/", "http://h/", "a=1"),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:10 GMT", "http://h/", "http://h/", ""),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:10 GMT; Max-Age=9", "http://h/", "http://h/", "a=1"),
        ("a=1; Expires=never", "http://h/", "http://h/", "a=1"),
        (" a = b=c ; HttpOnly", "http://h/", "http://h/", "a=b=c"),
        ('a="q"', "http://h/", "http://h/", 'a="q"'),
        ("a=", "http://h/", "http://h/", "a="),
        ("=1", "http://h/", "http://h/", ""),
        ("nonsense", "http://h/", "http://h/", ""),
        ("a=" + "x" * 9000, "http://h/", "http://h/", ""),
    ],
)
def test_a_cookie_goes_where_it_belongs(line: str, came_from: str, goes_to: str, sent: str) -> None:
    """Hosts, domains, paths, schemes, ends."""
    jar = Jar(now_s=Clock())

    jar.take([line], came_from)

    assert jar.header_for(goes_to) == sent


def test_a_cookie_ends_when_its_time_has_come() -> None:
    """Although the same URL was asked before."""
    clock = Clock()
    jar = Jar(now_s=clock)
    jar.take(["a=1; Max-Age=10", "b=2"], "http://h/")
    assert jar.header_for("http://h/") == "a=1; b=2"

    clock.now_s += 10

    assert jar.header_for("http://h/") == "b=2"
    assert jar.find("a") is None


def test_a_cookie_replaces_and_deletes_its_like() -> None:
    """Same name, domain and path; its place in the order stays."""
    jar = Jar(now_s=Clock())
    jar.take(["a=1", "b=2", "a=3"], "http://h/")
    assert jar.header_for("http://h/") == "a=3; b=2"

    jar.take(["a=; Max-Age=0"], "http://h/")

    assert jar.header_for("http://h/") == "b=2"


def test_longer_paths_go_first() -> None:
    """Then the older."""
    jar = Jar(now_s=Clock())

    jar.take(["a=root; Path=/", "a=deep; Path=/x", "b=2; Path=/"], "http://h/")

    assert jar.header_for("http://h/x/") == "a=deep; a=root; b=2"


def test_an_answers_head_is_read() -> None:
    """All Set-Cookie lines in any case, and nothing else."""
    jar = Jar(now_s=Clock())

    jar.store(b"HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nX-Set-Cookie: b=2\r\nSet-Cookie:c=\xc3\xa9 \r\n\r\n", "http://h/")

    assert jar.header_for("http://h/") == "a=1; c=é"


def test_a_jar_is_bounded() -> None:
    """Per domain and in all; the oldest go."""
    jar = Jar(now_s=Clock())

    jar.take([f"c{number}=1" for number in range(100)], "http://h/")
    assert len(jar) == MAX_PER_DOMAIN
    assert jar.header_for("http://h/").startswith("c50=1")
    for host in range(20):
        jar.take([f"c{number}=1" for number in range(20)], f"http://h{host}/")

    assert len(jar) == MAX_COOKIES


def test_cookies_of_the_plan_are_there_from_the_start() -> None:
    """By their fields or by one raw line; without a domain they go everywhere."""
    settings = (
        CookieSetting(name="a", value="1", domain="h.example", path="/x", is_secure=True),
        CookieSetting(raw="b=2; Domain=h.example; Path=/"),
        CookieSetting(name="c", value="3"),
        CookieSetting(name="d", value="4", expires="Thu, 01 Jan 1970 00:00:10 GMT"),
        CookieSetting(name="e", value="5", max_age=60),
    )
    jar = Jar(settings, now_s=Clock())

    assert jar.header_for("https://h.example/x") == "a=1; b=2; c=3; e=5"
    assert jar.header_for("http://other/") == "c=3; e=5"


@pytest.mark.parametrize(
    ("text", "unix_s"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("06 nov 94 8:49:37", 784111777),
        ("1 Jan 2040 00:00:00", 2208988800),
        ("1 Jan 40 00:00:00", 2208988800),
        ("31 Feb 2020 00:00:00", None),
        ("1 Jan 1600 00:00:00", None),
        ("1 Jan 2020 24:00:00", None),
        ("tomorrow", None),
        ("", None),
    ],
)
def test_dates_are_read_in_all_their_forms(text: str, unix_s: int | None) -> None:
    """RFC 6265 §5.1.1."""
    assert parse_date(text) == unix_s


def test_a_line_is_kept_as_it_was() -> None:
    """For rules that ask for `raw` and `rawExpires`."""
    line = "a=1; expires=Sun, 06 Nov 1994 08:49:37 GMT; DOMAIN=.H.Example; max-age=99999999999999999999; httponly"
    cookie = parse_set_cookie(line)

    assert cookie is not None
    assert (cookie.raw, cookie.raw_expires, cookie.domain) == (line, "Sun, 06 Nov 1994 08:49:37 GMT", "h.example")
    assert cookie.is_http_only
    assert cookie.max_age_s is not None
    assert cookie.max_age_s > 10**12


def test_a_session_that_is_set_again_lives_longer() -> None:
    """The same value with a new end: what goes out stays, and ends later."""
    clock = Clock()
    jar = Jar(now_s=clock)
    jar.take(["a=1; Max-Age=10"], "http://h/")
    assert jar.header_for("http://h/x") == "a=1"

    clock.now_s += 8
    jar.take(["a=1; Max-Age=10"], "http://h/")
    clock.now_s += 8
    assert jar.header_for("http://h/y") == "a=1"

    clock.now_s += 2
    assert jar.header_for("http://h/y") == ""


def test_paths_are_looked_at_from_the_first_cookie_that_has_one() -> None:
    """Although what goes to the host was known without."""
    jar = Jar(now_s=Clock())
    jar.take(["a=1; Path=/"], "http://h/")
    assert jar.header_for("http://h/x") == "a=1"

    jar.take(["b=2; Path=/x"], "http://h/")

    assert jar.header_for("http://h/x") == "b=2; a=1"
    assert jar.header_for("http://h/y") == "a=1"
