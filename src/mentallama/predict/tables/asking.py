"""Ask an analyst about texts: in this process, on a cluster, or in several processes where it uses one CPU only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType

from mentallama.analysts.answer import answer_of, example_of_text, unanswered
from mentallama.analysts.base import BATCH_SIZE, InferenceOptions
from mentallama.analysts.registry import analyst_kind
from mentallama.attribution.opening import open_with_evidence
from mentallama.environment import usable_cpus
from mentallama.parallel import batched, map_batches
from mentallama.predict.analyst_pool import AnalystPool, local_pool
from mentallama.predict.stage import PredictJob, inference_options
from mentallama.predict.tables.answer_store import StoredAnswer
from mentallama.progress import log_to_stderr
from mentallama.records import Example, Form, Prediction
from mentallama.tasks import QuestionKey, Task
from mentallama.text.clean_post import CleanPost, clean_post

TEXTS_PER_STREAM = 4096
"""Texts that an analyst is given as one stream: enough for its calls to overlap, few enough for memory."""

TEXTS_PER_PROCESS = 1500
"""Texts that repay the start of another process, which takes about a second."""

TextQuestions = tuple[str, tuple[QuestionKey, ...]]
"""A text, and the questions to ask about it."""

AskFn = Callable[[Iterable[TextQuestions]], Iterator[StoredAnswer]]
"""Answers the questions about texts, in any order; one answer per question."""


def ask_function(job: PredictJob, pool: AnalystPool, form: Form, names: Iterable[str], n_texts: int) -> AskFn:
    """Choose who is asked: the pool, or as many processes as `n_texts` repay and this machine has CPUs.

    `names` are the tasks of the questions.
    """
    jobs = min(usable_cpus(), n_texts // TEXTS_PER_PROCESS)
    if job.ray is not None or jobs < 2 or not analyst_kind(job.spec).single_cpu:
        return lambda texts: (
            answer
            for chunk in batched(texts, TEXTS_PER_STREAM)
            for answer in ask_about(pool, chunk, form, job.spec, job.tasks)
        )
    tasks = {name: job.tasks[name] for name in dict.fromkeys(names)}
    worker = AnalystProcess(job.spec, form, replace(inference_options(job), tasks=tasks, log=log_to_stderr))
    return lambda texts: (
        answer for answers in map_batches(worker, batched(texts, BATCH_SIZE), jobs) for answer in answers
    )


@dataclass(frozen=True)
class AnalystProcess:
    """Answers batches of texts in a process of a pool, which opens the analyst once."""

    spec: str
    form: Form
    options: InferenceOptions = field(compare=False)

    def __call__(self, texts: Sequence[TextQuestions]) -> list[StoredAnswer]:
        return list(ask_about(_open_once(self), texts, self.form, self.spec, self.options.tasks))


@lru_cache(maxsize=1)
def _open_once(process: AnalystProcess) -> AnalystPool:
    return local_pool(open_with_evidence(process.spec, process.options))


def ask_about(
    pool: AnalystPool,
    texts: Sequence[TextQuestions],
    form: Form,
    model: str,
    tasks: Mapping[str, Task] = MappingProxyType({}),
) -> Iterator[StoredAnswer]:
    """The answers about some texts, as they come in; texts that are equal once they are cleaned are asked about once.

    A text that cannot be asked about has the status "skipped", a question whose call failed the status "failed".
    """
    examples: dict[str, Example] = {}
    waiting: dict[str, list[tuple[CleanPost, QuestionKey]]] = {}
    for text, keys in texts:
        post = clean_post(text)
        for key in keys:
            if post.problem is not None:
                yield StoredAnswer.of(unanswered(post, key, "skipped", post.problem, model))
                continue
            example = example_of_text(post.text, key, form)
            examples[example.id] = example
            waiting.setdefault(example.id, []).append((post, key))
    for event in pool.answer(batched(examples.values(), BATCH_SIZE)):
        if isinstance(event, Prediction):
            for post, key in waiting.pop(event.example_id):
                yield StoredAnswer.of(answer_of(post, key, event, model, tasks.get(key[0])))
    usual = next((reason for reason, _ in pool.unanswered.most_common(1)), "the server gave no answer")
    for example_id, questions in waiting.items():
        for post, key in questions:
            reason = pool.failed.get(example_id, usual)
            yield StoredAnswer.of(unanswered(post, key, "failed", reason, model))
