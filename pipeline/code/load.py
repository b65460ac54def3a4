"""``file.py:name`` and ``package.module:name`` → the object, without hiding anything of anybody.

The file's folder goes to the END of ``sys.path``: sibling imports work, and a user's ``json.py`` hides nothing. A file
``app.py`` is the module ``app`` where that name is free (pickles name ``app.Cleaner``), else it gets a private name.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.graph.words import meant


class NotLoaded(Exception):
    """A target that leads to no object; the text says what was looked for and where it went wrong."""


def load(target: str, folder: Path) -> Any:
    """The object that the target names; files are relative to ``folder``.

    Runs the module's top level. Raises NotLoaded, naming line and file of the user's own error where its import failed.
    """
    where, colon, name = target.rpartition(":")
    if not colon or not where or not name:
        raise NotLoaded(f'"{target}" names no function; write file.py:name or package.module:name')
    module = _from_file(folder / where, where) if where.endswith(".py") else _from_package(where, folder)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            names = [known for known in vars(module) if not known.startswith("_")]
            raise NotLoaded(f'"{where}" has no "{name}"{meant(name, names).partition("; there are")[0]}')
        found = getattr(found, part)
    return found


def is_private(module_name: str) -> bool:
    """Whether a module was loaded under a private name, because its own was taken."""
    return module_name.startswith(_PREFIX)


_PREFIX = "_user_code_"


def _from_file(path: Path, written: str) -> ModuleType:
    path = path.absolute()
    if not path.is_file():
        raise NotLoaded(f'there is no file "{written}" beside the graph')
    see(path.parent)
    name = path.stem if _is_free(path) else private_name(path)
    loaded = sys.modules.get(name)
    if loaded is not None:
        return loaded
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise NotLoaded(f'"{written}" is no Python file')
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Exception):
            raise NotLoaded(f"{written} cannot be imported: {_told(error, path)}") from error
        raise
    return module


def _from_package(name: str, folder: Path) -> ModuleType:
    see(folder.absolute())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise NotLoaded(f'there is no module "{name}"; a file beside the graph is written {name}.py:…') from None
        raise NotLoaded(f"{name} cannot be imported: {_told(error)}") from error
    except Exception as error:
        raise NotLoaded(f"{name} cannot be imported: {_told(error)}") from error


def see(folder: Path) -> None:
    """Lets code and pickles import from that folder, after everything that is importable already."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _is_free(path: Path) -> bool:
    """Whether this file may be the module of its own name: nobody else has it, loaded or found on the path."""
    if not path.stem.isidentifier():
        return False
    loaded = sys.modules.get(path.stem)
    if loaded is not None:
        return _is_file(getattr(loaded, "__file__", None), path)
    try:
        spec = importlib.util.find_spec(path.stem)
    except (ImportError, ValueError):
        return False
    return spec is None or _is_file(spec.origin, path)


def _is_file(origin: str | None, path: Path) -> bool:
    return origin is not None and Path(origin).exists() and path.samefile(origin)


def private_name(path: Path) -> str:
    """A module name that only this file has, the same in every process."""
    return f"{_PREFIX}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"


def _told(error: Exception, path: Path | None = None) -> str:
    """``ZeroDivisionError: division by zero (line 3)``: the line is that of the user's own file."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while line is None and trace is not None and path is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path:
            line = trace.tb_lineno
            break
        trace = trace.tb_next
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}" + (f" (line {line})" if line else "")
