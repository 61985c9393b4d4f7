"""How many calls at a time, and when: worked by hand, without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.llm_api.limits.rate_limit import MAX_PAUSE_SECONDS, RateLimiter, TokenBucket


def test_overload_halves_concurrency_once_per_round_trip() -> None:
    pace = RateLimiter(64)
    pace.record_overload(now=1.0, sent_at=0.5, retry_after=None)
    assert pace.concurrency == 32
    pace.record_overload(now=1.1, sent_at=0.9, retry_after=None)  # sent before the cut: it tells nothing new
    assert pace.concurrency == 32
    pace.record_overload(now=2.0, sent_at=1.2, retry_after=None)
    assert pace.concurrency == 16


def test_it_never_falls_below_one() -> None:
    pace = RateLimiter(3)
    for second in range(5):
        pace.record_overload(now=second + 0.5, sent_at=second, retry_after=0.0)
    assert pace.concurrency == 1


def test_a_window_of_successes_raises_concurrency_by_one_up_to_the_maximum() -> None:
    pace = RateLimiter(4)
    pace.record_overload(now=1.0, sent_at=0.0, retry_after=None)
    assert pace.concurrency == 2
    pace.record_success()
    assert pace.concurrency == 2
    pace.record_success()
    assert pace.concurrency == 3
    for _ in range(3):
        pace.record_success()
    assert pace.concurrency == 4
    for _ in range(40):
        pace.record_success()
    assert pace.concurrency == 4


def test_retry_after_holds_for_all() -> None:
    pace = RateLimiter(8)
    pace.record_overload(now=10.0, sent_at=9.0, retry_after=5.0)
    assert pace.wait_time(10.0, 1) == 5.0
    pace.record_overload(now=11.0, sent_at=9.5, retry_after=1.0)  # an earlier end does not shorten it
    assert pace.wait_time(12.0, 1) == 3.0
    pace.record_overload(now=12.0, sent_at=9.5, retry_after=20.0)
    assert pace.wait_time(15.0, 1) == 17.0
    assert pace.wait_time(40.0, 1) == 0.0


def test_overload_without_retry_after_pauses_only_if_nothing_succeeds() -> None:
    pace, now = RateLimiter(64), 0.0
    pauses = []
    for _ in range(10):
        pace.record_overload(now + 0.1, now, None)
        now += 0.1
        pauses.append(pace.wait_time(now, 1))
        now += pauses[-1]
    assert pauses == pytest.approx(
        [0, 1, 2, 4, 8, 16, 32, MAX_PAUSE_SECONDS, MAX_PAUSE_SECONDS, MAX_PAUSE_SECONDS]
    )
    pace.record_success()
    pace.record_overload(now + 0.1, now, None)
    assert pace.wait_time(now + 0.1, 1) == 0.0


def test_requests_are_spread_evenly() -> None:
    pace = RateLimiter(8, requests_per_minute=60)
    assert pace.wait_time(0.0, 5) == 0.0
    pace.record_sent(0.0, 5)
    assert pace.wait_time(0.0, 5) == pytest.approx(1.0)
    assert pace.wait_time(0.75, 5) == pytest.approx(0.25)
    assert pace.wait_time(9.0, 5) == 0.0


def test_unused_tokens_are_refunded() -> None:
    pace = RateLimiter(8, tokens_per_minute=600)  # 10 a second
    pace.record_sent(0.0, 30)
    assert pace.wait_time(0.0, 30) == pytest.approx(3.0)  # a debt of 20, then a full bucket of 10
    pace.refund_tokens(30, 5)
    assert pace.wait_time(0.0, 30) == pytest.approx(0.5)
    pace.refund_tokens(30, 40)  # a server that counts more than was expected
    assert pace.wait_time(0.0, 30) == pytest.approx(1.5)


@given(st.integers(1, 3000), st.lists(st.floats(0, 2), max_size=300))
def test_no_minute_exceeds_the_limit_plus_one_seconds_share(limit: int, gaps: list[float]) -> None:
    bucket, now, taken = TokenBucket(limit), 0.0, []
    for gap in gaps:
        now += gap
        now += bucket.wait_time(now, 1) + 1e-9
        bucket.take(now, 1)
        taken.append(now)
    for first in taken:
        assert sum(first <= at < first + 60 for at in taken) <= limit + max(1, limit / 60) + 1e-3


@given(
    st.lists(st.tuples(st.sampled_from(("ok", "push")), st.floats(0, 3)), max_size=200), st.integers(1, 50)
)
def test_concurrency_stays_between_one_and_the_maximum(events: list[tuple[str, float]], most: int) -> None:
    pace, now = RateLimiter(most), 0.0
    for what, gap in events:
        before = pace.concurrency
        if what == "ok":
            pace.record_success()
            assert before <= pace.concurrency <= before + 1
        else:
            pace.record_overload(now + gap, now, None)
        now += gap
        assert 1 <= pace.concurrency <= most
