"""Answers in a notebook: everything escaped, evidence marked, legible on any ground."""

from __future__ import annotations

import re
from html import unescape
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mentallama.analysts.answer import Answer, Answers, Quotation
from mentallama.analysts.answer_html import answers_html, post_segments
from mentallama.errors import printable
from mentallama.evaluate.answers import evaluate
from mentallama.records import Span
from mentallama.safety import NOTICE

HOSTILE = '<script>alert("x")</script> & \u202eso tired'


def answer(post: str = "so tired but fine", **fields: object) -> Answer:
    given = {"label": "yes", "status": "parsed", "task": "DR", "question": "depression", "model": "m:1"}
    return Answer.model_validate({**given, "post": post, **fields})


def shown_text(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html))


def test_evidence_is_marked_by_more_than_colour() -> None:
    evidence = (
        Quotation(start=3, end=8, text="tired", weight=0.25),
        Quotation(start=13, end=17, text="fine", weight=-0.5),
    )
    html = answer(evidence=evidence, probability=0.614)._repr_html_()
    assert re.findall(r"<(b|i) style=\"[^\"]*\" title=\"([^\"]*)\">(.*?)</\1>", html) == [
        ("b", "for the answer (+0.25 log-odds)", "tired"),
        ("i", "against the answer (-0.50 log-odds)", "fine"),
    ]
    assert "2px solid" in html
    assert "2px dashed" in html
    assert "words for the answer and words against it" in shown_text(html)
    assert "DR · depression: yes  61\u00a0%" in shown_text(html)
    assert "width:61.4%" in html
    assert NOTICE in shown_text(html)


@pytest.mark.parametrize("field", ["post", "explanation", "reason", "label", "task", "question", "model"])
def test_every_text_is_escaped(field: str) -> None:
    fields = {"reason": {"label": None, "status": "refused"}}.get(field, {})
    html = answer(**{**fields, field: HOSTILE})._repr_html_()
    assert "<script>" not in html
    assert '<script>alert("x")</script> & ' in shown_text(html)


def test_without_evidence_there_is_no_legend_and_without_a_label_the_reason() -> None:
    html = answer(label=None, status="refused", reason="the model declines")._repr_html_()
    assert "words for" not in html
    assert "DR · depression: refused: the model declines" in shown_text(html)
    assert "width" not in html.replace("max-width", "")


def test_a_long_list_is_cut() -> None:
    html = Answers([answer(f"post {number}") for number in range(1000)])._repr_html_()
    assert "post 9" in html
    assert "post 10" not in html
    assert "… and 990 more" in html
    assert html.count(NOTICE) == 1
    assert "more" not in shown_text(answers_html([answer()]))


def test_a_long_post_is_cut_where_it_is_shown() -> None:
    evidence = (Quotation(start=4990, end=5090, text="y" * 100, weight=1.0),)
    html = answer("x" * 4990 + "y" * 100 + "z" * 910, evidence=evidence)._repr_html_()
    assert ">" + "y" * 10 + "</b> … and 1,000 more characters" in html
    assert "z" * 5 not in html
    assert "more characters" not in answer("x" * 5000)._repr_html_()


def test_no_colour_of_text_or_ground_is_fixed() -> None:
    """Themes of notebooks do not tell; so text inherits its colour, and every ground lets the page's show through."""
    quotation = Quotation(start=0, end=2, text="so", weight=-1.0)
    html = Answers([answer(evidence=(quotation,), probability=0.5)])._repr_html_()
    assert set(re.findall(r"(?<![\w-])color:([^;\"]+)", html)) == {"inherit"}
    grounds = set(re.findall(r"background:([^;\"]+)", html))
    assert grounds == {"rgba(0,150,95,.2)", "rgba(205,85,160,.2)", "currentColor"}
    assert "<style" not in html


def luminance(colour: tuple[float, ...]) -> float:
    """Relative luminance as in WCAG 2.2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mark", [(0, 150, 95), (205, 85, 160)])
@pytest.mark.parametrize(("ground", "ink"), [((255,) * 3, (33,) * 3), ((17,) * 3, (225,) * 3)])
def test_marks_are_legible_on_both_grounds(
    mark: tuple[int, ...], ground: tuple[int, ...], ink: tuple[int, ...]
) -> None:
    """WCAG's level AA: text 4.5, lines 3. `ink` is the text colour of JupyterLab's light and dark theme."""
    page, text, line = (tuple(c / 255 for c in colour) for colour in (ground, ink, mark))
    marked = tuple(0.2 * over + 0.8 * under for over, under in zip(line, page, strict=True))
    assert contrast(text, marked) >= 4.5
    assert contrast(line, page) >= 3


SPANS = st.tuples(st.integers(0, 12), st.integers(0, 12), st.none() | st.floats(-2, 2))


@given(st.text(max_size=12), st.lists(SPANS, max_size=5))
@example("so\r\ntired", [(4, 9, None)])
def test_segments_are_the_post(post: str, places: list[tuple[int, int, float | None]]) -> None:
    spans = [
        Span(start=min(start, end, len(post)), end=min(max(start, end), len(post)), weight=weight)
        for start, end, weight in places
    ]
    segments = post_segments(post, spans)
    cuts = sorted({0, len(post), *(place for span in spans for place in (span.start, span.end))})
    for (start, end), segment in zip(pairwise(cuts), segments, strict=True):
        assert segment.text == printable(post[start:end].replace("\r\n", "\n"))
        weights = [span.weight or 0.0 for span in spans if span.start <= start and end <= span.end]
        expected = "" if not weights else "for" if sum(weights) >= 0 else "against"
        assert segment.kind == expected


def test_overlapping_evidence_adds_up() -> None:
    spans = [Span(start=0, end=4, weight=1.0), Span(start=2, end=6, weight=-1.5)]
    assert [segment[:2] for segment in post_segments("abcdefgh", spans)] == [
        ("ab", "for"),
        ("cd", "against"),
        ("ef", "against"),
        ("gh", ""),
    ]


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_a_notebook_of_any_width_shows_all_and_runs_nothing(browser: Any, width: int) -> None:
    evidence = (Quotation(start=0, end=8, text="<script>", weight=1.0),)
    shown = Answers([answer(HOSTILE, evidence=evidence, probability=0.5), answer("w" * 900)])
    scores = evaluate(["yes"], ["no"], "DR")
    page = browser.new_page(viewport={"width": width, "height": 900})
    dialogs: list[object] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog), dialog.dismiss()))
    page.set_content(f"<!doctype html><body>{shown._repr_html_()}{scores._repr_html_()}</body>")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("script").count() == 0
    assert page.locator("b[title]").inner_text() == "<script>"
    assert dialogs == []
    page.close()
