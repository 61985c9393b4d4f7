"""What would leave the machine: texts by real people, of posts and of examples.

Whether a text is a made-up post is told by the post's own record, and of an example by its key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from mentallama.teach.few_shot import ShotRow
from mentallama.teach.requests import Asked
from mentallama.text.fingerprint import SHORTEST_MARKED, hash_of, key_of, made_up_posts


def real_posts(questions: Iterable[Asked]) -> Counter[str]:
    """How many questions there are about posts that people wrote, by set."""
    return Counter(each.post.set for each in questions if not each.post.provenance.synthetic)


def real_examples(rows: Sequence[ShotRow]) -> Counter[str]:
    """How many examples show posts that people wrote, by set; what is too short to be known counts as such."""
    made_up = made_up_posts() if rows else frozenset()
    return Counter(row.set for row in rows if not _made_up(row.text, made_up))


def _made_up(text: str, known: frozenset[int]) -> bool:
    key = key_of(text)
    return len(key) >= SHORTEST_MARKED and hash_of(key) in known
