"""What is said of a model that is, or is not, there to be asked; in KServe's words, and in Triton's."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import ModelNotReady, text_of
from pipeline.pipeline import Pipeline, State
from pipeline.reason import in_one_line, reason_of
from pipeline.tensors.message import Availability, ModelState

_AVAILABILITY: Mapping[State, Availability] = {
    State.NEW: "LOADING",
    State.LOADING: "LOADING",
    State.FAILED: "UNAVAILABLE",
    State.CLOSED: "UNAVAILABLE",
}


def state_of(pipeline: Pipeline) -> ModelState:
    if pipeline.is_ready:
        return ModelState(pipeline.name, pipeline.version, "READY")
    return ModelState(
        pipeline.name, pipeline.version, _AVAILABILITY.get(pipeline.state, "UNAVAILABLE"), pipeline.failure or ""
    )


def refusal(name: str, error: Exception) -> ModelNotReady:
    """In KServe's words: of a model that a script's own repository loads, whose text is the script's."""
    return ModelNotReady(name, f"Error type: {type(error)} error msg: {in_one_line(text_of(error))}")


def unopened(name: str, error: Exception) -> ModelNotReady:
    """Of a graph, or a model file: without what only the machine's owner is to know."""
    return ModelNotReady(name, reason_of(error))
