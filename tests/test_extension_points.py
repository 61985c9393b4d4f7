"""Extensions that are added from outside the package, each in as many places as docs/architecture.md promises.

A test passes a longer table where the package takes one as an argument, and replaces the table for its duration
elsewhere. Apart from the table, an extension consists of the objects that the test defines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from pydantic import ValidationError
from typer.testing import CliRunner

from mentallama.analysts.base import Analyst
from mentallama.analysts.registry import ANALYSTS, AnalystKind
from mentallama.answers.format import write_answer
from mentallama.attribution.opening import open_analyst
from mentallama.check.gate import CorpusGate, CorpusVerdicts, ResponseCorpus, RowGate
from mentallama.check.gates import GATES
from mentallama.check.gates.reference_overlap import collect_references, overlap_report, score_overlap
from mentallama.check.output.gate_report_schema import DroppedResponse, GateReport
from mentallama.check.response_rows import ResponseRow
from mentallama.check.run import run as run_check
from mentallama.cli.stages import add_stage_commands
from mentallama.cli.tables import score_table
from mentallama.config import Predict, Recipe, read_recipe
from mentallama.config.base import Settings
from mentallama.config.check import Check, GateSetting
from mentallama.errors import TooManyRejectsError, UsageError
from mentallama.evaluate.run import score_sets, write_scores
from mentallama.evaluate.score_file import ScoreFile
from mentallama.evaluate.scores import ScoredRow
from mentallama.files.atomic import write_json
from mentallama.files.manifest import read_manifest
from mentallama.files.record_files import read_json, read_records, write_records
from mentallama.metrics import registry as metric_registry
from mentallama.metrics.bootstrap import Resampling
from mentallama.metrics.classification import accuracy
from mentallama.metrics.registry import OVERLAP_METRICS, Metric
from mentallama.pipeline.registry import STAGES, recipe_model
from mentallama.pipeline.runner import run_recipe
from mentallama.pipeline.stage import Stage
from mentallama.predict.ad_hoc import PredictCommand, predict_ad_hoc
from mentallama.predict.stage import PredictJob
from mentallama.progress import LogFn
from mentallama.records import Example, Prediction, Reading, Verdict
from mentallama.report import sections
from mentallama.report.page_model import Paragraph, Section
from mentallama.report.run import run as report_run
from mentallama.report.run_artifacts import RunArtifacts
from mentallama.run_files import (
    DROPPED_FILE,
    GATE_REPORT_FILE,
    GATE_REPORT_PAGE_FILE,
    POSTS_PATH,
    RELEASE_RESPONSES_PATH,
)
from mentallama.tasks import load_tasks
from tests.factories.check_cases import answer_to, post_of, row_for
from tests.factories.linear_cases import make_post
from tests.factories.project import ROOT, SOURCE

PLACES: dict[str, tuple[str, ...]] = {
    "stage": ("config/<stage>.py", "<stage>/run.py", "<stage>/stage.py", "STAGES in pipeline/registry.py"),
    "analyst": ("a module in analysts/", "ANALYSTS in analysts/registry.py"),
    "gate": ("a module in check/gates/", "a key in config/check.py", "GATES in check/gates/__init__.py"),
    "label metric": ("a function in metrics/classification.py", "METRICS in metrics/registry.py"),
    "explanation metric": ("a function in metrics/text_overlap.py", "OVERLAP_METRICS in metrics/registry.py"),
    "report section": ("a builder in report/sections/", "SECTIONS in report/sections/__init__.py"),
}
"""Extension -> the places in the package that it touches, as the tests below show."""


def test_the_architecture_page_promises_these_numbers_of_places() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    promised = dict(re.findall(r"^\*\*An? ([^*]+)\*\* \((\d+) places?\)\.", page, re.MULTILINE))
    assert {name: promised.get(name) for name in PLACES} == {
        name: str(len(places)) for name, places in PLACES.items()
    }
    files = re.findall(r"(?<![\w>])(?:\w+/)+(?:\w+\.py)?", " ".join(sum(PLACES.values(), ())))
    assert [file for file in files if not (SOURCE / "mentallama" / file).exists()] == []
    assert len(files) >= 11


# --- a stage, 4 places: settings, work, `Stage` object, and a line in `STAGES` ---------------------------


class Count(Settings):
    """Settings of a stage that counts the characters of a file."""

    file: Path
    at_most: int = 100
    workers: int = 1
    """Does not change the count."""


def count_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    return {"text": recipe.count.file}  # type: ignore[attr-defined]


def count_characters(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    count = len(recipe.count.file.read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    write_json(out / "count.json", {"characters": count})
    return {"characters": count}


def count_verdict(recipe: Recipe, folder: Path, log: LogFn) -> str | None:
    characters = read_json(folder / "count/count.json")["characters"]
    return f"{characters} characters" if characters > recipe.count.at_most else None  # type: ignore[attr-defined]


COUNT_STAGE = Stage(
    name="count",
    help="Count characters.",
    inputs=count_inputs,
    run=count_characters,
    settings=Count,
    cache_exclude={"workers": True, "at_most": True},
    notes=lambda folder: [f"note: {folder.name} counted"],
    verdict=count_verdict,
)
WITH_COUNT = (*STAGES[:1], COUNT_STAGE, *STAGES[1:])


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("seven c", encoding="utf-8")
    path = tmp_path / "recipe.yaml"
    path.write_text(f"name: toy\ndata: .\ncount: {{file: {tmp_path / 'text.txt'}}}\n", encoding="utf-8")
    return path


def run_count(recipe_path: Path, *overrides: str) -> list[str]:
    """The lines that a run logs."""
    lines: list[str] = []
    recipe = read_recipe(recipe_path, overrides, recipe_model(WITH_COUNT))
    run_recipe(recipe, recipe_path.parent / "run", lines.append, stages=WITH_COUNT)
    return lines


def test_a_stage_is_run_skipped_and_rerun_by_its_own_rules(recipe_path: Path) -> None:
    """4 places: settings (`Count`), work (`count_characters`), `COUNT_STAGE`, and a line in `STAGES`."""
    first = run_count(recipe_path)
    assert first[0].startswith("count: done in ")
    assert first[1:] == ["note: run counted"]
    manifest = read_manifest(recipe_path.parent / "run/count")
    assert manifest is not None
    assert manifest.counts == {"characters": 7}
    assert "workers" not in manifest.cache_key["settings"]["count"]

    assert run_count(recipe_path, "count.workers=3") == ["count: up to date", "note: run counted"]
    (recipe_path.parent / "text.txt").write_text("eight ch", encoding="utf-8")
    assert run_count(recipe_path)[0].startswith("count: done in ")


def test_the_verdict_of_a_stage_ends_the_run_with_exit_code_3(recipe_path: Path) -> None:
    with pytest.raises(TooManyRejectsError, match="7 characters"):
        run_count(recipe_path, "count.at_most=6")
    assert (recipe_path.parent / "run/count/count.json").is_file()


def test_the_keys_of_a_stage_are_checked_with_the_recipe(recipe_path: Path) -> None:
    with pytest.raises(UsageError, match=r"count\.at_mots: no such key; did you mean at_most\?"):
        run_count(recipe_path, "count.at_mots=6")
    with pytest.raises(UsageError, match=r"count: no such key"):
        read_recipe(recipe_path)  # without the line in the table


def test_a_stage_has_a_command(recipe_path: Path) -> None:
    app = typer.Typer()
    add_stage_commands(app, WITH_COUNT)
    runner = CliRunner()
    assert (
        "Count characters. Runs the recipe up to this stage."
        in runner.invoke(app, ["count", "--help"]).output
    )
    out = recipe_path.parent / "run"
    done = runner.invoke(app, ["count", str(recipe_path), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == str(out / "count")


# --- an analyst, 2 places: a class, and a line in `ANALYSTS` ----------------------------------------------


class ConstantAnalyst(Analyst):
    """Answers every question with one label, which is the location of its spec."""

    def __init__(self, label: str) -> None:
        self.label = label

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        for example in examples:
            reading = Reading(status="parsed", label=self.label, explanation="Always.")
            yield Prediction(example_id=example.id, reading=reading, model=f"constant:{self.label}")


def test_an_analyst_is_opened_by_its_spec_and_predicts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """2 places: a class (`ConstantAnalyst`), and a line in `ANALYSTS`."""
    kind = AnalystKind(lambda location, _: ConstantAnalyst(location), libraries=("typer",))
    monkeypatch.setitem(ANALYSTS, "constant", kind)
    (answer,) = open_analyst("constant:no").analyze("The bus is late.", "DR")
    assert (answer.label, answer.model) == ("no", "constant:no")

    posts = tmp_path / "posts.jsonl"
    write_records(
        posts,
        [
            make_post("DR", "test", f"The bus number {number} is late.", {"depression": "no"})
            for number in range(3)
        ],
    )
    job = PredictJob("constant:no", Predict(), load_tasks())
    summary = predict_ad_hoc(PredictCommand(job, posts), tmp_path / "out", print)
    assert (summary.posts, summary.answers) == (3, {"parsed": 3})
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None
    assert "typer" in manifest.cache_key["versions"]


# --- gates, 3 places each: a function, a key in the settings of check, and a line in `GATES` ---------------


class CheckWithToyGates(Check):
    """Settings of check with a key for each of two more gates."""

    max_capitals: Annotated[int | None, GateSetting("capitals")] = None
    same_length: Annotated[bool, GateSetting("same_length")] = True


def check_capitals(row: ResponseRow, threshold: int) -> Verdict:
    count = sum(character.isupper() for character in row.reading.explanation)
    return row.verdict("capitals", f"{count} capitals" if count > threshold else None, count)


def judge_same_length(corpus: ResponseCorpus, enabled: bool) -> CorpusVerdicts:
    lengths = Counter(len(row.reading.explanation) for row in corpus.rows)
    verdicts = (
        row.verdict("same_length", "not unique" if lengths[len(row.reading.explanation)] > 1 else None)
        for row in corpus.rows
    )
    return CorpusVerdicts(verdicts, ({"lengths": len(lengths)},))


WITH_GATES = (
    *GATES,
    RowGate("capitals", "it shouts little", check_capitals),
    CorpusGate("same_length", "no other is as long", judge_same_length, table_title="Lengths"),
)


@pytest.mark.parametrize("jobs", [1, 2])
def test_gates_judge_drop_and_are_reported(jobs: int, tmp_path: Path) -> None:
    """3 places for each gate: a function, a key in `CheckWithToyGates`, and a line in `GATES`."""
    texts = [
        "The tired cat sleeps in the sun.",
        "I AM TIRED of ALL this noise.",
        "I AM tired of all this noise.",
    ]
    posts = [post_of("dreaddit", text, {"stress": "yes"}, number=n) for n, text in enumerate(texts)]
    answers = [
        write_answer("dreaddit", "stress", "yes", f"Signs of strain are plain here: {text}") for text in texts
    ]
    responses = [answer_to(post, "stress", answer) for post, answer in zip(posts, answers, strict=True)]
    write_records(tmp_path / POSTS_PATH, posts)
    write_records(tmp_path / RELEASE_RESPONSES_PATH, responses)
    settings = CheckWithToyGates(max_capitals=8, min_label_consistency=None)
    recipe = Recipe(name="toy", data=tmp_path, sets=("dreaddit",), jobs=jobs, check=settings)
    out = tmp_path / "check"
    out.mkdir()
    run_check(recipe, tmp_path, out, WITH_GATES)

    dropped = {row.post_id: row.reasons for row in read_records(out / DROPPED_FILE, DroppedResponse)}
    assert dropped == {
        posts[1].id: {"capitals": "12 capitals", "same_length": "not unique"},
        posts[2].id: {"same_length": "not unique"},
    }
    report = GateReport.model_validate(read_json(out / GATE_REPORT_FILE))
    counts = {
        gate.gate: (gate.passes_if, gate.threshold, gate.failed, gate.sole_drops) for gate in report.gates
    }
    assert counts["capitals"] == ("it shouts little", 8, 1, 0)
    assert counts["same_length"] == ("no other is as long", True, 2, 1)
    page = (out / GATE_REPORT_PAGE_FILE).read_text(encoding="utf-8")
    assert "## Lengths\n\n| lengths |\n| --- |\n| 2 |" in page


def test_the_keys_of_a_gate_disable_it_and_let_it_only_report() -> None:
    assert "capitals" in CheckWithToyGates().disabled_gates()
    assert CheckWithToyGates(report_only=("same_length",)).report_only == ("same_length",)
    with pytest.raises(ValidationError, match="no gate is called 'same_size'; did you mean same_length"):
        CheckWithToyGates(report_only=("same_size",))


# --- metrics, 2 places each: a function, and a line in `METRICS` or `OVERLAP_METRICS` --------------------


def test_a_label_metric_is_in_scores_json_the_terminal_table_and_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2 places: a function of the confusion counts, and a line in `METRICS`."""
    error_rate = Metric("error_rate", "error rate", lambda counts: 100 - accuracy(counts), digits=1)
    monkeypatch.setattr(metric_registry, "METRICS", (*metric_registry.METRICS, error_rate))
    row = ScoredRow(
        example_id="e",
        set="DR",
        question="depression",
        post_id="p",
        gold="yes",
        status="parsed",
        predicted="no",
    )
    resampling, rows = Resampling(resamples=10), {"DR": [row]}
    scores = ScoreFile(
        form="instruction",
        source={"kind": "responses"},
        resampling=resampling,
        sets=score_sets(rows, load_tasks(), resampling),
        missing=(),
        missing_reasons={},
    )
    write_scores(tmp_path / "run/evaluate", scores, rows)
    written = read_json(tmp_path / "run/evaluate/scores.json")
    assert written["sets"]["DR"]["metrics"]["error_rate"] == 100.0
    assert "error rate" in score_table(scores).header
    report_run(tmp_path / "run", tmp_path / "report", "A run")
    assert "| error rate |" in (tmp_path / "report/report.md").read_text(encoding="utf-8")


def length_ratios(explanations: Sequence[str], references: Sequence[str]) -> list[float]:
    """100 times the shorter length over the longer one."""
    pairs = zip(explanations, references, strict=True)
    return [100 * min(map(len, pair)) / max(map(len, pair)) for pair in pairs]


def test_an_explanation_metric_is_in_the_table_of_the_gate_report() -> None:
    """2 places: a function (`length_ratios`), and a line in `OVERLAP_METRICS`."""
    post = post_of("dreaddit", "The tired cat sleeps.", {"stress": "yes"})
    explanations = {"teacher": "Strain.", "expert": "Plain strain."}  # 7 and 13 characters
    response, reference = (
        row_for(post, "stress", write_answer("dreaddit", "stress", "yes", explanation), model=model)
        for model, explanation in explanations.items()
    )
    metrics = {**OVERLAP_METRICS, "length_ratio": length_ratios}
    scores = score_overlap([response], collect_references([reference]), metrics)
    (line,) = overlap_report([response], scores)
    assert list(line) == ["set", "model", "references", *OVERLAP_METRICS, "length_ratio"]
    assert line["length_ratio"] == 53.85


# --- a report section, 2 places: a builder, and a line in `SECTIONS` ---------------------------------------


def test_a_report_section_is_on_both_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 places: a builder, and a line in `SECTIONS`."""

    def limits_section(artifacts: RunArtifacts) -> Section | None:
        return Section("limits", "Limits", (Paragraph("Ten posts are few."),)) if artifacts.tasks else None

    monkeypatch.setattr(sections, "SECTIONS", (*sections.SECTIONS, limits_section))
    page = report_run(tmp_path / "run", tmp_path / "report", "A run")
    html, markdown = (path.read_text(encoding="utf-8") for path in (page, page.with_name("report.md")))
    assert 'href="#limits"' in html
    assert "## Limits\n\nTen posts are few." in markdown
