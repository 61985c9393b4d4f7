"""An analyst whose log-odds are the sum of the weights of its words, so that attributions can be worked by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import exp

from mentallama.analysts.base import Analyst
from mentallama.records import Example, Prediction, Reading, stable_id


class WordSumAnalyst(Analyst):
    """Says yes with log-odds that are `bias` plus the weight of every word; `calls` are the texts of each call."""

    spec, kind = "toy:words", "toy"

    def __init__(self, weights: Mapping[str, float], bias: float = 0.0) -> None:
        self.weights, self.bias = weights, bias
        self.calls: list[list[str]] = []

    def score(self, text: str) -> float:
        """Log-odds of yes."""
        words = (word.strip(".,!?;") for word in text.lower().split())
        return self.bias + sum(self.weights.get(word, 0.0) for word in words)

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        self.calls.append([example.text for example in examples])
        for example in examples:
            score = self.score(example.text)
            probability = 1 / (1 + exp(-score))
            reading = Reading(status="parsed", label="yes" if score > 0 else "no")
            yield Prediction(
                example_id=example.id,
                reading=reading,
                probabilities={"yes": probability, "no": 1 - probability},
                model="toy",
            )


class FunctionAnalyst(WordSumAnalyst):
    """Says yes with log-odds that are a function of the text."""

    def __init__(self, function: Callable[[str], float]) -> None:
        super().__init__({})
        self._function = function

    def score(self, text: str) -> float:
        return self._function(text)


class SilentAnalyst(WordSumAnalyst):
    """The same without probabilities."""

    gives_probabilities = False

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        for prediction in super().predict(examples):
            yield prediction.model_copy(update={"probabilities": {}})


def make_example(text: str) -> Example:
    return Example(
        id=stable_id(text), post_id=text, task="dreaddit", question="stress", form="instruction", text=text
    )
