"""Rows that are objects, and inputs that are columns, as one DataFrame; what forms none is the caller's fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.tensors import frames
from pipeline.tensors.shown import quoted, shown
from pipeline_serve.kserve.errors import InvalidInput

if TYPE_CHECKING:
    import pandas

# A table has a cell for every row and column, also where nothing was given: that grows as the square of what came.
_CELLS = 1_000_000
_CELLS_PER_VALUE = 100


def frame_of_rows(rows: Sequence[Any], columns: Sequence[Any] | None) -> pandas.DataFrame:
    """The table of JSON objects, each one row or, where it holds lists or objects, a column per key; or lists of rows.

    Made at once, as pandas makes them one by one and below each other, each with an index of its own.
    """
    library = frames.pandas()
    names: dict[Any, None] = {}
    for number, row in enumerate(rows):
        for each in row if isinstance(row, list) else [row]:
            if not isinstance(each, dict):
                raise InvalidInput(f'"instances" form no table: row {number} holds {shown(each)}, which is no object')
            names |= dict.fromkeys(each)
    _bound(sum(map(_height, rows)), len(names), sum(map(_given, rows)))
    try:
        pairs = [pair for row in rows for pair in _records(row)]
    except ValueError as error:
        raise InvalidInput(f'"instances" form no table: {error}') from None
    index, records = [place for place, _ in pairs], [record for _, record in pairs]
    frame: pandas.DataFrame = library.DataFrame(
        records, index=index, columns=list(names if columns is None else columns)
    )
    return frame


def frame_of_columns(columns: Sequence[tuple[str, list[Any]]]) -> pandas.DataFrame:
    """The table of columns beside each other, which may have the same name; the shorter ones end in NaN.

    Elements are values, or lists of one. Raises InvalidInput for no columns, and for one that is a table by itself.
    """
    library = frames.pandas()
    if not columns:
        raise InvalidInput("the request has no inputs")
    found = [_column(name, data) for name, data in columns]
    height = max(map(len, found))
    _bound(height, len(found), sum(map(len, found)))
    padded = [data + [float("nan")] * (height - len(data)) for data in found]
    frame: pandas.DataFrame = library.DataFrame(dict(enumerate(padded)))
    frame.columns = library.Index([name for name, _ in columns])
    return frame


def _column(name: str, data: list[Any]) -> list[Any]:
    if not any(isinstance(each, list) for each in data):
        return data
    if not all(isinstance(each, list) and len(each) == 1 for each in data):
        raise InvalidInput(f"input {quoted(name)} has rows of several values; a DataFrame takes a column of one each")
    return [each[0] for each in data]


def _records(row: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    """(its place in the index, the cells by name) of each row that it stands for. Raises ValueError."""
    if isinstance(row, list):
        yield from enumerate(row)
        return
    lists = {name: cell for name, cell in row.items() if isinstance(cell, list)}
    objects = {name: cell for name, cell in row.items() if isinstance(cell, dict)}
    if lists and objects:
        raise ValueError(f"{quoted(next(iter(lists)))} is a list, and {quoted(next(iter(objects)))} an object")
    if not lists and not objects:
        yield 0, row
        return
    heights = {len(cell) for cell in lists.values()}
    if len(heights) > 1:
        raise ValueError(f"columns have {sorted(heights)} values")
    for place in range(*heights) if lists else dict.fromkeys(key for cell in objects.values() for key in cell):
        yield place, {name: _cell(cell, place) for name, cell in row.items() if name not in objects or place in cell}


def _cell(cell: Any, place: Any) -> Any:
    return cell[place] if isinstance(cell, list | dict) else cell


def _height(row: Any) -> int:
    """How many rows it stands for."""
    if isinstance(row, list):
        return len(row)
    keys = {key for cell in row.values() if isinstance(cell, dict) for key in cell}
    return max(1, len(keys), *(len(cell) for cell in row.values() if isinstance(cell, list)))


def _given(row: Any) -> int:
    """How many values came in it."""
    if isinstance(row, list):
        return sum(map(len, row))
    return sum(len(cell) if isinstance(cell, list | dict) else 1 for cell in row.values())


def _bound(rows: int, columns: int, given: int) -> None:
    if rows * columns > max(_CELLS, _CELLS_PER_VALUE * given):
        raise InvalidInput(f"{rows} rows and {columns} columns are too many for the {given} values that came")
