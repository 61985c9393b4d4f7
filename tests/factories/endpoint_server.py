"""An OpenAI-compatible server on loopback for tests and benchmarks, with faults by seed.

    python -m tests.factories.endpoint_server --port 8000 --log seen.jsonl --delay 0.05 \
      --fault 429=0.05 --fault cut=0.03

It speaks HTTP/1.1 by itself (a request's length is in its header, connections are kept), because it shares two cores
with the client that is measured: that is five times as fast as a web framework. It prints its URL once it listens.

The log has two lines a request, each written before the bytes it tells of: `seen` when the request is whole, and
what came of it (`ok`, or a fault's name) when the answer is sent. `key` is the caller's key, `hash` the call's hash.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mentallama.llm_api.types import request_hash
from tests.factories.project import ROOT

Body = dict[str, Any]

REFUSALS = ("filter", "refusal", "filtered")
"""Ends, not faults: content_filter as finish reason, message.refusal, status 400 with code content_filter."""

FAULTS = ("429", "500", "503", "cut", "malformed", "hang", *REFUSALS)


def fixed_reply(_: Body) -> str:
    return "The post is about a long week at work; it tells of tiredness and of a walk that helped."


@dataclass
class Plan:
    """What a server does. `faults`: share of requests by fault."""

    delay: float = 0.0
    faults: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    key: str | None = None
    models: tuple[str, ...] = ("test-model",)
    formats: tuple[str, ...] = ("json_schema", "json_object", "text")
    """Kinds of response_format that are taken."""
    retry_after: str = "0.05"
    usage: bool = True
    log: Path | None = None
    reply: Callable[[Body], str] = fixed_reply
    chance: Callable[[str, str], float] | None = None
    """Log-probability of a token behind a text; None: there is no /completions."""
    echo: bool = True
    """Whether /completions repeats the text and gives log-probabilities."""
    script: list[str] = field(default_factory=list)
    """What happens to the first requests, in order: `ok` or a fault."""
    fate: Callable[[Body, int], str] | None = None
    """What happens to a request, by its body and how often it was seen; None: as `faults` say."""
    respond: Callable[[Body, str], tuple[int, Body | bytes] | None] | None = None
    """Status and body that a request gets, by its body and its path; None: as without."""


class Server:
    """Counts what it sees. `hashes`: requests by hash; `outcomes`: by what came of them; `most`: at a time; `tokens`:
    those of all answers, by what they were."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.url = plan, ""
        self.hashes: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        self.bodies: list[Body] = []
        self.flying = self.most = 0
        self.connections: set[Connection] = set()
        self.listening: asyncio.Server | None = None
        self._script = iter(list(plan.script))
        self._log = os.open(plan.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if plan.log else None

    def see(self, body: Body, key: str | None) -> tuple[str, str]:
        """Count a request; returns its hash and what shall come of it."""
        digest = request_hash(self.url, body)
        self.hashes[digest] += 1
        self.flying += 1
        self.most = max(self.most, self.flying)
        if len(self.bodies) < 1000:
            self.bodies.append(body)
        self.note("seen", digest, key)
        fate = self.plan.fate(body, self.hashes[digest]) if self.plan.fate else self._draw(digest)
        return digest, next(self._script, fate)

    def tell(self, outcome: str, digest: str, key: str | None) -> None:
        self.flying -= 1
        self.outcomes[outcome] += 1
        self.note(outcome, digest, key)

    def note(self, what: str, digest: str, key: str | None) -> None:
        if self._log is not None:
            os.write(self._log, f'{{"what":"{what}","hash":"{digest}","key":{json.dumps(key)}}}\n'.encode())

    def drop(self, for_seconds: float | None = None) -> None:
        """Go away, cutting all connections; come back after a while, or never. From any thread."""
        assert self.listening is not None
        loop, port = self.listening.get_loop(), urlsplit(self.url).port or 0

        def go() -> None:
            assert self.listening is not None
            self.listening.close()
            for connection in list(self.connections):
                connection.transport.abort()
            if for_seconds is not None:
                loop.call_later(for_seconds, lambda: loop.create_task(come_back()))

        async def come_back() -> None:
            self.listening = await open_port(self, port)

        loop.call_soon_threadsafe(go)

    def _draw(self, digest: str) -> str:
        """A fault by seed, hash and how often the request was seen: the order of requests plays no part.

        What a content filter says depends on the request alone.
        """
        for kinds, salt in ((REFUSALS, "filter"), (FAULTS[: -len(REFUSALS)], self.hashes[digest])):
            raw = hashlib.blake2b(f"{self.plan.seed} {digest} {salt}".encode(), digest_size=8).digest()
            point = int.from_bytes(raw, "big") / 2**64
            for kind in kinds:
                point -= self.plan.faults.get(kind, 0.0)
                if point < 0:
                    return kind
        return "ok"


HEAD = re.compile(rb"(?im)^content-length:\s*(\d+)|^authorization:\s*bearer\s+(\S+)")
TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])|\s+$")
"""Words and marks, each with the white space before it."""
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


class Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self.server, self.loop = server, asyncio.get_running_loop()
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        self.server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, end, rest = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return
        found = HEAD.findall(head)
        length = int(next((number for number, _ in found if number), b"0"))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        key = next((key.decode() for _, key in found if key), None)
        self.handle(head.split(b" ", 2)[1].decode(), rest[:length], key)

    def handle(self, path: str, raw: bytes, key: str | None) -> None:  # noqa: PLR0911
        plan = self.server.plan
        if plan.key is not None and key != plan.key:
            return self.send(401, error("invalid_request_error", "invalid_api_key"))
        if path == "/v1/models":
            listed = [
                {"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in plan.models
            ]
            return self.send(200, {"object": "list", "data": listed})
        if path not in {"/v1/chat/completions", *(["/v1/completions"] if plan.chance else [])}:
            return self.send(404, error("invalid_request_error", None))
        body = json.loads(raw)
        scripted = plan.respond(body, path) if plan.respond else None
        if scripted is not None:
            self.server.see(body, key)
            self.server.tell(str(scripted[0]), "", key)
            return self.send(*scripted)
        if body["model"] not in plan.models:
            return self.send(404, error("invalid_request_error", "model_not_found"))
        kind = body.get("response_format", {"type": "text"})["type"]
        if kind not in plan.formats:
            return self.send(400, error("invalid_request_error", None, "response_format"))
        digest, outcome = self.server.see(body, key)
        self.loop.call_later(plan.delay, self.answer, body, digest, outcome, key)
        return None

    def answer(self, body: Body, digest: str, outcome: str, key: str | None) -> None:
        if outcome != "hang":
            self.server.tell(outcome, digest, key)
        if self.transport.is_closing():
            return
        plan = self.server.plan
        if outcome in {"429", "503"}:
            self.send(int(outcome), error("server_busy", None), {"Retry-After": plan.retry_after})
        elif outcome == "500":
            self.send(500, error("server_error", None))
        elif outcome == "filtered":
            self.send(400, error("invalid_request_error", "content_filter"))
        elif outcome == "malformed":
            self.send(200, b'{"id": "chatcmpl-1", "choices": [{"mess')
        elif outcome != "hang":
            made = self.texts(body, outcome) if "prompt" in body else self.completion(body, outcome)
            self.send(200, made, cut=outcome == "cut")

    def texts(self, body: Body, outcome: str) -> Body:
        """What follows each text; with `echo`, the text before it and the log-probabilities of both."""
        plan, prompts = self.server.plan, body["prompt"]
        prompts = [prompts] if isinstance(prompts, str) else prompts
        echoed = plan.echo and body.get("echo", False)
        choices: list[Body] = []
        for index, prompt in enumerate(prompts):
            written = plan.reply(body | {"prompt": prompt}) if body["max_tokens"] > 1 else " so"
            finish = (
                "content_filter" if outcome == "filter" else "stop" if body["max_tokens"] > 1 else "length"
            )
            choices.insert(0, {"index": index, "text": written, "finish_reason": finish, "logprobs": None})
            if echoed:
                choices[0] |= {"text": prompt + written, "logprobs": self.logprobs(prompt + written)}
        made: Body = {"id": "cmpl-test", "object": "text_completion", "created": 0, "model": body["model"]}
        usage = {"prompt_tokens": 8 * len(prompts), "completion_tokens": len(prompts)}
        self.server.tokens.update(usage)
        return made | {"choices": choices} | ({"usage": usage} if plan.usage else {})

    def logprobs(self, text: str) -> Body:
        """As OpenAI's legacy completions and vLLM give them: none for the first token."""
        chance = self.server.plan.chance
        assert chance is not None
        found = list(TOKEN.finditer(text))
        chances = [chance(text[: each.start()], each[0]) if each.start() else None for each in found]
        return {
            "tokens": [each[0] for each in found],
            "token_logprobs": chances,
            "text_offset": [each.start() for each in found],
            "top_logprobs": None,
        }

    def completion(self, body: Body, outcome: str) -> Body:
        plan = self.server.plan
        text = "" if outcome in REFUSALS else plan.reply(body)
        message: Body = {"role": "assistant", "content": text, "refusal": None}
        if outcome == "refusal":
            message |= {"content": None, "refusal": "I cannot help with that."}
        finish = "content_filter" if outcome == "filter" else "stop"
        read = sum(len(str(each["content"])) for each in body["messages"]) // 4 + 8
        usage = {"prompt_tokens": read, "completion_tokens": len(text) // 4 + 1}
        self.server.tokens.update(usage)
        made: Body = {
            "id": "chatcmpl-test",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        }
        return made | {"usage": usage | {"total_tokens": sum(usage.values())}} if plan.usage else made

    def send(
        self, status: int, content: Body | bytes, headers: dict[str, str] | None = None, cut: bool = False
    ) -> None:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = (
            f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(raw)}\r\n{more}\r\n"
        )
        self.transport.write(head.encode() + (raw[: len(raw) // 2] if cut else raw))
        if cut:
            self.transport.close()


def error(kind: str, code: str | None, param: str | None = None) -> Body:
    """An error as OpenAI words it; its sentence repeats what nobody may see."""
    return {"error": {"message": "SECRET words of the server", "type": kind, "code": code, "param": param}}


async def listen(plan: Plan, port: int = 0) -> Server:
    """A server in the running loop."""
    server = Server(plan)
    server.listening = await open_port(server, port)
    server.url = f"http://127.0.0.1:{server.listening.sockets[0].getsockname()[1]}/v1"
    return server


async def open_port(server: Server, port: int) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Connection(server), "127.0.0.1", port, backlog=1024)


@contextmanager
def serving(plan: Plan) -> Iterator[Server]:
    """A server in a thread of this process."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(listen(plan))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.drop()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def server_process(*options: str) -> Iterator[str]:
    """A server in a process of its own; yields its URL. `options` are those of the command line."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.factories.endpoint_server", *options],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--fault", action="append", default=[], help=f"KIND=SHARE, of {', '.join(FAULTS)}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--key")
    parser.add_argument("--model", action="append")
    parser.add_argument("--retry-after", default="0.05")
    parser.add_argument(
        "--reply", default="tests.factories.endpoint_server:fixed_reply", help="MODULE:FUNCTION of the body"
    )
    given = parser.parse_args()
    module, _, name = given.reply.partition(":")
    plan = Plan(
        delay=given.delay,
        faults={kind: float(share) for kind, _, share in (each.partition("=") for each in given.fault)},
        seed=given.seed,
        key=given.key,
        models=tuple(given.model or ["test-model"]),
        retry_after=given.retry_after,
        log=given.log,
        reply=getattr(importlib.import_module(module), name),
    )
    unknown = set(plan.faults) - set(FAULTS)
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    asyncio.run(_serve(plan, given.port))


async def _serve(plan: Plan, port: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await listen(plan, port)
    print(server.url, flush=True)
    await stop.wait()


if __name__ == "__main__":
    main()
