"""Exports for LLaMA-Factory in its two formats, alpaca and sharegpt, with the `dataset_info.json` that it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentallama.export.folder import ExportSummary, write_json_lines
from mentallama.export.source import DatasetRow, ExportSource
from mentallama.files.atomic import write_json
from mentallama.tasks import write_query
from mentallama.train.data.preference_pairs import PreferencePair

DATASET_INFO_FILE = "dataset_info.json"
NAME = "mentallama"

USAGE = """```yaml
dataset_dir: FOLDER
dataset: mentallama_train
eval_dataset: mentallama_validation
```

These lines of a LLaMA-Factory configuration train on this folder (`FOLDER`). `mentallama_test` holds the test posts:
name it only for prediction. `mentallama_preference_train` and `mentallama_preference_validation`, if they are here, are
for `stage: dpo`."""


@dataclass(frozen=True)
class LlamaFactoryFormat:
    """A format: how rows are written, and what `dataset_info.json` says of their files."""

    row: Callable[[str, str], dict[str, Any]]
    pair: Callable[[str, str, str], dict[str, Any]]
    info: Mapping[str, Any]
    pair_info: Mapping[str, Any]


def _turn(speaker: str, text: str) -> dict[str, str]:
    return {"from": speaker, "value": text}


ALPACA = LlamaFactoryFormat(
    row=lambda query, response: {"instruction": query, "input": "", "output": response},
    pair=lambda query, chosen, rejected: {
        "instruction": query,
        "input": "",
        "chosen": chosen,
        "rejected": rejected,
    },
    info={"columns": {"prompt": "instruction", "query": "input", "response": "output"}},
    pair_info={
        "ranking": True,
        "columns": {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"},
    },
)

_SHAREGPT_TAGS = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}

SHAREGPT = LlamaFactoryFormat(
    row=lambda query, response: {"conversations": [_turn("human", query), _turn("gpt", response)]},
    pair=lambda query, chosen, rejected: {
        "conversations": [_turn("human", query)],
        "chosen": _turn("gpt", chosen),
        "rejected": _turn("gpt", rejected),
    },
    info={"formatting": "sharegpt", "columns": {"messages": "conversations"}, "tags": _SHAREGPT_TAGS},
    pair_info={
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
        "tags": _SHAREGPT_TAGS,
    },
)


def export_alpaca(source: ExportSource, out: Path) -> ExportSummary:
    """Write `SPLIT.jsonl` with instruction and output; the instruction is the whole query."""
    return _export(source, out, ALPACA)


def export_sharegpt(source: ExportSource, out: Path) -> ExportSummary:
    """Write `SPLIT.jsonl` with conversations of two turns."""
    return _export(source, out, SHAREGPT)


def _export(source: ExportSource, out: Path, layout: LlamaFactoryFormat) -> ExportSummary:
    summary = ExportSummary(USAGE)
    info: dict[str, dict[str, Any]] = {}
    for split in source.dataset_splits():
        file = f"{split}.jsonl"
        rows = summary.counted(source, source.dataset_rows(split), file, split)
        write_json_lines(out / file, _rows(rows, layout))
        info[f"{NAME}_{split}"] = {"file_name": file, **layout.info}
    for split, pairs in source.pairs_by_split().items():
        file = f"preference_{split}.jsonl"
        summary.add_rows(file, split, write_json_lines(out / file, _pairs(source, pairs, layout)))
        info[f"{NAME}_preference_{split}"] = {"file_name": file, **layout.pair_info}
    write_json(out / DATASET_INFO_FILE, info)
    return summary


def _rows(rows: Iterable[DatasetRow], layout: LlamaFactoryFormat) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield {**layout.row(row.query, row.response), "id": row.id, "set": row.set}


def _pairs(
    source: ExportSource, pairs: Iterable[PreferencePair], layout: LlamaFactoryFormat
) -> Iterator[dict[str, Any]]:
    for pair in pairs:
        example = pair.example
        query = write_query(source.task(example.task), example.question, example.form, example.text)
        yield {**layout.pair(query, pair.chosen, pair.rejected), "id": example.id, "set": example.task}
