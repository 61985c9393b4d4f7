"""Kill commands at random moments, resume each by the same command, and compare with an undisturbed run.

    python benchmarks/kills.py [--kills 60] [--seed 7] [--keep DIR]

Covers run (collect, train, predict, evaluate and report of the linear analyst), the pipeline of a small language model
trained from scratch (teach, check, train, predict), teach with a server, predict without a recipe, of a run and of a
table, and forget. After each kill: a command that was told to stop (SIGTERM, SIGINT) says so in one sentence, ends with
the exit code that a shell expects, and prints no traceback. After a few kills the command is left to finish: its files
have the same bytes as those of an undisturbed run, but for times, memory and the ledger's, and nothing half-written is
left. Prints one line per command and every deviation; the exit code is 1 if there was one. The moments depend on the
seed and on the speed of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
KILLS_PER_ROUND = 3
SENTENCES = {signal.SIGTERM: "mentallama: ended by SIGTERM;", signal.SIGINT: "mentallama: interrupted;"}
FORBIDDEN = ("Traceback", "leaked semaphore", "Exception ignored")
TIMES = {"seconds", "peak_memory_mb", "execution"}
TIMED_FILES = re.compile(
    r"(^|/)(manifest\.json|metrics\.jsonl|index\.html|report\.md|provenance-(stages|execution)\.(csv|tex))$"
)
"""Files that hold times; of the report's pages, the rest is compared."""
TIMED_TABLES = re.compile(
    rb'<caption id="t-provenance-(?:stages|execution)">.*?</table>'
    rb"|^(?:Stages of|How the stages)[^\n]*\n\n(?:\|[^\n]*\n)+",
    re.S | re.M,
)


@dataclass
class Command:
    """A command to kill. `prepare` fills its folder before the first start; None if it starts from nothing."""

    name: str
    share: int
    arguments: Callable[[Path], list[str]]
    prepare: Callable[[Path], None] | None = None
    seconds: float = 0.0
    """How long it takes undisturbed."""
    files: dict[str, bytes] = field(default_factory=dict)
    """What it leaves undisturbed."""


@dataclass
class Report:
    """Kills by signal, and deviations."""

    kills: Counter[str] = field(default_factory=Counter)
    finished_first: int = 0
    deviations: list[str] = field(default_factory=list)

    def deviates(self, line: str) -> None:
        """Print a deviation at once: a run takes long."""
        self.deviations.append(line)
        print(f"  {line}", flush=True)


def start(command: Command, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mentallama", *command.arguments(folder)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_until_signals_are_handled(process: subprocess.Popen[str]) -> None:
    """Wait until Python has started and the program handles SIGTERM; before, there is no command to stop."""
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt:"))
        if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.002)


def results(folder: Path) -> dict[str, bytes]:
    """The files below a folder by name, without what depends on the clock."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or path.name == ".lock" or path.name.startswith("ledger.sqlite"):
            files |= {f"{name}/": b""} if path.is_dir() else {}
        elif path.name == "manifest.json":
            manifest = json.loads(path.read_text(encoding="utf-8"))
            files[name] = json.dumps(_without_times(manifest)).encode()
        elif path.name in {"index.html", "report.md"}:
            files[name] = TIMED_TABLES.sub(b"", path.read_bytes())
        else:
            files[name] = b"" if TIMED_FILES.search(name) else path.read_bytes()
    return files


def _without_times(value: object) -> object:
    """A manifest without times and memory, and without hashes of files that hold them."""
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key not in TIMES}
    if isinstance(value, list):
        return [_without_times(item) for item in value if not _is_timed_file(item)]
    return value


def _is_timed_file(item: object) -> bool:
    return isinstance(item, dict) and bool(TIMED_FILES.search(str(item.get("name"))))


def kill_once(command: Command, folder: Path, draw: random.Random, report: Report) -> None:
    """Start the command and end it at a random moment, or see it finish before."""
    number = SIGNALS[sum(report.kills.values()) % len(SIGNALS)]
    delay = draw.uniform(0, command.seconds)
    to_group = draw.random() < 0.5  # as Ctrl-C and schedulers do
    process = start(command, folder)
    wait_until_signals_are_handled(process)
    try:
        _, stderr = process.communicate(timeout=delay)
        report.finished_first += 1
        if process.returncode:
            report.deviates(f"{command.name}: exit code {process.returncode} undisturbed: {stderr[-500:]}")
        return
    except subprocess.TimeoutExpired:
        (os.killpg if to_group else os.kill)(process.pid, number)
    _, stderr = process.communicate(timeout=60)
    report.kills[number.name] += 1
    where = f"{command.name}, {number.name}{' to all' if to_group else ''} after {delay:.1f} s"
    if number == signal.SIGKILL:
        return
    if process.returncode not in {0, 128 + number}:
        report.deviates(f"{where}: exit code {process.returncode}: {stderr[-500:]}")
    elif process.returncode and stderr.count(SENTENCES[number]) != 1:
        report.deviates(f"{where}: not one sentence: {stderr[-500:]}")
    for word in FORBIDDEN:
        if word in stderr:
            report.deviates(f"{where}: {word}: {stderr[-1500:]}")


def finish_and_compare(command: Command, folder: Path, report: Report) -> None:
    process = start(command, folder)
    _, stderr = process.communicate(timeout=600)
    if process.returncode:
        report.deviates(f"{command.name}: exit code {process.returncode} on resuming: {stderr[-800:]}")
        return
    files = results(folder)
    for name in sorted(files.keys() ^ command.files.keys()):
        report.deviates(f"{command.name}: {name} {'is left over' if name in files else 'is missing'}")
    for name in sorted(files.keys() & command.files.keys()):
        if files[name] != command.files[name]:
            report.deviates(f"{command.name}: {name} differs from an undisturbed run")


def run_rounds(command: Command, work: Path, kills: int, draw: random.Random) -> Report:
    """Kill the command `kills` times, in rounds that each end with a comparison."""
    report, rounds = Report(), 0
    while sum(report.kills.values()) < kills and rounds < 2 * kills:
        rounds += 1
        folder = _new_folder(command, work / f"{command.name}-{rounds}")
        for _ in range(min(KILLS_PER_ROUND, kills - sum(report.kills.values()))):
            kill_once(command, folder, draw, report)
        finish_and_compare(command, folder, report)
        if not report.deviations:
            shutil.rmtree(folder)
    return report


def _new_folder(command: Command, folder: Path) -> Path:
    if command.prepare is not None:
        command.prepare(folder)
    return folder


def undisturbed(command: Command, folder: Path) -> Path:
    """Run the command to its end and keep what it wrote, for comparison."""
    _new_folder(command, folder)
    begin = time.monotonic()
    process = start(command, folder)
    _, stderr = process.communicate(timeout=900)
    if process.returncode:
        raise SystemExit(f"{command.name}: exit code {process.returncode}: {stderr}")
    command.seconds, command.files = time.monotonic() - begin, results(folder)
    return folder


def _settings(**values: object) -> list[str]:
    return [part for key, value in values.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]


def commands(work: Path, url: str) -> Iterator[Command]:
    """The commands, each after the undisturbed run of those before, whose results it uses."""
    fast = _settings(sets="[CLP, DR]", train__C="[1.0]", train__topics="[0]", jobs=2)
    linear = ["recipes/sample-linear.yaml", *fast]
    yield Command("run", 18, lambda folder: ["run", *linear, "--out", str(folder)])
    remote = _settings(sets="[CLP]", teach__teacher=f"remote:test-model@{url}", jobs=1)
    yield Command(
        "teach", 9, lambda folder: ["teach", "recipes/sample-build.yaml", *remote, "--out", str(folder)]
    )
    finished = work / "run-0"
    yield Command(
        "predict",
        9,
        lambda folder: [
            "predict", "--model", f"linear:{finished / 'train'}", "--data", str(finished), "--out", str(folder),
            "--split", "train", "--split", "test",
        ],
    )  # fmt: skip
    posts = finished / "collect/posts.jsonl.zst"
    yield Command(
        "table",
        9,
        lambda folder: [
            "predict", "--model", f"linear:{finished / 'train'}", "--data", str(posts), "--task", "DR",
            "--task", "CLP", "--out", str(folder / "labelled.csv"),
        ],
    )  # fmt: skip
    first_post = subprocess.run(
        [sys.executable, "-c", _FIRST_AUTHOR, str(posts)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    yield Command(
        "forget",
        9,
        lambda folder: ["forget", first_post, "--out", str(folder)],
        lambda folder: shutil.copytree(finished, folder) and None,
    )
    small = "{hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, vocab_size: 400}"
    causal = _settings(
        sets="[CLP]", train__from_scratch=small, train__epochs=2, train__eval_steps=4, train__max_tokens=384,
        train__device="cpu", predict__max_new_tokens=8, predict__device="cpu", jobs=1,
    )  # fmt: skip
    yield Command(
        "language-model",
        15,
        lambda folder: ["run", "recipes/sample-tiny-llama.yaml", *causal, "--out", str(folder)],
    )


_FIRST_AUTHOR = """
import sys, pathlib
from mentallama.files.record_files import read_records
from mentallama.records import Post
print(next(post.author for post in read_records(pathlib.Path(sys.argv[1]), Post) if post.author))
"""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=60)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--only", nargs="*", default=[], help="commands, by their names; default: all")
    options.add_argument("--keep", type=Path, help="folder to work in, kept afterwards")
    arguments = options.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.factories.endpoint_server import server_process

    failed = False
    with (
        tempfile.TemporaryDirectory() as temporary,
        server_process("--delay", "0.05", "--model", "test-model") as url,
    ):
        work, draw = arguments.keep or Path(temporary), random.Random(arguments.seed)
        work.mkdir(parents=True, exist_ok=True)
        for command in commands(work, url):
            wanted = command.name in (arguments.only or [command.name])
            if wanted or command.name == "run":
                undisturbed(command, work / f"{command.name}-0")
            if wanted:
                report = run_rounds(command, work, round(command.share * arguments.kills / 60), draw)
                print(
                    f"{command.name}: {sum(report.kills.values())} kills ({dict(report.kills)}), "
                    f"{report.finished_first} finished before, "
                    f"{len(report.deviations)} deviations; undisturbed "
                    f"{command.seconds:.1f} s",
                    flush=True,
                )
                failed = failed or bool(report.deviations)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
