"""Likelihood of an explanation under a decoder language model (GPTScore, Fu et al. 2023).

The score is the mean log-probability of the explanation's tokens after the prompt, 1/m sum_t log p(y_t | x, y_<t), with
equal weights. The prompt is the published query, post and question, as an analyst would ask it: with the chat template
of a model that has one. All questions and explanations of a post are scored as one token tree, so that the post is read
once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from math import isfinite

from mentallama.analysts.base import NonFiniteOutputError
from mentallama.analysts.checkpoints.loading import LoadedModel, inference_mode, unwrap_peft
from mentallama.analysts.inference.answer_scoring import (
    ScoredPrompt,
    ScoringGroup,
    ScoringRequest,
    score_trees,
)
from mentallama.analysts.inference.batching import run_in_batches
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.analysts.inference.unshared import max_tree_length, score_unshared
from mentallama.analysts.language_model.generative import trained_template
from mentallama.explanation_metrics.base import (
    CaseScore,
    ExplanationCase,
    ExplanationMetric,
    MetricOptions,
    unscored,
)
from mentallama.explanation_metrics.neural.checkpoints import (
    TRUNCATED_TEXTS,
    Tokens,
    open_checkpoint,
    token_budget,
)
from mentallama.explanation_metrics.neural.locations import decoder_folder
from mentallama.records import FORMS
from mentallama.tasks import find_task

PromptPair = tuple[Tokens, Tokens]
"""Tokens of a prompt and of an explanation."""


class Likelihood(ExplanationMetric):
    """Mean log-probability in nats per token, `likelihood`: negative, and higher is better.

    Attributes
    ----------
    counts
        `truncated_texts`: explanations longer than half of the model's context, which lost their end, and posts that
        lost theirs because they exceed what the explanation leaves.
    """

    def __init__(self, loaded: LoadedModel, options: MetricOptions) -> None:
        self.name, self.counts = f"likelihood:{loaded.name.partition(':')[2]}", Counter[str]()
        self.model, self._context, self._options = unwrap_peft(loaded), loaded.context, options
        self._budget = token_budget(options, self.model.device)
        template = trained_template("auto", loaded.metadata)
        self._encoders = {
            form: PromptEncoder(loaded.tokenizer, form, template, loaded.context) for form in FORMS
        }
        self._max_tree_length = max_tree_length(self.model, loaded.context)

    @classmethod
    def load(cls, location: str, options: MetricOptions) -> Likelihood:
        """Open a folder of any decoder of transformers, as `DIR` or `causal:DIR`.

        Raises
        ------
        UsageError
            There is no such folder, or it holds no complete decoder.
        """
        return cls(open_checkpoint("likelihood", decoder_folder(location), "causal", options), options)

    def score(self, cases: Sequence[ExplanationCase]) -> list[CaseScore]:
        n_truncated = self.counts[TRUNCATED_TEXTS]
        encoded = [self._encode(case) for case in cases]
        if self.counts[TRUNCATED_TEXTS] > n_truncated:
            self._options.log(
                f"{self.name} has a context of {self._context} tokens: "
                f"{self.counts[TRUNCATED_TEXTS] - n_truncated} posts or explanations were truncated at their end"
            )
        by_post: dict[str, set[PromptPair]] = defaultdict(set)
        for case, pair in zip(cases, encoded, strict=True):
            if pair[1]:
                by_post[case.example.text].add(pair)
        with inference_mode(self.model, self.name):
            means = self._mean_logprobs([sorted(pairs) for _, pairs in sorted(by_post.items())])
        if not all(map(isfinite, means.values())):
            raise NonFiniteOutputError(self.name)
        return [
            CaseScore(values={"likelihood": means[pair]}) if pair[1] else unscored("no tokens")
            for pair in encoded
        ]

    def _encode(self, case: ExplanationCase) -> PromptPair:
        """Tokens of the prompt and of the explanation, which fit the context together."""
        encoder = self._encoders[case.example.form]
        explanation = encoder.encode_answer(case.explanation.strip(), add_stop_token=False)
        kept = explanation[: self._context // 2]
        task = find_task(case.example.task, self._options.tasks)
        prompt = encoder.encode_prompt(case.example, task, len(kept))
        self.counts[TRUNCATED_TEXTS] += (len(kept) < len(explanation)) + bool(prompt.truncated_chars)
        return tuple(prompt.ids), tuple(kept)

    def _mean_logprobs(self, posts: Sequence[Sequence[PromptPair]]) -> dict[PromptPair, float]:
        """Mean log-probability of each pair's explanation; `posts` holds the pairs of each post."""
        trees, unshared = list[ScoringGroup](), list[ScoringRequest]()
        for pairs in posts:
            requests = _requests(pairs)
            if max(len(prompt) + len(explanation) for prompt, explanation in pairs) <= self._max_tree_length:
                trees.append(ScoringGroup(list(range(len(requests))), requests))
            else:
                unshared += requests
        sums: dict[PromptPair, float] = {}
        for batch, results in run_in_batches(trees, self._budget, self._score_groups):
            for group, prompts in zip(batch, results, strict=True):
                for request, scored in zip(group.requests, prompts, strict=True):
                    sums |= _by_pair(request, scored.answer_logprobs)
        logprobs = score_unshared(self.model, dict(enumerate(unshared)), self._budget)
        for index, request in enumerate(unshared):
            sums |= _by_pair(request, logprobs[index])
        return {pair: value / len(pair[1]) for pair, value in sums.items()}

    def _score_groups(self, groups: Sequence[ScoringGroup]) -> list[list[ScoredPrompt]]:
        return score_trees(self.model, groups, keep_cache=False)


def _requests(pairs: Sequence[PromptPair]) -> list[ScoringRequest]:
    """One request per prompt, with its explanations."""
    by_prompt: dict[Tokens, list[list[int]]] = defaultdict(list)
    for prompt, explanation in pairs:
        by_prompt[prompt].append(list(explanation))
    return [ScoringRequest(list(prompt), tuple(answers)) for prompt, answers in by_prompt.items()]


def _by_pair(request: ScoringRequest, logprobs: Sequence[float]) -> dict[PromptPair, float]:
    prompt = tuple(request.prompt)
    return {
        (prompt, tuple(answer)): logprob for answer, logprob in zip(request.answers, logprobs, strict=True)
    }
