"""Step kinds: found by their files, each answering for its own words."""

from __future__ import annotations

import pytest

import pipeline.steps
from pipeline.steps.catalog import Call, learner, step_kinds

KIND = '''
"""A step kind that somebody added."""

KEYS = {"echo": ("times",), "parrot": ()}
SCHEMA = {"echo": {"type": "string"}, "parrot": {}, "times": {"type": "integer"}}


def describe(step, home, faults):
    return None


def open_step(step, home):
    raise NotImplementedError
'''


def test_each_action_of_a_step_has_a_kind_with_its_option_words():
    kinds = step_kinds()
    options = {action: set(kind.KEYS[action]) for action, kind in kinds.items()}
    assert options["run"] == {"params", "handles"}
    assert options["model"] >= {"runtime", "params"}


def test_every_kind_describes_and_opens_and_says_what_its_words_mean():
    for action, kind in step_kinds().items():
        words = {action, *kind.KEYS[action]} - {"handles"}  # which every reader of the file knows
        assert words <= kind.schema().keys()
        assert callable(kind.describe)
        assert callable(kind.open_step)


def test_a_file_in_the_folder_is_a_kind_and_nothing_else_is_edited(tmp_path, monkeypatch):
    (tmp_path / "kind_of_a_test.py").write_text(KIND)
    before = step_kinds()
    monkeypatch.setattr(pipeline.steps, "__path__", [*pipeline.steps.__path__, str(tmp_path)])
    kinds = step_kinds()
    assert kinds.keys() - before.keys() == {"echo", "parrot"}
    assert kinds["echo"] is kinds["parrot"]
    assert before == {action: kinds[action] for action in before}


def test_only_steps_that_are_other_servers_can_be_asked_what_they_know():
    kinds = step_kinds()
    assert {action for action, kind in kinds.items() if learner(kind) is kind} == {"call"}
    assert {action for action, kind in kinds.items() if learner(kind) is None} == kinds.keys() - {"call"}


@pytest.mark.parametrize("blocking", [True, False])
def test_a_call_learns_nothing_of_a_model_unless_told(blocking):
    call = Call(print, blocking=blocking)
    assert (call.signature.inputs, call.signature.outputs) == ({}, {})
