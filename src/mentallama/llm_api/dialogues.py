"""Dialogues: requests that depend on earlier completions, such as a question that is asked again because of a fault.

A dialogue is a generator that yields requests, is sent their completions in the same order, and returns its result. It
depends on nothing but these completions, and its only state is what the ledger holds: to advance it, it is replayed
from the start until a completion is missing. A killed run thus continues where it was, nothing is asked twice, and
any number of dialogues advance together, step by step, in flat memory.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Generic, TypeVar

from mentallama.llm_api.types import Completion, Request

T = TypeVar("T")


@dataclass(frozen=True)
class Ask:
    """A request of a dialogue, and the part that the model which is asked has in it, such as `teacher`."""

    role: str
    request: Request


Dialogue = Generator[Sequence[Ask], Sequence[Completion], T]

Lookup = Callable[[Sequence[str]], Mapping[str, Completion]]
"""Returns the completions of those hashes that have one."""

SendRequests = Callable[[str, Iterable[Request]], object]
"""`(role, requests)`: has every request completed and its completion committed, or raises."""


@dataclass(frozen=True)
class Replay(Generic[T]):
    """How far a dialogue has come.

    `completed` are the asks whose completions are known, in order, and `open` those of the first step that lacks any.
    The result is there if none is open.
    """

    completed: tuple[tuple[Ask, Completion], ...]
    open: tuple[Ask, ...]
    result: T | None

    def first_of(self, role: str) -> Ask | None:
        """The first ask of a role, completed or open."""
        asks = (*(ask for ask, _ in self.completed), *self.open)
        return next((ask for ask in asks if ask.role == role), None)


def replay(dialogue: Dialogue[T], lookup: Lookup) -> Replay[T]:
    """Advance a dialogue from its start as far as known completions allow."""
    completed: list[tuple[Ask, Completion]] = []
    try:
        asks = next(dialogue)
        while True:
            known = lookup([ask.request.hash for ask in asks])
            missing = tuple(ask for ask in asks if ask.request.hash not in known)
            completed += [(ask, known[ask.request.hash]) for ask in asks if ask.request.hash in known]
            if missing:
                dialogue.close()
                return Replay(tuple(completed), missing, None)
            asks = dialogue.send([known[ask.request.hash] for ask in asks])
    except StopIteration as end:
        return Replay(tuple(completed), (), end.value)


def run_dialogues(
    dialogues: Callable[[], Iterable[Dialogue[T]]],
    roles: Sequence[str],
    lookup: Lookup,
    send: SendRequests,
    prepare: Callable[[str], None] = lambda _: None,
) -> None:
    """Advance all dialogues until none lacks a completion.

    Parameters
    ----------
    dialogues
        Starts all dialogues anew, in the same order; called for every step, and read as its requests are sent.
    roles
        The roles, in the order in which a dialogue first asks them.
    lookup
        Looks completions up where `send` commits them.
    prepare
        Called once for a role, before its first request is sent; may change what `dialogues` yields.
    """

    ended: set[int] = set()

    def open_requests(role: str) -> Iterator[Request]:
        for number, dialogue in enumerate(dialogues()):
            if number in ended:
                continue
            replayed = replay(dialogue, lookup)
            if not replayed.open:
                ended.add(number)
            yield from (ask.request for ask in replayed.open if ask.role == role)

    prepared: set[str] = set()
    n_sent = 1
    while n_sent:
        n_sent = 0
        for role in roles:
            if role not in prepared and next(open_requests(role), None) is not None:
                prepare(role)
                prepared.add(role)
                ended.clear()  # with other settings, requests are others
            requests = open_requests(role)
            first = next(requests, None)
            if first is not None:
                n_sent += 1
                send(role, chain((first,), requests))
