"""Config files of every kind, as the original had them: per step the counts, statuses, captures and verdicts.

Each is held against the target's own book: what the server saw is what the config says and the report counts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.load.command.world import Book, counts, osmia_load, report_of

Config = dict[str, Any]


def run(directory: Path, config: Config, *arguments: str, code: int = 0) -> dict[str, Any]:
    """The report of a config."""
    path = directory / "config.json"
    path.write_text(json.dumps({"iteration_count": 20, "duration": 1, **config}))
    return report_of(osmia_load("-config", str(path), "-o", "stdout-json", *arguments, cwd=directory), code=code)


def distribution(report: dict[str, Any], step: int) -> dict[str, int]:
    """Statuses of a step."""
    found: dict[str, int] = report["steps"][str(step)]["status_code_dist"]
    return found


def test_flags_and_config_mean_the_same(book: Book, tmp_path: Path) -> None:
    """One request by flags, the same by a file: the same counts here and there."""
    flags = ("-t", f"{book.url}/status/201/", "-n", "20", "-d", "1", "-m", "POST", "-b", "x=1", "-h", "User-Agent: bee")
    step = {
        "id": 1,
        "url": f"{book.url}/status/201/",
        "method": "POST",
        "payload": "x=1",
        "headers": {"User-Agent": "bee"},
    }

    by_flags = report_of(osmia_load(*flags, "-o", "stdout-json"))
    first = book.lines()
    by_file = run(tmp_path, {"steps": [step]})
    second = book.lines()[len(first) :]

    for key in ("success_count", "server_fail_count", "test_status"):
        assert by_flags[key] == by_file[key]
    assert distribution(by_flags, 1) == distribution(by_file, 1) == {"201": 20}
    for lines in (first, second):
        assert {(line["method"], line["agent"], line["body"]) for line in lines} == {("POST", "bee", "x=1")}


def test_environment_and_random_choice(book: Book, tmp_path: Path) -> None:
    """{{NAME}} anywhere in the URL, rand() of a list, --env over the file's."""
    config = {
        "env": {"HOST": "http://127.0.0.1:1", "USERS": ["ada", "grace", "edsger"]},
        "steps": [{"id": 1, "url": "{{HOST}}/echo/?user={{rand(USERS)}}"}],
    }

    report = run(tmp_path, config, "--env", f"HOST={book.url}")

    assert distribution(report, 1) == {"200": 20}
    seen = counts([line["query"] for line in book.lines()], "user")
    assert set(seen) <= {"ada", "grace", "edsger"}
    assert len(seen) > 1


def test_correlation(book: Book, tmp_path: Path) -> None:
    """Captured from body, header and cookie in one step, used in URL, header and body of the next."""
    config = {
        "env": {"NAME": "ada"},
        "steps": [
            {
                "id": 1,
                "url": f"{book.url}/login/?user={{{{NAME}}}}",
                "assertion": ["status_code == 201", 'equals(json_path("user.id"), 7)'],
                "capture_env": {
                    "TOKEN": {"from": "body", "json_path": "token"},
                    "SECOND_ROLE": {"from": "body", "json_path": "user.roles.1"},
                    "ID": {"from": "body", "regexp": {"exp": '"id": ([0-9]+)', "matchNo": 0}},
                    "REQUEST": {"from": "header", "header_key": "X-Request-Id"},
                    "SESSION": {"from": "cookies", "cookie_name": "session"},
                },
            },
            {
                "id": 2,
                "url": f"{book.url}/profile/{{{{SESSION}}}}/?role={{{{SECOND_ROLE}}}}&request={{{{REQUEST}}}}",
                "method": "POST",
                "headers": {"Authorization": "Bearer {{TOKEN}}"},
                "payload": '{"role": "{{SECOND_ROLE}}"}',
                "assertion": ['status_code == 200 && json_path("age") > 35'],
            },
        ],
    }

    report = run(tmp_path, config)

    assert (distribution(report, 1), distribution(report, 2)) == ({"201": 20}, {"200": 20})
    assert report["success_count"] == 20
    profiles = [line for line in book.lines() if line["path"].startswith("/profile/")]
    assert {line["query"]["role"] for line in profiles} == {"writer"}
    assert len({line["query"]["request"] for line in profiles}) == 20
    assert {line["body"] for line in profiles} == {'{"role": "writer"}'}


def test_captures_from_html(book: Book, tmp_path: Path) -> None:
    """Xpath of a page."""
    config = {
        "steps": [
            {
                "id": 1,
                "url": f"{book.url}/page/",
                "capture_env": {"TITLE": {"from": "body", "xpath_html": "//body/h1"}},
                "assertion": ['equals(html_path("//title"), "Bees")'],
            },
            {"id": 2, "url": f"{book.url}/echo/?title={{{{TITLE}}}}"},
        ]
    }

    report = run(tmp_path, config)

    assert report["success_count"] == 20
    assert {line["query"].get("title") for line in book.lines()} == {None, "Osmia"}


def test_failed_assertions_show_what_they_received(book: Book, tmp_path: Path) -> None:
    """Count, received values and reason under the rule, capitalised as in the original."""
    rule = 'status_code == 201 || contains(body, "nothing")'

    report = run(
        tmp_path, {"steps": [{"id": 1, "url": f"{book.url}/echo/", "assertion": [rule, "status_code == 200"]}]}
    )

    conditions = report["steps"]["1"]["fail"]["assertions"]["conditions"]
    assert list(conditions) == [rule]
    assert conditions[rule]["Count"] == 20
    assert conditions[rule]["Received"]["status_code"] == [200, 200, 200]
    assert (report["assertion_fail_count"], report["server_fail_count"], report["success_count"]) == (20, 0, 0)


@pytest.mark.parametrize("order", ["sequential", "random"])
def test_csv_rows_feed_iterations(book: Book, tmp_path: Path, order: str) -> None:
    """A row per iteration, columns typed; in sequence each as often as the others."""
    (tmp_path / "users.csv").write_text("name,age\nada,36\ngrace,85\nedsger,72\nbarbara,80\n")
    config = {
        "data": {
            "people": {
                "path": "users.csv",
                "vars": {"0": {"tag": "name"}, "1": {"tag": "age", "type": "int"}},
                "skip_first_line": True,
                "order": order,
            }
        },
        "steps": [
            {
                "id": 1,
                "method": "POST",
                "url": f"{book.url}/echo/?user={{{{data.people.name}}}}",
                "payload": '{"age": "{{data.people.age}}"}',
            }
        ],
    }

    assert distribution(run(tmp_path, config), 1) == {"200": 20}

    seen = counts([line["query"] for line in book.lines()], "user")
    ages = {(line["query"]["user"], line["body"]) for line in book.lines()}
    assert ages <= {(n, f'{{"age": {a}}}') for n, a in (("ada", 36), ("grace", 85), ("edsger", 72), ("barbara", 80))}
    assert sum(seen.values()) == 20
    if order == "sequential":
        assert seen == {"ada": 5, "grace": 5, "edsger": 5, "barbara": 5}


@pytest.mark.parametrize(("mode", "is_kept"), [("distinct-user", False), ("repeated-user", True)])
def test_cookies_belong_to_users(book: Book, tmp_path: Path, mode: str, is_kept: bool) -> None:  # noqa: FBT001 - a parameter
    """Set in step 1, sent in step 2; a distinct user starts without any, a repeated one comes back with them."""
    config = {
        "engine_mode": mode,
        "cookie_jar": {
            "enabled": True,
            "cookies": [{"name": "first", "value": "1", "domain": "127.0.0.1", "path": "/"}],
        },
        "steps": [
            {"id": 1, "url": f"{book.url}/login/?user=ada"},
            {"id": 2, "url": f"{book.url}/private/", "assertion": ["equals(status_code, 200)"]},
        ],
    }

    report = run(tmp_path, config)

    assert (distribution(report, 1), distribution(report, 2)) == ({"201": 20}, {"200": 20})
    logins = [line["cookies"] for line in book.lines() if line["path"] == "/login/"]
    assert all(cookies["first"] == "1" for cookies in logins)
    assert any("session" in cookies for cookies in logins) == is_kept
    connections = {line["connection"] for line in book.lines()}
    assert (len(connections) < 20) if is_kept else (len(connections) == 20)


def test_without_a_jar_there_are_no_cookies(book: Book, tmp_path: Path) -> None:
    """The default mode is one crowd that keeps none."""
    steps = [{"id": 1, "url": f"{book.url}/login/?user=ada"}, {"id": 2, "url": f"{book.url}/private/"}]

    assert distribution(run(tmp_path, {"steps": steps}), 2) == {"401": 20}


def test_basic_authentication(book: Book, tmp_path: Path) -> None:
    """User and password; the latter may hold a colon."""
    step = {
        "id": 1,
        "url": f"{book.url}/private/",
        "auth": {"type": "basic", "username": "ada", "password": "love:lace"},
    }

    assert distribution(run(tmp_path, {"steps": [step]}), 1) == {"200": 20}


def test_multipart_forms(book: Book, tmp_path: Path) -> None:
    """Text and a local file, each with its name, as one form."""
    (tmp_path / "note.txt").write_text("hum")
    step = {
        "id": 1,
        "method": "POST",
        "url": f"{book.url}/form/",
        "payload_multipart": [
            {"name": "who", "value": "{{_randomFirstName}}", "type": "text"},
            {"name": "what", "value": "note.txt", "type": "file"},
        ],
        "assertion": ['json_path("what") == "note.txt:hum"', 'not(equals(json_path("who"), ":"))'],
    }

    report = run(tmp_path, {"steps": [step]})

    assert (report["success_count"], report["assertion_fail_count"]) == (20, 0)


def test_a_payload_from_a_file(book: Book, tmp_path: Path) -> None:
    """Read once, sent each time."""
    (tmp_path / "payload.json").write_text('{"bee": "osmia"}')
    step = {"id": 1, "method": "PUT", "url": f"{book.url}/echo/", "payload_file": "payload.json"}

    assert distribution(run(tmp_path, {"steps": [step]}), 1) == {"200": 20}
    assert {line["body"] for line in book.lines()} == {'{"bee": "osmia"}'}


def test_manual_load(book: Book, tmp_path: Path) -> None:
    """Segments add up, whatever the count says."""
    load = [{"duration": 1, "count": 5}, {"duration": 2, "count": 30}]

    report = run(tmp_path, {"manual_load": load, "steps": [{"id": 1, "url": f"{book.url}/"}]})

    assert report["success_count"] == 35 == len(book.lines())
    arrived = sorted(line["began_ns"] for line in book.lines())
    assert sum(at - arrived[0] < 990_000_000 for at in arrived) in {5, 6}


def test_dynamic_variables_are_new_each_time(book: Book, tmp_path: Path) -> None:
    """Of each use another; in a JSON body a number is a number."""
    step = {
        "id": 1,
        "method": "POST",
        "url": f"{book.url}/echo/?id={{{{_randomUUID}}}}",
        "payload": '{"n": "{{_randomInt}}", "who": "{{_randomFullName}}"}',
    }

    run(tmp_path, {"steps": [step]})

    bodies = [json.loads(line["body"]) for line in book.lines()]
    assert len({line["query"]["id"] for line in book.lines()}) == 20
    assert all(isinstance(body["n"], int) and body["who"] for body in bodies)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-t", "{url}/{{ID}}"), "{{ID}} has no value - give it one: --env ID=VALUE"),
        (("-t", "{url}/{{_randomIn}}"), "{{_randomIn}} is no random value - did you mean {{_randomInt}}?"),
        (("-t", "{url}/", "-b", "{{$OSMIA_NOT_SET}}"), "{{$OSMIA_NOT_SET}} is no variable of the environment"),
        (("-t", "{url}/", "-h", "X: {{randomInt}}"), "{{randomInt}} has no value - random values begin with _"),
    ],
)
def test_variables_of_flags_without_a_value_send_nothing(book: Book, arguments: tuple[str, ...], told: str) -> None:
    """As in a config: what cannot be filled in is told before the first request."""
    said = osmia_load(*(one.replace("{url}", book.url) for one in arguments))

    assert (said.returncode, said.stdout, book.lines()) == (2, "", [])
    assert told in said.stderr


def test_a_variable_may_be_given_by_flag_alone(book: Book, tmp_path: Path) -> None:
    """A secret stands in no file: `--env` gives it, and the config needs no stand-in for it."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"steps": [{"url": book.url + "/{{TOKEN}}"}]}))

    said = osmia_load("--config", str(config), "--env", "TOKEN=s3", "-n", "2", "-d", "1", "-o", "stdout-json")

    assert report_of(said)["success_count"] == 2
    assert {line["path"] for line in book.lines()} == {"/s3"}


def test_a_seed_repeats_the_run(book: Book, tmp_path: Path) -> None:
    """The same random values, whichever worker draws them."""
    config = {"steps": [{"id": 1, "url": f"{book.url}/echo/?n={{{{_randomInt}}}}"}]}

    run(tmp_path, config, "--seed", "7", "--workers", "1")
    first = sorted(line["query"]["n"] for line in book.lines())
    run(tmp_path, config, "--seed", "7", "--workers", "1")
    second = sorted(line["query"]["n"] for line in book.lines()[20:])

    assert first == second
    assert len(set(first)) > 5


def test_redirects_are_followed_unless_switched_off(book: Book, tmp_path: Path) -> None:
    """The answer at the end counts; with disable-redirect the redirect itself."""
    steps = [
        {"id": 1, "url": f"{book.url}/moved/"},
        {"id": 2, "url": f"{book.url}/moved/", "others": {"disable-redirect": True}},
    ]

    report = run(tmp_path, {"steps": steps})

    assert (distribution(report, 1), distribution(report, 2)) == ({"200": 20}, {"302": 20})


def test_steps_rest_between_each_other(book: Book, tmp_path: Path) -> None:
    """Sleep is after the step, and no part of any duration."""
    steps = [
        {"id": 1, "url": f"{book.url}/status/200/", "sleep": "300"},
        {"id": 2, "url": f"{book.url}/status/201/"},
    ]

    report = run(tmp_path, {"iteration_count": 4, "steps": steps})

    assert report["avg_duration"] < 0.2
    times = {
        status: sorted(line["began_ns"] for line in book.lines() if line["status"] == status) for status in (200, 201)
    }
    assert all(after - before > 290_000_000 for before, after in zip(times[200], times[201], strict=True))


def test_yaml_means_the_same(book: Book, tmp_path: Path) -> None:
    """The same keys as YAML."""
    path = tmp_path / "config.yaml"
    path.write_text(
        f"iteration_count: 10\nduration: 1\noutput: stdout-json\nsteps:\n"
        f"  - id: 1\n    url: {book.url}/status/204/\n    assertion: ['status_code == 204']\n"
    )

    report = report_of(osmia_load("--config", str(path)))

    assert distribution(report, 1) == {"204": 10}


def test_criteria_are_judged(book: Book, tmp_path: Path) -> None:
    """Those of the original's manual, which it could not pass itself."""
    rules = ["p90(iteration_duration) < 2000", "less_than(fail_count, 120)", "less_than(fail_count_perc, 0.05)"]
    config = {
        "steps": [{"id": 1, "url": f"{book.url}/status/200/"}],
        "success_criterias": [{"rule": rule} for rule in rules],
    }

    report = run(tmp_path, config)

    assert (report["test_status"], report["failed_criterias"]) == ("success", None)
    assert [verdict["rule"] for verdict in report["verdicts"]] == rules
