"""Functions that open an analyst with the evidence that it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

from pydantic import ValidationError

from mentallama.analysts.base import (
    Analyst,
    Device,
    Dtype,
    EvidenceLevel,
    EvidenceSource,
    InferenceMode,
    InferenceOptions,
    Scoring,
    SystemRole,
    Template,
)
from mentallama.analysts.registry import open_with_options
from mentallama.config import Predict
from mentallama.errors import UsageError
from mentallama.files.schema_faults import fault_sentences
from mentallama.progress import LogFn, log_to_stderr
from mentallama.prompts.few_shot import read_examples
from mentallama.prompts.question_prompts import DEFAULT_SHOTS, QuestionPrompt
from mentallama.tasks import Task, load_tasks


def open_analyst(  # noqa: PLR0913 - one parameter per option
    spec: str,
    *,
    tasks: str | PathLike[str] | Mapping[str, Task] | None = None,
    mode: InferenceMode = "answer-first",
    prompt: QuestionPrompt = "question",
    examples: str | PathLike[str] | Iterable[str | PathLike[str]] = (),
    shots: int = DEFAULT_SHOTS,
    seed: int | None = None,
    labels_only: bool = False,
    evidence: EvidenceLevel | None = None,
    template: Template = "auto",
    scoring: Scoring = "auto",
    letter_orders: int = 4,
    max_new_tokens: int = 256,
    max_batch_tokens: int = 8192,
    dtype: Dtype = "auto",
    device: Device = "auto",
    max_concurrency: int = 64,
    timeout: float = 120.0,
    max_attempts: int = 6,
    key_env_var: str = "MENTALLAMA_API_KEY",
    input_price: float | None = None,
    output_price: float | None = None,
    budget: float | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    system_role: SystemRole = "system",
    temperature: float = 0.0,
    extra_body: Mapping[str, Any] | None = None,
    log: LogFn = log_to_stderr,
) -> Analyst:
    """Open a model that answers questions about posts.

    All options have the names and defaults of `mentallama predict` and of `predict` in a recipe. A linear model uses
    `tasks` only, an encoder `dtype`, `device` and `max_batch_tokens` as well.

    Parameters
    ----------
    spec
        The model, as `KIND:LOCATION`: `linear:`, `encoder:`, `causal:` or `seq2seq:` with the folder of a trained
        model, `causal:`, `seq2seq:` or `vllm:` with an id on the Hugging Face hub, `remote:MODEL@URL` for a server
        with OpenAI's interface, `majority:` for the most frequent label, or `scripted:FILE` for fixed answers.
    tasks
        A folder with task files of your own, or tasks as `load_tasks` returns them; None: those of the package.
    mode
        "answer-first": a language model's label is the most likely of the question's answers, and the explanation is
        generated after it. "free": the model writes its answer, which is parsed; it may be unparsed, refused or
        truncated, and has no probabilities.
    prompt
        "question": the published query. "zero-shot": instructions with the answers to choose from, then the post.
        "few-shot": the same after `examples` of the question. For language models.
    examples
        Files or folders with expert-written examples for "few-shot", the preferred first: a table with the columns
        set, question, text, label, explanation, or the release's folder of expert files. A post that is itself an
        example is never shown with its answer.
    shots
        Examples in a prompt, balanced over labels.
    seed
        Seed of the choice of examples; None: 7.
    labels_only
        Language models generate no explanations, which is faster. No effect with mode "free".
    evidence
        Quotations of the post that the label rests on. "none": no evidence; "fast": what costs little beside the answer
        itself; "full": by the most faithful method there is for the model; None: "fast" where it costs nothing, which
        is for linear models, otherwise "none".
    template
        "auto": the model's chat template if it has one; "chat" or "plain" to choose.
    scoring
        Where the probabilities of a remote model come from: "echo" (vLLM), "grammar" (llama.cpp), "chat" (the first
        token of a reply), or "none"; "auto": the first of these that the server offers.
    letter_orders
        Orders in which scoring "chat" offers the answers as letters, each a request.
    max_new_tokens
        Longest answer, in tokens.
    max_batch_tokens
        Tokens in one batch, padding counted. Halved, with a message, if memory runs out.
    dtype, device
        Of neural models on this machine; "auto": bfloat16 on a GPU if there is one, otherwise float32 on the CPU.
    max_concurrency
        Concurrent calls to a remote model; fewer while the server pushes back.
    timeout
        Seconds before a call to a remote model times out.
    max_attempts
        Attempts per call to a remote model before it counts as failed.
    key_env_var
        Name of the environment variable that holds the key of a remote model; if it is not set, no key is sent.
    input_price, output_price
        Prices of a remote model per million tokens.
    budget
        Largest total cost of all calls of this analyst, in the currency of the prices; a call that does not fit raises
        a `MentallamaError`.
    requests_per_minute, tokens_per_minute
        Rate limits of a remote model's provider; None: slow down when the server asks for it.
    system_role
        Role of the instructions to a remote model, with prompt "zero-shot" or "few-shot".
    temperature
        Of a remote model, 0 to 2.
    extra_body
        Additional fields of the requests to a remote model; None as a value removes a default field.
    log
        Receives messages, such as that posts were truncated; default: standard error.

    Returns
    -------
    Analyst
        `analyst.analyze(posts, task=...)` answers questions about texts.

    Raises
    ------
    UsageError
        The kind is unknown, there is no model at that location, its library is not installed, or an option has a value
        that it does not take.
    DataError
        A file of the model or of the tasks is damaged.

    Examples
    --------
    >>> import mentallama as ml
    >>> analyst = ml.open_analyst("linear:runs/sample-linear/train")
    >>> analyst
    LinearAnalyst('linear:runs/sample-linear/train')
    """
    given = {name: value for name, value in locals().items() if name not in {"spec", "tasks", "log"}}
    paths = (examples,) if isinstance(examples, (str, PathLike)) else tuple(examples)
    settings = _validated({**given, "examples": paths, "extra_body": dict(extra_body or {})})
    known = tasks if isinstance(tasks, Mapping) else load_tasks(tasks)
    settings["examples"] = tuple(read_examples(settings["examples"], known))
    return open_with_evidence(spec, InferenceOptions(**settings, tasks=known, log=log))


def _validated(options: dict[str, Any]) -> dict[str, Any]:
    """The options as the settings of `predict` take them.

    Raises
    ------
    UsageError
        An option has a value that it does not take.
    """
    try:
        settings = Predict.model_validate(options)
    except ValidationError as invalid:
        raise UsageError("; ".join(fault_sentences(invalid, options, Predict, lambda _: None))) from None
    return {name: getattr(settings, name) for name in options}


def open_with_evidence(spec: str, options: InferenceOptions) -> Analyst:
    """Open an analyst with options that were validated; raises as `open_analyst` does."""
    analyst = open_with_options(spec, options)
    analyst.evidence = evidence_source(analyst, options.evidence)
    return analyst


def evidence_source(analyst: Analyst, level: EvidenceLevel | None) -> EvidenceSource | None:
    """The step that changes the evidence of an analyst's predictions; None if they are as they should be.

    Raises
    ------
    UsageError
        Evidence is asked for, and the analyst gives no probabilities. A remote model is asked for them with its first
        questions.
    """
    from mentallama.attribution.added_evidence import AddedEvidence, NoEvidence
    from mentallama.attribution.log_odds import no_probabilities

    if level == "none":
        return NoEvidence()
    if level is None or analyst.kind == "linear":  # whose predictions have the best evidence already
        return None
    if analyst.kind != "remote" and not analyst.gives_probabilities:
        raise no_probabilities(analyst)
    return AddedEvidence(analyst, level)
