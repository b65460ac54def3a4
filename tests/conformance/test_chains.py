"""Transformers and predictors in a row, KServe's and ours in every mix: the answers are those of KServe's own chain."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.conformance.beside_kserve import differences, plain, table
from tests.conformance.chain_corpus import CHAINS, FRONT, JSON, Asked, asked, raw
from tests.conformance.chains import KSERVE, KSERVE_OURS, OURS_KSERVE, OURS_OURS, WATCHED, Chains, chains
from tests.conformance.reasons import Ask

if TYPE_CHECKING:
    import httpx

pytestmark = pytest.mark.slow

NUMPY = {
    "BOOL": "?", "INT8": "i1", "INT32": "<i4", "INT64": "<i8", "UINT8": "u1", "UINT64": "<u8", "FP32": "<f4",
    "FP64": "<f8",
}  # fmt: skip


@pytest.fixture(scope="module")
def all_chains(peer, tmp_path_factory) -> Iterator[Chains]:
    with chains(peer("kserve"), tmp_path_factory.mktemp("chains")) as started:
        yield started


# ---- a reply as values, read by nobody's code but this


def aspects(reply: httpx.Response, how: str) -> dict[str, str]:
    """Status, what the body is, and what it says: tensors by their values, whether they came in JSON or in binary."""
    length = reply.headers.get("inference-header-content-length")
    body = reply.content if length is None else reply.content[: int(length)]
    said = json.loads(body)
    if how != "v1" and reply.status_code == 200:
        said = {
            "model_name": said["model_name"],
            "id": said["id"],
            "parameters": said.get("parameters") or None,
            "outputs": [*outputs(said["outputs"], reply.content[len(body) :])],
        }
    return {
        "status": str(reply.status_code),
        "content-type": reply.headers.get("content-type", ""),
        "form": "JSON" if length is None else "binary",
        "body": plain(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).decode(),
    }


def outputs(entries: list[Mapping[str, Any]], tail: bytes) -> Iterator[Mapping[str, Any]]:
    for entry in entries:
        size = (entry.get("parameters") or {}).get("binary_data_size")
        own, tail = (b"", tail) if size is None else (tail[:size], tail[size:])
        data = entry["data"] if size is None else [*texts(own)] if entry["datatype"] == "BYTES" else own
        yield {**{key: entry[key] for key in ("name", "datatype", "shape")}, "data": values(entry["datatype"], data)}
    assert tail == b""


def values(datatype: str, data: list[Any] | bytes) -> list[Any]:
    """Numbers that are equal in the datatype are equal here, however many digits were written."""
    if datatype == "BYTES":
        return list(data)
    number = np.dtype(NUMPY[datatype])
    array = np.frombuffer(data, number) if isinstance(data, bytes) else np.array(data, number)
    return [str(each) for each in array.ravel()]


def texts(tail: bytes) -> Iterator[str]:
    while tail:
        end = 4 + int.from_bytes(tail[:4], "little")
        yield tail[4:end].decode()
        tail = tail[end:]


# ---- the same of all


def cases() -> Iterator[Any]:
    for one in asked():
        for chain in CHAINS:
            hows = ("v1",) if one.how == "v1" else ("v2", "v2 in JSON") if chain != KSERVE_OURS else ("v2",)
            yield from (pytest.param(one, chain, how, id=f"{one.what}, {chain} {how}") for how in hows)


@pytest.mark.parametrize(("one", "chain", "how"), [*cases()])
def test_a_chain_answers_as_kserves_own_or_differs_for_a_reason(all_chains: Chains, one: Asked, chain, how):
    def ask(chain: str, how: str) -> dict[str, str]:
        return aspects(all_chains.ask(chain, how, one.model, one.verb, one.body, one.headers), one.how)

    theirs = all_chains.reference(one.what, lambda: ask(KSERVE, one.how))
    assert theirs["status"] == str(one.status), theirs["body"]
    named = Ask(one.what, "POST", one.model, one.body, one.headers, one.why_of(chain))
    if wrong := [each for each in differences(named, theirs, ask(chain, how)) if not each.right]:
        pytest.fail(table(wrong), pytrace=False)


def test_the_requests_have_names_of_their_own():
    names = [one.what for one in asked()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("chain", FRONT)
def test_an_explanation_is_given_over_v2_too_whoever_the_explainer_is(all_chains, chain):
    tensor = {"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3.5, 4]}
    reply = all_chains.ours[chain].post("/v2/models/explained/explain", {"inputs": [tensor]}).json()
    (output,) = reply["outputs"]
    assert (output["shape"], output["data"]) == ([2, 2], [3, 5, 8, 9])


# ---- what travels with a request, and what does not come back


HEARD = {
    "x-request-id": "mine-7", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "a=1", "authorization": "Bearer secret", "cookie": "secret",
}  # fmt: skip
TRAVEL = {
    KSERVE: {"x-request-id", "authorization"},
    KSERVE_OURS: {"x-request-id", "authorization"},
    **{chain: {"x-request-id", "traceparent", "tracestate"} for chain in FRONT},
}


@pytest.mark.parametrize("how", ["v1", "v2"])
@pytest.mark.parametrize("chain", TRAVEL)
def test_the_predictor_hears_who_asks_and_in_which_trace(all_chains, chain, how):
    """A token is for one server: ours sends it on where a step's ``forward`` names it, KServe's always does."""
    names = list(HEARD)
    tensor = {"name": "x", "shape": [len(names)], "datatype": "BYTES", "data": names}
    body = json.dumps({"instances": names} if how == "v1" else {"inputs": [tensor]}).encode()
    reply = all_chains.ask(chain, how, "heard", "predict", body, JSON | HEARD).json()
    heard = reply["predictions"] if how == "v1" else reply["outputs"][0]["data"]
    assert {name: text for name, text in zip(names, heard, strict=True) if text} == {
        name: HEARD[name] for name in TRAVEL[chain]
    }


@pytest.mark.parametrize("one", [each for each in asked() if each.status == 500], ids=lambda one: one.what)
@pytest.mark.parametrize("chain", FRONT)
def test_where_the_predictor_is_and_what_it_said_is_for_the_log_alone_9(all_chains, chain, one):
    own = re.sub(r"\W+", "-", one.what)
    reply = all_chains.ask(chain, one.how, one.model, one.verb, one.body, one.headers | {"x-request-id": own})
    assert not re.search(r"http:|127\.0\.0\.1|the words|secret|detail", reply.text)
    if one.model != "numbers":  # what fails there fails in front of the predictor
        assert 'step "predict": the server that it calls answered ' in reply.json()["error"]
        log = [line for line in all_chains.ours[chain].stderr.splitlines() if own in line]
        assert any(re.search(r"http://127\.0\.0\.1:\d+/v[12]/models/\w+.* was answered \d+: \{", line) for line in log)


def test_a_predictors_wish_when_to_come_again_passes(all_chains):
    reply = all_chains.ask(OURS_KSERVE, "v1", "fails", "predict", b'{"instances": ["status"]}', JSON)
    assert (reply.status_code, reply.headers.get("retry-after")) == (429, "7")


# ---- who is ready while whom


QUESTIONS = (
    "/v2/health/ready", "/v1/models/numbers", "/v1/models/unready", "/v1/models/absent", "/v1/models/nope",
    "/v2/models/numbers/ready", "/v2/models/unready/ready", "/v2/models/absent/ready",
)  # fmt: skip


@pytest.mark.parametrize("how", ["v1", "v2"])
@pytest.mark.parametrize("path", QUESTIONS)
def test_a_transformer_of_kserve_that_asks_whether_we_are_ready_is_answered_as_by_its_own(all_chains, path, how):
    """Its ``--enable_predictor_health_check`` asks our server and our models."""
    theirs, ours = (all_chains.get(chain, how, path) for chain in (KSERVE, KSERVE_OURS))
    assert (theirs.status_code, theirs.json()) == (ours.status_code, ours.json())
    assert theirs.status_code == (404 if "nope" in path else 503 if re.search("unready|absent", path) else 200)


@pytest.mark.parametrize("how", ["v1", "v2"])
@pytest.mark.parametrize("chain", FRONT)
def test_with_ready_a_transformer_of_ours_is_ready_while_its_predictor_is(all_chains, chain, how):
    def ready(name: str) -> int:
        return all_chains.get(chain, how, f"/v2/models/{name}-by-{how}/ready").status_code

    # It may have been asked before KServe listened.
    all_chains.ours[chain].wait_until("the predictor is seen ready", lambda: ready("numbers") == 200)
    assert {name: ready(name) for name in WATCHED} == {"numbers": 200, "unready": 503, "absent": 503}


# ---- what KServe's own chain cannot do


def test_a_transformer_of_kserve_that_sends_raw_tensors_is_understood_by_us_and_not_by_kserve(all_chains):
    """It says that its body is JSON and that it is binary, with a content-type for each."""
    body = {"id": "7", "inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}]}
    content = json.dumps(body).encode()
    replies = {
        chain: all_chains.ask(chain, "v2", "raw", "predict", content, JSON) for chain in (KSERVE, *CHAINS)
    }  # fmt: skip
    assert replies.pop(KSERVE).status_code == 500
    for reply in replies.values():
        assert reply.json()["outputs"][0]["data"] == [9, 15]


@pytest.mark.parametrize("chain", FRONT)
def test_a_half_precision_tensor_passes_in_binary_17(all_chains, chain):
    sent = raw("half", {"x": ("FP16", np.array([1, 2], np.float16))}, "numbers")
    assert all_chains.ask(KSERVE, "v2", "numbers", "predict", sent.body, sent.headers).status_code == 400
    reply = all_chains.ask(chain, "v2", "numbers", "predict", sent.body, sent.headers)
    (output,) = reply.json()["outputs"]
    assert (output["datatype"], output["data"]) == ("FP16", [9, 15])


def test_bytes_that_are_no_text_pass_in_binary_16(all_chains):
    array = np.array([b"\xff "], np.object_)
    sent = raw("bytes", {"x": ("BYTES", array)}, "texts", parameters={"binary_data_output": True})
    assert all_chains.ask(KSERVE, "v2", "texts", "predict", sent.body, sent.headers).status_code == 500
    reply = all_chains.ask(OURS_OURS, "v2", "texts", "predict", sent.body, sent.headers)
    assert reply.content[int(reply.headers["inference-header-content-length"]) :] == b"\x04\0\0\0<\xff!>"
