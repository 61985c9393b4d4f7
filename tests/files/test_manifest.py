"""Manifests: the library versions that they record."""

from __future__ import annotations

import importlib.metadata

import pytest

from mentallama.analysts.registry import analyst_libraries
from mentallama.files.manifest import library_versions


@pytest.mark.parametrize(
    "library",
    ["numpy", "scipy", "scikit-learn", "ftfy", "rapidfuzz", "rensa", "pydantic", "py3langid"],
)
def test_another_version_of_a_library_changes_the_versions(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as py3langid, which computes the gate `language`."""
    installed = library_versions()
    monkeypatch.setattr(
        "mentallama.files.manifest.version",
        lambda name: "0.0.1" if name == library else importlib.metadata.version(name),
    )
    assert library_versions() == installed | {library: "0.0.1"}
    assert library in installed


def test_neural_analysts_add_the_libraries_that_compute_them() -> None:
    plain, neural = library_versions(), library_versions(*analyst_libraries(("causal",)))
    assert "torch" not in plain
    assert {"torch", "transformers"} <= set(neural)
    assert plain.items() < neural.items()
