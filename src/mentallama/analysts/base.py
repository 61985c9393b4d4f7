"""The base class of analysts, the protocol of label readers, the spec of an analyst, and the options of inference."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol

from mentallama.analysts.answer import Answer, Answers, answer_of, as_texts, example_of_text, unanswered
from mentallama.data_frames import series_index
from mentallama.errors import MentallamaError
from mentallama.parallel import batched
from mentallama.progress import LogFn, log_to_stderr, progress_bar
from mentallama.prompts.few_shot import FewShotRow
from mentallama.prompts.question_prompts import (
    DEFAULT_SEED,
    DEFAULT_SHOTS,
    QuestionPrompt,
    QuestionPrompts,
)
from mentallama.records import Example, Form, Prediction
from mentallama.tasks import QuestionKey, Task, load_tasks, select_questions
from mentallama.text.clean_post import CleanPost, clean_post

BATCH_SIZE = 256
"""Examples per call of the analyst: enough to fill any accelerator, few enough for memory."""

InferenceMode = Literal["answer-first", "free"]
Template = Literal["auto", "chat", "plain"]
Scoring = Literal["auto", "echo", "grammar", "chat", "none"]
Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "bfloat16"]
SystemRole = Literal["system", "developer", "user"]
EvidenceLevel = Literal["none", "fast", "full"]

EVIDENCE_BATCH = 16
"""Answers whose evidence is computed together: every one may take dozens of further questions."""


class EvidenceSource(Protocol):
    """Changes the evidence of predictions; `mentallama.attribution` has those that there are."""

    def check(self) -> None:
        """Raise `UsageError` if there can be no evidence; called before anything is asked."""

    def add(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[Prediction]:
        """Predictions with their evidence, from those of the same examples."""

    def variants(self, examples: Sequence[Example]) -> list[Example]:
        """Further questions that the evidence of some examples takes."""


class Analyst(ABC):
    """Answers questions about posts: `predict` for records, `analyze` for texts.

    A subclass defines `predict`. It may also define `supported_questions`, and have `counts`, a Counter of events to
    report to users, such as truncated posts.

    Attributes
    ----------
    spec
        The name that it was opened by, such as `linear:runs/sample-linear/train`.
    form
        Form of query that its model was trained on.
    tasks
        Tasks by set name.
    kind
        The kind of its specs, such as "linear".
    evidence
        Adds evidence to its predictions in `answer`; None: they stay as `predict` gives them.
    """

    spec: str = ""
    form: Form = "instruction"
    tasks: Mapping[str, Task] = MappingProxyType({})
    kind: ClassVar[str] = ""
    evidence: EvidenceSource | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.spec!r})"

    @property
    def supported_questions(self) -> Collection[QuestionKey] | None:
        """The questions that it answers, as (set, question); None: any."""
        return None

    def prepare(self, questions: Collection[QuestionKey]) -> None:  # noqa: B027 - most analysts need nothing
        """Called with the questions that will be asked, before any work.

        Raises
        ------
        UsageError
            One of them cannot be asked, whatever the post: its prompt does not fit, or has no examples.
        """

    @property
    def gives_probabilities(self) -> bool:
        """Whether predictions come with probabilities; a single one may lack them nevertheless."""
        return True

    def scoring_view(self) -> Analyst:
        """The same model for labels and probabilities only: it generates no explanations, and has counts of its own."""
        view = copy(self)
        if hasattr(self, "counts"):
            view.counts = Counter[str]()  # type: ignore[attr-defined]
        return view

    @abstractmethod
    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Answer a batch of examples: one prediction per example, in their order."""

    def analyze(self, posts: str | Iterable[str | None], task: str | Iterable[str] | None = None) -> Answers:
        """Answer questions about posts; equal posts are asked about once.

        Parameters
        ----------
        posts
            Texts: a list, a pandas or polars Series, any iterable; a single string is one post. They are cleaned as
            `collect` does before the model reads them. None and NaN are empty posts.
        task
            The questions to ask: those of a task (`"dreaddit"`), one of them (`"MultiWD:social"`), or several such
            names; None: all that the model supports.

        Returns
        -------
        Answers
            One answer per post and question, in order: `len(posts) * len(questions)`. An empty or overlong post has
            the status "skipped", and a question whose call to a server failed the status "failed".

        Raises
        ------
        UsageError
            There is no such task or question, the model does not answer it, or a post is not a text.
        DataError, MentallamaError
            The model is damaged, its memory does not suffice, or its server cannot be reached.

        Examples
        --------
        >>> import mentallama as ml
        >>> analyst = ml.open_analyst("linear:runs/sample-linear/train")
        >>> answers = analyst.analyze(["The rent is due and my boss keeps calling", ""], task="dreaddit")
        >>> [(answer.label, answer.status) for answer in answers]
        [('yes', 'parsed'), (None, 'skipped')]
        >>> answers.to_frame().columns[:4].tolist()
        ['post', 'task', 'question', 'label']
        """
        names = [task] if isinstance(task, str) else list(task or ())
        questions = select_questions(names, self.supported_questions, self.tasks, self.spec)
        self.prepare(questions)
        texts = as_texts(posts)
        cleaned = {text: clean_post(text) for text in dict.fromkeys(texts)}
        examples = {
            (post.original, key): example_of_text(post.text, key, self.form)
            for post in cleaned.values()
            if post.problem is None
            for key in questions
        }
        found = self._predict_all(examples.values())
        return Answers(
            (
                self._answer(cleaned[text], key, examples.get((text, key)), found)
                for text in texts
                for key in questions
            ),
            range(len(texts))
            if len(questions) == 1
            else [number for number in range(len(texts)) for _ in questions],
            series_index(posts),
        )

    def predict_stream(self, examples: Iterable[Example]) -> Iterator[Prediction]:
        """Answer a stream of examples, in any order; examples whose call to a server failed are left out."""
        for batch in batched(examples, BATCH_SIZE):
            yield from self.predict(batch)

    def answer(self, examples: Iterable[Example]) -> Iterator[Prediction]:
        """As `predict_stream`, with the evidence that was asked for when the analyst was opened."""
        if self.evidence is None:
            yield from self.predict_stream(examples)
            return
        self.evidence.check()
        waiting: dict[str, Example] = {}

        def remembered() -> Iterator[Example]:
            for example in examples:
                waiting[example.id] = example
                yield example

        for predictions in batched(self.predict_stream(remembered()), EVIDENCE_BATCH):
            asked = [waiting.pop(prediction.example_id) for prediction in predictions]
            yield from self.evidence.add(asked, predictions)

    def _predict_all(self, examples: Iterable[Example]) -> dict[str, Prediction]:
        """Predictions by example id, which texts that are equal after cleaning share."""
        unique = {example.id: example for example in examples}
        found: dict[str, Prediction] = {}
        with progress_bar("analyze", len(unique)) as advance:
            for prediction in self.answer(unique.values()):
                found[prediction.example_id] = prediction
                advance(1)
        return found

    def _answer(
        self, post: CleanPost, key: QuestionKey, example: Example | None, found: Mapping[str, Prediction]
    ) -> Answer:
        if example is None:
            return unanswered(post, key, "skipped", str(post.problem), self.spec)
        if example.id not in found:
            reason = getattr(self, "failed", {}).get(example.id, "the server gave no answer; ask again")
            return unanswered(post, key, "failed", reason, self.spec)
        return answer_of(post, key, found[example.id], self.spec, self.tasks.get(key[0]))


class NonFiniteOutputError(MentallamaError):
    """A model computed NaN or infinity, which is never a prediction."""

    def __init__(self, name: str = "the model") -> None:
        super().__init__(
            f"{name}: it computed NaN or infinite scores, which are no prediction; use dtype: float32, and if that "
            "does not help, its weights are damaged: copy the model again, or train again"
        )
        self.name = name

    def __reduce__(self) -> tuple[type[NonFiniteOutputError], tuple[str]]:
        return NonFiniteOutputError, (self.name,)


class LabelReader(Protocol):
    """Predicts labels from explanations alone, with their answers stripped (`answers.strip_label`).

    `seen` holds hashes (`checkpoints.metadata.seen_hash`) of the posts whose explanations it was trained on or
    selected by.
    """

    name: str
    seen: frozenset[str]

    def supports(self, task: Task, question: str) -> bool: ...

    def label_probabilities(
        self, task: Task, question: str, explanations: Sequence[str]
    ) -> list[dict[str, float]]: ...


@dataclass(frozen=True)
class AnalystSpec:
    """The name of an analyst in recipes and commands: `KIND:LOCATION`, such as `linear:runs/sample-linear/train`."""

    kind: str
    location: str

    @classmethod
    def parse(cls, spec: str) -> AnalystSpec:
        """Split at the first colon; without one, the location is empty. Whether the kind exists is not checked."""
        kind, _, location = spec.partition(":")
        return cls(kind, location)

    @property
    def folder(self) -> Path | None:
        """The model's folder, or None if the location is not a folder on this machine."""
        path = Path(self.location)
        return path if self.location and path.is_dir() else None


@dataclass(frozen=True)
class InferenceOptions:
    """The settings of `predict` that analysts read; `config.Predict` describes them.

    `log` receives messages while the work goes on, for example about a smaller batch or truncated posts. A linear
    model uses `tasks` only, an encoder the device, dtype and batch size as well. `examples` are those of the files that
    the setting names.
    """

    mode: InferenceMode = "answer-first"
    prompt: QuestionPrompt = "question"
    examples: Sequence[FewShotRow] = ()
    shots: int = DEFAULT_SHOTS
    seed: int | None = None
    labels_only: bool = False
    evidence: EvidenceLevel | None = None
    template: Template = "auto"
    scoring: Scoring = "auto"
    letter_orders: int = 4
    max_new_tokens: int = 256
    max_batch_tokens: int = 8192
    dtype: Dtype = "auto"
    device: Device = "auto"
    max_concurrency: int = 64
    timeout: float = 120.0
    max_attempts: int = 6
    key_env_var: str = "MENTALLAMA_API_KEY"
    input_price: float | None = None
    output_price: float | None = None
    budget: float | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    system_role: SystemRole = "system"
    temperature: float = 0.0
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=load_tasks)
    log: LogFn = log_to_stderr

    def question_prompts(self) -> QuestionPrompts:
        """How questions are put to a language model."""
        seed = DEFAULT_SEED if self.seed is None else self.seed
        return QuestionPrompts(self.prompt, self.examples, self.shots, seed)
