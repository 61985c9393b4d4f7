"""Occlusion of a decoder language model, against the probabilities of its own answers."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from mentallama.attribution.log_odds import log_odds, with_text
from mentallama.attribution.registry import default_method, open_attribution
from mentallama.errors import UsageError
from tests.factories.decoder_cases import analyst, make_examples
from tests.factories.tiny_models import tiny_llama, tiny_tokenizer


def test_weights_are_differences_of_the_models_own_log_odds() -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_llama(tokenizer=tokenizer)
    asked = analyst(model, tokenizer, max_new_tokens=4)
    (base,) = make_examples(("SAD",), posts=1)
    example = base.model_copy(update={"text": "The rent is due, I cannot sleep. So tired"})
    assert default_method(asked, "fast") == "occlusion"
    (found,) = open_attribution("occlusion", asked).attribute([example], ["work"])
    texts = [
        example.text,
        "I cannot sleep. So tired",
        "The rent is due, So tired",
        "The rent is due, I cannot sleep.",
    ]
    whole, *without = (
        log_odds(prediction.probabilities, "work")
        for text in texts
        for prediction in asked.predict([with_text(example, text)])
    )
    assert found.weights == pytest.approx([whole - each for each in without], abs=1e-4)
    assert (
        asked.counts.total() > 0
    )  # explanations of the answers above, none of which belong to the attribution


def test_free_mode_is_refused() -> None:
    tokenizer = tiny_tokenizer()
    with pytest.raises(UsageError, match=r"gives no probabilities, .* use mode: answer-first"):
        open_attribution("occlusion", analyst(tiny_llama(tokenizer=tokenizer), tokenizer, mode="free"))
