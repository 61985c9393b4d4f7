"""The remote analyst, against a server on loopback."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.language_model.answer_scorer import answer_logprobs
from mentallama.analysts.language_model.generative import softmax
from mentallama.analysts.language_model.remote import RemoteAnalyst
from mentallama.answers.format import label_sentence, write_answer
from mentallama.attribution.opening import open_analyst
from mentallama.errors import MentallamaError, UsageError
from mentallama.llm_api.types import Completion, Limits, TokenLogprobs
from mentallama.prompts.few_shot import read_few_shot_rows
from mentallama.records import Example, Post, example_of
from mentallama.tasks import load_tasks, write_query
from tests.factories.endpoint_server import TOKEN as TOKENS
from tests.factories.endpoint_server import Body, Plan, serving
from tests.factories.linear_cases import make_post
from tests.factories.project import ROOT

TASKS = load_tasks()
POSTS: dict[str, Post] = {
    name: make_post("DR", "test", f"A made-up text about {name}.", {"depression": "no"})
    for name in ("rain", "tea", "sun")
}


def example(name: str, post: str = "rain", form: Any = "instruction") -> Example:
    question = next(iter(TASKS[name].questions))
    return example_of(POSTS[post], question, form, task=name)


def opened(url: str, quick: bool = True, **settings: Any) -> tuple[RemoteAnalyst, list[str]]:
    """The analyst, and what it says."""
    messages: list[str] = []
    analyst = RemoteAnalyst.load(
        f"test-model@{url}", InferenceOptions(**{"log": messages.append, **settings}), environ={}
    )
    if quick:
        analyst._limits = replace(analyst._limits, initial_backoff=0.01, max_attempts=2)
    return analyst, messages


def yes_for_rain(body: Body) -> str:
    asked = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
    return write_answer("DR", None, "yes" if "rain" in asked else "no", "It says so.")


# --- instructions and examples ------------------------------------------------------------------------

ROWS = read_few_shot_rows(ROOT / "sample/examples.csv", TASKS)


@pytest.mark.parametrize("role", ["system", "user"])
def test_instructions_and_examples_come_before_the_post(role: Any) -> None:
    with serving(Plan(reply=yes_for_rain)) as server:
        analyst, _ = opened(
            server.url, mode="free", prompt="few-shot", examples=ROWS, shots=2, system_role=role
        )
        predictions = list(analyst.predict([example("DR", post) for post in POSTS]))
    assert [each.reading.label for each in predictions] == ["yes", "no", "no"]
    messages = [body["messages"] for body in server.bodies]
    assert [[each["role"] for each in one] for one in messages] == [
        [*(["system"] if role == "system" else []), *["user", "assistant"] * 2, "user"]
    ] * 3
    assert len({str(one[:-1]) for one in messages}) == 1  # what a server can cache
    assert all("Choose one of these answers" in one[0]["content"] for one in messages)


def test_instructions_as_plain_text_end_with_a_cue_and_what_follows_the_answer_is_cut() -> None:
    reply = "No, the poster does not suffer from depression. Reasoning: It is calm.\n\n<post>\nYes"
    with serving(Plan(reply=lambda _: reply, chance=lambda *_: -1.0)) as server:
        analyst, _ = opened(server.url, mode="free", prompt="zero-shot", template="plain")
        (prediction,) = analyst.predict([example("DR")])
        assert server.bodies[0]["prompt"].endswith("\n\nAnswer:")
    assert (prediction.reading.label, prediction.reading.explanation) == ("no", "It is calm.")


def test_missing_examples_are_found_before_anything_is_sent() -> None:
    with serving(Plan(reply=yes_for_rain)) as server:
        analyst, _ = opened(server.url, mode="free", prompt="few-shot", examples=ROWS[:1])
        with pytest.raises(UsageError, match="the examples file has none for CAMS"):
            analyst.prepare([("CAMS", "cause")])
        assert server.bodies == []


# --- free mode ----------------------------------------------------------------------------------------


def test_free_mode_sends_the_published_query_and_reads_the_answer() -> None:
    with serving(Plan(reply=yes_for_rain)) as server:
        analyst, messages = opened(server.url, mode="free", max_new_tokens=77)
        asked = [example("DR", post) for post in POSTS]
        predictions = list(analyst.predict(asked))
    assert [each.example_id for each in predictions] == [each.id for each in asked]
    assert [each.reading.label for each in predictions] == ["yes", "no", "no"]
    assert {each.reading.explanation for each in predictions} == {"It says so."}
    assert [each.probabilities for each in predictions] == [{}, {}, {}]
    assert {each.model for each in predictions} == {"remote:test-model"}
    query = write_query(TASKS["DR"], "depression", "instruction", POSTS["rain"].text)
    assert {
        "model": "test-model",
        "messages": [{"role": "user", "content": query}],
        "max_tokens": 77,
        "temperature": 0.0,
    } in server.bodies
    assert messages == []


def test_the_plain_template_continues_the_query() -> None:
    with serving(Plan(reply=yes_for_rain, chance=lambda *_: -1.0)) as server:
        analyst, _ = opened(
            server.url, mode="free", template="plain", extra_body={"temperature": None, "top_k": 1}
        )
        (prediction,) = analyst.predict([example("DR")])
        query = write_query(TASKS["DR"], "depression", "instruction", POSTS["rain"].text)
        assert server.bodies == [{"model": "test-model", "prompt": query, "max_tokens": 256, "top_k": 1}]
    assert prediction.reading.label == "yes"


def test_posts_are_scrubbed_again() -> None:
    post = make_post("DR", "test", "Write to someone@example.org about it.", {"depression": "no"})
    with serving(Plan(reply=yes_for_rain)) as server:
        analyst, _ = opened(server.url, mode="free")
        list(analyst.predict([example_of(post, "depression", "instruction")]))
        assert "someone@example.org" not in str(server.bodies)


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [
        ("filter", "refused", "content filter"),
        ("refusal", "refused", "refusal"),
        ("filtered", "refused", "HTTP 400"),
    ],
)
def test_an_answer_declined_by_the_provider_is_refused(outcome: str, status: str, reason: str) -> None:
    with serving(Plan(script=[outcome])) as server:
        (prediction,) = opened(server.url, mode="free")[0].predict([example("DR")])
    assert (prediction.reading.status, prediction.reading.label) == (status, None)
    assert reason in str(prediction.reading.reason)


def test_failures_are_retried_and_lasting_ones_stay_unanswered() -> None:
    def fate(body: Body, seen: int) -> str:
        """Of tea the first call fails, of rain every one."""
        asked = body["messages"][-1]["content"]
        return "500" if "rain" in asked or ("tea" in asked and seen == 1) else "ok"

    with serving(Plan(reply=yes_for_rain, fate=fate)) as server:
        analyst, _ = opened(server.url, mode="free", max_concurrency=1)
        predictions = list(analyst.predict_stream(example("DR", post) for post in POSTS))
        assert server.outcomes == {"500": 3, "ok": 2}
    assert [each.reading.label for each in predictions] == ["no", "no"]
    assert analyst.unanswered == {"HTTP 500 server_error": 1}


def test_predict_raises_where_an_answer_is_missing() -> None:
    with serving(Plan(faults={"500": 1.0})) as server:
        analyst, _ = opened(server.url, mode="free")
        with pytest.raises(
            MentallamaError, match=r"gave no answer \(HTTP 500 server_error\); try again later"
        ):
            list(analyst.predict([example("DR")]))


def test_a_permanent_failure_is_no_prediction() -> None:
    """A post longer than the model's context, say: HTTP 400."""
    plan = Plan(respond=lambda body, _: (400, TOO_LONG) if "rain" in str(body) else None, reply=yes_for_rain)
    with serving(plan) as server:
        analyst, _ = opened(server.url, mode="free")
        predictions = list(analyst.predict_stream([example("DR"), example("DR", "tea")]))
        with pytest.raises(
            MentallamaError, match=r"gave no answer \(HTTP 400 BadRequestError: too long\); check"
        ):
            list(analyst.predict([example("DR")]))
    assert [each.example_id for each in predictions] == [example("DR", "tea").id]
    assert analyst.failed == {example("DR").id: "HTTP 400 BadRequestError: too long"}
    assert not analyst.unanswered


TOO_LONG = {"object": "error", "message": "too long", "type": "BadRequestError", "param": None, "code": 400}


@pytest.mark.parametrize(
    ("message", "finish", "reason"),
    [
        ({"content": None}, "stop", "the answer has no text"),
        ({"content": ""}, None, "the answer has no text"),
        ({"role": "assistant"}, "stop", "the answer has no text"),
        (
            {"content": None, "tool_calls": [{"id": "1"}]},
            "tool_calls",
            "the answer is a tool call without text",
        ),
        (
            {"content": "", "reasoning_content": "Yes."},
            "stop",
            "the answer holds reasoning alone, without text",
        ),
    ],
)
def test_a_finished_answer_without_text_is_unparsed_and_asked_once(
    message: Body, finish: str | None, reason: str
) -> None:
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    with serving(Plan(respond=lambda *_: (200, answer))) as server:
        (prediction,) = opened(server.url, mode="free")[0].predict([example("DR")])
        assert server.hashes.total() == 1
    assert (prediction.reading.status, prediction.reading.reason) == ("unparsed", reason)


def test_concurrent_calls_never_exceed_the_limit() -> None:
    posts = [make_post("DR", "test", f"text {number}", {"depression": "no"}) for number in range(60)]
    with serving(Plan(delay=0.02, reply=yes_for_rain)) as server:
        analyst, _ = opened(server.url, mode="free", max_concurrency=7)
        predictions = list(analyst.predict([example_of(post, "depression", "instruction") for post in posts]))
        assert server.most == 7
    assert len(predictions) == 60


def test_closing_the_stream_stops_the_requests() -> None:
    posts = (make_post("DR", "test", f"text {number}", {"depression": "no"}) for number in range(10_000))
    with serving(Plan(delay=0.005, reply=yes_for_rain)) as server:
        analyst, _ = opened(server.url, mode="free", max_concurrency=4)
        with closing(
            analyst.predict_stream(example_of(post, "depression", "instruction") for post in posts)
        ) as stream:
            next(stream)
        seen = server.hashes.total()
        time.sleep(0.05)
        assert server.hashes.total() == seen < 1000
    assert "asking" not in {thread.name for thread in threading.enumerate()}


def test_a_fault_of_who_gives_the_examples_comes_through() -> None:
    def broken() -> Iterator[Example]:
        yield example("DR")
        raise UsageError("no more")

    with serving(Plan(reply=yes_for_rain)) as server:
        analyst, _ = opened(server.url, mode="free")
        with pytest.raises(UsageError, match="no more"):
            list(analyst.predict_stream(broken()))


# --- answer-first -------------------------------------------------------------------------------------


def depends(before: str, token: str) -> float:
    """A chance that depends on all before it, but not on the order in which it is asked."""
    return -1.0 - len(before) % 7 / 3 - len(token) / 5


def expected(name: str, post: str, form: Any) -> dict[str, float]:
    """By the rule of `depends`, over every token of the answer behind the query."""
    asked = example(name, post, form)
    query = write_query(TASKS[name], asked.question, form, asked.text).rstrip()
    scores = []
    for label in TASKS[name].labels:
        text, total = f"{query} {label_sentence(TASKS[name], label, form)}", 0.0
        for token in TOKENS.finditer(text):
            total += depends(text[: token.start()], token[0]) if token.start() >= len(query) else 0.0
        scores.append(total)
    odds = [math.exp(score) for score in scores]
    return dict(zip(TASKS[name].labels, [each / sum(odds) for each in odds], strict=True))


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("form", ["instruction", "completion"])
@pytest.mark.parametrize("name", ["DR", "SAD", "swmh", "t-sid"])
def test_the_likeliest_written_answer_is_the_label(name: str, form: Any, usage: bool) -> None:
    with serving(Plan(chance=depends, usage=usage)) as server:
        analyst, messages = opened(server.url, labels_only=True)
        (prediction,) = analyst.predict([example(name, "tea", form)])
        assert len(server.bodies) == 2  # the probe, and all answers in one call
    assert prediction.probabilities == pytest.approx(expected(name, "tea", form), abs=1e-9)
    assert prediction.reading.status == "parsed"
    assert prediction.reading.label == max(prediction.probabilities, key=prediction.probabilities.__getitem__)
    assert (prediction.reading.explanation, messages) == ("", [])


def test_the_explanation_is_written_behind_the_likeliest_answer() -> None:
    with serving(Plan(chance=depends, reply=lambda body: f" Because of {body['prompt'][-11:]}.")) as server:
        analyst, _ = opened(server.url)
        asked = [example("DR", post) for post in POSTS]
        predictions = list(analyst.predict(asked))
        prompts = [body["prompt"] for body in server.bodies if isinstance(body["prompt"], str)]
    assert [each.example_id for each in predictions] == [each.id for each in asked]
    assert {each.reading.explanation for each in predictions} == {"Because of  Reasoning:."}
    for each, post in zip(predictions, POSTS, strict=True):
        query = write_query(TASKS["DR"], "depression", "instruction", POSTS[post].text)
        assert f"{query} {label_sentence(TASKS['DR'], str(each.reading.label))} Reasoning:" in prompts
        assert each.probabilities == pytest.approx(expected("DR", post, "instruction"), abs=1e-9)


def test_a_refused_explanation_leaves_the_label() -> None:
    with serving(Plan(chance=depends, script=["ok", "ok", "filter"])) as server:
        analyst, _ = opened(server.url)
        (prediction,) = analyst.predict([example("DR")])
    assert (prediction.reading.status, prediction.reading.explanation) == ("parsed", "")
    assert analyst.counts == {"missing_explanations": 1, "truncated_explanations": 0}


def test_an_explanation_that_failed_is_asked_for_again_with_its_label() -> None:
    with serving(Plan(chance=depends, script=["ok", "ok", "500", "500"])) as server:
        analyst, _ = opened(server.url)
        assert list(analyst.predict_stream([example("DR")])) == []
    assert analyst.unanswered == {"HTTP 500 server_error": 1}


@pytest.mark.parametrize(
    ("plan", "template", "sentence"),
    [
        (
            Plan(reply=yes_for_rain),
            "auto",
            "no log-probabilities, neither of a given text nor of a reply: test-model is asked in free mode",
        ),
        (
            Plan(reply=yes_for_rain, chance=depends, echo=False),
            "auto",
            "neither of a given text nor of a reply",
        ),
        (
            Plan(reply=yes_for_rain, chance=depends),
            "chat",
            "gives no log-probabilities of a reply: test-model is asked",
        ),
    ],
)
def test_without_log_probabilities_it_is_free_mode_and_said_once(
    plan: Plan, template: Any, sentence: str
) -> None:
    with serving(plan) as server:
        analyst, messages = opened(server.url, template=template)
        result = [*analyst.predict([example("DR")]), *analyst.predict([example("DR", "tea")])]
    assert [each.reading.label for each in result] == ["yes", "no"]
    assert not result[0].probabilities
    assert len(messages) == 1
    assert sentence in messages[0]


def test_a_probe_that_fails_for_now_is_no_answer() -> None:
    failing = serving(Plan(chance=depends, script=["503", "503"]))
    with failing as server, pytest.raises(MentallamaError, match="gave no answer"):
        list(opened(server.url)[0].predict([example("DR")]))


def test_a_wrong_key_is_said_in_either_mode() -> None:
    with serving(Plan(chance=depends, key="another")) as server:
        for mode in ("free", "answer-first"):
            with pytest.raises(
                UsageError,
                match="requires an API key, but the environment variable MENTALLAMA_API_KEY is not set",
            ):
                list(opened(server.url, mode=mode)[0].predict([example("DR")]))


def test_a_renamed_option_is_changed_and_said_once() -> None:
    def respond(body: Body, _: str) -> tuple[int, Body] | None:
        message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
        return (400, {"error": {"message": message}}) if "max_tokens" in body else None

    with serving(Plan(respond=respond, reply=yes_for_rain)) as server:
        analyst, messages = opened(server.url, mode="free", max_new_tokens=77)
        result = list(analyst.predict([example("DR", post) for post in POSTS]))
        assert server.bodies[-1]["max_completion_tokens"] == 77
    assert [each.reading.label for each in result] == ["yes", "no", "no"]
    assert [message for message in messages if "extra_body" in message] == messages
    assert len(messages) == 1


@pytest.mark.parametrize("status", [400, 404, 405, 500, 501])
def test_any_failure_of_completions_is_free_mode(status: int) -> None:
    def respond(_: Body, path: str) -> tuple[int, Body] | None:
        return (status, {"error": "boom"}) if path == "/v1/completions" else None

    with serving(Plan(respond=respond, reply=yes_for_rain, chance=depends)) as server:
        analyst, messages = opened(server.url)
        (prediction,) = analyst.predict([example("DR")])
    assert prediction.reading.label == "yes"
    assert len(messages) == 1
    assert "is asked in free mode" in messages[0]


# --- the spec -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "where", ["model", "model@ftp://x", "", "m@http://u:secret@h/v1", "m@http://h/v1?key=secret"]
)
def test_an_invalid_spec_is_reported_in_one_sentence_without_its_secret(where: str) -> None:
    with pytest.raises(UsageError) as raised:
        open_analyst(f"remote:{where}")
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_options_reach_the_limits() -> None:
    analyst, _ = opened("http://127.0.0.1:9/v1", quick=False, max_concurrency=3, timeout=5.0)
    assert analyst._limits == Limits(max_concurrency=3, timeout=5.0)


# --- log-probabilities --------------------------------------------------------------------------------


def weighed(texts: list[tuple[list[str], list[float | None]]], output: int | None = None) -> Completion:
    chances = tuple(TokenLogprobs(tokens=tuple(tokens), logprobs=tuple(logs)) for tokens, logs in texts)
    usage = {} if output is None else {"input": 1, "output": output}
    return Completion(hash="", example_id="", model="", state="answered", token_logprobs=chances, usage=usage)


def test_scores_by_hand() -> None:
    """What both begin with ("a b") and the one token written behind each are left out."""
    first = ["a", " b", " c", "!"], [None, -9, -1, -7]
    second = ["a", " b", " d", " e", "?"], [None, -9, -2, -3, -7]
    assert answer_logprobs(weighed([first, second]), 2) == [-1.0, -5.0]


def test_scores_if_the_server_generated_nothing() -> None:
    answer = weighed([(["a", " c"], [None, -1]), (["a", " d", " e"], [None, -2, -3])], output=0)
    assert answer_logprobs(answer, 2) == [-1.0, -5.0]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        weighed([]),
        weighed([(["a", "b"], [None, -1])]),
        weighed([(["a", "c", "!"], [None, None, -1]), (["a", "d", "!"], [None, -2, -1])]),
        weighed([(["a", "c", "!"], [None, -1, -1]), (["b", "d", "!"], [None, -2, -1])]),
        weighed([(["a", "c", "!"], [None, -1, -1]), (["a", "d", "!"], [None, -2, -1])], output=1),
        weighed([(["a", "c", "!"], [None, -1, -1]), (["a", "d", "!"], [None, -2, -1])], output=6),
    ],
)
def test_incomplete_logprobs_give_no_scores(answer: Completion | None) -> None:
    assert answer_logprobs(answer, 2) is None


@given(some.lists(some.floats(-1e4, 0), min_size=1, max_size=9))
def test_probabilities_add_up_to_one_and_keep_the_order(scores: list[float]) -> None:
    shares = softmax(scores)
    assert math.isclose(sum(shares), 1, abs_tol=1e-9)
    assert shares.index(max(shares)) in {
        place for place, score in enumerate(scores) if score >= max(scores) - 1e-9
    }
