"""Export for TRL: conversations, prompts with completions and, where a run has them, preference pairs.

Each kind of rows is a configuration of one data set, which `datasets.load_dataset` reads. Prompt and completion are
the texts that a model trained here on plain prompts sees; conversations are what it sees with a chat template.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mentallama.export.folder import ExportSummary, write_json_lines
from mentallama.export.source import DatasetRow, ExportSource
from mentallama.records import Split
from mentallama.tasks import write_query
from mentallama.train.data.preference_pairs import PreferencePair

MESSAGES, PROMPT_COMPLETION, PREFERENCE = "messages", "prompt_completion", "preference"

USAGE = """```python
from datasets import load_dataset
from trl import SFTTrainer
SFTTrainer("MODEL", train_dataset=load_dataset("FOLDER", "prompt_completion", split="train")).train()
```

`FOLDER` is this folder. The configurations are `messages` (conversations, for models with a chat template),
`prompt_completion` (plain texts; TRL computes the loss on the completion only) and, if the run had several responses
to a question, `preference` (for `DPOTrainer`)."""


def export_trl(source: ExportSource, out: Path) -> ExportSummary:
    """Write `KIND/SPLIT.jsonl` for every kind of rows."""
    summary = ExportSummary(USAGE)
    splits = source.dataset_splits()
    for kind, convert in _ROWS.items():
        for split in splits:
            path = _path(kind, split)
            rows = summary.counted(source, source.dataset_rows(split), path, split)
            write_json_lines(out / path, map(convert, rows))
            summary.add_config(kind, split, path)
    for split, pairs in source.pairs_by_split().items():
        path = _path(PREFERENCE, split)
        summary.add_rows(path, split, write_json_lines(out / path, _preference_rows(source, pairs)))
        summary.add_config(PREFERENCE, split, path)
    return summary


def _path(kind: str, split: Split) -> str:
    return f"{kind}/{split}.jsonl"


def _conversation(row: DatasetRow) -> dict[str, object]:
    return {
        "id": row.id,
        "set": row.set,
        "messages": [_turn("user", row.query), _turn("assistant", row.response)],
    }


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _prompt_completion(row: DatasetRow) -> dict[str, object]:
    return {"id": row.id, "set": row.set, "prompt": row.query.rstrip(), "completion": f" {row.response}"}


_ROWS: dict[str, Callable[[DatasetRow], dict[str, object]]] = {
    MESSAGES: _conversation,
    PROMPT_COMPLETION: _prompt_completion,
}
"""Kind of rows -> the row that it makes of one of the data set."""


def _preference_rows(source: ExportSource, pairs: Iterable[PreferencePair]) -> Iterator[dict[str, object]]:
    for pair in pairs:
        example = pair.example
        query = write_query(source.task(example.task), example.question, example.form, example.text)
        yield {
            "id": example.id,
            "set": example.task,
            "prompt": query.rstrip(),
            "chosen": f" {pair.chosen}",
            "rejected": f" {pair.rejected}",
        }
