"""Score answers against labels in memory, and a folder of any model's outputs against the benchmark, from Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path

from mentallama.analysts.answer import Answer, Answers, as_text, as_texts
from mentallama.answers.parse import read_answer
from mentallama.config import Evaluate
from mentallama.data_frames import is_missing, is_table
from mentallama.errors import UsageError
from mentallama.evaluate.kinds.given_answers import canonical_answer, given_form
from mentallama.evaluate.published.benchmark import BUILTIN_RESPONSES
from mentallama.evaluate.run import evaluate_responses, score_sets
from mentallama.evaluate.score_file import ScoreFile
from mentallama.evaluate.scores import NOTHING_TO_FIND, ScoredRow, nothing_to_find, score_row
from mentallama.metrics.bootstrap import Resampling
from mentallama.records import READING_STATUSES, Example, Form, Reading
from mentallama.tasks import QuestionKey, Task, find_task, load_tasks, select_questions
from mentallama.text.clean_post import clean_post

GivenAnswer = str | Sequence[str] | Mapping[str, str] | Sequence[tuple[str, str]]
"""A label as the task spells it; of several labels a list, of a scale a dictionary from items to levels, of quotations
a list of pairs (type, quotation); or the text that stands for these."""

Labels = Iterable[GivenAnswer | None]
"""Right labels. None and NaN: a post without a label, which is not scored."""

AnswerLike = Answer | Reading | GivenAnswer | None
"""An answer of `analyze`, a reading of `read_answer`, or a label or text that a model wrote; None: it wrote nothing."""

Tasks = str | PathLike[str] | Mapping[str, Task] | None
"""A folder of task files, or tasks as `load_tasks` returns them; None: those of the package."""


def evaluate(  # noqa: PLR0913 - one parameter per option
    answers: Iterable[AnswerLike],
    labels: Labels | Mapping[str, Labels],
    task: str | None = None,
    *,
    posts: Iterable[str] | None = None,
    tasks: Tasks = None,
    resamples: int = 1000,
    seed: int = 0,
) -> ScoreFile:
    """Score answers against labels: weighted F1 with its 95 % interval, accuracy, macro F1, and what had no label.

    Unparsed, refused and truncated answers are wrong, and counted; they are never a class of their own.

    Parameters
    ----------
    answers
        Answers of `Analyst.analyze`; or, with `task`, labels or texts that any model wrote, which are read by
        `read_answer`, or its readings. What several labels, a scale or quotations are given as: see `GivenAnswer`.
    labels
        The right label of each answer, in the same order: a list or a Series. If several questions were asked, also
        a dictionary from their names (`"dreaddit"`, `"MultiWD:social"`) to one label per post.
    task
        The task of answers that do not say it, such as "dreaddit", or one question of a task with several, such as
        "MultiWD:social".
    posts
        The post of each answer: only for answers that quote it, and are not those of `Analyst.analyze`, which hold it.
    tasks
        A folder with task files of your own, or tasks as `load_tasks` returns them; None: those of the package.
    resamples
        Number of bootstrap resamples of the interval. Posts are resampled, so answers about one post stay together.
    seed
        Seed of the resampling, from 0.

    Returns
    -------
    ScoreFile
        `scores["dreaddit"]` has `weighted_f1`, `accuracy` and other `metrics` in percent, `weighted_f1_interval`,
        the counts `n`, `parsed`, `unparsed`, `refused` and `truncated`, and `per_class`, `confusion` and
        `calibration`. `to_frame()` has a row per task.

    Raises
    ------
    UsageError
        The numbers of answers and labels differ, a label is not one of the task's, answers are "failed" or "skipped",
        or none has a label; answers are a single text or a table, or quote posts that are not given; `resamples` is
        below 1 or `seed` below 0.

    Examples
    --------
    >>> import mentallama as ml
    >>> scores = ml.evaluate(["yes", "no", "I'm sorry, I can't help with that."], ["yes", "yes", "no"], "dreaddit")
    >>> scores["dreaddit"].accuracy, scores["dreaddit"].refused
    (33.3333, 1)
    """
    known = tasks if isinstance(tasks, Mapping) else load_tasks(tasks)
    resampling = _resampling(resamples, seed)
    asked = _with_texts(_examples(answers, task, known), posts, known)
    golds = _gold_labels(labels, [example for example, _ in asked], known)
    rows: dict[str, list[ScoredRow]] = {}
    unlabelled: Counter[str] = Counter()
    for (example, answer), gold in zip(asked, golds, strict=True):
        if gold is None:
            unlabelled[example.task] += 1
        else:
            row = _score(example.model_copy(update={"label": gold}), answer, known)
            rows.setdefault(example.task, []).append(row)
    if not rows:
        raise UsageError("there is nothing to score: no answer has a label")
    for name, of_set in rows.items():
        if nothing_to_find(of_set, find_task(name, known)):
            raise UsageError(f"there is nothing to score of {name}: {NOTHING_TO_FIND}")
    models = sorted({answer.model for _, answer in asked if isinstance(answer, Answer)})
    return ScoreFile(
        form="instruction",
        source={"kind": "answers", "model": ", ".join(models)},
        resampling=resampling,
        sets=score_sets(rows, known, resampling),
        missing=(),
        missing_reasons={},
        unlabelled=dict(unlabelled),
    )


def evaluate_folder(  # noqa: PLR0913 - one parameter per option
    responses: str | PathLike[str],
    benchmark: str | PathLike[str],
    out: str | PathLike[str],
    *,
    form: Form = "instruction",
    as_published: bool = False,
    explanation_metrics: Iterable[str] = (),
    tasks: Tasks = None,
    resamples: int = 1000,
    seed: int = 0,
) -> ScoreFile:
    """Score a folder of any model's outputs against the published benchmark, as `mentallama evaluate` does.

    Parameters
    ----------
    responses
        A folder with a file `SET.csv` per set, with the columns `goldens` and `generated_text`; or, as a check,
        "reference" for the references themselves or "empty" for an empty text in every row.
    benchmark
        The published release.
    out
        Folder for `scores.json`, the score of every row, `rows.jsonl.zst`, and of every explanation,
        `explanations.jsonl.zst`.
    form
        Form of the release.
    as_published
        Score with the published rule-based reader as well.
    explanation_metrics
        Metrics of explanations beside those that need no model, as `NAME:LOCATION`, such as "bart_score:DIR" or
        "label_consistency:DIR" with the folder of a trained label reader.
    tasks, resamples, seed
        As for `evaluate`.

    Returns
    -------
    ScoreFile
        The content of `scores.json`.

    Raises
    ------
    UsageError
        A folder does not exist or holds no such files, or `out` holds files of something else.
    DataError
        A file does not answer the benchmark's rows; the message names file and row.

    Examples
    --------
    >>> import mentallama as ml
    >>> scores = ml.evaluate_folder("my-outputs", "data/release", out="scores")  # doctest: +SKIP
    """
    return evaluate_responses(
        Path(benchmark),
        form,
        str(responses) if responses in BUILTIN_RESPONSES else Path(responses),
        Path(out),
        as_published=as_published,
        tasks=tasks if isinstance(tasks, Mapping) else load_tasks(tasks),
        settings=_settings(resamples, seed, explanation_metrics),
        seed=seed,
    )


def _settings(resamples: int, seed: int, explanation_metrics: Iterable[str]) -> Evaluate:
    """Settings of the stage; a number of resamples that a recipe refuses is allowed here."""
    resampling = _resampling(resamples, seed)
    settings = Evaluate(explanation_metrics=tuple(explanation_metrics))
    return settings.model_copy(update={"resamples": resampling.resamples})


def _resampling(resamples: int, seed: int) -> Resampling:
    if resamples < 1 or seed < 0:
        raise UsageError(f"resamples={resamples}, seed={seed}: there are resamples from 1, and seeds from 0")
    return Resampling(resamples=resamples, seed=seed)


def _examples(
    answers: Iterable[AnswerLike], task: str | None, tasks: Mapping[str, Task]
) -> list[tuple[Example, AnswerLike]]:
    """Each answer with the question that it is about, without its label."""
    if isinstance(answers, str) or is_table(
        answers
    ):  # which would be its characters, or the names of its columns
        raise UsageError(f"answers are a list of answers or texts, not a {type(answers).__name__}")
    named = None if task is None else _single_question(task, tasks)
    listed = list(answers)
    positions = answers.positions if isinstance(answers, Answers) else range(len(listed))
    return [
        (_example(answer, number, str(position), named), answer)
        for number, (answer, position) in enumerate(zip(listed, positions, strict=True))
    ]


def _single_question(name: str, tasks: Mapping[str, Task]) -> QuestionKey:
    keys = select_questions([name], None, tasks, "")
    if len(keys) > 1:
        raise UsageError(f"{keys[0][0]} asks several questions; name one, such as task={':'.join(keys[0])!r}")
    return keys[0]


def _example(answer: AnswerLike, number: int, post_id: str, named: QuestionKey | None) -> Example:
    own = (answer.task, answer.question) if isinstance(answer, Answer) else named
    if own is None:
        raise UsageError(f"answer {number} does not say what was asked; name it, such as task='dreaddit'")
    if named is not None and own != named:
        raise UsageError(f"answer {number} is about {own[0]} ({own[1]}), not about {named[0]} ({named[1]})")
    if isinstance(answer, Answer) and answer.status not in READING_STATUSES:
        advice = "ask again" if answer.status == "failed" else "leave it out together with its label"
        raise UsageError(f"answer {number} is {answer.status}, so that it cannot be scored: {advice}")
    return Example(id=str(number), post_id=post_id, task=own[0], question=own[1], form="instruction", text="")


def _with_texts(
    asked: Sequence[tuple[Example, AnswerLike]], posts: Iterable[str] | None, tasks: Mapping[str, Task]
) -> list[tuple[Example, AnswerLike]]:
    """The examples, with the cleaned texts of their posts where answers quote them."""
    texts: Sequence[str | None] = [None] * len(asked) if posts is None else as_texts(posts)
    if len(texts) != len(asked):
        raise UsageError(f"there are {len(asked)} answers and {len(texts)} posts")
    return [
        (
            _with_text(example, answer, text) if find_task(example.task, tasks).kind == "spans" else example,
            answer,
        )
        for (example, answer), text in zip(asked, texts, strict=True)
    ]


def _with_text(example: Example, answer: AnswerLike, text: str | None) -> Example:
    if text is None and isinstance(answer, Answer):
        text = answer.post
    if text is None:
        raise UsageError(
            f"answers of {example.task} quote their posts, so these are needed as well: posts=..."
        )
    return example.model_copy(update={"text": clean_post(text).text})


def _gold_labels(
    labels: Labels | Mapping[str, Labels], examples: Sequence[Example], tasks: Mapping[str, Task]
) -> list[str | None]:
    """The label of each example, checked."""
    listed = _by_question(labels, examples, tasks) if isinstance(labels, Mapping) else list(labels)
    if len(listed) != len(examples):
        raise UsageError(f"there are {len(examples)} answers and {len(listed)} labels")
    golds = [None if is_missing(label) else label for label in listed]
    return [
        None if gold is None else _gold_label(number, gold, find_task(example.task, tasks))
        for number, (gold, example) in enumerate(zip(golds, examples, strict=True))
    ]


def _gold_label(number: int, gold: GivenAnswer, task: Task) -> str:
    try:
        return canonical_answer(task, gold)
    except ValueError:
        known = f"there are {', '.join(task.labels)}" if not task.is_composite else given_form(task)
        # the label is not shown: it may be a post, from a wrong column
        raise UsageError(f"label {number} is not a label of {task.set}; {known}") from None


def _by_question(
    labels: Mapping[str, Labels], examples: Sequence[Example], tasks: Mapping[str, Task]
) -> list[GivenAnswer | None]:
    columns = {_single_question(name, tasks): list(column) for name, column in labels.items()}
    counts = Counter((example.task, example.question) for example in examples)
    for (task, question), column in columns.items():
        if len(column) != counts[task, question]:
            raise UsageError(
                f"{task} ({question}): there are {counts[task, question]} answers and {len(column)} labels"
            )
    for task, question in counts:
        if (task, question) not in columns:
            raise UsageError(f"there are no labels for {task} ({question})")
    remaining: dict[QuestionKey, Iterator[GivenAnswer | None]] = {
        key: iter(column) for key, column in columns.items()
    }
    return [next(remaining[example.task, example.question]) for example in examples]


def _score(example: Example, answer: AnswerLike, tasks: Mapping[str, Task]) -> ScoredRow:
    task = find_task(example.task, tasks)
    if isinstance(answer, Answer):
        reading = Reading.model_validate(answer.model_dump(include={"status", "label", "reason"}))
        return _scored_row(example, reading, answer.probabilities, task)
    reading = answer if isinstance(answer, Reading) else _reading(answer, int(example.id), task)
    return _scored_row(example, reading, {}, task)


def _reading(answer: GivenAnswer | None, number: int, task: Task) -> Reading:
    """A label or text that a model wrote, read."""
    try:
        return Reading(status="parsed", label=canonical_answer(task, answer))
    except ValueError:
        return read_answer(task, as_text(answer, number))


def _scored_row(
    example: Example, reading: Reading, probabilities: Mapping[str, float], task: Task
) -> ScoredRow:
    try:
        return score_row(example, reading, probabilities, task)
    except ValueError as fault:
        raise UsageError(f"answer {example.id}: {fault}") from None
