"""The docs: tutorial and examples run as shown, pages agree with the code, links work, the two READMEs agree."""

from __future__ import annotations

import doctest
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mentallama import run_files
from mentallama.analysts.registry import ANALYSTS
from mentallama.answers.parse import read_answer
from mentallama.cli.app import app
from mentallama.config import read_recipe
from mentallama.pipeline.registry import recipe_stages
from mentallama.pipeline.run import run as run_recipe
from mentallama.symptoms import SymptomMatcher
from mentallama.symptoms.catalogue import read_pack
from tests.factories.project import ROOT, SOURCE

DOCS = ROOT / "docs"
FOLDERS = (ROOT, DOCS, ROOT / "sample", SOURCE / "mentallama/starter")
PAGES = sorted(page for folder in FOLDERS for page in folder.glob("*.md"))
GAP = "…"
"""In the output that a page shows: any text within a line; on a line of its own, any number of lines."""

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


class Block(NamedTuple):
    """A fenced block: the number of its first line, its language and its text."""

    line: int
    language: str
    text: str


def blocks(markdown: str) -> list[Block]:
    matches = re.finditer(r"^```(\w*)\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)
    return [Block(markdown[: match.start()].count("\n") + 1, match[1], match[2]) for match in matches]


def commands(markdown: str, language: str) -> Iterator[tuple[Block, str | None]]:
    """Blocks of a language, each with the output that the page shows directly after it."""
    fenced = blocks(markdown)
    for block, following in zip_longest(fenced, fenced[1:]):
        if block.language == language:
            end = block.line + block.text.count("\n") + 1
            is_output = following is not None and (following.language, following.line) == ("text", end + 2)
            yield block, following.text if is_output else None


def shows(shown: str, output: str) -> bool:
    """Whether the output that a page shows matches the real one.

    White space at the ends of lines does not count: tables in a terminal are padded.
    """
    pattern = "".join(
        r"(?:.*\n)*?" if line == GAP else re.escape(line).replace(re.escape(GAP), ".*") + r"\n"
        for line in _trimmed(shown)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _trimmed(output))) is not None


def _trimmed(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def test_only_the_block_directly_below_is_an_output() -> None:
    page = "```sh\na\nb\n```\n\n```text\nx\n```\n\n```sh\nc\n```\n\nAnd:\n\n```text\ny\n```\n"
    assert [shown for _, shown in commands(page, "sh")] == ["x\n", None]


def test_shown_outputs_are_compared() -> None:
    output = "train: done in 1.2 s\nnote: a\nnote: b\nreport: x.html  \n"
    assert shows("train: done in … s\n…\nreport: x.html\n", output)
    assert shows("…\nnote: b\n…\n", output)
    assert not shows("train: done in … s\nreport: x.html\n", output)
    assert not shows("train: done in … s\n…\n", "train: up to date\n")
    assert not shows("report: x.html\n", output)
    assert shows("", "")
    assert not shows("", "something\n")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder with sample and recipes, as a reader has them, and with this package as the command `mentallama`."""
    for name in ("sample", "recipes"):
        shutil.copytree(ROOT / name, tmp_path / name)
    tools = tmp_path / ".tools"
    tools.mkdir()
    for name, arguments in (("mentallama", "-m mentallama"), ("python", "")):
        tool = tools / name
        tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n', encoding="utf-8")
        tool.chmod(0o755)
    return tmp_path


PROGRESS = re.compile(r"^.*: (?:still working, .*|.*, about .* left\b.*)\n", re.MULTILINE)
"""Lines of progress, which a slow machine prints."""


def run(block: Block, folder: Path, tools: Path | None = None) -> str:
    """Run a block in a folder as a reader would; returns both streams, as a terminal shows them."""
    environment = {
        **os.environ,
        "PATH": f"{tools or folder / '.tools'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}",
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", block.text],
        cwd=folder,
        env=environment,
        check=False,
        timeout=280,
        text=True,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, f"line {block.line}: exit code {done.returncode}\n{done.stdout}"
    return PROGRESS.sub("", done.stdout)


@pytest.mark.slow
def test_the_tutorial_runs_as_shown(workspace: Path) -> None:
    compared = 0
    for block, shown in commands((DOCS / "tutorial.md").read_text(encoding="utf-8"), "sh"):
        output = run(block, workspace)
        if shown is not None:
            assert shows(shown, output), f"line {block.line} shows\n{shown}\nbut the output is\n{output}"
            compared += 1
    assert compared >= 10


EXCUSED = {
    "make ": "builds an environment from a package index",
    "pip install": "needs a package index",
    "MODEL@URL": "needs a model server",
    "--ray auto": "needs a cluster",
    "forget ID": "erases what the id names, and ID stands for one; tests/erasure runs it",
    "recipes/X.yaml": "stands for a recipe of the reader's",
    "imhi-": "needs the published data",
    "data/release": "needs the published data",
    "data=DIR": "needs the published data",
    "--data DIR": "needs the published data",
    "corpus=DIR": "needs a corpus and a base model",
    "sample-tiny-llama": "trains for minutes; tests/train trains smaller models in the same way",
    "benchmarks/": "measures for minutes to hours",
    "sample/make.py": "rewrites the sample; tests/test_sample.py compares its output",
}
"""Part of a block of commands -> why the block is not run. All other blocks are."""

COMMAND_LINE = re.compile(r"^(?:mentallama|pip|python|torchrun|make|ray|cd|export) ", re.MULTILINE)


def command_blocks(page: Path) -> list[Block]:
    """The blocks of a page that hold commands, whatever their language says."""
    return [
        block
        for block in blocks(page.read_text(encoding="utf-8"))
        if block.language == "sh" or (block.language in {"", "text"} and COMMAND_LINE.match(block.text))
    ]


def is_excused(block: Block) -> bool:
    return any(part in block.text for part in EXCUSED)


def test_every_excuse_is_needed_and_every_other_page_is_run() -> None:
    texts = [block.text for page in PAGES for block in command_blocks(page)]
    assert [part for part in EXCUSED if not any(part in text for text in texts)] == []
    assert len(texts) >= 40
    assert sum(any(part in text for part in EXCUSED) for text in texts) < len(texts) / 1.5


@pytest.mark.slow
@pytest.mark.timeout(900)  # two recipes of the sample
def test_commands_of_the_other_pages_run_as_shown(workspace: Path) -> None:
    """In the order of the pages, each block once; the tutorial has its own test, the Korean README the same blocks.

    The first block that is run is `mentallama init study`, the others run in the folder that it writes.
    """
    for name in ("sample", "recipes"):
        shutil.rmtree(workspace / name)
    pages = [page for page in PAGES if page.name not in {"tutorial.md", "README.ko.md", "commands.md"}]
    pages.sort(key=lambda page: page.name != "README.md")
    once = {
        block.text: (page, block, shown)
        for page in pages
        for block, shown in commands(page.read_text(encoding="utf-8"), "sh")
        if not is_excused(block)
    }
    assert len(once) >= 5
    folder, compared = workspace, 0
    for page, block, shown in once.values():
        output = run(block, folder, workspace / ".tools")
        folder = workspace / "study"
        if shown is not None:
            assert shows(shown, output), f"{page.name}, line {block.line} shows\n{shown}\nbut\n{output}"
            compared += 1
    assert compared >= 1


def named_commands(markdown: str) -> set[str]:
    """Commands of `mentallama` that a page shows, in blocks and in inline code, without what follows a pipe or `#`."""
    code = "\n".join(
        block.text.replace("\\\n", " ") for block in blocks(markdown) if block.language != "text"
    )
    code += "\n" + "\n".join(re.findall(r"`(mentallama [^`\n]+)`", outside_code(markdown)))
    return {
        re.split(r" (?:\||#|&&|\|\||>|2>)", line)[0]
        for line in re.findall(r"(?:^|\| |-m )(mentallama [a-z-].*)$", code, re.MULTILINE)
    }


def misspelled(command: str) -> list[str]:
    """The command's name or options that do not exist."""
    from typer.main import get_command

    words = command.split()[1:]
    known: Any = get_command(app)
    while words and words[0] in getattr(known, "commands", {}):
        known = known.commands[words.pop(0)]
    if hasattr(known, "commands") and words and not words[0].startswith("-"):
        return words[:1]
    options = {name for param in known.params for name in param.opts} | {"--help", "-h"}
    given = [re.split(r"[=/|\]]", word.strip("[\"'"))[0] for word in words]
    return [word for word in given if re.match(r"--?[a-z]", word) and word not in options]


@every_page
def test_commands_that_a_page_names_exist(page: Path) -> None:
    named = named_commands(page.read_text(encoding="utf-8"))
    assert {command: wrong for command in named if (wrong := misspelled(command))} == {}


def test_a_misspelled_command_is_found() -> None:
    assert misspelled("mentallama colect X.yaml") == ["colect"]
    assert misspelled("mentallama run X.yaml --outt DIR --set a=b") == ["--outt"]
    assert misspelled("mentallama tasks show CLP --tasks DIR") == []
    assert named_commands("see `mentallama x` and\n```sh\na | mentallama y --z | head\n```\n") == {
        "mentallama x",
        "mentallama y --z",
    }
    assert sum(len(named_commands(page.read_text(encoding="utf-8"))) for page in PAGES) >= 30


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sample and recipes, and the scores of sample-linear: pages that run this recipe find it done."""
    folder = tmp_path_factory.mktemp("sample")
    for name in ("sample", "recipes"):
        shutil.copytree(ROOT / name, folder / name)
    with chdir(folder):
        run_recipe("recipes/sample-linear.yaml", until="evaluate", log=lambda _: None)
    return folder


PYTHON_SESSION = """
import json, sys
namespace = {"__name__": "__main__"}
for number, text in json.load(sys.stdin):
    print(f"--- {number}", flush=True)
    exec(compile(chr(10) * number + text, sys.argv[1], "exec"), namespace)
"""


def run_python(page: Path, folder: Path) -> Iterator[tuple[Block, str | None, str]]:
    """Run the Python blocks of a page in one session; yields each with the output shown and the real one."""
    found = list(commands(page.read_text(encoding="utf-8"), "python"))
    session = subprocess.run(
        [sys.executable, "-c", PYTHON_SESSION, page.name],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}"},
        input=json.dumps([(block.line, block.text) for block, _ in found]),
        check=False,
        text=True,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert session.returncode == 0, f"{page.name}: {session.stdout}"
    outputs = re.split(r"^--- \d+\n", session.stdout, flags=re.MULTILINE)[1:]
    for (block, shown), output in zip(found, outputs, strict=True):
        yield block, shown, output


@pytest.mark.slow
def test_examples_in_python_run_as_shown(sample_run: Path) -> None:
    """The blocks of a page share their names; the Korean README has those of the English one."""
    ran = compared = 0
    for page in PAGES:
        if page.name == "README.ko.md" or not any(commands(page.read_text(encoding="utf-8"), "python")):
            continue
        for block, shown, output in run_python(page, sample_run):
            ran += 1
            if shown is not None:
                assert shows(shown, output), f"{page.name}, line {block.line} shows\n{shown}\nbut\n{output}"
                compared += 1
    assert ran >= 10
    assert compared >= 9


def test_python_blocks_share_their_names_and_a_failure_says_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A\n\n```python\nx = 1\n```\n\n```python\nprint(x)\n```\n\n```text\n1\n```\n", "utf-8")
    assert [(shown, output) for _, shown, output in run_python(page, tmp_path)] == [
        (None, ""),
        ("1\n", "1\n"),
    ]
    page.write_text("text\n\n```python\nx = 1\nx.y\n```\n", "utf-8")
    with pytest.raises(AssertionError, match=r'File "page\.md", line 5'):
        list(run_python(page, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("module", ["analysts.base", "attribution.opening", "pipeline.run"])
def test_examples_of_docstrings_run_where_the_sample_is(module: str, sample_run: Path) -> None:
    """Those that need no model run in tests/test_public_names.py."""
    with chdir(sample_run):
        tested = doctest.testmod(importlib.import_module(f"mentallama.{module}"))
    assert tested.failed == 0
    assert tested.attempted >= 3


@pytest.mark.slow
def test_the_notebook_shows_what_its_cells_give(sample_run: Path) -> None:
    """`python docs/notebook.py` stores the outputs."""
    spec = importlib.util.spec_from_file_location("notebook", DOCS / "notebook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stored = json.loads((DOCS / "notebook.ipynb").read_text(encoding="utf-8"))
    executed = json.loads(module.execute_notebook(sample_run))
    for cell, again in zip(stored["cells"], executed["cells"], strict=True):
        assert cell == again, "run python docs/notebook.py"
    assert stored == executed
    assert sum(bool(cell.get("outputs")) for cell in stored["cells"]) >= 6


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


def test_yaml_in_the_pages_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes and parts of them, and files of criterion packs."""
    recipes = packs = 0
    for page in PAGES:
        monkeypatch.chdir(page.parent)  # folders beside the page, such as tasks/
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.language != "yaml":
                continue
            where, file = f"{page.name}, line {block.line}", tmp_path / "block.yaml"
            if re.search(r"^items:", block.text, re.MULTILINE):
                file.write_text(block.text, encoding="utf-8")
                pack = read_pack(file)
                phrases = [phrase for own in pack.symptoms.values() for phrase in own.phrases["en"]]
                example = " ".join(phrases).translate(str.maketrans("", "", "*<>"))
                assert SymptomMatcher({pack.name: pack}).find(example, "en").mentions, where
                packs += 1
            else:
                complete = block.text if "name:" in block.text else f"name: part\ndata: data\n{block.text}"
                file.write_text(complete, encoding="utf-8")
                assert recipe_stages(read_recipe(file)), where
                recipes += 1
    assert recipes >= 2
    assert packs >= 1


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


@pytest.fixture
def docs_copy(tmp_path: Path) -> Path:
    return shutil.copytree(DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns("__pycache__"))


def test_an_outdated_page_is_found_and_rewritten(docs_copy: Path) -> None:
    page = docs_copy / "recipes.md"
    page.write_text(page.read_text(encoding="utf-8").replace("leak_guard", "leak_gaurd"), encoding="utf-8")
    done = generate("--check", docs=docs_copy)
    assert done.returncode == 1
    assert done.stderr == "docs/recipes.md is out of date; run python docs/generate.py\n"
    assert generate(docs=docs_copy).returncode == 0
    assert page.read_bytes() == (DOCS / "recipes.md").read_bytes()


def test_a_stage_without_a_section_in_the_recipe_page_is_refused(docs_copy: Path) -> None:
    script = docs_copy / "generate.py"
    text = script.read_text(encoding="utf-8")
    script.write_text(text.replace('"report": (Report, "report."),', ""), encoding="utf-8")
    done = generate("--check", docs=docs_copy)
    assert done.returncode == 1
    assert done.stderr == "docs/generate.py: report: add the settings of this stage to MODELS\n"


def test_data_formats_describe_every_file_of_a_run() -> None:
    page = (DOCS / "data_formats.md").read_text(encoding="utf-8")
    names = {
        value.rpartition("/")[2]
        for key, value in vars(run_files).items()
        if key.endswith(("_FILE", "_PATH", "_FOLDER"))
    }
    described = " ".join(re.findall(r"^\*\*`(.+?)`\*\*", page, re.MULTILINE))
    assert [name for name in names if name not in described and f"## {name}\n" not in page] == []
    assert len(names) >= 30


def test_the_table_of_models_lists_every_analyst() -> None:
    page = (DOCS / "predict.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+):", page, re.MULTILINE)) == sorted(ANALYSTS)


def missing_files(markdown: str, folder: Path) -> list[str]:
    """Python files and folders of the repository that a page names in backticks and that do not exist.

    They are relative to the page, to the repository or to the package.
    """
    paths = set(
        re.findall(r"`((?:[\w.]+/)*\w+\.py|(?:src|tests|docs|recipes|benchmarks|sample)/[\w./-]*)`", markdown)
    )
    bases = (folder, ROOT, ROOT / "src/mentallama")
    return sorted(path for path in paths if not any((base / path).exists() for base in bases))


@every_page
def test_pages_name_files_that_exist(page: Path) -> None:
    assert missing_files(page.read_text(encoding="utf-8"), page.parent) == []


def test_a_file_that_does_not_exist_is_found() -> None:
    text = "`records.py`, `text/pii.py`, `text/gone.py`, `tests/test_docs.py` and `docs/gone.md`"
    assert missing_files(text, DOCS) == ["docs/gone.md", "text/gone.py"]


def test_the_architecture_page_names_packages_that_exist() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("<!-- map -->")[0]
    folders = set(re.findall(r"`((?:\w+/)+)`", text))
    bases = (ROOT, ROOT / "src/mentallama")
    assert [folder for folder in folders if not any((base / folder).is_dir() for base in bases)] == []
    assert len(folders) >= 20
    assert len(re.findall(r"`(?:\w+/)*\w+\.py`", text)) >= 80


def outside_code(markdown: str) -> str:
    return re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)


def anchors(markdown: str) -> set[str]:
    """The anchors that GitHub derives from the headings."""
    titles = re.findall(r"^#+ (.+)$", outside_code(markdown), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> list[str]:
    """Relative links of a page to a file or a heading that does not exist."""
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
def test_links_are_valid(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    links = "[x](page.md#a-b) [y](gone.md) [z](#c) [w](https://example.org)"
    page.write_text(f"# A b\n{links}\n", encoding="utf-8")
    assert broken_links(page) == ["gone.md", "#c"]
    assert sum(len(relative_links(path.read_text(encoding="utf-8"))) for path in PAGES) >= 20


MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|work|mnt|Users|opt|usr|var)/|\b[A-Z]:\\")


@every_page
def test_no_page_names_a_folder_of_one_machine(page: Path) -> None:
    assert MACHINE_PATH.findall(page.read_text(encoding="utf-8")) == []


def test_a_folder_of_one_machine_is_found() -> None:
    assert MACHINE_PATH.search("see `/home/someone/data`")
    assert not MACHINE_PATH.search("see https://example.org/home/x and docs/home/")


# --- the two READMEs ------------------------------------------------------------------------------


def readmes() -> tuple[str, str]:
    english, korean = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))
    return english, korean


def levels(markdown: str) -> list[int]:
    return [len(marks) for marks in re.findall(r"^(#+) ", outside_code(markdown), re.MULTILINE)]


def numbers(markdown: str) -> list[str]:
    """All numbers outside code blocks, sorted, because word order differs between languages."""
    return sorted(re.findall(r"\d+(?:[.,]\d+)*", outside_code(markdown)))


def table_shapes(markdown: str) -> list[int]:
    """Number of separators in each line of each table."""
    return [line.count("|") for line in outside_code(markdown).splitlines() if line.startswith("|")]


def code_words(markdown: str) -> list[str]:
    """Inline code outside code blocks, sorted."""
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
    # Anchors are in the language of the page, and each README links to the other one.
    english, korean = (
        [re.sub("^#.*", "#", link) for link in relative_links(text) if not link.startswith("README")]
        for text in readmes()
    )
    assert english == korean
    assert len(english) >= 10
