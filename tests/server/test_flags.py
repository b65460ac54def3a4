"""Flags: defaults, units, KServe's spellings, the environment; and one helpful line for what is none."""

from __future__ import annotations

import click
import pytest

from server.flags import KserveSpelling, serve_flags


def parsed(*arguments, env=None, monkeypatch=None):
    """What the command would be called with."""
    seen = {}

    @click.command(cls=KserveSpelling)
    @click.argument("graphs", nargs=-1)
    @serve_flags
    def command(**flags):
        seen.update(flags)

    for name, text in (env or {}).items():
        monkeypatch.setenv(name, text)
    command.main(list(arguments), standalone_mode=False)
    return seen


def test_the_defaults_are_those_of_the_contract():
    flags = parsed("graph.yaml")
    assert {name: value for name, value in flags.items() if value is not None} == {
        "graphs": ("graph.yaml",), "host": "0.0.0.0", "http_port": 8080, "workers": 1, "grace": 30.0,
            "drain_delay": 0.0,
        "keep_alive": 65.0, "max_body": 64 * 2**20, "ready": "all", "log_level": "info", "log_format": "text",
        "access_log": True, "access_log_rate": 500, "latency_log": False, "ui": True, "offline": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--http_port=9000"], "http_port", 9000),
        (["--http_port", "9000"], "http_port", 9000),
        (["--http-port", "9000"], "http_port", 9000),
        (["--model_name", "m"], "model_name", "m"),
        (["--offline"], "offline", True),
        (["--cache-size", "10GiB"], "cache_size", 10 * 2**30),
        (["--workers", "2"], "workers", 2),
        (["--workers=1", "--host", "::"], "host", "::"),
        (["--ssl_certfile", "c"], "tls_cert", "c"),
        (["--ssl_keyfile=k"], "tls_key", "k"),
        (["--timeout_keep_alive", "5"], "keep_alive", 5.0),
        (["--timeout_keep_alive=5"], "keep_alive", 5.0),
        (["--timeout-keep-alive", "5s"], "keep_alive", 5.0),
        (["--keep-alive", "500ms"], "keep_alive", 0.5),
        (["--max-body", "1KiB"], "max_body", 1024),
        (["--max_body=2MB"], "max_body", 2_000_000),
        (["--no-access-log"], "access_log", False),
        (["--no_access_log"], "access_log", False),
        (["--no-ui"], "ui", False),
        (["--no_ui"], "ui", False),
        (["--enable_docs_url", "true"], "ui", True),
        (["--enable_docs_url=False"], "ui", False),
        (["--enable-docs-url", "0"], "ui", False),
        (["--no-ui", "--enable_docs_url", "yes"], "ui", True),
        (["--log-level", "WARNING"], "log_level", "warning"),
        (["--enable_latency_logging", "true"], "latency_log", True),
        (["--latency-log"], "latency_log", True),
        (["--access_log_format", "%(r)s %(s)s"], "access_log_format", "%(r)s %(s)s"),
        (["--access-log-rate", "20"], "access_log_rate", 20),
        (["--model-name", "a_b"], "model_name", "a_b"),
        (["--model-name=a=b"], "model_name", "a=b"),
    ],
)
def test_a_flag_is_read_in_our_spelling_and_in_kserves(arguments, name, value):
    found = parsed(*arguments, "graph.yaml")
    assert found["graphs"] == ("graph.yaml",)
    assert (str(found[name]) if name.startswith("tls") else found[name]) == value


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("PIPELINE_SERVE_HTTP_PORT", "9001", "http_port", 9001),
        ("PIPELINE_SERVE_GRACE", "5s", "grace", 5.0),
        ("PIPELINE_SERVE_MAX_BODY", "1MiB", "max_body", 2**20),
        ("PIPELINE_SERVE_ACCESS_LOG", "false", "access_log", False),
        ("PIPELINE_SERVE_READY", "any", "ready", "any"),
        ("PIPELINE_SERVE_UI", "false", "ui", False),
        ("PIPELINE_SERVE_LOG_FORMAT", "json", "log_format", "json"),
    ],
)
def test_each_flag_has_an_environment_variable_that_the_flag_overrules(variable, text, name, value, monkeypatch):
    assert parsed("g", env={variable: text}, monkeypatch=monkeypatch)[name] == value
    assert parsed("g", "--http-port", "7", "--grace", "7s", "--max-body", "7B", "--access-log", "--ready", "all",
                  "--ui", "--log-format", "text")[name] != value  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--htp-port", "1"], 'there is no flag "--htp-port"; did you mean "--http-port"?'),
        (["--zzzzzz"], 'there is no flag "--zzzzzz"'),
        (["--workers", "0"], "0 is no number of worker processes: 1 to 512"),
        (["--workers", "many"], "many is no number of worker processes: 1 to 512"),
        (["--grpc_port", "8081"], "--grpc_port is known but not built yet"),
        (["--reload"], "--reload is known but not built yet"),
        (["--http-port", "70000"], "a port is a number from 0 to 65535, not 70000"),
        (["--http-port", "http"], "a port is a number from 0 to 65535, not http"),
        (["--grace", "30"], "30 has no unit; write 30ms or 30s"),
        (["--grace", "-1s"], "-1s is negative"),
        (["--max-body", "64"], "64 has no unit"),
        (["--ready", "some"], "'some' is not one of 'all', 'any'"),
        (["--timeout_keep_alive"], "is not a duration"),
        (["--enable_docs_url"], '--enable_docs_url is true or false, not ""'),
        (["--enable-docs-url=maybe"], '--enable-docs-url is true or false, not "maybe"'),
        (["--enable_docs_ulr=true"], 'did you mean "--enable-docs-url"?'),
        (["--timeout_keep_alive", "soon"], "is not a duration"),
        (["--access-log-format", "%(s)"], '"%(s)" is no form of a line: incomplete format'),
        (["--log_config_file", "nope.yaml"], "File 'nope.yaml' does not exist"),
    ],
)
def test_a_flag_that_is_wrong_is_one_line_that_says_how(arguments, says):
    with pytest.raises(click.UsageError) as error:
        parsed("graph.yaml", *arguments)
    text = error.value.format_message()
    assert says in text
    assert "\n" not in text


def test_after_two_dashes_everything_is_a_file():
    assert parsed("--", "--http_port").get("graphs") == ("--http_port",)
