"""Score fixed answers with Inspect: FOLDER ANSWERS -> JSON, set -> metric -> value.

ANSWERS is a JSON file: id of a question -> answer and the reason why the model stopped, in Inspect's terms.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from inspect_ai import eval as inspect_eval
from inspect_ai.model import ModelOutput, ModelUsage, get_model

folder, answers = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))


def answers_in_turn(rows: list[dict]) -> Callable:
    """A model that knows the answers by their queries."""
    by_query = {row["query"]: answers[row["id"]] for row in rows}
    assert len(by_query) == len(rows), "a query belongs to one question"

    def answer(messages: list, *_: object) -> ModelOutput:
        [message] = messages
        text, stop_reason = by_query[message.text]
        output = ModelOutput.from_content("mockllm/model", text, stop_reason)
        output.usage = ModelUsage()  # counting tokens would download a vocabulary
        return output

    return answer


scores = {}
for path in sorted(folder.glob("data/*/test.jsonl")):
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    name = path.parent.name
    [log] = inspect_eval(
        f"{folder / 'mentallama_tasks.py'}@{name}",
        model=get_model("mockllm/model", custom_outputs=answers_in_turn(rows), memoize=False),
        log_dir=sys.argv[3],
        display="none",
    )
    assert log.status == "success", log.error and log.error.message
    [score] = log.results.scores
    scores[name] = {metric: found.value for metric, found in score.metrics.items()}
print(json.dumps(scores))
