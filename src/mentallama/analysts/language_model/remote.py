"""The remote analyst: a language model behind an OpenAI-compatible endpoint, `remote:MODEL@URL`, with concurrent calls.

Free mode sends the published query as the user's message and parses the reply. Answer-first needs log-probabilities: of
given texts (`/completions` with `echo` and `logprobs`, as vLLM offers them), or of a chat's reply (`chat_scoring`). The
first of these that the endpoint offers is used, with a message; without any it is free mode, as it is for a single
question that cannot be scored. `llm_api.data_agreements` decides beforehand which posts may leave the machine.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import Any

from pydantic import ValidationError

from mentallama.analysts.base import Analyst, InferenceOptions, Template
from mentallama.analysts.language_model.answer_scorer import (
    AnswerScorer,
    EchoScorer,
    Fields,
    WrittenQuestion,
    answer_logprobs,
    scoring_fields,
)
from mentallama.analysts.language_model.chat_scoring import (
    TOP_LOGPROBS,
    ChatScorer,
    GrammarScorer,
    first_token_fields,
    lists_alternatives,
)
from mentallama.answers.finish_reasons import finish_reason_status
from mentallama.answers.format import REASONING_MARKER, label_sentence
from mentallama.answers.parse import read_answer
from mentallama.config import EndpointSettings
from mentallama.config.endpoint import RemoteOptions
from mentallama.errors import MentallamaError, UsageError
from mentallama.llm_api.blocking import iter_completions
from mentallama.llm_api.cost_estimate import TYPICAL_ANSWER_TOKENS, budget_warning, estimate_requests
from mentallama.llm_api.endpoint import CHAT_PATH, COMPLETIONS_PATH, Endpoint, open_endpoint
from mentallama.llm_api.ledger.completion_cache import CompletionCache, MemoryCosts
from mentallama.llm_api.transport.http import Transport, http_transport
from mentallama.llm_api.transport.rejected_options import RejectedOptionError, adapt_endpoint
from mentallama.llm_api.types import Completion, Limits, Request, request_hash
from mentallama.parallel import batched
from mentallama.prompts import ChatMessage, with_system_role
from mentallama.prompts.question_prompts import before_next_post, plain_text
from mentallama.records import Example, Prediction, Reading
from mentallama.tasks import QuestionKey, Task, find_task
from mentallama.text.pii import scrub

SCORING_CHUNK = 256
"""Questions that are scored before the first explanation is requested; an interruption loses at most their scores."""

LOGPROBS_PROBE = ("The sky is blue.", "The sky is green.")
"""Texts whose log-probabilities are requested to find out whether the endpoint provides them."""

UNSCORED: Mapping[Template, str] = {
    "auto": ", neither of a given text nor of a reply",
    "chat": " of a reply",
    "plain": " of a given text",
}
"""Log-probabilities that an endpoint without any way of scoring does not give, by the template that is used."""

SIMPLE_QUESTION = ({"role": "user", "content": "Is the sky blue?"},)
"""Messages by which it is found out whether a reply has log-probabilities."""

PROBE = Example(id="probe", post_id="", task="", question="", form="instruction", text="")
"""Stands for a post in requests that are not about one."""


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
    cache
        Keeps completions and their costs; None: costs are counted, and nothing is kept.

    Attributes
    ----------
    counts
        `truncated_explanations`, and `missing_explanations` (for example, refused ones); the labels are valid.
        `labels_without_probability`: questions asked in free mode because they could not be scored.
    unanswered
        Number of questions without a prediction that a later run may answer, by reason.
    failed
        Reasons of calls that failed and would fail again, by example id. They have no prediction either.
    """

    kind = "remote"

    def __init__(
        self,
        endpoint: Endpoint,
        options: InferenceOptions,
        transport: Transport = http_transport,
        cache: CompletionCache | None = None,
    ) -> None:
        self._rejection: UsageError | None = None
        self.name = f"remote:{endpoint.model}"
        self.counts, self.unanswered = Counter[str](), Counter[str]()
        self.failed: dict[str, str] = {}
        self._endpoint, self._options, self._transport = endpoint, options, transport
        self._prompts = options.question_prompts()
        self._limits = Limits(options.max_concurrency, options.timeout, options.max_attempts, options.budget)
        self._cache = cache or MemoryCosts()

    @classmethod
    def load(
        cls,
        location: str,
        options: InferenceOptions,
        environ: Mapping[str, str] = os.environ,
        transport: Transport = http_transport,
        cache: CompletionCache | None = None,
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
        return cls(open_endpoint(f"remote:{location}", settings, environ), options, transport, cache)

    @property
    def gives_probabilities(self) -> bool:
        """Whether the endpoint scores answers, which it is asked at first; raises as `predict` does."""
        return self._scorer is not None

    def scoring_view(self) -> RemoteAnalyst:
        """The same endpoint, budget and cache, without explanations; it has found out how answers are scored."""
        _ = self._scorer
        view = copy(self)
        view._options = replace(self._options, labels_only=True)
        view.counts, view.unanswered, view.failed = Counter[str](), Counter[str](), {}
        return view

    def prepare(self, questions: Collection[QuestionKey]) -> None:
        """Raise `UsageError` if a question has no examples that few-shot prompts need; nothing is sent."""
        for name, question in questions:
            self._prompts.shots_for(find_task(name, self._options.tasks), question, "")

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
        scorer = self._scorer
        if scorer is None:
            yield from self._predict_free(examples)
            return
        for chunk in batched(examples, SCORING_CHUNK):
            # Answers of several parts are too many to score.
            composite = [example for example in chunk if self._task(example).is_composite]
            scored = [example for example in chunk if not self._task(example).is_composite]
            yield from self._predict_answer_first(scored, scorer)
            yield from self._predict_free(composite)

    # The way of scoring

    @cached_property
    def _scorer(self) -> AnswerScorer | None:
        """How answers are scored before anything is generated; None for free mode."""
        wanted, host = self._options.scoring, self._endpoint.host
        if self._options.mode == "free":
            return None
        if wanted == "none":
            return None
        ways = SCORING_WAYS if wanted == "auto" else {wanted: SCORING_WAYS[wanted]}
        for template, open_scorer in ways.values():
            if self._options.template in {"auto", template}:
                scorer = open_scorer(self)
                if scorer is not None:
                    self._tell(scorer)
                    return scorer
        if wanted != "auto":
            raise self._rejection or UsageError(f"{host} does not offer scoring: {wanted}; use scoring: auto")
        self._options.log(
            f"{host} gives no log-probabilities{UNSCORED[self._options.template]}: {self._endpoint.model} is asked in "
            "free mode, its labels are parsed and have no probability"
        )
        return None

    def _tell(self, scorer: AnswerScorer) -> None:
        if scorer.notice:
            self._options.log(f"{self._endpoint.host} repeats no given text: {scorer.notice}")

    def _open_echo(self) -> AnswerScorer | None:
        completion = self._ask(scoring_fields(LOGPROBS_PROBE), COMPLETIONS_PATH)
        scores = None if completion is None else answer_logprobs(completion, len(LOGPROBS_PROBE))
        return None if scores is None else EchoScorer(self.name)

    def _open_grammar(self) -> AnswerScorer | None:
        scorer = GrammarScorer(self._ask, self.name)
        return scorer if scorer.supported() else None

    def _open_chat(self) -> AnswerScorer | None:
        for top in TOP_LOGPROBS:
            if lists_alternatives(self._ask(first_token_fields(SIMPLE_QUESTION, top))):
                return ChatScorer(top, self._options.letter_orders)
        return None

    def _ask(self, fields: Fields, path: str = CHAT_PATH) -> Completion | None:
        """Send one request that is not about a post; None if the endpoint rejects it or fails at it.

        Servers without an interface answer with 404, 400, 501 or 500. Only a server that cannot be reached or is
        overloaded is no such answer.
        """
        self._rejection = None
        try:
            ((_, completion),) = self._send([(PROBE, fields)], path)
        except UsageError as error:
            # There is no such path, or an option or the model is rejected. A wrong key is reported by the next request.
            self._rejection = error
            return None
        if completion.state == "failed" and completion.transient and not _is_server_error(completion.reason):
            raise MentallamaError(
                f"{self._endpoint.host} gave no answer ({completion.reason}); try again later"
            )
        return completion if completion.state == "answered" else None

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
                yield self._request(example, prompt, path)

        while True:
            endpoint = replace(self._endpoint, path=path)
            try:
                for request, completion in iter_completions(
                    requests(), endpoint, self._limits, self._cache, self._transport
                ):
                    del waiting[request.example_id]
                    yield request, completion
            except RejectedOptionError as rejected:
                self._endpoint = adapt_endpoint(self._endpoint, rejected.update)
                self._options.log(f"{rejected}; this setting is used from here on")
            else:
                return

    # Costs

    def spent(self) -> float | None:
        """Cost of all calls so far, certain and possible, in the currency of the prices; None without prices."""
        return None if self._endpoint.settings.input_price is None else self._cache.total_spent()

    def describe_cost(self, examples: Sequence[Example], n_examples: int) -> Iterator[str]:
        """Sentences on what `n_examples` will probably cost, evidence included, of which some are given."""
        sampled = [each for example in examples for each in self._expected_requests(example)]
        if self.evidence is not None:
            view, variants = self.scoring_view(), self.evidence.variants(examples)
            sampled += [each for variant in variants for each in view._expected_requests(variant)]
        scale = n_examples / len(examples) if examples else 0.0
        estimate = estimate_requests(self._endpoint, sampled, scale, self._cache.known_hashes)
        yield estimate.describe()
        if warning := budget_warning([estimate], self._limits.budget, self._cache.total_spent()):
            yield warning

    def _expected_requests(self, example: Example) -> Iterator[tuple[Request, int]]:
        """The requests about an example, each with the tokens that its answer probably has."""
        scorer, question = self._scorer, self._written_question(example)
        prompts = scorer.prompts(question) if scorer is not None and question.answers else []
        if scorer is None or not prompts:
            yield self._request(example, self._free_prompt(example), self._free_path), TYPICAL_ANSWER_TOKENS
            return
        for number, prompt in enumerate(prompts):
            texts, limit = prompt.get("prompt"), prompt.get("max_tokens", TYPICAL_ANSWER_TOKENS)
            n_tokens = limit * len(texts) if isinstance(texts, list) else limit
            yield self._request(_part(example, number), prompt, scorer.path), n_tokens
        if not self._options.labels_only:
            longest = max(question.answers, key=lambda label: len(question.answers[label]))
            prompt = scorer.explanation_prompt(question, longest)
            yield self._request(example, prompt, scorer.path), TYPICAL_ANSWER_TOKENS

    # Free mode

    @property
    def _free_path(self) -> str:
        return COMPLETIONS_PATH if self._options.template == "plain" else CHAT_PATH

    def _free_prompt(self, example: Example) -> Fields:
        messages = self._messages(example)
        as_chat = {"messages": messages}
        return {"prompt": plain_text(messages)} if self._free_path == COMPLETIONS_PATH else as_chat

    def _predict_free(self, examples: Iterable[Example]) -> Iterator[Prediction]:
        pending: dict[str, Example] = {}

        def prompts() -> Iterator[tuple[Example, Fields]]:
            for example in examples:
                pending[example.id] = example
                yield example, self._free_prompt(example)

        for request, completion in self._send(prompts(), self._free_path):
            example = pending.pop(request.example_id)
            if completion.state == "failed":
                self._record_failure(example.id, completion)
            else:
                reading = self._read(example, completion)
                yield Prediction(example_id=example.id, reading=reading, model=self.name)

    # Answer-first

    def _predict_answer_first(
        self, examples: Sequence[Example], scorer: AnswerScorer
    ) -> Iterator[Prediction]:
        """Score the answers to each question; then request the explanations, unless only labels are needed.

        A question that the scorer cannot score is asked in free mode.
        """
        by_id = {example.id: example for example in examples}
        unexplained, unscored = dict[str, Prediction](), list[Example]()
        for example, completions in self._score(by_id, scorer):
            prediction = self._best_answer(example, completions, scorer)
            if prediction is None:
                unscored.append(example)
            elif prediction.probabilities and not self._options.labels_only:
                unexplained[example.id] = prediction
            else:
                yield prediction
        yield from self._add_explanations(by_id, unexplained, scorer)
        if unscored:
            self.counts["labels_without_probability"] += len(unscored)
        yield from self._predict_free(unscored)

    def _score(
        self, examples: Mapping[str, Example], scorer: AnswerScorer
    ) -> Iterator[tuple[Example, list[Completion]]]:
        """Each example with the completions of its requests, none if it has no requests.

        Examples with a failed request are left out and noted.
        """
        parts = dict[str, tuple[Example, int]]()
        prompts = list[tuple[Example, Fields]]()
        completions = dict[str, dict[int, Completion]]()
        for example in examples.values():
            fields = scorer.prompts(self._written_question(example))
            for number, prompt in enumerate(fields):
                part = _part(example, number)
                parts[part.id] = example, number
                prompts.append((part, prompt))
            completions[example.id] = {}
            if not fields:
                yield example, []
        counts = Counter(example.id for example, _ in parts.values())
        for request, completion in self._send(prompts, scorer.path):
            example, number = parts[request.example_id]
            received = completions[example.id]
            received[number] = completion
            if len(received) == counts[example.id]:
                ordered = [received[index] for index in range(len(received))]
                failed = next((each for each in ordered if each.state == "failed"), None)
                if failed is None:
                    yield example, ordered
                else:
                    self._record_failure(example.id, failed)

    def _best_answer(
        self, example: Example, completions: Sequence[Completion], scorer: AnswerScorer
    ) -> Prediction | None:
        """The prediction of the likeliest answer; None if there are no probabilities."""
        refused = next((each for each in completions if each.state == "refused"), None)
        if refused is not None:
            return Prediction(example_id=example.id, reading=self._read(example, refused), model=self.name)
        question = self._written_question(example)
        probabilities = scorer.probabilities(question, completions) if completions else None
        if probabilities is None:
            return None
        reading = Reading(status="parsed", label=max(probabilities, key=probabilities.__getitem__))
        return Prediction(
            example_id=example.id, reading=reading, probabilities=probabilities, model=self.name
        )

    def _add_explanations(
        self, examples: Mapping[str, Example], predictions: Mapping[str, Prediction], scorer: AnswerScorer
    ) -> Iterator[Prediction]:
        def prompts() -> Iterator[tuple[Example, Fields]]:
            for example_id, prediction in predictions.items():
                example = examples[example_id]
                question = self._written_question(example)
                yield example, scorer.explanation_prompt(question, str(prediction.reading.label))

        for request, completion in self._send(prompts(), scorer.path):
            prediction, refused = predictions[request.example_id], completion.state == "refused"
            if completion.state == "failed":
                self._record_failure(request.example_id, completion)
                continue
            written, finish_reason = self._own_text(completion)
            self.counts["truncated_explanations"] += finish_reason_status(finish_reason) == "truncated"
            self.counts["missing_explanations"] += refused
            answers = self._written_question(examples[request.example_id]).answers
            # Some servers repeat the beginning of the model's turn.
            beginning = f"{answers[str(prediction.reading.label)]} {REASONING_MARKER}"
            text = "" if refused else written.strip().removeprefix(beginning).strip()
            reading = prediction.reading.model_copy(update={"explanation": text})
            yield prediction.model_copy(update={"reading": reading})

    # Requests and completions

    def _task(self, example: Example) -> Task:
        return find_task(example.task, self._options.tasks)

    def _messages(self, example: Example) -> list[ChatMessage]:
        """The prompt. The post is scrubbed again, since its file may not come from `collect`."""
        task, (text, _) = self._task(example), scrub(example.text)
        shots = self._prompts.shots_for(task, example.question, text)
        return self._prompts.messages(task, example.question, example.form, text, shots)

    def _written_question(self, example: Example) -> WrittenQuestion:
        task = self._task(example)
        form = self._prompts.answer_form(example.form)
        labels = () if task.is_composite else task.labels
        answers = {label: label_sentence(task, label, form) for label in labels}
        return WrittenQuestion(self._messages(example), answers)

    def _request(self, example: Example, prompt: Mapping[str, Any], path: str) -> Request:
        """A request identified by its example and its content, so that no two examples share one."""
        body = self._request_body(prompt)
        return Request(
            hash=request_hash(f"{self._endpoint.base_url}{path}", {"example": example.id, **body}),
            body=body,
            example_id=example.id,
            post_id=example.post_id,
            task=example.task,
            question=example.question,
        )

    def _request_body(self, prompt: Mapping[str, Any]) -> dict[str, Any]:
        settings = self._endpoint.settings
        params = {
            "max_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            **settings.extra_body,
        }
        body = {name: value for name, value in params.items() if value is not None}
        accepted = _as_accepted(prompt, settings.extra_body)
        if "messages" in accepted:  # the role may have been rejected since the prompt was written
            accepted["messages"] = with_system_role(accepted["messages"], settings.system_role)
        return {"model": self._endpoint.model, **body, **accepted}

    def _read(self, example: Example, completion: Completion) -> Reading:
        """Read a finished answer; one without any text has the reason for that as its reason."""
        if completion.state == "refused":
            return Reading(status="refused", reason=completion.reason or "the endpoint's filter declines")
        text, finish_reason = self._own_text(completion)
        form = self._prompts.answer_form(example.form)
        reading = read_answer(self._task(example), text, form, finish_reason)
        if completion.reason and reading.status == "unparsed":
            return reading.model_copy(update={"reason": completion.reason})
        return reading

    def _own_text(self, completion: Completion) -> tuple[str, str | None]:
        """The text of an answer and its finish reason; a text that went on with a post of its own had ended before."""
        text, went_on = completion.text, False
        if self._prompts.instructs:
            text, went_on = before_next_post(text)
        return text, "stop" if went_on else completion.finish_reason

    def _record_failure(self, example_id: str, completion: Completion) -> None:
        """Note a call that failed: it is no answer, and the question stays open."""
        reason = completion.reason or "no reason"
        if completion.transient:
            self.unanswered[reason] += 1
        else:
            self.failed[example_id] = reason


def _as_accepted(prompt: Mapping[str, Any], extra_body: Mapping[str, Any]) -> Fields:
    """Fields of a chat as the model takes them: without those that `extra_body` removes, the limit under its name."""
    if "messages" not in prompt:
        return dict(prompt)
    limit = extra_body.get("max_completion_tokens") is not None
    names = {"max_tokens": "max_completion_tokens"} if limit else {}
    return {
        names.get(name, name): value
        for name, value in prompt.items()
        if name in names or extra_body.get(name, value) is not None
    }


def _part(example: Example, number: int) -> Example:
    """The example of one of several requests about a question."""
    return example.model_copy(update={"id": f"{example.id}#{number}"})


def _is_server_error(reason: str | None) -> bool:
    """Whether the server failed at the request itself, rather than being overloaded or unreachable."""
    return re.search(r"\b(?:HTTP|error) 500\b", reason or "") is not None


SCORING_WAYS: Mapping[str, tuple[Template, Callable[[RemoteAnalyst], AnswerScorer | None]]] = {
    "echo": ("plain", RemoteAnalyst._open_echo),
    "grammar": ("chat", RemoteAnalyst._open_grammar),
    "chat": ("chat", RemoteAnalyst._open_chat),
}
"""Ways of scoring, in order of preference: how they prompt the model, and a function that opens them if the endpoint
offers them."""
