"""How many calls may be in flight, and when the next may go. No clock, no sleeping: every time is an argument.

Times are seconds of any clock that never goes back.
"""

from __future__ import annotations

MAX_PAUSE_SECONDS = 60.0
"""Seconds of a pause that the server did not ask for."""


class TokenBucket:
    """So many a minute, evenly: no more than one second's worth (and one call) goes at once.

    A call larger than the bucket waits until it is full and leaves a debt.
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
        """Return what a call was expected to use and did not."""
        self.level = min(self.capacity, self.level + amount)

    def _refill(self, now: float) -> None:
        self.level = min(self.capacity, self.level + max(0.0, now - self._updated_at) * self.rate)
        self._updated_at = max(now, self._updated_at)


class RateLimiter:
    """Calls in flight after TCP's manner: halved when the server pushes back, one more for every window of successes
    (additive increase, multiplicative decrease: Chiu and Jain 1989), between 1 and `in_flight`.
    """

    def __init__(
        self, in_flight: int, requests_per_minute: int | None = None, tokens_per_minute: int | None = None
    ) -> None:
        self.concurrency = self.max_concurrency = in_flight
        self.paused_until = 0.0
        self._requests = TokenBucket(requests_per_minute) if requests_per_minute else None
        self._tokens = TokenBucket(tokens_per_minute) if tokens_per_minute else None
        self._last_decrease = float("-inf")
        self._successes = 0
        self._consecutive_overloads = 0

    def wait_time(self, now: float, tokens: int) -> float:
        """Seconds until a call that may use so many tokens may be sent."""
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

    def refund_tokens(self, expected: int, tokens: int) -> None:
        """A call that might have used `expected` tokens used `tokens`."""
        if self._tokens is not None:
            self._tokens.refund(expected - tokens)

    def record_success(self) -> None:
        self._consecutive_overloads = 0
        self._successes += 1
        if self._successes >= self.concurrency:
            self.concurrency, self._successes = min(self.max_concurrency, self.concurrency + 1), 0

    def record_overload(self, now: float, sent_at: float, retry_after: float | None) -> None:
        """The server has too much to do; `wait`: seconds it asks for, None where it does not say.

        Calls sent before the last cut tell nothing new: a round trip of them halves the limit once. Where the server
        says nothing and nothing has succeeded since the last cut, the pause doubles from a second to a minute, so
        that rows are not used up against a limit per minute.
        """
        if sent_at >= self._last_decrease:
            self._last_decrease, self._successes = now, 0
            self.concurrency = max(1, self.concurrency // 2)
            self._consecutive_overloads += 1
            if retry_after is None and self._consecutive_overloads > 1:
                retry_after = min(MAX_PAUSE_SECONDS, 2.0 ** min(self._consecutive_overloads - 2, 10))
        self.paused_until = max(self.paused_until, now + (retry_after or 0.0))
