"""Ask a language model behind an OpenAI-compatible endpoint: `remote:MODEL@URL`, many calls in flight.

Free mode sends the published query as the user's message and reads what comes back. Answer-first needs
log-probabilities of given texts (`/completions` with `echo` and `logprobs`, as vLLM has it); where an endpoint has
none, it is said and answers are read instead. Nothing here knows which posts may leave the machine: that is seen to
before (`endpoint.governance`).
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from math import fsum
from typing import Any

from pydantic import ValidationError

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.inference.token_trie import common_prefix_length
from mentallama.analysts.language_model.generative import softmax
from mentallama.answers.format import REASONING_MARKER, label_sentence
from mentallama.answers.parse import read_answer
from mentallama.config import EndpointSettings
from mentallama.errors import MentallamaError, UsageError
from mentallama.llm_api.blocking import iter_completions
from mentallama.llm_api.endpoint import CHAT_PATH, COMPLETIONS_PATH, Endpoint, open_endpoint
from mentallama.llm_api.run_stats import Limits
from mentallama.llm_api.transport.http import (
    PERMANENT_5XX,
    RETRYABLE_STATUSES,
    Transport,
    http_transport,
)
from mentallama.llm_api.types import Completion, Request, TokenLogprobs
from mentallama.parallel import batched
from mentallama.records import Example, Prediction, Reading
from mentallama.tasks import Task, find_task, write_query
from mentallama.text.pii import scrub

SCORING_CHUNK = 256
"""Questions whose answers are weighed before the first explanation is asked for; what a kill may cost."""

LOGPROBS_PROBE = ("The sky is blue.", "The sky is green.")
"""Texts whose log-probabilities are asked for to see whether there are any."""

TRUNCATED_FINISH_REASONS = ("length", "max_tokens")


class RemoteAnalyst:
    """Answer with a model that somebody serves.

    Parameters
    ----------
    sending
        From where calls are sent.

    Attributes
    ----------
    counts
        `truncated_explanations` and `missing_explanations` (refused, say): their label stands.
    missed
        Why questions had no answer that another try may bring; they have no prediction.
    """

    def __init__(
        self, endpoint: Endpoint, asking: InferenceOptions, sending: Transport = http_transport
    ) -> None:
        self.name = f"remote:{endpoint.model}"
        self.counts, self.unanswered = Counter[str](), Counter[str]()
        self._endpoint, self._options, self._transport = endpoint, asking, sending
        self._limits = Limits(max_concurrency=asking.max_concurrency, timeout=asking.timeout)

    @classmethod
    def load(
        cls,
        where: str,
        asking: InferenceOptions,
        environ: Mapping[str, str] = os.environ,
        sending: Transport = http_transport,
    ) -> RemoteAnalyst:
        """Read `MODEL@URL`, and the key from MENTALLAMA_API_KEY; nothing is sent.

        Raises
        ------
        WrongUse
            It is no model and URL, or holds a secret.
        """
        try:
            settings = EndpointSettings(max_tokens=asking.max_new_tokens, extra_body=dict(asking.extra_body))
        except ValidationError as error:  # its own message may show values of the settings
            raise UsageError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
        return cls(open_endpoint(f"remote:{where}", settings, environ), asking, sending)

    def analyse(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Answer examples, in their order.

        Raises
        ------
        WrongUse
            The key, the model or the way of asking is wrong.
        MentallamaError
            The endpoint cannot be reached, or keeps failing.
        """
        found = {prediction.example_id: prediction for prediction in self.analyse_stream(examples)}
        if not all(example.id in found for example in examples):
            why = ", ".join(self.unanswered)
            raise MentallamaError(f"{self._endpoint.host} gave no answer ({why}); try again later")
        yield from (found[example.id] for example in examples)

    def analyse_stream(self, examples: Iterable[Example]) -> Iterator[Prediction]:
        """Answer a stream of examples, in any order; some may be missed, and are counted.

        Raises
        ------
        WrongUse, MentallamaError
            As for `analyse`.
        """
        if not self._scores_answers:
            yield from self._analyse_free(examples)
            return
        for chunk in batched(examples, SCORING_CHUNK):
            yield from self._analyse_answer_first(chunk)

    @cached_property
    def _scores_answers(self) -> bool:
        """Whether answers are weighed before anything is written: asked for, and possible here."""
        if self._options.mode == "free":
            return False
        if self._options.template == "chat":
            why = "with a chat template, a remote model gives no log-probabilities of an answer"
        elif answer_logprobs(self._probe(LOGPROBS_PROBE), len(LOGPROBS_PROBE)) is None:
            why = f"{self._endpoint.host} gives no log-probabilities of a given text"
        else:
            return True
        self._options.log(
            f"{why}: {self._endpoint.model} is asked in free mode, its labels are read and have no probability"
        )
        return False

    def _probe(self, texts: Sequence[str]) -> Completion | None:
        """Weigh some texts; None where the endpoint does not know how."""
        call = Request(
            hash="probe", body=self._scoring_body(texts), example_id="", post_id="", task="", question=""
        )
        try:
            answers = [answer for _, answer in self._send([call], COMPLETIONS_PATH)]
        except UsageError:  # no such address or model; where the key is wrong, the next call says so
            return None
        if answers[0].state == "failed" and _is_transient(answers[0].reason):
            raise MentallamaError(
                f"{self._endpoint.host} gave no answer ({answers[0].reason}); try again later"
            )
        return answers[0]

    def _send(self, calls: Iterable[Request], door: str) -> Iterator[tuple[Request, Completion]]:
        return iter_completions(calls, replace(self._endpoint, path=door), self._limits, self._transport)

    # Free mode

    def _analyse_free(self, examples: Iterable[Example]) -> Iterator[Prediction]:
        waiting: dict[str, Example] = {}
        door = COMPLETIONS_PATH if self._options.template == "plain" else CHAT_PATH

        def calls() -> Iterator[Request]:
            for example in examples:
                waiting[example.id] = example
                query = self._query(example)
                asked = (
                    {"prompt": query}
                    if door == COMPLETIONS_PATH
                    else {"messages": [{"role": "user", "content": query}]}
                )
                yield _example_request(example, self._request_body(asked))

        for call, answer in self._send(calls(), door):
            example = waiting.pop(call.example_id)
            reading = self._failure_reading(answer)
            if reading is None and answer.state == "answered":
                reading = read_answer(self._task(example), answer.text, example.form, answer.finish_reason)
            if reading is not None:
                yield Prediction(example_id=example.id, reading=reading, model=self.name)

    # Answer-first

    def _analyse_answer_first(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """The likeliest answer of each, then, where they are wanted, the reasons behind it."""
        asked = {example.id: example for example in examples}
        likely: dict[str, Prediction] = {}
        calls = (
            _example_request(example, self._scoring_body(self._answer_texts(example)))
            for example in asked.values()
        )
        for call, answer in self._send(calls, COMPLETIONS_PATH):
            found = self._best_answer(asked[call.example_id], answer)
            if found is not None and found.probabilities and not self._options.labels_only:
                likely[call.example_id] = found
            elif found is not None:
                yield found
        yield from self._add_explanations(asked, likely)

    def _best_answer(self, example: Example, answer: Completion) -> Prediction | None:
        labels = list(self._task(example).labels)
        reading, shares = self._failure_reading(answer), dict[str, float]()
        if reading is None and answer.state == "answered":
            scores = answer_logprobs(answer, len(labels))
            if scores is None:
                self.unanswered["without the log-probabilities of its text"] += 1
                return None
            shares = dict(zip(labels, softmax(scores), strict=True))
            reading = Reading(status="parsed", label=max(shares, key=shares.__getitem__))
        if reading is None:
            return None
        return Prediction(example_id=example.id, reading=reading, probabilities=shares, model=self.name)

    def _add_explanations(
        self, asked: Mapping[str, Example], likely: Mapping[str, Prediction]
    ) -> Iterator[Prediction]:
        def calls() -> Iterator[Request]:
            for name, found in likely.items():
                lead = f"{self._answer_text(asked[name], str(found.reading.label))} {REASONING_MARKER}"
                yield _example_request(asked[name], self._request_body({"prompt": lead}))

        for call, answer in self._send(calls(), COMPLETIONS_PATH):
            without, found = self._failure_reading(answer), likely[call.example_id]
            if answer.state != "answered" and without is None:
                continue
            self.counts["truncated_explanations"] += answer.finish_reason in TRUNCATED_FINISH_REASONS
            self.counts["missing_explanations"] += without is not None
            text = "" if without is not None else answer.text.strip()
            yield found.model_copy(update={"reading": found.reading.model_copy(update={"explanation": text})})

    # Calls and answers

    def _task(self, example: Example) -> Task:
        return find_task(example.task, self._options.tasks)

    def _query(self, example: Example) -> str:
        """The published query; the post is scrubbed once more, whoever wrote the file of posts."""
        return write_query(
            self._task(example), example.question, example.form, scrub(example.text)[0]
        ).rstrip()

    def _answer_texts(self, example: Example) -> list[str]:
        return [self._answer_text(example, label) for label in self._task(example).labels]

    def _answer_text(self, example: Example, label: str) -> str:
        return f"{self._query(example)} {label_sentence(self._task(example), label, example.form)}"

    def _request_body(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        terms = {"max_tokens": self._options.max_new_tokens, "temperature": 0.0, **self._options.extra_body}
        return {"model": self._endpoint.model, **asked, **{k: v for k, v in terms.items() if v is not None}}

    def _scoring_body(self, texts: Sequence[str]) -> dict[str, Any]:
        # some servers write one token at the least
        return self._request_body({"prompt": list(texts)}) | {"max_tokens": 1, "echo": True, "logprobs": 1}

    def _failure_reading(self, answer: Completion) -> Reading | None:
        """What is said of a call that brought no text; None where it did, or where another try may."""
        if answer.state == "refused":
            return Reading(status="refused", reason=answer.reason or "the endpoint's filter declines")
        if answer.state == "failed":
            if not _is_transient(answer.reason):
                return Reading(status="unparsed", reason=f"the endpoint gave no answer: {answer.reason}")
            self.unanswered[str(answer.reason)] += 1
        return None


def _example_request(example: Example, body: dict[str, Any]) -> Request:
    """Known by its example: nothing is looked up."""
    return Request(
        hash=example.id,
        body=body,
        example_id=example.id,
        post_id=example.post_id,
        task=example.task,
        question=example.question,
    )


def _is_transient(reason: str | None) -> bool:
    """Whether what kept an answer away may be over by the next try; a post that is too long never is."""
    status = re.match(r"HTTP (\d{3})", reason or "")
    if status is None:
        return True
    number = int(status[1])
    return number in RETRYABLE_STATUSES or (number >= 500 and number not in PERMANENT_5XX)


def answer_logprobs(completion: Completion | None, count: int) -> list[float] | None:
    """Log-likelihoods in nats of `count` texts from the log-probabilities of their tokens, without the shared prefix.

    The prefix that all texts share (the query) does not tell which is more likely. None if log-probabilities are
    missing.
    """
    if completion is None or len(completion.token_logprobs) != count:
        return None
    # A server generates one token after each text or none; the token count tells which.
    n_generated, rest = divmod(completion.usage.get("output", count), count)
    if rest or n_generated > 1:
        return None
    texts = [_drop_last_tokens(logprobs, n_generated) for logprobs in completion.token_logprobs]
    n_shared = min(common_prefix_length(texts[0].tokens, text.tokens) for text in texts)
    if not n_shared:  # The first token has no log-probability.
        return None
    scored = [text.logprobs[n_shared:] for text in texts]
    if any(None in logprobs for logprobs in scored):
        return None
    return [fsum(logprob for logprob in logprobs if logprob is not None) for logprobs in scored]


def _drop_last_tokens(logprobs: TokenLogprobs, count: int) -> TokenLogprobs:
    end = len(logprobs.tokens) - count
    return TokenLogprobs(tokens=logprobs.tokens[:end], logprobs=logprobs.logprobs[:end])
