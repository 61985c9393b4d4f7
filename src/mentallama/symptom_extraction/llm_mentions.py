"""Mentions that a language model finds, checked by the rules of the matcher.

A quotation must stand in the post, and symptom and status must be known; what is not is a fault and no mention. The
model's status is kept as it is. Beside it stands the status that the matcher's cues give the quoted passage, and
whether the matcher finds the mention by itself, so that disagreements can be counted and read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, get_args

from mentallama.answers.json_answers import split_json
from mentallama.answers.markup import answer_body
from mentallama.llm_api.blocking import iter_completions
from mentallama.llm_api.chat_body import chat_body
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.ledger.completion_cache import CompletionCache
from mentallama.llm_api.transport.http import Transport, http_transport
from mentallama.llm_api.types import Completion, Limits, Request, failure_kind, request_hash
from mentallama.prompts import json_response_format
from mentallama.prompts.symptom_prompts import symptom_prompt, symptom_schema
from mentallama.records import Record, stable_id
from mentallama.safety import SYMPTOM_NOTICE
from mentallama.symptoms import SymptomMatcher, SymptomMention
from mentallama.symptoms.status import STATUSES, Interval, MentionStatus
from mentallama.text.quote_matching import find_quote

MentionFault = Literal[
    "not an object", "unknown symptom", "unknown status", "no quotation", "quotation not in the post"
]
MENTION_FAULTS: tuple[MentionFault, ...] = get_args(MentionFault)

ExtractionStatus = Literal["parsed", "unparsed", "refused", "truncated", "failed"]

_QUESTION = "symptoms"


class CheckedMention(SymptomMention):
    """A mention of a model. `status` is the model's, `rule_status` what the matcher's cues give the same passage."""

    rule_status: MentionStatus
    found_by_matcher: bool
    """Whether the matcher finds the symptom in an overlapping passage."""

    @property
    def agrees(self) -> bool:
        """Whether model and rules give one status."""
        return self.status == self.rule_status


class SymptomExtraction(Record):
    """Mentions that a model found in a post, if its reply was parsed; `reason` says why it was not."""

    post_id: str
    status: ExtractionStatus
    reason: str | None = None
    mentions: tuple[CheckedMention, ...] = ()
    faults: dict[MentionFault, int] = {}
    """Entries of the reply that are no mention, by fault."""
    missed: tuple[SymptomMention, ...] = ()
    """Mentions that the matcher finds and the model does not."""
    notice: str = SYMPTOM_NOTICE


def extract_symptoms(
    texts: Mapping[str, str],
    endpoint: Endpoint,
    limits: Limits,
    cache: CompletionCache,
    matcher: SymptomMatcher,
    transport: Transport = http_transport,
) -> Iterator[SymptomExtraction]:
    """Ask a language model for the symptoms in posts; yields each post's as its reply comes.

    Parameters
    ----------
    texts
        Posts by id, cleaned and masked. They are sent to the endpoint.
    cache
        Keeps completions: what it holds is not asked for again.

    Raises
    ------
    MentallamaError, UsageError
        As `iter_completions`.
    """
    requests = {
        request.hash: request
        for post_id, text in texts.items()
        for request in [_request(post_id, text, endpoint, matcher)]
    }
    for request, completion in iter_completions(requests.values(), endpoint, limits, cache, transport):
        yield read_extraction(request.post_id, texts[request.post_id], completion, matcher)


def _request(post_id: str, text: str, endpoint: Endpoint, matcher: SymptomMatcher) -> Request:
    response_format = json_response_format(
        "mentions", symptom_schema(matcher.symptoms), endpoint.settings.schema_mode
    )
    body = chat_body(endpoint, symptom_prompt(text, matcher.symptoms), response_format)
    return Request(
        hash=request_hash(endpoint.base_url, {"post": post_id, **body}),
        body=body,
        example_id=stable_id(post_id, _QUESTION),
        post_id=post_id,
        task=_QUESTION,
        question=_QUESTION,
    )


def read_extraction(
    post_id: str, text: str, completion: Completion, matcher: SymptomMatcher
) -> SymptomExtraction:
    """Read and check a completion."""
    if completion.state != "answered":
        reason = failure_kind(completion.reason) if completion.reason else None
        return SymptomExtraction(post_id=post_id, status=completion.state, reason=reason)
    parts = split_json(answer_body(completion.text))
    lists = [fields["mentions"] for fields in parts.objects if isinstance(fields.get("mentions"), list)]
    if parts.truncated or completion.finish_reason == "length":
        return SymptomExtraction(post_id=post_id, status="truncated", reason="the reply breaks off")
    if len(lists) != 1:
        return SymptomExtraction(post_id=post_id, status="unparsed", reason="not one list of mentions")
    entries = lists[0]
    assert isinstance(entries, list)
    return _checked(post_id, text, entries, matcher)


def _checked(post_id: str, text: str, entries: list[object], matcher: SymptomMatcher) -> SymptomExtraction:
    own = matcher.find(text)
    faults: dict[MentionFault, int] = {}
    read: list[tuple[Interval, str, MentionStatus]] = []
    for entry in entries:
        mention = _read_mention(entry, text, matcher)
        if isinstance(mention, str):
            faults[mention] = faults.get(mention, 0) + 1
        elif mention not in read:
            read.append(mention)
    read.sort()
    statuses = matcher.statuses(text, [(interval, symptom) for interval, symptom, _ in read], own.language)
    mentions = tuple(
        CheckedMention(
            start=interval.start,
            end=interval.end,
            symptom=symptom,
            status=status,
            quotation=text[interval.start : interval.end],
            criteria=matcher.items_of(symptom),
            rule_status=rule_status,
            found_by_matcher=any(_overlaps(found, interval, symptom) for found in own.mentions),
        )
        for (interval, symptom, status), rule_status in zip(read, statuses, strict=True)
    )
    missed = tuple(
        found
        for found in own.mentions
        if not any(_overlaps(found, interval, symptom) for interval, symptom, _ in read)
    )
    return SymptomExtraction(
        post_id=post_id, status="parsed", mentions=mentions, faults=faults, missed=missed
    )


def _read_mention(
    entry: object, text: str, matcher: SymptomMatcher
) -> tuple[Interval, str, MentionStatus] | MentionFault:
    """Place, symptom and status of an entry, or what is wrong with it."""
    if not isinstance(entry, dict):
        return "not an object"
    symptom, quotation = entry.get("symptom"), entry.get("quotation")
    status = next((known for known in STATUSES if known == entry.get("status")), None)
    if not isinstance(symptom, str) or symptom not in matcher.symptoms:
        return "unknown symptom"
    if status is None:
        return "unknown status"
    if not isinstance(quotation, str) or not quotation.strip():
        return "no quotation"
    span = find_quote(text, quotation.strip(), fuzzy=False)
    return "quotation not in the post" if span is None else (Interval(span.start, span.end), symptom, status)


def _overlaps(found: SymptomMention, interval: Interval, symptom: str) -> bool:
    return found.symptom == symptom and found.start < interval.end and interval.start < found.end
