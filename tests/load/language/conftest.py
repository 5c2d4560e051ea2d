"""An answer that the tests of the language speak about."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from osmia.load.language.answer import Answer
from osmia.load.plan import JsonValue

HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Server: nginx\r\n"
    b"Content-Type: application/json\r\n"
    b"X-Count: 7\r\n"
    b"X-List: [1, 2]\r\n"
    b"Set-Cookie: sid=abc; Path=/; Max-Age=3600; Secure\r\n"
    b"Set-Cookie: old=x; Expires=Thu, 01 Jan 1970 00:00:10 GMT; HttpOnly\r\n"
    b"\r\n"
)
BODY = (
    b'{"user": {"id": 42, "name": "Anna", "is_new": true, "none": null, "ratio": 2.0}, "ids": [3, 1, 2],'
    b' "text": "5", "big": 123456789012345678901234567890}'
)
MakeAnswer = Callable[..., Answer]


@pytest.fixture
def make_answer() -> MakeAnswer:
    """An answer of status 200 after 12.5 ms, parts of it as wanted."""

    def make(
        body: bytes = BODY, *, head: bytes = HEAD, status: int = 200, scope: dict[str, JsonValue] | None = None
    ) -> Answer:
        known: dict[str, JsonValue] = {"number": 7, "word": "seven", "digits": "7", "flag": "true", "list": [1, "a"]}
        return Answer(status, head, body, 12_500_000, known if scope is None else scope)

    return make
