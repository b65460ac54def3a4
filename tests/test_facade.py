"""What users import, and what they are told where a file of their own hides it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline_serve

ROOT = Path(__file__).parents[1]
SCRIPT = "import pipeline_serve\nprint(pipeline_serve.Pipeline.__name__)\n"


def run(*arguments, cwd):
    # As installed: our packages stand behind the script's folder on the path.
    code = f"import sys; sys.path.append({str(ROOT)!r}); import runpy; sys.path.insert(0, {str(cwd)!r}); "
    if arguments:
        code += f"sys.argv = {list(arguments)!r}; runpy.run_path({arguments[0]!r}, run_name='__main__')"
    command = [sys.executable, "-P", "-c", code]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def test_checkers_are_told_the_homes_of_the_names_as_they_are_found():
    tree = ast.parse(Path(pipeline_serve.__file__).read_text())
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    told = {own.module: tuple(alias.name for alias in own.names) for own in typed.body}
    assert {home: set(names) for home, names in told.items()} == {
        home: set(names) for home, names in pipeline_serve._HOMES.items()
    }
    assert sorted(name for names in told.values() for name in names) == pipeline_serve.__all__


@pytest.mark.parametrize("name", pipeline_serve.__all__)
def test_each_name_is_there(name):
    assert getattr(pipeline_serve, name) is not None


def test_the_names_of_the_contract_are_among_them():
    contract = {
        "Pipeline",
        "Step",
        "Context",
        "InferRequest",
        "InferResponse",
        "InvalidInput",
        "InferenceError",
        "ModelNotFound",
        "ModelNotReady",
        "Overloaded",
        "DeadlineExceeded",
        "Client",
    }
    assert contract <= set(pipeline_serve.__all__)
    assert pipeline_serve.__all__ == sorted(pipeline_serve.__all__)


def test_the_names_that_are_shown_are_those_for_users():
    shown = {name for name in dir(pipeline_serve) if not name.startswith("__")}
    assert shown == set(pipeline_serve.__all__)
    assert {"__doc__", "__all__", "__file__"} <= set(dir(pipeline_serve))


def test_a_name_that_is_not_there_is_an_attribute_error_in_pythons_words():
    with pytest.raises(AttributeError, match="module 'pipeline_serve' has no attribute 'Cliend'"):
        pipeline_serve.Cliend  # noqa: B018  # asked for


@pytest.mark.parametrize("package", ["pipeline_serve", "pipeline", "server", "storage"])
def test_each_package_says_that_it_is_typed(package):
    assert (ROOT / package / "py.typed").is_file()


@pytest.mark.parametrize("name", ["server", "pipeline", "storage"])
@pytest.mark.parametrize("form", ["{}.py", "{}/__init__.py"])
def test_a_file_of_the_users_that_hides_a_package_is_named(tmp_path, name, form):
    own = tmp_path / form.format(name)
    own.parent.mkdir(exist_ok=True)
    own.write_text("raise AssertionError('it is not even imported')")
    (tmp_path / "script.py").write_text(SCRIPT)
    ended = run("script.py", cwd=tmp_path)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    what, kind = (own.parent, "folder") if own.name == "__init__.py" else (own, "file")
    assert last == f"ImportError: {what} hides the package {name!r} of pipeline-serve: rename that {kind}"


def test_a_script_that_is_called_server_itself_is_told_so(tmp_path):
    (tmp_path / "server.py").write_text(SCRIPT)
    ended = run("server.py", cwd=tmp_path)
    assert f"{tmp_path / 'server.py'} hides the package 'server' of pipeline-serve: rename that file" in ended.stderr


def test_other_files_hide_nothing_and_no_heavy_library_is_imported(tmp_path):
    (tmp_path / "servers.py").touch()
    (tmp_path / "script.py").write_text(
        SCRIPT
        + "import sys\nprint(sorted({'sklearn', 'pandas', 'joblib', 'quart', 'hypercorn', 'httpx'} & {*sys.modules}))\n"
    )
    ended = run("script.py", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "Pipeline\n[]\n"), ended.stderr
