"""The table of analysts, and functions that open one from its spec.

To add an analyst, write a subclass of `base.Analyst` and add an entry to `ANALYSTS`. Optional libraries are
imported only when an analyst that needs them is opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from mentallama.analysts.base import (
    Analyst,
    AnalystSpec,
    InferenceOptions,
    LabelReader,
)
from mentallama.analysts.checkpoints.metadata import (
    LINEAR_MODEL_FILE,
    MAJORITY_MODEL_FILE,
    METADATA_FILE,
    model_query_form,
    read_model_metadata,
)
from mentallama.analysts.checkpoints.optional_deps import require_torch
from mentallama.errors import UsageError
from mentallama.program import command_line
from mentallama.progress import heartbeat
from mentallama.prompts.question_prompts import QuestionPrompt
from mentallama.run_files import TRAIN_FOLDER

_TORCH = ("torch", "transformers", "tokenizers", "peft")
_REQUIRED = ("torch", "transformers")
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


@dataclass(frozen=True)
class AnalystKind:
    """A kind of analyst: how it is opened, and where it runs.

    Parameters
    ----------
    load
        `(location, options)` opens one; the location is what follows the colon of the spec.
    libraries
        Optional libraries, by import name, whose versions can change a prediction and thus enter the cache key.
    required
        Those of them that it cannot run without.
    on_hub
        Whether its location may be an id on the Hugging Face hub instead of a folder.
    reads_question
        Whether the words of a question, and of its answers, can change its answer.
    remote
        Whether posts leave this machine.
    single_cpu
        Whether it uses one CPU only, so that a Ray cluster runs one per CPU rather than one per node.
    """

    load: Callable[[str, InferenceOptions], Analyst]
    libraries: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    on_hub: bool = False
    reads_question: bool = False
    remote: bool = False
    single_cpu: bool = False


def _load_linear(location: str, options: InferenceOptions) -> Analyst:
    from mentallama.analysts.linear.analyst import LinearAnalyst

    return LinearAnalyst.load(Path(location), options.tasks)


def _load_majority(location: str, options: InferenceOptions) -> Analyst:
    from mentallama.analysts.majority import MajorityAnalyst

    return MajorityAnalyst.load(Path(location), options.tasks)


def _load_encoder(location: str, options: InferenceOptions) -> Analyst:
    require_torch()
    from mentallama.analysts.encoder.analyst import EncoderAnalyst

    return EncoderAnalyst.load(location, options)


def _load_causal(location: str, options: InferenceOptions) -> Analyst:
    require_torch()
    from mentallama.analysts.language_model.causal import CausalAnalyst

    return CausalAnalyst.load(location, options)


def _load_seq2seq(location: str, options: InferenceOptions) -> Analyst:
    require_torch()
    from mentallama.analysts.language_model.seq2seq import Seq2seqAnalyst

    return Seq2seqAnalyst.load(location, options)


def _load_remote(location: str, options: InferenceOptions) -> Analyst:
    from mentallama.analysts.language_model.remote import RemoteAnalyst

    return RemoteAnalyst.load(location, options)


def _load_vllm(location: str, options: InferenceOptions) -> Analyst:
    from mentallama.analysts.language_model.vllm import VllmAnalyst

    return VllmAnalyst.load(location, options)


def _load_scripted(location: str, options: InferenceOptions) -> Analyst:
    from mentallama.analysts.scripted import ScriptedAnalyst

    return ScriptedAnalyst.load(Path(location), options.tasks)


ANALYSTS: dict[str, AnalystKind] = {
    "linear": AnalystKind(_load_linear, single_cpu=True),
    "encoder": AnalystKind(_load_encoder, _TORCH, _REQUIRED),
    "causal": AnalystKind(_load_causal, _TORCH, _REQUIRED, on_hub=True, reads_question=True),
    "seq2seq": AnalystKind(_load_seq2seq, _TORCH, _REQUIRED, on_hub=True, reads_question=True),
    "remote": AnalystKind(_load_remote, reads_question=True, remote=True),
    "vllm": AnalystKind(_load_vllm, ("vllm", *_TORCH), ("vllm",), on_hub=True, reads_question=True),
    "majority": AnalystKind(_load_majority, single_cpu=True),
    "scripted": AnalystKind(_load_scripted, single_cpu=True),
}
"""Kinds of analysts, by the prefix of their specs. `train.run.TRAINERS` lists their trainers."""


_MODEL_FILES = {"linear": LINEAR_MODEL_FILE, "majority": MAJORITY_MODEL_FILE}
"""Kind of analyst -> the file by which its models are recognised; the metadata of neural models names their kind."""


def analyst_kind(spec: str) -> AnalystKind:
    """The entry of a spec's kind.

    Raises
    ------
    UsageError
        There is no such kind.
    """
    kind = ANALYSTS.get(AnalystSpec.parse(spec).kind)
    if kind is None or ":" not in spec:
        kinds = ", ".join(f"{name}:…" for name in ANALYSTS)
        meant = model_spec(Path(spec)) if Path(spec).is_dir() else None
        advice = f"did you mean {meant}?" if meant else f"write one of {kinds}"
        raise UsageError(f"{spec!r} is not a model; {advice}")
    return kind


def analyst_libraries(kinds: Iterable[str]) -> tuple[str, ...]:
    """The optional libraries that analysts of some kinds depend on, without duplicates.

    Raises
    ------
    UsageError
        There is no such kind.
    """
    libraries = (library for kind in kinds for library in analyst_kind(f"{kind}:").libraries)
    return tuple(dict.fromkeys(libraries))


def required_libraries(kinds: Iterable[str]) -> tuple[str, ...]:
    """The optional libraries that analysts of some kinds cannot run without, without duplicates.

    Raises
    ------
    UsageError
        There is no such kind.
    """
    libraries = (library for kind in kinds for library in analyst_kind(f"{kind}:").required)
    return tuple(dict.fromkeys(libraries))


def spec_problem(spec: str) -> str | None:
    """A sentence if there is no such kind of model, or no folder at its location; else None.

    Nothing is opened, and neither the hub nor a remote model is asked.
    """
    try:
        kind = analyst_kind(spec)
    except UsageError as fault:
        return str(fault)
    return None if kind.remote else model_problem(AnalystSpec.parse(spec).location, kind.on_hub)


def prompt_problem(spec: str, prompt: QuestionPrompt) -> str | None:
    """A sentence if a model is asked by instructions that it does not read; else None."""
    if prompt == "question" or analyst_kind(spec).reads_question:
        return None
    return f"prompt: {prompt} is for language models, and {spec} is none"


def model_problem(location: str, on_hub: bool) -> str | None:
    """A sentence if there is no such folder and, with `on_hub`, the location cannot be an id on the hub; else None.

    An id such as `org/name` is taken for a missing folder if a folder `org` exists here.
    """
    is_id = _HUB_ID.fullmatch(location) and not ("/" in location and Path(location).parent.is_dir())
    if (location and Path(location).exists()) or (on_hub and is_id):
        return None
    return f"there is no model folder {location}" if location else "the folder of the model is missing"


def open_with_options(spec: str, options: InferenceOptions) -> Analyst:
    """Open an analyst with options that were validated; raises as `open_analyst` does."""
    kind, parsed = analyst_kind(spec), AnalystSpec.parse(spec)
    if problem := prompt_problem(spec, options.prompt):
        raise UsageError(problem)
    with heartbeat(f"load the {parsed.kind} model"):
        analyst = kind.load(parsed.location, options)
    analyst.spec, analyst.form, analyst.tasks = spec, model_query_form(spec), options.tasks
    return analyst


def model_spec(folder: Path) -> str | None:
    """The spec of the model in a folder, as its metadata says it; None if no model of this project is in it.

    Raises
    ------
    DataError
        The metadata is damaged.
    """
    metadata = read_model_metadata(folder)
    if metadata is not None:
        return f"{metadata.analyst}:{folder}"
    kinds = (kind for kind, name in _MODEL_FILES.items() if (folder / name).is_file())
    return next((f"{kind}:{folder}" for kind in kinds), None)


def trained_models(runs: Path) -> list[Path]:
    """Folders of the models that were trained in the runs of a folder, the newest first."""
    files = [
        path
        for name in (*_MODEL_FILES.values(), METADATA_FILE)
        for path in runs.glob(f"*/{TRAIN_FOLDER}/{name}")
    ]
    return [path.parent for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)]


def newest_model(runs: Path) -> str:
    """Spec of the most recently trained model among the runs in a folder.

    Raises
    ------
    UsageError
        There is none.
    """
    spec = next(filter(None, map(model_spec, trained_models(runs))), None)
    if spec is None:
        raise UsageError(
            f"there is no trained model in {runs}/; train one, for example with "
            f"`{command_line('run recipes/sample-linear.yaml')}` (`{command_line('init DIR')}` writes this recipe), or "
            "name one with --model linear:DIR"
        )
    return spec


def open_label_reader(folder: Path) -> LabelReader:
    """Open a label reader: a model trained with `analyst: encoder` and `reads: explanations`.

    Raises
    ------
    UsageError
        There is no such model in the folder, or torch is not installed.
    DataError
        A file of it is damaged, or the list of posts it has seen is missing.
    """
    require_torch()
    from mentallama.analysts.encoder.explanation_reader import ExplanationReader

    return ExplanationReader.load(folder)
