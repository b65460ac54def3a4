"""Cases in a client's own words: the functions ``case_…(url)`` of a plain file, run where that client is installed.

One process runs a whole file (``python cases.py FILE URL``) and tells of each case in a line of JSON, so that one that
hangs or kills the process takes only itself along. This file is read by both sides and needs nothing but Python.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import runpy
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

PREFIX = "case_"
PATIENCE = 120.0
"""Seconds after which a client that has not come through all its cases hangs."""


def names(file: Path) -> list[str]:
    """The cases of a file, in its order, without importing what it imports."""
    body = ast.parse(file.read_text()).body
    functions = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [name.removeprefix(PREFIX) for name in functions if name.startswith(PREFIX)]


def run(interpreter: Path, file: Path, url: str, env: Mapping[str, str]) -> Mapping[str, str]:
    """Case → "" where it held, else why it did not: its traceback, or how the process ended before it."""
    command = [interpreter, __file__, file, url]
    try:
        ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
        out, why = ended.stdout, f"the client ended with {ended.returncode}\n{ended.stderr}"
    except subprocess.TimeoutExpired as slow:
        out, why = (slow.stdout or b"").decode(), f"the client hung\n{(slow.stderr or b'').decode()}"
    told = [json.loads(line) for line in out.splitlines() if line.startswith('{"case":')]
    return dict.fromkeys(names(file), why) | {line["case"]: line["failure"] for line in told}


def main(file: str, url: str) -> None:
    cases = runpy.run_path(file)
    for name in names(Path(file)):
        failure = ""
        try:
            answer = cases[PREFIX + name](url)
            if inspect.iscoroutine(answer):
                asyncio.run(answer)
        except BaseException:  # noqa: BLE001  # whatever a client raises is this case's failure and no other's
            failure = traceback.format_exc()
        print(json.dumps({"case": name, "failure": failure}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
