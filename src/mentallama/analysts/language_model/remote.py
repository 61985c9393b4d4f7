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
from typing import Any

from pydantic import ValidationError

from mentallama.analysts.base import Asking
from mentallama.analysts.inference.logprobs import scores_of, softmax
from mentallama.answers.parse import REASONING, answer_sentence, read_answer
from mentallama.config import Teacher
from mentallama.errors import MentallamaError, WrongUse
from mentallama.llm_api.blocking import stream
from mentallama.llm_api.endpoint import CHAT, TEXTS, Endpoint, open_endpoint
from mentallama.llm_api.run_stats import Limits
from mentallama.llm_api.transport.http import NEVER, RETRIED
from mentallama.llm_api.transport.local import Sending, from_here
from mentallama.llm_api.types import Answer, Call
from mentallama.parallel import batches
from mentallama.records import Example, Prediction, Reading
from mentallama.tasks import Task, find_task, write_query
from mentallama.text.pii import scrub

CHUNK = 256
"""Questions whose answers are weighed before the first explanation is asked for; what a kill may cost."""

PROBE = ("The sky is blue.", "The sky is green.")
"""Texts whose log-probabilities are asked for to see whether there are any."""

CUT = ("length", "max_tokens")


class RemoteAnalyst:
    """Answer with a model that somebody serves.

    Parameters
    ----------
    sending
        From where calls are sent.

    Attributes
    ----------
    counts
        `cut_explanations` and `no_explanations` (refused, say): their label stands.
    missed
        Why questions had no answer that another try may bring; they have no prediction.
    """

    def __init__(self, endpoint: Endpoint, asking: Asking, sending: Sending = from_here) -> None:
        self.name = f"remote:{endpoint.model}"
        self.counts, self.missed = Counter[str](), Counter[str]()
        self._endpoint, self._asking, self._sending = endpoint, asking, sending
        self._limits = Limits(in_flight=asking.in_flight, timeout=asking.timeout)

    @classmethod
    def load(
        cls,
        where: str,
        asking: Asking,
        environ: Mapping[str, str] = os.environ,
        sending: Sending = from_here,
    ) -> RemoteAnalyst:
        """Read `MODEL@URL`, and the key from MENTALLAMA_API_KEY; nothing is sent.

        Raises
        ------
        WrongUse
            It is no model and URL, or holds a secret.
        """
        try:
            terms = Teacher(
                spec=f"remote:{where}", max_tokens=asking.max_new_tokens, options=dict(asking.options)
            )
        except ValidationError as found:  # its own words may show what stands in the URL
            raise WrongUse(f"the model: {found.errors()[0]['msg'].removeprefix('Value error, ')}") from None
        return cls(open_endpoint(terms, environ), asking, sending)

    def analyse(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Answer examples, in their order.

        Raises
        ------
        WrongUse
            The key, the model or the way of asking is wrong.
        MentallamaError
            The endpoint cannot be reached, or keeps failing.
        """
        found = {prediction.example_id: prediction for prediction in self.as_they_come(examples)}
        if not all(example.id in found for example in examples):
            why = ", ".join(self.missed)
            raise MentallamaError(f"{self._endpoint.host} gave no answer ({why}); try again later")
        yield from (found[example.id] for example in examples)

    def as_they_come(self, examples: Iterable[Example]) -> Iterator[Prediction]:
        """Answer a stream of examples, in any order; some may be missed, and are counted.

        Raises
        ------
        WrongUse, MentallamaError
            As for `analyse`.
        """
        if not self._weighs:
            yield from self._read(examples)
            return
        for chunk in batches(examples, CHUNK):
            yield from self._weigh(chunk)

    @cached_property
    def _weighs(self) -> bool:
        """Whether answers are weighed before anything is written: asked for, and possible here."""
        if self._asking.mode == "free":
            return False
        if self._asking.template == "chat":
            why = "with a chat template, a remote model gives no log-probabilities of an answer"
        elif scores_of(self._ask_once(PROBE), len(PROBE)) is None:
            why = f"{self._endpoint.host} gives no log-probabilities of a given text"
        else:
            return True
        self._asking.say(
            f"{why}: {self._endpoint.model} is asked in free mode, its labels are read and have no probability"
        )
        return False

    def _ask_once(self, texts: Sequence[str]) -> Answer | None:
        """Weigh some texts; None where the endpoint does not know how."""
        call = Call(hash="probe", body=self._weighing(texts), example_id="", post_id="", task="", question="")
        try:
            answers = [answer for _, answer in self._send([call], TEXTS)]
        except WrongUse:  # no such address or model; where the key is wrong, the next call says so
            return None
        if answers[0].state == "aside" and _may_pass(answers[0].reason):
            raise MentallamaError(
                f"{self._endpoint.host} gave no answer ({answers[0].reason}); try again later"
            )
        return answers[0]

    def _send(self, calls: Iterable[Call], door: str) -> Iterator[tuple[Call, Answer]]:
        return stream(calls, replace(self._endpoint, door=door), self._limits, self._sending)

    # Free mode

    def _read(self, examples: Iterable[Example]) -> Iterator[Prediction]:
        waiting: dict[str, Example] = {}
        door = TEXTS if self._asking.template == "plain" else CHAT

        def calls() -> Iterator[Call]:
            for example in examples:
                waiting[example.id] = example
                query = self._query(example)
                asked = (
                    {"prompt": query} if door == TEXTS else {"messages": [{"role": "user", "content": query}]}
                )
                yield _call(example, self._body(asked))

        for call, answer in self._send(calls(), door):
            example = waiting.pop(call.example_id)
            reading = self._without_answer(answer)
            if reading is None and answer.state == "answered":
                reading = read_answer(self._task(example), answer.text, example.form, answer.finish_reason)
            if reading is not None:
                yield Prediction(example_id=example.id, reading=reading, model=self.name)

    # Answer-first

    def _weigh(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """The likeliest answer of each, then, where they are wanted, the reasons behind it."""
        asked = {example.id: example for example in examples}
        likely: dict[str, Prediction] = {}
        calls = (_call(example, self._weighing(self._answers(example))) for example in asked.values())
        for call, answer in self._send(calls, TEXTS):
            found = self._likeliest(asked[call.example_id], answer)
            if found is not None and found.probabilities and not self._asking.labels_only:
                likely[call.example_id] = found
            elif found is not None:
                yield found
        yield from self._explain(asked, likely)

    def _likeliest(self, example: Example, answer: Answer) -> Prediction | None:
        labels = list(self._task(example).labels)
        reading, shares = self._without_answer(answer), dict[str, float]()
        if reading is None and answer.state == "answered":
            scores = scores_of(answer, len(labels))
            if scores is None:
                self.missed["without the log-probabilities of its text"] += 1
                return None
            shares = dict(zip(labels, softmax(scores), strict=True))
            reading = Reading(status="read", label=max(shares, key=shares.__getitem__))
        if reading is None:
            return None
        return Prediction(example_id=example.id, reading=reading, probabilities=shares, model=self.name)

    def _explain(
        self, asked: Mapping[str, Example], likely: Mapping[str, Prediction]
    ) -> Iterator[Prediction]:
        def calls() -> Iterator[Call]:
            for name, found in likely.items():
                lead = f"{self._answer(asked[name], str(found.reading.label))} {REASONING}"
                yield _call(asked[name], self._body({"prompt": lead}))

        for call, answer in self._send(calls(), TEXTS):
            without, found = self._without_answer(answer), likely[call.example_id]
            if answer.state != "answered" and without is None:
                continue
            self.counts["cut_explanations"] += answer.finish_reason in CUT
            self.counts["no_explanations"] += without is not None
            text = "" if without is not None else answer.text.strip()
            yield found.model_copy(update={"reading": found.reading.model_copy(update={"explanation": text})})

    # Calls and answers

    def _task(self, example: Example) -> Task:
        return find_task(example.task, self._asking.tasks)

    def _query(self, example: Example) -> str:
        """The published query; the post is scrubbed once more, whoever wrote the file of posts."""
        return write_query(
            self._task(example), example.question, example.form, scrub(example.text)[0]
        ).rstrip()

    def _answers(self, example: Example) -> list[str]:
        return [self._answer(example, label) for label in self._task(example).labels]

    def _answer(self, example: Example, label: str) -> str:
        return f"{self._query(example)} {answer_sentence(self._task(example), label, example.form)}"

    def _body(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        terms = {"max_tokens": self._asking.max_new_tokens, "temperature": 0.0, **self._asking.options}
        return {"model": self._endpoint.model, **asked, **{k: v for k, v in terms.items() if v is not None}}

    def _weighing(self, texts: Sequence[str]) -> dict[str, Any]:
        # some servers write one token at the least
        return self._body({"prompt": list(texts)}) | {"max_tokens": 1, "echo": True, "logprobs": 1}

    def _without_answer(self, answer: Answer) -> Reading | None:
        """What is said of a call that brought no text; None where it did, or where another try may."""
        if answer.state == "refused":
            return Reading(status="refused", reason=answer.reason or "the endpoint's filter declines")
        if answer.state == "aside":
            if not _may_pass(answer.reason):
                return Reading(status="unread", reason=f"the endpoint gave no answer: {answer.reason}")
            self.missed[str(answer.reason)] += 1
        return None


def _call(example: Example, body: dict[str, Any]) -> Call:
    """Known by its example: nothing is looked up."""
    return Call(
        hash=example.id,
        body=body,
        example_id=example.id,
        post_id=example.post_id,
        task=example.task,
        question=example.question,
    )


def _may_pass(reason: str | None) -> bool:
    """Whether what kept an answer away may be over by the next try; a post that is too long never is."""
    status = re.match(r"HTTP (\d{3})", reason or "")
    if status is None:
        return True
    number = int(status[1])
    return number in RETRIED or (number >= 500 and number not in NEVER)
