"""A model that gives scripted replies, for tests and demonstrations without a server.

The script is a file with one JSON object per line: `reply`, and the texts that a request must contain for it
(`contains`). The first line that fits a request answers it. Everything else is as with a server: ledger, budget,
refusals and failures.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from mentallama.config import EndpointSettings
from mentallama.errors import UsageError
from mentallama.files.record_files import read_records
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.transport.http import AttemptOutcome, FinalOutcome, SendRequest, Transport
from mentallama.llm_api.types import Limits
from mentallama.records import Record

NO_REPLY = "no reply is scripted for it"
"""Reason of a request that no line of the script fits."""


class ScriptedReply(Record):
    """A reply, and the texts that a request for it contains, all of them somewhere in its messages."""

    reply: str
    contains: tuple[str, ...] = ()


def open_scripted_endpoint(path: Path, settings: EndpointSettings) -> Endpoint:
    """An endpoint whose requests have other hashes if the script's content is another.

    Raises
    ------
    UsageError
        There is no such file.
    """
    if not path.is_file():
        raise UsageError(f"scripted:{path}: there is no such file of replies")
    digest = hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
    return Endpoint(f"scripted:{path.stem}", f"scripted://{digest}", settings)


def scripted_transport(path: Path) -> Transport:
    """A transport that looks replies up in a script instead of sending anything.

    Raises
    ------
    DataError
        A line of the script is not a reply.
    """
    lines = list(read_records(path, ScriptedReply))

    @asynccontextmanager
    async def transport(_: Endpoint, __: Limits) -> AsyncIterator[SendRequest]:
        async def send(payload: bytes) -> AttemptOutcome:
            return _outcome(lines, payload)

        yield send

    return transport


def _outcome(lines: Sequence[ScriptedReply], payload: bytes) -> AttemptOutcome:
    messages = json.loads(payload)["messages"]
    text = "\n\n".join(message["content"] for message in messages)
    reply = next((line.reply for line in lines if all(part in text for part in line.contains)), None)
    if reply is None:
        return FinalOutcome("failed", reason=NO_REPLY)
    # as the servers count in tests: tokens of four characters, so that prices give costs
    usage = {"input": len(text) // 4 + 1, "output": len(reply) // 4 + 1}
    return FinalOutcome("answered", text=reply, finish_reason="stop", usage=usage, billed=True)
