"""The stages of the way, each as a function of the run's folder: what it reads, and its work.

`stages.py` runs them. Everything heavy is imported by the work that needs it.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mentallama import forgotten
from mentallama.config import STAGES, Recipe, Train
from mentallama.errors import WrongUse
from mentallama.prompts import PROMPTS_VERSION
from mentallama.records import Post
from mentallama.store import read_json, read_records
from mentallama.tasks import load_tasks

if TYPE_CHECKING:
    from mentallama.models.linear import LinearAnalyst

Say = Callable[[str], None]

LEDGER, BATCH = "ledger.sqlite", "batch"
"""In the run's folder."""


@dataclass(frozen=True)
class Stage:
    """`inputs` names the files a stage reads; `work(recipe, run folder, out)` does it and returns counts.

    `said(run folder)` is what the stage goes by of what people have written in the run, which the work itself adds to.
    """

    inputs: Callable[[Recipe, Path], dict[str, Path]]
    work: Callable[[Recipe, Path, Path], dict[str, Any]]
    said: Callable[[Path], dict[str, str]] | None = None


def rejects(recipe: Recipe, folder: Path, say: Say) -> str | None:
    """Say what was rejected; a sentence where it is more than allowed."""
    from mentallama.collect.raw import Reject

    summary = read_json(folder / "collect/summary.json")
    if not summary["rejected"]:
        return None
    assert recipe.collect is not None
    share, allowed = summary["rejected"] / summary["read"], recipe.collect.allowed_rejects
    first = next(read_records(folder / "collect/rejects.jsonl", Reject))
    told = (
        f"{recipe.data / first.file}, row {first.row}: {first.reason} "
        f"({summary['rejected']} of {summary['read']} rows rejected, {share:.2%}; all are listed in "
        f"{folder / 'collect/rejects.jsonl'})"
    )
    if share > allowed:
        return f"{told}; the recipe allows {allowed:.2%} (collect.allowed_rejects)"
    say(f"note: {told}")
    return None


def _collect_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    from mentallama.collect.sources import find_inputs

    assert recipe.collect is not None
    inputs = find_inputs(recipe.data, recipe.catalogue(), recipe.form, recipe.collect.tables)
    asked = {forgotten.NAME: folder / forgotten.NAME}
    return {each.name: each.path for each in inputs} | {
        n: path for n, path in asked.items() if path.is_file()
    }


def _collect(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.collect.run import run

    summary = run(recipe, out, forgotten.read_forgotten(folder))
    return {key: summary[key] for key in ("read", "rejected", "rejects", "posts")}


def _needs(*names: str) -> Callable[[Recipe, Path], dict[str, Path]]:
    """Files of earlier stages, by their place in the run's folder."""

    def inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
        found = {name: folder / name for name in names}
        missing = [name for name, path in found.items() if not path.is_file()]
        if missing:
            raise WrongUse(f"{folder / missing[0]}: there is no such file; the stage before it has not run")
        return found

    return inputs


_POSTS, _PREDICTIONS = "collect/posts.jsonl.zst", "predict/predictions.jsonl.zst"


NO_CAUSE: dict[str, Any] = {
    "teach": {
        "teacher": {
            "__all__": {"key", "input_price", "output_price", "requests_per_minute", "tokens_per_minute"}
        },
        **dict.fromkeys(
            ("in_flight", "timeout", "attempts", "budget", "allow_remote", "ledger", "batch"), True
        ),
        "examples": True,  # its content is an input
    },
}
"""Settings that change how a stage gets its results, not the results."""


def _teach_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    assert recipe.teach is not None
    found = _needs(_POSTS)(recipe, folder)
    for number, teacher in enumerate(recipe.teach.teacher):
        if teacher.spec.startswith("linear:"):
            found |= _files_of(teacher.spec, f"teacher {number}")
    examples = recipe.teach.examples
    if examples is not None:
        files = sorted(examples.iterdir()) if examples.is_dir() else [examples]
        found |= {f"examples/{file.name}": file for file in files if file.is_file()}
    return found


def ledger_of(recipe: Recipe, folder: Path) -> Path:
    """The file of a run's paid answers: outside the stage's folder, which is replaced whole."""
    return (recipe.teach.ledger if recipe.teach is not None else None) or folder / LEDGER


def _teach(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.teach.calls import Lesson
    from mentallama.teach.run import Way, run

    settings = recipe.teach
    assert settings is not None
    lesson = Lesson(folder / _POSTS, load_tasks(recipe.tasks), settings, recipe.form, recipe.seed)
    way = Way(folder / BATCH if settings.batch else None, recipe.ray)
    summary = run(
        lesson,
        out,
        ledger_of(recipe, folder),
        lambda spec: _analyst(spec, recipe, folder / _POSTS, out / "analyst"),
        os.environ,
        _tell,
        way,
    )
    return summary.model_dump(mode="json", include={"questions", "answers", "aside", "disagreements"})


def _analyst(spec: str, recipe: Recipe, posts: Path, out: Path) -> LinearAnalyst:
    """The analyst behind a teacher: a trained one, or for `embedded` one that is quickly fitted into `out`."""
    from mentallama.models.linear import LinearAnalyst
    from mentallama.train.linear import train_linear

    kind, _, where = spec.partition(":")
    if kind == "embedded":
        # explanations need the words' weights, not the last point of F1: one setting, nothing to choose from
        quick = Train(regularisation=(1.0,), evidence_weights=(0.0,), topics=(0,), shifts=(False,))
        train_linear(read_records(posts, Post), out, quick, recipe.jobs, recipe.catalogue())
        where = str(out)
    return LinearAnalyst.load(Path(where), load_tasks(recipe.tasks))


def _tell(line: str) -> None:
    """What must be known before a stage is done."""
    print(line, file=sys.stderr, flush=True)


def _teach_notes(folder: Path) -> Iterator[str]:
    """One line where questions were left without an answer."""
    aside = read_json(folder / "teach/summary.json")["aside"]
    reasons: Counter[str] = Counter()
    for counts in aside.values():
        reasons.update(counts)
    if reasons:
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(3))
        rest = ", ..." if len(reasons) > 3 else ""
        yield (
            f"note: teach: {reasons.total()} set aside ({told}{rest}); all are listed in "
            f"{folder / 'teach/set_aside.jsonl'}, mentallama teach --retry asks again"
        )


def _check_notes(folder: Path) -> Iterator[str]:
    """What was accepted, and what waits for people."""
    summary = read_json(folder / "check/summary.json")
    yield f"check: {summary['accepted']} of {summary['responses']} responses accepted; {folder / 'check/gates.md'}"
    if summary["undecided"]:
        yield (
            f"note: check: {summary['undecided']} answers give another label than the set; decide in "
            f"{folder / 'review/disagreements.csv'}, the same command reads it"
        )


NOTES: dict[str, Callable[[Path], Iterator[str]]] = {"teach": _teach_notes, "check": _check_notes}
"""What is said of a stage's results, also when they were up to date."""


def ask_again(recipe: Recipe, folder: Path, say: Say) -> None:
    """Take what was set aside out of the ledger; the stage is marked as not done first, should this be killed."""
    from mentallama.endpoint.batch import retry_aside
    from mentallama.endpoint.ledger import Ledger

    path = ledger_of(recipe, folder)
    (folder / "teach/manifest.json").unlink(missing_ok=True)
    if recipe.teach is not None and recipe.teach.batch:
        retry_aside(folder / BATCH)
    if path.is_file():
        with Ledger(path) as ledger:
            say(f"teach: {ledger.retry_aside()} set aside before will be asked again")


def _check_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    from mentallama.check.origin import DRIFT, LESSON, SUMMARY
    from mentallama.check.run import inputs_of
    from mentallama.release import find_expert

    files = inputs_of(recipe, folder)
    given = {path.relative_to(folder).as_posix(): path for path in (files.posts, files.responses)}
    told = [folder / name for name in (SUMMARY, DRIFT, *([] if recipe.teach is None else [LESSON]))]
    found = _needs(*given)(recipe, folder)
    more = [path for path in (*told, *([] if files.goldens is None else [files.goldens])) if path.is_file()]
    experts = [] if files.release is None else find_expert(files.release, recipe.catalogue())
    return (
        found
        | {path.relative_to(folder).as_posix(): path for path in more}
        | {f"expert/{each.path.name}": each.path for each in experts}
    )


def _check(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.check.run import run

    return run(recipe, folder, out)


def _check_said(folder: Path) -> dict[str, str]:
    from mentallama.check.people import said

    return said(folder)


def rejected_by_raters(folder: Path) -> str | None:
    """A sentence where the sequential test on the raters' sample says that the data is not to be used."""
    sample = read_json(folder / "check/gates.json")["sample"]
    if sample.get("result") != "reject":
        return None
    return (
        f"{folder / 'check'}: raters found {sample['poor']} of {sample['rated']} explanations of the sample poor, more "
        f"than can be accepted; all is written, do not use it ({folder / 'review/sample.csv'})"
    )


def _train(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.train.run import run

    assert recipe.train is not None
    return run(folder / _POSTS, out, recipe.train, recipe.jobs, recipe.catalogue()).model_dump(mode="json")


def _predict_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    return _needs(_POSTS)(recipe, folder) | _files_of(_model(recipe, folder), "model")


def _files_of(spec: str, shown: str) -> dict[str, Path]:
    """The files behind a spec as linear:DIR, by the names that a manifest shows."""
    _, _, where = spec.partition(":")
    path = Path(where)
    files = sorted(path.rglob("*")) if where and path.is_dir() else [path]
    return {f"{shown}/{file.name}": file for file in files if file.is_file() and file.name != "manifest.json"}


def _model(recipe: Recipe, folder: Path) -> str:
    assert recipe.predict is not None
    return recipe.predict.model or f"linear:{folder / 'train'}"


def _predict(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.models.analyst import open_analyst
    from mentallama.predict import run

    assert recipe.predict is not None
    analyst = open_analyst(_model(recipe, folder))
    return run(analyst, folder / _POSTS, out, recipe.predict.splits, recipe.form).model_dump(mode="json")


def _evaluate(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.evaluate.run import evaluate_predictions

    assert recipe.evaluate is not None
    scores = evaluate_predictions(
        folder / _POSTS,
        folder / _PREDICTIONS,
        out,
        recipe.form,
        recipe.catalogue(),
        seed=recipe.seed,
        resamples=recipe.evaluate.resamples,
    )
    return {"weighted_f1": scores.weighted_f1(), "missing": list(scores.missing)}


def _report_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """All that earlier stages wrote, but what holds a clock."""
    earlier = [folder / stage for stage in STAGES[: STAGES.index("report")]]
    files = (file for stage in earlier if stage.is_dir() for file in sorted(stage.iterdir()))
    return {
        file.relative_to(folder).as_posix(): file
        for file in files
        if file.is_file() and file.name != "manifest.json"
    }


def cause_settings(name: str, recipe: Recipe) -> dict[str, Any]:
    """The settings that a stage's results follow from."""
    if name == "report":
        return _shown(recipe)
    settings = dict(getattr(recipe, name).model_dump(mode="json", exclude=NO_CAUSE.get(name)))
    return settings | {"prompts": PROMPTS_VERSION} if name == "teach" else settings


def _shown(recipe: Recipe) -> dict[str, Any]:
    """The settings that the page shows: of the whole recipe, but where data stood and how many processes there were.

    The salt stays out: a page is handed on with its manifest.
    """
    return recipe.model_dump(
        mode="json", exclude={"data": True, "jobs": True, "collect": {"author_salt"}}, exclude_none=True
    )


def _report(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.report.run import run

    assert recipe.report is not None
    settings = recipe.model_dump(mode="json", exclude={"data", "report", "jobs"}, exclude_none=True)
    run(folder, out, recipe.report.title or recipe.name, settings, recipe.catalogue())
    return {}


WIRED: dict[str, Stage] = {
    "collect": Stage(_collect_inputs, _collect),
    "teach": Stage(_teach_inputs, _teach),
    "check": Stage(_check_inputs, _check, _check_said),
    "train": Stage(_needs(_POSTS), _train),
    "predict": Stage(_predict_inputs, _predict),
    "evaluate": Stage(_needs(_POSTS, _PREDICTIONS), _evaluate),
    "report": Stage(_report_inputs, _report),
}
"""The stages by name, in the order of the way."""
