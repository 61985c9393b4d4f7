"""Teach, end to end: the requests sent, the files written, and no request sent twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mentallama.answers.parse import read_answer
from mentallama.errors import MentallamaError, UsageError
from mentallama.files.record_files import read_records
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.types import RunStats
from mentallama.records import FailedRequest, Post, example_of
from mentallama.run_files import FAILED_REQUESTS_FILE, RESPONSES_FILE, TEACHER_DISAGREEMENTS_FILE
from mentallama.tasks import find_task
from mentallama.teach import remote_teachers
from mentallama.teach.requests import labelled_questions
from mentallama.teach.responses import Disagreement
from tests.factories.endpoint_server import Plan, Server, serving
from tests.factories.ledgers import assert_intact
from tests.factories.linear_cases import depression_posts, make_post, wellness_posts
from tests.factories.teach_cases import make_job, other_reply, run_teach, sensible_reply

PRICED = {"input_price": 1.0, "output_price": 2.0}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Plan(reply=sensible_reply)) as server:
        yield server


def remote(server: Server, model: str = "test-model", **terms: Any) -> dict[str, Any]:
    return {"spec": f"remote:{model}@{server.url}", **terms}


def few(count: int = 12) -> list[Post]:
    return depression_posts()[:count]


def test_every_labelled_question_is_explained_in_order(server: Server, tmp_path: Path) -> None:
    posts = [*few(), *wellness_posts()[:5], make_post("DR", "train", "Nobody labelled this.", {})]
    job = make_job(tmp_path, posts, teacher=remote(server))
    summary, responses, _ = run_teach(job, tmp_path)
    # a task's questions come in the task's order, whatever the order of a post's labels
    expected = [
        example_of(post, question, "instruction")
        for post in posts
        for question in find_task(post.set).questions
        if question in post.labels
    ]
    assert len(expected) == 12 + 2 * 5
    assert [each.example_id for each in responses] == [each.id for each in expected]
    for example, response in zip(expected, responses, strict=True):
        assert response.model == "test-model"
        reading = read_answer(example.task, response.text, "instruction", response.finish_reason)
        assert reading.label == example.label
    assert summary.outcomes == {"test-model": {"parsed": 22}}
    assert summary.questions == 22
    assert (summary.prompt_mode, summary.disagreements, summary.refusals) == ("label-given", 0, ())


def test_only_the_chosen_splits_are_explained(server: Server, tmp_path: Path) -> None:
    posts = depression_posts()
    job = make_job(tmp_path, posts, teacher=remote(server), splits=["test"])
    _, responses, _ = run_teach(job, tmp_path)
    assert len(responses) == sum(post.split == "test" for post in posts) == 20


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "teach").iterdir()}


def test_a_second_run_sends_nothing_and_writes_the_same_bytes(server: Server, tmp_path: Path) -> None:
    job = make_job(tmp_path, few(), teacher=remote(server))
    run_teach(job, tmp_path)
    seen, first = server.hashes.total(), files(tmp_path)
    _, _, said = run_teach(job, tmp_path)
    assert seen == 12
    assert server.hashes.total() == seen
    assert files(tmp_path) == first
    assert said == ["teach: test-model: nothing to send, 12 more are in the ledger"]


def test_settings_outside_the_request_send_nothing(server: Server, tmp_path: Path) -> None:
    job = make_job(tmp_path, few(), teacher=remote(server))
    run_teach(job, tmp_path)
    settings = job.settings.model_copy(
        update={"max_concurrency": 2, "max_attempts": 1, "timeout": 5.0, "budget": None}
    )
    _, responses, _ = run_teach(replace(job, settings=settings, form="completion", seed=8), tmp_path)
    assert server.hashes.total() == 12
    # the answers are now those to examples of the other form
    assert [each.example_id for each in responses] == [
        example_of(post, "depression", "completion").id for post in few()
    ]


def test_another_prompt_is_another_request(server: Server, tmp_path: Path) -> None:
    job = make_job(tmp_path, few(), teacher=remote(server))
    run_teach(job, tmp_path)
    run_teach(make_job(tmp_path, few(), teacher=remote(server), prompt="zero-shot"), tmp_path)
    run_teach(make_job(tmp_path, few(), teacher=remote(server, temperature=0.5)), tmp_path)
    assert server.hashes.total() == len(server.hashes) == 3 * 12


def test_posts_with_the_same_text_are_paid_for_once(server: Server, tmp_path: Path) -> None:
    posts = [*few(2), make_post("DR", "test", few(1)[0].text, few(1)[0].labels)]
    summary, responses, _ = run_teach(make_job(tmp_path, posts, teacher=remote(server, **PRICED)), tmp_path)
    assert server.hashes.total() == 2
    assert len({each.example_id for each in responses}) == 3
    assert responses[0].text == responses[2].text
    assert [(cost.requests, cost.answered) for cost in summary.costs] == [(2, 3)]


def test_a_body_follows_the_recipe(server: Server, tmp_path: Path) -> None:
    terms = {"max_tokens": 77, "temperature": 0.25, "extra_body": {"seed": 3, "top_p": 0.5}}
    run_teach(make_job(tmp_path, few(1), teacher=remote(server, **terms)), tmp_path)
    (body,) = server.bodies
    assert set(body) == {"model", "messages", "max_tokens", "temperature", "seed", "top_p"}
    assert (body["max_tokens"], body["temperature"], body["seed"]) == (77, 0.25, 3)


def test_null_in_extra_body_removes_a_field(server: Server, tmp_path: Path) -> None:
    options = {"max_tokens": None, "max_completion_tokens": 300}
    run_teach(make_job(tmp_path, few(1), teacher=remote(server, extra_body=options)), tmp_path)
    assert "max_tokens" not in server.bodies[0]
    assert server.bodies[0]["max_completion_tokens"] == 300


@pytest.mark.parametrize(
    ("mode", "kind"), [("json_schema", "json_schema"), ("json_object", "json_object"), ("none", None)]
)
def test_structured_answers_are_requested_and_parsed(
    mode: str, kind: str | None, server: Server, tmp_path: Path
) -> None:
    job = make_job(tmp_path, few(4), teacher=remote(server, schema_mode=mode), structured=True)
    summary, responses, _ = run_teach(job, tmp_path)
    assert [body.get("response_format", {}).get("type") for body in server.bodies] == [kind] * 4
    assert summary.outcomes == {"test-model": {"parsed": 4}}
    assert responses[0].text.startswith('{"label"')


def test_posts_are_scrubbed_before_they_are_sent(server: Server, tmp_path: Path) -> None:
    posts = [
        make_post("DR", "train", "My name is Robin, ask @robin_7 or robin@example.org.", {"depression": "no"})
    ]
    run_teach(make_job(tmp_path, posts, teacher=remote(server)), tmp_path)
    sent = server.bodies[0]["messages"][-1]["content"]
    assert "My name is [name], ask [handle] or [mail]." in sent
    assert "obin" not in sent


def test_nothing_to_explain_is_a_usage_error(server: Server, tmp_path: Path) -> None:
    job = make_job(tmp_path, few(), teacher=remote(server), splits=["validation"])
    with pytest.raises(UsageError, match="no post of validation has a label to explain"):
        run_teach(job, tmp_path)


def test_errors_end_in_an_answer_or_a_reason(tmp_path: Path) -> None:
    faults = {
        "429": 0.05,
        "500": 0.1,
        "cut": 0.1,
        "malformed": 0.1,
        "filter": 0.05,
        "refusal": 0.05,
        "filtered": 0.05,
    }
    with serving(Plan(reply=sensible_reply, faults=faults, seed=3)) as server:
        job = make_job(tmp_path, depression_posts(), teacher=remote(server, **PRICED), max_attempts=2)
        summary, responses, _ = run_teach(job, tmp_path)
        aside = list(read_records(tmp_path / "teach" / FAILED_REQUESTS_FILE, FailedRequest))
        questions = [each.example.id for each in labelled_questions(job)]
        assert sorted([r.example_id for r in responses] + [a.example_id for a in aside]) == sorted(questions)
        counts = summary.outcomes["test-model"]
        assert set(counts) == {"parsed", "refused", "failed"}
        assert sum(counts.values()) == len(questions) == 100
        assert counts["failed"] == len(aside) == sum(summary.failed["test-model"].values())
        kinds = {"HTTP 500 server_error", "HTTP 429 server_busy", "body is not JSON", "connection lost"}
        assert {each.reason for each in aside} <= kinds
        refused = [
            r
            for r in responses
            if read_answer("DR", r.text, "instruction", r.finish_reason).status == "refused"
        ]
        assert len(refused) == counts["refused"] > 0
        assert {each.finish_reason for each in refused} == {"content_filter", "refusal"}
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            assert_intact(ledger.path)


def test_refusals_are_counted_by_label_with_their_share(tmp_path: Path) -> None:
    # the filter meets every second of the gravest posts: 6 posts, labels yes, no, yes, no, ...
    script = ["filter", "ok", "refusal", "ok", "ok", "ok"]
    with serving(Plan(reply=sensible_reply, script=script)) as server:
        summary, _, _ = run_teach(
            make_job(tmp_path, few(6), teacher=remote(server), max_concurrency=1), tmp_path
        )
    found = {
        row.label: (row.questions, row.refused, row.refusal_rate, row.high_risk) for row in summary.refusals
    }
    assert found == {"yes": (3, 2, 0.666667, True), "no": (3, 0, 0.0, False)}


def test_a_refusal_in_the_model_s_own_words_counts_too(tmp_path: Path) -> None:
    with serving(Plan(reply=lambda _: "I'm sorry, but I can't assess that.")) as server:
        summary, _, _ = run_teach(make_job(tmp_path, few(4), teacher=remote(server)), tmp_path)
    assert summary.outcomes == {"test-model": {"refused": 4}}
    assert [row.refused for row in summary.refusals] == [2, 2]


def test_disagreements_between_two_teachers(tmp_path: Path) -> None:
    with serving(Plan(reply=sensible_reply)) as one, serving(Plan(reply=other_reply)) as two:
        job = make_job(tmp_path, few(4), teacher=[remote(one), remote(two)], prompt="zero-shot")
        summary, responses, said = run_teach(job, tmp_path)
    names = [f"test-model@127.0.0.1:{each.url.split(':')[2].split('/')[0]}" for each in (one, two)]
    # one question's answers stand together, in the recipe's order of teachers
    assert [each.model for each in responses] == names * 4
    assert summary.disagreements == 4
    found = list(read_records(tmp_path / "teach" / TEACHER_DISAGREEMENTS_FILE, Disagreement))
    assert [each.labels for each in found] == [dict(zip(names, ("yes", "no"), strict=True))] * 4
    assert len(said) == 2


def test_one_kind_of_answer_is_no_disagreement(tmp_path: Path) -> None:
    with (
        serving(Plan(reply=sensible_reply)) as one,
        serving(Plan(reply=lambda _: "Hm.", models=("b",))) as two,
    ):
        job = make_job(tmp_path, few(4), teacher=[remote(one), remote(two, "b")])
        summary, responses, _ = run_teach(job, tmp_path)
    assert summary.outcomes == {"test-model": {"parsed": 4}, "b": {"unparsed": 4}}
    assert summary.disagreements == 0
    assert [each.model for each in responses] == ["test-model", "b"] * 4


def test_failed_requests_are_retried_on_demand(tmp_path: Path) -> None:
    with serving(Plan(reply=sensible_reply, script=["500"] * 3)) as server:
        job = make_job(tmp_path, few(3), teacher=remote(server), max_attempts=1)
        assert run_teach(job, tmp_path)[0].outcomes == {"test-model": {"failed": 3}}
        assert run_teach(job, tmp_path)[0].outcomes == {"test-model": {"failed": 3}}
        assert server.hashes.total() == 3
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            assert ledger.delete_failed() == 3
        assert run_teach(job, tmp_path)[0].outcomes == {"test-model": {"parsed": 3}}
        assert server.hashes.total() == 6


def test_a_completion_missing_from_the_ledger_is_reported(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path, few(3), teacher=remote(server))
    monkeypatch.setattr(remote_teachers, "dispatch_sync", lambda *_: RunStats())  # asks nobody
    with pytest.raises(MentallamaError, match="no longer in the ledger"):
        run_teach(job, tmp_path)
    assert not (tmp_path / "teach" / RESPONSES_FILE).exists()


def shots(folder: Path, text: str = "I cannot get out of bed and cry all day, nothing matters.") -> Path:
    path = folder / "examples.csv"
    path.write_text(
        "set,question,text,label,explanation\n"
        f'DR,depression,"{text}",yes,"It says so."\n'
        'DR,depression,"The picnic by the lake with the whole family was lovely.",no,"It is calm."\n',
        encoding="utf-8",
    )
    return path


def test_few_shot_prompts_hold_the_examples(server: Server, tmp_path: Path) -> None:
    # these examples are not among the synthetic posts that are known by their keys, so they count as real ones
    terms = {"prompt": "few-shot", "examples": shots(tmp_path), "shots": 2, "allow_remote": ["DR"]}
    job = make_job(tmp_path, few(3), teacher=remote(server), **terms)
    summary, _, _ = run_teach(job, tmp_path)
    assert [len(body["messages"]) for body in server.bodies] == [1 + 2 * 2 + 1] * 3
    assert summary.outcomes == {"test-model": {"parsed": 3}}


def test_examples_in_a_test_split_are_refused(server: Server, tmp_path: Path) -> None:
    posts = depression_posts()
    examples = shots(tmp_path, next(post.text for post in posts if post.split == "test"))
    job = make_job(tmp_path, posts, teacher=remote(server), prompt="few-shot", examples=examples, shots=2)
    with pytest.raises(
        MentallamaError, match=r"examples.csv, row 2: the example's text is in the test split of DR"
    ):
        run_teach(job, tmp_path)
    assert not server.hashes
