"""Libraries and extras as the package's metadata names them."""

from __future__ import annotations

import tomllib

import pytest

import mentallama
from mentallama.doctor.installation import LibraryState, describe_installation, sort_requirements
from tests.factories.project import ROOT

LINES = [
    "numpy>=2.0",
    'tomli>=1; python_version < "3"',
    "ray[client]>=2.50; extra == 'ray'",
    'torch>=2.9; extra == "train"',
    'peft>=0.18,<1; extra == "train"',
]


def test_requirements_are_sorted_by_extra_and_those_of_other_pythons_left_out() -> None:
    always, extras = sort_requirements(LINES, ["ray", "train"], {"numpy": "1.26", "torch": "2.13.0+cpu"}.get)
    assert always == (LibraryState("numpy", ">=2.0", "1.26"),)
    assert extras == {
        "ray": (LibraryState("ray", ">=2.50", None),),
        "train": (LibraryState("torch", ">=2.9", "2.13.0+cpu"), LibraryState("peft", "<1,>=0.18", None)),
    }


@pytest.mark.parametrize(
    ("needed", "installed", "expected"),
    [
        (">=2.0", "1.26", True),
        (">=2.0", "2.0", False),
        (">=0.32,<0.34", "0.34.1", True),
        (">=2.9", "2.13.0+cpu", False),
        (">=2.9", "2.10.0rc1", False),
        (">=2.9", None, False),
        ("", "0.1", False),
    ],
)
def test_a_version_is_compared_with_its_bounds(needed: str, installed: str | None, expected: bool) -> None:
    assert LibraryState("x", needed, installed).is_too_old_or_new is expected


def test_this_installation_is_described_as_pyproject_declares_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = describe_installation(mentallama.__version__)
    assert found.version == project["version"]
    assert set(project["optional-dependencies"]) - {"dev"} == {extra.name for extra in found.extras}
    assert {extra.name: extra.is_installed for extra in found.extras}["train"]
    assert all(extra.name in extra.install for extra in found.extras)
    assert len(found.libraries) >= 15
    assert not any(library.is_too_old_or_new for library in found.libraries)
