"""Options that are generated from the keys of a section, with the keys' docstrings as help."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.main import get_command

from mentallama.cli.settings_options import GroupedCommand, with_settings_options
from mentallama.config import Predict
from mentallama.config.endpoint import RemoteOptions


def command(seen: dict[str, Any]) -> Any:
    app = typer.Typer(rich_markup_mode=None)

    @app.command(cls=GroupedCommand)
    @with_settings_options(
        Predict,
        {"model", "splits", "extra_body"},
        lambda key: "Remote" if key in RemoteOptions.model_fields else "Local",
    )
    def predict(name: str = "x", **options: object) -> None:
        """Predict."""
        seen.update(options, name=name)

    return get_command(app)


def test_given_options_have_the_types_of_their_keys_and_others_are_none() -> None:
    seen: dict[str, Any] = {}
    words = "--name y --mode free --labels-only --timeout 2.5 --max-new-tokens 3 --allow-remote DR --allow-remote SAD"
    command(seen).main(words.split(), standalone_mode=False)
    given = {key: value for key, value in seen.items() if value not in (None, [])}
    assert given == {
        "name": "y", "mode": "free", "labels_only": True, "timeout": 2.5, "max_new_tokens": 3,
        "allow_remote": ["DR", "SAD"],
    }  # fmt: skip
    assert Predict.model_validate({key: given[key] for key in given if key != "name"}).timeout == 2.5
    assert set(seen) == set(Predict.model_fields) - {"model", "splits", "extra_body"} | {"name"}


def test_the_help_groups_the_options_and_says_what_the_keys_say(capsys: pytest.CaptureFixture[str]) -> None:
    command({}).main(["--help"], standalone_mode=False)
    shown = " ".join(capsys.readouterr().out.split())
    places = [
        shown.index(part) for part in ("Options:", "--name", "Remote:", "--temperature", "Local:", "--dtype")
    ]
    assert places == sorted(places)
    assert "--mode [answer-first|free]" in shown
    assert "Longest answer in tokens, not counting the prompt." in shown
