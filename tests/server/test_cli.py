"""The commands: what they are called with, what they say, and how little they import to say it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from server import cli
from server.cli import main
from server.version import VERSION
from tests.serving import ROOT


def ended(capsys, *arguments):
    """(exit code, stdout, stderr) of the console script."""
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    shown = capsys.readouterr()
    return end.value.code, shown.out, shown.err


def test_help_shows_the_commands_and_where_the_flags_are(capsys):
    code, out, err = ended(capsys, "--help")
    assert (code, err) == (0, "")
    assert "pipeline-serve graph.yaml" in out
    assert "pipeline-serve serve --help" in out
    for command in ("check", "draw", "init", "run", "schema", "serve"):
        assert f"\n  {command} " in out
    assert "..." not in out.partition("Commands:")[2], "no description is cut"
    assert ended(capsys, "-h") == (code, out, err)


def test_the_help_of_serving_shows_every_flag_with_its_default_and_the_variables(capsys):
    code, out, _ = ended(capsys, "serve", "--help")
    assert code == 0
    known = {option.opts[0] for option in cli.serve.params if option.opts[0].startswith("--")}
    assert known >= {"--host", "--http-port", "--workers", "--grace", "--drain-delay", "--max-body", "--ready"}
    for flag in known:
        assert f"\n  {flag} " in out
    assert "[default: 64MiB]" in out
    assert "PIPELINE_SERVE_HTTP_PORT" in out


def test_without_a_command_the_help_is_shown_and_it_is_a_mistake(capsys):
    code, out, err = ended(capsys)
    assert (code, out) == (2, "")
    assert err.startswith("Usage: pipeline-serve")


def test_the_version_is_the_installed_one(capsys):
    assert ended(capsys, "--version") == (0, f"pipeline-serve {VERSION}\n", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["bench", "graph.yaml"], "the command bench is known but not built yet"),
        (["export", "k8s"], "the command export is known but not built yet"),
        (["serve"], "Missing argument 'GRAPH.yaml|MODEL…'"),
        ([""], "an empty text names no graph and no model"),
        (["check", ""], "an empty text names no graph and no model"),
        (["check"], "Missing argument 'GRAPH.yaml|MODEL…'"),
        (["run", "graph.yaml"], "Missing argument 'REQUEST.json'"),
        (["run", "a", "b", "--verb", "explode"], "'explode' is not"),
        (["-x", "graph.yaml"], "No such option '-x'"),
        (["--no-such"], 'there is no flag "--no-such"'),
    ],
)
def test_a_mistake_in_use_is_one_line_and_exit_2(capsys, arguments, says):
    code, out, err = ended(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("pipeline-serve: ")
    assert says in err


@pytest.mark.parametrize("flags", [[], ["serve"], ["--http_port=9"], ["serve", "--ready", "any"]])
def test_serving_is_what_happens_when_no_command_is_named(capsys, flags):
    assert ended(capsys, *flags, "no.yaml") == (2, "", "no.yaml: cannot be read: No such file or directory\n")


HEAVY = (
    "numpy",
    "networkx",
    "trio",
    "quart",
    "hypercorn",
    "prometheus_client",
    "msgspec",
    "ruamel",
    "sklearn",
    "asyncio",
)


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["--version"], ["serve", "--http-prot"]])
def test_what_only_talks_imports_nothing_heavy(arguments):
    script = (
        "import sys\nfrom server.cli import main\ntry:\n    main(sys.argv[1:])\n"
        f"finally:\n    print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    command = [sys.executable, "-c", script, *arguments]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert shown.splitlines()[-1] == "heavy: []"


def test_a_mistyped_command_is_told_what_it_meant(capsys):
    with pytest.raises(SystemExit) as end:
        main(["chekc", "graph.yaml"])
    assert end.value.code == 2
    assert capsys.readouterr().err == 'pipeline-serve: there is no command "chekc"; did you mean "check"?\n'
