"""The HTML report is one file that asks nothing of anybody, and in which no text acts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from osmia.load.report.html import html_page
from osmia.load.report.page.markup import Raw, joined, tag
from osmia.load.report.page.scales import exact, linear, logarithmic, time_ticks
from osmia.load.results import Results
from tests.browser.chromium import SCHEMES, open_browser
from tests.load.report import build

_ALL = [build.healthy, build.ramp, build.failing, build.empty, build.hostile]
_VOID = {"meta"}
_MOST_BYTES = 400_000


class _Page(HTMLParser):
    """Every element and attribute; whatever is not closed in order is an error."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.errors: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.errors.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"style", "script"}:
            self.text.append(data)


def _parsed(results: Results) -> _Page:
    page = _Page()
    page.feed(html_page(results))
    page.close()
    return page


@pytest.mark.parametrize("make", _ALL)
def test_the_page_is_well_formed_and_small(make: Callable[[], Results]) -> None:
    """Every element is closed where it should be."""
    page = _parsed(make())

    assert page.errors == []
    assert page.open == []
    assert len(html_page(make()).encode()) <= _MOST_BYTES


def test_a_long_run_is_not_a_large_page() -> None:
    """Ten minutes keep to the bound."""
    assert len(html_page(build.ramp(600)).encode()) <= _MOST_BYTES


def test_many_steps_are_not_a_large_page() -> None:
    """Of ninety steps all are in the table, and those have a section that failed most."""
    results = build.ramp(600)
    many = tuple(
        replace(step, step=replace(step.step, id=30 * at + step.step.id)) for step in results.steps for at in range(30)
    )

    page = html_page(replace(results, steps=many))

    assert len(page.encode()) <= _MOST_BYTES
    assert page.count("<h2") == 20
    assert page.count('href="#step-') == 20
    assert "70 more steps" in page


@pytest.mark.parametrize("make", _ALL)
def test_nothing_is_asked_of_the_network(make: Callable[[], Results]) -> None:
    """No element refers to anything but the page itself, and the style asks for nothing."""
    page = _parsed(make())

    for name, attributes in page.tags:
        assert not attributes.keys() & {"src", "srcset", "action", "data", "poster", "xlink:href"}, name
        assert (attributes.get("href") or "#").startswith("#")
    assert {name for name, _ in page.tags}.isdisjoint({"link", "img", "iframe", "object", "embed", "base"})
    assert set(re.findall(r"url\(\"?([a-z]*:?)", html_page(make()))) == {"data:"}
    assert "@import" not in html_page(make())


def test_no_text_from_outside_becomes_markup() -> None:
    """Names, URLs, rules, values, errors: each is shown as it is, none is obeyed."""
    page = _parsed(build.hostile())

    assert sum(name == "script" for name, _ in page.tags) == 1
    assert not [attribute for _, attributes in page.tags for attribute in attributes if attribute.startswith("on")]
    text = "".join(page.text)
    assert text.count('<script>alert("x")</script>') >= 8
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "secret" not in html_page(build.hostile())


def test_the_policy_names_the_one_script() -> None:
    """Scripts run by their hash or not at all."""
    policy = next(
        attributes["content"] for name, attributes in _parsed(build.healthy()).tags if "http-equiv" in attributes
    )

    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}='", policy)


def test_charts_have_names_axes_and_titles() -> None:
    """For those who do not see them, and for those who point at them."""
    page = _parsed(build.ramp())

    pictures = [attributes for name, attributes in page.tags if name == "svg" and attributes.get("role") == "img"]
    assert len(pictures) == 5
    assert all(picture["aria-label"] for picture in pictures)
    assert sum(name == "title" for name, _ in page.tags) > 200
    text = " ".join(page.text)
    for label in ("requests/s", "errors/s", "share of answers", "time since the start", "500 ms", "p99 response"):
        assert label in text


def test_every_step_has_its_section() -> None:
    """And the table at the top leads there."""
    page = _parsed(build.ramp())

    targets = {attributes["id"] for name, attributes in page.tags if name == "h2" and attributes.get("id")}
    links = {(attributes.get("href") or "")[1:] for name, attributes in page.tags if name == "a"}
    assert links == targets == {"step-1", "step-2", "step-3"}


def test_tags_escape_whatever_is_not_raw() -> None:
    """In text and in attributes."""
    assert tag("p", "<b>", Raw("<i>"), class_='"') == '<p class="&quot;">&lt;b&gt;<i></p>'
    assert joined(["&", ["<", Raw("&lt;")]]) == "&amp;&lt;&lt;"
    assert tag("div", hidden=True, title=None, tabindex=0) == '<div hidden tabindex="0"></div>'


def test_axes_have_round_ticks() -> None:
    """From 0 in steps of 1, 2 and 5, or in decades."""
    assert [label for _, label in linear(820, "{:g}".format).ticks] == ["0", "500", "1000"]
    assert linear(820, "{:g}".format).at(500) == 0.5
    assert linear(0, "{:g}".format).at(0) == 0
    assert [label for _, label in logarithmic(0.3, 90, "{:g}".format).ticks] == ["0.1", "1", "10", "100"]
    assert logarithmic(5, 5, "{:g}".format).at(10) == 1
    assert [label for _, label in exact(2, 30, "{:g}".format).ticks] == ["2", "5", "10", "20"]
    assert [label for _, label in time_ticks(192)] == ["0:00", "0:30", "1:00", "1:30", "2:00", "2:30", "3:00"]
    assert list(time_ticks(0)) == [(0.0, "0:00")]


@pytest.mark.browser
def test_a_browser_shows_it_without_complaint(tmp_path: Path) -> None:
    """No request, no message, nothing wider than the window, in both themes; the switch and the hover work."""
    made = {make.__name__: tmp_path / f"{make.__name__}.html" for make in _ALL}
    for make in _ALL:
        made[make.__name__].write_text(html_page(make()), encoding="utf-8")
    told: list[str] = []
    with open_browser() as browser:
        for scheme in SCHEMES:
            context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
            page = context.new_page()
            page.on("console", lambda message: told.append(message.text))
            page.on("pageerror", lambda error: told.append(str(error)))
            page.on("request", lambda request: told.append(request.url) if request.url.startswith("http") else None)
            for path in made.values():
                page.goto(path.as_uri())
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            page.goto(made["ramp"].as_uri())
            before = page.evaluate("getComputedStyle(document.body).backgroundColor")
            page.click("#theme")
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
            page.hover(".plot >> nth=0")
            assert page.locator(".tip >> visible=true").count() == 1
            assert page.locator(".hit.on").count() == 4
            context.close()
    assert told == []
