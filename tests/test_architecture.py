"""Which module may import which, how large packages are, and what a bare import loads; read from the syntax tree."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from mentallama.pipeline.registry import STAGES
from tests.factories.project import SOURCE

STAGE_NAMES = tuple(stage.name for stage in STAGES)

RANKS: tuple[tuple[str, ...], ...] = (
    ("errors", "records", "safety", "parallel", "progress", "run_files"),
    ("text", "files", "tasks", "answers", "metrics", "prompts"),
    ("config",),
    ("llm_api",),
    ("analysts",),
    ("pipeline.stage", "pipeline.cache_key", "pipeline.run_lock"),
    STAGE_NAMES,
    ("pipeline", "erasure", "analysis"),
    ("cli",),
    ("__init__", "__main__"),
)
"""From the bottom to the top, by the longest matching prefix. A module imports only modules of its own or a lower
rank."""

BETWEEN_STAGES = {
    "report": {
        "collect.summary",
        "check.output.gate_report_schema",
        "evaluate.scores",
        "evaluate.score_file",
        "evaluate.paper_results",
    },
    "predict.post_sources": {"collect.readers", "collect.clean_batch"},
    "teach.stage": {"train.linear.trainer"},
}
"""What a stage may import of another one. report: schemas of the files it shows. predict: posts that no run has
collected are read and cleaned as collect does. teach: the embedded teacher is a quickly trained linear analyst."""

MAX_MODULES = 12
"""Modules in a package, without __init__."""

HEAVY = frozenset(
    (
        "aiohttp", "ftfy", "jinja2", "matplotlib", "numpy", "openpyxl", "py3langid", "pyarrow", "rapidfuzz", "ray",
        "rensa", "rich", "sacrebleu", "scipy", "sklearn", "torch", "transformers",
    )
)  # fmt: skip
"""Imported only inside the functions that need them, by every module that all commands pass through."""

OPTIONAL = frozenset(
    (
        "torch", "transformers", "peft", "trl", "vllm", "ray", "fastapi", "uvicorn", "httpx", "safetensors",
        "tokenizers",
    )
)  # fmt: skip
"""Not in a bare install, which imports every module that does not need them."""

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
        graph[name] = frozenset(_own_modules(imported, modules)) - {name}
    return graph


def _own_modules(imported: Iterable[str], modules: Mapping[str, Path]) -> set[str]:
    """Imported names as modules of the package: `mentallama.tasks.Task` is of the module `tasks`."""
    found = set()
    for full_name in imported:
        package, _, name = full_name.partition(".")
        while package == "mentallama" and name:
            if name in modules:
                found.add(name)
                break
            name = name.rpartition(".")[0]
    return found


def rank(module: str) -> int:
    """The layer of a module: its place in RANKS."""
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


# --- the tree ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def graph() -> Graph:
    return import_graph(SOURCE)


def test_modules_import_only_their_own_and_lower_layers(graph: Graph) -> None:
    assert layer_violations(graph) == []


def test_no_exception_between_stages_is_out_of_use(graph: Graph) -> None:
    for importer, allowed in BETWEEN_STAGES.items():
        used = {
            target
            for module, targets in graph.items()
            if module == importer or module.startswith(f"{importer}.")
            for target in targets
        }
        assert allowed <= used


def test_no_modules_import_each_other(graph: Graph) -> None:
    assert import_cycles(graph) == []


def test_packages_hold_at_most_a_dozen_modules() -> None:
    sizes = Counter(path.parent for path in find_modules(SOURCE).values() if path.name != "__init__.py")
    assert {str(folder): count for folder, count in sizes.items() if count > MAX_MODULES} == {}


def test_no_class_name_is_defined_twice() -> None:
    places = defaultdict(list)
    for name, path in find_modules(SOURCE).items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}
    assert len(places) >= MEASURED_CLASSES * 0.9


def test_every_stage_is_a_package_of_its_name(graph: Graph) -> None:
    for name in STAGE_NAMES:
        assert {f"{name}.stage", f"{name}.run"} <= set(graph)


MEASURED_MODULES, MEASURED_IMPORTS, MEASURED_CLASSES, MEASURED_LIGHT = 249, 1131, 297, 180


def test_the_tests_above_saw_the_whole_package(graph: Graph) -> None:
    """Lower bounds: the numbers when this was last measured, less a tenth."""
    assert len(graph) >= MEASURED_MODULES * 0.9
    assert sum(map(len, graph.values())) >= MEASURED_IMPORTS * 0.9
    assert "train.run" in graph["pipeline.torchrun"]  # an import inside a function
    assert "tasks" in graph["config.loading"]  # a name that a package re-exports


# --- the rules themselves ------------------------------------------------------------------------------


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
        (
            "predict/run",
            "from mentallama.collect.readers import f",
            "collect/readers",
        ),  # only post_sources may
    ],
)
def test_a_violation_is_found(module: str, statement: str, imported: str, tmp_path: Path) -> None:
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


def test_a_module_without_a_layer_must_be_given_one() -> None:
    with pytest.raises(AssertionError, match="utils: RANKS does not say"):
        rank("utils")


# --- what an import loads ------------------------------------------------------------------------------


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


def test_every_module_that_needs_nothing_optional_can_be_imported() -> None:
    missing = Counter(_missing_library(name) for name in find_modules(SOURCE))
    assert set(missing) <= OPTIONAL | {None}
    assert missing[None] >= MEASURED_LIGHT * 0.9


def _missing_library(module: str) -> str | None:
    """The library without which a module cannot be imported, if it is not installed."""
    try:
        importlib.import_module("mentallama" if module == "__init__" else f"mentallama.{module}")
    except ModuleNotFoundError as error:
        return error.name
    return None
