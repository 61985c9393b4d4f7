"""What may leave the machine: no post of a set with an agreement, unless the user says so for that set.

Every URL counts as remote, also one of this machine: it may be a tunnel. Made-up posts have no agreement.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mentallama.errors import UsageError
from mentallama.tasks import Task


def refuse_posts_under_agreement(
    n_real_texts: Mapping[str, int],
    tasks: Mapping[str, Task],
    remote_models: Sequence[str],
    allowed: Collection[str],
    alternative: str,
) -> None:
    """Refuse to send posts that are under an agreement.

    Parameters
    ----------
    real
        Texts by real people that would be sent, by set.
    remote
        Specs of the models that they would be sent to; none: nothing is refused.
    allowed
        Sets that the user has named.
    instead
        What else can be done, for the sentence.

    Raises
    ------
    WrongUse
        Names all sets at once that were not allowed, and the option that allows them.
    """
    refused = [
        name
        for name in tasks
        if n_real_texts.get(name) and tasks[name].needs_agreement and name not in allowed
    ]
    if remote_models and refused:
        allow = " ".join(f"--allow-remote {name}" for name in refused)
        raise UsageError(
            f"posts of {', '.join(refused)} were given under an agreement and are not sent to {', '.join(remote_models)}: "
            f"{alternative}, or say {allow} if the agreement permits it; nothing was sent"
        )
