"""``each``: a step called once per item of one of its inputs, and the results put together again, in order.

Synchronous code goes through the items in its thread; async code has several in hand at once, each under the step's
own limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import trio

from pipeline.engine.blame import Blame
from pipeline.engine.failure import bare
from pipeline.engine.limit import Limit
from pipeline.engine.step import AsyncCall, BlockingCall, Context
from pipeline.errors import WrongAnswer, noted
from pipeline.graph.edges import Names
from pipeline.graph.interface import Interface
from pipeline.graph.spec import StepSpec
from pipeline.graph.words import listed
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.forms import Bound, describe
from pipeline.tensors.signature import TensorSpec
from pipeline.tensors.tensor import Json, Tensor, Value, locked

# Items of an async step in hand at once where no limit says how many: enough to hide what each waits for.
_BESIDE = 16


class Loop:
    """The items of one step's input, and the whole of its results. Pure; ``interface`` is that of the whole loop.

    ``gives``: what is known of the whole of its results, for where there are none.
    """

    def __init__(self, step: StepSpec, interface: Interface, gives: Names) -> None:
        self.step = step.name
        self.name = str(step.each)
        self._blame = Blame(step)
        self._gives = gives
        # As binding has it: one parameter takes the only value there is, whatever its name; and so does a model.
        self._takes_only = len(interface.parameters) == 1 and not (interface.named_parameters and interface.takes_rest)

    def items(self, inputs: Mapping[str, Bound], context: Context) -> tuple[Items, Context]:
        """What each call reads, and the context of each.

        Raises InvalidInput or WrongAnswer, by blame, where there is nothing to loop over.
        """
        key = self.name
        if key not in inputs and self._takes_only and len(inputs) == 1:
            (key,) = inputs
        value = inputs.get(key)
        if isinstance(value, Mapping) and len(value) == 1:
            (value,) = value.values()
        match value:
            case Tensor() if value.array.ndim:
                return _OfTensor(inputs, key, value), context.looping(key, value)
            case Json(list() as elements):
                return [{**inputs, key: Json(element)} for element in elements], context.looping(key, value)
            case None:
                has = listed(f'"{name}"' for name in inputs) if inputs else "none"
                raise self._blame.misfit(self.name, None, context, f"is missing; there is {has}")
            case _:
                reason = f"has no items to loop over: expected an axis, or a JSON list, got {describe(value)}"
                if key != self.name and key in context.request.inputs:
                    # It came under any name, and is known by the one that is asked for.
                    reason = f'is read as "{self.name}" and {reason}'
                raise self._blame.misfit(self.name, value, context, reason)

    def whole(self, results: Sequence[Mapping[str, Value]]) -> Mapping[str, Value]:
        """The outputs by name. Raises WrongAnswer, naming the items, where they do not go together."""
        if not results:
            return {name: _empty(spec) for name, spec in self._gives.items()}
        first = results[0]
        for number, result in enumerate(results):
            if result.keys() != first.keys():
                raise self._odd(number, f"gives {_quoted(result)}", f"gives {_quoted(first)}")
        return {name: self._gathered(name, [result[name] for result in results]) for name in first}

    def noted(self, error: Exception, number: int) -> None:
        """Says in the error which item it was about."""
        noted(error, f'in item {number} of "{self.name}"')

    def _gathered(self, name: str, values: Sequence[Value]) -> Value:
        match values[0]:
            case Json():
                for number, value in enumerate(values):
                    if not isinstance(value, Json):
                        raise self._odd(number, f'has {describe(value)} as "{name}"', "has JSON")
                return Json([value.value for value in values if isinstance(value, Json)])
            case Tensor(datatype, array) as own:
                arrays = []
                for number, value in enumerate(values):
                    fits = isinstance(value, Tensor) and value.datatype is datatype and value.shape == array.shape
                    if not fits or not isinstance(value, Tensor):
                        raise self._odd(number, f'has {describe(value)} as "{name}"', f"has {own.describe()}")
                    arrays.append(value.array)
                return Tensor(datatype, locked(np.stack(arrays)))

    def _odd(self, number: int, has: str, first: str) -> WrongAnswer:
        return WrongAnswer(f'step "{self.step}": item {number} of "{self.name}" {has}, and item 0 {first}')


class Items(Protocol):
    """What each call reads, by number."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int, /) -> Mapping[str, Bound]: ...


class _OfTensor:
    """The items of a tensor, made when they are asked for."""

    def __init__(self, inputs: Mapping[str, Bound], key: str, tensor: Tensor) -> None:
        self._inputs = inputs
        self._key = key
        self._tensor = tensor

    def __len__(self) -> int:
        return len(self._tensor.array)

    def __getitem__(self, number: int, /) -> Mapping[str, Bound]:
        array = self._tensor.array
        # Not array[number], which of one axis is a number and no array.
        item = array[number : number + 1].reshape(array.shape[1:])
        return {**self._inputs, self._key: Tensor(self._tensor.datatype, item)}


def one_after_the_other(call: BlockingCall, loop: Loop) -> BlockingCall:
    """The step over all items, in the thread it is called in. Cancelled, it begins no other item."""

    def run(inputs: Mapping[str, Bound], context: Context) -> Mapping[str, Value]:
        results = []
        items, own = loop.items(inputs, context)
        for number in range(len(items)):
            _check(own)
            try:
                results.append(call(items[number], own))
            except Exception as error:
                loop.noted(error, number)
                raise
        return loop.whole(results)

    return run


def _check(context: Context) -> None:
    if context.term is not None:
        context.term.check()
    else:
        trio.from_thread.check_cancelled()


def beside_each_other(call: AsyncCall, loop: Loop, limit: Limit | None) -> AsyncCall:
    """The step over all items, several at once: as many as ``limit`` has places, each in a place of its own.

    The first failure cancels the others and is raised, never in a group; of two at once, that of the lower item.
    Cancelled, every item is cancelled and its place is free.
    """

    async def run(inputs: Mapping[str, Bound], context: Context) -> Mapping[str, Value]:
        items, own = loop.items(inputs, context)
        return loop.whole(await _Beside(call, loop, limit, items, own).all())

    return run


class _Beside:
    """The tasks of one call over its items."""

    def __init__(self, call: AsyncCall, loop: Loop, limit: Limit | None, items: Items, context: Context) -> None:
        self._call = call
        self._loop = loop
        self._limit = limit
        self._items = items
        self._context = context
        self._numbers = iter(range(len(items)))
        self._results: list[Mapping[str, Value]] = [{}] * len(items)
        self._failed = len(items)
        self._error: BaseException | None = None

    async def all(self) -> Sequence[Mapping[str, Value]]:
        most = _BESIDE if self._limit is None else self._limit.total
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(int(min(len(self._items), most))):
                    nursery.start_soon(self._some, nursery.cancel_scope)
        except (trio.Cancelled, BaseExceptionGroup) as cancelled:
            # Tasks raise nothing but their cancellation, and those of several come in a group.
            if self._error is None:
                raise bare(cancelled) from None
        if self._error is not None:
            try:
                raise self._error
            finally:
                # Or the error's traceback and this object hold each other, and every tensor in its frames.
                self._error = None
        return self._results

    async def _some(self, scope: trio.CancelScope) -> None:
        """Takes the next item until there is none."""
        for number in self._numbers:
            try:
                self._results[number] = await self._one(number)
            except trio.Cancelled:
                raise
            except BaseException as error:  # noqa: BLE001  # all() raises it, once the other items have ended
                if isinstance(error, Exception):
                    self._loop.noted(error, number)
                if self._error is None or number < self._failed:
                    self._failed, self._error = number, error
                # As where a plan forks: who fails in this very moment can still say so.
                await trio.lowlevel.cancel_shielded_checkpoint()
                scope.cancel()
                return

    async def _one(self, number: int) -> Mapping[str, Value]:
        if self._error is not None:
            # Nothing starts after a failure.
            await trio.sleep_forever()
        if self._limit is None:
            return await self._call(self._items[number], self._context)
        await self._limit.acquire()
        try:
            return await self._call(self._items[number], self._context)
        finally:
            self._limit.release()


def _empty(spec: TensorSpec | None) -> Tensor:
    """No results, of the shape that is declared as far as it is known; else numbers, which most results are."""
    if spec is None:
        return Tensor(Datatype.FP64, locked(np.empty(0)))
    shape = tuple(dim if isinstance(dim, int) and dim >= 0 else 0 for dim in spec.dims[1:])
    return Tensor(spec.datatype, locked(np.empty((0, *shape), dtype=spec.datatype.dtype)))


def _quoted(names: Mapping[str, Value]) -> str:
    return listed(f'"{name}"' for name in names) if names else "nothing"
