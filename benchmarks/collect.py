"""Speed and memory of `collect` on a synthetic stream.

    python benchmarks/collect.py            # cleaning on one core, then 1,000,000 posts through the whole stage
    python benchmarks/collect.py --posts 100000 --skip-clean

The stream is drawn from a seed: English-like posts of 8 to 160 words with a long-tailed vocabulary, of which one in
ten is mis-decoded, one in ten holds a handle, link, mail, phone number or name, one in twenty is an exact copy and
one in twenty a near copy of an earlier post, spread over five sets and three splits.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

WORDS = 30_000
SETS = ("dreaddit", "DR", "CLP", "loneliness", "swmh")
PERSONAL = (
    "@maple_{n}",
    "https://example.org/{n}",
    "robin{n}@example.org",
    "555-01{n:02d}",
    "my name is Robin",
)
SPLITS = ("train",) * 8 + ("validation", "test")


def stream(posts: int, seed: int) -> Iterator[str]:
    """Yield `posts` made-up texts."""
    draw = random.Random(seed)
    vocabulary = ["".join(draw.choices("abcdefghilmnoprstuvwy", k=draw.randint(2, 9))) for _ in range(WORDS)]
    weights = [1 / (rank + 8) for rank in range(WORDS)]
    pool = draw.choices(vocabulary, weights, k=400_000)
    kept: list[str] = []
    for _ in range(posts):
        kind = draw.random()
        if kept and kind < 0.05:
            yield draw.choice(kept)
            continue
        if kept and kind < 0.10:
            words = draw.choice(kept).split()
            words[draw.randrange(len(words))] = draw.choice(pool)
            yield " ".join(words)
            continue
        start, size = draw.randrange(len(pool) - 200), draw.randint(8, 160)
        words = pool[start : start + size]
        draw.shuffle(words)  # otherwise overlapping windows would be near-duplicates by accident
        text = " ".join(words) + "."
        if kind < 0.20:
            text += " I don’t know — really".encode().decode("mac_roman")
        elif kind < 0.30:
            text += " " + draw.choice(PERSONAL).format(n=draw.randrange(99))
        if len(kept) < 20_000:
            kept.append(text)
        yield text


def write_source(folder: Path, posts: int, seed: int) -> None:
    """The stream as one declared table a set, with split and author columns."""
    draw = random.Random(seed)
    files = {}
    for name in SETS:
        path = folder / "sources" / name / "stream.csv"
        path.parent.mkdir(parents=True)
        files[name] = path.open("w", encoding="utf-8", newline="")
        csv.writer(files[name]).writerow(["text", "label", "split", "user"])
    for number, text in enumerate(stream(posts, seed)):
        name = SETS[number % len(SETS)]
        label = draw.choice(("depression", "anxiety") if name == "swmh" else ("yes", "no"))
        csv.writer(files[name]).writerow(
            [text, label, draw.choice(SPLITS), f"user{draw.randrange(posts // 3)}"]
        )
    for file in files.values():
        file.close()


def recipe_for(folder: Path, jobs: int) -> Path:
    """A recipe of `collect` alone over the tables."""
    import yaml

    def table(question: str) -> list[dict[str, object]]:
        columns = {"text": "text", "labels": {question: "label"}, "split": "split", "author": "user"}
        return [{"file": "stream.csv", "columns": columns}]

    questions = {
        "dreaddit": "stress",
        "DR": "depression",
        "CLP": "depression",
        "loneliness": "loneliness",
        "swmh": "disorder",
    }
    recipe = {
        "name": "stream",
        "data": str(folder),
        "sets": list(SETS),
        "jobs": jobs,
        "collect": {
            "leak_guard": "run",
            "tables": {name: table(question) for name, question in questions.items()},
        },
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def measure_cleaning(posts: int) -> dict[str, float]:
    """Repair and scrubbing alone, and the whole batch function, in this process: posts a second on one core."""
    from mentallama.collect.clean_batch import clean_batch
    from mentallama.collect.readers import RawPost
    from mentallama.parallel import batched
    from mentallama.text.pii import scrub
    from mentallama.text.repair import repair

    texts = list(stream(posts, seed=1))
    start = time.perf_counter()
    for text in texts:
        scrub(repair(text))
    cleaned = time.perf_counter()
    rows = (RawPost("DR", "train", "table", "stream.csv", n, text, {}) for n, text in enumerate(texts))
    for batch in batched(rows, 512):
        clean_batch(list(batch), "salt", frozenset())
    done = time.perf_counter()
    return {
        "posts": posts,
        "clean_and_scrub_per_second": posts / (cleaned - start),
        "with_keys_and_minhash_per_second": posts / (done - cleaned),
    }


def measure_stage(posts: int, jobs: int, work: Path) -> dict[str, float]:
    """The stage in a process of its own, as a user runs it: seconds and peak memory of any of its processes."""
    write_source(work, posts, seed=2)
    command = [
        sys.executable,
        "-m",
        "mentallama",
        "collect",
        str(recipe_for(work, jobs)),
        "--out",
        str(work / "run"),
    ]
    start = time.perf_counter()
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - start
    manifest = json.loads((work / "run/collect/manifest.json").read_text(encoding="utf-8"))
    summary = json.loads((work / "run/collect/summary.json").read_text(encoding="utf-8"))
    removed = sum(each["posts"] for each in summary["removed"])
    return {
        "posts": posts,
        "jobs": jobs,
        "seconds": seconds,
        "posts_per_second": posts / seconds,
        "peak_memory_mb_of_the_largest_process": manifest["peak_memory_mb"],
        "removed": removed,
    }


def main() -> None:
    """Measure and print; with --out write JSON as well."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--posts", type=int, default=1_000_000)
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--skip-clean", action="store_true")
    options.add_argument("--out", type=Path)
    given = options.parse_args()
    found: dict[str, dict[str, float]] = {}
    if not given.skip_clean:
        found["clean"] = measure_cleaning(20_000)
    with tempfile.TemporaryDirectory() as work:
        found["stage"] = measure_stage(given.posts, given.jobs, Path(work))
    for part, figures in found.items():
        print(part, *(f"  {name:<42}{value:>14,.1f}" for name, value in figures.items()), sep="\n")
    if given.out:
        given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
