"""The one protocol of everything that answers, and the one door to it (DESIGN 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from mentallama.analysts.base import InferenceOptions
from mentallama.errors import UsageError
from mentallama.records import Example, Prediction
from mentallama.tasks import Task


class Analyst(Protocol):
    """Answers questions about posts, one prediction an example, in the order given."""

    def analyse(self, examples: Sequence[Example]) -> Iterator[Prediction]: ...


class LabelReader(Protocol):
    """Tells labels from explanations alone, their answers taken out (`answer_sentence.without_answer`).

    `seen` holds hashes (`model_file.seen_hash`) of the posts whose explanations it has learnt from, or was chosen by.
    """

    name: str
    seen: frozenset[str]

    def supports(self, task: Task, question: str) -> bool: ...

    def label_probabilities(
        self, task: Task, question: str, explanations: Sequence[str]
    ) -> list[dict[str, float]]: ...


def open_label_reader(folder: Path) -> LabelReader:
    """Open what `train.analyst: encoder` with `reads: explanations` has written.

    Raises
    ------
    WrongUse
        There is no such model at that place, or torch is not installed.
    BadData
        A file of it is damaged, or it does not say what it has seen.
    """
    from mentallama.analysts.checkpoints.optional_deps import require_torch

    require_torch()
    from mentallama.analysts.encoder.analyst import ExplanationReader

    return ExplanationReader.load(folder)


def _open_linear(where: str, asking: InferenceOptions) -> Analyst:
    from mentallama.analysts.linear.analyst import LinearAnalyst

    return LinearAnalyst.load(Path(where), asking.tasks)


def _open_scripted(where: str, asking: InferenceOptions) -> Analyst:
    from mentallama.analysts.scripted import ScriptedAnalyst

    return ScriptedAnalyst.load(Path(where))


def _open_encoder(where: str, asking: InferenceOptions) -> Analyst:
    from mentallama.analysts.checkpoints.optional_deps import require_torch

    require_torch()
    from mentallama.analysts.encoder.analyst import EncoderAnalyst

    return EncoderAnalyst.load(where, asking)


def _open_causal(where: str, asking: InferenceOptions) -> Analyst:
    from mentallama.analysts.checkpoints.optional_deps import require_torch

    require_torch()
    from mentallama.analysts.language_model.causal import CausalAnalyst

    return CausalAnalyst.load(where, asking)


def _open_seq2seq(where: str, asking: InferenceOptions) -> Analyst:
    from mentallama.analysts.checkpoints.optional_deps import require_torch

    require_torch()
    from mentallama.analysts.language_model.seq2seq import Seq2seqAnalyst

    return Seq2seqAnalyst.load(where, asking)


def _open_remote(where: str, asking: InferenceOptions) -> Analyst:
    from mentallama.analysts.language_model.remote import RemoteAnalyst

    return RemoteAnalyst.load(where, asking)


def _open_vllm(where: str, asking: InferenceOptions) -> Analyst:
    from mentallama.analysts.language_model.vllm import VllmAnalyst

    return VllmAnalyst.load(where, asking)


_LOADERS: dict[str, Callable[[str, InferenceOptions], Analyst]] = {
    "linear": _open_linear,
    "encoder": _open_encoder,
    "causal": _open_causal,
    "seq2seq": _open_seq2seq,
    "remote": _open_remote,
    "vllm": _open_vllm,
    "scripted": _open_scripted,
}


def open_analyst(spec: str, options: InferenceOptions | None = None) -> Analyst:
    """Open `KIND:WHERE`, as `linear:runs/sample-linear/train`, `causal:DIR_OR_ID` or `remote:MODEL@URL`.

    Parameters
    ----------
    asking
        How language models are asked; None: answer-first, with the tasks that are shipped.

    Raises
    ------
    WrongUse
        The kind is unknown, there is no model at that place, or its library is not installed.
    """
    kind, colon, where = spec.partition(":")
    if not colon or kind not in _LOADERS:
        kinds = ", ".join(f"{name}:…" for name in _LOADERS)
        raise UsageError(f"{spec!r} is no model; a model is written {kinds}")
    return _LOADERS[kind](where, options or InferenceOptions())
