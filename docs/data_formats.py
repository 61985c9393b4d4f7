"""The content of docs/data_formats.md: every file of a run, with the fields of its records taken from the code."""

from __future__ import annotations

import ast
import inspect
import re
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel

from mentallama import run_files as names
from mentallama.check.gate_runner import QuoteMatches
from mentallama.check.output.gate_report_schema import DroppedResponse, GateReport
from mentallama.collect.readers import Reject
from mentallama.collect.summary import CollectSummary, LabelDrift, Overlap, Removal
from mentallama.evaluate.published.reader import ReaderDifference
from mentallama.evaluate.score_file import ScoreFile
from mentallama.evaluate.scores import ScoredRow
from mentallama.explain.reasons.dialogue import BoundReason
from mentallama.explain.results import EvidenceRow, FaithfulnessFile, MethodTiming
from mentallama.explanation_metrics.base import ExplanationRow
from mentallama.files.erasure_requests import ErasureList
from mentallama.files.manifest import Manifest
from mentallama.meta_evaluation.results import MetaEvaluation
from mentallama.predict.questions import QuestionRow
from mentallama.predict.run import PredictSummary
from mentallama.records import Example, Post, Prediction, Response, TrainingMetrics, UpstreamLabels, Verdict
from mentallama.report.comparison.comparison_file import ComparisonFile
from mentallama.reproduce.ledger import ClaimLedger
from mentallama.robustness.flips import FlipRow
from mentallama.robustness.report import RobustnessReport
from mentallama.teach.responses import Disagreement, FailedRequest
from mentallama.teach.scales.traces import ScaleTrace
from mentallama.teach.summary import TeachSummary


class File(NamedTuple):
    """A file: its name, a sentence about it, and the type of its lines or of the whole file."""

    name: str
    text: str
    record: type[BaseModel] | None = None


def _report_files(formats: Mapping[str, str]) -> str:
    return ", ".join(f"{names.REPORT_FILES_FOLDER}/NAME.{suffix}" for suffix in formats.values())


SECTIONS: dict[str, tuple[str, tuple[File, ...]]] = {
    "In the run's folder": (
        "Beside the folders of the stages, which a rerun replaces as a whole.",
        (
            File(names.LOCK_PATH, "Empty file, locked while a process works on the run."),
            File(
                names.ERASURE_LIST_PATH,
                "People to erase from the run; `collect` skips their posts.",
                ErasureList,
            ),
            File(
                names.LEDGER_PATH,
                "SQLite: every request to a teacher and its completion, see [Teach](teach.md).",
            ),
            File(f"{names.BATCH_FOLDER}/", "Requests and results of a provider's batch API."),
            File(
                names.DISAGREEMENTS_PATH,
                "Questions on whose label teacher and data set disagree; people decide, see [Check](check.md).",
            ),
            File(names.RATING_SAMPLE_PATH, "A sample of explanations for raters, see [Check](check.md)."),
            File(
                f"{names.CHECKPOINTS_FOLDER}/, {names.BASELINE_FILE}",
                "Checkpoints of neural training, with its metrics so far, and metrics of the untrained model; deleted "
                "when training is done.",
            ),
            File(
                f"{names.TENSORBOARD_FOLDER}/FINGERPRINT/",
                "With `train.tensorboard: true`: event files of each training, for `tensorboard --logdir`.",
            ),
            File(
                names.REASONS_LEDGER_PATH,
                "SQLite: the replies of the model that writes reasons for `explain`, and their costs.",
            ),
            File(
                names.JUDGE_LEDGER_PATH,
                "SQLite: the verdicts of an LLM judge, and their costs; also beside the results of `evaluate "
                "--benchmark` and `meta-evaluate`.",
            ),
            File(
                "predicted-KEY.ledger.sqlite",
                "With prices: SQLite, the completions that `predict` paid for, and their costs; deleted with the "
                "journal.",
            ),
            File(
                "predicted-KEY.part.jsonl",
                "Journal of `predict`: the predictions of an unfinished run; deleted when it is done.",
            ),
            File(
                "explained-KEY.ledger.sqlite, explained-KEY.part.jsonl",
                "The same of `explain`: completions that it paid for, and evidence, without any text of a post.",
            ),
            File(".STAGE.partial/", "Output of a stage that is running or was interrupted."),
        ),
    ),
    "In every stage's folder": (
        "Written last; without it, the stage is unfinished.",
        (
            File(
                names.MANIFEST_FILE,
                "Everything that the results depend on, hashes of the outputs, counts, time and memory.",
                Manifest,
            ),
        ),
    ),
    "collect": (
        "",
        (
            File(names.POSTS_FILE, "The posts of the run.", Post),
            File(names.RESPONSES_FILE, "The release's reference responses to these posts.", Response),
            File(names.REJECTS_FILE, "Rows that cannot be used as posts.", Reject),
            File(names.REMOVED_FILE, "Posts that were removed from a split.", Removal),
            File(
                names.OVERLAP_FILE,
                "How many test posts of each set also occur in the training data of each set.",
                Overlap,
            ),
            File(
                names.UPSTREAM_LABELS_FILE,
                "Upstream labels of the release's posts that also stand in upstream files; `evaluate` scores against "
                "both.",
                UpstreamLabels,
            ),
            File(
                names.LABEL_DRIFT_FILE,
                "Where labels of the release and of the upstream data differ; one list.",
                LabelDrift,
            ),
            File(names.SUMMARY_FILE, "All counts of the stage.", CollectSummary),
        ),
    ),
    "teach": (
        "",
        (
            File(
                names.RESPONSES_FILE,
                "The teachers' answers, in the order of posts, questions and teachers.",
                Response,
            ),
            File(names.FAILED_REQUESTS_FILE, "Requests that failed after all retries.", FailedRequest),
            File(
                names.TEACHER_DISAGREEMENTS_FILE, "Questions that teachers answer differently.", Disagreement
            ),
            File(
                names.SCALE_TRACES_FILE,
                "With `method: item-by-item`: how each scale was filled, with every step.",
                ScaleTrace,
            ),
            File(names.SUMMARY_FILE, "Outcomes, refusals, tokens and costs.", TeachSummary),
        ),
    ),
    "check": (
        "",
        (
            File(names.INSTRUCTIONS_FILE, "The accepted rows, which `train` reads.", Example),
            File(
                "data/FORM/SPLIT.jsonl, .parquet", "The same rows for `datasets.load_dataset`, in both forms."
            ),
            File("release/", "The same rows in the layout of the published release, which `collect` reads."),
            File("README.md", "The dataset card."),
            File("LICENSE.md", "The terms of every set, if they are no single standard licence."),
            File("croissant.json", "Croissant metadata of the data set, see [Check](check.md#croissant)."),
            File(names.GATE_REPORT_PAGE_FILE, "The gate report for people."),
            File(names.GATE_REPORT_FILE, "The gate report.", GateReport),
            File(names.DROPPED_FILE, "The responses that were dropped.", DroppedResponse),
            File(names.VERDICTS_FILE, "The verdict of every gate on every response.", Verdict),
            File(names.QUOTES_FILE, "Where each quotation is in its post.", QuoteMatches),
            File(
                names.SUMMARY_FILE,
                "Counts: `responses`, `accepted`, `unanswered`, `failed` by gate, `undecided` disagreements, the "
                "result of the `rating_sample`, and `notes`.",
            ),
        ),
    ),
    "train": (
        "The folder of a model; open it as `ANALYST:FOLDER`.",
        (
            File(
                "model.json, mentallama.json",
                "Metadata of a linear and of a neural analyst: the questions it answers, and how it encodes a post.",
            ),
            File("label_counts.json", "Majority analyst: training rows by set, question and label."),
            File("SET.npz", "Linear analyst: the weights for one set."),
            File(
                "*.safetensors, config.json, tokenizer files",
                "Neural analysts: as transformers and peft save them.",
            ),
            File("seen.json", "Neural analysts: hashes of the posts that training or model selection used."),
            File(
                "recipe.yaml, README.md, LICENSE.md",
                "Settings and model card; its terms, if they are no single standard licence.",
            ),
            File("hashes.json", "The SHA-256 of every file of the model, checked before it answers."),
            File(
                names.METRICS_FILE,
                "Neural analysts: a line for every optimiser step and every evaluation, in order. Steps have no gap "
                "and no repetition, however often training was killed. Fields without a value are left out. Until "
                f"training has finished, the file grows in `{names.CHECKPOINTS_FOLDER}/`. No result depends on it.",
                TrainingMetrics,
            ),
            File(names.SUMMARY_FILE, "Counts, the settings that were chosen, and validation metrics."),
        ),
    ),
    "predict": (
        "",
        (
            File(names.PREDICTIONS_FILE, "The predictions.", Prediction),
            File(names.SUMMARY_FILE, "Counts of posts, questions and answers.", PredictSummary),
            File(
                names.QUESTIONS_FILE,
                "Only without a recipe: post, set and question of each prediction.",
                QuestionRow,
            ),
            File(
                f"{names.RESPONSES_FOLDER}/SET.csv",
                "Only without a recipe, for the published release: `goldens` and `generated_text` by row, for "
                "`mentallama evaluate --benchmark`.",
            ),
        ),
    ),
    "explain": (
        "No file but the reasons holds a word of a post. See [Explain](explain.md).",
        (
            File(
                names.EVIDENCE_FILE,
                "The evidence of each method for each answer, and what its tests found.",
                EvidenceRow,
            ),
            File(
                names.FAITHFULNESS_FILE, "Faithfulness and plausibility by set and method.", FaithfulnessFile
            ),
            File(
                names.REASONS_FILE,
                "With `text: bound`: reasons that a language model wrote from the evidence alone, verified.",
                BoundReason,
            ),
            File(
                names.METRICS_FILE,
                "The time that each method took. No result depends on it.",
                MethodTiming,
            ),
        ),
    ),
    "evaluate": (
        "",
        (
            File(names.SCORES_FILE, "The scores.", ScoreFile),
            File(names.SCORED_ROWS_FILE, "The rows that the scores are computed from.", ScoredRow),
            File(names.EXPLANATION_ROWS_FILE, "The scores of every explanation.", ExplanationRow),
            File(
                names.READER_DIFFERENCES_FILE,
                "With `--as-published`: rows that the published reader and ours read differently.",
                ReaderDifference,
            ),
        ),
    ),
    "report": (
        "",
        (
            File(names.REPORT_PAGE_FILE, "The page, self-contained in one file."),
            File(names.REPORT_TEXT_FILE, "The same in Markdown."),
            File(
                _report_files(names.REPORT_TABLE_FORMATS),
                "Every table of the page. In CSV, numbers are not rounded, an interval is two columns, and a missing "
                "value is empty. LaTeX is for `\\input` and needs the package booktabs.",
            ),
            File(_report_files(names.REPORT_FIGURE_FORMATS), "Every figure of the page, on white."),
            File(
                names.COMPARISON_FILE,
                "Only beside a page of several systems: everything on it, for programs.",
                ComparisonFile,
            ),
        ),
    ),
    "reproduce": (
        "The folder of the command, `runs/reproduce/` by default.",
        (
            File(names.CLAIMS_FILE, "Claims of the paper, and what was found about each.", ClaimLedger),
            File(names.CLAIMS_PAGE_FILE, "The same as a page."),
        ),
    ),
    "meta-evaluate --out": (
        "Beside the page of `mentallama meta-evaluate`, see [Explanation metric](explanation-metric.md).",
        (
            File(
                names.META_EVALUATION_FILE,
                "Agreement between raters, correlations of metrics with them, and what a fit found.",
                MetaEvaluation,
            ),
        ),
    ),
    "robustness --out": (
        "Written by `mentallama robustness`, see [Robustness](robustness.md).",
        (
            File(
                names.FLIPS_FILE,
                "Every answer beside that to its perturbed copy, or beside that of the first model. No texts.",
                FlipRow,
            ),
            File(names.ROBUSTNESS_FILE, "Flip rates, and the answers to minimal pairs.", RobustnessReport),
            File(names.ROBUSTNESS_PAGE_FILE, "The same as a page."),
            File(
                names.FAILED_REQUESTS_FILE,
                "Calls to a remote model that failed, if there are any.",
                FailedRequest,
            ),
        ),
    ),
}
"""Section -> its introduction and its files."""


def data_formats_page() -> str:
    parts = [
        "# Data formats\n\nGenerated from the records in the code by `python docs/generate.py`; do not edit by "
        "hand.\n\n"
        "Every file of a run, below `runs/NAME/`. A `.jsonl` file holds one JSON object per line; `.zst` files are\n"
        "compressed with Zstandard. Rows are numbered as in a spreadsheet, where the header is row 1; offsets count\n"
        "Unicode code points. Ids are hashes of the content and its origin. [Data](data.md) describes the\n"
        "input files.\n"
    ]
    nested: dict[type[BaseModel], None] = {}
    shown: set[type[BaseModel]] = set()
    for title, (introduction, files) in SECTIONS.items():
        parts.append(f"## {title}\n" + (f"\n{introduction}\n" if introduction else ""))
        for file in files:
            parts.append(f"**`{file.name}`** {file.text}\n")
            if file.record is not None:
                nested |= dict.fromkeys(_nested(file.record))
                if file.record in shown:
                    parts.append(f"Each line is a {file.record.__name__}, as above.\n")
                else:
                    parts.append(
                        f"{file.record.__name__}: {_description(file.record)}\n\n{_field_table(file.record)}"
                    )
                shown.add(file.record)
    parts.append("## Nested records\n")
    for record in nested:
        if record not in shown:
            parts.append(f"### {record.__name__}\n\n{_description(record)}\n\n{_field_table(record)}")
    return "\n".join(parts)


def _description(record: type[BaseModel]) -> str:
    return _as_json(record.__doc__ or "")


def _as_json(docstring: str) -> str:
    """A docstring on one line, with the constants of Python as they are in JSON."""
    constants = {"None": "null", "True": "true", "False": "false"}
    return re.sub(r"\b(None|True|False)\b", lambda match: constants[match[1]], " ".join(docstring.split()))


def _field_table(record: type[BaseModel]) -> str:
    """Names and types of the fields, and their meanings where the record documents single fields."""
    meanings = field_docs(record)
    header = ("Field", "Type", "Meaning") if meanings else ("Field", "Type")
    rows = [header, ("---",) * len(header)]
    for name, field in record.model_fields.items():
        cells = (f"`{name}`", _type_name(field.annotation), _as_json(meanings.get(name, "")))
        rows.append(tuple(cell.replace("|", "\\|") for cell in cells[: len(header)]))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """Docstrings of the fields, also of base classes; read from the source, because Python does not keep them."""
    docs: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            body = ast.parse(inspect.getsource(base)).body[0]
            assert isinstance(body, ast.ClassDef)
            for field, below in zip(body.body, body.body[1:], strict=False):
                match field, below:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                        value=ast.Constant(value=str(text))
                    ):
                        docs[name] = text
    return docs


_PLAIN = {
    str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null", Path: "path",
    Any: "anything",
}  # fmt: skip


def _type_name(annotation: Any) -> str:
    """A type annotation in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _PLAIN:
        name = _PLAIN[annotation]
    elif origin is Annotated:
        name = _type_name(arguments[0])
    elif origin is Literal:
        name = ", ".join(f"`{value}`" for value in arguments)
    elif origin in {Union, types.UnionType}:
        name = " or ".join(_type_name(argument) for argument in arguments)
    elif origin is dict:
        name = f"object of {_type_name(arguments[1])}"
    elif origin is tuple and arguments[-1] is not Ellipsis:
        name = "[" + ", ".join(map(_type_name, arguments)) + "]"
    elif arguments:
        name = f"list of {_type_name(arguments[0])}"
    else:
        name = str(annotation.__name__)
    return name


def _nested(record: type[BaseModel]) -> list[type[BaseModel]]:
    """The records inside a record, at any depth; a record may contain itself."""
    nested: list[type[BaseModel]] = []
    waiting = [record]
    while waiting:
        for field in waiting.pop(0).model_fields.values():
            new = [inner for inner in _records_in(field.annotation) if inner not in nested]
            nested += new
            waiting += new
    return nested


def _records_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _records_in(argument)
