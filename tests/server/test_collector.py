"""What is there when a model is loaded is out of the collector's sight until one is unloaded."""

from __future__ import annotations

import gc
import weakref

import pytest

from pipeline.observe import LimitReached, ModelLoaded, ModelUnloaded
from server.collector import importing, watch_models

LOADED, UNLOADED = ModelLoaded("m", "1", 0.1), ModelUnloaded("m", "1", replaced=False)


class Thing:
    """One that refers to itself: only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def thawed():
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_garbage_of_loading_goes_at_once_and_what_stays_is_frozen():
    garbage, kept = weakref.ref(Thing()), Thing()
    watch_models(LOADED)
    assert garbage() is None
    assert gc.get_freeze_count() > 0
    assert not any(own is kept for own in gc.get_objects())


def test_what_an_unloaded_model_was_made_of_can_be_collected():
    model = Thing()
    gone = weakref.ref(model)
    watch_models(LOADED)
    watch_models(UNLOADED)
    del model
    watch_models(ModelLoaded("other", "1", 0.1))
    assert gone() is None


def test_other_events_change_nothing():
    watch_models(LimitReached("m", "s", 1))
    assert gc.get_freeze_count() == 0


def test_nothing_is_looked_at_while_a_server_imports_and_then_none_of_that():
    with importing():
        assert not gc.isenabled()
        imported = Thing()
    assert gc.isenabled()
    assert not any(own is imported for own in gc.get_objects())


def test_an_import_that_fails_leaves_the_collector_as_it_was():
    with pytest.raises(ImportError), importing():
        raise ImportError
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, 0)
