"""User code is found, hides nothing of anybody, and says where it went wrong."""

import json
import pickle
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from pipeline.code.load import NotLoaded, load, own_names, private_name


@pytest.mark.parametrize(
    ("target", "module"),
    [
        ("app.py:clean", "app"),
        ("./app.py:clean", "app"),
        ("sub/deep.py:clean", "deep"),
        ("two words.py:clean", None),
        ("my-app.py:clean", None),
        ("class.py:clean", "class"),
        ("package.module:clean", "package.module"),
        ("package.module:Cleaner.clean", "package.module"),
        ("app.py:Cleaner.Inner.clean", "app"),
    ],
)
def test_a_target_leads_to_its_function(write, target, module):
    text = "def clean(x): return x\nclass Cleaner:\n  clean = clean\n  class Inner:\n    clean = clean\n"
    for name in ("app.py", "sub/deep.py", "two words.py", "my-app.py", "class.py", "package/module.py"):
        folder = write(name, text)
    found = load(target, folder)
    assert found(3) == 3
    assert found.__module__ == module if module else found.__module__.startswith("_user_code_")


@pytest.mark.parametrize(
    ("target", "text", "says"),
    [
        ("app.py", "", '"app.py" names no function; write file.py:name or package.module:name'),
        ("app.py:", "", "names no function"),
        (":clean", "", "names no function"),
        ("gone.py:clean", "", 'there is no file "gone.py" beside the graph'),
        ("gone:clean", "", 'there is no module "gone"; a file beside the graph is written gone.py:…'),
        ("numpy.gone:clean", "", 'there is no module "numpy.gone"'),
        ("app.py:claen", "def clean(x): ...", '"app.py" has no "claen"; did you mean "clean"'),
        ("app.py:A.claen", "class A:\n  def clean(self, x): ...", '"app.py" has no "A.claen"; did you mean "A.clean"'),
        ("app.py:x", "import sys\n\ndef x(:\n", r"app.py cannot be imported: SyntaxError: .* \(line 3\)"),
        ("app.py:x", "\nimport helper", r"SyntaxError: .* \(helper.py, line 2\)"),
        ("app.py:x", "\n\n1 / 0", r"ZeroDivisionError: division by zero \(line 3\)"),
        ("app.py:x", "def f():\n  raise OSError('no')\nf()", r"OSError: no \(line 3\)"),
        ("app.py:x", "import not_installed", r"ModuleNotFoundError: No module named 'not_installed' \(line 1\)"),
        ("app.py:x", "raise SystemExit('bye')", r"cannot be imported: it calls sys.exit\('bye'\) \(line 1\)"),
        ("app:x", "import not_installed", "app cannot be imported: ModuleNotFoundError: No module named"),
        ("app:x", "raise SystemExit(3)", r"app cannot be imported: it calls sys.exit\(3\)"),
        ("app.py:x", "\0", "SyntaxError: .*null bytes"),
        ("app.py:x", b"x = '\xff'", "SyntaxError"),
        ("app.py:x", "def f(): f()\nf()", r"RecursionError: .* \(line 2\)"),
    ],
)
def test_a_target_that_leads_nowhere_says_why(write, target, text, says):
    write("helper.py", "\ndef is not python")
    folder = write("app.py", text)
    with pytest.raises(NotLoaded, match=says):
        load(target, folder)
    assert "app" not in sys.modules or "has no" in says, "a module that failed is not kept half made"


def test_the_interrupt_of_the_person_at_the_keyboard_is_no_fault_of_the_file(write):
    folder = write("app.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load("app.py:x", folder)
    assert "app" not in sys.modules


def test_a_file_is_imported_once_however_many_steps_name_it(write):
    folder = write("app.py", "box = []\ndef put(x): box.append(x)\ndef get(x): return box")
    load("app.py:put", folder)(7)
    assert load("./app.py:get", folder)(0) == [7]
    assert load("app:get", folder)(0) == [7]


def test_siblings_are_imported_also_late_and_from_a_folder_below(write):
    write("helpers.py", "def twice(x): return 2 * x")
    write("late.py", "def thrice(x): return 3 * x")
    folder = write("sub/app.py", "from helpers import twice\ndef f(x):\n  import late\n  return twice(late.thrice(x))")
    assert load("sub/app.py:f", folder)(1) == 6


@pytest.mark.parametrize("name", ["json", "numpy", "pipeline", "storage", "server", "sys", "wave"])
def test_a_users_file_of_a_taken_name_hides_nothing_and_works(write, name):
    folder = write(f"{name}.py", "def clean(x): return 'mine'")
    write("app.py", f"import {name}\ndef theirs(x): return {name}")
    found = load(f"{name}.py:clean", folder)
    assert found(0) == "mine"
    assert found.__module__ == private_name(folder / f"{name}.py")
    theirs = load("app.py:theirs", folder)(0)
    assert not hasattr(theirs, "clean")
    assert theirs is sys.modules[name]
    assert sys.path[-1] == str(folder)


@pytest.mark.parametrize("started_in_the_folder_of", ["nobody", "a"])
def test_of_two_graphs_each_has_its_own_app_and_its_own_helpers(write, tmp_path, started_in_the_folder_of):
    """Also those that only one of them has imported, those that import each other back, and those of pickles."""
    app = (
        "import helpers\nclass Cleaner:\n  who = 'of {0}'\ndef who(x): return 'of {0}', helpers.who, helpers.back().who"
    )
    helpers = "who = 'of {0}'\ndef back():\n  return app\nimport app\n"
    folders = {}
    sys.path.insert(0, str(tmp_path / started_in_the_folder_of))
    for name in "ab":
        write("app.py", app.format(name), name)
        write("late.py", f"class Late:\n  who = 'of {name}'", name)
        folders[name] = write("helpers.py", helpers.format(name), name)
    first, second = (load("app.py:who", folders[name]) for name in "ab")
    assert first(0)[:2] == ("of a", "of a")
    assert second(0)[:2] == ("of b", "of b")
    assert first.__module__ == "app"
    assert second.__module__.startswith("_user_code_")
    assert first(0)[2]([]) == first(0)
    assert second(0)[2]([]) == second(0)
    for name, folder in folders.items():
        for named in (b"capp\nCleaner\n.", b"clate\nLate\n.", b"chelpers\nwho\n."):
            with own_names(folder):
                found = pickle.loads(named)
            assert getattr(found, "who", found) == f"of {name}"
        assert load("late:Late.who", folder) == f"of {name}"
    assert sys.modules["app"].Cleaner.who == "of a"
    assert sys.modules["helpers"].who == "of a"


def test_names_of_python_and_of_packages_are_nobodys_own(write):
    write("app.py", "", "a")
    write("json.py", "loads = None", "a")
    load("app.py:__name__", write("app.py", "", "a"))
    folder = write("app.py", "import json\nloads = json.loads", "b")
    write("json.py", "loads = None", "b")
    assert load("app.py:loads", folder) is json.loads
    with own_names(folder):
        assert pickle.loads(b"cjson\nloads\n.") is json.loads
    assert sys.modules["json"] is json


def test_own_names_are_given_back_when_loading_fails_and_wait_for_each_other(write):
    a, b = (write("app.py", f"who = '{name}'", name) for name in "ab")
    assert load("app.py:who", a) == "a"
    assert load("app.py:who", b) == "b"
    with pytest.raises(AttributeError, match="gone"), own_names(b):
        __import__("app").gone(__import__("app").who == "b")
    assert __import__("app").who == "a"
    seen = []
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with own_names(b):
            inside.set()
            leave.wait(10)

    def look():
        with own_names(a):
            seen.append(__import__("app").who)

    threads = [threading.Thread(target=hold), threading.Thread(target=look)]
    threads[0].start()
    inside.wait(10)
    threads[1].start()
    assert seen == []
    leave.set()
    for thread in threads:
        thread.join()
    assert seen == ["a"]


@pytest.mark.parametrize("target", ["numpy:log", "operator:neg", "numpy:linalg.norm"])
def test_a_function_of_a_library_is_a_step_too(tmp_path: Path, imports, target):
    assert callable(load(target, tmp_path))
    assert np.log(1) == 0
