"""Faithfulness and speed of methods of attribution on a fine-tuned encoder, and of shap beside them.

    python benchmarks/explain.py --model runs/imhi-encoder/train --data runs/imhi-encoder/collect

Every method explains the model's own answers about the same random test posts of dreaddit and DR. Comprehensiveness and
sufficiency are those of the stage explain (1, 5, 10, 20 and 50 % of the words). The default method is compared with
random words and with the gradient times the input: paired differences with 95 % intervals over posts, and two-sided
permutation tests. shap's PartitionExplainer asks about up to 500 variants of a post, so it explains a part of the
posts, with its own defaults and the model's mask token; the default method explains these once more, post by post, and
the two take turns in one process, so that other load on the machine affects both. `--split validation` is for
development.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mentallama import open_analyst
from mentallama.analysts.base import Analyst
from mentallama.attribution.base import Attribution, AttributionMethod
from mentallama.attribution.evidence import word_contributions
from mentallama.attribution.registry import default_method, open_attribution
from mentallama.attribution.units import word_units
from mentallama.explain.deletion import deletion_curves, top_choices
from mentallama.files.record_files import read_records
from mentallama.metrics.bootstrap import Resampling, mean_interval
from mentallama.metrics.significance import sign_flip_p_value
from mentallama.records import Example, Post, example_of

SETS = ("dreaddit", "DR")
METHODS = (
    "integrated-gradients",
    "hierarchical-occlusion",
    "occlusion",
    "gradient-x-input",
    "attention",
    "random",
)
BASELINES = ("random", "gradient-x-input")
BATCH = 32
SEED = 7

Scores = NDArray[np.float64]
"""Comprehensiveness and sufficiency of each post, shape (posts, 2)."""


def draw_examples(folder: Path, split: str, per_set: int) -> list[Example]:
    """Random labelled posts of each set, in an order that the seed and their ids decide."""
    drawn: dict[str, list[tuple[str, Example]]] = {name: [] for name in SETS}
    for post in read_records(folder / "posts.jsonl.zst", Post):
        if post.set in drawn and post.split == split and word_units(post.text):
            rank = hashlib.sha256(f"{SEED} {post.id}".encode()).hexdigest()
            examples = (example_of(post, question, "instruction") for question in post.labels)
            drawn[post.set] += [(rank, example) for example in examples]
    return [
        example for rows in drawn.values() for _, example in sorted(rows, key=lambda row: row[0])[:per_set]
    ]


def score(
    analyst: Analyst, examples: Sequence[Example], labels: Sequence[str], found: Sequence[Attribution]
) -> Scores:
    choices = []
    for example, label, attribution in zip(examples, labels, found, strict=True):
        words = word_units(example.text)
        weights = word_contributions([start for start, _ in words], attribution)
        choices.append(top_choices(example, label, words, weights))
    curves = [
        curve
        for start in range(0, len(choices), BATCH)
        for curve in deletion_curves(analyst, choices[start : start + BATCH])
    ]
    return np.array([(curve.comprehensiveness, curve.sufficiency) for curve in curves])


def attribute(
    method: AttributionMethod, examples: Sequence[Example], labels: Sequence[str], batch: int = BATCH
) -> tuple[list[Attribution], list[float]]:
    """Attributions, and the seconds of each batch."""
    found: list[Attribution] = []
    seconds = []
    for start in range(0, len(examples), batch):
        begin = time.perf_counter()
        found += method.attribute(examples[start : start + batch], labels[start : start + batch])
        seconds.append(time.perf_counter() - begin)
    return found, seconds


def print_table(examples: Sequence[Example], scores: dict[str, Scores], seconds: dict[str, float]) -> None:
    sets = np.array([example.task for example in examples])
    names = [name for name in SETS if (sets == name).any()]
    print(
        "\n| method | "
        + " | ".join(f"{name} compr. ↑ | {name} suff. ↓" for name in names)
        + " | seconds a post |"
    )
    print("| --- |" + " ---: |" * (2 * len(names) + 1))
    for method, values in scores.items():
        cells = [f"{value:.3f}" for name in names for value in values[sets == name].mean(axis=0)]
        print(f"| {method} | {' | '.join(cells)} | {seconds[method]:.4f} |", flush=True)


def print_difference(title: str, examples: Sequence[Example], differences: Scores, test: bool = True) -> None:
    posts = [example.post_id for example in examples]
    for column, name in enumerate(("comprehensiveness", "sufficiency")):
        values = differences[:, column]
        low, high = mean_interval(values, posts, Resampling(resamples=2000)) or (np.nan, np.nan)
        p_value = f", p = {sign_flip_p_value(values.tolist(), SEED):.4f}" if test else ""
        print(f"{title}: {name} {values.mean():+.4f} ({low:+.4f} to {high:+.4f}){p_value}", flush=True)


def compare_with_shap(
    analyst: Analyst, name: str, examples: Sequence[Example], labels: Sequence[str]
) -> None:
    """shap and the default method on the same posts, one post at a time and in turns."""
    methods = {method: open_attribution(method, analyst) for method in ("shap", name)}
    found: dict[str, list[Attribution]] = {method: [] for method in methods}
    seconds = dict.fromkeys(methods, 0.0)
    for method in methods.values():
        method.attribute(examples[:1], labels[:1])  # imports and first allocations
    for example, label in zip(examples, labels, strict=True):
        for method_name, method in methods.items():
            begin = time.perf_counter()
            found[method_name] += method.attribute([example], [label])
            seconds[method_name] += time.perf_counter() - begin
    scores = {method: score(analyst, examples, labels, found[method]) for method in methods}
    per_post = {method: total / len(examples) for method, total in seconds.items()}
    print(f"\nshap's PartitionExplainer on {len(examples)} of these posts, one post at a time:")
    print_table(examples, scores, per_post)
    print_difference(f"{name} − shap", examples, scores[name] - scores["shap"])
    print(f"{name} is {per_post['shap'] / per_post[name]:.1f} times as fast as shap")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of a fine-tuned encoder")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with posts.jsonl.zst, as collect writes"
    )
    parser.add_argument("--split", choices=("test", "validation"), default="test")
    parser.add_argument("--posts", type=int, default=75, help="posts of each set")
    parser.add_argument("--shap-posts", type=int, default=16, help="posts that shap explains; 0: none")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    options = parser.parse_args(argv)

    begin = time.perf_counter()
    analyst = open_analyst(f"encoder:{options.model}", log=lambda _: None)
    examples = draw_examples(options.data, options.split, options.posts)
    if not examples:
        print(f"{options.data}: no {options.split} posts of {' or '.join(SETS)}", file=sys.stderr)
        return 1
    labels = [prediction.reading.label or "" for prediction in analyst.predict(examples)]
    default = default_method(analyst, "full")
    names = list(dict.fromkeys((default, *options.methods, *BASELINES)))
    print(f"{len(examples)} {options.split} posts; the default method is {default}")
    scores, seconds = {}, {}
    for name in names:
        method = open_attribution(name, analyst)
        method.attribute(examples[:2], labels[:2])
        found, times = attribute(method, examples, labels)
        seconds[name] = sum(times) / len(examples)
        scores[name] = score(analyst, examples, labels, found)
    print_table(examples, scores, seconds)
    print()
    for baseline in BASELINES:
        print_difference(f"{default} − {baseline}", examples, scores[default] - scores[baseline])
    if options.shap_posts:
        step = max(1, len(examples) // options.shap_posts)
        part = slice(0, step * options.shap_posts, step)
        compare_with_shap(analyst, default, examples[part], labels[part])
    print(f"\ntotal: {time.perf_counter() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
