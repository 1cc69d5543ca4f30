# SPDX-License-Identifier: GPL-2.0-only
"""A report's page in a real browser: both themes, narrow, printed, by keyboard, without scripts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.claims import catalogue
from lab.report import page
from lab.results import folder
from tests.fakes.programs import need
from tests.lab.report import results
from tests.lab.results import journals

BROWSER = "chromium-headless-shell"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
#: Of axe-core: what WCAG 2.2 asks for at level AA, and what its authors advise.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

Opened = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    need(BROWSER)
    program = shutil.which(BROWSER)
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: make setup-dev")
    with playwright.sync_playwright() as running:
        # Its own sandbox does not work for root, nor in many containers; the page is ours.
        found = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything: kernels, a history, races, what was cut, and what is hostile."""
    place = tmp_path_factory.mktemp("report")
    (place / "cut").mkdir()
    journals.write("cut", place / "cut" / "journal.jsonl")
    places = [
        results.raced(place / "first"),
        results.raced(place / "second"),
        place / "cut",
        results.hostile(place / "hostile"),
    ]
    written = place / "report.html"
    written.write_text(page.render(folder.read_all(places, catalogue())), encoding="utf-8")
    return written


@pytest.fixture
def opened(browser: Any, file: Path) -> Iterator[Opened]:
    """Opens it; afterwards nothing was fetched, and nothing refused or wrong."""
    contexts, complaints = [], []

    def opens(**options: Any) -> Any:
        context = browser.new_context(**{"viewport": WIDE, **options})
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("dialog", lambda dialog: complaints.append(dialog.message))
        tab.on(
            "request", lambda request: complaints.append(request.url) if _outside(request) else None
        )
        tab.goto(file.as_uri())
        return tab

    yield opens
    for context in contexts:
        context.close()
    assert complaints == []


def _outside(request: Any) -> bool:
    return not request.url.startswith(("file:", "data:"))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_axe_finds_nothing(theme: str, viewport: dict[str, int], opened: Opened) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = opened(color_scheme=theme, viewport=viewport)
    tab.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    found = axe.run(tab, options={"runOnly": {"type": "tag", "values": RULES}}).response
    wrong = [(each["id"], each["nodes"][0]["html"][:300]) for each in found["violations"]]
    assert wrong == []
    assert len(found["passes"]) > 20, "axe looked at the page"


def test_axe_would_find_something(opened: Opened) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = opened()
    tab.evaluate("document.body.style.color = '#ccc'; document.documentElement.lang = ''")
    found = axe.run(tab, options={"runOnly": {"type": "tag", "values": RULES}}).response
    assert {"color-contrast", "html-has-lang"} <= {each["id"] for each in found["violations"]}


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_is_wider_than_the_window(viewport: dict[str, int], opened: Opened) -> None:
    tab = opened(viewport=viewport)
    tab.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert tab.evaluate("document.documentElement.scrollWidth") == viewport["width"]


def test_the_themes_differ(opened: Opened) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    light, dark = (opened(color_scheme=each).evaluate(paper) for each in ("light", "dark"))
    assert _brightness(light) > 200 > 60 > _brightness(dark)


def _brightness(colour: str) -> float:
    return sum(map(int, colour.removeprefix("rgb(").rstrip(")").split(","))) / 3


def test_it_is_readable_without_scripts(opened: Opened) -> None:
    tab = opened(java_script_enabled=False)
    assert tab.locator("#verdict tbody tr").count() == 4
    assert tab.get_by_text("lost: 6 of 500 kicks were lost").first.is_visible()
    folded = tab.locator("#failures details:has(> pre)").first
    folded.locator("summary").click()
    assert folded.locator("pre").is_visible()


def test_the_keyboard_is_enough(opened: Opened) -> None:
    tab = opened()
    focused = "document.activeElement"
    tab.keyboard.press("Tab")
    assert tab.evaluate(f"{focused}.textContent") == "Skip to the verdict"
    assert tab.evaluate(f"{focused}.getBoundingClientRect().left") >= 0
    tab.keyboard.press("Enter")
    assert tab.evaluate(f"{focused}.id") == "verdict"
    for _ in range(60):
        tab.keyboard.press("Tab")
        assert tab.evaluate(f"getComputedStyle({focused}).outlineStyle") != "none"
        if tab.evaluate(f"{focused}.tagName") == "SUMMARY":
            break
    tab.keyboard.press("Enter")
    assert tab.evaluate(f"{focused}.parentElement.open")


def test_pictures_are_loaded(opened: Opened) -> None:
    pytest.importorskip("matplotlib")
    images = opened().locator("figure img")
    assert images.count() >= 2
    assert all(images.evaluate_all("all => all.map(each => each.naturalWidth > 300)"))


def test_printed_it_shows_what_is_folded(opened: Opened) -> None:
    tab = opened(color_scheme="dark")
    evidence = "document.querySelector('#failures pre').checkVisibility()"
    height = "document.querySelector('#failures details').getBoundingClientRect().height"
    folded = tab.evaluate(height)
    assert not tab.evaluate(evidence)
    tab.emulate_media(media="print")
    tab.wait_for_function(evidence)  # what is folded away is shown with the next frame
    assert tab.evaluate(height) > folded + 20
    assert not tab.locator("nav").is_visible()
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.pdf(format="A4").startswith(b"%PDF-")
