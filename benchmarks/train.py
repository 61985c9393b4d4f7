"""Training throughput in tokens per second, compared with TRL's SFTTrainer on the same small Llama and the same rows.

    python benchmarks/train.py --data DATA            # on the CPU

One epoch on instruction rows of the published training files: our loop, bucketed and packed; SFTTrainer with its own
defaults (8 rows per batch, padded, with gradient checkpointing); and SFTTrainer packed, without gradient checkpointing,
at several batch sizes, of which the best counts. All start from the same weights and take turns, round by round, so
that other load on the machine affects all alike. Tokens are those of the rows, without padding.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from datasets import Dataset
from transformers import LlamaForCausalLM
from trl import SFTConfig, SFTTrainer

from mentallama.analysts.checkpoints.optional_deps import require_torch
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.config import CausalSettings, FromScratchSettings
from mentallama.files.imhi_release import find_release_files, read_release_file
from mentallama.records import Example
from mentallama.tasks import find_task, load_tasks, write_query
from mentallama.train.data.instructions import InstructionData
from mentallama.train.loop.batching import PackingBin
from mentallama.train.loop.checkpointing import Checkpoints
from mentallama.train.loop.distributed import DistributedContext
from mentallama.train.loop.loop import TrainingSession, fit
from mentallama.train.loop.random_init import random_llama
from mentallama.train.objectives.causal_sft import (
    CausalRow,
    CausalRows,
    causal_loss,
    collate_causal,
    tokenize_causal,
)
from mentallama.train.objectives.sft import SftData, sft_objective

SHAPE = FromScratchSettings(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, vocab_size=4096)
MAX_TOKENS = 1024
"""SFTTrainer's own default."""
BATCH_SIZE = 8

Work = Callable[[Any], object]
"""Trains a model for one epoch; returns the seconds it took if it measured them itself."""


def release_rows(data: Path, count: int) -> list[Example]:
    """`count` instruction rows, evenly spaced over the training files, so that all sets are included."""
    files = [
        file
        for file in find_release_files(data / "release", "instruction", load_tasks())
        if file.split == "train"
    ]
    examples = [
        Example(
            id=f"{file.set} {row.row}",
            post_id=f"{file.set} {row.row}",
            task=file.set,
            question=row.question,
            form="instruction",
            text=row.text,
            response=" ".join(row.reference.split()),
        )
        for file in files
        for row in read_release_file(file, find_task(file.set))
    ]
    return examples[:: max(1, len(examples) // count)][:count]


def mentallama_epoch(rows: CausalRows, batching: str, dtype: torch.dtype) -> Work:
    """Train for one epoch with our loop, including the checkpoint at its end."""
    settings = CausalSettings.model_validate(
        {
            "analyst": "causal",
            "from_scratch": SHAPE,
            "batching": batching,
            "max_tokens": MAX_TOKENS,
            "epochs": 1,
            "batch_size": BATCH_SIZE,
        }
    )
    devices = DistributedContext(torch.device("cpu"))
    data = SftData(InstructionData([], [], "the release"), rows, CausalRows(rows.rows[:1], 0))

    def loss_of(batch: Sequence[CausalRow], model: Any, bins: Sequence[PackingBin]) -> torch.Tensor:
        return causal_loss(model, collate_causal(batch, bins, devices.device))

    def work(model: Any) -> object:
        objective = sft_objective(data, loss_of, settings, devices)
        if batching == "packed":
            objective = replace(objective, packed_length=settings.max_tokens)
        with tempfile.TemporaryDirectory() as folder:
            checkpoints = Checkpoints(Path(folder) / "checkpoints", devices)
            session = TrainingSession(
                settings, devices, dtype, checkpoints, "benchmark", 7, lambda *_: None, print
            )
            return fit(model, objective, session)

    return work


def sft_trainer_epoch(examples: Sequence[Example], tokenizer: Any, **settings: Any) -> Work:
    """Train for one epoch with SFTTrainer on prompt and completion."""
    tasks = load_tasks()
    pairs = [
        {
            "prompt": write_query(tasks[row.task], row.question, "instruction", row.text).rstrip(),
            "completion": f" {row.response}",
        }
        for row in examples
    ]

    def work(model: Any) -> object:
        with tempfile.TemporaryDirectory() as folder:
            quiet = {"save_strategy": "no", "report_to": "none", "disable_tqdm": True, "use_cpu": True}
            arguments = SFTConfig(output_dir=folder, num_train_epochs=1, **quiet, **settings)
            data = Dataset.from_list(pairs)
            trainer = SFTTrainer(model, args=arguments, train_dataset=data, processing_class=tokenizer)
            start = time.perf_counter()
            trainer.train()
            return time.perf_counter() - start  # without tokenising, which our loop does beforehand as well

    return work


def seconds(work: Work, state: dict[str, torch.Tensor], config: Any) -> float:
    """Seconds that the work takes, starting from given weights; its own measurement if it returns one."""
    model = LlamaForCausalLM(config)
    model.load_state_dict(state)
    start = time.perf_counter()
    measured = work(model)
    return measured if isinstance(measured, float) else time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    require_torch()
    examples = release_rows(arguments.data, arguments.rows)
    texts = (f"{row.text} {row.response}" for row in examples)
    model, tokenizer = random_llama(SHAPE, texts, MAX_TOKENS, 7)
    rows = tokenize_causal(
        examples, load_tasks(), PromptEncoder(tokenizer, "instruction", "plain", MAX_TOKENS)
    )
    tokens, state = sum(rows.lengths), model.state_dict()
    packed = {"packing": True, "gradient_checkpointing": False}
    works: dict[str, Work] = {
        "ours, bucketed": mentallama_epoch(rows, "bucketed", torch.float32),
        "ours, bucketed, bfloat16": mentallama_epoch(rows, "bucketed", torch.bfloat16),
        "ours, packed": mentallama_epoch(rows, "packed", torch.float32),
        "SFTTrainer, its defaults": sft_trainer_epoch(examples, tokenizer),
        **{
            f"SFTTrainer, packed, {size} per batch, {'bfloat16' if low else 'float32'}": sft_trainer_epoch(
                examples, tokenizer, per_device_train_batch_size=size, bf16=low, **packed
            )
            for size in (1, 4)
            for low in (True, False)
        },
    }
    print(
        f"{len(rows.rows)} rows, {tokens} tokens, {torch.get_num_threads()} threads, {arguments.rounds} rounds"
    )
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(arguments.rounds):
        for name, work in works.items():
            times[name].append(seconds(work, state, model.config))
    rates = {name: tokens / statistics.median(rounds) for name, rounds in times.items()}
    for name, rate in rates.items():
        print(f"{name:45} {rate:8.0f} tokens/s")
    best = max(rate for name, rate in rates.items() if name.startswith("ours"))
    peer = max(rate for name, rate in rates.items() if "SFTTrainer, packed" in name)
    plain = rates["SFTTrainer, its defaults"]
    print(
        f"our best setting: {best / plain:.2f} times SFTTrainer's defaults, {best / peer:.2f} times its best packed one"
    )


if __name__ == "__main__":
    main()
