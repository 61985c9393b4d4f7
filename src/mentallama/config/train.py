"""How an analyst is trained: one set of settings a kind of analyst."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, NonNegativeInt, PositiveInt, Tag, model_validator

from mentallama.config.base import PositiveFloat, Settings, Share


class LinearSettings(Settings):
    """How the linear analyst is fitted. Every choice is made by cross-validation over training and validation posts,
    scored on posts labelled as the validation posts are; test posts are never looked at."""

    analyst: Literal["linear"] = "linear"
    regularisation: tuple[PositiveFloat, ...] = Field(default=(0.5, 1.0, 2.0), min_length=1)
    """Inverse regularisation strengths C to choose from."""
    class_weights: tuple[Literal["none", "balanced"], ...] = Field(default=("balanced",), min_length=1)
    """Weighting of labels to choose from. Cross-validated on training and validation posts, each at its
    best strength, balanced was ahead on every set that was tried."""
    evidence_weights: tuple[Share, ...] = Field(default=(0.0, 0.3), min_length=1)
    """Weights to choose from for the passages that annotators marked: each is learnt from as a short post of its own
    with its post's label, worth this much of a post. 0 leaves them out."""
    topics: tuple[NonNegativeInt, ...] = Field(default=(0, 50), min_length=1)
    """Numbers of latent topics to choose from (singular value decomposition of a set's tf-idf). They are fitted beside
    the n-grams and folded back into their weights, so that evidence stays exact. 0 is none."""
    shifts: tuple[bool, ...] = Field(default=(False, True), min_length=1)
    """Whether calibration may move each label's intercept beside the temperature, to choose from. It helps where a
    label is more common among validation posts than among training posts (upstream labels against the release's). The
    second value is tried only where every question has 50 validation posts."""
    word_ngrams: Literal[1, 2] = 2
    character_ngrams: tuple[int, int] = (2, 5)
    min_posts: int = Field(default=2, ge=1)
    """A feature must stand in so many posts: one that stands in a single post names the post."""

    @model_validator(mode="after")
    def _check_ngram_range(self) -> LinearSettings:
        shortest, longest = self.character_ngrams
        if not 1 <= shortest <= longest <= 10:
            raise ValueError("character_ngrams must be two ascending lengths from 1 to 10")
        return self


class FromScratchSettings(Settings):
    """A model of random weights, and a tokenizer of the training texts: from nothing, offline."""

    hidden: PositiveInt = 256
    layers: PositiveInt = 4
    heads: PositiveInt = 4
    vocabulary: int = Field(default=4096, ge=300)
    """Tokens of the byte-level BPE tokenizer; 256 of them are the bytes."""

    @model_validator(mode="after")
    def _check_head_size(self) -> FromScratchSettings:
        if self.hidden % (2 * self.heads):
            raise ValueError("hidden must be a multiple of twice the heads")
        return self


class LoraSettings(Settings):
    """Low-rank adapters (LoRA, Hu et al. 2021); with `quantised` the base is held in 4 bits (QLoRA, Dettmers et al.
    2023)."""

    rank: PositiveInt = 16
    alpha: PositiveFloat = 32
    dropout: float = Field(default=0.05, ge=0, lt=1)
    targets: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    """Names of the layers that are adapted, as q_proj."""
    quantised: bool = False


class NeuralSettings(Settings):
    """What the trainers of neural analysts share."""

    base: str | None = None
    """The model to start from: a folder, or an id on the Hugging Face hub, which is then asked for it."""
    max_tokens: PositiveInt = 2048
    """The longest row. What is longer is cut in the post, never in the question or the answer, and counted."""
    epochs: PositiveInt = 3
    steps: PositiveInt | None = None
    """End after so many optimiser steps; None: after the epochs."""
    batch_size: PositiveInt = 256
    """Rows an optimiser step, over all devices."""
    tokens_at_once: PositiveInt = 8192
    """Tokens, padding counted, that one device holds in a pass; a step takes as many passes as it needs. Where memory
    is short it is halved, and said."""
    learning_rate: PositiveFloat = 1e-5
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: Share = 0.03
    """Share of the steps in which the learning rate climbs."""
    weight_decay: float = Field(default=0.0, ge=0)
    clip: PositiveFloat = 1.0
    """Largest norm of a step's gradient."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What passes are computed in; auto: bfloat16 on a GPU, float32 elsewhere. Weights that learn are float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    average: float | None = Field(default=None, gt=0, lt=1)
    """Measure and keep a moving average of the weights in their place, with this decay a step; 0.99 averages some
    hundred steps. It takes the memory of the weights that learn once more."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of holding them: less memory, about a third more time."""
    evaluate_every: PositiveInt | None = None
    """Steps between two looks at the validation rows; None: once an epoch."""
    patience: PositiveInt | None = None
    """End after so many looks without a better one."""
    best_by: Literal["loss", "weighted_f1"] = "loss"
    """What makes a checkpoint the best on validation rows; the best one is kept."""
    checkpoint_minutes: PositiveFloat = 10.0
    """A killed training loses at most so much."""


class EncoderSettings(NeuralSettings):
    """A fine-tuned encoder (BERT, RoBERTa, MentalBERT, MiniLM): one for all sets, with a head for each question. For
    one of a single set, name that set in `sets`."""

    analyst: Literal["encoder"]
    base: str
    reads: Literal["posts", "explanations"] = "posts"
    """What the label is told from. A model that reads explanations is the label reader of check and evaluate."""
    pooling: Literal["mean", "cls"] = "mean"
    class_weights: Literal["none", "balanced"] = "balanced"
    head_rate: PositiveFloat = 10.0
    """Learning rate of the heads, in learning rates of the encoder."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Before the heads."""
    base_dropout: float | None = Field(default=None, ge=0, lt=1)
    """Inside the base; None: as its makers have it. 0 takes about half the time on a CPU."""
    freeze_embeddings: bool = False
    """Leave the base's word vectors as they are."""
    max_tokens: PositiveInt = 512
    epochs: PositiveInt = 5
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat = 1e-4
    schedule: Literal["cosine", "linear", "constant"] = "linear"
    warmup: Share = 0.1
    weight_decay: float = Field(default=0.01, ge=0)
    best_by: Literal["loss", "weighted_f1"] = "weighted_f1"


class CausalSettings(NeuralSettings):
    """A decoder language model (Llama and its kin), whole or with adapters."""

    analyst: Literal["causal"]
    new: FromScratchSettings | None = None
    """Start from nothing instead of a base."""
    learns: Literal["responses", "text", "preferences"] = "responses"
    """responses: instruction rows, loss on the response only. text: a folder of domain text (continued pre-training,
    Gururangan et al. 2020). preferences: pairs of a better and a worse response (DPO, Rafailov et al. 2023)."""
    adapter: LoraSettings | None = None
    """None trains all weights."""
    batching: Literal["bucketed", "packed"] = "bucketed"
    """bucketed: rows of like length side by side. packed: rows behind one another in one sequence, each blind to the
    others."""
    template: Literal["auto", "chat", "plain"] = "auto"
    """auto: the tokenizer's chat template where it has one, else the published query as it stands."""
    text: Path | None = None
    """A folder of .txt and .jsonl files (key text) to learn from, for learns: text."""
    general: Path | None = None
    """Text of no domain: its perplexity is measured before and after, so that what is forgotten is seen."""
    pairs: Path | None = None
    """A file of preference pairs, for learns: preferences; None: those that check's verdicts and ratings give."""
    beta: PositiveFloat = 0.1
    """How dear it is to leave the base model (DPO)."""

    @model_validator(mode="after")
    def _check_combinations(self) -> CausalSettings:
        if (self.base is None) == (self.new is None):
            raise ValueError("give a base or new, and not both")
        if (self.learns == "text") != (self.text is not None):
            raise ValueError("learns: text and a folder of text go together")
        if self.adapter is not None and self.new is not None:
            raise ValueError("adapters need a base: a new model has nothing to adapt")
        if self.new is not None and self.learns == "preferences":
            raise ValueError("preferences are learnt by a model that already answers; give it as the base")
        return self


class Seq2seqSettings(NeuralSettings):
    """An encoder-decoder (BART, T5) on the completion form."""

    analyst: Literal["seq2seq"]
    base: str
    max_tokens: PositiveInt = 1024
    """The longest text on either side. A longer query is cut in the post, never in the question, and counted; a longer
    response is an error."""


def _analyst_kind(value: Any) -> str:
    """Which analyst settings are for; linear where they do not say."""
    named = value.get("analyst", "linear") if isinstance(value, dict) else getattr(value, "analyst", "linear")
    return named if isinstance(named, str) else ""


TRAIN_SETTINGS: dict[str, type[Settings]] = {
    "linear": LinearSettings,
    "encoder": EncoderSettings,
    "causal": CausalSettings,
    "seq2seq": Seq2seqSettings,
}
"""What can be trained, by the name that a recipe and a spec have for it."""

Train = Annotated[
    Annotated[LinearSettings, Tag("linear")]
    | Annotated[EncoderSettings, Tag("encoder")]
    | Annotated[CausalSettings, Tag("causal")]
    | Annotated[Seq2seqSettings, Tag("seq2seq")],
    Discriminator(
        _analyst_kind,
        custom_error_type="unknown_analyst",
        custom_error_message="analyst: there are linear, encoder, causal and seq2seq",
    ),
]
