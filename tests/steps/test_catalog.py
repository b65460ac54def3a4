"""Step kinds: found by their files, each answering for its own words."""

from __future__ import annotations

import pytest

import pipeline.steps
from pipeline.steps.catalog import Call, step_kinds

KIND = '''
"""A step kind that somebody added."""

KEYS = {"echo": ("times",), "parrot": ()}


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


def test_every_kind_describes_and_opens():
    for kind in step_kinds().values():
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


@pytest.mark.parametrize("blocking", [True, False])
def test_a_call_learns_nothing_of_a_model_unless_told(blocking):
    call = Call(print, blocking=blocking)
    assert (call.signature.inputs, call.signature.outputs) == ({}, {})
