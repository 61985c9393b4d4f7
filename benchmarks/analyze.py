"""Speed of analyzing a post with its explanation, compared with plain scikit-learn without one.

    python benchmarks/analyze.py                                   # synthetic posts, a model trained on them
    python benchmarks/analyze.py --model linear:runs/NAME/train --posts runs/NAME/collect/posts.jsonl.zst

Measured on one core: posts per second with label, probabilities, evidence and explanation; the median and 95th
percentile of the time for a single post after loading; and the same for `predict_proba` of scikit-learn on the same
n-grams and training posts, which gives no explanation. Both answer the same posts in alternating rounds, so that other
load on the machine affects both. With `--model`, the test posts are answered, and the baseline is fitted to the
training posts of the same set.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union

from mentallama.analysts.base import Analyst
from mentallama.attribution.opening import open_analyst
from mentallama.config import LinearSettings
from mentallama.files.atomic import write_json
from mentallama.files.record_files import read_records
from mentallama.records import Example, Post, Provenance, Split, example_of, stable_id
from mentallama.train.linear.trainer import train_linear

Answer = Callable[[Sequence[Example]], object]
SYLLABLES = [a + b for a in "bdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er", "ing")]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def synthetic_posts(count: int, seed: int) -> list[Post]:
    """A third each of training, validation and test posts of about 100 words, with a Zipf-like distribution of words
    that differs between the labels."""
    draw = random.Random(seed)
    words = sorted({"".join(draw.choices(SYLLABLES, k=draw.randint(1, 4))) for _ in range(20_000)})
    draw.shuffle(words)
    ranks = {
        label: [1 / (rank + 2 + 40 * (rank % 7 == rest)) for rank in range(len(words))]
        for rest, label in enumerate(("yes", "no"))
    }
    posts = []
    for number in range(count):
        label, split = ("yes", "no")[number % 2], SPLITS[number * 3 // count]
        text = " ".join(draw.choices(words, ranks[label], k=draw.randint(20, 180)))
        origin = Provenance(file="synthetic", row=number + 1, origin="table", synthetic=True)
        posts.append(
            Post(
                id=stable_id(split, text),
                set="DR",
                split=split,
                text=text,
                labels={"depression": label},
                provenance=origin,
            )
        )
    return posts


def questions(posts: Sequence[Post], analyst: Analyst) -> list[Example]:
    """The first labelled question of each test post that the analyst supports."""
    supported = set(getattr(analyst, "supported_questions", ()))
    first = ([q for q in post.labels if (post.set, q) in supported][:1] for post in posts)
    return [
        example_of(post, question[0], "instruction")
        for post, question in zip(posts, first, strict=True)
        if question and post.split == "test"
    ]


def baseline(posts: Sequence[Post], examples: Sequence[Example]) -> Answer:
    """scikit-learn's `predict_proba` on the same n-grams, one pipeline per question."""

    def fit(name: str, question: str) -> Any:
        labelled = [p for p in posts if p.set == name and p.split != "test" and question in p.labels]
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        runs = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True)
        pipeline = make_pipeline(make_union(words, runs), LogisticRegression(max_iter=500))
        return pipeline.fit([p.text for p in labelled], [p.labels[question] for p in labelled])

    models = {key: fit(*key) for key in sorted({(e.task, e.question) for e in examples})}

    def answer(batch: Sequence[Example]) -> object:
        by_question: dict[tuple[str, str], list[str]] = {}
        for example in batch:
            by_question.setdefault((example.task, example.question), []).append(example.text)
        return [models[key].predict_proba(texts) for key, texts in by_question.items()]

    return answer


def posts_per_second(answer: Answer, examples: Sequence[Example]) -> float:
    start = time.perf_counter()
    answer(examples)
    return len(examples) / (time.perf_counter() - start)


def single_post_milliseconds(answer: Answer, examples: Sequence[Example]) -> list[float]:
    durations = []
    for example in examples:
        start = time.perf_counter()
        answer([example])
        durations.append((time.perf_counter() - start) * 1000)
    return durations


def measure(answers: dict[str, Answer], examples: list[Example], rounds: int) -> dict[str, dict[str, float]]:
    """Medians over the rounds; the first one, with empty caches, is also reported as `cold`."""
    speeds: dict[str, list[float]] = {name: [] for name in answers}
    singles: dict[str, list[float]] = {name: [] for name in answers}
    for _ in range(rounds):
        for name, answer in answers.items():
            speeds[name].append(posts_per_second(answer, examples))
            singles[name] += single_post_milliseconds(answer, examples[:200])
    return {
        name: {
            "posts_per_second_cold": speeds[name][0],
            "posts_per_second": statistics.median(speeds[name]),
            "single_ms_p50": statistics.median(singles[name]),
            "single_ms_p95": statistics.quantiles(singles[name], n=20)[18],
        }
        for name in answers
    }


def show(results: dict[str, dict[str, float]]) -> None:
    for name, figures in results.items():
        print(f"{name:>40} " + "  ".join(f"{key} {value:,.2f}" for key, value in figures.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--model", help="linear:DIR; default: trained on synthetic posts")
    parser.add_argument("--posts", type=Path, help="posts.jsonl.zst; default: synthetic posts")
    parser.add_argument("--count", type=int, default=3000, help="number of synthetic posts")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    args = parser.parse_args()
    posts = list(read_records(args.posts, Post)) if args.posts else synthetic_posts(args.count, args.seed)
    with tempfile.TemporaryDirectory() as folder:
        if args.model is None:
            train_linear(posts, Path(folder), LinearSettings(C=(2.0,)))
        analyst = open_analyst(args.model or f"linear:{folder}")
    examples = questions(posts, analyst)
    answers: dict[str, Answer] = {
        "mentallama, with explanations": lambda batch: list(analyst.predict(batch)),
        "scikit-learn, without explanations": baseline(posts, examples),
    }
    words = statistics.mean(len(example.text.split()) for example in examples)
    print(f"{len(examples)} posts of {words:.0f} words on average, {args.rounds} rounds, one core")
    results = measure(answers, examples, args.rounds)
    show(results)
    if args.out:
        report = {"posts": len(examples), "words": words, "rounds": args.rounds, "analysts": results}
        write_json(args.out, report)


if __name__ == "__main__":
    main()
