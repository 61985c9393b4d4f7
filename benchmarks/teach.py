"""Calls a second of the teacher's client, beside a bare loop and beside bespokelabs-curator; and its memory.

    python benchmarks/teach.py
    python benchmarks/teach.py --curator /path/to/its/own/environment/bin/python
    python benchmarks/teach.py --memory 100000

One server of the tests on loopback answers after 50 ms; it shares the cores with the client. All clients ask the same
made-up prompts at 200 in flight, each in a process of its own, in turns. `bare` posts and reads JSON over aiohttp
without ledger, pace or retries: what the library can do. curator is run in its own environment, since its
requirements and ours exclude each other: python -m venv DIR, DIR/bin/pip install bespokelabs-curator==0.1.31.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

IN_FLIGHT = 200
DELAY = 0.05
MODEL = "gpt-4o-mini"
"""A name that curator knows; nothing leaves the machine."""
EVERY = 10_000
"""Calls between two looks at the memory."""
MADE_BEFORE = 20_000
"""Up to so many calls, prompts are made before the clock starts, for all clients; more are made as they are asked."""


def bodies(count: int) -> Iterator[dict[str, object]]:
    """Requests as the teacher sends them, about made-up posts."""
    from collect import stream
    from mentallama.prompts import teacher_prompt
    from mentallama.tasks import find_task

    task = find_task("dreaddit")
    for text in stream(count, seed=3):
        messages = teacher_prompt(task, "stress", text, "label-given", label="yes")
        yield {"model": MODEL, "messages": messages, "max_tokens": 512, "temperature": 0.0}


def ask_ours(url: str, count: int, ledger: Path) -> dict[str, float]:
    """The teacher's client with its ledger: seconds from the first call to the last commit."""
    from mentallama.config import EndpointSettings
    from mentallama.llm_api.dispatcher import dispatch_sync
    from mentallama.llm_api.endpoint import open_endpoint
    from mentallama.llm_api.ledger.ledger import Ledger
    from mentallama.llm_api.types import Limits, Request, RunStats, request_hash

    endpoint = open_endpoint(f"remote:{MODEL}@{url}", EndpointSettings(), {})
    seen: dict[str, float] = {}

    def look(tally: RunStats) -> None:
        mark = tally.done // EVERY * EVERY
        if mark and f"mb_at_{mark}" not in seen:
            seen[f"mb_at_{mark}"] = resident_mb()

    def calls() -> Iterator[Request]:
        for number, body in enumerate(bodies(count)):
            name = f"{number:016x}"
            yield Request(
                hash=request_hash(url, body),
                body=body,
                example_id=name,
                post_id=name,
                task="dreaddit",
                question="stress",
            )

    made: Iterable[Request] = calls() if count > MADE_BEFORE else list(calls())
    with Ledger(ledger) as book:
        start = time.perf_counter()
        tally = dispatch_sync(made, endpoint, book, Limits(max_concurrency=IN_FLIGHT), look)
        seconds = time.perf_counter() - start
    assert tally.answered + tally.cached == count or count > tally.answered > 0.9 * count, (
        tally
    )  # copies are asked once
    return {"calls": tally.answered, "seconds": seconds} | seen


def ask_bare(url: str, count: int, ledger: Path) -> dict[str, float]:
    """So many workers, each posting and reading one call after the other."""
    import aiohttp

    async def run() -> float:
        waiting = iter(list(bodies(count)))
        connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def work() -> None:
                for body in waiting:
                    async with session.post(f"{url}/chat/completions", json=body) as response:
                        json.loads(await response.read())["choices"][0]["message"]["content"]

            start = time.perf_counter()
            await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
            return time.perf_counter() - start

    return {"calls": count, "seconds": asyncio.run(run())}


def resident_mb() -> float:
    """Memory of this process now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


CLIENTS: dict[str, Callable[[str, int, Path], dict[str, float]]] = {"ours": ask_ours, "bare": ask_bare}


def ask_apart(client: str, url: str, count: int) -> dict[str, float]:
    """One client in a process of its own, with a new ledger."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--client", client, "--url", url, "--calls", str(count)]
        done = subprocess.run(
            [*command, "--ledger", f"{folder}/ledger.sqlite"], check=True, capture_output=True, text=True
        )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def ask_curator(python: Path, url: str, count: int) -> dict[str, float]:
    """curator on the same prompts, in its own environment, with a new cache."""
    with tempfile.TemporaryDirectory() as folder:
        requests = Path(folder) / "messages.jsonl"
        with requests.open("w", encoding="utf-8") as file:
            for body in bodies(count):
                file.write(json.dumps(body["messages"]) + "\n")
        command = [str(python), str(HERE / "teach_curator.py"), url, MODEL, str(IN_FLIGHT), str(requests)]
        done = subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"CURATOR_CACHE_DIR": folder},
        )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def compare(calls: int, rounds: int, curator: Path | None) -> dict[str, list[float]]:
    """Calls a second of each client, round by round."""
    from tests.factories.endpoint_server import server_process

    found: dict[str, list[float]] = {}
    for number in range(rounds):
        for client in ("bare", "ours", *(["curator"] if curator else [])):
            with server_process("--delay", str(DELAY), "--model", MODEL) as url:
                # a slow client on as many calls would only take longer
                done = (
                    ask_curator(curator, url, calls // 5)
                    if client == "curator" and curator
                    else ask_apart(client, url, calls)
                )
            found.setdefault(client, []).append(done["calls"] / done["seconds"])
            print(f"round {number + 1}: {client:<8}{found[client][-1]:>10,.0f} calls/s", flush=True)
    return found


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--calls", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--curator", type=Path, metavar="PYTHON", help="the Python of curator's environment")
    options.add_argument(
        "--memory", type=int, metavar="CALLS", help="look at the memory over so many calls instead"
    )
    for hidden in ("--client", "--url", "--ledger"):
        options.add_argument(hidden, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.client:
        print(json.dumps(CLIENTS[given.client](given.url, given.calls, Path(given.ledger))))
        return
    if given.memory:
        from tests.factories.endpoint_server import server_process

        with server_process("--delay", str(DELAY), "--model", MODEL) as url:
            for name, value in ask_apart("ours", url, given.memory).items():
                print(f"{name:<16}{value:>12,.1f}")
        return
    found = compare(given.calls, given.rounds, given.curator)
    for client, rates in found.items():
        ratio = statistics.median(ours / rate for ours, rate in zip(found["ours"], rates, strict=True))
        print(
            f"{client:<8} median {statistics.median(rates):>8,.0f} calls/s; ours is {ratio:.2f} times as fast"
        )


if __name__ == "__main__":
    main()
