"""All that a check may look at: the data, and runs with the model of the paper that each is a run of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from mentallama.errors import UsageError
from mentallama.evaluate.published.paper_results import load_paper_results
from mentallama.metrics.bootstrap import Resampling
from mentallama.report.run_artifacts import RunArtifacts, read_run_artifacts
from mentallama.reproduce.claims import ClaimFinding, PaperClaim
from mentallama.reproduce.release_data import ReleaseData
from mentallama.tasks import Task
from mentallama.text.suggestions import did_you_mean

PAPER_BASES = {
    "mental-roberta-base": "MentalRoBERTa, fine-tuned",
    "llama-2-7b-chat-hf": "MentaLLaMA-chat-7B",
    "llama-2-13b-chat-hf": "MentaLLaMA-chat-13B",
}
"""Last part of a base's folder or id on the hub, in lower case -> the model of the paper that was trained from it."""


@dataclass(frozen=True)
class ScoredRun:
    """A run with scores; `model` is the paper's name of its model, None where it is not known to be one of them."""

    folder: Path
    model: str | None
    artifacts: RunArtifacts

    @property
    def seed(self) -> int | None:
        """The seed of its training; None where nothing was trained."""
        manifest = self.artifacts.manifests.get("train")
        return None if manifest is None else manifest.cache_key["settings"].get("seed")


@dataclass(frozen=True)
class ReproductionInputs:
    """The data, scored runs, whether the linear model is trained, and the settings of intervals."""

    data: ReleaseData
    runs: tuple[ScoredRun, ...] = ()
    train: bool = False
    resampling: Resampling = field(default_factory=Resampling)


ClaimCheck = Callable[[PaperClaim, ReproductionInputs], Iterable[ClaimFinding]]
"""Checks one claim; yields a finding for each of its numbers."""


def open_scored_run(argument: str, tasks: Mapping[str, Task]) -> ScoredRun:
    """Open `[MODEL=]DIR`, the folder of a run or of `mentallama evaluate --out`.

    Raises
    ------
    UsageError
        There is no such folder, it holds no scores, or the paper has no such model.
    DataError
        A file of it is damaged.
    """
    named, folder = _split_argument(argument)
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    artifacts = read_run_artifacts(folder, tasks)
    if artifacts.scores is None:
        raise UsageError(f"{folder}: there are no scores in this folder; evaluate the run first")
    return ScoredRun(folder, named or _model_of_base(artifacts), artifacts)


def paper_models() -> list[str]:
    """Names of the models in the paper's tables."""
    paper = load_paper_results()
    return list(dict.fromkeys(model.name for model in (*paper.test, *paper.held_out)))


def _split_argument(argument: str) -> tuple[str | None, Path]:
    name, separator, folder = argument.partition("=")
    if not separator or Path(argument).is_dir():
        return None, Path(argument)
    if name not in paper_models():
        quoted = [f'"{model}"' for model in paper_models()]  # some names have a comma
        raise UsageError(f"{name!r} is no model of the paper's tables; {did_you_mean(name, quoted)}")
    return name, Path(folder)


def _model_of_base(artifacts: RunArtifacts) -> str | None:
    manifest = artifacts.manifests.get("train")
    settings = {} if manifest is None else manifest.cache_key["settings"].get("train") or {}
    return PAPER_BASES.get(PurePath(settings.get("base") or "").name.casefold())
