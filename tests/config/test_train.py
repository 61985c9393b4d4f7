"""Settings that contradict themselves."""

from __future__ import annotations

import pytest

from mentallama.config import LinearSettings


@pytest.mark.parametrize(
    "settings",
    [
        {"char_ngram_range": (5, 2)},
        {"min_df": 0},
        {"seed": 1},
        {"C": ()},
        {"topics": ()},
        {"intercept_shifts": ()},
        {"evidence_weights": ()},
    ],
)
def test_wrong_settings_are_faults(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        LinearSettings.model_validate(settings)
