"""Scales filled item by item: the exact number of requests, what becomes of each item, and no request sent twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from mentallama.answers.parse import read_answer
from mentallama.errors import MentallamaError, UsageError
from mentallama.files.record_files import read_records
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.records import FailedRequest
from mentallama.run_files import FAILED_REQUESTS_FILE
from mentallama.safety import SYMPTOM_NOTICE
from mentallama.tasks import find_task
from tests.factories.answer_kinds import task_of_kind
from tests.factories.endpoint_server import Body, Plan, Server, serving
from tests.factories.ledgers import assert_intact
from tests.factories.linear_cases import make_post
from tests.factories.scale_cases import (
    ENERGY,
    GOLD,
    SCALE_TASK,
    SLEEP,
    STANDS,
    TEXT,
    ScaleModel,
    asked_item,
    filled,
    objecting,
    scale_job,
    scale_post,
    step_of,
    traces,
)
from tests.factories.teach_cases import run_teach

NOT_IN_POST = filled("nearly every day", "I never sleep at all")
PRICED = {"input_price": 1.0, "output_price": 2.0}


@contextmanager
def model(reply: ScaleModel | None = None, **plan: Any) -> Iterator[Server]:
    with serving(Plan(reply=reply or ScaleModel(), **plan)) as server:
        yield server


def spec(server: Server, **terms: Any) -> dict[str, Any]:
    return {"spec": f"remote:test-model@{server.url}", **terms}


def steps(server: Server) -> Counter[str]:
    return Counter(map(step_of, server.bodies))


def test_a_scale_without_objections_takes_a_request_an_item_and_a_check(tmp_path: Path) -> None:
    with model() as server:
        job = scale_job(tmp_path, [scale_post()], teacher=spec(server))
        summary, (response,), log = run_teach(job, tmp_path)
    assert steps(server) == {"item": 2, "check": 1}
    reading = read_answer(SCALE_TASK, response.text)
    assert reading.label == GOLD
    assert reading.explanation == (
        "sleep: The writer says “Awake at four again, for weeks now”. "
        "energy: The writer says “Most days I drag myself to work”."
    )
    assert summary.outcomes == {"test-model": {"parsed": 1}}
    assert summary.scale_items == {"filled: nearly every day": 1, "filled: several days": 1}
    assert [cost.requests for cost in summary.costs] == [3]
    assert log[0].startswith("teach: test-model: an estimated 3 requests; about ")
    (trace,) = traces(tmp_path)
    assert [(each.item, each.level, each.score, each.reason) for each in trace.items] == [
        ("sleep", "nearly every day", 2, None),
        ("energy", "several days", 1, None),
    ]
    spans = [span for each in trace.items for span in each.spans]
    assert [TEXT[span.start : span.end] for span in spans] == [
        q for each in trace.items for q in each.quotations
    ]
    assert [(each.step, each.item, each.outcome) for each in trace.steps] == [
        ("item", "sleep", "filled"),
        ("item", "energy", "filled"),
        ("check", None, "accepted"),
    ]
    assert trace.sums == ()


def test_the_checker_sends_one_item_back_and_sees_it_again(tmp_path: Path) -> None:
    revised = filled("several days", "Awake at four again")
    reply = ScaleModel(
        {"sleep": [SLEEP, revised], "energy": [ENERGY]}, [objecting(sleep="Weeks are not every day."), STANDS]
    )
    with model(reply) as server:
        _, (response,), _ = run_teach(scale_job(tmp_path, [scale_post()], teacher=spec(server)), tmp_path)
    assert steps(server) == {"item": 2 + 1, "check": 1 + 1}
    sent_back, again = server.bodies[-2]["messages"], server.bodies[-1]["messages"]
    assert sent_back[-2] == {"role": "assistant", "content": SLEEP}
    assert "Weeks are not every day." in sent_back[-1]["content"]
    assert '"sleep"' in again[-1]["content"]
    assert '"energy"' not in again[-1]["content"]
    assert read_answer(SCALE_TASK, response.text).label == "sleep: several days; energy: several days"
    (trace,) = traces(tmp_path)
    assert [each.revisions for each in trace.items] == [1, 0]
    assert [each.objections for each in trace.steps if each.step == "check"] == [
        {"sleep": "Weeks are not every day."},
        {},
    ]


@pytest.mark.parametrize(
    ("first", "fault"),
    [
        (NOT_IN_POST, "These quotations do not stand in the post: “I never sleep at all”."),
        (filled("nearly every day"), "holds none"),
        (filled("often", "Awake at four again"), "neither null nor the name of a level"),
        (filled("several days", "Awake at four again", ""), '"statement" is empty'),
        (
            filled("several days", "Awake at four", "It says “all my nights are bad”."),
            "“all my nights are bad”",
        ),
        ("Sleep seems to be bad nearly every day.", "not the JSON object"),
        ('{"level": "several days", "statement": "The', "breaks off"),
    ],
)
def test_the_program_sends_an_item_back_before_the_checker_is_paid(
    first: str, fault: str, tmp_path: Path
) -> None:
    with model(ScaleModel({"sleep": [first, SLEEP], "energy": [ENERGY]})) as server:
        _, (response,), _ = run_teach(scale_job(tmp_path, [scale_post()], teacher=spec(server)), tmp_path)
    assert [step_of(body) for body in server.bodies] == ["item", "item", "item", "check"]
    assert fault in server.bodies[2]["messages"][-1]["content"]
    assert read_answer(SCALE_TASK, response.text).label == GOLD
    (trace,) = traces(tmp_path)
    assert Counter(each.outcome for each in trace.steps) == {"filled": 2, "rejected": 1, "accepted": 1}


def test_what_is_still_in_dispute_is_not_filled(tmp_path: Path) -> None:
    reply = ScaleModel(checks=[objecting(energy="It is about work.")])
    with model(reply) as server:
        _, (response,), _ = run_teach(scale_job(tmp_path, [scale_post()], teacher=spec(server)), tmp_path)
    # two revisions of the item, each with a further check
    assert steps(server) == {"item": 2 + 2, "check": 1 + 2}
    assert read_answer(SCALE_TASK, response.text).label == "sleep: nearly every day"
    (trace,) = traces(tmp_path)
    assert (trace.items[1].level, trace.items[1].reason) == (None, "sent back too often: It is about work.")


def test_all_items_of_a_post_share_a_bound(tmp_path: Path) -> None:
    reply = ScaleModel(checks=[objecting(sleep="No.", energy="No.")])
    with model(reply) as server:
        job = scale_job(tmp_path, [scale_post()], teacher=spec(server), scale={"max_total_revisions": 1})
        run_teach(job, tmp_path)
    assert steps(server) == {"item": 2 + 1, "check": 1 + 1}
    (trace,) = traces(tmp_path)
    assert [each.revisions for each in trace.items] == [1, 0]
    assert [each.level for each in trace.items] == [None, None]


def test_without_revisions_an_objection_is_the_end_of_an_item(tmp_path: Path) -> None:
    with model(ScaleModel(checks=[objecting(sleep="No.")])) as server:
        job = scale_job(tmp_path, [scale_post()], teacher=spec(server), scale={"max_revisions": 0})
        _, (response,), _ = run_teach(job, tmp_path)
    assert steps(server) == {"item": 2, "check": 1}
    assert read_answer(SCALE_TASK, response.text).label == "energy: several days"


def test_an_item_that_the_post_does_not_tell_is_left_open(tmp_path: Path) -> None:
    with model(ScaleModel({"sleep": [SLEEP], "energy": [filled(None)]})) as server:
        summary, (response,), _ = run_teach(
            scale_job(tmp_path, [scale_post()], teacher=spec(server)), tmp_path
        )
    assert steps(server) == {"item": 2, "check": 1}
    assert read_answer(SCALE_TASK, response.text).label == "sleep: nearly every day"
    assert summary.scale_items["not filled: the post tells no level"] == 1


def test_nothing_is_checked_if_nothing_is_filled(tmp_path: Path) -> None:
    with model(ScaleModel({"sleep": [filled(None)], "energy": [filled(None)]})) as server:
        _, (response,), _ = run_teach(scale_job(tmp_path, [scale_post()], teacher=spec(server)), tmp_path)
    assert steps(server) == {"item": 2}
    reading = read_answer(SCALE_TASK, response.text)
    assert (reading.label, reading.explanation) == ("none", "The wording says little.")


@pytest.mark.parametrize("how", ["words", "filter"])
def test_a_refused_item_stays_unfilled_and_is_not_asked_again(how: str, tmp_path: Path) -> None:
    def fate(body: Body, _: int) -> str:
        refuses = how == "filter" and step_of(body) == "item" and asked_item(body) == "energy"
        return "filter" if refuses else "ok"

    reply = ScaleModel({"sleep": [SLEEP], "energy": ["I'm sorry, but I cannot help with that request."]})
    with model(reply, fate=fate) as server:
        _, (response,), _ = run_teach(scale_job(tmp_path, [scale_post()], teacher=spec(server)), tmp_path)
    assert steps(server) == {"item": 2, "check": 1}
    assert read_answer(SCALE_TASK, response.text).label == "sleep: nearly every day"
    assert traces(tmp_path)[0].items[1].reason == "the model refuses to fill it"


def test_a_check_that_cannot_be_read_is_repeated_and_then_given_up(tmp_path: Path) -> None:
    with model(ScaleModel(checks=["All of it looks fine.", objecting(appetite="No."), STANDS])) as server:
        summary, _, _ = run_teach(scale_job(tmp_path, [scale_post()], teacher=spec(server)), tmp_path)
    assert steps(server) == {"item": 2, "check": 3}
    assert summary.outcomes == {"test-model": {"parsed": 1}}
    assert "'appetite' is not an item of the scale." in server.bodies[-1]["messages"][-1]["content"]
    other = tmp_path / "other"
    other.mkdir()
    with model(ScaleModel(checks=["All of it looks fine."])) as server:
        summary, (response,), _ = run_teach(scale_job(other, [scale_post()], teacher=spec(server)), other)
    assert steps(server) == {"item": 2, "check": 3}
    assert summary.outcomes == {"test-model": {"unparsed": 1}}
    assert response.text == ""
    assert {each.reason for each in traces(other)[0].items} == {"the check was refused or could not be read"}


def test_a_refused_check_is_a_refusal(tmp_path: Path) -> None:
    with model(fate=lambda body, _: "refusal" if step_of(body) == "check" else "ok") as server:
        summary, _, _ = run_teach(scale_job(tmp_path, [scale_post()], teacher=spec(server)), tmp_path)
    assert summary.outcomes == {"test-model": {"refused": 1}}
    assert [each.refused for each in summary.refusals] == [1]


@pytest.mark.parametrize(
    ("reply", "outcome", "n_items"),
    [("I can't help with that.", "refused", 2), ("Bad nights.", "unparsed", 2 + 4)],
)
def test_a_model_that_fills_nothing_has_not_found_that_the_post_tells_nothing(
    reply: str, outcome: str, n_items: int, tmp_path: Path
) -> None:
    with model(ScaleModel({"interest": [reply], "mood": [reply]})) as server:
        posts = [make_post("DR", "train", TEXT, {"depression": "yes"})]
        job = scale_job(tmp_path, posts, teacher=spec(server), scale={"pack": "PHQ-2"})
        summary, _, _ = run_teach(job, tmp_path)
    assert steps(server) == {"item": n_items}
    assert summary.outcomes == {"test-model": {outcome: 1}}


def test_a_failed_request_leaves_no_answer_and_is_sent_again_on_demand(tmp_path: Path) -> None:
    posts = [scale_post(), scale_post(f"{TEXT} Bye.")]
    failing = [True]

    def fate(body: Body, _: int) -> str:
        fails = failing[0] and "Bye." in str(body) and step_of(body) == "check"
        return "500" if fails else "ok"

    with model(fate=fate) as server:
        job = scale_job(tmp_path, posts, teacher=spec(server), max_attempts=1)
        summary, responses, _ = run_teach(job, tmp_path)
        assert summary.outcomes == {"test-model": {"parsed": 1, "failed": 1}}
        assert len(responses) == len(traces(tmp_path)) == 1
        (failed,) = read_records(tmp_path / "teach" / FAILED_REQUESTS_FILE, FailedRequest)
        assert failed.reason == "HTTP 500 server_error"
        assert server.hashes.total() == 6
        failing[0] = False
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            assert ledger.delete_failed() == 1
        summary, responses, _ = run_teach(job, tmp_path)
    assert summary.outcomes == {"test-model": {"parsed": 2}}
    assert server.hashes.total() == 7


# Questions of other kinds


def test_a_question_of_another_kind_is_decided_from_a_pack(tmp_path: Path) -> None:
    reply = ScaleModel(
        {"interest": [filled(None)], "mood": [filled("several days", "I drag myself to work")]}
    )
    with model(reply) as server:
        job = scale_job(
            tmp_path,
            [make_post("DR", "train", TEXT, {"depression": "yes"})],
            teacher=spec(server),
            scale={"pack": "phq-2"},
        )
        summary, (response,), _ = run_teach(job, tmp_path)
    assert steps(server) == {"item": 2, "check": 1, "decision": 1}
    assert response.text == reply.decision
    assert summary.outcomes == {"test-model": {"parsed": 1}}
    shown = server.bodies[-1]["messages"][-1]["content"]
    assert shown.index('"mood"') < shown.index("<post>") < shown.index("Question:")
    assert '"interest"' not in shown
    (trace,) = traces(tmp_path)
    assert trace.scale == "PHQ-2"
    assert [(each.name, each.value, each.reason) for each in trace.sums] == [
        ("total", None, "not filled: interest")
    ]
    assert trace.steps[-1].step == "decision"
    assert trace.steps[-1].request_hash == response.request_hash


def test_a_filled_pack_is_summed_by_its_rule(tmp_path: Path) -> None:
    items = {
        "interest": [filled("more than half the days", "Most days I drag myself to work")],
        "mood": [filled("several days", "Awake at four again")],
    }
    with model(ScaleModel(items)) as server:
        posts = [make_post("DR", "train", TEXT, {"depression": "yes"})]
        run_teach(scale_job(tmp_path, posts, teacher=spec(server), scale={"pack": "PHQ-2"}), tmp_path)
    (trace,) = traces(tmp_path)
    (total,) = trace.sums
    assert trace.notice == SYMPTOM_NOTICE
    assert (total.value, total.band) == (3, "at or above the cut-off")


def test_the_questions_about_a_post_share_its_filled_scale(tmp_path: Path) -> None:
    wording = {"wording": {"instruction": "What about {}?", "completion": "About {}, the post shows"}}
    questions = {
        name: {"wording": {form: text.format(name) for form, text in wording["wording"].items()}}
        for name in ("mood", "work")
    }
    task = task_of_kind("choice", questions=questions)
    reply = ScaleModel(
        {"interest": [filled(None)], "mood": [filled("several days", "I drag myself to work")]},
        decision="The post shows yes. Reasoning: The writer says “Awake at four again”.",
    )
    with model(reply) as server:
        posts = [make_post(task.set, "train", TEXT, {"mood": "yes", "work": "no"})]
        job = scale_job(tmp_path, posts, [task], teacher=spec(server), scale={"pack": "PHQ-2"})
        summary, responses, _ = run_teach(job, tmp_path)
    assert len(responses) == 2
    assert steps(server) == {"item": 2, "check": 1, "decision": 2}
    assert [cost.requests for cost in summary.costs] == [5]


def test_a_question_without_a_scale_is_refused(tmp_path: Path) -> None:
    with model() as server:
        posts = [make_post("DR", "train", TEXT, {"depression": "yes"})]
        with pytest.raises(UsageError, match=r"DR is of kind choice.*teach\.scale\.pack"):
            run_teach(scale_job(tmp_path, posts, teacher=spec(server)), tmp_path)
    assert not server.hashes


# Endpoints, money and interruptions


def test_another_model_checks(tmp_path: Path) -> None:
    with model() as teacher, model(ScaleModel(checks=[STANDS])) as checker:
        job = scale_job(
            tmp_path,
            [scale_post()],
            teacher=spec(teacher),
            scale={"checker": f"remote:test-model@{checker.url}"},
        )
        _, _, log = run_teach(job, tmp_path)
    assert (steps(teacher), steps(checker)) == ({"item": 2}, {"check": 1})
    assert [line.partition(";")[0] for line in log[:2]] == [
        "teach: test-model: an estimated 2 requests",
        "teach: test-model: an estimated 1 request",
    ]


def test_what_a_checker_rejects_is_found_out_and_kept(tmp_path: Path) -> None:
    rejection = {"error": {"message": "System role not supported", "type": "BadRequestError", "code": 400}}

    def respond(body: Body, _: str) -> tuple[int, Body | bytes] | None:
        return (400, rejection) if body["messages"][0]["role"] == "system" else None

    with model() as teacher, model(respond=respond) as checker:
        job = scale_job(
            tmp_path,
            [scale_post()],
            teacher=spec(teacher),
            scale={"checker": f"remote:test-model@{checker.url}"},
        )
        summary, _, log = run_teach(job, tmp_path)
        sent = checker.hashes.total()
        assert run_teach(job, tmp_path)[0] == summary
        assert checker.hashes.total() == sent
    assert summary.outcomes == {"test-model": {"parsed": 1}}
    assert len([line for line in log if "system_role: user" in line]) == 1


def test_a_run_that_stops_anywhere_pays_nothing_twice_and_ends_in_the_same_files(tmp_path: Path) -> None:
    posts = [scale_post(f"{TEXT} Day {number}.") for number in range(6)]
    replies = ScaleModel(
        {"sleep": [NOT_IN_POST, SLEEP], "energy": [ENERGY, ENERGY]}, [objecting(energy="Is it so?"), STANDS]
    )
    n_requests = len(posts) * (2 + 1 + 1 + 1 + 1)
    with model(replies) as server:
        (whole := tmp_path / "whole").mkdir()
        run_teach(scale_job(whole, posts, teacher=spec(server, **PRICED)), whole)
        assert server.hashes.total() == n_requests
    with model(replies) as server:
        (parts := tmp_path / "parts").mkdir()
        n_stops = 0
        for budget in (0.008 * number for number in range(1, 30)):
            job = scale_job(parts, posts, teacher=spec(server, **PRICED), budget=budget, max_concurrency=3)
            with suppress(MentallamaError):
                run_teach(job, parts)
                break
            n_stops += 1
        assert n_stops >= 3
        assert server.hashes.total() == len(server.hashes) == n_requests
    assert_intact(parts / "ledger.sqlite")
    # the server has another port, so that the hashes in the steps differ
    assert [each.model_dump(exclude={"steps"}) for each in traces(parts)] == [
        each.model_dump(exclude={"steps"}) for each in traces(whole)
    ]


def test_posts_under_an_agreement_do_not_reach_a_checker(tmp_path: Path) -> None:
    real = make_post("DR", "train", TEXT, {"depression": "yes"})
    real = real.model_copy(update={"provenance": real.provenance.model_copy(update={"synthetic": False})})
    assert find_task("DR").needs_agreement
    script = tmp_path / "replies.jsonl"
    script.write_text('{"reply": "{}"}\n', encoding="utf-8")
    with model() as checker:
        job = scale_job(
            tmp_path,
            [real],
            teacher=f"scripted:{script}",
            scale={"pack": "PHQ-2", "checker": f"remote:test-model@{checker.url}"},
        )
        with pytest.raises(UsageError, match="under an agreement"):
            run_teach(job, tmp_path)
    assert not checker.hashes
