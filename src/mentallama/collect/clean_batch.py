"""Clean a batch of raw posts in a worker process: repair text, mask personal data, locate evidence, compute keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from mentallama.collect.readers import RawPost, Reject
from mentallama.files.erasure_requests import NO_ERASURES, ErasureList
from mentallama.records import Origin, Post, Provenance, Span, Split, stable_id
from mentallama.tasks.answer_values import TypedQuotation, quotations_text
from mentallama.text.clean_post import EMPTY_TEXT, post_problem
from mentallama.text.fingerprint import key_hash, text_key
from mentallama.text.near_duplicates import Array, minhash_bands
from mentallama.text.pii import scrub
from mentallama.text.quote_matching import find_quote
from mentallama.text.repair import is_blank, repair

MaskFn = Callable[[str], tuple[str, dict[str, int]]]
"""Masks personal data: (text) -> the masked text and counts by kind, as `scrub` does."""


@dataclass
class CleanedBatch:
    """Cleaned posts in order, their keys and hashes, and counts of what was changed.

    `posts`: JSON lines of `Post`. `references`: published responses of each post, by question. `metadata`: set,
    published split or None, origin, and whether the post is synthetic. `keys`: text keys (n,). `hashes` (of the
    keys, or of texts without a key) and `authors`: uint64 (n,). `bands`: MinHash bands, uint64 (n, N_BUCKET_COLUMNS).
    """

    posts: list[str] = field(default_factory=list)
    references: list[dict[str, str]] = field(default_factory=list)
    metadata: list[tuple[str, Split | None, Origin, bool]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    hashes: Array = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    authors: Array = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    bands: Array = field(default_factory=lambda: np.empty((0, 0), dtype=np.uint64))
    rejects: list[Reject] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def clean_batch(
    rows: list[RawPost | Reject],
    salt: str,
    synthetic_hashes: frozenset[int],
    erasures: ErasureList = NO_ERASURES,
    phone_regions: Sequence[str] = (),
) -> CleanedBatch:
    """Repair and mask a batch of posts, locate their evidence and compute their keys.

    Parameters
    ----------
    salt
        Hashed with every author name, so that hashes of runs with different salts cannot be joined.
    synthetic_hashes
        Key hashes of synthetic posts, which are marked as such.
    erasures
        Posts to leave out.
    phone_regions
        Countries whose phone numbers are masked in every national format.
    """
    batch = CleanedBatch()
    mask = partial(scrub, phone_regions=phone_regions)
    texts, authors = [], []
    for raw in rows:
        if isinstance(raw, Reject):
            batch.rejects.append(raw)
            continue
        reason = post_problem(raw.text)
        repaired = "" if reason else repair(raw.text)
        reason = reason or (EMPTY_TEXT if is_blank(repaired) else None)
        if reason:
            batch.rejects.append(Reject(file=raw.file, row=raw.row, reason=reason))
        else:
            text, scrubbed = mask(repaired)
            answers = _located_answers(raw, text, mask)
            if isinstance(answers, Reject):
                batch.rejects.append(answers)
                continue
            batch.counts.update({f"scrubbed {kind}": number for kind, number in scrubbed.items()})
            key = text_key(text)
            original = _scrubbed_original(raw.text, repaired, scrubbed, mask)
            batch.counts["posts repaired"] += original is not None
            batch.counts["posts scrubbed"] += bool(scrubbed)
            synthetic = key_hash(key) in synthetic_hashes
            evidence = {question: mask(repair(cell))[0] for question, cell in raw.evidence.items()}
            post = _post(replace(raw, evidence=evidence), text, original, batch.counts, salt, synthetic)
            post = post.model_copy(
                update={"labels": raw.labels | answers.labels, "evidence": post.evidence | answers.spans}
            )
            if erasures.covers(post):
                batch.counts["posts erased"] += 1
                continue
            batch.posts.append(post.model_dump_json(exclude_defaults=True))
            batch.references.append(raw.references)
            batch.metadata.append((raw.set, raw.split, raw.origin, synthetic))
            batch.keys.append(key)
            texts.append(text)
            authors.append(_group_hash(raw, salt))
    # A post of emoji has no key; its own text keeps posts without keys from being drawn into one split together.
    hashed = (key_hash(key or text) for key, text in zip(batch.keys, texts, strict=True))
    batch.hashes = np.fromiter(hashed, np.uint64, len(texts))
    batch.authors = np.array(authors, dtype=np.uint64)
    batch.bands = minhash_bands(texts, batch.keys)
    return batch


@dataclass(frozen=True)
class _LocatedAnswers:
    """Answers of the kind spans in the words of the cleaned post, and where they stand, by question."""

    labels: dict[str, str] = field(default_factory=dict)
    spans: dict[str, tuple[Span, ...]] = field(default_factory=dict)


def _located_answers(raw: RawPost, text: str, mask: MaskFn) -> _LocatedAnswers | Reject:
    """Locate the quotations of a post's answers in its cleaned text; a post that lacks one of them is a reject."""
    located = _LocatedAnswers()
    for question, quotations in raw.quotations.items():
        places = [find_quote(text, mask(repair(quoted))[0]) for _, quoted in quotations]
        spans = [span for span in places if span]
        if len(spans) < len(places):
            reason = f"{len(places) - len(spans)} of {len(places)} quotations do not stand in the post"
            return Reject(file=raw.file, row=raw.row, reason=reason)
        located.labels[question] = quotations_text(
            TypedQuotation(type_, text[span.start : span.end])
            for (type_, _), span in zip(quotations, spans, strict=True)
        )
        if spans:
            located.spans[question] = tuple(sorted(set(spans), key=lambda span: (span.start, span.end)))
    return located


def _group_hash(raw: RawPost, salt: str) -> int:
    """Hash of the author, else of the thread, whose posts stay in one split; 0 if neither is known."""
    name = raw.author or raw.thread
    return int(stable_id(salt, raw.set if not raw.author else "", name), 16) if name else 0


def _scrubbed_original(raw: str, repaired: str, counts: dict[str, int], mask: MaskFn) -> str | None:
    """The text before repair, with personal data masked; None if nothing was repaired.

    Also None if masking it gives other `counts` than masking the repaired text: a name that is only recognised after
    the repair would be revealed.
    """
    if raw.strip() == repaired:
        return None
    original, original_counts = mask(raw)
    return original if original_counts == counts else None


def _post(
    raw: RawPost, text: str, original: str | None, counts: Counter[str], salt: str, synthetic: bool
) -> Post:
    """The record of a post; the evidence of `raw` is cleaned as its text was."""
    evidence: dict[str, tuple[Span, ...]] = {}
    for question, cell in raw.evidence.items():
        spans, not_found = locate_evidence(text, cell, raw.evidence_separator)
        counts["evidence located"] += len(spans)
        counts["evidence not found"] += not_found
        if spans:
            evidence[question] = spans
    return Post(
        # Copies of a text within a file share this id; `CollectOutput` makes ids unique once all posts are known.
        id=stable_id(raw.set, raw.origin, raw.file, raw.text),
        set=raw.set,
        split=raw.split or "train",  # posts without a published split get one once all posts are known
        text=text,
        labels=raw.labels,
        evidence=evidence,
        author=stable_id(salt, raw.author) if raw.author else None,
        time=raw.time,
        language=raw.language,
        provenance=Provenance(
            file=raw.file, row=raw.row, origin=raw.origin, synthetic=synthetic, original_text=original
        ),
    )


def locate_evidence(text: str, cell: str, separator: str | None) -> tuple[tuple[Span, ...], int]:
    """Locate annotators' evidence, given as quotations, in a cleaned post.

    The whole cell is tried first, then its parts, since the separator may also occur within a quotation.

    Parameters
    ----------
    text
        The cleaned post.
    cell
        The annotators' text, repaired and masked as the post was.
    separator
        Separator of several quotations in the cell; None if the cell holds one.

    Returns
    -------
    tuple
        Spans ordered by position, without duplicates, and the number of quotations that were not found.
    """
    quotes = [cell.strip(" \n\"'")]
    if not quotes[0]:
        return (), 0
    whole = find_quote(text, quotes[0], fuzzy=separator is None or separator not in cell)
    if whole is None and separator:
        quotes = [part for part in (piece.strip(" \n\"'") for piece in cell.split(separator)) if part]
    matches = [whole] if whole else [find_quote(text, quote) for quote in quotes]
    spans = sorted({span for span in matches if span}, key=lambda span: (span.start, span.end))
    return tuple(spans), sum(span is None for span in matches)
