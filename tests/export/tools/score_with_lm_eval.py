"""Score fixed answers with lm-evaluation-harness: FOLDER ANSWERS SET -> JSON, the scores and a prompt with examples.

`scores` is set -> metric -> value, `few_shot` the prompt of SET's first question after one example.

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
    """Answers by the id of the question, and the prompts that were asked."""

    def __init__(self, answers: dict[str, tuple[str, str]]) -> None:
        super().__init__()
        self.answers = answers
        self.prompts: dict[str, str] = {}

    def generate_until(self, requests: list, disable_tqdm: bool = False) -> list:
        for request in requests:
            self.prompts[request.doc["id"]], settings = request.args
            assert not settings["do_sample"]
        return [self.answers[request.doc["id"]][0] for request in requests]

    def loglikelihood(self, requests: list, disable_tqdm: bool = False) -> list:
        raise AssertionError("the tasks generate")

    loglikelihood_rolling = loglikelihood


def evaluate(model: FixedAnswers, task: str, **options: int) -> dict:
    manager = TaskManager(include_path=sys.argv[1], include_defaults=False)
    return simple_evaluate(
        model=model, tasks=[task], task_manager=manager, bootstrap_iters=0, log_samples=False, **options
    )


answers = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
model, few_shot_model = FixedAnswers(answers), FixedAnswers(answers)
done = evaluate(model, "mentallama")
rows = [
    json.loads(line)
    for path in Path(sys.argv[1]).glob("data/*/test.jsonl")
    for line in path.read_text(encoding="utf-8").splitlines()
]
assert model.prompts == {row["id"]: row["query"].rstrip() for row in rows}, "a prompt is the query"
evaluate(few_shot_model, f"mentallama_{sys.argv[3]}", num_fewshot=1, limit=1)
[few_shot] = few_shot_model.prompts.values()
scores = {
    name.removeprefix("mentallama_"): {
        key.partition(",")[0]: value
        for key, value in metrics.items()
        if key.endswith(",none") and "stderr" not in key
    }
    for name, metrics in done["results"].items()
    if name != "mentallama"
}
print(json.dumps({"scores": scores, "few_shot": few_shot}))
