"""Made-up examples for decoders, and what they should answer, computed one answer at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.loading import LoadedModel
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.analysts.language_model.causal import CausalAnalyst
from mentallama.answers.format import REASONING_MARKER, label_sentence
from mentallama.records import Example, Form, stable_id
from mentallama.tasks import load_tasks
from tests.factories.tiny_models import made_up_posts

CONTEXT = 512
TASKS = load_tasks()


def make_examples(
    sets: Sequence[str] = ("MultiWD", "Irf", "SAD"), posts: int = 3, form: Form = "instruction"
) -> list[Example]:
    """All questions of some sets about some posts, post by post; posts differ in length."""
    return [
        Example(
            id=stable_id(text, name, question, form), post_id=stable_id(text), task=name, question=question,
            form=form, text=text,
        )
        for text in made_up_posts()[::11][-posts:]
        for name in sets
        for question in TASKS[name].questions
    ]  # fmt: skip


def analyst(model: Any, tokenizer: Any, **asking: Any) -> CausalAnalyst:
    """The model in memory as an analyst that says nothing."""
    settings = {"max_new_tokens": 24, "log": lambda _: None, **asking}
    return CausalAnalyst(
        LoadedModel(model, tokenizer, CONTEXT, "causal:tiny", None), InferenceOptions(**settings)
    )


def naive_scores(model: Any, tokenizer: Any, example: Example, room: int) -> dict[str, float]:
    """Log-likelihood of each label's answer, each by a pass of its own over prompt and answer."""
    prompter = PromptEncoder(tokenizer, example.form, "auto", CONTEXT)
    task, scores = TASKS[example.task], {}
    prompt = prompter.encode_prompt(example, task, room).ids
    for label in task.labels:
        answer = prompter.encode_answer(label_sentence(task, label, example.form), add_stop_token=False)
        with torch.inference_mode():
            chances = model(torch.tensor([prompt + answer])).logits[0].float().log_softmax(-1)
        scores[label] = sum(
            float(chances[len(prompt) - 1 + place, token]) for place, token in enumerate(answer)
        )
    return scores


def naive_shares(scores: dict[str, float]) -> dict[str, float]:
    shares = torch.tensor(list(scores.values()), dtype=torch.float64).softmax(0)
    return dict(zip(scores, shares.tolist(), strict=True))


def naive_text(
    model: Any, tokenizer: Any, example: Example, label: str | None, new_tokens: int
) -> tuple[str, bool]:
    """What the model's own `generate` writes behind a label's answer (None: behind the prompt), and whether it ends."""
    prompter = PromptEncoder(tokenizer, example.form, "auto", CONTEXT)
    task = TASKS[example.task]
    behind: list[int] = []
    if label is not None:
        behind = prompter.encode_answer(
            f"{label_sentence(task, label, example.form)} {REASONING_MARKER}", add_stop_token=False
        )
    ids = torch.tensor([prompter.encode_prompt(example, task, new_tokens + len(behind)).ids + behind])
    own = model.generation_config.eos_token_id
    ends = {*prompter.stop_token_ids, *(own if isinstance(own, list) else [own])}
    found = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=new_tokens,
        eos_token_id=sorted(ends), pad_token_id=0,
    )[0, ids.shape[1] :].tolist()  # fmt: skip
    ended = found[-1] in ends
    return prompter.decode_answer(found[:-1] if ended else found), ended
