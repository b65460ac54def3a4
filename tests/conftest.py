"""What every test may use: a place for user code whose imports are undone, and a logging that is."""

import logging
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

EXAMPLES = str(Path(__file__).parents[1] / "examples")

# A busy machine is no fault of what is tested.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# A shell starts what it puts into the background deaf to Ctrl-C, and so would be every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def imports() -> Iterator[None]:
    """Undoes what a test does to ``sys.path`` and ``sys.modules``: modules of its own are gone, others are back."""
    path, modules, finders = list(sys.path), dict(sys.modules), list(sys.meta_path)
    yield
    sys.path[:], sys.meta_path[:] = path, finders
    for name in sys.modules.keys() - modules.keys():
        # Libraries stay: numpy cannot be imported twice.
        file = str(getattr(sys.modules[name], "__file__", ""))
        if name.startswith("_user_code_") or "pytest-" in file or file.startswith(EXAMPLES):
            del sys.modules[name]
    sys.modules.update(modules)


@pytest.fixture
def own_logging() -> Iterator[None]:
    """The process's logging is set up by the test, and put back."""
    root, access, httpx = map(logging.getLogger, (None, "pipeline_serve.access", "httpx"))
    level, handlers, disabled = root.level, root.handlers[:], access.disabled
    yield
    logging.captureWarnings(capture=False)
    root.setLevel(level)
    root.handlers[:] = handlers
    access.disabled = disabled
    httpx.setLevel(logging.NOTSET)


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, imports: None) -> Write:
    """``write("app.py", "…")`` makes the file in a folder of the test's own and returns that folder."""

    def write(name: str, text: str | bytes = "", folder: str = "graph") -> Path:
        file = tmp_path / folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return tmp_path / folder

    return write
