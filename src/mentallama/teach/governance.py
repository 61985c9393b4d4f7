"""What would leave the machine: texts by real people, of posts and of examples.

Whether a text is a made-up post is told by the post's own record, and of an example by its key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from mentallama.teach.few_shot import FewShotRow
from mentallama.teach.requests import LabelledQuestion
from mentallama.text.fingerprint import MIN_IDENTIFYING_LETTERS, key_hash, synthetic_post_hashes, text_key


def count_real_posts(questions: Iterable[LabelledQuestion]) -> Counter[str]:
    """How many questions there are about posts that people wrote, by set."""
    return Counter(each.post.set for each in questions if not each.post.provenance.synthetic)


def count_real_examples(rows: Sequence[FewShotRow]) -> Counter[str]:
    """How many examples show posts that people wrote, by set; what is too short to be known counts as such."""
    made_up = synthetic_post_hashes() if rows else frozenset()
    return Counter(row.set for row in rows if not _is_synthetic(row.text, made_up))


def _is_synthetic(text: str, known: frozenset[int]) -> bool:
    key = text_key(text)
    return len(key) >= MIN_IDENTIFYING_LETTERS and key_hash(key) in known
