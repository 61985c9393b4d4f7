"""Evidence of a remote model: what is asked, what it costs, and what happens where the server has no answer."""

from __future__ import annotations

from typing import Any

import pytest

from mentallama.analysts.answer import example_of_text
from mentallama.analysts.language_model.remote import RemoteAnalyst
from mentallama.attribution.opening import open_analyst
from mentallama.errors import MentallamaError, UsageError
from tests.factories.endpoint_server import Plan, Server, serving

TEXT = "I cannot sleep, the garden is fine"
PRICES = {"input_price": 2.0, "output_price": 10.0}


def sleepless(before: str, token: str) -> float:
    """Yes is the likelier answer where the post says sleep; every other token is as likely in both answers."""
    return -1.0 if ("sleep" in before) == (token == "Yes") else -3.0


def opened(server: Server, **options: Any) -> RemoteAnalyst:
    options = {"labels_only": True, "log": lambda _: None, **options}
    analyst = open_analyst(f"remote:test-model@{server.url}", **options)
    assert isinstance(analyst, RemoteAnalyst)
    return analyst


def prompts(server: Server) -> list[str]:
    """The posts that answers were scored for, in the order asked."""
    scored = [body["prompt"][0] for body in server.bodies if isinstance(body["prompt"], list)]
    return [prompt.split('"')[1] for prompt in scored if "Consider this post" in prompt]


def test_clauses_are_left_out_one_by_one() -> None:
    with serving(Plan(chance=sleepless)) as server:
        (answer,) = opened(server, evidence="fast").analyze(TEXT, task="DR")
        asked = prompts(server)
    assert answer.label == "yes"
    assert sorted(asked) == sorted([TEXT, TEXT, "the garden is fine", "I cannot sleep,"])
    (quotation,) = answer.evidence
    assert quotation.text == "I cannot sleep"
    assert (quotation.weight or 0) > 0


def test_no_explanation_is_requested_for_a_variant() -> None:
    with serving(Plan(chance=sleepless, reply=lambda _: " Because.")) as server:
        opened(server, evidence="fast", labels_only=False).analyze(TEXT, task="DR")
        generated = [body for body in server.bodies if isinstance(body["prompt"], str)]
    assert len(generated) == 1


def test_without_evidence_nothing_more_is_asked() -> None:
    with serving(Plan(chance=sleepless)) as server:
        opened(server).analyze(TEXT, task="DR")
        assert len(prompts(server)) == 1


def test_evidence_is_paid_from_the_same_budget() -> None:
    with serving(Plan(chance=sleepless)) as server:
        alone = opened(server, **PRICES)
        alone.analyze(TEXT, task="DR")
        explained = opened(server, evidence="fast", **PRICES)
        explained.analyze(TEXT, task="DR")
        spent = alone.spent(), explained.spent()
        assert spent[0] is not None
        assert spent[1] is not None
        assert spent[1] > 2 * spent[0]
        with pytest.raises(MentallamaError, match=r"the budget of .* does not cover the next request"):
            opened(server, evidence="fast", budget=1.5 * spent[0], **PRICES).analyze(TEXT, task="DR")


def test_the_estimated_cost_counts_the_variants() -> None:
    example = example_of_text(TEXT, ("DR", "depression"), "instruction")
    with serving(Plan(chance=sleepless)) as server:
        (alone,) = opened(server, **PRICES).describe_cost([example], 10)
        (explained,) = opened(server, evidence="fast", **PRICES).describe_cost([example], 10)
    # Two clauses: the post, and the post without each of them.
    assert " 10 requests" in alone
    assert " 30 requests" in explained


def test_a_server_without_probabilities_is_refused() -> None:
    with serving(Plan(reply=lambda _: "Yes, the poster suffers from depression.", echo=False)) as server:
        analyst = opened(server, evidence="fast", scoring="none")
        with pytest.raises(
            UsageError, match="gives no probabilities, without which its labels cannot be explained"
        ):
            analyst.analyze(TEXT, task="DR")
        assert len(server.bodies) == 0  # no question was put
