"""Ends a run whose requests fail alike, before it has sent them all."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path

from mentallama.errors import MentallamaError
from mentallama.llm_api.transport.fatal_errors import quote_server
from mentallama.llm_api.types import Completion, failure_kind

WINDOW = 50
"""Most recent completions that are judged together."""

MAX_FAILED_SHARE = 0.9
"""Share of the window that may fail alike."""

MIN_PERMANENT_FAILURES, MIN_TRANSIENT_FAILURES = 8, 25
"""Failures of a kind needed before anything was answered. Those that a retry cannot change take one attempt each; the
others have used up all their attempts and may still pass."""


class RequestsFailError(MentallamaError):
    """Nearly all requests fail for the same reason, so that sending the rest is of no use."""


class FailureWatch:
    """Watches the completions of a run.

    Parameters
    ----------
    host
        The endpoint, for the message.

    Attributes
    ----------
    any_answered
        Whether any request was answered, or refused by a content filter.
    """

    def __init__(self, host: str) -> None:
        self.any_answered = False
        self._host = host
        self._recent: deque[Completion] = deque(maxlen=WINDOW)

    def record(self, completion: Completion) -> None:
        """Count a completion.

        Raises
        ------
        RequestsFailError
            Nothing was answered so far and enough requests failed for one reason, or nearly all recent ones did.
        """
        self._recent.append(completion)
        if completion.state != "failed":
            self.any_answered = True
            return
        kinds = Counter(failure_kind(each.reason) for each in self._recent if each.state == "failed")
        kind, count = kinds.most_common(1)[0]
        if count >= self._threshold(completion):
            raise requests_fail_error(self._host, kind, completion.detail)

    def _threshold(self, completion: Completion) -> float:
        if self.any_answered:
            return MAX_FAILED_SHARE * WINDOW
        return MIN_TRANSIENT_FAILURES if completion.transient else MIN_PERMANENT_FAILURES


def too_many_failed(
    stage: str, failed: Mapping[str, int], total: int, allowed: float, listing: Path
) -> str | None:
    """The sentence that ends a finished stage with exit code 3 because too many of its requests failed, if they did.

    Parameters
    ----------
    failed
        Number of failed requests by reason.
    total
        Number of all requests.
    allowed
        Largest share that may fail, 0 to 1.
    listing
        The file that lists them.
    """
    count = sum(failed.values())
    if count <= allowed * total:
        return None
    return (
        f"{stage}: {count} of {total} requests failed ({describe_failures(failed)}), more than "
        f"{stage}.max_failed_share ({allowed:g}) allows; they are listed in {listing}, and the same command asks them "
        "again"
    )


def describe_failures(failed: Mapping[str, int]) -> str:
    """The most frequent reasons with their counts."""
    frequent = Counter(failed).most_common(3)
    return ", ".join(f"{count} {reason}" for reason, count in frequent) + (", ..." if len(failed) > 3 else "")


def requests_fail_error(host: str, reason: str, detail: str) -> RequestsFailError:
    """The error for requests that fail alike. `detail` is the server's sentence, safe to show."""
    return RequestsFailError(
        f"requests to {host} fail alike, {reason}{quote_server(detail)}: check the model, the URL and the options of "
        "the request (extra_body); nothing that failed counts as an answer, and the same command asks again"
    )
