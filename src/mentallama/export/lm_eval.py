"""Export for lm-evaluation-harness: a task a set, their rows, and our own metrics.

Its own F1 is binary. The tasks generate answers, which `read_answer` reads; the metrics are those of
`mentallama evaluate`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mentallama.analysts.base import InferenceOptions
from mentallama.export.evaluation import METRIC_NAMES, ExportedTasks, write_evaluation_data
from mentallama.export.folder import ExportSummary
from mentallama.export.source import ExportSource
from mentallama.files.atomic import write_text
from mentallama.records import SPLITS, Split

if TYPE_CHECKING:
    from datasets import DatasetDict

GROUP = "mentallama"

USAGE = """```sh
pip install lm-eval
lm_eval run --include_path FOLDER --tasks mentallama --model hf --model_args pretrained=MODEL
```

`FOLDER` is this folder; mentallama must be installed beside lm-eval. `mentallama` is the group of all sets, and
`mentallama_SET` one of them. The metrics are in percent and those of `mentallama evaluate`, to the digit: an answer
without a label (unparsed, refused or truncated) is wrong and never a class. Answers have the default limit of
`mentallama predict`, and are generated greedily. Few-shot examples come from the training
posts. The tool does not say why a model stopped, so an answer counts as truncated only if its text breaks off."""

_UTILS = '''"""The rows of these tasks, how answers are read, and the metrics: those of `mentallama evaluate`."""

from pathlib import Path

from mentallama.export.lm_eval import LmEvalFunctions

_functions = LmEvalFunctions(Path(__file__).parent)


def load_rows(name, **_metadata):
    return _functions.load_rows(name)


def process_results(doc, results):
    return _functions.process_results(doc, results)
'''

_METRIC = """

def {name}(items):
    return _functions.metric("{name}", items)
"""


def export_lm_eval(source: ExportSource, out: Path) -> ExportSummary:
    """Write `mentallama_SET.yaml` for every set with labelled test posts, their group, the rows and `utils.py`."""
    summary = ExportSummary(USAGE)
    splits = write_evaluation_data(source, out, summary, ("train", "test"))
    for name, of_set in splits.items():
        write_text(out / f"{task_name(name)}.yaml", _dump(_task(name, of_set)))
    write_text(out / f"{GROUP}.yaml", _dump({"group": GROUP, "task": list(map(task_name, splits))}))
    write_text(out / "utils.py", _UTILS + "".join(_METRIC.format(name=name) for name in METRIC_NAMES))
    return summary


def task_name(name: str) -> str:
    """The task of a set in the harness."""
    return f"{GROUP}_{name}"


class _Function(str):
    """The name of a function of utils.py, which the harness resolves."""


def _task(name: str, splits: Sequence[Split]) -> dict[str, Any]:
    few_shot = {"fewshot_split": "train", "training_split": "train"} if "train" in splits else {}
    return {
        "task": task_name(name),
        "custom_dataset": _Function("load_rows"),
        "dataset_kwargs": {"name": name},
        "test_split": "test",
        **few_shot,
        "output_type": "generate_until",
        "doc_to_text": "prompt",
        "doc_to_target": "answer",
        "generation_kwargs": {
            "until": [],
            "do_sample": False,
            "max_gen_toks": InferenceOptions.max_new_tokens,
        },
        "process_results": _Function("process_results"),
        "metric_list": [
            {"metric": metric, "aggregation": _Function(metric), "higher_is_better": True}
            for metric in METRIC_NAMES
        ],
        "metadata": {"version": 1.0},
    }


class _TaskDumper(yaml.SafeDumper):
    """Writes the names of functions with the harness's tag."""


_TaskDumper.add_representer(
    _Function, lambda dumper, name: dumper.represent_scalar("!function", f"utils.{name}", style="")
)


def _dump(content: Mapping[str, Any]) -> str:
    return yaml.dump(content, Dumper=_TaskDumper, sort_keys=False, allow_unicode=True)


Item = tuple[str, str, str]
"""Set, gold label and outcome of an answer."""


class LmEvalFunctions:
    """The functions that the tasks of an exported folder name."""

    def __init__(self, folder: Path) -> None:
        self._exported = ExportedTasks(folder)

    def load_rows(self, name: str) -> DatasetDict:
        """The rows of a set by split; `prompt` is the query without the space at its end."""
        from datasets import Dataset, DatasetDict

        rows = {split: self._exported.rows(name, split) for split in SPLITS}
        return DatasetDict(
            {
                split: Dataset.from_list([{**row, "prompt": row["query"].rstrip()} for row in of_split])
                for split, of_split in rows.items()
                if of_split
            }
        )

    def process_results(self, doc: Mapping[str, str], results: Sequence[str]) -> dict[str, Item]:
        """Read one answer; every metric aggregates the same items."""
        outcome, _ = self._exported.outcome(doc["set"], results[0])
        return dict.fromkeys(METRIC_NAMES, (doc["set"], doc["label"], outcome))

    def metric(self, metric: str, items: Sequence[Item]) -> float:
        """A metric of the items of one set, in percent."""
        names, golds, outcomes = zip(*items, strict=True)
        return self._exported.score(metric, names[0], golds, outcomes)
