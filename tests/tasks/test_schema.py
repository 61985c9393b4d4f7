"""Rules of the task schema that single kinds of answer add."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tests.factories.answer_kinds import task_of_kind


def test_bands_divide_the_sums_of_a_scale() -> None:
    # two items with levels 0 to 2: sums 0 to 4
    assert task_of_kind("scale", bands={"low": 0, "middle": 2, "high": 4}).bands["middle"] == 2


@pytest.mark.parametrize(
    ("kind", "bands", "sentence"),
    [
        ("scale", {"low": 1, "high": 3}, "the first at the lowest sum, 0"),
        ("scale", {"low": 0, "high": 5}, "the last at 4 at most"),
        ("scale", {"high": 3, "low": 0}, "each begins above the one before"),
        ("scale", {"low": 0, "same": 0}, "each begins above the one before"),
        ("ordinal", {"low": 0}, "only a scale has a sum"),
    ],
)
def test_bands_that_do_not_are_refused(kind: str, bands: dict[str, int], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        task_of_kind(kind, bands=bands)
