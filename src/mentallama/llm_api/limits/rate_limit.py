"""Adaptive concurrency and rate limits. Without a clock: every function takes the time as an argument.

Times are seconds of any monotonic clock.
"""

from __future__ import annotations

MAX_PAUSE_SECONDS = 60.0
"""Longest pause that the server did not ask for."""


class TokenBucket:
    """A limit per minute, spread evenly: a burst is at most one second's share and one request.

    A request larger than the bucket waits until the bucket is full, and overdraws it.
    """

    def __init__(self, per_minute: int) -> None:
        self.rate = per_minute / 60
        self.capacity = max(1.0, self.rate)
        self.level, self._updated_at = self.capacity, 0.0

    def wait_time(self, now: float, amount: float) -> float:
        """Seconds until `amount` may be taken."""
        self._refill(now)
        return max(0.0, (min(amount, self.capacity) - self.level) / self.rate)

    def take(self, now: float, amount: float) -> None:
        self._refill(now)
        self.level -= amount

    def refund(self, amount: float) -> None:
        """Put back what a request was expected to use and did not."""
        self.level = min(self.capacity, self.level + amount)

    def _refill(self, now: float) -> None:
        self.level = min(self.capacity, self.level + max(0.0, now - self._updated_at) * self.rate)
        self._updated_at = max(now, self._updated_at)


class RateLimiter:
    """Concurrency by additive increase and multiplicative decrease (Chiu and Jain 1989), as in TCP congestion control.

    The limit is halved when the server is overloaded and raised by one after a full window of successes, between 1 and
    `max_concurrency`. Requests and tokens per minute are limited by token buckets.
    """

    def __init__(
        self,
        max_concurrency: int,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
    ) -> None:
        self.concurrency = self.max_concurrency = max_concurrency
        self.paused_until = 0.0
        self._requests = TokenBucket(requests_per_minute) if requests_per_minute else None
        self._tokens = TokenBucket(tokens_per_minute) if tokens_per_minute else None
        self._last_decrease = float("-inf")
        self._successes = 0
        self._consecutive_overloads = 0

    def wait_time(self, now: float, tokens: int) -> float:
        """Seconds until a request that may use up to `tokens` may be sent."""
        seconds = self.paused_until - now
        if self._requests is not None:
            seconds = max(seconds, self._requests.wait_time(now, 1))
        if self._tokens is not None:
            seconds = max(seconds, self._tokens.wait_time(now, tokens))
        return max(0.0, seconds)

    def record_sent(self, now: float, tokens: int) -> None:
        if self._requests is not None:
            self._requests.take(now, 1)
        if self._tokens is not None:
            self._tokens.take(now, tokens)

    def refund_tokens(self, expected: int, used: int) -> None:
        """Correct the token bucket after a request that was expected to use up to `expected` tokens."""
        if self._tokens is not None:
            self._tokens.refund(expected - used)

    def record_success(self) -> None:
        self._consecutive_overloads = 0
        self._successes += 1
        if self._successes >= self.concurrency:
            self.concurrency, self._successes = min(self.max_concurrency, self.concurrency + 1), 0

    def record_overload(self, now: float, sent_at: float, retry_after: float | None) -> None:
        """Slow down after an overload response to a request sent at `sent_at`.

        `retry_after` is in seconds, None if the server gave none. Requests sent before the last decrease are no new
        information, so one round trip halves the limit once. Without `retry_after`, and without a success since the
        last decrease, the pause doubles from a second to a minute, so that a limit per minute does not use up the
        attempts of every request.
        """
        if sent_at >= self._last_decrease:
            self._last_decrease, self._successes = now, 0
            self.concurrency = max(1, self.concurrency // 2)
            self._consecutive_overloads += 1
            if retry_after is None and self._consecutive_overloads > 1:
                retry_after = min(MAX_PAUSE_SECONDS, 2.0 ** min(self._consecutive_overloads - 2, 10))
        self.paused_until = max(self.paused_until, now + (retry_after or 0.0))
