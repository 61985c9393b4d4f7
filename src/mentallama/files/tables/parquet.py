"""Read a Parquet file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mentallama.errors import DataError, UsageError
from mentallama.extras import install_hint
from mentallama.files.record_files import PARQUET_BATCH_ROWS
from mentallama.files.tables.rows import (
    Row,
    SparseColumns,
    TableLayout,
    UnreadableRow,
    header_names,
)


def read_parquet(path: Path, encoding: str, layout: TableLayout) -> Iterator[Row]:
    """Yield the rows of a Parquet file; fields of structs are columns named `struct.field`."""
    del encoding
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError(f"{path}: Parquet needs pyarrow: {install_hint('parquet')}") from None
    number, columns = 1, SparseColumns(layout)
    try:
        file = pyarrow.parquet.ParquetFile(path, page_checksum_verification=True)
        names = file.schema_arrow.names
        top_level = tuple(name for name in layout.columns if name in names or "." not in name)
        new_names = dict(
            zip(names, header_names(path, names, replace(layout, columns=top_level)), strict=True)
        )
        for batch in file.iter_batches(PARQUET_BATCH_ROWS):
            for record in batch.to_pylist():
                number += 1
                try:
                    cells = columns.cells_of({new_names[name]: value for name, value in record.items()})
                except UnicodeDecodeError:
                    yield UnreadableRow(number, "a cell holds bytes that are not UTF-8")
                else:
                    yield number, cells
    except (pyarrow.ArrowException, OSError):  # pyarrow reports most damage as OSError
        raise DataError("not a Parquet file, or damaged or truncated", path, number) from None
    except (ValueError, ArithmeticError):  # text that is not UTF-8, times that Python does not have
        raise DataError("a column holds values that cannot be read as text", path, number) from None
    columns.require(path)


def arrow_types(path: Path) -> dict[str, Any]:
    """The types of the columns of a Parquet file, as pyarrow's."""
    import pyarrow.parquet

    return {field.name: field.type for field in pyarrow.parquet.read_schema(path)}
