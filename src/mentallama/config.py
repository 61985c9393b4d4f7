"""Recipes: one YAML file an experiment, checked whole before work starts."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)

from mentallama.errors import WrongUse
from mentallama.records import SPLITS, Form, Split
from mentallama.tasks import Columns, Source, Task, load_tasks

STAGES = ("collect", "teach", "check", "train", "predict", "evaluate", "report")
"""In the order of the way through."""


class Settings(BaseModel):
    """Base of everything in a recipe: frozen, unknown keys are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Collect(Settings):
    """How posts are gathered, cleaned, split and guarded."""

    leak_guard: Literal["question", "run"] = "run"
    """run: a training post goes if it stands in any test set of the run; needed for every model that learns several
    sets at once and for any held-out claim. question: only if it stands in test rows of its own set."""
    held_out: tuple[str, ...] = ()
    """Sets whose training and validation posts are left out, to be tested on only."""
    validation_share: float = Field(default=0.1, ge=0, lt=0.5)
    test_share: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of posts drawn for a split that a set's files do not give."""
    allowed_rejects: float = Field(default=0.01, ge=0, le=1)
    """Share of rows that may be rejected before the command ends with exit code 3."""
    tables: dict[str, tuple[Source, ...]] = {}
    """Declared tables by set: files below sources/<set>/ with their field maps."""
    author_salt: str = "mentallama"
    """Goes into the hash of every author name."""

    @model_validator(mode="after")
    def _held_out_needs_the_run_level(self) -> Collect:
        if self.held_out and self.leak_guard != "run":
            raise ValueError(
                "held_out needs leak_guard: run, for a post may stand in another set's training rows"
            )
        return self


Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Price = Annotated[float, Field(ge=0)]

TEACHERS = ("embedded", "linear", "remote")


def _listed(value: Any) -> Any:
    """One teacher or several, each by its spec or with its terms."""
    teachers = value if isinstance(value, (list, tuple)) else [value]
    if not teachers:
        raise ValueError("name a teacher, as embedded")
    return [{"spec": each} if isinstance(each, str) else each for each in teachers]


class Teacher(Settings):
    """Who explains, and on what terms. Written as a spec alone where the terms are the usual ones."""

    spec: str
    """embedded, linear:DIR, or remote:MODEL@URL with the URL of an OpenAI-compatible API, as
    remote:my-model@http://127.0.0.1:8000/v1."""
    key: str = "MENTALLAMA_API_KEY"
    """The environment variable that holds the key; a server that needs none is sent none."""
    input_price: Price | None = None
    output_price: Price | None = None
    """Money per million tokens, in the currency of the budget. Needed for a budget."""
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    """The provider's limits; None: only what the server's answers say."""
    schema_mode: Literal["json_schema", "json_object", "none"] = "json_schema"
    """How a structured answer is asked for beside the prompt's words."""
    max_tokens: PositiveInt = 512
    temperature: float = Field(default=0.0, ge=0, le=2)
    options: dict[str, Any] = {}
    """Further keys of the request's body, as a provider wants them; null takes out one that is there by default, as
    max_tokens where a model wants max_completion_tokens instead."""

    @property
    def remote(self) -> bool:
        return self.spec.startswith("remote:")

    @property
    def model_and_url(self) -> tuple[str, str]:
        """Of `remote:MODEL@URL`, in which the model's name may hold an @ too; two empty texts where the spec is none.

        >>> Teacher(spec="remote:@cf/meta/llama@https://api.example.org/v1").model_and_url
        ('@cf/meta/llama', 'https://api.example.org/v1')
        """
        found = re.fullmatch(r"remote:(?P<model>.+)@(?P<url>https?://.*)", self.spec, re.DOTALL)
        if found is None or "://" in found["model"]:
            return "", ""
        return found["model"], found["url"]

    @model_validator(mode="after")
    def _spec_is_known(self) -> Teacher:
        kind, _, rest = self.spec.partition(":")
        model, url = self.model_and_url
        if _holds_secret(url):  # a spec is shown in manifests and reports
            raise ValueError(f"the URL of {model} holds a user, password or key; put it into the environment")
        if kind == "remote" and not model:  # what stands there may hold a password, and is not shown
            raise ValueError("write it as remote:MODEL@URL, the URL with http:// or https://")
        if (kind == "linear" and not rest) or (kind == "embedded" and rest) or kind not in TEACHERS:
            shown = kind if "@" in self.spec else self.spec
            raise ValueError(f"{shown!r} is no teacher; there are embedded, linear:DIR and remote:MODEL@URL")
        if (self.input_price is None) != (self.output_price is None):
            raise ValueError("input_price and output_price go together")
        taken = sorted(set(self.options) & {"model", "messages", "response_format", "stream", "n"})
        if taken:
            raise ValueError(f"options: {taken[0]} is set by the stage itself")
        secret = [name for name in self.options if _SECRET.search(name)]
        if secret:  # options are shown in manifests and reports
            raise ValueError(f"options: {secret[0]} looks like a secret; a key belongs into the environment")
        return self


_SECRET = re.compile(r"key|secret|password|credential|auth|token$", re.IGNORECASE)
"""Names of options that no body of a request has, but a careless recipe may."""


def _holds_secret(url: str) -> bool:
    """Whether a URL says more than where something is; Azure's api-version in the query is no secret."""
    try:
        parts = urlsplit(url)
    except ValueError:  # no URL at all; that is told elsewhere
        return False
    asked = parse_qsl(parts.query, keep_blank_values=True)
    return "@" in parts.netloc or bool(parts.fragment) or any(name != "api-version" for name, _ in asked)


class Teach(Settings):
    """How the teacher is asked, and how far it may go."""

    teacher: Annotated[tuple[Teacher, ...], BeforeValidator(_listed)] = (Teacher(spec="embedded"),)
    """One teacher or several; all are asked every question, and where they differ is kept."""
    prompt: Literal["zero-shot", "few-shot", "label-given"] = "label-given"
    structured: bool = False
    """Ask for a JSON object: label, explanation, evidence quotes."""
    examples: Path | None = None
    """A table of expert-written examples for few-shot: set, question, text, label, explanation."""
    shots: PositiveInt = 4
    """Examples in a few-shot prompt, drawn by seed, balanced over labels."""
    splits: tuple[Split, ...] = Field(default=SPLITS, min_length=1)
    """Whose posts are asked about."""
    in_flight: PositiveInt = 64
    """The most calls at a time; fewer where the server pushes back."""
    timeout: Positive = 120.0
    """Seconds that one call may take."""
    attempts: PositiveInt = 6
    """Calls for one row before it is set aside."""
    budget: Price | None = None
    """The most that all calls in the ledger may cost; checked before each call is sent."""
    allow_remote: tuple[str, ...] = ()
    """Sets with an agreement that may be sent to a remote teacher all the same."""
    ledger: Path | None = None
    """The file of paid answers; None: ledger.sqlite in the run's folder."""
    batch: bool = False
    """Write the provider's batch files and read its result files, instead of calling."""

    @model_validator(mode="after")
    def _goes_together(self) -> Teach:
        if (self.prompt == "few-shot") != (self.examples is not None):
            raise ValueError("few-shot prompts and an examples file go together")
        specs = [teacher.spec.rstrip("/") for teacher in self.teacher]
        if len(set(specs)) < len(specs):
            raise ValueError("the same teacher is named twice")
        unpriced = [each.spec for each in self.teacher if each.remote and each.input_price is None]
        if self.budget is not None and unpriced:
            raise ValueError(f"a budget needs input_price and output_price of {unpriced[0]}")
        if self.prompt == "few-shot" and not all(each.remote for each in self.teacher):
            raise ValueError("few-shot needs a remote teacher; the embedded one reads no examples")
        return self


GATES = (
    "correctness",
    "consistency",
    "invented",
    "language",
    "words",
    "leakage",
    "diagnosis",
    "advice",
    "personal",
    "boilerplate",
    "chrf",
)
"""In the order in which they are told. Before them all stands `read`: whether an answer can be read at all."""


class Check(Settings):
    """What fits to train on: each gate with its threshold. A gate that is null only does not exist for the run; one
    in `report_only` says what it found and drops nothing."""

    correctness: bool = True
    """The teacher's label is the set's label; disagreements go to the review file."""
    consistency: Share | None = 0.4
    """Least probability of the answer's label, read back from the explanation alone. On the release's validation files
    0.4 drops at most 3.3 % of the rows, and of explanations set beside another label it lets at most 4.7 % pass."""
    invented: Share | None = 0.0
    """Largest share of an explanation's quotations that may stand nowhere in the post."""
    language: bool = True
    words: tuple[PositiveInt, PositiveInt] | None = (5, 400)
    """Fewest and most words of an explanation."""
    leakage: PositiveInt | None = 8
    """Words in a row, taken from the prompt's instructions, that make a leak."""
    diagnosis: bool = True
    advice: bool = True
    personal: bool = True
    boilerplate: Positive | None = 90.0
    """Likeness (0-100) from which two explanations of different posts are one text."""
    chrf: float | None = Field(default=None, ge=0, le=100)
    """Least chrF against a reference, where there is one; null: only reported."""
    report_only: tuple[str, ...] = ()
    """Gates that drop nothing."""
    sample: PositiveInt = 100
    """Rows drawn for raters, over sets and labels."""
    acceptable: Share = 0.05
    unacceptable: Share = 0.15
    """Shares of poor rows at which the data should be accepted and rejected (sequential test, Wald 1945)."""

    @model_validator(mode="after")
    def _bounds_ascend(self) -> Check:
        if self.words is not None and self.words[0] > self.words[1]:
            raise ValueError("words must be two ascending numbers")
        if self.acceptable >= self.unacceptable:
            raise ValueError("acceptable must be a smaller share than unacceptable")
        unknown = [name for name in self.report_only if name not in GATES]
        if unknown:
            raise ValueError(f"report_only: no gate is called {unknown[0]!r}; {_hint(unknown[0], list(GATES))}")
        return self

    def off(self) -> list[str]:
        """Gates that this run does without; chrF without a bound is not among them, it is reported."""
        settings = {name: getattr(self, name) for name in GATES if name != "chrf"}
        return [name for name, value in settings.items() if value is None or value is False]


class Train(Settings):
    """How the linear analyst is fitted. Every choice is made by cross-validation over training and validation posts,
    scored on posts labelled as the validation posts are; test posts are never looked at."""

    analyst: Literal["linear"] = "linear"
    regularisation: tuple[Positive, ...] = Field(default=(0.5, 1.0, 2.0), min_length=1)
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
    def _lengths_ascend(self) -> Train:
        shortest, longest = self.character_ngrams
        if not 1 <= shortest <= longest <= 10:
            raise ValueError("character_ngrams must be two ascending lengths from 1 to 10")
        return self


class Predict(Settings):
    """Which posts are answered, and by whom."""

    model: str | None = None
    """An analyst's spec, as linear:DIR; None is the one that `train` made."""
    splits: tuple[Split, ...] = Field(default=("test",), min_length=1)


class Evaluate(Settings):
    """How predictions are scored."""

    resamples: int = Field(default=1000, ge=100)
    """Bootstrap resamples behind every 95 % interval."""


class Report(Settings):
    """The page."""

    title: str | None = None


class Recipe(Settings):
    """One experiment. A stage whose key is absent is not run."""

    name: str = Field(pattern=r"^[\w.-]+$")
    data: Path
    sets: tuple[str, ...] = ()
    """Empty: all sets of the catalogue."""
    form: Form = "instruction"
    seed: int = 7
    jobs: int = Field(default=2, ge=1)
    tasks: Path | None = None
    """A folder of further task files."""
    ray: str | None = None
    """The address of a Ray cluster that teach sends its calls from, as auto or ray://HOST:10001; None: this machine."""
    collect: Collect | None = None
    teach: Teach | None = None
    check: Check | None = None
    train: Train | None = None
    predict: Predict | None = None
    evaluate: Evaluate | None = None
    report: Report | None = None

    def catalogue(self) -> dict[str, Task]:
        """The tasks of this run, by set."""
        known = load_tasks(self.tasks)
        return {name: known[name] for name in (self.sets or known)}

    def stages(self) -> list[str]:
        return [stage for stage in STAGES if getattr(self, stage) is not None]


def read_recipe(path: Path, changes: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe and lay `--set a.b=c` changes over it.

    A relative `data` is below the working directory, as a shell would have it.

    Raises
    ------
    WrongUse
        The file is missing or no recipe; all faults are listed at once.
    """
    if not path.is_file():
        raise WrongUse(f"{path}: there is no such recipe")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as fault:  # an impossible date is a ValueError
        where = getattr(fault, "problem_mark", None)
        raise WrongUse(f"{path}: not a YAML file{f', line {where.line + 1}' if where else ''}") from None
    if not isinstance(content, dict):
        raise WrongUse(f"{path}: not a recipe: it holds no keys")
    content = {key: {} if value is None and key in STAGES else value for key, value in content.items()}
    for change in changes:
        _lay(content, change)
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as found:
        raise _faults(path, [_sentence(error) for error in found.errors()] + _unknown_sets(content)) from None
    unknown = _unknown_sets(content) or _not_in_tasks(recipe)
    if unknown:
        raise _faults(path, unknown)
    return recipe


def _faults(path: Path, faults: list[str]) -> WrongUse:
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return WrongUse(f"{path}: {count} in the recipe\n" + "\n".join(f"  - {fault}" for fault in faults))


def _lay(content: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise WrongUse(f"--set {change}: write it as key=value, as collect.leak_guard=run")
    *parents, last = key.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise WrongUse(f"--set {change}: {parent} holds no keys")
    try:
        content[last] = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):
        raise WrongUse(f"--set {change}: what follows the = is not YAML") from None


def _sentence(error: Any) -> str:
    place = [str(part) for part in error["loc"]]
    if error["type"] != "extra_forbidden":
        return f"{'.'.join(place) or 'the recipe'}: {error['msg'].removeprefix('Value error, ')}"
    known = _keys_at(place[:-1])
    return f"{'.'.join(place)}: no such key; {_hint(place[-1], known)}"


def _hint(name: str, known: list[str]) -> str:
    by_lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f"did you mean {by_lower[near[0]]}?" if near else f"known are {', '.join(known)}"


def _keys_at(place: list[str]) -> list[str]:
    models: dict[str, type[BaseModel]] = {
        "collect": Collect,
        "teach": Teach,
        "check": Check,
        "train": Train,
        "predict": Predict,
        "evaluate": Evaluate,
        "report": Report,
    }
    if not place:
        return list(Recipe.model_fields)
    if place[0] == "collect" and len(place) >= 4:
        return list((Columns if "columns" in place else Source).model_fields)
    if place[:2] == ["teach", "teacher"] and len(place) >= 3:
        return list(Teacher.model_fields)
    return list(models[place[0]].model_fields) if place[0] in models else []


def _unknown_sets(content: dict[str, Any]) -> list[str]:
    """Faults in set names, wherever a recipe holds some."""
    folder = content.get("tasks")
    known = list(load_tasks(Path(folder) if isinstance(folder, str) else None))
    collect, teach = (
        content[stage] if isinstance(content.get(stage), dict) else {} for stage in ("collect", "teach")
    )
    places = {
        "sets": content.get("sets"),
        "collect.held_out": collect.get("held_out"),
        "collect.tables": collect.get("tables"),
        "teach.allow_remote": teach.get("allow_remote"),
    }
    faults = []
    for place, names in places.items():
        for name in names if isinstance(names, (list, tuple, dict)) else ():
            if name not in known:
                faults.append(f"{place}: no set is called {name!r}; {_hint(str(name), known)}")
    return faults


def _not_in_tasks(recipe: Recipe) -> list[str]:
    """Faults in what a recipe says of sets that are known: labels, questions, and sets that are not run."""
    if recipe.collect is None:
        return []
    known = load_tasks(recipe.tasks)
    faults = [
        f"collect.tables.{name}.{number}: {name} has no label or question called {unknown!r}"
        for name, sources in recipe.collect.tables.items()
        for number, source in enumerate(sources)
        for unknown in known[name].unknown_names(source)
    ]
    absent = [name for name in recipe.collect.held_out if recipe.sets and name not in recipe.sets]
    return faults + [f"collect.held_out: {name} is not among the sets of this recipe" for name in absent]
