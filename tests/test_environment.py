"""The machine and the command in words that can be shared."""

import re

import pytest

from mentallama.environment import command_in_words, machine_in_words


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["/usr/bin/mentallama", "run", "recipes/a.yaml"], "mentallama run recipes/a.yaml"),
        (["/x/src/mentallama/__main__.py", "run", "/home/me/a.yaml"], "mentallama run a.yaml"),
        (["mentallama", "--set", "data=/home/me/my posts"], "mentallama --set 'data=my posts'"),
        (
            ["mentallama", "--set", "collect.author_salt=pepper"],
            "mentallama --set 'collect.author_salt=not shown'",
        ),
        (["/usr/bin/pytest", "tests"], None),
    ],
)
def test_commands_keep_neither_secrets_nor_parent_folders(argv: list[str], expected: str | None) -> None:
    assert command_in_words(argv) == expected


def test_the_machine_has_cores_and_memory() -> None:
    assert re.search(r"^\S.*, [1-9]\d* cores?, \d+\.\d GB of memory", machine_in_words())
