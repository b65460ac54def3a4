"""The names of KServe that docs/kserve.md promises, and those that it says are not here."""

import re
from importlib import import_module

import pytest

from tests.serving import ROOT

PAGE = (ROOT / "docs" / "kserve.md").read_text()
ROWS = re.findall(r"^\| `(\.[\w.]+)` \| (.*) \|$", PAGE, re.MULTILINE)
# Told of beside the names; `args` reads the command line of whoever asks for it, which is pytest's here.
OTHERS = {"isinstance", "kserve_storage", "download_files", "args"}


@pytest.mark.parametrize(("path", "told"), ROWS)
def test_a_name_of_the_table_is_there(path, told):
    module = import_module(f"pipeline_serve.kserve{path}")
    assert {name for name in re.findall(r"`(\w+)`", told) if not hasattr(module, name)} <= OTHERS


def test_what_the_page_says_is_not_here_is_not():
    (told,) = re.findall(r"^Not here, .*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    paths = re.findall(r"`(\.[\w.]+)`", told)
    assert len(paths) > 6
    for path in set(paths) - {".errors"}:
        with pytest.raises(ModuleNotFoundError):
            import_module(f"pipeline_serve.kserve{path}")
    package = import_module("pipeline_serve.kserve")
    assert not any(hasattr(package, name) for name in re.findall(r"`(\w+)`", told))
