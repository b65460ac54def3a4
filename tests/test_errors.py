"""Errors cross processes whole, and can be told again in words that were made elsewhere."""

import pickle

import pytest

from pipeline.errors import (
    Code,
    DeadlineExceeded,
    InferenceError,
    InferError,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    Overloaded,
    ServerNotReady,
    WrongAnswer,
    noted,
    retold,
)

ERRORS = [
    InferError(Code.TOO_LARGE, "large", status=413, headers={"a": "b"}),
    InvalidInput("bad"),
    ModelNotFound("m", version="2"),
    InferenceError("failed", 418),
    WrongAnswer("wrong"),
    ModelNotReady("m", "detail"),
    ServerNotReady(),
    Overloaded("Model m", retry_after=7),
    DeadlineExceeded("late"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_after_it_was_pickled(error):
    noted(error, "a note")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    told = ("code", "message", "status", "headers", "__notes__")
    assert [getattr(again, name) for name in told] == [getattr(error, name) for name in told]
    assert str(again) == str(error)


def test_internals_are_a_note_and_cross_processes_too():
    error = InferError(Code.BAD_UPSTREAM, "told", internals="http://predictor:8080 is down")
    again = pickle.loads(pickle.dumps(error))
    for own in (error, again, retold(InvalidInput, Code.INVALID_ARGUMENT, "told", internals=error.internals)):
        assert (own.internals, own.__notes__) == ("http://predictor:8080 is down", ["http://predictor:8080 is down"])
        assert (str(own), own.message) == ("told", "told")
    assert InvalidInput("no").internals is None


@pytest.mark.parametrize("kind", [type(error) for error in ERRORS])
def test_an_error_is_told_again_in_other_words(kind):
    error = retold(kind, Code.NOT_FOUND, "other words", status=404, headers={"a": "b"})
    assert type(error) is kind
    assert (str(error), error.message, error.code) == ("other words", "other words", Code.NOT_FOUND)
    assert (error.status, error.headers) == (404, {"a": "b"})
    assert getattr(error, "reason", "other words") == "other words"
