"""Text of others in Markdown is shown as it is written, and never as markup, a link or an image."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mentallama.files.markdown import Markdown, escape_markdown, markdown_table

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=https://example.org/x.png>",
    "![x](https://example.org/x.png)",
    "[x](https://example.org)",
    "`code` and ``more``",
    "**bold** _low_ ~~gone~~ __high__",
    "a|b",
    "one\n\n# two\r\n---",
    "&lt;b&gt; &#60;i&#62; R&D",
    "back\\slash\\|",
    "snake_case_name",
    "<!-- hidden",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_it_is_read_as_it_was_written(text: str) -> None:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for source in (f"# x {escape_markdown(text)}\n", f"see {escape_markdown(text)}\n"):
        heading, inline, _ = parser.parse(source)
        assert heading.type in {"heading_open", "paragraph_open"}
        children = inline.children or []
        assert {child.type for child in children} <= {"text", "text_special"}
        shown = "".join(child.content for child in children)
        assert shown.removeprefix("x ").removeprefix("see ") == " ".join(text.split())


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_stays_a_cell(text: str) -> None:
    table = markdown_table(("set", text), [[text, 1], ["DR", text]])
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(table)
    assert html.count("<tr>") == 3
    assert html.count("<td>") == 4
    assert set(re.findall(r"</?(\w+)", html)) == {"table", "thead", "tbody", "tr", "th", "td"}


@given(st.text(), st.text())
def test_no_tag_and_no_line_break_is_left(one: str, other: str) -> None:
    escaped = escape_markdown(one + "<" + other)
    assert not set("<>\n\r\x1b\u202e") & set(escaped)


def test_what_is_markdown_already_stays() -> None:
    assert "| **yes** | \\*no\\* |" in markdown_table(("a", "b"), [[Markdown("**yes**"), "*no*"]])
