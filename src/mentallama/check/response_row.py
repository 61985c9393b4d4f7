"""What a gate looks at: one response to one question about one post, read."""

from __future__ import annotations

from dataclasses import dataclass

from mentallama.records import Example, Post, Reading, Response, Verdict
from mentallama.tasks import Task


@dataclass(frozen=True)
class ResponseRow:
    """One response, with all that gates judge it by. `example.label` is the set's own label."""

    post: Post
    task: Task
    example: Example
    response: Response
    reading: Reading
    quotes: tuple[str, ...] = ()
    """What the explanation presents as the post's own words, in order."""

    def verdict(self, gate: str, reason: str | None = None, score: float | None = None) -> Verdict:
        """What a gate found; no reason means that the row passes."""
        return Verdict(
            example_id=self.example.id,
            model=self.response.model,
            gate=gate,
            ok=reason is None,
            reason=reason,
            score=score,
        )
