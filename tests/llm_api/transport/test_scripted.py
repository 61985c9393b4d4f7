"""Replies from a file instead of a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentallama.config import EndpointSettings
from mentallama.errors import DataError, UsageError
from mentallama.llm_api.chat_body import chat_body
from mentallama.llm_api.dispatcher import dispatch_sync
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.transport.scripted import NO_REPLY, open_scripted_endpoint, scripted_transport
from mentallama.llm_api.types import Limits, Request, request_hash

SCRIPT = (
    '{"contains": ["weather", "Rome"], "reply": "Sunny."}\n{"contains": ["weather"], "reply": "It rains."}\n'
)


def request(endpoint_url: str, text: str, body: dict[str, object]) -> Request:
    digest = request_hash(endpoint_url, body)
    return Request(hash=digest, body=body, example_id=text, post_id="p", task="t", question="q")


def test_the_first_line_that_fits_replies_and_prices_apply(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text(SCRIPT, encoding="utf-8")
    endpoint = open_scripted_endpoint(path, EndpointSettings(input_price=4.0, output_price=8.0))
    texts = ("The weather in Rome?", "The weather?", "The time?")
    requests = [
        request(endpoint.base_url, text, chat_body(endpoint, [{"role": "user", "content": text}]))
        for text in texts
    ]
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        stats = dispatch_sync(requests, endpoint, ledger, Limits(), transport=scripted_transport(path))
        found = ledger.get_completions([each.hash for each in requests])
        completions = {each.example_id: found[each.hash] for each in requests}
        again = dispatch_sync(requests, endpoint, ledger, Limits(), transport=scripted_transport(path))
    assert [completions[text].text for text in texts] == ["Sunny.", "It rains.", ""]
    assert (completions[texts[2]].state, completions[texts[2]].reason) == ("failed", NO_REPLY)
    # 20 characters in and 6 out are 6 and 2 tokens
    assert completions[texts[0]].cost == pytest.approx((6 * 4.0 + 2 * 8.0) / 1e6)
    assert (stats.answered, stats.failed.total()) == (2, 1)
    assert (again.cached, again.attempts) == (3, 0)


def test_another_script_is_another_endpoint(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text(SCRIPT, encoding="utf-8")
    before = open_scripted_endpoint(path, EndpointSettings())
    path.write_text(SCRIPT.replace("Sunny", "Windy"), encoding="utf-8")
    after = open_scripted_endpoint(path, EndpointSettings())
    assert before.model == after.model == "scripted:replies"
    assert before.base_url != after.base_url


def test_faults_of_a_script_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    with pytest.raises(UsageError, match="no such file of replies"):
        open_scripted_endpoint(path, EndpointSettings())
    path.write_text('{"contains": ["weather"]}\n', encoding="utf-8")
    with pytest.raises(DataError, match="row 1"):
        scripted_transport(path)
