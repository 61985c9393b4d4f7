"""The model card shows what others wrote, such as names and specs, as it is."""

from __future__ import annotations

from pathlib import Path

from mentallama.analysts.checkpoints.metadata import ModelMetadata
from mentallama.config import Recipe
from mentallama.train.model_card import write_card

HOSTILE = "a ![x](http://a.example) <img src=x>\n# b|`c`"
SHOWN = r"a !\[x\](http://a.example) &lt;img src=x&gt; # b\|\`c\`"


def test_markup_in_names_of_others_is_shown_as_it_is(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {"name": "small", "data": ".", "train": {"analyst": "encoder", "base": "x"}}
    )
    model = ModelMetadata(
        analyst="encoder", fingerprint="0", form="instruction", max_tokens=8, sets=(HOSTILE,), base=HOSTILE
    )
    write_card(tmp_path, recipe, model, {"source_file": HOSTILE})
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    for line in (f"Base: {SHOWN}.", f"- Sets: {SHOWN};", f"- source_file: {SHOWN}\n"):
        assert line in card
    assert "<img" not in card
