"""Write the pages in docs/ that are generated from the code, or check that they are up to date.

    python docs/generate.py            # tasks, commands, recipes, data_formats, parts of architecture and explanations
    python docs/generate.py --check    # writes nothing; exit code 1 and the names of outdated pages

The same code gives the same bytes: nothing depends on the clock or the machine, and help pages have a fixed width.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from data_formats import data_formats_page, field_docs
from pydantic import BaseModel
from typer.main import get_command

import mentallama
from mentallama.cli.app import app
from mentallama.config import (
    CausalSettings,
    Check,
    Collect,
    EncoderSettings,
    Evaluate,
    Explain,
    FromScratchSettings,
    Judge,
    LinearSettings,
    LoraSettings,
    MajoritySettings,
    Predict,
    Publication,
    Recipe,
    Report,
    Seq2seqSettings,
    Teach,
    Teacher,
)
from mentallama.explanation_metrics.registry import EXPLANATION_METRICS
from mentallama.tasks import ColumnMap, LabelsFile, Source, load_tasks
from mentallama.tasks.task_page import catalogue_page

DOCS = Path(__file__).parent
WIDTH = 100
"""Width of a help page in characters."""

EDIT = "by `python docs/generate.py`; do not edit by hand."

MODELS: dict[str, tuple[type[BaseModel], str]] = {
    "keys of the recipe": (Recipe, ""),
    "collect": (Collect, "collect."),
    "a table in collect.tables": (Source, "table."),
    "the columns of a table": (ColumnMap, "columns."),
    "labels in a second file, labels_file": (LabelsFile, "labels_file."),
    "teach": (Teach, "teach."),
    "a teacher in teach.teacher": (Teacher, "teacher."),
    "check": (Check, "check."),
    "the publication of a data set, check.publication": (Publication, "publication."),
    "train, analyst: linear": (LinearSettings, "linear."),
    "train, analyst: majority": (MajoritySettings, "majority."),
    "train, analyst: encoder": (EncoderSettings, "encoder."),
    "train, analyst: causal": (CausalSettings, "causal."),
    "a model from scratch in train.from_scratch": (FromScratchSettings, "from_scratch."),
    "LoRA in train.lora": (LoraSettings, "lora."),
    "train, analyst: seq2seq": (Seq2seqSettings, "seq2seq."),
    "predict": (Predict, "predict."),
    "explain": (Explain, "explain."),
    "evaluate": (Evaluate, "evaluate."),
    "the judge of explanations in evaluate.judge": (Judge, "judge."),
    "report": (Report, "report."),
}
"""Section -> its model, and the prefix of its keys in KEY_DOCS."""

KEY_DOCS: dict[str, str] = {
    "name": "The run's name; its folder is `runs/NAME`.",
    "data": "The [data folder](data.md). A relative path is relative to the working directory.",
    "form": "The published form of questions and answers.",
    "seed": "Random seed of the splits that are drawn, of training, and of the bootstrap.",
    "jobs": "Number of processes for cleaning posts and fitting models.",
    "collect": "Settings of the stage, see below.",
    "teach": "Settings of the stage, see below and [Teach](teach.md).",
    "check": "Settings of the stage, see below and [Check](check.md).",
    "train": "Settings of the stage, see below.",
    "predict": "Settings of the stage, see below.",
    "explain": "Settings of the stage, see below and [Explain](explain.md).",
    "evaluate": "Settings of the stage, see below.",
    "report": "Settings of the stage, see below.",
    "collect.validation_share": "Share of posts drawn for validation if the files of a set define no validation split.",
    "collect.test_share": "Share of posts drawn for testing if the files of a set define no test split.",
    "table.file": "Path below `sources/SET/`, see [Data](data.md#your-own-table) for the formats. A folder, or a "
    "pattern such as `subject*.xml`, stands for the tables in it.",
    "table.columns": "Which column holds which field of a post, see below.",
    **{
        f"{prefix}.encoding": "Encoding of a text file, by its name in Python. A byte order mark overrides it."
        for prefix in ("table", "labels_file")
    },
    "labels_file.file": "Path below `sources/SET/`.",
    "table.codes": "Value of the label column -> label; values that are label names need no code.",
    "table.separator": "Splits an evidence cell into several spans.",
    "columns.author": "Column of the author. Authors are hashed; all posts of an author are put into one split.",
    "columns.time": "Column of the time of posting.",
    "columns.split": "Column that names the split: train, validation (val, valid, dev) or test.",
    "columns.language": "Column of the language; default: the language of the task.",
    "judge.max_tokens": "Longest reply in tokens. A verdict is short; a model that thinks first needs more.",
    "teach.teacher": "One teacher or several, each as its spec or with the keys below. Every teacher gets every "
    "question; disagreements are recorded.",
    "teach.ledger": "SQLite file of the completions, which are paid for only once; default: `ledger.sqlite` in the "
    "run's folder.",
    "teach.prompt": "The prompt asks for label and reason (`zero-shot`), for the same after examples (`few-shot`), or "
    "for the reason for the data set's label (`label-given`).",
    "teacher.requests_per_minute": "The provider's rate limit. Without one, the client adapts to the server's "
    "responses only.",
    "teacher.tokens_per_minute": "The provider's limit on tokens, in the same way.",
    "teacher.max_tokens": "Maximum number of tokens of an answer.",
    "teacher.temperature": "Sampling temperature; 0 for the most likely answer.",
    **dict.fromkeys(
        ("linear.analyst", "majority.analyst", "encoder.analyst", "causal.analyst", "seq2seq.analyst"),
        "The kind of analyst.",
    ),
    **{
        f"{kind}.{name}": meaning
        for kind in ("encoder", "causal", "seq2seq")
        for name, meaning in {
            "epochs": "Number of passes over the training rows.",
            "learning_rate": "Peak learning rate (AdamW, Loshchilov and Hutter 2019).",
            "schedule": "Decay of the learning rate after the warm-up.",
            "weight_decay": "Weight decay of matrices; biases and norms have none.",
            "device": "auto: a GPU if there is one.",
        }.items()
    },
    "encoder.base": "The encoder to start from: a folder, or an id on the Hugging Face hub.",
    "encoder.pooling": "Pooling of the token vectors: their mean, or the first token's vector.",
    "encoder.dropout": "Dropout before the heads.",
    "seq2seq.base": "The model to start from: a folder, or an id on the Hugging Face hub.",
    "from_scratch.hidden_size": "Width of the model.",
    "from_scratch.num_hidden_layers": "Number of layers.",
    "from_scratch.num_attention_heads": "Attention heads of a layer.",
    "lora.rank": "Rank of the adapters.",
    "lora.alpha": "The adapters are scaled by alpha / rank.",
    "lora.dropout": "Dropout before the adapters.",
    "lora.load_in_4bit": "Load the base in 4 bits (NF4).",
    "encoder.class_weights": "`balanced` gives every label of a question the same total weight.",
    "linear.class_weights": "Weightings to choose from; `balanced` gives every label the same total weight.",
    "linear.max_word_ngram": "1: single words; 2: word pairs too.",
    "linear.char_ngram_range": "Shortest and longest character n-grams inside a word.",
    "predict.splits": "Splits whose labelled questions are answered; only the test split is scored.",
    "report.title": "Title of the page; default: the name of the recipe.",
}
"""Descriptions of keys whose fields have no docstring."""

DEFAULTS = {
    "teach.teacher": '`"embedded"`',
    "evaluate.judge": "its defaults",
    **dict.fromkeys(Recipe.stage_names(), "not run"),
}
"""Defaults that differ from the value in the model: its spelling in a recipe, and keys whose absence is not null."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Write or check the generated pages of docs/.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is out of date")
    check = parser.parse_args().check
    stale = [name for name, page in PAGES.items() if not _is_current(DOCS / name, page())]
    for name in stale:
        if check:
            print(f"docs/{name} is out of date; run python docs/generate.py", file=sys.stderr)
        else:
            (DOCS / name).write_text(PAGES[name](), encoding="utf-8")
            print(f"docs/{name}: written")
    return int(check and bool(stale))


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def tasks_page() -> str:
    """The task catalogue."""
    return catalogue_page(load_tasks().values())


def commands_page() -> str:
    """The help page of every command, in the order of `mentallama --help`."""
    head = (
        f"# Commands\n\nGenerated from the command line {EDIT}\n\n"
        "Exit codes: 0 done, 1 failed, 2 usage error, 3 finished, but more rows were rejected or more requests failed\n"
        "than the recipe allows, or raters rejected the data.\n\n"
        "`mentallama --install-completion` lets bash, zsh or fish complete commands, options,\n"
        "recipes, tasks and models.\n\n"
        "An error is one sentence. If it says that the error is unexpected, `MENTALLAMA_DEBUG=1` before the same\n"
        "command shows where in the program it arose; read such a text before you pass it on, as it may hold posts.\n"
    )
    pages = _help_pages(get_command(app), "mentallama", None)
    return "\n".join([head, *(f"## {name}\n\n```text\n{page}\n```\n" for name, page in pages)])


def _help_pages(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
    context = command.context_class(
        command,
        info_name=name,
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        **command.context_settings,
    )
    page = "\n".join(line.rstrip() for line in context.get_help().splitlines())
    yield context.command_path, page
    for child_name, child in getattr(command, "commands", {}).items():
        yield from _help_pages(child, child_name, context)


def recipes_page() -> str:
    """Every key of a recipe: its type, default and meaning."""
    undocumented = [
        stage for stage in Recipe.stage_names() if stage not in {title.partition(",")[0] for title in MODELS}
    ]
    if undocumented:
        raise SystemExit(
            f"docs/generate.py: {', '.join(undocumented)}: add the settings of this stage to MODELS"
        )
    known = {prefix + name for model, prefix in MODELS.values() for name in model.model_fields}
    unknown = sorted(set(KEY_DOCS) - known)
    if unknown:
        raise SystemExit(f"docs/generate.py: no such keys: {', '.join(unknown)}; remove them from KEY_DOCS")
    parts = [
        f"# Recipes\n\nGenerated from `src/mentallama/config/` {EDIT}\n\n"
        "A recipe is a YAML file that describes one experiment. A stage whose key is absent is not run; a key\n"
        "without a value (`train:`) runs the stage with its defaults. `--set KEY=VALUE` overrides a key for one\n"
        "run, spelled as below; `[0]` is the first item of a list (`teach.teacher[0].max_tokens=900`), and `null`\n"
        "unsets a key.\n"
        "\n"
        "The whole recipe is checked before any work starts. First the keys: all faults are listed at once, each\n"
        "with its line; unknown keys and keys that stand twice are faults. Then the run: whether each stage will\n"
        "have the files that it reads, from an earlier stage or an earlier run, and whether the models, files, API\n"
        "keys and optional libraries that the recipe names are there.\n"
        "\n"
        "Values need no quotation marks: `no`, `1` and `2024-05-01` are labels and ids where text is wanted. Only\n"
        "`null`, `~` and nothing at all stand for no value.\n",
    ]
    for title, (model, prefix) in MODELS.items():
        parts.append(f"## {title}\n\n{_flat(inspect.getdoc(model) or '')}\n\n{_key_table(model, prefix)}\n")
    return "\n".join(parts)


def _key_table(model: type[BaseModel], prefix: str) -> str:
    schema, meanings = model.model_json_schema(), field_docs(model)
    lines = ["| Key | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
    fields = schema["properties"].items()  # the key that names the kind comes first
    for name, field in sorted(fields, key=lambda item: item[0] not in {"analyst", "spec"}):
        default = "required" if name in schema.get("required", ()) else _default(field.get("default"))
        default = DEFAULTS.get(prefix + name, default)
        meaning = KEY_DOCS.get(prefix + name) or meanings.get(name)
        if meaning is None:
            raise SystemExit(f"docs/generate.py: {prefix + name} is not documented; add it to KEY_DOCS")
        shown = _SHOWN.get(model, prefix) + name
        meaning = re.sub(r"\bNone\b", "null", _flat(meaning))
        cells = (f"`{shown}`", _type_name(field), default, meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


_SHOWN: dict[type[BaseModel], str] = {
    **dict.fromkeys((Source, ColumnMap, LabelsFile, Teacher), ""),
    **dict.fromkeys(
        (LinearSettings, MajoritySettings, EncoderSettings, CausalSettings, Seq2seqSettings), "train."
    ),
    FromScratchSettings: "train.from_scratch.",
    LoraSettings: "train.lora.",
    Judge: "evaluate.judge.",
}
"""Prefixes of keys as the page shows them, where they differ from those in KEY_DOCS."""


def _default(value: object) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _type_name(field: Mapping[str, Any]) -> str:
    """The type of a field in words, from its JSON schema."""
    if "anyOf" in field:
        return " or ".join(_type_name(option) for option in field["anyOf"] if option.get("type") != "null")
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    kind = "pair" if "prefixItems" in field else field.get("type", "keys")
    return _KINDS[kind](field)


def _number(field: Mapping[str, Any]) -> str:
    bounds = (f", {word} {field[key]:g}" for key, word in _BOUNDS.items() if field.get(key, 2**31) < 2**31)
    return ("number" if field["type"] == "number" else "whole number") + "".join(bounds)


def _mapping(values: object) -> str:
    """The type of a mapping with values of a schema; a mapping without one is shown as keys."""
    return f"name -> {_type_name(values)}" if isinstance(values, dict) and values else "keys"


_KINDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "keys": lambda _: "keys",
    "pair": lambda _: "two whole numbers",
    "array": lambda field: f"list of {_type_name(field['items'])}",
    "object": lambda field: _mapping(field.get("additionalProperties")),
    "boolean": lambda _: "true or false",
    "number": _number,
    "integer": _number,
    "string": lambda field: "path" if field.get("format") == "path" else "text",
}
_BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}


def _flat(text: str) -> str:
    return " ".join(text.split())


def architecture_page() -> str:
    """The page with an updated map of the modules."""
    return _with_part("architecture.md", "map", _module_map())


def explanations_page() -> str:
    """The page with an updated table of the metrics."""
    return _with_part("explanations.md", "metrics", _metric_table())


def _with_part(page: str, mark: str, content: str) -> str:
    """A page with new content between `<!-- mark -->` and `<!-- /mark -->`."""
    head, _, rest = (DOCS / page).read_text(encoding="utf-8").partition(f"<!-- {mark} -->\n")
    tail = rest.partition(f"<!-- /{mark} -->\n")[2]
    return f"{head}<!-- {mark} -->\n{content}<!-- /{mark} -->\n{tail}"


def _metric_table() -> str:
    lines = ["| Metric | Measures | Columns |", "| --- | --- | --- |"]
    for name, kind in EXPLANATION_METRICS.items():
        specs = [name] if kind.by_default else []
        specs += [] if kind.location is None else [f"{name}:LOCATION"]
        location = "" if kind.location is None else f"; LOCATION: {kind.location}"
        columns = ", ".join(f"`{column.name}`" for column in kind.columns)
        lines.append(f"| {', '.join(f'`{spec}`' for spec in specs)} | {kind.help}{location} | {columns} |")
    return "\n".join(lines) + "\n"


def _module_map() -> str:
    """A table of modules for each package, with the first sentence of each docstring."""
    root = Path(inspect.getfile(mentallama)).parent
    packages: dict[Path, list[Path]] = {}
    for path in sorted(root.rglob("*.py")):
        if path.name not in {"__init__.py", "__main__.py"}:
            packages.setdefault(path.parent, []).append(path)
    parts = []
    for package, paths in sorted(packages.items()):
        name = package.relative_to(root).as_posix()
        lines = [f"| `{path.relative_to(root).as_posix()}` | {_first_sentence(path)} |" for path in paths]
        title = "mentallama" if name == "." else name
        parts.append("\n".join([f"### {title}\n", "| Module | Contents |", "| --- | --- |", *lines, ""]))
    return "\n".join(parts)


def _first_sentence(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = _flat(docstring.partition("\n\n")[0])
    return re.split(r"(?<=[a-z)`])\. (?=[A-Z])", paragraph)[0].removesuffix(".").replace("|", "\\|") + "."


PAGES: dict[str, Callable[[], str]] = {
    "tasks.md": tasks_page,
    "commands.md": commands_page,
    "recipes.md": recipes_page,
    "data_formats.md": data_formats_page,
    "architecture.md": architecture_page,
    "explanations.md": explanations_page,
}

if __name__ == "__main__":
    sys.exit(main())
