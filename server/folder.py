"""``--model-repository``: what lies in a folder of models, each in a folder of its own.

``iris/graph.yaml`` and ``iris/model.joblib`` are the model iris; ``iris/1/…`` and ``iris/2/…`` are versions of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.blueprint import GRAPH_SUFFIXES
from pipeline.errors import ModelNotFound
from pipeline.graph.fields import NAME_RULE, is_model_name
from pipeline.graph.source import Fault, GraphFaults
from pipeline.graph.words import listed

_LOG = logging.getLogger("pipeline_serve")
_GRAPHS = ("graph.yaml", "graph.yml")


def names_in(folder: Path) -> Iterator[str]:
    """The models of the folder, whatever state they are in; what is hidden is none, and being written perhaps.

    Raises OSError.
    """
    for entry in sorted(folder.iterdir()):
        if not entry.name.startswith(".") and entry.is_dir() and is_model_name(entry.name):
            yield entry.name


def log_strays(folder: Path) -> None:
    """A line for each thing in the folder that could be meant for a model, and is none."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if not entry.is_dir():
            _LOG.warning("%s is no model: each has a folder of its own", entry)
        elif not is_model_name(entry.name):
            _LOG.warning("%s is no model: its name is not %s", entry, NAME_RULE)


def versions_in(folder: Path, name: str) -> Mapping[str | None, Path]:
    """Version → the graph file of that model, or the folder that its model file is in. None: one without a number.

    A graph in its own folder is the model, whatever lies beside it; else every numbered folder is a version. Raises
    ModelNotFound, GraphFaults where it cannot be told what is to be served, and OSError.
    """
    if name not in names_in(folder):
        raise ModelNotFound(name)
    own = folder / name
    if (graph := _graph_in(own)) is not None:
        return {None: graph}
    numbered = sorted(entry.name for entry in own.iterdir() if _is_number(entry.name) and entry.is_dir())
    # As it is written in a URL: "01" would be another "1".
    versions = sorted(int(name) for name in numbered if name == str(int(name)))
    if numbered and not versions:
        plain = str(int(numbered[0]))
        raise GraphFaults((Fault(own / numbered[0], f"is no version, for its leading zeros; name it {plain}"),))
    return {str(number): _graph_in(own / str(number)) or own / str(number) for number in versions} or {None: own}


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _graph_in(folder: Path) -> Path | None:
    for name in _GRAPHS:
        if (folder / name).is_file():
            return folder / name
    found = sorted(entry for entry in folder.iterdir() if _is_graph(entry))
    if len(found) > 1:
        names = listed([entry.name for entry in found])
        raise GraphFaults((Fault(folder, f"which of {names} is the graph? name it {_GRAPHS[0]}"),))
    return found[0] if found else None


def _is_graph(entry: Path) -> bool:
    return entry.suffix.lower() in GRAPH_SUFFIXES and not entry.name.startswith(".") and entry.is_file()
