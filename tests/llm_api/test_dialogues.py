"""Dialogues: replayed from known completions, and advanced until none is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mentallama.llm_api.dialogues import Ask, Dialogue, replay, run_dialogues
from mentallama.llm_api.types import Completion, Request


def ask(role: str, name: str) -> Ask:
    return Ask(role, Request(hash=name, body={}, example_id="e", post_id="p", task="t", question="q"))


def completion(name: str, text: str = "yes") -> Completion:
    return Completion(hash=name, example_id="e", model="m", state="answered", text=text)


def guess(name: str) -> Dialogue[str]:
    """Asks twice at once; then checks, and asks a third time if the checker says no."""
    first, second = yield [ask("teacher", f"{name}1"), ask("teacher", f"{name}2")]
    (verdict,) = yield [ask("checker", f"{name}-check")]
    if verdict.text == "no":
        (second,) = yield [ask("teacher", f"{name}3")]
    return f"{first.text} {second.text}"


def test_a_replay_stops_at_the_first_step_that_lacks_a_completion() -> None:
    known: dict[str, Completion] = {}
    start = replay(guess("a"), lambda _: known)
    assert ([each.request.hash for each in start.open], start.result) == (["a1", "a2"], None)
    known["a2"] = completion("a2", "two")
    half = replay(guess("a"), lambda _: known)
    assert [each.request.hash for each in half.open] == ["a1"]
    assert [each.text for _, each in half.completed] == ["two"]
    known |= {"a1": completion("a1", "one"), "a-check": completion("a-check")}
    done = replay(guess("a"), lambda _: known)
    assert (done.open, done.result) == ((), "one two")
    assert [each.request.hash for each, _ in done.completed] == ["a1", "a2", "a-check"]


def test_the_first_ask_of_a_role_is_found_whether_it_is_completed_or_not() -> None:
    known = {"a1": completion("a1"), "a2": completion("a2")}
    replayed = replay(guess("a"), lambda _: known)
    firsts = [replayed.first_of(role) for role in ("teacher", "checker", "judge")]
    assert [None if first is None else first.request.hash for first in firsts] == ["a1", "a-check", None]


def test_dialogues_advance_together_and_ask_nothing_twice() -> None:
    known: dict[str, Completion] = {}
    sent: list[tuple[str, list[str]]] = []
    prepared: list[str] = []

    def send(role: str, requests: Iterable[Request]) -> None:
        names = [request.hash for request in requests]
        sent.append((role, names))
        known.update({name: completion(name, "no" if name == "b-check" else "yes") for name in names})

    def lookup(hashes: Sequence[str]) -> dict[str, Completion]:
        return {name: known[name] for name in hashes if name in known}

    run_dialogues(lambda: [guess("a"), guess("b")], ("teacher", "checker"), lookup, send, prepared.append)
    assert sent == [
        ("teacher", ["a1", "a2", "b1", "b2"]),
        ("checker", ["a-check", "b-check"]),
        ("teacher", ["b3"]),
    ]
    assert prepared == ["teacher", "checker"]
    sent.clear()
    run_dialogues(lambda: [guess("a"), guess("b")], ("teacher", "checker"), lookup, send, prepared.append)
    assert sent == []
