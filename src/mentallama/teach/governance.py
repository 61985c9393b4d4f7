"""What may leave the machine: no post of a set with an agreement, unless the user says so for that set.

Every URL counts as remote, also one of this machine: it may be a tunnel. Made-up posts have no agreement. Whether a
text is a made-up post is told by the post's own record, and of an example by its key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from mentallama.config import Teach
from mentallama.errors import WrongUse
from mentallama.keys import SHORTEST_MARKED, hash_of, key_of, made_up_posts
from mentallama.tasks import Task
from mentallama.teach.calls import Asked
from mentallama.teach.examples import ShotRow


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


def refuse_agreements(real: Mapping[str, int], tasks: Mapping[str, Task], settings: Teach) -> None:
    """Refuse to send posts that are under an agreement.

    Parameters
    ----------
    real
        Texts by real people that would be sent, by set.

    Raises
    ------
    WrongUse
        Names all sets at once that were not allowed, and the option that allows them.
    """
    teachers = [teacher.spec for teacher in settings.teacher if teacher.remote]
    refused = [name for name in tasks if real.get(name) and tasks[name].agreement]
    refused = [name for name in refused if name not in settings.allow_remote]
    if teachers and refused:
        allow = " ".join(f"--allow-remote {name}" for name in refused)
        raise WrongUse(
            f"posts of {', '.join(refused)} were given under an agreement and are not sent to {', '.join(teachers)}: "
            f"choose other sets or teacher: embedded, or say {allow} if the agreement permits it; nothing was sent"
        )
