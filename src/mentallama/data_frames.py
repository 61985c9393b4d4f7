"""Tables as pandas and polars hold them. This package needs neither of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from math import isnan
from typing import TYPE_CHECKING, Any, Literal

from mentallama.errors import UsageError

if TYPE_CHECKING:
    import pandas
    import polars

_SURROGATE = re.compile("[\ud800-\udfff]")

FrameLibrary = Literal["pandas", "polars"]


@dataclass(frozen=True)
class Column:
    """The values of a column; None is a missing value. `type` is `object` for dictionaries and lists."""

    name: str
    values: Sequence[Any]
    type: type[str | int | float | object] = object


def make_frame(columns: Sequence[Column], library: FrameLibrary, index: object = None) -> Any:
    """A `pandas.DataFrame` or `polars.DataFrame`.

    Parameters
    ----------
    columns
        All of the same length.
    index
        Row labels for pandas; polars has none. None: the positions from 0.

    Raises
    ------
    UsageError
        There is no such library, or it is not installed.
    """
    columns = [replace(column, values=_encodable(list(column.values))) for column in columns]
    if library not in _MAKERS:
        raise UsageError(f"to_frame({library!r}): there are {' and '.join(map(repr, _MAKERS))}")
    try:
        module = import_module(library)
    except ModuleNotFoundError as missing:
        if missing.name != library:
            raise
        other = "polars" if library == "pandas" else "pandas"
        raise UsageError(
            f"to_frame() needs {library}, which is not installed: pip install {library}; or use to_frame({other!r}) "
            "or to_dicts()"
        ) from None
    return _MAKERS[library](module, columns, index)


def _encodable(value: Any) -> Any:
    """The value with U+FFFD for each half of a surrogate pair, which neither library can store."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {name: _encodable(inner) for name, inner in value.items()}
    return [_encodable(inner) for inner in value] if isinstance(value, list) else value


def _pandas_frame(library: Any, columns: Sequence[Column], index: Any) -> pandas.DataFrame:
    dtypes: dict[Any, Any] = {float: "float64", int: "int64", object: object}
    content = {
        column.name: library.Series(list(column.values), dtype=dtypes.get(column.type)) for column in columns
    }
    frame: pandas.DataFrame = library.DataFrame(content)
    return frame if index is None else frame.set_axis(index, axis=0)


def _polars_frame(library: Any, columns: Sequence[Column], _: object) -> polars.DataFrame:
    dtypes = {float: library.Float64, int: library.Int64, str: library.String}
    frame: polars.DataFrame = library.DataFrame(
        [
            library.Series(column.name, list(column.values), dtypes.get(column.type), strict=False)
            for column in columns
        ]
    )
    return frame


_MAKERS = {"pandas": _pandas_frame, "polars": _polars_frame}


def series_index(values: object) -> Any:
    """The index of a pandas Series; None for anything else."""
    library = sys.modules.get("pandas")  # it is not loaded if nobody has made a Series
    return values.index if library is not None and isinstance(values, library.Series) else None


def is_table(values: object) -> bool:
    """Whether something is a mapping or a data frame: iterating over it yields names of columns, or whole columns."""
    frames = (
        getattr(sys.modules.get(name), kind, None) for name in _MAKERS for kind in ("DataFrame", "LazyFrame")
    )
    return isinstance(values, (Mapping, *(frame for frame in frames if frame is not None)))


def is_missing(value: object) -> bool:
    """Whether a value is what tables hold in an empty cell: None, NaN, NA or NaT."""
    return (
        value is None
        or type(value).__name__ in {"NAType", "NaTType"}
        or (isinstance(value, float) and isnan(value))
    )
