"""Rate and memory of `mentallama predict` on a table, beside the rate of the analyst alone.

    python benchmarks/predict_table.py                    # 100,000 rows of CSV to Parquet, and 10,000 for the memory
    python benchmarks/predict_table.py --rows 5000 --small 1000 --rounds 1     # a quick look

A linear model is trained on synthetic posts, as in `analyze.py`, whose measure is taken of the same posts in the same
process: label, probabilities, evidence and explanation of a post, on one core, without reading, cleaning or writing.
The command is run as users run it, in a process of its own; its rate counts the rows and all seconds from start to
exit. Rounds alternate, so that other load on the machine affects both. Peak memory is that of the command's largest
process, from the operating system (`ru_maxrss`); it should not depend on the number of rows.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

from analyze import posts_per_second, synthetic_posts

from mentallama.analysts.answer import example_of_text
from mentallama.attribution.opening import open_analyst
from mentallama.config import LinearSettings
from mentallama.files.atomic import write_json
from mentallama.records import Post
from mentallama.train.linear.trainer import train_linear

ROOT = Path(__file__).parents[1]
SAMPLED = 5000
"""Posts of which the analyst's own rate is measured in each round."""


def texts_like(posts: Sequence[Post], count: int, seed: int) -> list[str]:
    """Texts of the words and lengths of the posts, in other orders, so that no two are equal."""
    draw = random.Random(seed)
    words = [post.text.split(" ") for post in posts]
    return [" ".join(draw.sample(chosen, len(chosen))) for chosen in draw.choices(words, k=count)]


def write_table(path: Path, texts: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("post_id", "body"))
        rows.writerows(enumerate(texts))


def run_command(model: str, table: Path, out: Path) -> tuple[float, float]:
    """Seconds and peak memory in MB of the command; its output is deleted."""
    command = [
        sys.executable, "-m", "mentallama", "predict", "--model", model, "--data", str(table), "--text", "body",
        "--id", "post_id", "--task", "DR", "--out", str(out),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    measured = (
        "import json, resource, subprocess, sys, time\n"
        "start = time.perf_counter()\n"
        "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode\n"
        "seconds = time.perf_counter() - start\n"
        "print(json.dumps([code, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", measured, *command], env=environment, stdout=subprocess.PIPE, check=True
    )
    code, seconds, peak = json.loads(done.stdout)
    if code:
        raise SystemExit(f"the command failed with exit code {code}: {' '.join(command)}")
    out.unlink()
    return seconds, peak


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    posts = synthetic_posts(args.count, args.seed)
    train_linear(posts, folder / "model", LinearSettings(C=(2.0,)))
    model = f"linear:{folder / 'model'}"
    texts = texts_like([post for post in posts if post.split == "test"], args.rows, args.seed)
    write_table(folder / "large.csv", texts)
    write_table(folder / "small.csv", texts[: args.small])
    analyst = open_analyst(model)
    examples = [example_of_text(text, ("DR", "depression"), "instruction") for text in texts[:SAMPLED]]
    own_rates, rates, peaks = [], [], []
    for _ in range(args.rounds):
        own_rates.append(posts_per_second(lambda batch: list(analyst.predict(batch)), examples))
        seconds, peak = run_command(model, folder / "large.csv", folder / "large.parquet")
        rates.append(args.rows / seconds)
        peaks.append(peak)
    _, small_peak = run_command(model, folder / "small.csv", folder / "small.parquet")
    return {
        "rows": args.rows,
        "small_rows": args.small,
        "analyst_posts_per_second": statistics.median(own_rates),
        "rows_per_second": statistics.median(rates),
        "ratio": statistics.median(rate / own for rate, own in zip(rates, own_rates, strict=True)),
        "peak_mb": max(peaks),
        "small_peak_mb": small_peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--small", type=int, default=10_000, help="rows of the second table, for the memory")
    parser.add_argument("--count", type=int, default=3000, help="number of synthetic posts to train on")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    args = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder), args)
    for name, figure in results.items():
        print(f"{name:>26} {figure:,.2f}")
    print(f"{time.perf_counter() - start:,.0f} s in all")
    if args.out:
        write_json(args.out, results)


if __name__ == "__main__":
    main()
