"""One model held open by a task of its own, until it is let go of."""

from __future__ import annotations

import trio

from pipeline.observe import ModelNotClosed
from pipeline.pipeline import Pipeline, State


class Held:
    """A pipeline, and the end of the task that ``hold`` is."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.closed = trio.Event()
        """Set once nothing of it is open any more."""
        self._begun = False
        self._let_go = trio.Event()
        self._scope = trio.CancelScope()

    async def hold(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Opens it, holds it open until it is let go of, waits for what is inside, and closes it.

        Started, it is open. Raises what opening it raises, which its observers have been told; what goes wrong later is
        told to them and ends nothing else. Cancelled, it is closed at once.
        """
        self._begun = True
        try:
            with self._scope:
                async with self.pipeline:
                    task_status.started()
                    await self._let_go.wait()
                    await self.pipeline.drained()
        except Exception as error:
            if self.pipeline.state is State.FAILED:
                raise
            self.pipeline.tell(ModelNotClosed(self.pipeline.name, self.pipeline.version, error))
        finally:
            self.closed.set()

    def let_go(self) -> None:
        """It ends after its last request; where it is not open yet, at once. Nobody may give it new ones."""
        self._let_go.set()
        if self.pipeline.state is not State.READY:
            self._scope.cancel()

    async def over(self) -> None:
        """Returns once nothing of it is open, cancelled or not. It has been let go of, or its task is cancelled."""
        if self._begun:
            with trio.CancelScope(shield=True):
                await self.closed.wait()
