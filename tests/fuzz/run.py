"""Feed damaged inputs to every reader: each must be read, or refused with one sentence that shows no post.

python -m tests.fuzz.run --inputs 20000 --seed 1
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mentallama.errors import MentallamaError
from tests.fuzz.readers import CANARY, READERS, Reader

MAX_SECONDS = 60
"""A single input that takes longer ends the program with the place where it hangs."""


@dataclass(frozen=True)
class Fault:
    """An input that was not handled: the reader's name, the input's number, and what happened."""

    reader: str
    number: int
    problem: str


@dataclass(frozen=True)
class Outcome:
    """How the inputs ended."""

    read: Counter[str]
    refused: Counter[str]
    faults: list[Fault]


def fuzz(n_inputs: int, seed: int, readers: Sequence[Reader] = READERS) -> Outcome:
    """Give each reader its turn until `n_inputs` inputs are done; the same seed gives the same inputs."""
    outcome = Outcome(Counter(), Counter(), [])
    with tempfile.TemporaryDirectory() as folder:
        for number, reader in _turns(n_inputs, readers):
            damaged = reader.damage(reader.seed, random.Random(f"{seed} {number}"))
            problem, was_read = _try(reader, damaged, Path(folder) / "input")
            if problem is not None:
                outcome.faults.append(Fault(reader.name, number, problem))
            else:
                (outcome.read if was_read else outcome.refused)[reader.name] += 1
    return outcome


def _turns(n_inputs: int, readers: Sequence[Reader]) -> Iterator[tuple[int, Reader]]:
    for number in range(n_inputs):
        yield number, readers[number % len(readers)]


def _try(reader: Reader, damaged: bytes, folder: Path) -> tuple[str | None, bool]:
    """Read the input in a fresh folder: the problem, if there is one, and whether it was read to its end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = folder / reader.file
    path.write_bytes(damaged)
    try:
        reader.read(path)
    except MentallamaError as error:
        return _message_problem(str(error)), False
    except Exception as error:
        return f"{type(error).__name__} at {_place(error)}", False
    return None, True


def _message_problem(message: str) -> str | None:
    if CANARY in message:
        return "the message shows a post"
    if not message.isprintable() and "\n  - " not in message:
        return "the message holds control characters"
    return None if len(message) < 10_000 else "the message is longer than 10,000 characters"


def _place(error: Exception) -> str:
    """The last line of the package that the error passed."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "mentallama" in frame.filename]
    return f"{ours[-1].filename.rpartition('mentallama/')[2]}:{ours[-1].lineno}" if ours else "the reader"


def main() -> int:
    """Run the number of inputs asked for, print each kind of fault once, and fail if there is any."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--inputs", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--reader", action="append", help="only this reader; may be repeated")
    given = options.parse_args()
    chosen = [reader for reader in READERS if not given.reader or reader.name in given.reader]
    faulthandler.dump_traceback_later(given.inputs * MAX_SECONDS, exit=True)
    outcome = fuzz(given.inputs, given.seed, chosen)
    for reader in chosen:
        print(f"{reader.name:24} read {outcome.read[reader.name]:6} refused {outcome.refused[reader.name]:6}")
    for (name, problem), count in Counter((f.reader, f.problem) for f in outcome.faults).most_common():
        first = next(f.number for f in outcome.faults if (f.reader, f.problem) == (name, problem))
        print(f"FAULT {name}: {problem} ({count} times, first input {first})")
    print(f"{given.inputs} inputs, {len(outcome.faults)} faults")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
