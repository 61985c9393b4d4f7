"""Locations of metrics that run a model: the folder in them, and what is wrong with it before anything is opened."""

from __future__ import annotations

from mentallama.analysts.checkpoints.optional_deps import missing_libraries
from mentallama.analysts.registry import model_problem


def folder_problem(folder: str) -> str | None:
    """A sentence if there is no such folder, or the libraries of neural models are not installed; else None."""
    missing = next(missing_libraries("a neural model", ("torch", "transformers")), None)
    return model_problem(folder, on_hub=False) or missing


def decoder_problem(folder: str) -> str | None:
    """As `folder_problem`. A remote model is refused: servers of chats do not tell how probable a given text is."""
    if folder.startswith("remote:"):
        return "the likelihood is computed on this machine; name the folder of a decoder"
    return folder_problem(folder)


def split_layer(location: str) -> tuple[str, int | None]:
    """Folder and layer of an encoder, from `DIR` or `DIR:LAYER`."""
    folder, _, layer = location.rpartition(":")
    return (folder, int(layer)) if folder and layer.isdecimal() else (location, None)


def decoder_folder(location: str) -> str:
    """The folder of a decoder, from `DIR` or `causal:DIR`."""
    return location.removeprefix("causal:")
