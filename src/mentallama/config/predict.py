"""Settings of the predict stage: which posts are answered, by which model, and how."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from mentallama.config.base import PathList, PositiveInt, Share
from mentallama.config.endpoint import RemoteOptions
from mentallama.prompts.question_prompts import DEFAULT_SHOTS, QuestionPrompt
from mentallama.records import Split


class Predict(RemoteOptions):
    """Which posts are answered, by which model, and how."""

    model: str | None = None
    """The analyst, such as linear:DIR; default: the model that `train` wrote in the same run."""
    splits: tuple[Split, ...] = Field(default=("test",), min_length=1)
    mode: Literal["answer-first", "free"] = "answer-first"
    """answer-first: a language model's label is the most likely of the question's written answers, and its explanation
    is generated after that answer. free: the model's own text is parsed, as in the paper; it may be unparsed, and has
    no probabilities."""
    prompt: QuestionPrompt = "question"
    """question: the published query, on which MentaLLaMA models are trained. zero-shot: instructions with the answers
    to choose from, then the post. few-shot: the same after expert-written examples of the question. For language
    models."""
    examples: PathList = ()
    """Expert-written examples for few-shot: a table (set, question, text, label, explanation), the release's folder of
    expert files, or a list of such paths, the preferred first."""
    shots: PositiveInt = DEFAULT_SHOTS
    """Examples in a few-shot prompt, drawn by seed, balanced over labels."""
    seed: int | None = Field(default=None, ge=0, lt=2**32)
    """Seed of the choice of examples and of rows; default: that of the recipe, without one 7."""
    max_rows_per_set: PositiveInt | None = None
    """Answer only a random sample of this many rows (posts x questions) of each set and split. The scores are then said
    to be on a sample."""
    labels_only: bool = False
    """Language models generate no explanations. No effect with mode: free, whose label is in the generated text."""
    evidence: Literal["none", "fast", "full"] | None = None
    """Quotations of the post that an answer rests on, with their contributions to the log-odds of its label. none: no
    evidence. fast: by a method that costs little beside the answer itself. full: by the most faithful method there is
    for the model, see docs/predict.md. Default: fast where it costs nothing, which is for linear models, otherwise
    none. Needs probabilities, so mode: answer-first."""
    template: Literal["auto", "chat", "plain"] = "auto"
    """auto: the model's chat template if it has one, otherwise the published query as plain text."""
    scoring: Literal["auto", "echo", "grammar", "chat", "none"] = "auto"
    """Where the probabilities of a remote model come from, in mode answer-first. echo: log-probabilities of the written
    answers, where /completions repeats a given text (vLLM). grammar: the same in a chat; a grammar makes the model
    write each answer, one request per label (llama.cpp). chat: log-probabilities of the first token of a reply, which
    are another question than the likelihood of whole answers, see docs/predict.md. none: no probabilities, as in mode
    free. auto: the first of these that the server offers, which is said once. Any other value requires it."""
    letter_orders: PositiveInt = 4
    """Orders in which scoring: chat offers the answers as letters, each a request, to cancel the model's preference for
    a position; as many as there are labels cancel it best. No effect where the first word tells the answers apart."""
    max_new_tokens: PositiveInt = 256
    """Longest answer in tokens, not counting the prompt."""
    max_batch_tokens: PositiveInt = 8192
    """Tokens in one batch, padding counted. Halved, with a warning, on out-of-memory."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the computation; auto: bfloat16 on a GPU, float32 elsewhere."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU if there is one."""
    max_concurrency: PositiveInt = 64
    """Concurrent calls to a remote model; fewer while the server pushes back."""
    timeout: PositiveFloat = 120.0
    """Seconds before a call to a remote model times out."""
    max_attempts: PositiveInt = 6
    """Attempts per call to a remote model before it counts as failed."""
    max_failed_share: Share = 0.0
    """Largest share of the calls to a remote model that may fail; above it the command ends with exit code 3, and asks
    again when it is repeated. A failed call leaves its question without a prediction, and the set without a score."""
    budget: NonNegativeFloat | None = None
    """Largest total cost of these predictions by a remote model, in the currency of the prices, checked before each
    call; the same command with a larger budget resumes."""
    allow_remote: tuple[str, ...] = ()
    """Sets under a data agreement that may be sent to a remote model nevertheless."""

    @model_validator(mode="after")
    def _check_budget(self) -> Self:
        if self.budget is not None and self.input_price is None:
            raise ValueError("a budget needs input_price and output_price")
        return self

    @model_validator(mode="after")
    def _check_examples(self) -> Self:
        if self.prompt == "few-shot" and not self.examples:
            raise ValueError(
                "few-shot prompts need examples: a table or the release's folder of expert files"
            )
        if self.prompt != "few-shot" and self.examples:
            raise ValueError("only few-shot prompts have examples; add prompt: few-shot")
        return self
