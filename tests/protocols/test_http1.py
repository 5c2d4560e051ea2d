"""HTTP/1.x requests and responses, whole and cut."""

from __future__ import annotations

import pytest

from osmia.protocols.http1 import Http1Parser
from osmia.protocols.parser import UNKNOWN, UNRECOGNISED

HTTP = Http1Parser()


@pytest.mark.parametrize(
    ("head", "method", "target", "template", "host"),
    [
        (b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n", "GET", "/", "/", "shop"),
        (b"GET /a/7 HTTP/1.0\r\n\r\n", "GET", "/a/7", "/a/{id}", ""),
        (b"\r\nPOST /a HTTP/1.1\r\nhOST:\tshop:80 \r\n\r\n", "POST", "/a", "/a", "shop:80"),
        (b"OPTIONS * HTTP/1.1\r\nHost: shop\r\n\r\n", "OPTIONS", "*", "*", "shop"),
        (
            b"CONNECT db.example:5432 HTTP/1.1\r\n\r\n",
            "CONNECT",
            "db.example:5432",
            "db.example:5432",
            "db.example:5432",
        ),
        (b"GET http://u:p@h:8/x/1?k=v HTTP/1.1\r\n\r\n", "GET", "http://u:p@h:8/x/1?k=v", "/x/{id}?k", "h:8"),
        (b"GET http://h?k=v HTTP/1.1\r\n\r\n", "GET", "http://h?k=v", "/?k", "h"),
        (b"BREW /pot HTTP/1.1\r\n\r\n", "OTHER", "/pot", "/pot", ""),
        (b"PROPFIND /dav HTTP/1.1\r\n\r\n", "PROPFIND", "/dav", "/dav", ""),
        (b"CONNECT anna:pw@10.0.0.1:80 HTTP/1.1\r\n\r\n", "CONNECT", "anna:pw@10.0.0.1:80", "{ip}:80", "10.0.0.1:80"),
        (b"CONNECT /secret HTTP/1.1\r\n\r\n", "CONNECT", "/secret", "{host}", ""),
        (b"GET secret HTTP/1.1\r\n\r\n", "GET", "secret", "{target}", ""),
        (b"GET ftp://u:p/w@h/x HTTP/1.1\r\n\r\n", "GET", "ftp://u:p/w@h/x", "/{email}/x", ""),
        (b"GET /a HTTP/1.1\nHost: bare-newlines\n\n", "GET", "/a", "/a", "bare-newlines"),
    ],
)
def test_whole_request_lines_are_read(head: bytes, method: str, target: str, template: str, host: str) -> None:
    """Every form of RFC 9112 gives method, target as sent, template and the host asked for."""
    request = HTTP.request(head)

    assert (request.method, request.target, request.template, request.host) == (method, target, template, host)
    assert not request.is_truncated


@pytest.mark.parametrize(
    ("head", "template"),
    [
        (b"GET /users/4711", "/users/…"),
        (b"GET /users/4711/ord", "/users/{id}/…"),
        (b"GET /users?token=can", "/users?token…"),
        (b"GET /users?page=1&tok", "/users?page…"),
        (b"CONNECT db.exam", "…"),
        (b"GET http://shop.exam", "/…"),
    ],
)
def test_cut_target_ends_where_it_is_certain(head: bytes, template: str) -> None:
    """What the cut may have split does not stand in the template, and the request says that it is cut."""
    request = HTTP.request(head)

    assert request.template == template
    assert request.is_truncated


@pytest.mark.parametrize("head", [b"GET /a HT", b"GET /a HTTP/1.1\r", b"GET /a "])
def test_target_followed_by_a_space_is_whole(head: bytes) -> None:
    """A cut behind the target leaves the target as it is."""
    request = HTTP.request(head)

    assert (request.template, request.is_truncated) == ("/a", False)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET",
        b"hello world",
        b"\x16\x03\x01\x02\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"FOO bar",
        b"HTTP/1.1 200 OK\r\n",
    ],
)
def test_other_bytes_are_not_recognised(head: bytes) -> None:
    """Bytes that are no HTTP/1 request give an unknown method and the template that callers count."""
    request = HTTP.request(head)

    assert (request.method, request.template) == (UNKNOWN, UNRECOGNISED)


def test_host_in_a_body_is_not_taken() -> None:
    """A line that looks like a Host field but stands behind the blank line is no field."""
    assert HTTP.request(b"POST /a HTTP/1.1\r\nA: b\r\n\r\nHost: fake\r\n").host == ""


def test_control_characters_do_not_reach_the_terminal() -> None:
    """Escape sequences in a target are replaced, so that printing it is safe."""
    assert HTTP.request(b"GET /\x1b[31m HTTP/1.1\r\n\r\n").target == "/\ufffd[31m"


@pytest.mark.parametrize(
    ("head", "status", "is_error", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200", False, 43),
        (b"HTTP/1.1 200 OK\r\ncontent-length:5\r\nContent-Length: 5\r\n\r\n", "200", False, 61),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "200", False, None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "200", False, None),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "204", False, 27),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", "304", False, 49),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "101", False, 36),
        (b"HTTP/1.1 404\r\n\r\n", "404", False, None),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "500", True, 38),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 1\r\n\r\n", "503", True, 64),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "100", False, 25),
    ],
)
def test_whole_heads_give_status_and_length(head: bytes, status: str, is_error: bool, length: int | None) -> None:  # noqa: FBT001 - a table
    """The final status, errors from 500 on, and the declared size where there is one."""
    response = HTTP.response(head, b"")

    assert (response.status, response.is_error, response.declared_length) == (status, is_error, length)
    assert not response.is_truncated


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: ", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\n"]
)
def test_cut_heads_give_the_status_only(head: bytes) -> None:
    """Without the blank line the length is not known, and the response says that it is cut."""
    response = HTTP.response(head, b"tail")

    assert (response.status, response.declared_length, response.is_truncated) == ("200", None, True)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 20", b"HTTP/1.1 2000 no\r\n\r\n", b"hello"])
def test_unreadable_status_is_unknown(head: bytes) -> None:
    """A status that is not there is unknown, and no error."""
    response = HTTP.response(head, b"")

    assert (response.status, response.is_error) == (UNKNOWN, False)
