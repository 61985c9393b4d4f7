"""Mentions of a scripted model: read, checked against the post, and set beside the matcher's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from mentallama.config import EndpointSettings
from mentallama.llm_api.endpoint import open_endpoint
from mentallama.llm_api.ledger.completion_cache import LedgerCache
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.types import Completion, Limits
from mentallama.symptom_extraction.llm_mentions import MENTION_FAULTS, extract_symptoms, read_extraction
from mentallama.symptoms.matcher import default_matcher
from tests.factories.endpoint_server import Plan, serving

POST = "I'm not sad, my heart just aches. I can't sleep and my sister is so tired."


def entry(quotation: object, symptom: object, status: object) -> dict[str, object]:
    return {"quotation": quotation, "symptom": symptom, "status": status}


def completion(text: str, **fields: str) -> Completion:
    return Completion.model_validate(
        {"hash": "h", "example_id": "e", "model": "m", "state": "answered", "text": text} | fields
    )


def reply(entries: Sequence[object]) -> str:
    return json.dumps({"mentions": entries})


def test_mentions_are_checked_and_never_overwritten() -> None:
    entries = [
        entry("can't sleep", "insomnia", "past"),  # the rules say present
        entry("sad", "depressed-mood", "negated"),
        entry("my heart just aches", "depressed-mood", "present"),  # unknown to the matcher
    ]
    found = read_extraction("p", POST, completion(reply(entries)), default_matcher())
    assert [(m.quotation, m.status, m.rule_status, m.agrees, m.found_by_matcher) for m in found.mentions] == [
        ("sad", "negated", "negated", True, True),
        ("my heart just aches", "present", "present", True, False),
        ("can't sleep", "past", "present", False, True),
    ]
    assert [(m.symptom, m.quotation) for m in found.missed] == [("fatigue", "so tired")]
    assert found.mentions[2].criteria["PHQ-9"] == ("sleep",)
    assert (found.status, found.faults) == ("parsed", {})


def test_what_is_no_mention_is_counted() -> None:
    entries = [
        "can't sleep",
        entry("can't sleep", "sleeplessness", "present"),
        entry("can't sleep", "insomnia", "perhaps"),
        entry("  ", "insomnia", "present"),
        entry("cannot sleep a wink", "insomnia", "present"),
        entry("CAN’T SLEEP", "insomnia", "present"),
        entry("can't sleep", "insomnia", "present"),
    ]
    found = read_extraction("p", POST, completion(reply(entries)), default_matcher())
    assert found.faults == dict.fromkeys(MENTION_FAULTS, 1)
    assert [(m.quotation, m.status) for m in found.mentions] == [("can't sleep", "present")]


@pytest.mark.parametrize(
    ("text", "fields", "status"),
    [
        ("Sure! " + reply([]), {}, "parsed"),
        ("I found nothing", {}, "unparsed"),
        (reply([]) + reply([]), {}, "unparsed"),
        ('{"mentions": "none"}', {}, "unparsed"),
        ('{"mentions": [{"quotation": "can\'t', {}, "truncated"),
        (reply([]), {"finish_reason": "length"}, "truncated"),
        ("", {"state": "refused"}, "refused"),
        ("", {"state": "failed", "reason": "HTTP 500 ServerError: oh no"}, "failed"),
    ],
)
def test_status_of_a_reply(text: str, fields: dict[str, str], status: str) -> None:
    found = read_extraction("p", POST, completion(text, **fields), default_matcher())
    assert (found.status, found.mentions) == (status, ())
    assert found.reason is None or "oh no" not in found.reason


def test_posts_are_asked_about_once(tmp_path: Path) -> None:
    texts = {"a": POST, "b": "lunch was nice"}
    plan = Plan(reply=lambda _: reply([entry("can't sleep", "insomnia", "present")]))
    with serving(plan) as server, Ledger(tmp_path / "ledger.sqlite") as ledger:
        endpoint = open_endpoint(f"remote:test-model@{server.url}", EndpointSettings(), {})
        for _ in range(2):
            found = extract_symptoms(texts, endpoint, Limits(), LedgerCache(ledger), default_matcher())
            by_post = {each.post_id: each for each in found}
            assert {name: len(each.mentions) for name, each in by_post.items()} == {"a": 1, "b": 0}
            assert by_post["b"].faults == {"quotation not in the post": 1}
        assert len(server.bodies) == 2
    system = server.bodies[0]["messages"][0]["content"]
    assert "- insomnia: not falling asleep" in system
    assert "- someone_else: it is said of another person" in system
