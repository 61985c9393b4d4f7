"""Layers of the package, its import cycles, package sizes and class names, and the libraries that an import loads."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from mentallama.pipeline.registry import STAGES
from tests.factories.project import ROOT, SOURCE

STAGE_NAMES = tuple(stage.name for stage in STAGES)

RANKS: tuple[tuple[str, ...], ...] = (
    (
        "errors",
        "environment",
        "data_frames",
        "extras",
        "records",
        "safety",
        "parallel",
        "program",
        "progress",
        "run_files",
    ),
    ("text", "files", "tasks", "answers", "metrics", "prompts"),
    ("symptoms",),
    ("config",),
    ("llm_api",),
    ("analysts",),
    ("attribution",),
    ("explanation_metrics",),
    ("pipeline.stage", "pipeline.cache_key", "pipeline.run_lock"),
    STAGE_NAMES,
    (
        "pipeline",
        "erasure",
        "export",
        "doctor",
        "reproduce",
        "robustness",
        "meta_evaluation",
        "symptom_extraction",
    ),
    ("cli",),
    ("__init__", "__main__"),
)
"""Layers from the bottom to the top. The longest prefix of a module's name decides its layer; a module imports only
modules of its own or of a lower layer."""

BETWEEN_STAGES = {
    "report": {
        "collect.summary",
        "check.output.gate_report_schema",
        "evaluate.kinds.part_counts",
        "evaluate.kinds.part_table",
        "evaluate.scores",
        "evaluate.selective",
        "evaluate.score_file",
        "evaluate.published.paper_results",
        "evaluate.prediction_source",
        "explain.results",
    },
    "predict.post_sources": {"collect.readers", "collect.clean_batch"},
    "teach.stage": {"train.linear.trainer"},
    "evaluate.explanation_cases": {"explain.results"},
    "explain.stage": {"predict.questions", "predict.stage"},
}
"""Importing package or module -> the modules of other stages that it may import. `report` needs the schemas of the
files it shows, reads the answers that were scored as `evaluate` does, and scores the rows that systems share as it
does; `predict` reads and cleans posts that no run has collected as `collect` does; the embedded teacher of `teach` is a
quickly trained linear analyst; `explain` asks the analyst of `predict`, opened as there, about its
questions, and `evaluate` compares written reasons with this evidence."""

MAX_MODULES = 12
"""Modules in a package, without __init__."""

HEAVY = frozenset(
    (
        "aiohttp", "ftfy", "jinja2", "matplotlib", "numpy", "openpyxl", "py3langid", "pyarrow", "rapidfuzz", "ray",
        "rensa", "rich", "scipy", "sklearn", "torch", "transformers",
    )
)  # fmt: skip
"""Libraries that a command must not load before it needs them: modules that all commands import defer them."""

OPTIONAL = frozenset(
    (
        "accelerate", "bitsandbytes", "datasets", "huggingface_hub", "lime", "mlcroissant", "pandas", "peft",
        "phonenumbers", "polars", "pyarrow", "ray", "safetensors", "shap", "tensorboard", "tokenizers", "torch",
        "transformers", "vllm",
    )
)  # fmt: skip
"""Libraries that an install without extras lacks."""

Graph = Mapping[str, frozenset[str]]
"""Module -> the modules of the package that it imports, also inside functions; names without the leading package."""


def find_modules(source: Path) -> dict[str, Path]:
    """Every module below `source`/mentallama by its name; the package itself is `__init__`."""
    paths = sorted((source / "mentallama").rglob("*.py"))
    names = [".".join(path.relative_to(source / "mentallama").with_suffix("").parts) for path in paths]
    return {name.removesuffix(".__init__"): path for name, path in zip(names, paths, strict=True)}


def import_graph(source: Path) -> Graph:
    modules = find_modules(source)
    graph = {}
    for name, path in modules.items():
        imported: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: a relative import"
                imported.update(f"{node.module}.{alias.name}" for alias in node.names)
        graph[name] = frozenset(_package_modules(imported, modules)) - {name}
    return graph


def _package_modules(imported: Iterable[str], modules: Mapping[str, Path]) -> set[str]:
    """The modules behind imported names: `mentallama.tasks.Task` is in the module `tasks`."""
    targets = set()
    for full_name in imported:
        package, _, name = full_name.partition(".")
        while package == "mentallama" and name:
            if name in modules:
                targets.add(name)
                break
            name = name.rpartition(".")[0]
    return targets


def rank(module: str) -> int:
    """The layer of a module, as an index into RANKS."""
    prefixes = {prefix: number for number, names in enumerate(RANKS) for prefix in names}
    name = module
    while name not in prefixes:
        name = name.rpartition(".")[0]
        assert name, f"{module}: RANKS does not say which layer this module is in"
    return prefixes[name]


def layer_violations(graph: Graph) -> list[str]:
    """Imports of a higher layer, and imports between stages."""
    violations = []
    for module, imported in sorted(graph.items()):
        package = module.partition(".")[0]
        allowed = BETWEEN_STAGES.get(package, set()) | BETWEEN_STAGES.get(module, set())
        for target in sorted(imported):
            other = target.partition(".")[0]
            between_stages = {package, other} <= set(STAGE_NAMES) and package != other
            if rank(target) > rank(module) or (between_stages and target not in allowed):
                violations.append(f"{module} imports {target}")
    return violations


def import_cycles(graph: Graph) -> list[set[str]]:
    """Groups of modules that import one another, directly or not."""
    reachable: dict[str, set[str]] = {}
    for module in graph:
        seen: set[str] = set()
        waiting = list(graph[module])
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting.extend(graph[name])
        reachable[module] = seen
    cycles: list[set[str]] = []
    for module, seen in reachable.items():
        cycle = {other for other in seen if module in reachable[other]}
        if cycle and cycle not in cycles:
            cycles.append(cycle)
    return cycles


def unused_exceptions(graph: Graph) -> list[str]:
    """Imports that BETWEEN_STAGES allows and no module makes."""
    unused = []
    for importer, allowed in BETWEEN_STAGES.items():
        modules = [module for module in graph if module == importer or module.startswith(f"{importer}.")]
        used = {target for module in modules for target in graph[module]}
        unused += [f"{importer} imports {target}" for target in sorted(allowed - used)]
    return unused


def oversized_packages(source: Path) -> dict[str, int]:
    """Packages with more than MAX_MODULES modules, and how many they hold."""
    folders = Counter(path.parent for path in find_modules(source).values() if path.name != "__init__.py")
    return {folder.name: count for folder, count in folders.items() if count > MAX_MODULES}


def class_definitions(source: Path) -> dict[str, list[str]]:
    """Class name -> the modules that define a class of this name, at any level."""
    definitions = defaultdict(list)
    for name, path in find_modules(source).items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                definitions[node.name].append(name)
    return definitions


OTHER_SPELLING = re.compile(
    r"(?:^|_)[a-z]+(?:[lmnrt]is(?:e[drs]?|ing|ation)|lys(?:e[dr]?|ing))(?=_|$)|labeled|labeler|labeling"
)
"""What is spelled -ize and -yze, as in libraries, or labelled, in the names of this package."""


def identifiers(source: Path) -> set[str]:
    """Names of functions, classes, parameters and variables that the package defines."""
    defined: set[str] = set()
    for path in find_modules(source).values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                defined.add(node.name)
            elif isinstance(node, ast.arg):
                defined.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                defined.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                defined.add(node.attr)
    return defined


def misspelled(names: Iterable[str]) -> list[str]:
    """Names with a word that the package spells in another way elsewhere."""
    snake = {name: re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower() for name in names}
    return sorted(name for name, words in snake.items() if OTHER_SPELLING.search(words))


def repeated_classes(source: Path) -> dict[str, list[str]]:
    return {name: modules for name, modules in class_definitions(source).items() if len(modules) > 1}


# --- the package -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def graph() -> Graph:
    return import_graph(SOURCE)


def test_modules_import_only_their_own_and_lower_layers(graph: Graph) -> None:
    assert layer_violations(graph) == []


def test_every_exception_between_stages_is_used(graph: Graph) -> None:
    assert unused_exceptions(graph) == []


def test_no_modules_import_each_other(graph: Graph) -> None:
    assert import_cycles(graph) == []


def test_packages_hold_at_most_a_dozen_modules() -> None:
    assert oversized_packages(SOURCE) == {}


def test_no_class_name_is_defined_twice() -> None:
    assert repeated_classes(SOURCE) == {}


def test_identifiers_have_one_spelling() -> None:
    found = identifiers(SOURCE)
    assert misspelled(found) == []
    assert {"analyze", "normalize_code", "tokenize", "LabelledText"} <= found
    wrong = ["analyse", "AnalyseCommand", "normalise_code", "QUANTISATION", "optimiser", "labeled_posts"]
    right = [
        "analysis",
        "analyst",
        "analyses",
        "rise",
        "noise",
        "raises",
        "otherwise",
        "precision",
        "is_else",
    ]
    assert misspelled([*wrong, *right]) == sorted(wrong)


def test_every_stage_is_a_package_of_its_name(graph: Graph) -> None:
    assert len(STAGE_NAMES) >= 7
    for name in STAGE_NAMES:
        assert {f"{name}.stage", f"{name}.run"} <= set(graph)


def test_the_architecture_page_lists_the_layers() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = page.partition("| Layer, from the top |")[2].partition("\n\n")[0]
    cells = [line.split(" | ")[1] for line in table.splitlines()[2:]]
    listed = [
        {name.replace("/", ".") for name in re.findall(r"`([\w/]+?)(?:/|\.py)`", cell)} for cell in cells
    ]
    assert listed == [set(names) for names in RANKS[-2::-1]]


MEASURED_MODULES, MEASURED_IMPORTS, MEASURED_CLASSES, MEASURED_LIGHT = 347, 1806, 428, 318


def test_the_tests_above_saw_the_whole_package(graph: Graph) -> None:
    """Lower bounds: the numbers when this was last measured, less a tenth."""
    assert len(graph) >= MEASURED_MODULES * 0.9
    assert sum(map(len, graph.values())) >= MEASURED_IMPORTS * 0.9
    assert len(class_definitions(SOURCE)) >= MEASURED_CLASSES * 0.9
    assert "train.run" in graph["pipeline.torchrun"]  # an import inside a function
    assert "tasks" in graph["config.loading"]  # a name that a package re-exports


# --- the checks find planted violations ------------------------------------------------------------------


def write_module(folder: Path, name: str, content: str) -> None:
    path = folder / "mentallama" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"import json\n{content}\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "statement", "imported"),
    [
        ("files/record_files", "from mentallama.analysts.base import Analyst", "analysts/base"),
        ("tasks/schema", "from mentallama import config", "config/__init__"),
        ("analysts/base", "import mentallama.train.run", "train/run"),
        ("collect/run", "from mentallama.evaluate import run", "evaluate/run"),
        ("predict/run", "def f():\n    from mentallama.train.run import g", "train/run"),
        ("evaluate/run", "from mentallama.cli.app import app", "cli/app"),
        ("teach/stage", "from mentallama.pipeline.registry import STAGES", "pipeline/registry"),
        # an exception for post_sources only
        ("predict/run", "from mentallama.collect.readers import f", "collect/readers"),
    ],
)
def test_an_import_of_a_higher_layer_or_another_stage_is_found(
    module: str, statement: str, imported: str, tmp_path: Path
) -> None:
    write_module(tmp_path, module, statement)
    write_module(tmp_path, imported, "")
    target = imported.removesuffix("/__init__").replace("/", ".")
    assert layer_violations(import_graph(tmp_path)) == [f"{module.replace('/', '.')} imports {target}"]


@pytest.mark.parametrize(
    ("module", "statement", "imported"),
    [
        ("files/record_files", "from mentallama.errors import DataError", "errors"),
        ("train/run", "from mentallama.analysts.base import Analyst", "analysts/base"),
        ("train/run", "from mentallama.train.linear.fit import fit", "train/linear/fit"),
        ("collect/stage", "from mentallama.pipeline.stage import Stage", "pipeline/stage"),
        ("report/run", "from mentallama.evaluate.score_file import ScoreFile", "evaluate/score_file"),
        ("cli/app", "from mentallama.collect.run import run", "collect/run"),
    ],
)
def test_an_allowed_import_is_no_violation(
    module: str, statement: str, imported: str, tmp_path: Path
) -> None:
    write_module(tmp_path, module, statement)
    write_module(tmp_path, imported, "")
    graph = import_graph(tmp_path)
    assert graph[module.replace("/", ".")] == {imported.replace("/", ".")}
    assert layer_violations(graph) == []


def test_a_cycle_is_found_also_through_a_deferred_import(tmp_path: Path) -> None:
    write_module(tmp_path, "train/a", "from mentallama.train.b import x")
    write_module(tmp_path, "train/b", "def f():\n    from mentallama.train import c")
    write_module(tmp_path, "train/c", "import mentallama.train.a")
    write_module(tmp_path, "train/d", "import mentallama.train.a")
    assert import_cycles(import_graph(tmp_path)) == [{"train.a", "train.b", "train.c"}]


def test_an_import_in_a_type_checking_block_closes_a_cycle_too(tmp_path: Path) -> None:
    write_module(tmp_path, "text/a", "if TYPE_CHECKING:\n    from mentallama.text.b import x")
    write_module(tmp_path, "text/b", "from mentallama.text.a import y")
    assert import_cycles(import_graph(tmp_path)) == [{"text.a", "text.b"}]


def test_a_relative_import_is_refused(tmp_path: Path) -> None:
    write_module(tmp_path, "text/a", "from .b import x")
    with pytest.raises(AssertionError, match="a relative import"):
        import_graph(tmp_path)


def test_an_exception_that_no_module_needs_is_found() -> None:
    graph = {"predict.post_sources": frozenset({"collect.readers"}), "teach.stage": frozenset[str]()}
    unused = unused_exceptions(graph)
    assert "predict.post_sources imports collect.clean_batch" in unused
    assert "predict.post_sources imports collect.readers" not in unused
    assert "teach.stage imports train.linear.trainer" in unused


def test_a_thirteenth_module_is_found(tmp_path: Path) -> None:
    for number in range(MAX_MODULES):
        write_module(tmp_path, f"text/module_{number}", "")
    write_module(tmp_path, "text/__init__", "")
    assert oversized_packages(tmp_path) == {}
    write_module(tmp_path, "text/one_more", "")
    assert oversized_packages(tmp_path) == {"text": 13}


def test_a_class_name_that_is_defined_twice_is_found(tmp_path: Path) -> None:
    write_module(tmp_path, "text/a", "class Token: ...\nclass Span: ...")
    write_module(tmp_path, "train/b", "def f():\n    class Token: ...")
    assert repeated_classes(tmp_path) == {"Token": ["text.a", "train.b"]}


def test_a_module_without_a_layer_must_be_given_one() -> None:
    with pytest.raises(AssertionError, match="utils: RANKS does not say"):
        rank("utils")


# --- libraries that an import loads ----------------------------------------------------------------------


def loaded_libraries(statement: str) -> set[str]:
    """Top-level packages in memory after a fresh Python has run a statement."""
    code = f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(SOURCE)},
    )
    return set(done.stdout.split())


def test_a_bare_import_loads_nothing_heavy() -> None:
    modules = ("cli.app", "pipeline.runner", "config", "answers.parse", "files.record_files", "text.pii")
    libraries = loaded_libraries("import " + ", ".join(f"mentallama.{module}" for module in modules))
    assert "mentallama" in libraries
    assert libraries & HEAVY == set()
    assert "scipy" in loaded_libraries("import scipy.sparse") & HEAVY  # it would be seen


BARE_INSTALL = """
import importlib, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in OPTIONAL:
            raise ModuleNotFoundError(f"{name} is hidden", name=name.partition(".")[0])

sys.meta_path.insert(0, Hidden())
for module in MODULES:
    try:
        importlib.import_module(module)
        print(module, "imported")
    except ModuleNotFoundError as error:
        print(module, error.name)
"""
"""Imports modules as if the optional libraries were not installed."""


def missing_libraries(source: Path) -> dict[str, str]:
    """Module -> the library without which it cannot be imported, or "imported"; without the optional libraries."""
    modules = [f"mentallama.{name}" for name in find_modules(source) if name not in {"__init__", "__main__"}]
    done = subprocess.run(
        [sys.executable, "-c", f"OPTIONAL, MODULES = {set(OPTIONAL)}, {modules}\n{BARE_INSTALL}"],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(source)},
    )
    return dict(line.split() for line in done.stdout.splitlines())


def test_without_extras_every_module_that_needs_none_is_imported() -> None:
    outcomes = Counter(missing_libraries(SOURCE).values())
    assert set(outcomes) <= OPTIONAL | {"imported"}
    assert outcomes["imported"] >= MEASURED_LIGHT * 0.9


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    write_module(tmp_path, "__init__", "")
    write_module(tmp_path, "neural", "import torch.nn")
    write_module(tmp_path, "broken", "import no_such_library")
    write_module(tmp_path, "light", "import csv")
    assert missing_libraries(tmp_path) == {
        "mentallama.neural": "torch",
        "mentallama.broken": "no_such_library",
        "mentallama.light": "imported",
    }
