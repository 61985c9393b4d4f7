"""The docs run: tutorial, examples, generated pages, links, and the two READMEs against each other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import pytest

from mentallama.answers.parse import read_answer
from mentallama.config import read_recipe
from tests.factories.project import ROOT

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *(ROOT / "sample").glob("*.md")])
GAP = "…"
"""In a shown output: any text within a line, any lines where it stands alone."""

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


class Block(NamedTuple):
    """A fenced block: the first line's number, its language, its text."""

    line: int
    language: str
    text: str


def blocks(markdown: str) -> list[Block]:
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)
    return [Block(markdown[: each.start()].count("\n") + 1, each[1], each[2]) for each in found]


def commands(markdown: str, language: str) -> Iterator[tuple[Block, str | None]]:
    """Blocks of a language, each with the output shown right behind it."""
    found = blocks(markdown)
    for block, after in zip_longest(found, found[1:]):
        if block.language == language:
            yield block, after.text if after is not None and after.language == "text" else None


def shows(shown: str, said: str) -> bool:
    """Whether a shown output is what was said.

    Blanks at the ends of lines do not count: a terminal's tables are padded.
    """
    pattern = "".join(
        r"(?:.*\n)*?" if line == GAP else re.escape(line).replace(re.escape(GAP), ".*") + r"\n"
        for line in _trimmed(shown)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _trimmed(said))) is not None


def _trimmed(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def test_shown_outputs_are_compared() -> None:
    said = "train: done in 1.2 s\nnote: a\nnote: b\nreport: x.html  \n"
    assert shows("train: done in … s\n…\nreport: x.html\n", said)
    assert shows("…\nnote: b\n…\n", said)
    assert not shows("train: done in … s\nreport: x.html\n", said)
    assert not shows("train: done in … s\n…\n", "train: up to date\n")
    assert not shows("report: x.html\n", said)
    assert shows("", "")
    assert not shows("", "something\n")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of what a reader has, in a folder whose `mentallama` is this one."""
    for name in ("sample", "recipes"):
        shutil.copytree(ROOT / name, tmp_path / name)
    tools = tmp_path / ".tools"
    tools.mkdir()
    for name, arguments in (("mentallama", "-m mentallama"), ("python", "")):
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n', encoding="utf-8")
        tool.chmod(0o755)
    return tmp_path


def run(block: Block, place: Path) -> str:
    """Run a block as a reader would; both streams, as a terminal shows them."""
    environment = {
        **os.environ,
        "PATH": f"{place / '.tools'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}",
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", block.text],
        cwd=place,
        env=environment,
        check=False,
        timeout=280,
        text=True,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, f"line {block.line}: exit code {done.returncode}\n{done.stdout}"
    return done.stdout


@pytest.mark.slow
def test_the_tutorial_runs_as_shown(place: Path) -> None:
    compared = 0
    for block, shown in commands((DOCS / "tutorial.md").read_text(encoding="utf-8"), "sh"):
        said = run(block, place)
        if shown is not None:
            assert shows(shown, said), f"line {block.line} shows\n{shown}\nbut it is\n{said}"
            compared += 1
    assert compared >= 10


@pytest.mark.slow
def test_the_readme_shows_what_analyze_says(place: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    asked = [pair for pair in commands(readme, "sh") if "mentallama analyze" in pair[0].text]
    assert len(asked) == 1
    run(Block(0, "sh", "mentallama run recipes/sample-linear.yaml"), place)
    block, shown = asked[0]
    said = run(block, place)
    assert shown is not None
    assert shows(shown, said), f"line {block.line} shows\n{shown}\nbut it is\n{said}"


def test_examples_in_python_run_as_shown(tmp_path: Path) -> None:
    (tmp_path / ".tools").mkdir()
    ran = 0
    for page in PAGES:
        for block, shown in commands(page.read_text(encoding="utf-8"), "python"):
            script = tmp_path / "example.py"
            script.write_text(block.text, encoding="utf-8")
            said = run(Block(block.line, "sh", f'"{sys.executable}" example.py'), tmp_path)
            assert shown is None or shows(shown, said), f"{page.name}, line {block.line}: {said}"
            ran += 1
    assert ran >= 1


def test_answers_are_read_as_the_page_says() -> None:
    text = (DOCS / "answers.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| ([\w-]+) \| `(.+)` \| (parsed|unparsed|refused|truncated) \| (.+) \|$", text, re.MULTILINE
    )
    for name, answer, status, outcome in rows:
        reading = read_answer(name, answer)
        assert (reading.status, reading.label or reading.reason) == (status, outcome), answer
    assert {status for _, _, status, _ in rows} == {"parsed", "unparsed", "refused", "truncated"}
    assert len(rows) >= 12


def test_recipes_in_the_pages_are_recipes(tmp_path: Path) -> None:
    seen = 0
    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.language == "yaml":
                recipe = tmp_path / "recipe.yaml"
                whole = block.text if "name:" in block.text else f"name: part\ndata: data\n{block.text}"
                recipe.write_text(whole, encoding="utf-8")
                assert read_recipe(recipe).stages(), f"{page.name}, line {block.line}"
                seen += 1
    assert seen >= 2


def generate(*arguments: str, docs: Path = DOCS) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(docs / "generate.py"), *arguments],
        check=False,
        text=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )


def test_generated_pages_are_up_to_date() -> None:
    done = generate("--check")
    assert done.returncode == 0, done.stderr


def test_a_stale_page_is_noticed_and_mended(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in (
        "generate.py",
        "data_formats.py",
        "tasks.md",
        "commands.md",
        "recipes.md",
        "data_formats.md",
        "architecture.md",
    ):
        shutil.copy(DOCS / name, docs)
    page = docs / "recipes.md"
    page.write_text(page.read_text(encoding="utf-8").replace("leak_guard", "leak_gaurd"), encoding="utf-8")
    done = generate("--check", docs=docs)
    assert done.returncode == 1
    assert done.stderr == "docs/recipes.md is out of date; run python docs/generate.py\n"
    assert generate(docs=docs).returncode == 0
    assert page.read_bytes() == (DOCS / "recipes.md").read_bytes()


def test_the_architecture_page_names_files_that_exist() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("<!-- map -->")[0]
    paths = set(re.findall(r"`((?:\w+/)*\w+\.py|(?:\w+/)+)`", text))
    missing = [
        path for path in paths if not any((base / path).exists() for base in (ROOT / "src/mentallama", ROOT))
    ]
    assert missing == []
    assert len(paths) >= 60


def outside_code(markdown: str) -> str:
    return re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)


def anchors(markdown: str) -> set[str]:
    """As GitHub makes them from headings."""
    titles = re.findall(r"^#+ (.+)$", outside_code(markdown), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> list[str]:
    """Relative links of a page that lead nowhere."""
    broken = []
    for link in relative_links(page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


def relative_links(markdown: str) -> list[str]:
    links = re.findall(r"\]\(([^()\s]+)\)", outside_code(markdown))
    return [link for link in links if not re.match(r"[a-z]+:", link)]


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_links_are_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    links = "[x](page.md#a-b) [y](gone.md) [z](#c) [w](https://example.org)"
    page.write_text(f"# A b\n{links}\n", encoding="utf-8")
    assert broken_links(page) == ["gone.md", "#c"]
    assert sum(len(relative_links(each.read_text(encoding="utf-8"))) for each in PAGES) >= 20


MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|work|mnt|Users|opt|usr|var)/|\b[A-Z]:\\")


@every_page
def test_no_page_names_a_machines_folder(page: Path) -> None:
    assert MACHINE_PATH.findall(page.read_text(encoding="utf-8")) == []


def test_a_machines_folder_would_be_noticed() -> None:
    assert MACHINE_PATH.search("see `/home/someone/data`")
    assert not MACHINE_PATH.search("see https://example.org/home/x and docs/home/")


# --- the two READMEs ------------------------------------------------------------------------------


def readmes() -> tuple[str, str]:
    english, korean = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))
    return english, korean


def levels(markdown: str) -> list[int]:
    return [len(marks) for marks in re.findall(r"^(#+) ", outside_code(markdown), re.MULTILINE)]


def numbers(markdown: str) -> list[str]:
    """All numbers outside code, sorted: word order differs between languages."""
    return sorted(re.findall(r"\d+(?:[.,]\d+)*", outside_code(markdown)))


def table_shapes(markdown: str) -> list[int]:
    """Cells a line of every table."""
    return [line.count("|") for line in outside_code(markdown).splitlines() if line.startswith("|")]


def code_words(markdown: str) -> list[str]:
    """What stands between backticks outside code blocks."""
    return sorted(re.findall(r"`([^`\n]+)`", outside_code(markdown)))


def test_the_readmes_have_the_same_headings() -> None:
    english, korean = map(levels, readmes())
    assert english == korean
    assert len(english) >= 8


def test_the_readmes_have_the_same_code() -> None:
    english, korean = ([(b.language, b.text) for b in blocks(text)] for text in readmes())
    assert english == korean
    assert len(english) >= 4


def test_the_readmes_have_the_same_numbers() -> None:
    english, korean = map(numbers, readmes())
    assert english == korean
    assert len(english) >= 20


def test_the_readmes_have_the_same_tables_and_code_words() -> None:
    english, korean = readmes()
    assert table_shapes(english) == table_shapes(korean)
    assert code_words(english) == code_words(korean)


def test_the_readmes_have_the_same_links() -> None:
    # Anchors of the page's own headings are in its language, and each README links the other.
    english, korean = (
        [re.sub("^#.*", "#", link) for link in relative_links(text) if not link.startswith("README")]
        for text in readmes()
    )
    assert english == korean
    assert len(english) >= 10
