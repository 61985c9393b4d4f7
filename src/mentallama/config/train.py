"""Settings of `train`: one model for each kind of analyst."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, NonNegativeInt, PositiveFloat, Tag, model_validator

from mentallama.config.base import PositiveInt, Settings, Share


class LinearSettings(Settings):
    """Settings of the linear analyst. Lists are alternatives; the best is chosen by cross-validation over training and
    validation posts, scored on posts that are labelled the way the validation posts are. Test posts are never used."""

    analyst: Literal["linear"] = "linear"
    C: tuple[PositiveFloat, ...] = Field(default=(0.5, 1.0, 2.0), min_length=1)
    """Inverse regularisation strengths to try."""
    class_weights: tuple[Literal["none", "balanced"], ...] = Field(default=("balanced",), min_length=1)
    """Class weightings to try. Cross-validated on training and validation posts, each at its best C, balanced won on
    every set that was tried."""
    evidence_weights: tuple[Share, ...] = Field(default=(0.0, 0.3), min_length=1)
    """Sample weights to try for the passages that annotators marked. Each passage is an extra training sample with its
    post's label and this weight; a post has weight 1. 0 leaves the passages out."""
    topics: tuple[NonNegativeInt, ...] = Field(default=(0, 50), min_length=1)
    """Numbers of latent topics to try (truncated SVD of a set's tf-idf matrix). Topics are fitted beside the n-grams
    and folded back into their weights, so that evidence stays exact. 0 turns them off."""
    symptom_features: tuple[bool, ...] = Field(default=(False,), min_length=1)
    """Whether mentions of symptoms, by status, are features beside the n-grams; alternatives to try. Each belongs to
    the words of its mention, so that evidence stays exact. An analyst that tried them takes about twice the time."""
    intercept_shifts: tuple[bool, ...] = Field(default=(False, True), min_length=1)
    """Whether calibration may shift each label's intercept besides fitting the temperature; alternatives to try. It
    helps where a label is more common among validation posts than among training posts (upstream labels against the
    release's). The second alternative is tried only if every question has 50 validation posts."""
    max_word_ngram: int = Field(default=2, ge=1, le=2)
    char_ngram_range: tuple[int, int] = (2, 5)
    min_df: int = Field(default=2, ge=1)
    """Smallest number of posts that contain a feature; a feature of a single post identifies that post."""

    @model_validator(mode="after")
    def _check_ngram_range(self) -> LinearSettings:
        shortest, longest = self.char_ngram_range
        if not 1 <= shortest <= longest <= 10:
            raise ValueError("char_ngram_range must be two ascending lengths from 1 to 10")
        return self


class MajoritySettings(Settings):
    """The majority analyst: always the most frequent label of the training posts, the floor for every other model."""

    analyst: Literal["majority"]


class FromScratchSettings(Settings):
    """A small Llama with random weights, and a tokenizer trained on the training texts; needs no download."""

    hidden_size: PositiveInt = 256
    num_hidden_layers: PositiveInt = 4
    num_attention_heads: PositiveInt = 4
    vocab_size: int = Field(default=4096, ge=300)
    """Tokens of the byte-level BPE tokenizer; 256 of them are the bytes."""

    @model_validator(mode="after")
    def _check_head_size(self) -> FromScratchSettings:
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError("hidden_size must be a multiple of 2 * num_attention_heads")
        return self


class LoraSettings(Settings):
    """Low-rank adapters (LoRA, Hu et al. 2021); with `load_in_4bit`, on a base quantised to 4 bits (QLoRA, Dettmers et
    al. 2023)."""

    rank: PositiveInt = 16
    alpha: PositiveFloat = 32
    dropout: float = Field(default=0.05, ge=0, lt=1)
    target_modules: tuple[str, ...] | Literal["all-linear"] = "all-linear"
    """Names of the layers to adapt, such as q_proj."""
    load_in_4bit: bool = False


class NeuralSettings(Settings):
    """Settings that all neural trainers share."""

    base: str | None = None
    """The model to start from: a folder, or an id on the Hugging Face hub (downloaded on first use)."""
    max_tokens: PositiveInt = 2048
    """Longest training row. A longer one is truncated in the post, never in the question or the answer; truncated posts
    are counted."""
    epochs: PositiveInt = 3
    max_steps: PositiveInt | None = None
    """Stop after this many optimiser steps; None: after the last epoch."""
    batch_size: PositiveInt = 256
    """Rows per optimiser step, over all devices."""
    max_batch_tokens: PositiveInt = 8192
    """Tokens, padding included, of one forward pass on one device; a step accumulates gradients over as many passes as
    it needs. Halved, with a warning, on out-of-memory."""
    learning_rate: PositiveFloat = 1e-5
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: Share = 0.03
    """Share of the steps over which the learning rate rises linearly."""
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: PositiveFloat = 1.0
    """Gradients are clipped to this norm."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Data type of forward and backward passes; auto: bfloat16 on a GPU, float32 elsewhere. Trainable weights are
    always kept in float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    """Evaluate and keep an exponential moving average of the weights, with this decay per step; 0.99 averages roughly
    the last hundred steps. Takes as much memory again as the trainable weights."""
    gradient_checkpointing: bool = False
    """Recompute activations instead of keeping them: less memory, about a third more time."""
    eval_steps: PositiveInt | None = None
    """Steps between evaluations on validation rows; None: once per epoch."""
    early_stopping_patience: PositiveInt | None = None
    """Stop after this many evaluations without improvement."""
    metric_for_best: Literal["loss", "weighted_f1"] = "loss"
    """Validation metric that selects the best checkpoint, which is the one that is kept."""
    checkpoint_minutes: PositiveFloat = 10.0
    """Time between checkpoints: the most work that a killed training loses."""
    tensorboard: bool = False
    """Write the metrics of metrics.jsonl also as event files, for `tensorboard --logdir runs`; needs the extra
    tensorboard."""


class EncoderSettings(NeuralSettings):
    """A fine-tuned encoder (BERT, RoBERTa, MentalBERT, MiniLM): one model for all sets, with a head per question. For a
    model of a single set, name only that set in `sets`."""

    analyst: Literal["encoder"]
    base: str
    reads: Literal["posts", "explanations"] = "posts"
    """The input from which the label is predicted. A model that reads explanations is a label reader for check and
    evaluate."""
    pooling: Literal["mean", "cls"] = "mean"
    class_weights: Literal["none", "balanced"] = "balanced"
    head_lr_multiplier: PositiveFloat = 10.0
    """Learning rate of the heads relative to that of the encoder."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout before the heads."""
    base_dropout: float | None = Field(default=None, ge=0, lt=1)
    """Dropout inside the base; None keeps the base's own. 0 takes about half the time on a CPU."""
    freeze_embeddings: bool = False
    """Do not train the base's token embeddings."""
    max_tokens: PositiveInt = 512
    epochs: PositiveInt = 5
    batch_size: PositiveInt = 32
    learning_rate: PositiveFloat = 1e-4
    schedule: Literal["cosine", "linear", "constant"] = "linear"
    warmup_ratio: Share = 0.1
    weight_decay: float = Field(default=0.01, ge=0)
    metric_for_best: Literal["loss", "weighted_f1"] = "weighted_f1"


class CausalSettings(NeuralSettings):
    """A decoder language model (such as Llama): all weights, or LoRA adapters."""

    analyst: Literal["causal"]
    from_scratch: FromScratchSettings | None = None
    """Start from random weights instead of a base."""
    objective: Literal["sft", "pretrain", "dpo"] = "sft"
    """sft: instruction rows, with the loss on the response only. pretrain: continued pre-training on a folder of domain
    text (Gururangan et al. 2020). dpo: pairs of a preferred and a rejected response (Rafailov et al. 2023)."""
    lora: LoraSettings | None = None
    """LoRA adapters to train; None trains all weights."""
    batching: Literal["bucketed", "packed"] = "bucketed"
    """bucketed: rows of similar length are padded to one length. packed: rows are concatenated into one sequence, with
    attention blocked between rows."""
    template: Literal["auto", "chat", "plain"] = "auto"
    """Prompt format; auto: the tokenizer's chat template if it has one, else the published query as it stands."""
    corpus: Path | None = None
    """Folder of .txt and .jsonl files (key text) to train on, for objective: pretrain."""
    general_corpus: Path | None = None
    """General-domain text. Its perplexity is measured before and during training, to show what is forgotten."""
    preference_pairs: Path | None = None
    """File of preference pairs, for objective: dpo; None: pairs derived from check's verdicts and ratings."""
    beta: PositiveFloat = 0.1
    """DPO's beta: strength of the penalty for moving away from the base model."""

    @model_validator(mode="after")
    def _check_combinations(self) -> CausalSettings:
        if (self.base is None) == (self.from_scratch is None):
            raise ValueError("give either base or from_scratch, and not both")
        if (self.objective == "pretrain") != (self.corpus is not None):
            raise ValueError("objective: pretrain and a corpus go together: give both or neither")
        if self.lora is not None and self.from_scratch is not None:
            raise ValueError("lora needs a base: a model from scratch has nothing to adapt")
        if self.from_scratch is not None and self.objective == "dpo":
            raise ValueError("objective: dpo needs a model that already answers; give one as the base")
        if self.objective != "sft" and self.metric_for_best != "loss":
            raise ValueError(
                f"metric_for_best: weighted_f1 needs labels; with objective: {self.objective} use metric_for_best: loss"
            )
        return self


class Seq2seqSettings(NeuralSettings):
    """An encoder-decoder language model (BART, T5), usually with `form: completion`."""

    analyst: Literal["seq2seq"]
    base: str
    max_tokens: PositiveInt = 1024
    """Longest text on either side. A longer query is truncated in the post, never in the question, and counted; a
    longer response is an error."""


def _analyst_kind(value: Any) -> str:
    """The analyst kind that settings are for; linear if they name none."""
    kind = value.get("analyst", "linear") if isinstance(value, dict) else getattr(value, "analyst", "linear")
    return kind if isinstance(kind, str) else ""


TRAIN_SETTINGS: dict[str, type[Settings]] = {
    "linear": LinearSettings,
    "majority": MajoritySettings,
    "encoder": EncoderSettings,
    "causal": CausalSettings,
    "seq2seq": Seq2seqSettings,
}
"""Settings by analyst kind, as recipes and specs name it."""

TRAIN_CACHE_EXCLUDES = frozenset(("checkpoint_minutes", "device", "max_batch_tokens", "tensorboard"))
"""Settings that change how training runs, not the model that it produces."""

Train = Annotated[
    Annotated[LinearSettings, Tag("linear")]
    | Annotated[MajoritySettings, Tag("majority")]
    | Annotated[EncoderSettings, Tag("encoder")]
    | Annotated[CausalSettings, Tag("causal")]
    | Annotated[Seq2seqSettings, Tag("seq2seq")],
    Discriminator(
        _analyst_kind,
        custom_error_type="unknown_analyst",
        custom_error_message="analyst should be linear, majority, encoder, causal or seq2seq",
    ),
]
