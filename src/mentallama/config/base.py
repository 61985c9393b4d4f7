"""Base class and value types of all settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mentallama.files.yaml_file import json_values


class Settings(BaseModel):
    """Base of every section of a recipe: frozen; unknown keys are errors, and so are numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Share = Annotated[float, Field(ge=0, le=1)]
"""A number from 0 to 1."""

PositiveInt = Annotated[int, Field(ge=1, lt=2**31)]
"""A count; the libraries that it is passed to take 32 bits."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, (str, Path)) else value


PathList = Annotated[tuple[Path, ...], BeforeValidator(_as_list)]
"""One path or a list of them."""

JsonObject = Annotated[dict[str, Any], BeforeValidator(json_values)]
"""Keys and values that are passed on as JSON."""
