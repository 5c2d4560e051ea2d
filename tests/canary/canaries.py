"""Every place in which an application can put a secret, and a secret for each that stands nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ALLOWED", "CANARIES", "OUTSIDE_TEXT", "Canary", "needles"]

ALLOWED = "lighthouse"
"""A path word that may travel: finding it wherever canaries are sought shows that the search works."""

_FRAGMENT = 8


@dataclass(frozen=True, slots=True)
class Canary:
    """One secret. What is made of words has no telling fragments; the others are recognised by eight characters."""

    place: str
    text: str
    is_wordy: bool = False


def _all(places: dict[str, str], *, is_wordy: bool = False) -> list[Canary]:
    return [Canary(place, text, is_wordy) for place, text in places.items()]


CANARIES: dict[str, Canary] = {
    one.place: one
    for one in _all(
        {
            # ---- HTTP: targets
            "query": "Zk7Wm2Xp9Rt4Qa1",
            "query_encoded": "geh%2Fim%40Zk8Wm3Yp",
            "query_bare": "bare-Zk9Wm4Xq0Rt5",
            "query_truncated": "TrQ7ZmXkWvBnR2",
            "fragment_of_url": "Fr4gm3ntXkZqWv7",
            "path_number": "40719932518827",
            "path_phone": "+491705551234799",
            "path_uuid": "5b0f7c1e-93d2-4a68-8e17-c4d9a2b6f035",
            "path_hex": "9c4e1fb7d2a08365",
            "path_base64url": "Q2FuYXJ5LXZvZ2Vs_Zm9v-YmFyQmF6",
            "path_jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJrYW5hcmkifQ.b3VyLXNpZ25hdHVyZQ",
            "path_key": "sk_live_4eC39HqLyjWDarjtT1zdP7dc",
            "path_akia": "AKIAJ7QXZM4KWVTB2NPR",
            "path_letters": "qzxvkwjpfhbgtm",
            "path_mixed_case": "QzXvKwJpFhBgTmRd",
            "path_email": "kanari.vogel@geheimpost.example",
            "path_email_encoded": "zeisig.finke@geheimpost.example",
            "matrix": "JS3SS10N7Xk2Qv9",
            "userinfo": "us3rinf0-Pw7Xk2Qz",
            "connect_userinfo": "c0nn3ct-Pw8Yk3Rz",
            "pipelined": "P1p3l1nedXk7Qz4",
            # ---- HTTP: fields and bodies
            "authorization": "Bearer-Au7hPg8Cd3",
            "cookie": "C00k13Qz2Wj2Wv",
            "api_key": "Ap1K3yDs8Dk3Wv",
            "referer": "R3f3r3rXs2Zf5Wv",
            "request_body": "B0dyReqZc8Ck2Wv",
            "set_cookie": "S3tC00k13Xg6Sg3",
            "location": "L0c4t10nZn4Fz5",
            "response_body": "B0dyAnsQf3Zc5Wv",
            "reason_phrase": "R34s0nVx8Pt9Wv",
            # ---- PostgreSQL: literals
            "sql_string": "St1ngQn5Hk3Wv7",
            "sql_quote": "O''Qu0t3Zn9Pt6Wv",
            "sql_escape": "Esc4peDf8Hp4Wv",
            "sql_unicode": "Un1c0deVs2Dx7Wv",
            "sql_dollar": "D0ll4rPq9Zt3Wv",
            "sql_hex": "9f8e7d6c5b4a39281706",
            "sql_bits": "110100111000101101110010",
            "sql_number": "8801993377155266",
            "sql_comment": "C0mm3ntDm9Dc6Wv",
            "sql_line_comment": "L1n3c0mZt6Rq2Wv",
            "sql_backslash": "B4cksl4Tq4Fv2Wv",
            "sql_truncated": "Trunc4tedJn4Kr8",
            "sql_json": "Js0nV4lVd4Tr6Wv",
            "sql_binary": "B1n4ryGs6Sq8Wv\x01\x02",
            # ---- PostgreSQL: everywhere else
            "sql_alias": "Al14sKg3Hg5 Wv7",
            "sql_password": "Cr34tePwKb9Zh6",
            "sql_alter_password": "Alt3rPwNb4Sx7",
            "sql_setting": "S3tt1ngZp4Wc9Wv",
            "sql_bare_setting": "b4res3tXr8Rr3wv",
            "sql_notify": "N0t1fyVr2Jd5Wv",
            "sql_channel": "ch4nn3l_th3pc3wv7",
            "sql_exception": "Exc3pt10nBz4Xf7",
            "sql_not_sql": "n0ts7lBd5Rg6Wv",
            "bind_text": "B1ndTxtQq9Ff9Wv",
            "bind_binary": "B1ndB1nTv9Nd4Wv",
            "copy_in": "C0py1nFp6Vh2Wv7",
            "copy_out": "C0py0utJw7Gx2Wv",
            "result_row": "R0wWn3Mw7Wv7Pb",
            "prepared_name": "stmt_7Hq5Xx7Wv4Pb",
            "late_name": "late_9Yk3Rz0Xw5Qc",
            "late_text": "L4teT3xtKj5Rk5",
            "cursor": "cur_4Wv7Bb6Wv7Pb",
            "savepoint": "sav_5Vm5Qt7Wv7Pb",
            "pipeline": "P1p3SqlQd5Fk9Wv",
            "application_name": "4ppN4meJp5Vb9Wv",
            "user": "us3r_qd3rj9wv7pb",
            "database": "d4tab_hs7dr9wv7pb",
            "login_password": "L0g1nPwRd4Hg2Wv",
            "wrong_password": "Wr0ngPwGz9Gv7Wv",
        }
    )
    + _all(
        {
            "query_words": "swordfishinaquery",
            "path_after_reset": "swordfishafterreset",
            "path_after_invite": "swordfishafterinvite",
            "sql_words": "swordfishinastatement",
            "sql_setting_words": "swordfishinasetting",
            "sql_password_words": "swordfishasapassword",
        },
        is_wordy=True,
    )
}
"""By place."""

OUTSIDE_TEXT = frozenset(
    {"authorization", "cookie", "api_key", "referer", "request_body", "set_cookie", "location", "response_body"}
    | {"reason_phrase", "bind_text", "bind_binary", "copy_in", "prepared_name", "late_text"}
    | {"application_name", "database", "login_password", "wrong_password"}
)
"""Places that are in no path and no statement, so that not even raw text has them."""


def needles(canary: Canary) -> set[bytes]:
    """What betrays a canary: its text, and unless it is made of words three of its parts."""
    text = canary.text.encode()
    found = {text}
    if not canary.is_wordy and len(text) > _FRAGMENT:
        middle = (len(text) - _FRAGMENT) // 2
        found |= {text[:_FRAGMENT], text[middle : middle + _FRAGMENT], text[-_FRAGMENT:]}
    return found
