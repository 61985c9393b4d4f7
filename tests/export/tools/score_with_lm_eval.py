"""Score fixed answers with lm-evaluation-harness: FOLDER ANSWERS -> JSON, set -> metric -> value.

ANSWERS is a JSON file: id of a question -> answer and the reason why the model stopped.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from lm_eval.tasks import TaskManager


@register_model("fixed-answers")
class FixedAnswers(LM):
    """Answers by the id of the question; refuses prompts that are not the exported query."""

    def __init__(self, answers: dict[str, tuple[str, str]]) -> None:
        super().__init__()
        self.answers = answers

    def generate_until(self, requests: list, disable_tqdm: bool = False) -> list:
        for request in requests:
            prompt, settings = request.args
            assert prompt == request.doc["prompt"], "the prompt is the query"
            assert not settings["do_sample"]
        return [self.answers[request.doc["id"]][0] for request in requests]

    def loglikelihood(self, requests: list, disable_tqdm: bool = False) -> list:
        raise AssertionError("the tasks generate")

    loglikelihood_rolling = loglikelihood


folder, answers = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
done = simple_evaluate(
    model=FixedAnswers(answers),
    tasks=["mentallama"],
    task_manager=TaskManager(include_path=str(folder), include_defaults=False),
    bootstrap_iters=0,
    log_samples=False,
)
scores = {
    name.removeprefix("mentallama_"): {
        key.partition(",")[0]: value
        for key, value in metrics.items()
        if key.endswith(",none") and "stderr" not in key
    }
    for name, metrics in done["results"].items()
    if name != "mentallama"
}
print(json.dumps(scores))
