"""Models that misbehave on demand, as files for a real server; steps and tests tell each other things through files.

A step writes ``NAME.began``, waits for ``NAME.go`` and writes ``NAME.cancelled`` or ``NAME.ended`` into its folder.
"""

from __future__ import annotations

from collections.abc import Mapping

APP = '''
import time
from pathlib import Path

import numpy as np
import trio
from pipeline_serve import Context, InferenceError, InvalidInput

HERE = Path(__file__).parent


def mark(name):
    (HERE / name).touch()


def block(name: str) -> str:
    """Computes, as far as the loop can tell, until it is told to go on."""
    mark(f"{name}.began")
    while not (HERE / f"{name}.go").exists():
        time.sleep(0.002)
    mark(f"{name}.ended")
    return name


async def wait(name: str) -> str:
    try:
        mark(f"{name}.began")
        while not (HERE / f"{name}.go").exists():
            await trio.sleep(0.002)
        mark(f"{name}.ended")
    except trio.Cancelled:
        mark(f"{name}.cancelled")
        raise
    return name


class Teapot(Exception):
    status_code = 418


class Detailed(Exception):
    status_code = 409
    detail = "the detail"


class NoStatus(Exception):
    status_code = 200


def fail(kind: str) -> str:
    if kind == "bug":
        return {}["the secret"]  # this line is in the log
    if kind == "exit":
        raise SystemExit(7)
    raise {
        "invalid": InvalidInput("the words of the author"),
        "inference": InferenceError("the words of the author"),
        "inference-status": InferenceError("the words of the author", status=422),
        "todo": NotImplementedError("not this one"),
        "teapot": Teapot("short and stout"),
        "detailed": Detailed("not shown"),
        "no-status": NoStatus("the secret"),
        "newline": ValueError("one\\n2026-01-01 00:00:00.000 INFO    forged: line"),
        "group": ExceptionGroup("the secret", [ValueError("the secret")]),
    }[kind]


async def fail_on_loop(kind: str) -> str:
    return fail(kind)


def count(rows: np.ndarray) -> int:
    return rows.size


def echo(rows: np.ndarray) -> np.ndarray:
    return rows


def who(rows, context: Context) -> dict:
    return {"id": context.id, "remaining": context.remaining() < 1e9, "tenant": context.headers.get("x-tenant")}


def heard(rows, context: Context) -> dict:
    return {"headers": sorted(context.headers)}


class One:
    def __call__(self, rows):
        return 1


class Two:
    def __call__(self, rows):
        return 2


class Blocks:
    """Its load takes until it is told to go on."""

    def load(self):
        block("load")

    def __call__(self, rows):
        return rows


class Breaks:
    def load(self):
        raise RuntimeError("the weights are missing")

    def __call__(self, rows):
        return rows
'''

FILES: Mapping[str, str] = {
    "app.py": APP,
    "block.yaml": "steps: {answer: app.py:block}",
    "wait.yaml": "steps: {answer: app.py:wait}",
    "brief.yaml": "deadline: 50ms\nsteps: {answer: app.py:wait}",
    "narrow.yaml": "limit: 1\nqueue: 1\nsteps: {answer: app.py:wait}",
    "fail.yaml": "steps: {answer: app.py:fail}",
    "fail_on_loop.yaml": "steps: {answer: app.py:fail_on_loop}",
    "count.yaml": "steps: {count: app.py:count}",
    "echo.yaml": "schema: {inputs: {rows: 'FP32[n,2]'}, outputs: {rows: 'FP32[n,2]'}}\nsteps: {echo: app.py:echo}",
    "who.yaml": "steps: {who: app.py:who}",
    "heard.yaml": "steps: {heard: app.py:heard}",
    "one.yaml": "name: versions\nsteps: {answer: app.py:One}",
    "two.yaml": "name: versions\nversion: 2\nsteps: {answer: app.py:Two}",
}
GRAPHS = tuple(name for name in FILES if name.endswith(".yaml"))
LOADING: Mapping[str, str] = {
    "app.py": APP,
    "echo.yaml": FILES["echo.yaml"],
    "blocks.yaml": "steps: {answer: app.py:Blocks}",
    "breaks.yaml": "steps: {answer: app.py:Breaks}",
}
