"""Money: bounds before, costs after, and two runs that never exceed one budget."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.config import EndpointSettings
from mentallama.llm_api.limits.budget import BudgetAccount, actual_cost, worst_case
from mentallama.llm_api.transport.http import encode_body

PRICED = EndpointSettings(input_price=1.0, output_price=4.0, max_tokens=100)
FREE = EndpointSettings()


def test_the_worst_case_counts_every_byte_and_all_output_tokens() -> None:
    # 200 bytes and 50 tokens: (200 * 1 + 50 * 4) / 1,000,000
    assert worst_case(PRICED, {"max_tokens": 50}, 200) == (250, pytest.approx(0.0004))
    assert worst_case(PRICED, {"max_tokens": 50, "n": 2}, 200) == (300, pytest.approx(0.0006))
    assert worst_case(PRICED, {"max_tokens": 1, "prompt": ["a", "b", "c"]}, 200)[0] == 203
    assert worst_case(PRICED, {"max_tokens": 1, "prompt": "abc"}, 200)[0] == 201
    assert worst_case(PRICED, {"max_completion_tokens": 80, "max_tokens": 50}, 200)[0] == 280
    assert worst_case(PRICED, {}, 200)[0] == 300
    assert worst_case(FREE, {"max_tokens": 50}, 200) == (250, 0.0)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_a_body_has_more_bytes_than_its_texts_and_template_tokens(texts: list[str]) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": text} for text in texts], "max_tokens": 1}
    longest = sum(len(text.encode("utf-8", "surrogatepass")) + 16 for text in texts)
    assert len(encode_body(body)) >= longest


def test_costs() -> None:
    assert actual_cost(PRICED, {"input": 1000, "output": 500}) == pytest.approx(0.003)
    assert actual_cost(PRICED, {}) is None
    assert actual_cost(FREE, {"input": 1000, "output": 500}) is None


def test_requests_in_flight_count_at_their_maximum_cost() -> None:
    account = BudgetAccount(budget=10.0, spent_by_others=4.0)
    assert account.fits(6.0)
    assert not account.fits(6.1)
    account.add_in_flight(4.0)
    assert not account.fits(2.1)
    account.settle(4.0, cost=1.0, uncertain=0.0)
    assert account.spent == 5.0
    assert account.fits(5.0)
    account.add_in_flight(5.0)
    account.settle(5.0, cost=0.0, uncertain=5.0)  # its answer was lost
    assert account.spent == 10.0
    assert not account.fits(0.1)
    assert account.fits(0.0)


def test_cost_is_reserved_in_the_ledger_before_it_is_in_flight() -> None:
    account = BudgetAccount(budget=10.0)
    assert account.reservation_needed(1.0) == 1.125
    account.reserved = 1.125
    account.add_in_flight(1.0)
    assert account.reservation_needed(0.125) is None
    assert account.reservation_needed(8.9) == pytest.approx(10.0)  # an eighth more would not fit
    assert BudgetAccount(budget=None).reservation_needed(8.0) == 9.0


@given(st.integers(0, 10_000), st.floats(1, 50))
def test_two_runs_never_exceed_the_budget_together(seed: int, budget: float) -> None:
    """Each looks at the other only when it settles or holds, as the ledger's transactions do."""
    draw = random.Random(seed)
    runs = [BudgetAccount(budget), BudgetAccount(budget)]
    written = [[0.0, 0.0], [0.0, 0.0]]  # settled and held, as the ledger has them
    flying: list[list[float]] = [[], []]
    for _ in range(300):
        me = draw.randrange(2)
        run, amount = runs[me], draw.uniform(0.1, 3)
        if flying[me] and draw.random() < 0.5:
            settled = flying[me].pop()
            cost = settled * draw.random()
            written[me][0] += cost
            run.spent_by_others = sum(written[1 - me])
            run.settle(settled, cost, 0.0)
        elif run.fits(amount):
            wanted = run.reservation_needed(amount)
            if wanted is not None:
                run.spent_by_others = sum(written[1 - me])
                if run.spent_by_others + written[me][0] + wanted > budget * (1 + 2e-9):
                    continue
                run.reserved = written[me][1] = wanted
                if not run.fits(amount):
                    continue
            run.add_in_flight(amount)
            flying[me].append(amount)
        assert sum(each.settled + each.in_flight for each in runs) <= budget * (1 + 1e-6)
        assert all(sum(each) <= row[1] + 1e-9 for each, row in zip(flying, written, strict=True))
