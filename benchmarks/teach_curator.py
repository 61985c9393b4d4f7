"""Run by benchmarks/teach.py with the Python of curator's own environment: URL MODEL IN_FLIGHT MESSAGES.

curator counts tokens with tiktoken, which fetches its vocabulary from the network; here words are counted instead,
which costs less. No limit but the calls in flight is set, and its telemetry is off.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

os.environ |= {
    "TELEMETRY_ENABLED": "false",
    "OPENAI_API_KEY": "none",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "HF_HUB_OFFLINE": "1",
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
}

import tiktoken


class Words:
    """Counts words as tokens."""

    def encode(self, text: str, **_: object) -> list[str]:
        return text.split()


tiktoken.get_encoding = tiktoken.encoding_for_model = lambda _: Words()

from bespokelabs import curator  # noqa: E402 - tiktoken is replaced before it is imported


def main() -> None:
    url, model, in_flight, messages = sys.argv[1:]
    prompts = [json.loads(line) for line in Path(messages).read_text(encoding="utf-8").splitlines()]
    llm = curator.LLM(
        model_name=model,
        backend="openai",
        generation_params={"max_tokens": 512, "temperature": 0.0},
        backend_params={
            "base_url": url,
            "max_requests_per_minute": 10**8,
            "max_tokens_per_minute": 10**12,
            "max_concurrent_requests": int(in_flight),
        },
    )
    start = time.perf_counter()
    answers = llm(prompts)
    seconds = time.perf_counter() - start
    answered = len(getattr(answers, "dataset", answers))
    print(json.dumps({"calls": answered, "seconds": seconds}))


if __name__ == "__main__":
    main()
