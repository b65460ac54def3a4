"""The route table: the paths of KServe's contract, section 1.1, and what is on none of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Code, InferError
from pipeline.tensors.message import AskLive, AskModel, AskModelReady, AskModels, AskReady, AskServer
from server.routes import Routes

ROUTES = Routes()

FOUND = [
    ("GET", "/", AskLive, None, "", ""),
    ("GET", "/v1/models", AskModels, None, "", ""),
    ("GET", "/v1/models/m", AskModelReady, None, "m", ""),
    ("POST", "/v1/models/m:predict", None, "predict", "m", ""),
    ("POST", "/v1/models/m:explain", None, "explain", "m", ""),
    ("POST", "/v1/models/m:n:predict", None, "predict", "m:n", ""),
    ("GET", "/v2", AskServer, None, "", ""),
    ("GET", "/v2/", AskServer, None, "", ""),
    ("HEAD", "/v2/health/live", AskLive, None, "", ""),
    ("GET", "/v2/health/live", AskLive, None, "", ""),
    ("GET", "/v2/health/ready", AskReady, None, "", ""),
    ("GET", "/v2/models", AskModels, None, "", ""),
    ("GET", "/v2/models/m", AskModel, None, "m", ""),
    ("GET", "/v2/models/m/versions/3", AskModel, None, "m", "3"),
    ("GET", "/v2/models/m/ready", AskModelReady, None, "m", ""),
    ("GET", "/v2/models/m/versions/3/ready", AskModelReady, None, "m", "3"),
    ("POST", "/v2/models/m/infer", None, "predict", "m", ""),
    ("POST", "/v2/models/m/versions/3/infer", None, "predict", "m", "3"),
    ("POST", "/v2/models/m/versions/3/explain", None, "explain", "m", "3"),
    ("GET", "/v2/models/größe", AskModel, None, "größe", ""),
]


@pytest.mark.parametrize(("method", "path", "command", "verb", "model", "version"), FOUND)
def test_a_path_leads_to_its_command_or_verb_with_model_and_version(method, path, command, verb, model, version):
    match = ROUTES.match(method, path)
    assert (match.route.asks, match.route.verb, match.model, match.version) == (command or verb, verb, model, version)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nope"), ("POST", "/v2/models/a/b/c"), ("GET", "/v2/models/a\nb/x"), ("GET", "/v10/models")],
)
def test_what_is_on_no_route_is_no_match(method, path):
    assert ROUTES.match(method, path) is None


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v2/health/live", "GET, HEAD"),
        ("GET", "/v2/models/m/infer", "POST"),
        ("HEAD", "/v2/models/m/infer", "POST"),
        ("DELETE", "/v1/models/m", "GET, HEAD"),
        # KServe: `POST :foo` matches the GET route.
        ("POST", "/v1/models/m:foo", "GET, HEAD"),
        ("PUT", "/v1/models/m:predict", "POST"),
    ],
)
def test_a_wrong_method_names_the_right_ones(method, path, allow):
    with pytest.raises(InferError) as error:
        ROUTES.match(method, path)
    assert (error.value.code, error.value.headers["allow"]) == (Code.METHOD_NOT_ALLOWED, allow)


@given(st.sampled_from(["GET", "POST", "HEAD", "x"]), st.text(max_size=40))
def test_any_method_and_path_is_a_match_or_none_or_an_error_for_the_caller(method, path):
    try:
        match = ROUTES.match(method, "/" + path)
    except InferError as error:
        assert error.code is Code.METHOD_NOT_ALLOWED
    else:
        assert match is None or "/" not in match.model + match.version


def test_the_memory_of_matches_is_bounded_though_callers_choose_the_paths():
    routes = Routes()
    for number in range(3000):
        routes.match("GET", f"/v2/models/m{number}")
    assert routes._remembered.cache_info().currsize <= 1024


def test_long_paths_are_answered_and_not_remembered():
    routes = Routes()
    for number in range(3):
        assert routes.match("GET", f"/v2/models/{'a' * 10_000}{number}").model == f"{'a' * 10_000}{number}"
    assert routes._remembered.cache_info().currsize == 0
    routes.match("GET", "/v2")
    assert routes._remembered.cache_info().currsize == 1
