"""Which parts of a target are values."""

from __future__ import annotations

import pytest

from osmia.protocols.paths import _BEFORE_TOKENS, authority_template, target_template


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "",
        "/currencies/",
        "/exchange_rate/USD/EUR/",
        "/api/v1/users",
        "/api/v2beta1/users",
        "/2.0/repos",
        "//a//b/",
        "/favicon.ico",
        "/.well-known/openid-configuration",
        "/oauth2/token",
        "/getUserAccountInformationById",
        "/npm/@scope/package",
        "/%C3%BCber/caf%C3%A9",
        "/über",
        "/a-rather-long-slug-made-of-plain-words",
        "/graphql",
        "/twirp/shop.v1.CartService/AddItem",
        "/grpc.health.v1.Health/Check",
        "/xmlrpc.php",
        "/phpmyadmin/index.php",
        "/apis/apps/v1/namespaces/default/statefulsets",
        "/i18n/en/k8s/utf8/sha256/x86/h264/ec2/s3",
        "/password/reset/confirm",
        "/users/me/password",
        "/oauth2/token/introspect",
        "/wp-login.php",
        "/socket.io/",
        "/kubernetes/dashboard/configmaps",
        "/index.php/rhythms",
        "/elasticsearch/_search",
    ],
)
def test_words_are_kept(target: str) -> None:
    """A target without values is its own template."""
    assert target_template(target, is_truncated=False) == target


@pytest.mark.parametrize(
    ("target", "template"),
    [
        ("/users/42", "/users/{id}"),
        ("/users/-42", "/users/{id}"),
        ("/at/52.5200,13.4050", "/at/{id}"),
        ("/hosts/10.0.0.1", "/hosts/{id}"),
        ("/orders/order-12345.pdf", "/orders/order-{id}.pdf"),
        ("/users/user12345", "/users/user{id}"),
        ("/a/550e8400-e29b-41d4-a716-446655440000/b", "/a/{uuid}/b"),
        ("/a/550E8400-E29B-41D4-A716-446655440000", "/a/{uuid}"),
        ("/commit/7f3c9a1", "/commit/{hash}"),
        ("/blob/d41d8cd98f00b204e9800998ecf8427e", "/blob/{hash}"),
        ("/tx/0xdeadbeef", "/tx/{hash}"),
        ("/k/V1StGXR8_Z5jdHi6B-myT", "/k/{hash}"),
        ("/i/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/i/{hash}"),
        ("/s/SGVsbG8gV29ybGQhIQ==", "/s/{hash}"),
        ("/t/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", "/t/{hash}"),
        ("/pods/testserver-7d9f8b6c5d-x2x4z", "/pods/{hash}"),
        ("/static/main.8f3a9c1b.js", "/static/main.{hash}.js"),
        ("/jquery-3.6.0.min.js", "/jquery-{id}.min.js"),
        ("/mail/anna@example.com", "/mail/{email}"),
        ("/mail/anna%40example.com", "/mail/{email}"),
        ("/mail/anna%2540example.com", "/mail/{email}"),
        ("/day/2026-11-23", "/day/{date}"),
        ("/month/2026-11", "/month/{date}"),
        ("/at/2026-11-23T18:00:00Z", "/at/{date}"),
        ("/at/2026-11-23T18%3A00%3A00%2B01:00", "/at/{date}"),
        ("/x;jsessionid=ABCDEF/y", "/x;jsessionid/y"),
        ("/Users('anna')/Orders(5)", "/Users({id})/Orders({id})"),
        ("/day=monday/hour=3", "/day={id}/hour={id}"),
        ("/My%20Report%202024", "/My%20Report%20{id}"),
        ("/a#fragment", "/a"),
        ("/reset/abcdefghijk", "/reset/{token}"),
        ("/account/password-reset/swordfish/done", "/account/password-reset/{token}/done"),
        ("/Verify/SwordFish", "/Verify/{token}"),
        ("/invite/anna", "/invite/{token}"),
        ("/api/v1/secrets/hunter", "/api/v1/secrets/{token}"),
        ("/s/abcdefghijk", "/s/{hash}"),
        ("/s/sbgzfvlqwx", "/s/{hash}"),
        ("/s/xkqz-vbnw-lpqr", "/s/{hash}"),
        ("/k/sk_live_4eC39HqLyjWDarjtT1zdP7dc", "/k/{hash}"),
        ("/k/sk_test_swordfishes", "/k/{hash}"),
        ("/k/AKIAIOSFODNN7EXAMPLE", "/k/{hash}"),
        ("/k/ghp_abcdefghijabcdefghijabcdefghij", "/k/{hash}"),
        ("/bot123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11/getMe", "/bot{id}:ABC-{hash}/getMe"),
        ("/t/eyJhbGciOiJ.eyJzdWIiOiJ.sig", "/t/{hash}"),
        ("/call/+49-170-1234567", "/call/+{id}"),
        ("/call/%2B491701234567", "/call/{id}"),
        ("/call/(030)%20123-456", "/call/({id}"),
        ("/mail/anna%25252540example.com", "/mail/{email}"),
        ("/mail/anna%2525252525252540example.com", "/mail/{hash}"),
        ("/mail/anna@10.0.0.1", "/mail/{email}"),
        ("/proxy/https://anna:pw@host/x", "/proxy/https://{email}/x"),
        ("/x%3Bjsessionid=ABCDEF/y", "/x%3Bjsessionid={id}/y"),
        ("/x;a=b;secret=c=d", "/x;a;secret"),
        ("/users/user12", "/users/user{id}"),
        ("/a1b2c3/d", "/{hash}/d"),
        ("/x509certs", "/{hash}"),
        ("/B2X4KPQ9ZZ", "/{hash}"),
        ("/\u0661\u0662\u0663", "/{id}"),
        ("/announce/%F0%9F%FFabc/12", "/announce/{hash}/{id}"),
    ],
)
def test_values_are_replaced(target: str, template: str) -> None:
    """Numbers, ids, tokens, dates and addresses become placeholders, whatever their encoding."""
    assert target_template(target, is_truncated=False) == template


@pytest.mark.parametrize(
    ("target", "template"),
    [
        ("/?b=2&a=1", "/?a&b"),
        ("/?a=1&a=2", "/?a"),
        ("/?a;b=2", "/?a&b"),
        ("/?", "/?"),
        ("/?1699999999", "/?{id}"),
        ("/?ids[3]=1&ids%5B4%5D=2&filter[name]=x", "/?filter[name]&ids[]"),
        ("/?anna@example.com", "/?{email}"),
        ("/?wsdl", "/?wsdl"),
        ("/?red+shoes", "/?{id}"),
        ("/?swordfishswordfish", "/?{id}"),
        ("/?token=&password=a=b", "/?password&token"),
        ("/?%7B%22key%22:%22secret%22%7D=1", "/?{id}"),
        ("/?a/secret=1", "/?{id}"),
        ("/?sbgzfvlqwx=1", "/?{hash}"),
        ("/?%2525252525252541=1", "/?{id}"),
        ("/?a%26b=1", "/?{id}"),
        (
            "/?" + "&".join(f"n{chr(97 + i)}=1" for i in range(20)),
            "/?" + "&".join(f"n{chr(97 + i)}" for i in range(16)) + "…",
        ),
    ],
)
def test_query_keeps_sorted_names_only(target: str, template: str) -> None:
    """Values go, names are sorted and named once, and names that are values go too."""
    assert target_template(target, is_truncated=False) == template


@pytest.mark.parametrize(
    ("authority", "template"),
    [
        ("db.example:5432", "db.example:5432"),
        ("anna:pw@db.example:5432", "db.example:5432"),
        ("10.0.0.1:443", "{ip}:443"),
        ("[2001:db8::1]:443", "{ip}:443"),
        ("ip-10-0-0-1.eu-west-1.example", "ip-10-0-0-1.eu-west-1.example"),
        ("5b0f7c1e-93d2-4a68-8e17-c4d9a2b6f035.push.example", "{uuid}.push.example"),
        ("7f3c9a1b2d.tunnel.example:443", "{hash}.tunnel.example:443"),
        ("a b", "{host}"),
        ("/path?x", "{host}"),
    ],
)
def test_authorities_keep_names_only(authority: str, template: str) -> None:
    """Tokens among the labels of a host go, and so do user and password; regions and numbers stay."""
    assert authority_template(authority) == template


@pytest.mark.parametrize("word", sorted(_BEFORE_TOKENS))
def test_every_word_before_a_token_is_noticed(word: str) -> None:
    """The quick look for such words overlooks none, in any case and as part of a longer name."""
    for path in (f"/{word}", f"/{word.upper()}", f"/do-{word}"):
        assert target_template(f"{path}/swordfish", is_truncated=False) == f"{path}/{{token}}"
