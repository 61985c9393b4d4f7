"""What may leave the machine: no post of a set with an agreement, unless the user says so for that set.

Every URL counts as remote, also one of this machine: it may be a tunnel. Made-up posts have no agreement.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mentallama.errors import WrongUse
from mentallama.tasks import Task


def refuse_agreements(
    real: Mapping[str, int],
    tasks: Mapping[str, Task],
    remote: Sequence[str],
    allowed: Collection[str],
    instead: str,
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
    refused = [name for name in tasks if real.get(name) and tasks[name].agreement and name not in allowed]
    if remote and refused:
        allow = " ".join(f"--allow-remote {name}" for name in refused)
        raise WrongUse(
            f"posts of {', '.join(refused)} were given under an agreement and are not sent to {', '.join(remote)}: "
            f"{instead}, or say {allow} if the agreement permits it; nothing was sent"
        )
