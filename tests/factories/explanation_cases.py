"""Cases for metrics of explanations, with made-up posts."""

from __future__ import annotations

from mentallama.explanation_metrics.base import ExplanationCase
from mentallama.records import Example, Reading

POSTS = (
    "I walked to the lake this morning. Nobody here slept badly again.",
    "My sister worried about the exam all week.",
    "The whole team cooked a soup after work. I planted some beans because it rained.",
    "A friend of mine slept badly again and felt better.",
)
EXPLANATIONS = (
    "The post describes a quiet walk to the lake.",
    "Worries about an exam last all week, which shows stress.",
    "The team cooked a soup.",
    "The poster slept badly again, because it rained after work, and planted beans.",
)
REFERENCES = (
    "A walk this morning is mentioned, and no worries.",
    "The exam worried the sister of the poster all week.",
    "Cooking and planting beans show no sign of stress.",
    "Sleeping badly again is a sign of stress.",
)


def explanation_case(number: int = 0, **changes: str | None) -> ExplanationCase:
    """A case of these posts; `changes` may hold `text`, `explanation` and `reference`."""
    row = number % len(POSTS)
    example = Example(
        id=str(number),
        post_id=f"p{number}",
        task="dreaddit",
        question="stress",
        form="instruction",
        text=changes.get("text") or POSTS[row],
        label="yes",
    )
    reading = Reading(
        status="parsed", label="yes", explanation=changes.get("explanation") or EXPLANATIONS[row]
    )
    return ExplanationCase(
        example=example, reading=reading, reference=changes.get("reference", REFERENCES[row])
    )


def explanation_cases() -> list[ExplanationCase]:
    """One case of each post."""
    return [explanation_case(number) for number in range(len(POSTS))]
