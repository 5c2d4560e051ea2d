"""curl commands become steps that do what curl would, and what is lost is said."""

from __future__ import annotations

import pytest

from osmia.load.config import load_text, to_yaml
from osmia.load.convert.curl import convert_curl
from osmia.load.convert.draft import Document

HABITS: Document = {"disable-redirect": True, "disable-compression": True}


def _steps(command: str) -> list[Document]:
    steps = convert_curl(command).document["steps"]
    assert isinstance(steps, list)
    return [step for step in steps if isinstance(step, dict)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("http://x/", {}),
        ("x:8200/a", {"url": "http://x:8200/a"}),
        ("-L --compressed http://x/", {"others": None}),
        ("https://x/", {"url": "https://x/", "tls": {"verify": True}}),
        ("-k https://x/", {"url": "https://x/"}),
        ("-XPUT http://x/", {"method": "PUT"}),
        ("--request patch http://x/", {"method": "PATCH"}),
        ("-I http://x/", {"method": "HEAD"}),
        ("-H 'A: b' -HC:d -H 'E;' http://x/", {"headers": {"A": "b", "C": "d", "E": ""}}),
        ("-H 'A: b' -H 'a: c' http://x/", {"headers": {"A": "b, c"}}),
        ("-A me -e http://from/ http://x/", {"headers": {"User-Agent": "me", "Referer": "http://from/"}}),
        ("-b 'a=1; b=2' http://x/", {"headers": {"Cookie": "a=1; b=2"}}),
        ("-u kali:ma:ja http://x/", {"auth": {"username": "kali", "password": "ma:ja"}}),
        ("--oauth2-bearer t http://x/", {"headers": {"Authorization": "Bearer t"}}),
        ("-r 0-99 http://x/", {"headers": {"Range": "bytes=0-99"}}),
        ("-m 2.5 http://x/", {"timeout": 2.5}),
        ("-m 3 http://x/", {"timeout": 3}),
        ("-E c.pem --key k.pem http://x/", {"cert_path": "c.pem", "cert_key_path": "k.pem"}),
        ("--cert c.pem http://x/", {"cert_path": "c.pem", "cert_key_path": "c.pem"}),
        ("--http2 -L --compressed http://x/", {"others": {"h2": True}}),
        ("--http3 -L --compressed http://x/", {"others": {"h3": True}}),
        ("-G -d a=1 --data-urlencode 'q=b c' http://x/?z=0", {"url": "http://x/?z=0&a=1&q=b+c"}),
        ("--url-query a=b%20c --url http://x/", {"url": "http://x/?a=b%2520c"}),
        ("--resolve x:80:10.0.0.1 http://x/a", {"url": "http://10.0.0.1:80/a", "headers": {"Host": "x"}}),
        ("--connect-to ::y:81 http://x/a", {"url": "http://y:81/a", "headers": {"Host": "x"}}),
        (
            "-sk --resolve x:443:[::1] https://x/",
            {"url": "https://[::1]:443/", "headers": {"Host": "x"}, "others": {**HABITS, "hostname": "x"}},
        ),
    ],
)
def test_options_are_carried_over(arguments: str, expected: Document) -> None:
    """Each option that a request has, in its place in the config."""
    step = {"id": 1, "url": "http://x/", "others": HABITS, **expected}

    assert _steps(f"curl {arguments}") == [{key: value for key, value in step.items() if value is not None}]


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Accept": "application/json", "Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("-d a=1 -d b=2", {"headers": FORM, "payload": "a=1&b=2"}),
        ("-d a -H 'Content-Type: text/plain'", {"headers": {"Content-Type": "text/plain"}, "payload": "a"}),
        ("-d a -H 'Content-Type:'", {"payload": "a"}),
        ("--data-raw @a", {"headers": FORM, "payload": "@a"}),
        ("--data-binary @rows.csv", {"headers": FORM, "payload_file": "rows.csv"}),
        ("--data-binary $'a\\nb\\u00e9\\x21'", {"headers": FORM, "payload": "a\nbé!"}),
        ('-d "a \\"b\\" \\$c"', {"headers": FORM, "payload": 'a "b" $c'}),
        ("--json '{\"a\": 1}'", {"headers": JSON, "payload": '{"a": 1}'}),
        ("-T up.bin", {"method": "PUT", "payload_file": "up.bin"}),
        (
            "-F a=1 -F 'b=@p/c.png' --form-string d=@e",
            {
                "payload_multipart": [
                    {"name": "a", "value": "1"},
                    {"name": "b", "value": "p/c.png", "type": "file"},
                    {"name": "d", "value": "@e"},
                ]
            },
        ),
    ],
)
def test_bodies_are_carried_over(arguments: str, expected: Document) -> None:
    """Data, files and forms; a body makes it a POST."""
    step = {"id": 1, "url": "http://x/", "method": "POST", "others": HABITS, **expected}

    assert _steps(f"curl http://x/ {arguments}") == [step]


@pytest.mark.parametrize(
    ("command", "warnings"),
    [
        ("curl -s -o f http://x/", ("-s is about curl's output only", "-o is about curl's output only")),
        ("curl --retry 3 --digest http://x/", ("--retry has no counterpart here", "--digest has no counterpart here")),
        ("curl --no-such http://x/", ("--no-such is not known here",)),
        ("curl -b jar.txt http://x/", ("-b jar.txt reads cookies from a file",)),
        ("curl -d @f http://x/", ("payload_file f is sent as it is; curl's -d also removes its line breaks",)),
        ("curl -F 'a=@f;type=image/png' http://x/", ("the form's field a: type=image/png is not carried over",)),
        ("curl -X BREW http://x/", ("the method BREW does not exist here; GET stands in its place",)),
        ("curl 'http://x/[1-9]'", ("http://x/[1-9]: curl makes several URLs of it",)),
        ("curl http://x/ | jq .", ("`jq` is no curl command and is left out",)),
        ("curl -u kali http://x/", ("-u kali has no password",)),
    ],
)
def test_what_is_lost_is_said(command: str, warnings: tuple[str, ...]) -> None:
    """A warning for everything that has no place in a config."""
    found = convert_curl(command).warnings

    assert len(found) == len(warnings)
    assert [one for one, part in zip(found, warnings, strict=True) if part not in one] == []


def test_several_commands_and_urls_are_several_steps() -> None:
    """Lines, `;`, `--next` and further URLs, with comments and continued lines between."""
    text = """# sign in first
curl -d a=1 http://x/1 \\
  --next http://x/2 http://x/3; /usr/bin/curl http://x/4
$ curl http://x/5
"""
    steps = _steps(text)

    assert [(step["url"], step.get("method", "GET")) for step in steps] == [
        ("http://x/1", "POST"),
        ("http://x/2", "GET"),
        ("http://x/3", "GET"),
        ("http://x/4", "GET"),
        ("http://x/5", "GET"),
    ]


@pytest.mark.parametrize(
    ("arguments", "proxy"),
    [
        ("-x http://p:3128", "http://p:3128"),
        ("-x p:3128 -U a:b", "http://a:b@p:3128"),
        ("--socks5-hostname p:1080", "socks5h://p:1080"),
    ],
)
def test_proxy_is_the_tests(arguments: str, proxy: str) -> None:
    """A config has one proxy, for all its steps."""
    assert convert_curl(f"curl {arguments} http://x/").document["proxy"] == proxy


def test_copied_from_a_browser_loads() -> None:
    """What "Copy as cURL" gives is a config that loads without a warning."""
    command = """curl 'https://shop.example/api/cart?x=1' \\
  -H 'accept: application/json' \\
  -H 'accept-language: de,en;q=0.9' \\
  -b 'session=abc; theme=dark' \\
  -H 'content-type: application/json' \\
  -H 'sec-ch-ua: "Chromium";v="142", "Not_A Brand";v="99"' \\
  --data-raw $'{"note":"it\\'s \\u0021","n":1}' \\
  --compressed"""
    found = convert_curl(command)

    loaded = load_text(to_yaml(found.document), "a.yaml", environment={})
    assert found.warnings == ()
    assert loaded.warnings == ()
    assert loaded.plan.steps[0].body == """{"note":"it's !","n":1}"""
    assert ("Cookie", "session=abc; theme=dark") in loaded.plan.steps[0].headers
