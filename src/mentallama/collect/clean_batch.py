"""One batch of raw posts to cleaned posts with their keys: a pure function, run in worker processes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from mentallama.collect.evidence_spans import locate_evidence
from mentallama.collect.readers import Origin, RawPost, Reject, rejection_reason
from mentallama.files.erasure_requests import NO_ERASURES, ErasureList
from mentallama.records import Post, Provenance, Span, Split, stable_id
from mentallama.text.fingerprint import key_hash, text_key
from mentallama.text.near_duplicates import Array, minhash_bands
from mentallama.text.pii import scrub
from mentallama.text.repair import repair


@dataclass
class CleanedBatch:
    """Cleaned posts in order, what identifies them, and what was counted on the way.

    `posts` are JSON lines of `Post`; `goldens` one dict a post; `keys` (n,), `hashes` and `authors` uint64 (n,),
    `bands` uint64 (n, COLUMNS). `places` holds each post's set, published split or None, origin, and whether it is
    one of the project's own made-up posts.
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
) -> CleanedBatch:
    """Repair, scrub, place evidence and take the keys of a batch.

    Parameters
    ----------
    salt
        Goes into the hash of every author, so that hashes of two runs with other salts do not meet.
    synthetic
        Key hashes of the project's own made-up posts, marked wherever they turn up.
    forgotten
        Who has asked to be left out.
    """
    batch = CleanedBatch()
    texts, authors = [], []
    for raw in rows:
        reason = None if isinstance(raw, Reject) else rejection_reason(raw)
        if isinstance(raw, Reject):
            batch.rejects.append(raw)
        elif reason:
            batch.rejects.append(Reject(file=raw.file, row=raw.row, reason=reason))
        else:
            repaired = repair(raw.text)
            text, found = scrub(repaired)
            batch.counts.update({f"scrubbed {kind}": number for kind, number in found.items()})
            key = text_key(text)
            original = _scrubbed_original(raw.text, repaired, found)
            batch.counts["posts repaired"] += original is not None
            batch.counts["posts scrubbed"] += bool(found)
            made_up = key_hash(key) in synthetic_hashes
            post = _post(raw, text, original, batch.counts, salt, made_up)
            if erasures.covers(post):
                batch.counts["posts forgotten"] += 1
                continue
            batch.posts.append(post.model_dump_json(exclude_defaults=True))
            batch.references.append(raw.references)
            batch.metadata.append((raw.set, raw.split, raw.origin, made_up))
            batch.keys.append(key)
            texts.append(text)
            authors.append(_group_hash(raw, salt))
    batch.hashes = np.array([key_hash(key) for key in batch.keys], dtype=np.uint64)
    batch.authors = np.array(authors, dtype=np.uint64)
    batch.bands = minhash_bands(texts, batch.keys)
    return batch


def _group_hash(raw: RawPost, salt: str) -> int:
    """Who or what keeps posts in one split: the author, else the thread; 0 where neither is known."""
    name = raw.author or raw.thread
    return int(stable_id(salt, raw.set if not raw.author else "", name), 16) if name else 0


def _scrubbed_original(raw: str, repaired: str, found: dict[str, int]) -> str | None:
    """The text before its repair, scrubbed as well; None where nothing was repaired.

    Where a name could only be seen once the text was repaired, the original would give it away: it is not kept.
    """
    if raw.strip() == repaired:
        return None
    scrubbed, seen = scrub(raw)
    return scrubbed if seen == found else None


def _post(
    raw: RawPost, text: str, original: str | None, counts: Counter[str], salt: str, synthetic: bool
) -> Post:
    evidence: dict[str, tuple[Span, ...]] = {}
    for question, cell in raw.evidence.items():
        spans, lost = locate_evidence(text, scrub(repair(cell))[0], raw.evidence_separator)
        counts["evidence placed"] += len(spans)
        counts["evidence not placed"] += lost
        if spans:
            evidence[question] = spans
    return Post(
        # Copies of a text in one file share this id until all are known; `run` then tells them apart.
        id=stable_id(raw.set, raw.origin, raw.file, raw.text),
        set=raw.set,
        split=raw.split or "train",  # a post without a published split is given its own once all are known
        text=text,
        labels=raw.labels,
        evidence=evidence,
        author=stable_id(salt, raw.author) if raw.author else None,
        time=raw.time,
        language=raw.language,
        provenance=Provenance(
            file=raw.file, row=raw.row, origin=raw.origin, synthetic=synthetic, original=original
        ),
    )
