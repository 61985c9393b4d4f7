"""The report in a real browser: narrow screens, no requests, nothing on the console, legible colours."""

import re
from pathlib import Path
from typing import Any

import pytest

from mentallama.report.run import report_runs
from tests.factories.report_run import SETTINGS, make_run, make_scores, write_report

pytestmark = pytest.mark.browser

OVERFLOW = """() => [...document.querySelectorAll('body *')]
    .filter(one => !one.closest('.scroll') && one.getBoundingClientRect().right > innerWidth + 0.5)
    .map(one => one.tagName)"""

OUTSIDE_A_BOX = """() => [...document.querySelectorAll('table')].filter(one => !one.closest('.scroll[tabindex="0"]'))
    .map(one => one.innerText.slice(0, 40))"""

# The name of everything that can be focused or seen as a picture, as the accessibility tree computes it.
NAMELESS = """() => {
    const named = one => one.getAttribute('aria-label') || one.innerText
        || document.getElementById(one.getAttribute('aria-labelledby'))?.innerText;
    const all = [...document.querySelectorAll('a, summary, [tabindex="0"], svg[role], section, nav, aside')];
    return [all.length, all.filter(one => !(named(one) || '').trim()).map(one => one.outerHTML.slice(0, 80))]; }"""

# WCAG 2.2, 1.4.3: contrast of every text with what lies behind it, the shaded cells blended.
CONTRAST = """() => {
    const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const rgba = text => {
        paint.clearRect(0, 0, 1, 1); paint.fillStyle = text; paint.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = paint.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
    const over = (top, base) => top.slice(0, 3).map((c, i) => c * top[3] + base[i] * (1 - top[3]));
    const behind = one => { const layers = [];
        for (let at = one; at; at = at.parentElement)
            layers.unshift(rgba(getComputedStyle(at).backgroundColor));
        return layers.reduce((base, top) => over(top, base), [255, 255, 255]); };
    const light = colour => colour.map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const texts = [...document.querySelectorAll('body *')]
        .filter(one => [...one.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
    return texts.map(one => { const style = getComputedStyle(one), base = behind(one);
        const ink = over(rgba(one.closest('svg') ? style.fill : style.color), base);
        const [low, high] = [light(ink), light(base)].sort((a, b) => a - b);
        return [(high + 0.05) / (low + 0.05), one.tagName + '.' + one.getAttribute('class')]; });
}"""


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("run"))
    return write_report(folder, "A synthetic run with a rather long title", SETTINGS)


@pytest.fixture(scope="module")
def comparison_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name in ("a", "a-run-with-a-rather-long-name"):
        make_scores(folder / name)
    return report_runs([folder / "a", folder / "a-run-with-a-rather-long-name"], folder / "page")


@pytest.mark.parametrize("width", [390, 768, 1280])
@pytest.mark.parametrize("file", ["page_file", "comparison_file"])
def test_page_has_no_overflow_and_makes_no_request(
    browser: Any, file: str, width: int, request: pytest.FixtureRequest
) -> None:
    page_file = request.getfixturevalue(file)
    page = browser.new_page(viewport={"width": width, "height": 900})
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(page_file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(OVERFLOW) == []
    assert page.evaluate("document.querySelectorAll('.scroll').length") >= 9
    assert page.evaluate("document.querySelectorAll('table').length") >= 7
    assert page.evaluate(OUTSIDE_A_BOX) == []
    assert (messages, requests) == ([], [page_file.as_uri()])
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_is_legible(browser: Any, page_file: Path, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto(page_file.as_uri())
    contrasts = page.evaluate(CONTRAST)
    assert len(contrasts) > 500
    assert [text for text in contrasts if text[0] < 4.5] == []
    page.close()


def test_text_in_plots_is_text(browser: Any, page_file: Path) -> None:
    page = browser.new_page()
    page.goto(page_file.as_uri())
    words = page.evaluate("document.querySelector('svg').textContent")
    assert re.search(r"Dreaddit.*weighted F1, percent|weighted F1, percent.*Dreaddit", words, re.DOTALL)
    page.close()


def test_everything_has_a_name_and_links_that_are_alike_differ_in_it(browser: Any, page_file: Path) -> None:
    page = browser.new_page()
    page.goto(page_file.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    found, nameless = page.evaluate(NAMELESS)
    assert found > 120
    assert nameless == []
    labels = page.evaluate("[...document.querySelectorAll('.files a')].map(one => one.ariaLabel)")
    assert len(labels) > 60
    assert all(label.startswith(("CSV: ", "LaTeX: ", "SVG: ", "PDF: ", "PNG: ")) for label in labels)
    page.close()


def test_the_keyboard_reaches_the_content_first_and_sees_where_it_is(browser: Any, page_file: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(page_file.as_uri())
    page.keyboard.press("Tab")
    focused = "[document.activeElement.className, document.activeElement.getBoundingClientRect().top >= 0]"
    assert page.evaluate(focused) == ["skip", True]
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    box = "document.activeElement.closest('main') !== null && document.activeElement.classList.contains('scroll')"
    assert page.evaluate(box)
    assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")
    first = "document.activeElement.querySelector('tbody th').getBoundingClientRect().left"
    assert page.evaluate(f"{first} >= document.activeElement.getBoundingClientRect().left - 1")
    page.close()


def test_on_paper_nothing_is_cut_off(browser: Any, page_file: Path) -> None:
    """At the width of A4 less margins; tables of many sets stay within it, and links to files are left out."""
    page = browser.new_page(viewport={"width": 718, "height": 1000}, color_scheme="dark")
    page.emulate_media(media="print")
    page.goto(page_file.as_uri())
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(30, 35, 40)"
    assert page.evaluate("[...document.querySelectorAll('.files')].some(one => one.offsetParent)") is False
    wide = """() => [...document.querySelectorAll('table')]
        .filter(one => one.getBoundingClientRect().right > innerWidth + 0.5).map(one => one.caption.innerText)"""
    assert page.evaluate(wide) == []
    page.close()
