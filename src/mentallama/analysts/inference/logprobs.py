"""How likely given texts are, by the log-probabilities of their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, fsum

from mentallama.llm_api.types import Completion, TokenLogprobs


def answer_logprobs(answer: Completion | None, count: int) -> list[float] | None:
    """Log-likelihoods in nats of `count` texts, less that of what they begin with in common; None where some lack.

    What all texts begin with (the query) says nothing of which is likelier. The token that the server has written
    behind each, or has not, is told by its count.
    """
    if answer is None or len(answer.token_logprobs) != count:
        return None
    written, rest = divmod(answer.usage.get("output", count), count)
    if rest or written > 1:
        return None
    texts = [_drop_last_tokens(chances, written) for chances in answer.token_logprobs]
    shared = _common_prefix_length([each.tokens for each in texts])
    if not shared:  # the first token has no probability
        return None
    found = [fsum(known for known in each.logprobs[shared:] if known is not None) for each in texts]
    return None if any(None in each.logprobs[shared:] for each in texts) else found


def _drop_last_tokens(chances: TokenLogprobs, count: int) -> TokenLogprobs:
    end = len(chances.tokens) - count
    return TokenLogprobs(tokens=chances.tokens[:end], logprobs=chances.logprobs[:end])


def _common_prefix_length(texts: Sequence[Sequence[str]]) -> int:
    """How many tokens all texts begin with in common."""
    columns = zip(*texts, strict=False)
    return next((place for place, column in enumerate(columns) if len(set(column)) > 1), min(map(len, texts)))


def softmax(scores: Sequence[float]) -> list[float]:
    """Shares of 1, by log-likelihoods in nats."""
    odds = [exp(score - max(scores)) for score in scores]
    return [each / fsum(odds) for each in odds]
