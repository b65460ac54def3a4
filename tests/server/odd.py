"""Graphs whose inputs and outputs are odd, each of which answers the example that is made for it."""

APP = """
import numpy as np
from typing import Annotated


def same(x):
    return x


def many(text, flag, half, brain):
    return {"said": text, "yes": flag, "halves": half, "brains": np.array([len(text)])}


def scaled(x, scale=None):
    return x if scale is None else x * scale


def maybe(x=None):
    return np.zeros(1) if x is None else x


def annotated(rows: Annotated[np.ndarray, "INT32[n,2]"]) -> Annotated[np.ndarray, "INT32[n,2]"]:
    return rows


def plain(rows):
    return {"first": "no tensor", "rows": rows.tolist()}


def listed(rows: list) -> list:
    return rows


def two(x, scale):
    return x * scale


def raw(rows):
    return np.array([b"\\xff"] * len(rows), dtype=object)


def nan(x):
    return np.array([np.nan, np.inf, 1.0])


def greet(text: str, times: int = 2) -> list[str]:
    return [text] * times


def join(words: list[str], by: str) -> str:
    return by.join(words)


def times(x: np.ndarray, factor: float):
    return x * factor


def flip(x: Annotated[np.ndarray, "FP32[n]"], really: bool):
    return -x if really else x


def size(image: bytes) -> int:
    return len(image)


def double(number: int | None):
    return 0 if number is None else 2 * number


class Fails:
    def load(self):
        raise RuntimeError("the weights are missing")

    def __call__(self, x):
        return x
"""

GRAPHS = {
    "many.yaml": """
schema:
  inputs: {text: "BYTES[n]", flag: "BOOL[n]", half: "FP16[n,3]", brain: "BF16[2,n]"}
  outputs: {said: "BYTES[n]", "yes": "BOOL[n]", halves: "FP16[n,3]", brains: "INT64[1]"}
steps: {many: app.py:many}
""",
    "scalar.yaml": "{schema: {inputs: {x: 'INT8[]'}, outputs: {x: 'INT8[]'}}, steps: {same: app.py:same}}",
    "flag.yaml": "{schema: {inputs: {x: 'BOOL[]'}, outputs: {x: 'BOOL[]'}}, steps: {same: app.py:same}}",
    "deep.yaml": "{schema: {inputs: {x: 'UINT64[n,m,n]'}, outputs: {y: 'UINT64[n,m,n]'}}, steps: {same: app.py:same}}",
    "fixed.yaml": "{schema: {inputs: {x: 'FP32[3]'}, outputs: {x: 'FP32[3]'}}, steps: {same: app.py:same}}",
    "texts.yaml": "{schema: {inputs: {x: 'BYTES[-1,2]'}}, steps: {same: app.py:same}}",
    "scaled.yaml": "{schema: {inputs: {x: 'FP32[n]', scale: 'FP32[]?'}}, steps: {scaled: app.py:scaled}}",
    "maybe.yaml": "{schema: {inputs: {x: 'FP64[n,2]?'}}, steps: {maybe: app.py:maybe}}",
    "nan.yaml": "{schema: {outputs: {y: 'FP64[n]'}}, steps: {nan: app.py:nan}}",
    "annotated.yaml": "steps: {annotated: app.py:annotated}",
    "untyped.yaml": "steps: {same: app.py:same}",
    "plain.yaml": "steps: {plain: app.py:plain}",
    "listed.yaml": "steps: {listed: app.py:listed}",
    "two.yaml": "steps: {two: app.py:two}",
    "byname.yaml": "steps: {same: {run: app.py:same, inputs: request.x}}",
    "raw.yaml": "steps: {raw: app.py:raw}",
    "older.yaml": "{name: untyped, version: old.er, steps: {same: app.py:same}}",
    "größe.yaml": "{name: größe-1.0, schema: {inputs: {länge: 'FP32[n]'}}, steps: {same: app.py:same}}",
    "fails.yaml": "steps: {fails: app.py:Fails}",
    "greet.yaml": "steps: {greet: app.py:greet}",
    "join.yaml": "steps: {join: app.py:join}",
    "times.yaml": "steps: {times: app.py:times}",
    "flip.yaml": "steps: {flip: app.py:flip}",
    "size.yaml": "steps: {size: app.py:size}",
    "double.yaml": "steps: {double: app.py:double}",
    "explained.yaml": "{output: {predict: same, explain: why}, schema: {inputs: {x: 'FP32[n]'}},"
    " steps: {same: app.py:same, why: {run: app.py:same, inputs: request}}}",
    "image.yaml": "{schema: {inputs: {x: 'UINT8[n,224,224,3]'}}, steps: {same: app.py:same}}",
}
FILES = {"app.py": APP, **GRAPHS}
