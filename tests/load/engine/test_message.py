"""Requests byte for byte, URLs, redirects as browsers and Go follow them, bodies decoded."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from osmia.load import message as http
from osmia.load.message import (
    USER_AGENT,
    FormPart,
    ProxyAddress,
    Url,
    basic_authorization,
    boundary_for,
    checked_target,
    content_encoding,
    cookie_added,
    decoded,
    form_pieces,
    has_connection_close,
    header,
    header_block,
    header_line,
    headers_of,
    message,
    parse_proxy,
    parse_url,
    redirected,
    redirection,
    take_apart,
    with_cookie,
)
from osmia.model.errors import InputError

AGENT = USER_AGENT.encode()


@pytest.mark.parametrize(
    ("text", "expected", "authority"),
    [
        ("http://example.com", Url("http", "example.com", 80, "/"), "example.com"),
        ("HTTP://Example.COM:80/A", Url("http", "example.com", 80, "/A"), "example.com"),
        ("https://example.com/", Url("https", "example.com", 443, "/"), "example.com"),
        ("https://example.com:80/", Url("https", "example.com", 80, "/"), "example.com:80"),
        ("localhost:8200/currencies/", Url("http", "localhost", 8200, "/currencies/"), "localhost:8200"),
        ("http://example.com?a=1#part", Url("http", "example.com", 80, "/?a=1"), "example.com"),
        ("http://example.com:/x", Url("http", "example.com", 80, "/x"), "example.com"),
        ("http://[::1]:8080/x", Url("http", "::1", 8080, "/x"), "[::1]:8080"),
        ("http://[2001:DB8:0:0::1]/", Url("http", "2001:db8::1", 80, "/"), "[2001:db8::1]"),
        ("http://[fe80::1%25eth0]/", Url("http", "fe80::1%eth0", 80, "/"), "[fe80::1]"),
        ("http://bücher.example/", Url("http", "xn--bcher-kva.example", 80, "/"), "xn--bcher-kva.example"),
        ("http://a_b.svc/", Url("http", "a_b.svc", 80, "/"), "a_b.svc"),
        ("http://me:p%40ss@h/", Url("http", "h", 80, "/", "me:p@ss"), "h"),
        ('http://h/a b"<>{}|?q=[1]', Url("http", "h", 80, "/a%20b%22%3C%3E%7B%7D%7C?q=[1]"), "h"),
        ("http://h/^`é%20?q=ü c", Url("http", "h", 80, "/%5E%60%C3%A9%20?q=%C3%BC%20c"), "h"),
    ],
)
def test_urls_are_understood(text: str, expected: Url, authority: str) -> None:
    """Scheme, host, port and target of a URL, as they go on the wire."""
    assert parse_url(text) == expected
    assert parse_url(text).authority == authority


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://",
        "ftp://h/",
        "http://h:99999/",
        "http://h:0/",
        "http://h:x/",
        "http://[::1/",
        "http://[1.2.3.4]/",
        "http://::1/",
        "http://h/\r\nX: y",
        "http://h\r\n/",
        "http://a b/",
        "http://h\\x/",
        "http://h/\x00",
        "http://h/\ud800",
        "http://" + "a" * 300 + "/",
    ],
)
def test_wrong_urls_are_refused(text: str) -> None:
    """What is no URL raises, with its text in the message, and nothing of it is ever sent."""
    with pytest.raises(InputError):
        parse_url(text)


@given(st.text(max_size=60))
def test_no_text_breaks_the_url_parser(text: str) -> None:
    """Whatever stands in a variable gives a URL of plain ASCII, or is refused."""
    try:
        url = parse_url("http://h/" + text)
    except InputError:
        return
    assert url.host == "h"
    assert url.target.isascii()
    assert url.target.isprintable()
    assert " " not in url.target


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://proxy:3128", ProxyAddress("http", "proxy", 3128)),
        ("proxy:3128", ProxyAddress("http", "proxy", 3128)),
        ("http://u:p%3A@proxy", ProxyAddress("http", "proxy", 80, "u", "p:")),
        ("SOCKS5H://[::1]", ProxyAddress("socks5h", "::1", 1080)),
        ("https://proxy/", ProxyAddress("https", "proxy", 443)),
    ],
)
def test_proxies_are_understood(text: str, expected: ProxyAddress) -> None:
    """Scheme, place and credentials of a proxy."""
    assert parse_proxy(text) == expected


def test_unknown_proxies_are_refused() -> None:
    """A proxy that nobody speaks is an error that says which there are."""
    with pytest.raises(InputError, match="socks5h"):
        parse_proxy("gopher://proxy")


def test_a_plain_get() -> None:
    """The bytes of the simplest request."""
    block = header_block("example.com", (), method="GET")

    assert message("GET", "/x?y=1", block) == (
        b"GET /x?y=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: " + AGENT + b"\r\nAccept-Encoding: gzip\r\n\r\n"
    )


def test_a_post_with_headers_and_body() -> None:
    """The step's own fields stand in their order, its length is ours to say, and its Host and agent win."""
    headers = (
        ("X-One", " 1 "),
        ("content-length", "999"),
        ("Transfer-Encoding", "chunked"),
        ("HOST", "other.example"),
        ("User-Agent", "me/1"),
        ("Accept-Encoding", "br"),
    )

    block = header_block("example.com", headers, method="POST")

    assert message("POST", "/", block, b"abc") == (
        b"POST / HTTP/1.1\r\nHost: other.example\r\nX-One: 1\r\nUser-Agent: me/1\r\nAccept-Encoding: br\r\n"
        b"Content-Length: 3\r\n\r\nabc"
    )


@pytest.mark.parametrize(("method", "has_length"), [("POST", True), ("PUT", True), ("PATCH", True), ("DELETE", False)])
def test_an_empty_body_is_told_where_one_is_expected(method: str, has_length: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """Servers wait for nobody's body: methods that usually have one say that it is empty."""
    assert (b"Content-Length: 0\r\n" in message(method, "/", [("Host", "h")])) is has_length


def test_compression_is_asked_for_where_it_helps() -> None:
    """Not for HEAD, not for ranges, not when switched off or said otherwise."""
    gzip_asked = ("Accept-Encoding", "gzip")

    assert gzip_asked in header_block("h", (), method="GET")
    assert gzip_asked not in header_block("h", (), method="HEAD")
    assert gzip_asked not in header_block("h", (), method="GET", is_compressed=False)
    assert gzip_asked not in header_block("h", (("Range", "bytes=0-1"),), method="GET")
    assert ("User-Agent", "") not in header_block("h", (("User-Agent", ""),), method="GET")


@pytest.mark.parametrize(
    ("name", "value"),
    [("X", "a\r\nEvil: 1"), ("X", "a\n"), ("X", "a\0"), ("X\r\nY", "1"), ("X Y", "1"), ("", "1"), ("X", "\ud800")],
)
def test_headers_cannot_be_injected(name: str, value: str) -> None:
    """A line break in a name or value is refused, not sent."""
    with pytest.raises(InputError):
        header_line(name, value)


def test_a_method_is_a_word() -> None:
    """A method with a space would be another request line."""
    with pytest.raises(InputError):
        message("GET /x HTTP/1.1\r\n", "/", [])


def test_basic_authorization() -> None:
    """RFC 7617's own example, and text beyond ASCII."""
    assert basic_authorization("Aladdin", "open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert basic_authorization("test", "123£") == "Basic dGVzdDoxMjPCow=="


def test_connection_close_is_seen() -> None:
    """Among other options, in any case."""
    assert has_connection_close([("connection", "keep-alive, Close")])
    assert not has_connection_close([("Connection", "keep-alive"), ("X", "close")])


def test_a_form_is_put_together() -> None:
    """Fields and files between boundaries, names quoted so that they stay names."""
    parts = [FormPart("a"), FormPart('f"\r\n', 'x".bin'), FormPart("g", "y.txt", "text/plain")]

    pieces = form_pieces("B", parts)

    assert "".join(piece + content for piece, content in zip(pieces, ["1", "2", "3", ""], strict=True)) == (
        '--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1'
        '\r\n--B\r\nContent-Disposition: form-data; name="f%22%0D%0A"; filename="x%22.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n2"
        '\r\n--B\r\nContent-Disposition: form-data; name="g"; filename="y.txt"\r\nContent-Type: text/plain\r\n\r\n3'
        "\r\n--B--\r\n"
    )


def test_a_boundary_is_in_no_content() -> None:
    """Not even if a content was made of the boundary that would have been taken."""
    first = boundary_for([b"x"])

    assert boundary_for([b"x"]) == first
    assert boundary_for([b"x", first.encode()]).encode() not in first.encode()


def test_a_request_can_be_taken_apart() -> None:
    """What was put together comes apart into the same."""
    fields = (("Host", "h"), ("X", "1: 2"))

    taken = take_apart(message("POST", "/x", fields, b"a\r\n\r\nb"))

    assert taken == ("POST", "/x", (*fields, ("Content-Length", "6")), b"a\r\n\r\nb")


def test_cookies_join_those_of_the_step() -> None:
    """There is one Cookie field, with the step's own first."""
    request = message("GET", "/", [("Host", "h"), ("Cookie", "a=1")])

    assert with_cookie(request, "b=2") == b"GET / HTTP/1.1\r\nHost: h\r\nCookie: a=1; b=2\r\n\r\n"


def test_a_cookie_is_added_quickly_and_the_same() -> None:
    """The quick way gives what the thorough way gives, and refuses what it refuses."""
    for body in (b"", b"a\r\n\r\nb"):
        request = message("POST", "/x", [("Host", "h")], body)

        assert take_apart(cookie_added(request, "b=2")).headers[-1] == ("Cookie", "b=2")
        assert set(take_apart(cookie_added(request, "b=2")).headers) == set(
            take_apart(with_cookie(request, "b=2")).headers
        )
        assert cookie_added(request, "b=2").endswith(body)
    with pytest.raises(InputError):
        cookie_added(request, "b=2\r\nX: 1")


# ---- redirects ----

HERE = parse_url("http://a.example/x/y?z=1")
FIELDS = [("Host", "a.example"), ("Authorization", "s"), ("Cookie", "c=1"), ("Content-Type", "t"), ("X", "1")]
POST = message("POST", HERE.target, FIELDS, b"body")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (b"/new", "http://a.example/new"),
        (b"new", "http://a.example/x/new"),
        (b"../up?q", "http://a.example/up?q"),
        (b"?q", "http://a.example/x/y?q"),
        (b"//b.example:81/p", "http://b.example:81/p"),
        (b"https://b.example/p#f", "https://b.example/p"),
        (b"/caf\xc3\xa9", "http://a.example/caf%C3%A9"),
        (b"/caf\xe9", "http://a.example/caf%C3%A9"),
    ],
)
def test_locations_are_followed(location: bytes, expected: str) -> None:
    """Relative to the request's own URL, in whatever bytes servers write."""
    assert str(redirection(HERE, location)) == expected


@pytest.mark.parametrize("location", [b"ftp://x/", b"javascript:1", b"http://[::1", b"http://h:99999/"])
def test_locations_that_lead_nowhere_are_refused(location: bytes) -> None:
    """Only http and https are followed."""
    with pytest.raises(InputError):
        redirection(HERE, location)


@pytest.mark.parametrize("status", [301, 302, 303])
def test_moved_posts_become_gets(status: int) -> None:
    """As browsers and Go do it: without the body and what describes it."""
    request = redirected(POST, HERE, parse_url("http://a.example/new"), status=status)

    assert request == (
        b"GET /new HTTP/1.1\r\nHost: a.example\r\nAuthorization: s\r\nCookie: c=1\r\nX: 1\r\n"
        b"Referer: http://a.example/x/y?z=1\r\n\r\n"
    )


@pytest.mark.parametrize("status", [307, 308])
def test_temporary_and_permanent_redirects_repeat_the_request(status: int) -> None:
    """Method and body stay."""
    request = redirected(POST, HERE, parse_url("http://a.example/new"), status=status)

    assert request.startswith(b"POST /new HTTP/1.1\r\nHost: a.example\r\n")
    assert request.endswith(b"Content-Length: 4\r\n\r\nbody")


def test_head_stays_head() -> None:
    """303 turns everything into GET but HEAD."""
    head = message("HEAD", "/", [("Host", "a.example")])

    assert redirected(head, HERE, parse_url("http://a.example/new"), status=303).startswith(b"HEAD /new ")


@pytest.mark.parametrize(
    ("to", "keeps"),
    [
        ("http://a.example:81/", True),
        ("http://sub.a.example/", True),
        ("http://b.example/", False),
        ("http://xa.example/", False),
    ],
)
def test_other_sites_get_no_credentials(to: str, keeps: bool) -> None:  # noqa: FBT001 - a parameter of the case
    """Authorization and cookies stay with the host and the hosts below it."""
    request = redirected(POST, HERE, parse_url(to), status=307)

    assert (b"Authorization: s" in request) is keeps
    assert (b"Cookie: c=1" in request) is keeps
    assert b"X: 1" in request


def test_https_tells_http_nothing() -> None:
    """The referring URL is not told on the way down from https."""
    came = parse_url("https://a.example/secret")

    assert b"Referer" not in redirected(POST, came, parse_url("http://a.example/"), status=302)


def test_a_plain_proxy_is_asked_in_absolute_form() -> None:
    """With its credentials, which stay with it and do not go to https targets."""
    plain = redirected(POST, HERE, parse_url("http://b.example/n"), status=302, proxy_authorization="Basic eA==")
    secure = redirected(plain, HERE, parse_url("https://b.example/n"), status=302, proxy_authorization="Basic eA==")

    assert plain.startswith(b"GET http://b.example/n HTTP/1.1\r\nHost: b.example\r\n")
    assert b"Proxy-Authorization: Basic eA==\r\n" in plain
    assert secure.startswith(b"GET /n HTTP/1.1\r\n")
    assert b"Proxy-Authorization" not in secure


def test_credentials_in_a_location_are_used() -> None:
    """A Location may bring a user and a password of its own."""
    request = redirected(POST, HERE, parse_url("http://u:p@b.example/"), status=302)

    assert b"Authorization: Basic dTpw\r\n" in request


# ---- answers ----


def test_headers_are_found_in_any_case() -> None:
    """Names in any case, values without the blanks around them."""
    head = b"HTTP/1.1 302 Found\r\nX: 1\r\nLOCATION:  /new \r\nlocation: /second\r\nodd\r\n\r\n"

    assert header(head, "Location") == b"/new"
    assert header(head, "Found") is None
    assert headers_of(head) == (("X", "1"), ("LOCATION", "/new"), ("location", "/second"))


BODY = b'{"message": "' + b"bee " * 1000 + b'"}'
ENCODED = {
    "gzip": gzip.compress(BODY),
    "x-gzip": gzip.compress(BODY),
    "deflate": zlib.compress(BODY),
    "br": brotli.compress(BODY),
    "zstd": zstandard.ZstdCompressor().compress(BODY),
    "identity": BODY,
    "": BODY,
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_bodies_are_decoded(encoding: str) -> None:
    """All encodings of the web, one after the other, too."""
    assert decoded(ENCODED[encoding], encoding.upper()) == BODY
    assert decoded(gzip.compress(ENCODED[encoding]), f"{encoding}, gzip") == BODY


def test_deflate_without_its_frame_is_decoded() -> None:
    """Some servers send raw deflate and call it deflate."""
    raw = zlib.compressobj(wbits=-15)

    assert decoded(raw.compress(BODY) + raw.flush(), "deflate") == BODY


def test_a_gzip_of_several_members_is_one_body() -> None:
    """RFC 1952: members follow each other."""
    assert decoded(gzip.compress(b"one ") + gzip.compress(b"two"), "gzip") == b"one two"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_stays_small(encoding: str) -> None:
    """A megabyte of zeros is cut at the bound."""
    zeros = bytes(1 << 20)
    bombs = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": brotli.compress,
        "zstd": zstandard.ZstdCompressor().compress,
    }

    assert len(decoded(bombs[encoding](zeros), encoding, max_bytes=1000)) == 1000  # fmt: skip


@given(st.binary(max_size=200), st.sampled_from(sorted(ENCODED)), st.integers(0, 200))
def test_broken_bodies_do_no_harm(noise: bytes, encoding: str, cut: int) -> None:
    """Noise, and bodies that end too early, give what can be read of them."""
    assert isinstance(decoded(noise, encoding), bytes)
    part = decoded(ENCODED[encoding][:cut], encoding)
    assert isinstance(part, bytes)


def test_unknown_encodings_leave_the_body() -> None:
    """What cannot be decoded is shown as it came."""
    assert decoded(b"abc", "rot13, gzip") == b"abc"
    assert decoded(b"abc", "rot13") == b"abc"


def test_the_encoding_is_seen_only_where_it_is_said() -> None:
    """Content-Encoding in any case, and no other field that ends like it."""
    assert content_encoding(b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\n\r\n") == "br"
    assert content_encoding(b"HTTP/1.1 200 OK\r\nCONTENT-ENCODING: br\r\n\r\n") == "br"
    assert content_encoding(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") == ""
    assert content_encoding(b"HTTP/1.1 200 OK\r\n\r\n") == ""


def test_targets_without_anything_illegal_are_the_same_object() -> None:
    """The quick way of the hot path: nothing is copied where nothing is to be done."""
    target = "/search?q=%20a&b=~"

    assert checked_target(target) is target
    assert http.MAX_REDIRECTS == 10
