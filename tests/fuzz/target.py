"""What is fuzzed: a real server whose graphs answer with what they were sent, and what its process uses.

No step here raises, so a 500 is never user code's.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.serving import Server, serving

APP = '''
from pathlib import Path

import numpy as np
import trio
from pipeline_serve import InferRequest, InferResponse

HERE = Path(__file__).parent


def echo(rows: np.ndarray) -> np.ndarray:
    return rows


def pair(a, b) -> dict[str, np.ndarray]:
    return {"a": a, "b": b}


def whole(request: InferRequest) -> InferResponse:
    """Tensors of every datatype and JSON as they came."""
    return InferResponse(model=request.model, outputs=request.inputs)


async def wait(name: str) -> str:
    """Is in flight until it is told to go on."""
    (HERE / f"{name}.began").touch()
    while not (HERE / f"{name}.go").exists():
        await trio.sleep(0.005)
    return name
'''
FILES: Mapping[str, str] = {
    "app.py": APP,
    "echo.yaml": "schema: {inputs: {rows: 'FP32[n,2]'}, outputs: {rows: 'FP32[n,2]'}}\nsteps: {echo: app.py:echo}",
    "pair.yaml": "schema: {inputs: {a: 'INT64[n]', b: 'BYTES[n]'}}\nsteps: {pair: app.py:pair}",
    "whole.yaml": "steps: {whole: app.py:whole}",
    "wait.yaml": "deadline: none\nsteps: {wait: app.py:wait}",
    "brief.yaml": "deadline: 500ms\nsteps: {wait: app.py:wait}",
}
GRAPHS = ("echo.yaml", "pair.yaml", "whole.yaml", "wait.yaml", "brief.yaml")
HAS_OPENSSL = shutil.which("openssl") is not None
_WRONG = re.compile(r"Traceback| ERROR | CRITICAL |Warning:")


def target(folder: Path, *flags: str) -> AbstractContextManager[Server]:
    """A fresh server of the graphs, which takes no harm."""
    return unharmed(folder, FILES, *flags, graphs=GRAPHS)


@contextmanager
def unharmed(
    folder: Path,
    files: Mapping[str, str],
    *flags: str,
    graphs: Sequence[str],
    command: Sequence[str] = (sys.executable, "-m", "pipeline_serve"),
) -> Iterator[Server]:
    """As ``serving``. At the end it must still run, stop as it is told to, and have logged no error."""
    with serving(folder, files, *flags, graphs=graphs, command=command) as server:
        yield server
        assert server.process.poll() is None, f"the server died\n{server.output}"
        assert server.stop() == 0, server.output
        assert complaints(server) == []


def complaints(server: Server) -> list[str]:
    """The lines of the log that a client must not be able to cause: errors, tracebacks, warnings of Python."""
    return [line for line in server.stderr.splitlines() if _WRONG.search(line)]


def descriptors(server: Server) -> int:
    """Open files and sockets of the process; Linux tells."""
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def resident(server: Server) -> int:
    """Bytes of memory that the process has in use; Linux tells."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])  # type: ignore[index]
