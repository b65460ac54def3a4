"""KServe's own server and ours, asked the same, side by side: what differs, and why.

``python -m tests.conformance.beside_kserve`` prints it. Compared are status, the headers that say what a body is, and
the bytes of the body. A difference is right where corpus.py has its reason; exit code 1 where one has none, or where a
reason no longer applies.
"""

from __future__ import annotations

import http.client
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.corpus import asks
from tests.conformance.reasons import Ask
from tests.peers import environment
from tests.serving import Server, serving

SERVER = Path(__file__).parents[1] / "peers" / "kserve_server.py"
APP = """
import numpy as np
from pipeline_serve import InferenceError, InferRequest, InvalidInput, ModelNotReady


def echo(x):
    return {"output-0": np.asarray(x)}


def pair(a, b):
    return {"sum": np.asarray(a + b), "product": np.asarray(a * b)}


def raw(request: InferRequest):
    return {"got": request.body}


class Asked(Exception):
    status_code = 429


def fails(kind: str):
    raise {
        "invalid": InvalidInput("the words of the author"),
        "inference": InferenceError("the words of the author"),
        "inference-status": InferenceError("the words of the author", status=422),
        "not-ready": ModelNotReady("fails", "the detail"),
        "todo": NotImplementedError("not this one"),
        "status": Asked("slow down"),
        "bug": KeyError("the secret"),
    }[kind]


def why(instances: list) -> dict:
    return {"explanations": instances}


class Breaks:
    def load(self):
        raise RuntimeError("the weights are missing")

    def __call__(self, x):
        return x
"""
FILES = {
    "app.py": APP,
    "echo.yaml": "steps: {echo: app.py:echo}",
    "typed.yaml": "schema: {inputs: {rows: 'FP32[n,2]'}, outputs: {output-0: 'FP32[n,2]'}}\nsteps: {echo: app.py:echo}",
    "pair.yaml": "steps: {pair: app.py:pair}",
    "raw.yaml": "steps: {raw: app.py:raw}",
    "fails.yaml": "steps: {fails: app.py:fails}",
    "explains.yaml": "steps: {echo: app.py:echo, why: {run: app.py:why, inputs: request}}\n"
                     "output: {predict: echo, explain: why}",
    "unready.yaml": "steps: {answer: app.py:Breaks}",
    "gone.yaml": "steps: {echo: app.py:echo}",
}  # fmt: skip
GRAPHS = [name for name in FILES if name.endswith(".yaml")]
# What a body is and where else to look; a caller's header that comes back is one of these too.
COMPARED = (
    "content-type", "inference-header-content-length", "allow", "location", "x-secret",
    "ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject",
)  # fmt: skip
# Our truths where KServe writes null, and what is made anew for every request.
VALUES = (
    (re.compile(rb'("model_version"|"versions"):(?:"1"|\["1"\])'), rb"\1:null"),
    (re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), b"AN-ID"),
    (re.compile(rb'"time":"[^"]*"'), b'"time":"NOW"'),
    (re.compile(rb"http://[0-9.:]+/"), b"http://HERE/"),
)
SHOWN = 100


@dataclass(frozen=True, slots=True)
class Difference:
    """An aspect in which two replies to ``ask`` differ, or do not though a reason is given (``stale``)."""

    ask: Ask
    aspect: str
    kserve: str
    ours: str
    reason: str = ""
    stale: bool = False

    @property
    def right(self) -> bool:
        return bool(self.reason) and not self.stale


def differences(ask: Ask, kserve: Mapping[str, str], ours: Mapping[str, str]) -> Iterator[Difference]:
    """Of two replies as ``seen``; with the reason where there is one for it and our status is the one it says."""
    for aspect in sorted(kserve.keys() | ours.keys()):
        theirs, own = kserve.get(aspect, ""), ours.get(aspect, "")
        why = next((why for why in ask.why if aspect in why.aspects), None)
        expected = why is not None and (aspect != "status" or own == str(why.ours))
        if theirs != own:
            yield Difference(ask, aspect, theirs, own, why.reason if why and expected else "")
        elif why is not None:
            yield Difference(ask, aspect, theirs, own, why.reason, stale=True)


def seen(method: str, status: int, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Aspect → what a reply has there, without what must differ. Lengths are told as right, wrong or none."""
    length = headers.get("content-length")
    if method != "HEAD":
        length = length and ("right" if length == str(len(body)) else f"{length} of {len(body)}")
    head = headers.get("inference-header-content-length")
    compared = {name: headers.get(name, "") for name in COMPARED}
    if head is not None and head.isdecimal() and body[int(head) - 1 : int(head)] == b"}":
        compared["inference-header-content-length"] = "right"
    # A body of HEAD has no bytes to compare, and its length is that of the body GET would have had.
    return {
        "status": str(status),
        "body": repr(plain(_compact(body) if _is_event(headers) else body))[2:-1],
        "content-length": (length or "none") if method != "HEAD" else "any" if length else "none",
        **{name: repr(plain(text.encode()))[2:-1] for name, text in compared.items()},
    }


def _is_event(headers: Mapping[str, str]) -> bool:
    return "ce-id" in headers or headers.get("content-type", "") == "application/cloudevents+json"


def _compact(body: bytes) -> bytes:
    """KServe writes events, and no other JSON, with spaces and escapes."""
    return json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()


def plain(text: bytes) -> bytes:
    for pattern, instead in VALUES:
        text = pattern.sub(instead, text)
    return text


def reply(port: int, ask: Ask) -> dict[str, str]:
    """Over a connection of its own, for KServe closes some without a word (row 4); the path goes as it is written."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest(ask.method, ask.path, skip_accept_encoding=True)
        for name, value in ask.headers.items():
            connection.putheader(name, value)
        if ask.method not in ("GET", "HEAD"):
            connection.putheader("content-length", str(len(ask.body)))
        connection.endheaders(ask.body)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return seen(ask.method, answer.status, headers, answer.read())
    finally:
        connection.close()


@contextmanager
def both(interpreter: Path, folder: Path) -> Iterator[tuple[int, int]]:
    """The ports of KServe's server and of ours. Both are stopped at the end."""
    command = [str(interpreter), str(SERVER), "--http_port", "0"]
    kserve = Server(command, folder, environment.environment())
    try:
        with serving(folder, FILES, "--ready", "any", graphs=GRAPHS) as server:
            for model in (name.removesuffix(".yaml") for name in GRAPHS if name != "unready.yaml"):
                ready = f"/v2/models/{model}/ready"
                server.wait_until(f"{model} is loaded", lambda ready=ready: server.get(ready).status_code == 200)
            bound = re.compile(r"running on http://[0-9.]+:([0-9]+)")
            kserve.wait_until("KServe listens", lambda: bound.search(kserve.stderr))
            found = bound.search(kserve.stderr)
            yield int(found[1]) if found else 0, server.port
    finally:
        kserve.process.kill()
        kserve.process.wait()


def compare(interpreter: Path, folder: Path) -> tuple[int, list[Difference]]:
    """(number of requests, every difference) of the whole corpus."""
    corpus = list(asks())
    with both(interpreter, folder) as (kserve, ours):
        return len(corpus), [
            each for ask in corpus for each in differences(ask, reply(kserve, ask), reply(ours, ask))
        ]  # fmt: skip


def table(found: Sequence[Difference]) -> str:
    """Reason by reason, what is wrong at the end."""
    right = [each for each in found if each.right]
    groups = {reason: [each for each in right if each.reason == reason] for reason in dict.fromkeys(
        each.reason for each in right
    )}  # fmt: skip
    unexplained = [each for each in found if not each.reason]
    stale = [each for each in found if each.stale]
    lines = []
    for title, group in {**groups, "NO REASON FOR": unexplained, "NO LONGER DIFFERENT": stale}.items():
        if group:
            lines += ["", title]
            for ask in dict.fromkeys(each.ask.what for each in group):
                lines.append(f"  {ask}")
                lines += [line for each in group if each.ask.what == ask for line in told(each)]
    return "\n".join(lines)


def summary(count: int, found: Sequence[Difference]) -> str:
    differing = len({each.ask.what for each in found if not each.stale})
    alike = f"{count} requests: {count - differing} answered alike but for versions and ids, {differing} not"
    wrong = f"{sum(not each.reason for each in found)} differences without a reason"
    return f"{alike}; {wrong}, {sum(each.stale for each in found)} reasons without a difference"


def told(each: Difference) -> tuple[str, str]:
    return f"    {each.aspect:32} KServe  {cut(each.kserve)}", f"    {'':32} ours    {cut(each.ours)}"


def cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def main() -> int:
    try:
        interpreter = environment.python("kserve")
    except environment.NoPython as nowhere:
        print(nowhere, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        count, found = compare(interpreter, Path(folder))
    print(f"{table(found)}\n\n{summary(count, found)}")
    return 0 if all(each.right for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
