"""The one protocol of everything that answers, and the one door to it (DESIGN 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from mentallama.errors import WrongUse
from mentallama.records import Example, Prediction


class Analyst(Protocol):
    """Answers questions about posts, one prediction an example, in the order given."""

    def analyse(self, examples: Sequence[Example]) -> Iterator[Prediction]: ...


def _open_linear(where: str) -> Analyst:
    from mentallama.models.linear import LinearAnalyst

    return LinearAnalyst.load(Path(where))


def _open_scripted(where: str) -> Analyst:
    from mentallama.models.scripted import ScriptedAnalyst

    return ScriptedAnalyst.load(Path(where))


_DOORS = {"linear": _open_linear, "scripted": _open_scripted}


def open_analyst(spec: str) -> Analyst:
    """Open `KIND:WHERE`, as `linear:runs/sample-linear/train` or `scripted:answers.jsonl`.

    Raises
    ------
    WrongUse
        The kind is unknown, or there is no model at that place.
    """
    kind, colon, where = spec.partition(":")
    if not colon or kind not in _DOORS:
        kinds = ", ".join(f"{name}:…" for name in _DOORS)
        raise WrongUse(f"{spec!r} is no model; a model is written {kinds}")
    return _DOORS[kind](where)
