"""Export for Inspect (inspect_ai): a file of tasks, one a set, with dataset, solver, scorer and our own metrics.

Inspect has no F1 of classes. The scorer reads answers with `read_answer` and the reason why the model stopped; the
metrics are those of `mentallama evaluate`.
"""

from __future__ import annotations

from pathlib import Path

from mentallama.export.evaluation import METRIC_NAMES, quoted, rows_path, write_evaluation_data
from mentallama.export.folder import ExportSummary
from mentallama.export.source import ExportSource
from mentallama.files.atomic import write_text
from mentallama.text.names import identifiers

TASK_FILE = "mentallama_tasks.py"

USAGE = f"""```sh
pip install inspect-ai
inspect eval FOLDER/{TASK_FILE} --model openai/MODEL --temperature 0
inspect view
```

`FOLDER` is this folder; mentallama must be installed beside Inspect. Every set is a task (`{TASK_FILE}@SET`). The
metrics are in percent and those of `mentallama evaluate`, to the digit: an answer without a label (unparsed, refused
or truncated) is wrong and never a class. With several epochs only the first answer to a question is scored. A model
behind an API receives the posts: see the terms above."""

_HEAD = '''"""Mental-health analysis of social-media posts: a label and its reason. For research, never for diagnosis.

    inspect eval {file} --model PROVIDER/MODEL
"""

from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import FieldSpec, json_dataset
from inspect_ai.scorer import CORRECT, INCORRECT, Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import TaskState, generate

from mentallama.export.evaluation import ExportedTasks

FOLDER = Path(__file__).parent
EXPORTED = ExportedTasks(FOLDER)


def compute(name: str, scores: list[SampleScore]) -> float:
    """A metric of `mentallama evaluate`, in percent."""
    rows = [sample.score.metadata for sample in scores]
    return EXPORTED.score(name, rows[0]["set"], [row["gold"] for row in rows], [row["outcome"] for row in rows])

'''

_METRIC = """
@metric
def {name}() -> Metric:
    def value(scores: list[SampleScore]) -> float:
        return compute({name!r}, scores)

    return value

"""

_SCORER = '''
@scorer(metrics=[{metrics}])
def label() -> Scorer:
    """The label that an answer states, read as `mentallama.read_answer` reads it."""

    async def score(state: TaskState, target: Target) -> Score:
        name = state.metadata["set"]
        outcome, explanation = EXPORTED.outcome(name, state.output.completion, state.output.stop_reason)
        return Score(
            value=CORRECT if outcome == target.text else INCORRECT,
            answer=outcome,
            explanation=explanation,
            metadata={{"set": name, "gold": target.text, "outcome": outcome}},
        )

    return score


def questions(path: str) -> Task:
    fields = FieldSpec(input="query", target="label", id="id", metadata=["set", "question"])
    return Task(dataset=json_dataset(str(FOLDER / path), fields), solver=generate(), scorer=label())

'''

_TASK = """
@task(name={name})
def {function}() -> Task:
    return questions({path})

"""


def export_inspect(source: ExportSource, out: Path) -> ExportSummary:
    """Write the file of tasks and the rows that it reads."""
    summary = ExportSummary(USAGE)
    splits = write_evaluation_data(source, out, summary)
    parts = [_HEAD.format(file=TASK_FILE), *(_METRIC.format(name=name) for name in METRIC_NAMES)]
    parts.append(_SCORER.format(metrics=", ".join(f"{name}()" for name in METRIC_NAMES)))
    parts += [
        _TASK.format(name=quoted(name), function=f"set_{function}", path=quoted(rows_path(name, "test")))
        for name, function in zip(splits, identifiers(splits), strict=True)
    ]
    write_text(out / TASK_FILE, "".join(parts).rstrip() + "\n")
    return summary
