"""What the path of a URL asks another server for: the inverse of what our own server routes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tensors.message import Infer, InferRequest
from pipeline.wire import v1, v2
from pipeline.wire.codec import codecs, inferring
from pipeline.wire.paths import asked_by, asking_paths, pattern


@pytest.mark.parametrize(
    ("path", "codec", "verb", "model", "version", "prefix"),
    [
        ("/v1/models/m:predict", v1, "predict", "m", "", ""),
        ("/v1/models/m:explain", v1, "explain", "m", "", ""),
        ("/v1/models/m%3apredict", v1, "predict", "m", "", ""),
        ("/v1/models/a:b:predict", v1, "predict", "a:b", "", ""),
        ("/v2/models/m/infer", v2, "predict", "m", "", ""),
        ("/v2/models/m/infer/", v2, "predict", "m", "", ""),
        ("/v2/models/m/explain", v2, "explain", "m", "", ""),
        ("/v2/models/m/versions/3/infer", v2, "predict", "m", "3", ""),
        ("/v2/models/m/versions/3/explain", v2, "explain", "m", "3", ""),
        ("/v2/models/a%20b%2Fc/infer", v2, "predict", "a b/c", "", ""),
        ("/gate/way/v2/models/m/infer", v2, "predict", "m", "", "/gate/way"),
        ("/v1/models/x:predict/v1/models/m:predict", v1, "predict", "m", "", "/v1/models/x:predict"),
    ],
)
def test_the_end_of_a_path_says_what_is_asked(path, codec, verb, model, version, prefix):
    asked = asked_by(path)
    assert (asked.codec, asked.verb, asked.model, asked.version) == (codec, verb, model, version)
    assert asked.prefix == prefix


@pytest.mark.parametrize(
    "path",
    ["", "/", "/v1/models", "/v1/models/m", "/v1/models/:predict", "/v2/models/m", "/v2/models/m/ready",
     "/v2/models//infer", "/v1/models/m:classify", "/v3/models/m/infer", "/v2/models/m/infer/more"],
)  # fmt: skip
def test_a_path_that_runs_no_model_asks_nothing(path):
    assert asked_by(path) is None


@given(
    codec=st.sampled_from(list(inferring(codecs()).values())),
    verb=st.sampled_from(["predict", "explain"]),
    model=st.text("abz.-_0:", min_size=1).filter(lambda name: not set(name) <= {".", "/"}),
    prefix=st.sampled_from(["", "/gate", "/a/b"]),
)
def test_what_a_client_asks_is_read_back(codec, verb, model, prefix):
    call = codec.encode_request(Infer(InferRequest(model=model, inputs={}), verb), codec.preferring(False))
    asked = asked_by(prefix + call.path)
    assert (asked.codec, asked.verb, asked.model, asked.prefix) == (codec, verb, model, prefix)


def test_people_are_told_the_ends_there_are():
    assert asking_paths()[:3] == ("/v1/models/MODEL:predict", "/v1/models/MODEL:explain", "/v2/models/MODEL/infer")
    assert all(asked_by(path) is not None for path in asking_paths())


def test_a_group_of_a_pattern_holds_no_slash():
    known = pattern("/models/{model}/x.y")
    assert known.fullmatch("/models/a b/x.y")["model"] == "a b"
    assert known.fullmatch("/models/a/b/x.y") is None
    assert known.fullmatch("/models/a/xzy") is None
