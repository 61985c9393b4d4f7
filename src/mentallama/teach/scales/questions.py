"""Answer a question from a filled scale: the dialogue about one question, its answer, and the trace of how it came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mentallama.answers.format import write_answer
from mentallama.answers.quotations import match_quotes
from mentallama.llm_api.chat_body import chat_body
from mentallama.llm_api.dialogues import Ask, Dialogue
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.types import Completion, CompletionState
from mentallama.prompts import ChatMessage, answer_schema, json_response_format
from mentallama.prompts.scale_prompts import decision_prompt
from mentallama.symptoms import ScaleResult, score_scale
from mentallama.tasks.answer_values import levels_value
from mentallama.teach.requests import LabelledQuestion, make_request
from mentallama.teach.scales.definition import QuestionScale
from mentallama.teach.scales.filling import (
    TEACHER,
    FillingStopped,
    ItemState,
    RevisionLimits,
    ScaleFilling,
)
from mentallama.teach.scales.traces import ScaleItem, ScaleStep, ScaleSum, ScaleTrace
from mentallama.text.pii import scrub


@dataclass(frozen=True)
class ScaleAnswer:
    """The answer to a question, and how the scale behind it was filled; `trace` is None if a request failed."""

    completion: Completion
    trace: ScaleTrace | None = None


@dataclass(frozen=True)
class ScaleQuestion:
    """A question that is answered from a scale, and the models that are asked, by role."""

    question: LabelledQuestion
    scale: QuestionScale
    limits: RevisionLimits
    structured: bool
    endpoints: Mapping[str, Endpoint]

    def dialogue(self, model: str) -> Dialogue[ScaleAnswer]:
        """Fill the scale, and answer the question from it. `model` is the teacher's name in responses.

        A question of kind scale is answered by the filled items themselves; for any other, the teacher is asked.
        """
        task, text = self.question.task, scrub(self.question.example.text)[0]
        filling = ScaleFilling(self.scale.scale, task, text, self.limits, self._ask)
        try:
            yield from filling.run()
            if task.kind == "scale":
                completion = _completion(
                    self.question, model, "answered", _filled_answer(self.question, filling)
                )
            else:
                completion = yield from self._decide(text, filling)
        except FillingStopped as stopped:
            if stopped.state == "failed":
                return ScaleAnswer(_completion(self.question, model, "failed", reason=stopped.reason))
            filling.abandon()
            state: CompletionState = "refused" if stopped.state == "refused" else "answered"
            completion = _completion(self.question, model, state, reason=stopped.reason)
        return ScaleAnswer(completion, _trace(self.question, self.scale, filling, model))

    def _decide(self, text: str, filling: ScaleFilling) -> Dialogue[Completion]:
        task, question = self.question.task, self.question.example.question
        messages = decision_prompt(task, question, text, filling.scale, filling.filled, self.structured)
        (completion,) = yield [self._ask(TEACHER, messages, answer_schema(task) if self.structured else None)]
        if completion.state == "failed":
            raise FillingStopped("failed", completion.reason or "no reason")
        filling.steps.append(
            ScaleStep(
                step="decision",
                model=completion.model,
                request_hash=completion.hash,
                outcome="refused" if completion.state == "refused" else "answered",
            )
        )
        return completion

    def _ask(self, role: str, messages: Sequence[ChatMessage], schema: dict[str, Any] | None = None) -> Ask:
        endpoint = self.endpoints[role]
        mode = endpoint.settings.schema_mode
        response_format = None if schema is None else json_response_format("reply", schema, mode)
        return Ask(
            role, make_request(endpoint, self.question, chat_body(endpoint, messages, response_format))
        )


def _completion(
    question: LabelledQuestion, model: str, state: CompletionState, text: str = "", reason: str | None = None
) -> Completion:
    """A completion that no single request has."""
    finish_reason = "stop" if state == "answered" else None
    return Completion(
        hash="",
        example_id=question.example.id,
        model=model,
        state=state,
        text=text,
        finish_reason=finish_reason,
        reason=reason,
    )


def _filled_answer(question: LabelledQuestion, filling: ScaleFilling) -> str:
    """The answer of a question of kind scale: the filled items, and the statements about them as the explanation."""
    task, example, filled = question.task, question.example, filling.filled
    label = levels_value(task, {item: answer.level for item, answer in filled.items()})
    statements = [f"{item}: {answer.statement}" for item, answer in filled.items()]
    explanation = " ".join(statements) or task.explanation_template.inconclusive
    return write_answer(task, example.question, label, explanation, example.form)


def _trace(question: LabelledQuestion, scale: QuestionScale, filling: ScaleFilling, model: str) -> ScaleTrace:
    levels = scale.scale.levels
    numbers = {item: levels[answer.level] for item, answer in filling.filled.items()}
    result = None if scale.pack is None else score_scale(scale.pack, numbers)
    return ScaleTrace(
        example_id=question.example.id,
        post_id=question.post.id,
        model=model,
        scale=scale.scale.name,
        items=tuple(_trace_item(question, item, state, levels) for item, state in filling.items.items()),
        sums=() if result is None else _sums(result),
        flags={} if result is None else dict(result.flags),
        notice=None if result is None else result.notice,
        steps=tuple(filling.steps),
    )


def _trace_item(
    question: LabelledQuestion, item: str, state: ItemState, levels: Mapping[str, int]
) -> ScaleItem:
    answer = state.answer
    if answer is None:
        return ScaleItem(item=item, revisions=state.revisions, reason=state.reason)
    matches = match_quotes(question.example.text, answer.quotations, question.task)
    return ScaleItem(
        item=item,
        level=answer.level,
        score=levels[answer.level],
        statement=answer.statement,
        quotations=answer.quotations,
        spans=tuple(span for match in matches for span in match.spans),
        revisions=state.revisions,
    )


def _sums(result: ScaleResult) -> tuple[ScaleSum, ...]:
    return tuple(
        ScaleSum(
            name=name,
            value=each.value,
            minimum=each.minimum,
            maximum=each.maximum,
            band=each.band,
            reason=each.reason,
        )
        for name, each in result.scores.items()
    )
