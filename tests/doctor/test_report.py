"""What the doctor calls broken, and what it advises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mentallama.doctor.installation import ExtraState, Installation, LibraryState
from mentallama.doctor.machine import Accelerator, FolderSpace, Machine
from mentallama.doctor.report import find_problems, give_advice
from mentallama.doctor.workspace import Workspace

NUMPY, TORCH = LibraryState("numpy", ">=2.0", "2.3.5"), LibraryState("torch", ">=2.9", "2.13.0")
GOOD = Installation(
    version="0.1.0",
    python="3.12.1",
    needed_python=">=3.11,<3.14",
    platform="Linux",
    libraries=(NUMPY,),
    extras=(ExtraState("train", (TORCH,), "pip install x[train]"),),
)
MACHINE = Machine(
    cpus=2,
    memory=8_000_000_000,
    memory_available=None,
    accelerator=Accelerator("none", note="torch finds no GPU"),
    folders=(FolderSpace("working folder", "/work", 90_000_000_000),),
    proxies={},
    keys=(),
)
WORKSPACE = Workspace("data", None, ())


def test_a_good_installation_has_no_problems_and_needs_no_advice() -> None:
    assert list(find_problems(GOOD, MACHINE, WORKSPACE)) == []
    assert list(give_advice(GOOD, MACHINE)) == []


@pytest.mark.parametrize(
    ("installation", "sentence"),
    [
        (
            replace(GOOD, libraries=(replace(NUMPY, installed=None),)),
            "numpy is not installed, and every command needs it: pip install --upgrade 'numpy>=2.0'",
        ),
        (
            replace(GOOD, libraries=(replace(NUMPY, installed="1.26.4"),)),
            "numpy 1.26.4 is installed, but numpy>=2.0 is needed: pip install --upgrade 'numpy>=2.0'",
        ),
        (
            replace(GOOD, extras=(ExtraState("train", (replace(TORCH, installed="2.1"),), ""),)),
            "torch 2.1 is installed, but torch>=2.9 is needed: pip install --upgrade 'torch>=2.9'",
        ),
        (
            replace(GOOD, python="3.10.2"),
            "Python 3.10.2 runs this, which needs <3.14,>=3.11: make an environment",
        ),
    ],
)
def test_what_is_missing_or_too_old_is_a_problem_with_the_command_that_repairs_it(
    installation: Installation, sentence: str
) -> None:
    (problem,) = find_problems(installation, MACHINE, WORKSPACE)
    assert problem.startswith(sentence)


def test_an_extra_that_is_not_installed_is_no_problem() -> None:
    without = replace(GOOD, extras=(ExtraState("train", (replace(TORCH, installed=None),), ""),))
    assert list(find_problems(without, MACHINE, WORKSPACE)) == []


def test_folders_torch_and_files_that_do_not_work_are_problems() -> None:
    folders = (
        FolderSpace("working folder", "/a", None, "Permission denied"),
        FolderSpace("models of the hub", "/b", None, "Read-only file system"),
    )
    broken = Accelerator("none", note="torch is installed and cannot be used (OSError)", is_broken=True)
    machine = replace(MACHINE, folders=folders, accelerator=broken)
    problems = list(find_problems(GOOD, machine, replace(WORKSPACE, faults=("x.csv: damaged",))))
    assert problems[0].startswith("torch is installed and cannot be used (OSError): install it again")
    assert problems[1] == "/a: nothing can be written here (Permission denied); go to a folder of yours"
    assert "HF_HOME" in problems[2]
    assert problems[3] == "x.csv: damaged"


def test_what_may_not_suffice_is_advice() -> None:
    little = replace(
        MACHINE,
        memory=1_000_000_000,
        folders=(FolderSpace("working folder", "/a", 400_000_000),),
        accelerator=Accelerator("none", note="there is an NVIDIA driver, but this torch is built for CPUs"),
    )
    advice = list(give_advice(replace(GOOD, libraries=()), little))
    assert [
        any(word in line for line in advice) for word in ("not installed", "NVIDIA", "1.0 GB", "0.4 GB")
    ] == [True] * 4
    assert len(advice) == 4
