"""The remote analyst: a language model behind an OpenAI-compatible endpoint, `remote:MODEL@URL`, with concurrent calls.

Free mode sends the published query as the user's message and parses the reply. Answer-first needs log-probabilities of
given texts (`/completions` with `echo` and `logprobs`, as vLLM offers them); if an endpoint does not provide them,
free mode is used, with a message. `llm_api.data_agreements` decides beforehand which posts may leave the machine.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from math import fsum
from typing import Any

from pydantic import ValidationError

from mentallama.analysts.base import Analyst, InferenceOptions
from mentallama.analysts.inference.token_trie import common_prefix_length
from mentallama.analysts.language_model.generative import label_probabilities
from mentallama.answers.finish_reasons import finish_reason_status
from mentallama.answers.format import REASONING_MARKER, label_sentence
from mentallama.answers.parse import read_answer
from mentallama.config import EndpointSettings
from mentallama.config.endpoint import RemoteOptions
from mentallama.errors import MentallamaError, UsageError
from mentallama.llm_api.blocking import iter_completions
from mentallama.llm_api.endpoint import CHAT_PATH, COMPLETIONS_PATH, Endpoint, open_endpoint
from mentallama.llm_api.transport.http import Transport, http_transport
from mentallama.llm_api.transport.rejected_options import RejectedOptionError, adapt_endpoint
from mentallama.llm_api.types import Completion, Limits, Request, TokenLogprobs
from mentallama.parallel import batched
from mentallama.records import Example, Prediction, Reading
from mentallama.tasks import Task, find_task, write_query
from mentallama.text.pii import scrub

SCORING_CHUNK = 256
"""Questions that are scored before the first explanation is requested; an interruption loses at most their scores."""

LOGPROBS_PROBE = ("The sky is blue.", "The sky is green.")
"""Texts whose log-probabilities are requested to find out whether the endpoint provides them."""


class RemoteAnalyst(Analyst):
    """Answers with a model behind an endpoint.

    Parameters
    ----------
    endpoint
        The model and its address.
    options
        Options of inference.
    transport
        Sends the requests, from this process or from the nodes of a cluster.

    Attributes
    ----------
    counts
        `truncated_explanations`, and `missing_explanations` (for example, refused ones); the labels are valid.
    unanswered
        Number of questions without a prediction that a later run may answer, by reason.
    failed
        Reasons of calls that failed and would fail again, by example id. They have no prediction either.
    """

    def __init__(
        self, endpoint: Endpoint, options: InferenceOptions, transport: Transport = http_transport
    ) -> None:
        self.name = f"remote:{endpoint.model}"
        self.counts, self.unanswered = Counter[str](), Counter[str]()
        self.failed: dict[str, str] = {}
        self._endpoint, self._options, self._transport = endpoint, options, transport
        self._limits = Limits(options.max_concurrency, options.timeout, options.max_attempts)

    @classmethod
    def load(
        cls,
        location: str,
        options: InferenceOptions,
        environ: Mapping[str, str] = os.environ,
        transport: Transport = http_transport,
    ) -> RemoteAnalyst:
        """Parse `MODEL@URL` and take the key from the environment variable `key_env_var`; sends nothing.

        Raises
        ------
        UsageError
            The location is not a model and a URL, or contains a secret; or `extra_body` is invalid.
        """
        try:
            shared = {name: getattr(options, name) for name in RemoteOptions.model_fields}
            settings = EndpointSettings(**shared, max_tokens=options.max_new_tokens)
        except ValidationError as error:  # its own message may show values of the settings
            raise UsageError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
        return cls(open_endpoint(f"remote:{location}", settings, environ), options, transport)

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Answer a batch of examples; predictions come in their order.

        Raises
        ------
        UsageError
            The key, the model or a field of the request is wrong.
        MentallamaError
            The endpoint cannot be reached, or keeps failing.
        """
        predictions = {prediction.example_id: prediction for prediction in self.predict_stream(examples)}
        if not all(example.id in predictions for example in examples):
            reasons = ", ".join(dict.fromkeys((*self.failed.values(), *self.unanswered)))
            advice = "check the model and the options of the request" if self.failed else "try again later"
            raise MentallamaError(f"{self._endpoint.host} gave no answer ({reasons}); {advice}")
        yield from (predictions[example.id] for example in examples)

    def predict_stream(self, examples: Iterable[Example]) -> Iterator[Prediction]:
        """Answer a stream of examples, in any order; some may stay unanswered and are counted.

        Raises
        ------
        UsageError, MentallamaError
            As for `predict`.
        """
        if not self._scores_answers:
            yield from self._predict_free(examples)
            return
        for chunk in batched(examples, SCORING_CHUNK):
            yield from self._predict_answer_first(chunk)

    @cached_property
    def _scores_answers(self) -> bool:
        """Whether answers are scored before anything is generated: requested, and possible with this endpoint."""
        if self._options.mode == "free":
            return False
        if self._options.template == "chat":
            reason = "with a chat template, a remote model gives no log-probabilities of an answer"
        elif answer_logprobs(self._probe(LOGPROBS_PROBE), len(LOGPROBS_PROBE)) is None:
            reason = f"{self._endpoint.host} gives no log-probabilities of a given text"
        else:
            return True
        self._options.log(
            f"{reason}: {self._endpoint.model} is asked in free mode, its labels are parsed and have no probability"
        )
        return False

    def _probe(self, texts: Sequence[str]) -> Completion | None:
        """Request log-probabilities of some texts; None if the endpoint rejects the request or fails at it.

        Servers without this interface answer with 404, 400, 501 or 500. Only a server that cannot be reached or is
        overloaded is no such answer.
        """
        request = Request(
            hash="probe",
            body=self._request_body(_scoring_fields(texts)),
            example_id="",
            post_id="",
            task="",
            question="",
        )
        try:
            endpoint = replace(self._endpoint, path=COMPLETIONS_PATH)
            (completion,) = [
                completion
                for _, completion in iter_completions([request], endpoint, self._limits, self._transport)
            ]
        except UsageError:
            # There is no such path, or an option or the model is rejected. A wrong key is reported by the next request.
            return None
        if completion.state == "failed" and completion.transient and not _is_server_error(completion.reason):
            raise MentallamaError(
                f"{self._endpoint.host} gave no answer ({completion.reason}); try again later"
            )
        return completion

    def _send(
        self, prompts: Iterable[tuple[Example, Mapping[str, Any]]], path: str
    ) -> Iterator[tuple[Request, Completion]]:
        """Send prompts, each a part of a request body; options that the model rejects are changed, which is said once.

        Prompts whose request met such a rejection are sent again.
        """
        waiting, source = dict[str, tuple[Example, Mapping[str, Any]]](), iter(prompts)

        def requests() -> Iterator[Request]:
            for example, prompt in chain(list(waiting.values()), source):
                waiting[example.id] = example, prompt
                yield _example_request(example, self._request_body(prompt))

        while True:
            endpoint = replace(self._endpoint, path=path)
            try:
                for request, completion in iter_completions(
                    requests(), endpoint, self._limits, self._transport
                ):
                    del waiting[request.example_id]
                    yield request, completion
            except RejectedOptionError as rejected:
                self._endpoint = adapt_endpoint(self._endpoint, rejected.update)
                self._options.log(f"{rejected}; this setting is used from here on")
            else:
                return

    # Free mode

    def _predict_free(self, examples: Iterable[Example]) -> Iterator[Prediction]:
        pending: dict[str, Example] = {}
        path = COMPLETIONS_PATH if self._options.template == "plain" else CHAT_PATH

        def prompts() -> Iterator[tuple[Example, Mapping[str, Any]]]:
            for example in examples:
                pending[example.id] = example
                query = self._query(example)
                as_chat = {"messages": [{"role": "user", "content": query}]}
                yield example, ({"prompt": query} if path == COMPLETIONS_PATH else as_chat)

        for request, completion in self._send(prompts(), path):
            example = pending.pop(request.example_id)
            if completion.state == "failed":
                self._record_failure(example.id, completion)
            else:
                reading = self._read(example, completion)
                yield Prediction(example_id=example.id, reading=reading, model=self.name)

    # Answer-first

    def _predict_answer_first(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Score the answers to each question; then request the explanations, unless only labels are needed."""
        by_id = {example.id: example for example in examples}
        unexplained: dict[str, Prediction] = {}
        prompts = ((example, _scoring_fields(self._answer_texts(example))) for example in by_id.values())
        for request, completion in self._send(prompts, COMPLETIONS_PATH):
            prediction = self._best_answer(by_id[request.example_id], completion)
            if prediction is not None and prediction.probabilities and not self._options.labels_only:
                unexplained[request.example_id] = prediction
            elif prediction is not None:
                yield prediction
        yield from self._add_explanations(by_id, unexplained)

    def _best_answer(self, example: Example, completion: Completion) -> Prediction | None:
        labels = list(self._task(example).labels)
        if completion.state == "failed":
            self._record_failure(example.id, completion)
            return None
        if completion.state == "refused":
            reading = self._read(example, completion)
            return Prediction(example_id=example.id, reading=reading, model=self.name)
        scores = answer_logprobs(completion, len(labels))
        if scores is None:
            self.unanswered["without the log-probabilities of its text"] += 1
            return None
        probabilities = label_probabilities(labels, scores, self.name)
        reading = Reading(status="parsed", label=max(probabilities, key=probabilities.__getitem__))
        return Prediction(
            example_id=example.id, reading=reading, probabilities=probabilities, model=self.name
        )

    def _add_explanations(
        self, examples: Mapping[str, Example], predictions: Mapping[str, Prediction]
    ) -> Iterator[Prediction]:
        def prompts() -> Iterator[tuple[Example, Mapping[str, Any]]]:
            for example_id, prediction in predictions.items():
                example = examples[example_id]
                answer = self._answer_text(example, str(prediction.reading.label))
                yield example, {"prompt": f"{answer} {REASONING_MARKER}"}

        for request, completion in self._send(prompts(), COMPLETIONS_PATH):
            prediction, refused = predictions[request.example_id], completion.state == "refused"
            if completion.state == "failed":
                self._record_failure(request.example_id, completion)
                continue
            self.counts["truncated_explanations"] += (
                finish_reason_status(completion.finish_reason) == "truncated"
            )
            self.counts["missing_explanations"] += refused
            text = "" if refused else completion.text.strip()
            reading = prediction.reading.model_copy(update={"explanation": text})
            yield prediction.model_copy(update={"reading": reading})

    # Requests and completions

    def _task(self, example: Example) -> Task:
        return find_task(example.task, self._options.tasks)

    def _query(self, example: Example) -> str:
        """The published query. The post is scrubbed again, since its file may not come from `collect`."""
        text, _ = scrub(example.text)
        return write_query(self._task(example), example.question, example.form, text).rstrip()

    def _answer_texts(self, example: Example) -> list[str]:
        return [self._answer_text(example, label) for label in self._task(example).labels]

    def _answer_text(self, example: Example, label: str) -> str:
        return f"{self._query(example)} {label_sentence(self._task(example), label, example.form)}"

    def _request_body(self, prompt: Mapping[str, Any]) -> dict[str, Any]:
        settings = self._endpoint.settings
        params = {
            "max_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            **settings.extra_body,
        }
        body = {name: value for name, value in params.items() if value is not None}
        return {"model": self._endpoint.model, **body, **prompt}

    def _read(self, example: Example, completion: Completion) -> Reading:
        """Read a finished answer; one without any text has the reason for that as its reason."""
        if completion.state == "refused":
            return Reading(status="refused", reason=completion.reason or "the endpoint's filter declines")
        reading = read_answer(self._task(example), completion.text, example.form, completion.finish_reason)
        if completion.reason and reading.status == "unparsed":
            return reading.model_copy(update={"reason": completion.reason})
        return reading

    def _record_failure(self, example_id: str, completion: Completion) -> None:
        """Note a call that failed: it is no answer, and the question stays open."""
        reason = completion.reason or "no reason"
        if completion.transient:
            self.unanswered[reason] += 1
        else:
            self.failed[example_id] = reason


def _scoring_fields(texts: Sequence[str]) -> dict[str, Any]:
    """Fields that ask for the log-probabilities of texts; some servers generate at least one token."""
    return {"prompt": list(texts), "max_tokens": 1, "echo": True, "logprobs": 1}


def _example_request(example: Example, body: dict[str, Any]) -> Request:
    """A request identified by its example rather than its content: nothing is cached."""
    return Request(
        hash=example.id,
        body=body,
        example_id=example.id,
        post_id=example.post_id,
        task=example.task,
        question=example.question,
    )


def _is_server_error(reason: str | None) -> bool:
    """Whether the server failed at the request itself, rather than being overloaded or unreachable."""
    return re.search(r"\b(?:HTTP|error) 500\b", reason or "") is not None


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
