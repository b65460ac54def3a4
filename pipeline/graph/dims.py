"""Named dimensions over a whole graph: one name is one size, and edges join names.

A union of names that is forced to two different numbers is a contradiction; it is reported at the edge that made it.
"""

from __future__ import annotations

from pipeline.tensors.signature import Dim, TensorSpec


class Dims:
    """What has been learned of the named dimensions of one graph so far (a union-find over names)."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self._size: dict[str, int] = {}

    def conflict(self, wanted: TensorSpec, given: TensorSpec) -> str | None:
        """Why a tensor declared as ``given`` cannot be one declared as ``wanted``, or None; what fits is remembered."""
        if wanted.datatype is not given.datatype:
            numbers = wanted.datatype.is_number and given.datatype.is_number
            if not (numbers and (wanted.any_number or given.any_number)):
                return f"{given.datatype.name} is not {wanted.datatype.name}"
        if len(wanted.dims) != len(given.dims):
            return f"{len(given.dims)} dimensions are not {len(wanted.dims)}"
        for axis, (want, have) in enumerate(zip(wanted.dims, given.dims, strict=True)):
            if not self._join(want, have):
                return f"axis {axis} is {self._show(have)}, not {self._show(want)}"
        return None

    def _join(self, one: Dim, other: Dim) -> bool:
        if -1 in (one, other):
            return True
        match one, other:
            case int(), int():
                return one == other
            case str() as name, int() as size:
                return self._fix(name, size)
            case int() as size, str() as name:
                return self._fix(name, size)
            case _:
                return self._unite(str(one), str(other))

    def _root(self, name: str) -> str:
        while (parent := self._parent.get(name, name)) != name:
            name = parent
        return name

    def _fix(self, name: str, size: int) -> bool:
        return self._size.setdefault(self._root(name), size) == size

    def _unite(self, one: str, other: str) -> bool:
        root, child = self._root(one), self._root(other)
        if root == child:
            return True
        size = self._size.pop(child, None)
        if size is not None and self._size.setdefault(root, size) != size:
            self._size[child] = size
            return False
        self._parent[child] = root
        return True

    def _show(self, dim: Dim) -> str:
        size = self._size.get(self._root(dim)) if isinstance(dim, str) else None
        return f"{dim}={size}" if size is not None else str(dim)
