"""Probabilities from the log-probabilities of chats, worked by hand and against servers of each dialect."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.language_model.answer_scorer import WrittenQuestion
from mentallama.analysts.language_model.chat_scoring import (
    MAX_UNLISTED,
    average_orders,
    begin_differently,
    first_token_probabilities,
    label_orders,
    letter_messages,
    letter_probabilities,
    spelled_ids,
)
from mentallama.analysts.language_model.generative import softmax
from mentallama.analysts.language_model.remote import RemoteAnalyst
from mentallama.answers.format import label_sentence, write_answer
from mentallama.errors import MentallamaError, UsageError
from mentallama.llm_api.types import Completion, ReplyToken
from mentallama.records import Example, Prediction, example_of
from mentallama.tasks import load_tasks
from tests.factories.endpoint_server import Body, Plan, serving
from tests.factories.linear_cases import make_post

TASKS = load_tasks()
POST = make_post("DR", "test", "A made-up text about rain.", {"depression": "no"})
YES_NO = {"yes": "yes, it does.", "no": "no, it does not."}

Alternatives = Sequence[tuple[str, float]]
"""Tokens with their probabilities."""


def replied(listed: Alternatives, token: str | None = None) -> Completion:
    """A reply of one token, with its alternatives."""
    alternatives = tuple((piece.encode(), math.log(chance)) for piece, chance in listed)
    first = token.encode() if token is not None else alternatives[0][0]
    tokens = (
        ReplyToken(piece=first, logprob=dict(alternatives).get(first, -9.0), alternatives=alternatives),
    )
    return Completion(hash="", example_id="", model="", state="answered", reply_tokens=tokens)


# Arithmetic


def begins(token: str, answer: str) -> bool:
    return bool(token) and answer.startswith(token)


def test_first_tokens_by_hand() -> None:
    """The spellings of a word count together; other beginnings count for none."""
    completion = replied(
        [("The", 0.5), ("Yes", 0.2), ("No", 0.1), (" yes", 0.05), ("N", 0.05), ("Maybe", 0.03)]
    )
    assert first_token_probabilities(completion, YES_NO, begins) == pytest.approx({"yes": 0.625, "no": 0.375})


def test_a_token_that_is_not_listed_is_bounded_by_the_last_one_and_by_the_rest() -> None:
    """ "No" may have at most 0.004, the least that is listed: 0.004 / 0.604 < 0.01."""
    by_last = replied([("Yes", 0.6), ("The", 0.3), ("A", 0.004)])
    assert first_token_probabilities(by_last, YES_NO, begins) == {"yes": 1.0, "no": 0.0}
    by_rest = replied([("Yes", 0.6), ("The", 0.396)])
    assert first_token_probabilities(by_rest, YES_NO, begins) == {"yes": 1.0, "no": 0.0}


@pytest.mark.parametrize(
    "listed",
    [
        [("Yes", 0.6), ("The", 0.3), ("A", 0.05)],  # "No" may have 0.05
        [("The", 0.9), ("A", 0.1)],
        [("<think>", 0.995), ("Yes", 0.004), ("No", 0.0009)],
    ],
)
def test_no_probability_is_made_up(listed: Alternatives) -> None:
    assert first_token_probabilities(replied(listed), YES_NO, begins) is None


def test_a_reply_without_tokens_has_no_probabilities() -> None:
    empty = Completion(hash="", example_id="", model="", state="answered")
    assert first_token_probabilities(empty, YES_NO, begins) is None


@pytest.mark.parametrize("spelling", ["{}", " {}", "{}.", "({})", "**{}", "{})"])
def test_spellings_of_a_letter_are_one_option(spelling: str) -> None:
    listed = [(spelling.format("B"), 0.5), (spelling.format("a"), 0.25), ("b", 0.1), ("The", 0.15)]
    expected = {"no": 0.6 / 0.85, "yes": 0.25 / 0.85}
    assert letter_probabilities(replied(listed), ["yes", "no"]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answers", "differ"),
    [
        (["Yes, it is.", "No, it is not."], True),
        (["This post shows PTSD.", "This post shows depression."], False),
        (["是的。", "不是。"], True),
        (["Sadness.", "stress."], False),
    ],
)
def test_answers_that_begin_differently(answers: list[str], differ: bool) -> None:
    assert begin_differently({str(number): answer for number, answer in enumerate(answers)}) == differ


LABELS = some.lists(some.text(min_size=1, max_size=5), min_size=2, max_size=6, unique=True)


@given(LABELS, some.integers(1, 40), some.text())
def test_orders_differ_and_a_full_turn_puts_each_label_in_each_place(
    labels: list[str], count: int, seed: str
) -> None:
    orders = label_orders(labels, count, seed)
    assert len(orders) == min(count, math.factorial(len(labels)))
    assert len({tuple(order) for order in orders}) == len(orders)
    assert all(sorted(order) == sorted(labels) for order in orders)
    assert orders == label_orders(labels, count, seed)
    for place in range(len(labels)) if len(orders) >= len(labels) else ():
        assert {order[place] for order in orders[: len(labels)]} == set(labels)


@given(some.dictionaries(some.sampled_from("stuvw"), some.floats(0.01, 1), min_size=2))
def test_a_reader_of_contents_gives_the_same_whatever_the_order(weights: dict[str, float]) -> None:
    total = sum(weights.values())
    found = [
        letter_probabilities(
            replied([("ABCDE"[place], weights[label] / total) for place, label in enumerate(order)]), order
        )
        for order in permutations(weights)
    ]
    expected = {label: weight / total for label, weight in weights.items()}
    for probabilities in found:
        assert probabilities is not None
        assert probabilities == pytest.approx(expected)
        assert math.isclose(sum(probabilities.values()), 1, abs_tol=1e-9)


def test_a_reader_of_places_has_no_answer() -> None:
    """Always the first letter: over a full turn every label wins once, which is no majority."""
    labels = ["s", "t", "u", "v"]
    by_order = [
        {label: 0.7 if place == 0 else 0.1 for place, label in enumerate(order)}
        for order in label_orders(labels, 4, "seed")
    ]
    assert average_orders(labels, by_order) is None


def test_orders_are_averaged_by_hand() -> None:
    by_order = [{"s": 0.9, "t": 0.1}, {"s": 0.6, "t": 0.4}, {"s": 0.3, "t": 0.7}]
    assert average_orders(["s", "t"], by_order) == pytest.approx({"s": 0.6, "t": 0.4})


@given(
    some.lists(some.floats(-12, 0), min_size=2, max_size=20),
    some.integers(1, 20),
    some.lists(some.booleans(), min_size=20, max_size=20),
)
def test_the_error_is_within_its_bound(scores: list[float], top: int, is_option: list[bool]) -> None:
    """The whole distribution is known here: what the listed tokens give is compared with the truth."""
    chances = softmax(scores)
    options = [number for number in range(len(chances)) if is_option[number]] or [0]
    texts = {f"label {number}": f"t{number}x" for number in options}
    ranked = sorted(range(len(chances)), key=chances.__getitem__, reverse=True)[:top]
    completion = replied([(f"t{number}x", chances[number]) for number in ranked])
    found = first_token_probabilities(completion, texts, lambda token, text: token == text)
    mass = sum(chances[number] for number in options)
    if found is not None:
        assert math.isclose(sum(found.values()), 1, abs_tol=1e-9)
        for number in options:
            assert abs(found[f"label {number}"] - chances[number] / mass) <= MAX_UNLISTED + 1e-9


@given(
    some.binary(),
    some.one_of(some.floats(-1e4, 0), some.just(-math.inf)),
    some.none() | some.integers(0, 9**6),
)
def test_a_completion_with_any_tokens_survives_json(piece: bytes, logprob: float, number: int | None) -> None:
    """Completions that were paid for are kept as JSON."""
    token = ReplyToken(
        piece=piece, logprob=logprob, id=number, alternatives=((piece, logprob), (b"\xff", -1.5))
    )
    completion = Completion(hash="", example_id="", model="", state="answered", reply_tokens=(token,))
    again = Completion.model_validate_json(completion.model_dump_json(exclude_defaults=True))
    assert again == completion


# Spelling


def repeated(*tokens: tuple[bytes, int | None, float, Sequence[bytes]]) -> Completion:
    reply = tuple(
        ReplyToken(
            piece=piece,
            id=number,
            logprob=math.log(chance),
            alternatives=tuple((other, -1.0) for other in others),
        )
        for piece, number, chance, others in tokens
    )
    return Completion(hash="", example_id="", model="", state="answered", reply_tokens=reply)


END = (b"", 2, 0.9, [b"The"])


@pytest.mark.parametrize(
    ("completion", "ids"),
    [
        (repeated((b"No", 5, 0.9, [b"No"]), (b" one.", 6, 0.9, []), END), (5, 6)),
        (repeated((b"No", 5, 0.9, []), (b" one.", 6, 0.9, [])), (5, 6)),
        (
            repeated((b"N", 7, 0.2, [b"No", b"The"]), (b"o one.", 8, 0.9, []), END),
            None,
        ),  # split, and not certain
        (repeated((b"No", 5, 0.2, [b"N", b"The"]), (b" one.", 6, 0.9, []), END), (5, 6)),
        (repeated((b" No", 5, 0.9, [b"No"]), (b" one.", 6, 0.9, []), END), (5, 6)),
        (repeated((b"N", 7, 0.9, [b"No"]), (b"o one.", 8, 0.9, [])), (7, 8)),  # certain
        (repeated((b"No", 5, 0.9, []), END), None),
        (repeated((b"Yes", 5, 0.9, [])), None),
        (repeated((b"No", None, 0.9, []), (b" one.", 6, 0.9, [])), None),
        (repeated(), None),
    ],
)
def test_ids_of_a_repeated_answer(completion: Completion, ids: tuple[int, ...] | None) -> None:
    assert spelled_ids("No one.", completion) == ids


def test_tokens_may_end_within_a_character() -> None:
    first, second = "否".encode()[:2], "否".encode()[2:]
    assert spelled_ids("否", repeated((first, 3, 0.9, []), (second, 4, 0.9, []), END)) == (3, 4)


# Servers


def example(name: str = "DR", text: str = POST.text, form: Any = "instruction") -> Example:
    post = make_post("DR", "test", text, {"depression": "no"})
    return example_of(post, next(iter(TASKS[name].questions)), form, task=name)


def opened(url: str, **settings: Any) -> tuple[RemoteAnalyst, list[str]]:
    """The analyst, and its messages."""
    messages: list[str] = []
    options = InferenceOptions(**{"log": messages.append, "max_attempts": 1, **settings})
    return RemoteAnalyst.load(f"test-model@{url}", options, environ={}), messages


def listed_tokens(chances: Mapping[str, float], count: int, with_bytes: bool, with_ids: bool) -> Body:
    """`logprobs` of a choice; `count` alternatives."""
    entries: list[Body] = [
        {"token": token, "logprob": math.log(chance)}
        | ({"bytes": list(token.encode())} if with_bytes else {})
        | ({"id": number} if with_ids else {})
        for number, (token, chance) in enumerate(sorted(chances.items(), key=lambda item: -item[1]))
    ]
    return {"content": [entries[0] | {"top_logprobs": entries[:count]}]}


Chances = Callable[[str], Mapping[str, float]]
"""Probabilities of a reply's first token, by the user's message."""


def chat_server(
    chances: Chances,
    reply: str = "Yes. Because.",
    most: int = 20,
    with_bytes: bool = True,
    with_ids: bool = False,
) -> Callable[[Body, str], tuple[int, Body] | None]:
    """A server of chats with log-probabilities of `most` tokens at most, more being an error."""

    def respond(body: Body, path: str) -> tuple[int, Body] | None:
        if path != "/v1/chat/completions":
            return 404, {"error": {"message": "no such path"}}
        asked = body["messages"][-1]["content"]
        choice: Body = {
            "index": 0,
            "message": {"role": "assistant", "content": reply},
            "finish_reason": "stop",
        }
        if body.get("logprobs"):
            if body["top_logprobs"] > most:
                return 400, {"error": {"message": f"top_logprobs: at most {most}", "param": "top_logprobs"}}
            choice["logprobs"] = listed_tokens(chances(asked), body["top_logprobs"], with_bytes, with_ids)
            choice["message"]["content"] = choice["logprobs"]["content"][0]["token"]
            choice["finish_reason"] = "length"
        return 200, {"choices": [choice]}

    return respond


def mostly_no(_: str) -> Mapping[str, float]:
    return {"No": 0.6, "Yes": 0.2, "The": 0.15, " yes": 0.05}


@pytest.mark.parametrize("form", ["instruction", "completion"])
@pytest.mark.parametrize(("most", "with_bytes"), [(20, True), (5, True), (20, False)])
def test_the_first_token_tells_answers_apart_that_begin_differently(
    most: int, with_bytes: bool, form: Any
) -> None:
    with serving(Plan(respond=chat_server(mostly_no, most=most, with_bytes=with_bytes))) as server:
        analyst, messages = opened(server.url, labels_only=True)
        (prediction,) = analyst.predict([example(form=form)])
        scored = [body for body in server.bodies if "rain" in str(body)]
    assert prediction.probabilities == pytest.approx({"yes": 0.25 / 0.85, "no": 0.6 / 0.85})
    assert prediction.reading.label == "no"
    assert [body["top_logprobs"] for body in scored] == [most]
    assert scored[0]["max_tokens"] == 1
    assert len(messages) == 1
    assert "probabilities come from the first token of a reply" in messages[0]


def option_of(asked: str, answer: str) -> str:
    """The letter of an answer in a message."""
    match = re.search(rf"^([A-Z])\. {re.escape(answer)}$", asked, re.MULTILINE)
    assert match is not None
    return match[1]


def mostly_ptsd(asked: str) -> Mapping[str, float]:
    """Likes PTSD, and a little the letter A."""
    if "\nA. " not in asked:
        return {"Yes": 0.5, "No": 0.5}
    weights = dict.fromkeys("ABCD", 0.1) | {option_of(asked, "This post shows PTSD."): 0.5}
    weights["A"] += 0.1
    return {letter: weight / sum(weights.values()) for letter, weight in weights.items()}


def test_letters_in_several_orders() -> None:
    """In four orders each label is A once: 0.6 / 0.9 for PTSD as A, 0.5 / 0.9 otherwise."""
    with serving(Plan(respond=chat_server(mostly_ptsd))) as server:
        analyst, _ = opened(server.url, labels_only=True)
        (prediction,) = analyst.predict([example("t-sid")])
        asked = [body["messages"][0]["content"] for body in server.bodies if "rain" in str(body)]
    assert len(set(asked)) == 4
    assert sorted(option_of(text, "This post shows PTSD.") for text in asked) == list("ABCD")
    ptsd = (0.6 / 0.9 + 3 * 0.5 / 0.9) / 4
    others = {label: (1 - ptsd) / 3 for label in TASKS["t-sid"].labels if label != "PTSD"}
    assert prediction.probabilities == pytest.approx({"PTSD": ptsd, **others})
    assert prediction.reading.label == "PTSD"


@pytest.mark.parametrize(("orders", "requests"), [(1, 1), (2, 2), (4, 4)])
def test_the_number_of_orders_is_a_setting(orders: int, requests: int) -> None:
    with serving(Plan(respond=chat_server(mostly_ptsd))) as server:
        analyst, _ = opened(server.url, labels_only=True, letter_orders=orders)
        (prediction,) = analyst.predict([example("t-sid")])
        assert sum("rain" in str(body) for body in server.bodies) == requests
    assert math.isclose(sum(prediction.probabilities.values()), 1)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_letters_offer_the_answers_of_any_task(name: str) -> None:
    task = TASKS[name]
    answers = {label: label_sentence(task, label) for label in task.labels}
    question = WrittenQuestion([{"role": "user", "content": "The query."}], answers)
    (message,) = letter_messages(question, list(answers))
    text = message["content"]
    assert text.startswith("The query.\n")
    assert [option_of(text, answer) for answer in answers.values()] == list("ABCDEFGHIJ"[: len(answers)])


def test_the_explanation_is_a_turn_of_its_own() -> None:
    with serving(Plan(respond=chat_server(mostly_no, reply=" It speaks of rain. "))) as server:
        analyst, _ = opened(server.url, max_new_tokens=77)
        (prediction,) = analyst.predict([example()])
        last = server.bodies[-1]
    assert prediction.reading.explanation == "It speaks of rain."
    assert [message["role"] for message in last["messages"]] == ["user", "assistant", "user"]
    assert last["messages"][1]["content"] == "No, the poster does not suffer from depression."
    assert last["max_tokens"] == 77
    assert "logprobs" not in last


@pytest.mark.parametrize(
    ("name", "chances"),
    [
        ("DR", {"<think>": 0.99, "Yes": 0.004, "No": 0.003}),
        ("DR", {"Yes": 0.5, "The": 0.3, "A": 0.1}),
        ("t-sid", {"A": 0.7, "B": 0.1, "C": 0.1, "D": 0.1}),
    ],
)
def test_a_question_without_probabilities_is_asked_in_free_mode_and_counted(
    name: str, chances: Mapping[str, float]
) -> None:
    task = TASKS[name]
    label = list(task.labels)[-1]
    plan = chat_server(lambda _: chances, reply=write_answer(name, None, label, "It says so."))
    with serving(Plan(respond=plan)) as server:
        analyst, _ = opened(server.url)
        (prediction,) = analyst.predict([example(name)])
    assert (prediction.reading.label, prediction.probabilities) == (label, {})
    assert analyst.counts == {"labels_without_probability": 1}


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        {"content": None},
        {"content": [{"token": "Yes", "logprob": -0.1, "top_logprobs": []}]},
        {"content": [{"token": "Yes", "logprob": 0, "top_logprobs": [{"token": "Yes", "logprob": 0}]}]},
        {"content": [{"token": "Yes", "logprob": 3.5, "top_logprobs": []}]},
        {"content": [{"token": "Yes", "logprob": "NaN", "top_logprobs": []}]},
        {"content": ["Yes"]},
        {"content": [{"logprob": -1}]},
        [],
    ],
)
def test_a_server_that_ignores_logprobs_is_asked_in_free_mode(logprobs: Any) -> None:
    answer = write_answer("DR", None, "yes", "It says so.")
    choice = {"index": 0, "message": {"content": answer}, "finish_reason": "stop", "logprobs": logprobs}
    with serving(Plan(respond=lambda *_: (200, {"choices": [choice]}))) as server:
        analyst, messages = opened(server.url)
        (prediction,) = analyst.predict([example()])
    assert (prediction.reading.label, prediction.probabilities) == ("yes", {})
    assert len(messages) == 1
    assert "is asked in free mode, its labels are parsed and have no probability" in messages[0]


def test_tokens_of_separate_reasoning_are_no_reply() -> None:
    def respond(body: Body, path: str) -> tuple[int, Body] | None:
        made = chat_server(mostly_no)(body, path)
        if made is not None and made[0] == 200:
            made[1]["choices"][0]["message"] = {"content": "No.", "reasoning_content": "Let me think."}
        return made

    with serving(Plan(respond=respond)) as server:
        analyst, messages = opened(server.url)
        (prediction,) = analyst.predict([example()])
    assert prediction.probabilities == {}
    assert "asked in free mode" in messages[0]


@pytest.mark.parametrize("scoring", ["echo", "grammar", "chat"])
def test_a_way_that_is_required_and_not_offered_is_an_error(scoring: Any) -> None:
    with serving(Plan()) as server:
        analyst, _ = opened(server.url, scoring=scoring)
        with pytest.raises(UsageError):
            list(analyst.predict([example()]))


def test_no_probabilities_on_request() -> None:
    with serving(Plan(respond=chat_server(mostly_no, reply="Yes. So."))) as server:
        analyst, messages = opened(server.url, scoring="none")
        (prediction,) = analyst.predict([example()])
        assert len(server.bodies) == 1
    assert (prediction.probabilities, messages) == ({}, [])


def failing_at(number: int, status: int, body: Body) -> Callable[[Body, str], tuple[int, Body] | None]:
    """A server of chats that fails at one of the four requests about a post."""
    seen = 0

    def respond(asked: Body, path: str) -> tuple[int, Body] | None:
        nonlocal seen
        seen += "rain" in str(asked)
        if "rain" in str(asked) and seen == number:
            return status, body
        return chat_server(mostly_ptsd)(asked, path)

    return respond


@pytest.mark.parametrize("number", [1, 4])
def test_a_failed_order_is_no_answer(number: int) -> None:
    down = failing_at(number, 500, {"error": {"message": "boom", "type": "server_error"}})
    with serving(Plan(respond=down)) as server:
        analyst, _ = opened(server.url, labels_only=True, max_concurrency=1)
        assert list(analyst.predict_stream([example("t-sid")])) == []
    assert sum(analyst.unanswered.values()) == 1


def test_a_refused_order_is_a_refusal() -> None:
    refused = {"error": {"message": "no", "code": "content_filter"}}
    with serving(Plan(respond=failing_at(2, 400, refused))) as server:
        analyst, _ = opened(server.url, labels_only=True, max_concurrency=1)
        (prediction,) = analyst.predict([example("t-sid")])
    assert (prediction.reading.status, prediction.probabilities) == ("refused", {})


def test_a_server_that_is_overloaded_at_the_probe_is_no_answer() -> None:
    busy = {"error": {"message": "busy", "type": "overloaded"}}
    plan = Plan(respond=lambda _, path: (503, busy) if path.endswith("chat/completions") else (404, {}))
    with serving(plan) as server, pytest.raises(MentallamaError, match="gave no answer"):
        list(opened(server.url)[0].predict([example()]))


def test_the_limit_of_a_single_token_is_not_kept_for_explanations() -> None:
    """A model that takes max_completion_tokens only: the first request that is rejected has a limit of 1."""

    def respond(body: Body, path: str) -> tuple[int, Body] | None:
        message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
        if "max_tokens" in body and path.endswith("chat/completions"):
            return 400, {"error": {"message": message}}
        return chat_server(mostly_no)(body, path)

    with serving(Plan(respond=respond)) as server:
        analyst, _ = opened(server.url, max_new_tokens=77)
        (prediction,) = analyst.predict([example()])
        *_, scoring, explaining = server.bodies
    assert prediction.probabilities["no"] == pytest.approx(0.6 / 0.85)
    assert (scoring["max_completion_tokens"], explaining["max_completion_tokens"]) == (1, 77)


# Grammars

PIECE = re.compile(r" ?\w+|.")


class GrammarServer:
    """A server that obeys grammars as llama.cpp does; its tokens are words, with ids by first appearance.

    A token's log-probability depends on the tokens before it in the reply; while a text is repeated it is close to 0.
    `space`: what its chat template puts before the model's turn.
    """

    def __init__(self, raw: bool = True, space: str = "") -> None:
        self._raw, self._space = raw, space
        self._ids: dict[str, int] = {}

    def __call__(self, body: Body, path: str) -> tuple[int, Body] | None:
        if path != "/v1/chat/completions":
            return 404, {"error": {"message": "no such path"}}
        messages = body["messages"]
        if "grammar" not in body:
            beginning = messages[-1]["content"] if messages[-1]["role"] == "assistant" else ""
            message = {"role": "assistant", "content": f"{beginning} It says so."}
            return 200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        pieces = self._pieces(body["grammar"].removeprefix("root ::= "))
        repeats = len(messages) == 3
        entries = [self._entry(piece, pieces[:place], repeats) for place, piece in enumerate(pieces)]
        entries.append({"id": 0, "token": "", "bytes": [], "logprob": -0.1, "top_logprobs": []})
        message = {"role": "assistant", "content": "".join(pieces)}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": {"content": entries}}
        return 200, {"choices": [choice]}

    def _pieces(self, grammar: str) -> list[str]:
        if grammar.startswith('" "? '):
            return PIECE.findall(self._space + json.loads(grammar.removeprefix('" "? ')))
        names = {number: piece for piece, number in self._ids.items()}
        return [names[int(number)] for number in re.findall(r"<\[(\d+)\]>", grammar)]

    def _entry(self, piece: str, before: Sequence[str], repeats: bool) -> Body:
        number = self._ids.setdefault(piece, len(self._ids) + 5)
        logprob = -0.01 if repeats or not self._raw else token_logprob(piece, before)
        top = [{"id": number, "token": piece, "bytes": list(piece.encode()), "logprob": logprob}]
        return top[0] | {"top_logprobs": top}


def token_logprob(piece: str, before: Sequence[str]) -> float:
    return -1.0 - len(piece) / 7 - len(before) / 3


@pytest.mark.parametrize(
    ("name", "form", "space"),
    [
        ("DR", "instruction", ""),
        ("DR", "completion", ""),
        ("t-sid", "instruction", " "),
        ("SAD", "completion", " "),
        ("SAD", "instruction", ""),
    ],
)
def test_answers_written_by_grammar_have_their_likelihood(name: str, form: Any, space: str) -> None:
    task = TASKS[name]
    with serving(Plan(respond=GrammarServer(space=space))) as server:
        analyst, messages = opened(server.url, labels_only=True)
        (prediction,) = analyst.predict([example(name, form=form)])
        again: Prediction = next(iter(analyst.predict([example(name, "Of tea.", form)])))
        assert sum("Of tea." in str(body) for body in server.bodies) == len(task.labels)
    pieces = [PIECE.findall(space + label_sentence(task, label, form)) for label in task.labels]
    scores = [sum(token_logprob(piece, all_[:n]) for n, piece in enumerate(all_)) for all_ in pieces]
    expected = dict(zip(task.labels, softmax(scores), strict=True))
    assert prediction.probabilities == pytest.approx(expected)
    assert again.probabilities == pytest.approx(expected)
    assert len(messages) == 1
    assert "a grammar makes the model write each answer" in messages[0]


def test_the_explanation_continues_the_answer_and_is_given_without_it() -> None:
    with serving(Plan(respond=GrammarServer())) as server:
        (prediction,) = opened(server.url)[0].predict([example()])
        last = server.bodies[-1]["messages"][-1]
    assert last["role"] == "assistant"
    assert last["content"].endswith(". Reasoning:")
    assert prediction.reading.explanation == "It says so."


def test_log_probabilities_from_after_the_grammar_are_none() -> None:
    """Every text would be certain."""
    with serving(Plan(respond=GrammarServer(raw=False))) as server:
        analyst, messages = opened(server.url)
        (prediction,) = analyst.predict([example()])
    assert prediction.probabilities == {}
    assert "asked in free mode" in messages[0]
