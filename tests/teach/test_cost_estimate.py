"""Money: the estimate before, the sum after, and a budget that does not reach."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mentallama.errors import EXIT_FAILED, MentallamaError
from mentallama.llm_api import cost_estimate as cost
from mentallama.llm_api.cost_estimate import TYPICAL_ANSWER_TOKENS, CostEstimate, budget_warning
from mentallama.llm_api.endpoint import open_endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.types import Completion, RunStats
from mentallama.teach.cost_estimate import TYPICAL_EVIDENCE_TOKENS, estimate_cost
from mentallama.teach.remote_teachers import progress_note
from mentallama.teach.requests import build_requests, labelled_questions
from tests.factories.endpoint_server import Plan, Server, serving
from tests.factories.ledgers import all_completions
from tests.factories.linear_cases import depression_posts
from tests.factories.teach_cases import make_job, run_teach, sensible_reply

PRICES = {"input_price": 2.0, "output_price": 10.0}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Plan(reply=sensible_reply)) as server:
        yield server


def priced(server: Server, **terms: object) -> dict[str, object]:
    return {"spec": f"remote:test-model@{server.url}", **PRICES, **terms}


def test_the_estimate_follows_from_the_size_of_the_bodies(server: Server, tmp_path: Path) -> None:
    job = make_job(tmp_path, depression_posts()[:6], teacher=priced(server, max_tokens=200))
    endpoint = open_endpoint(job.settings.teacher[0].spec, job.settings.teacher[0], {})
    bodies = [call.body for call in build_requests(job, endpoint, labelled_questions(job))]
    weight = sum(len(json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()) for body in bodies)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        found = estimate_cost(job, endpoint, ledger, 6)
    assert (found.requests, found.cached) == (6, 0)
    assert found.tokens_in == round(weight / 4)
    assert found.tokens_out == 6 * TYPICAL_ANSWER_TOKENS
    # in currency a million: input 2, output 10
    assert found.cost == pytest.approx((found.tokens_in * 2 + found.tokens_out * 10) / 1e6)
    # at most: a byte a token, and every answer as long as it may be
    assert found.max_cost == pytest.approx((weight * 2 + 6 * 200 * 10) / 1e6)


def test_the_estimate_never_exceeds_max_tokens(server: Server, tmp_path: Path) -> None:
    for structured, most in (
        (False, TYPICAL_ANSWER_TOKENS),
        (True, TYPICAL_ANSWER_TOKENS + TYPICAL_EVIDENCE_TOKENS),
    ):
        for allowed in (50, 5000):
            teacher = priced(server, max_tokens=allowed)
            job = make_job(tmp_path, depression_posts()[:2], teacher=teacher, structured=structured)
            with Ledger(tmp_path / "ledger.sqlite") as ledger:
                found = estimate_cost(
                    job,
                    open_endpoint(job.settings.teacher[0].spec, job.settings.teacher[0], {}),
                    ledger,
                    2,
                )
            assert found.tokens_out == 2 * min(allowed, most)


def test_the_sampled_questions_are_spread_over_all(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path, depression_posts(), teacher=priced(server))
    endpoint = open_endpoint(job.settings.teacher[0].spec, job.settings.teacher[0], {})
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        exact = estimate_cost(job, endpoint, ledger, 100)
        monkeypatch.setattr(cost, "MAX_SAMPLED_QUESTIONS", 30)  # so every fourth of the 100 is looked at
        sampled = estimate_cost(job, endpoint, ledger, 100)
    assert (
        (sampled.requests, sampled.tokens_out)
        == (exact.requests, exact.tokens_out)
        == (100, 100 * TYPICAL_ANSWER_TOKENS)
    )
    assert sampled.tokens_in == pytest.approx(exact.tokens_in, rel=0.02)
    assert sampled.tokens_in != exact.tokens_in


def test_the_estimate_is_logged_before_anything_is_sent(server: Server, tmp_path: Path) -> None:
    job = make_job(tmp_path, depression_posts()[:6], teacher=priced(server))
    said: list[tuple[str, int]] = []
    run_teach(job, tmp_path, log=lambda line: said.append((line, server.hashes.total())))
    ((line, seen),) = said
    assert seen == 0
    assert line.startswith("teach: test-model: an estimated 6 requests; about ")
    assert "tokens in and 810 out (at 4 bytes per token), cost about 0.0" in line  # 6 times 135


def test_without_prices_no_cost_is_logged() -> None:
    assert CostEstimate("m", 1200, 30, 5000, 400, None, None).describe() == (
        "m: an estimated 1,200 requests, 30 more are in the ledger; about 5,000 tokens in and 400 out "
        "(at 4 bytes per token)"
    )


def test_a_budget_that_will_not_suffice() -> None:
    known = CostEstimate("m", 10, 0, 100, 100, 0.5, 2.0)
    free = CostEstimate("n", 10, 0, 100, 100, None, None)
    assert budget_warning([known, free], None, 0.0) is None
    assert budget_warning([known, free], 0.5, 0.0) is None
    warning = budget_warning([known, known], 0.9, 0.0)
    assert warning is not None
    assert warning.startswith("the budget of 0.9 will probably not suffice: the estimate is 1;")
    spent = budget_warning([known], 0.9, 0.5)
    assert spent is not None
    assert "of 0.9, of which 0.5 is spent, will" in spent


def test_a_short_budget_is_warned_of_used_up_and_resumed(server: Server, tmp_path: Path) -> None:
    posts = depression_posts()[:20]
    said: list[str] = []
    job = make_job(tmp_path, posts, teacher=priced(server), max_concurrency=4, budget=0.02)
    with pytest.raises(
        MentallamaError, match=r"the budget of 0\.02 does not cover the next request"
    ) as stopped:
        run_teach(job, tmp_path, log=said.append)
    assert stopped.value.exit_code == EXIT_FAILED
    assert said[1].startswith("teach: the budget of 0.02 will probably not suffice")
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        kept, spent = len(all_completions(ledger)), ledger.total_spent()
    assert 0 < kept < 20
    assert spent <= 0.02
    assert not (tmp_path / "teach").exists()
    summary, responses, _ = run_teach(make_job(tmp_path, posts, teacher=priced(server), budget=1.0), tmp_path)
    assert len(responses) == 20
    assert server.hashes.total() == 20
    assert summary.outcomes == {"test-model": {"parsed": 20}}


def test_a_budget_below_any_request_sends_nothing(server: Server, tmp_path: Path) -> None:
    job = make_job(tmp_path, depression_posts()[:3], teacher=priced(server), budget=0.0)
    with pytest.raises(MentallamaError, match=r"the budget of 0 does not cover the next request: 0 spent"):
        run_teach(job, tmp_path)
    assert not server.hashes


def test_the_final_cost_follows_the_servers_counts(server: Server, tmp_path: Path) -> None:
    job = make_job(tmp_path, depression_posts()[:8], teacher=priced(server))
    summary, _, _ = run_teach(job, tmp_path)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        answers: list[Completion] = all_completions(ledger)
        spent = ledger.total_spent()
    (row,) = summary.costs
    assert (row.model, row.task, row.requests, row.answered, row.refused, row.failed) == (
        "test-model",
        "DR",
        8,
        8,
        0,
        0,
    )
    assert row.tokens_in == sum(answer.usage["input"] for answer in answers) > 0
    assert row.tokens_out == sum(answer.usage["output"] for answer in answers) > 0
    assert row.cost == pytest.approx((row.tokens_in * 2 + row.tokens_out * 10) / 1e6)
    assert row.cost == pytest.approx(spent)


def test_the_note_beside_the_progress_bar() -> None:
    expected = CostEstimate("m", 10, 0, 100, 100, 0.5, 2.0)
    tally = RunStats(answered=3, refused=2, cost=0.1, uncertain=0.02)
    tally.failed["HTTP 500"] = 4
    assert progress_note(tally, expected) == "cost 0.12 of about 0.5, 2 refused, 4 failed"
    assert progress_note(RunStats(), CostEstimate("m", 1, 0, 1, 1, None, None)) == ""
