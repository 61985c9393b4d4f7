"""A small synthetic task of each kind of answer."""

from __future__ import annotations

from typing import Any

from mentallama.tasks import Task

_EXPLANATION = {
    "evidence": "The post says {quotes}, {because}.",
    "counter_evidence": "Against it: {quotes}.",
    "no_counter_evidence": "Nothing speaks against it.",
    "inconclusive": "The wording says little.",
}


def _labels(names: tuple[str, ...]) -> dict[str, Any]:
    return {
        name: {
            "answer": {"instruction": f"The post shows {name}.", "completion": name},
            "because": f"wording of {name}",
        }
        for name in names
    }


def task_of_kind(kind: str, **changes: Any) -> Task:
    """A task of one question, `about`, of the given kind."""
    labels = {
        "choice": ("yes", "no"),
        "ordinal": ("minimal", "mild", "moderate", "severe"),
        "multi": ("sleep", "appetite", "low mood"),
        "spans": ("sleep", "low mood"),
        "scale": ("not at all", "several days", "nearly every day"),
    }[kind]
    composite = kind in {"multi", "spans", "scale"}
    sentence = {"answer": {"instruction": "The post shows: {answer}.", "completion": "{answer}"}}
    wording = {"instruction": "What does the post show?", "completion": "This post shows"}
    return Task.model_validate(
        {
            "set": f"synthetic-{kind}",
            "title": f"synthetic {kind}",
            "platform": "none",
            "annotation": "human",
            "licence": "MIT",
            "needs_agreement": False,
            "language": "en",
            "kind": kind,
            "questions": {"about": {"wording": wording}},
            "labels": _labels(labels),
            "teacher_instruction": "Judge from the words of the post.",
            "explanation_template": _EXPLANATION,
            **(sentence if composite else {}),
            **(
                {"items": {"sleep": "trouble sleeping", "energy": "little energy"}} if kind == "scale" else {}
            ),
            **changes,
        }
    )
