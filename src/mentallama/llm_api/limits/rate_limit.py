"""How many calls may be in flight, and when the next may go. No clock, no sleeping: every time is an argument.

Times are seconds of any clock that never goes back.
"""

from __future__ import annotations

LONGEST_PAUSE = 60.0
"""Seconds of a pause that the server did not ask for."""


class Bucket:
    """So many a minute, evenly: no more than one second's worth (and one call) goes at once.

    A call larger than the bucket waits until it is full and leaves a debt.
    """

    def __init__(self, per_minute: int) -> None:
        self.rate = per_minute / 60
        self.capacity = max(1.0, self.rate)
        self.level, self._at = self.capacity, 0.0

    def wait(self, now: float, amount: float) -> float:
        """Seconds until `amount` may be taken."""
        self._fill(now)
        return max(0.0, (min(amount, self.capacity) - self.level) / self.rate)

    def take(self, now: float, amount: float) -> None:
        self._fill(now)
        self.level -= amount

    def give_back(self, amount: float) -> None:
        """Return what a call was expected to use and did not."""
        self.level = min(self.capacity, self.level + amount)

    def _fill(self, now: float) -> None:
        self.level = min(self.capacity, self.level + max(0.0, now - self._at) * self.rate)
        self._at = max(now, self._at)


class Pace:
    """Calls in flight after TCP's manner: halved when the server pushes back, one more for every window of successes
    (additive increase, multiplicative decrease: Chiu and Jain 1989), between 1 and `in_flight`.
    """

    def __init__(
        self, in_flight: int, requests_per_minute: int | None = None, tokens_per_minute: int | None = None
    ) -> None:
        self.limit = self.most = in_flight
        self.not_before = 0.0
        self._requests = Bucket(requests_per_minute) if requests_per_minute else None
        self._tokens = Bucket(tokens_per_minute) if tokens_per_minute else None
        self._cut_at = float("-inf")
        self._successes = 0
        self._pushes = 0

    def wait(self, now: float, tokens: int) -> float:
        """Seconds until a call that may use so many tokens may be sent."""
        seconds = self.not_before - now
        if self._requests is not None:
            seconds = max(seconds, self._requests.wait(now, 1))
        if self._tokens is not None:
            seconds = max(seconds, self._tokens.wait(now, tokens))
        return max(0.0, seconds)

    def sent(self, now: float, tokens: int) -> None:
        if self._requests is not None:
            self._requests.take(now, 1)
        if self._tokens is not None:
            self._tokens.take(now, tokens)

    def used(self, expected: int, tokens: int) -> None:
        """A call that might have used `expected` tokens used `tokens`."""
        if self._tokens is not None:
            self._tokens.give_back(expected - tokens)

    def succeeded(self) -> None:
        self._pushes = 0
        self._successes += 1
        if self._successes >= self.limit:
            self.limit, self._successes = min(self.most, self.limit + 1), 0

    def pushed_back(self, now: float, sent_at: float, wait: float | None) -> None:
        """The server has too much to do; `wait`: seconds it asks for, None where it does not say.

        Calls sent before the last cut tell nothing new: a round trip of them halves the limit once. Where the server
        says nothing and nothing has succeeded since the last cut, the pause doubles from a second to a minute, so
        that rows are not used up against a limit per minute.
        """
        if sent_at >= self._cut_at:
            self._cut_at, self._successes = now, 0
            self.limit = max(1, self.limit // 2)
            self._pushes += 1
            if wait is None and self._pushes > 1:
                wait = min(LONGEST_PAUSE, 2.0 ** min(self._pushes - 2, 10))
        self.not_before = max(self.not_before, now + (wait or 0.0))
