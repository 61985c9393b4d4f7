"""Refuse to send posts of sets that are under an agreement, unless the user allows it for that set.

Every URL counts as remote, including those of this machine: it may be a tunnel. Synthetic posts are under no agreement.
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
    option: str = "--allow-remote {}",
) -> None:
    """Raise if posts that are under an agreement would be sent to a remote model.

    Parameters
    ----------
    n_real_texts
        Number of texts by real people that would be sent, by set.
    remote_models
        Specs of the models that the texts would be sent to; if empty, nothing is refused.
    allowed
        Sets that the user allowed.
    alternative
        What the user can do instead, for the error message.
    option
        The option that allows a set, with {} for its name.

    Raises
    ------
    UsageError
        Names all sets that were not allowed, and the option that allows them.
    """
    refused = [
        name
        for name in tasks
        if n_real_texts.get(name) and tasks[name].needs_agreement and name not in allowed
    ]
    if remote_models and refused:
        options = " ".join(option.format(name) for name in refused)
        raise UsageError(
            f"posts of {', '.join(refused)} were given under an agreement and are not sent to "
            f"{', '.join(remote_models)}: {alternative}, or pass {options} if the agreement permits it; nothing "
            "was sent"
        )
