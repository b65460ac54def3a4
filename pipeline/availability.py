"""What is said of a model that is, or is not, there to be asked; in KServe's words, and in Triton's."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import ModelNotReady, text_of
from pipeline.pipeline import Pipeline, State
from pipeline.tensors.message import Availability, ModelState

_AVAILABILITY: Mapping[State, Availability] = {
    State.NEW: "LOADING",
    State.LOADING: "LOADING",
    State.FAILED: "UNAVAILABLE",
    State.CLOSED: "UNAVAILABLE",
}
_LONGEST = 500


def state_of(pipeline: Pipeline) -> ModelState:
    if pipeline.is_ready:
        return ModelState(pipeline.name, pipeline.version, "READY")
    return ModelState(
        pipeline.name, pipeline.version, _AVAILABILITY.get(pipeline.state, "UNAVAILABLE"), pipeline.failure or ""
    )


def refusal(name: str, error: Exception) -> ModelNotReady:
    """In KServe's words, of one line: an author's error may have many, and the log has all of them."""
    first, *more = text_of(error).splitlines() or [""]
    text = first if len(first) <= _LONGEST else f"{first[:_LONGEST]}…"
    if more:
        text += f" (and {len(more)} more lines, in the log)"
    return ModelNotReady(name, f"Error type: {type(error)} error msg: {text}")
