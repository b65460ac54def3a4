"""The command line of a script: KServe's flags and values, ours beside them, a parser that others extend."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from server.script import config_of, make_parser, parse

# Of KServe 0.21, by its own parser.
KSERVE = {
    "http_port": 8080, "grpc_port": 8081, "workers": 1, "max_threads": 4, "max_asyncio_workers": None,
    "enable_grpc": True, "enable_docs_url": False, "enable_latency_logging": True, "configure_logging": True,
    "log_config_file": None, "access_log_format": None, "event_loop": "auto", "timeout_keep_alive": 65,
    "model_name": "model", "predictor_host": None, "protocol": "v1", "predictor_protocol": "v1",
    "predictor_use_ssl": False, "predictor_request_timeout_seconds": 600, "predictor_request_retries": 0,
    "grpc_max_send_message_length": 8388608, "grpc_max_receive_message_length": 8388608,
    "enable_predictor_health_check": False, "ssl_certfile": None, "ssl_keyfile": None,
}  # fmt: skip


def parsed(*arguments, **environment):
    return parse(arguments, environment)


def test_the_defaults_are_kserves():
    told = vars(parsed())
    assert {name: told[name] for name in KSERVE} == KSERVE


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--http_port", "9000"], "http_port", 9000),
        (["--http-port=9000"], "http_port", 9000),
        (["--grpc_port", "9001"], "grpc_port", 9001),
        (["--enable_grpc", "no"], "enable_grpc", False),
        (["--enable_grpc=F"], "enable_grpc", False),
        (["--enable_docs_url", "ON"], "enable_docs_url", True),
        (["--ui"], "enable_docs_url", True),
        (["--enable_docs_url=1", "--no-ui"], "enable_docs_url", False),
        (["--configure_logging", "0"], "configure_logging", False),
        (["--event-loop", "uvloop"], "event_loop", "uvloop"),
        (["--timeout-keep-alive", "5"], "timeout_keep_alive", 5),
        (["--keep-alive", "500ms"], "timeout_keep_alive", 0.5),
        (["--enable_predictor_health_check"], "enable_predictor_health_check", True),
        (["--predictor_host", "h:80"], "predictor_host", "h:80"),
        (["--predictor_protocol", "grpc-v2"], "predictor_protocol", "grpc-v2"),
        (["--max_asyncio_workers", "3"], "max_asyncio_workers", 3),
        (["--ssl_certfile", "c.pem"], "ssl_certfile", "c.pem"),
        (["--tls-cert", "c.pem"], "ssl_certfile", Path("c.pem")),
        (["--host", "::"], "host", "::"),
        (["--max-body", "1KiB"], "max_body", 1024),
        (["--max_body=1KiB"], "max_body", 1024),
        (["--grace", "5s"], "grace", 5.0),
        (["--no-access-log"], "access_log", False),
        (["--log-level", "DEBUG"], "log_level", "debug"),
        (["--no_latency_log"], "enable_latency_logging", False),
    ],
)
def test_a_flag_is_read_in_kserves_spelling_and_in_ours(arguments, name, value):
    assert getattr(parsed("--model_dir", "d", *arguments, "--own-flag", "-x"), name) == value


@pytest.mark.parametrize(
    ("variable", "text", "name", "value", "flag"),
    [
        ("KSERVE_TLS_CERT_FILE", "c.pem", "ssl_certfile", "c.pem", ["--ssl_certfile", "other"]),
        ("KSERVE_TLS_KEY_FILE", "k.pem", "ssl_keyfile", "k.pem", ["--ssl_keyfile", "other"]),
        ("KSERVE_LOGLEVEL", "warn", "log_level", "warning", ["--log-level", "info"]),
        ("KSERVE_LOGLEVEL", "CRITICAL", "log_level", "error", ["--log-level", "info"]),
        ("PIPELINE_SERVE_HTTP_PORT", "9000", "http_port", 9000, ["--http_port", "1"]),
        ("PIPELINE_SERVE_UI", "true", "enable_docs_url", True, ["--enable_docs_url", "false"]),
        ("PIPELINE_SERVE_KEEP_ALIVE", "5s", "timeout_keep_alive", 5.0, ["--timeout-keep-alive", "1"]),
        ("PIPELINE_SERVE_HOST", "::", "host", "::", ["--host", "h"]),
        ("PIPELINE_SERVE_GRACE", "5s", "grace", 5.0, ["--grace", "1s"]),
    ],
)
def test_variables_are_read_and_flags_overrule_them(variable, text, name, value, flag, monkeypatch):
    monkeypatch.setenv(variable, text)  # ours are read by click, which asks the process
    assert getattr(parsed(**{variable: text}), name) == value
    assert getattr(parsed(*flag, **{variable: text}), name) != value


def test_our_variable_for_the_level_comes_before_kserves(monkeypatch):
    monkeypatch.setenv("PIPELINE_SERVE_LOG_LEVEL", "debug")
    assert parsed(KSERVE_LOGLEVEL="ERROR").log_level == "debug"


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (["--http_port", "http"], {}, "argument --http_port: a port is a number from 0 to 65535, not http"),
        (["--http_port", "70000"], {}, "argument --http_port: a port is a number from 0 to 65535, not 70000"),
        (["--grpc_port=-5"], {}, "argument --grpc_port: a port is a number from 0 to 65535, not -5"),
        (["--enable_grpc", "maybe"], {}, 'argument --enable_grpc: is true or false, not "maybe"'),
        (["--event-loop", "trio"], {}, "argument --event-loop: invalid choice: 'trio'"),
        (["--predictor_protocol", "v3"], {}, "argument --predictor_protocol: invalid choice: 'v3'"),
        (["--access_log_format", "%(s"], {}, 'argument --access_log_format: "%(s" is no form of a line'),
        (["--grace", "30"], {}, "argument --grace: 30 has no unit; write 30ms or 30s"),
        (["--ready", "some"], {}, "argument --ready: 'some' is not one of 'all', 'any'"),
        ([], {"KSERVE_LOGLEVEL": "LOUD"}, 'KSERVE_LOGLEVEL is a level of Python\'s logging, such as INFO, not "LOUD"'),
        ([], {"PIPELINE_SERVE_GRACE": "30"}, "Invalid value for '--grace': 30 has no unit"),
    ],
)
def test_what_cannot_be_read_is_exit_2_and_says_how(arguments, environment, says, capsys, monkeypatch):
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(SystemExit) as ended:
        parsed(*arguments, **environment)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_flags_of_the_scripts_own_are_no_abbreviations_of_ours():
    told = parsed("--model", "m", "--enable", "maybe", "--http", "x")
    assert (told.model_name, told.http_port) == ("model", 8080)


# ---- a parser that extends it


def child():
    return argparse.ArgumentParser(parents=[make_parser({})])


def test_a_script_extends_the_parser():
    own = child()
    own.add_argument("--model_dir", required=True)
    told = own.parse_args(["--model_dir", "d", "--http_port", "1", "--host", "h", "--enable_grpc", "false"])
    assert (told.model_dir, told.http_port, told.host, told.enable_grpc) == ("d", 1, "h", False)
    assert told.model_name == "model"


def test_an_option_of_the_parents_that_a_script_defines_itself_is_the_scripts():
    own = child()
    own.add_argument("--predictor_host", required=True, help="The URL of the predictor")
    own.add_argument("--model_name", default="own")
    own.add_argument("--workers", type=str, default="two")
    own.add_argument("--host", nargs="+")
    told = own.parse_args(["--predictor_host", "p"])
    assert (told.predictor_host, told.model_name, told.workers, told.host) == ("p", "own", "two", None)
    assert own.parse_args(["--predictor_host", "p", "--host", "a", "b"]).host == ["a", "b"]
    assert "The URL of the predictor" in own.format_help()
    with pytest.raises(SystemExit):
        own.parse_args([])


def test_what_one_script_takes_another_finds():
    own = child()
    own.add_argument("--http_port", default="mine")
    assert child().parse_args([]).http_port == 8080


def test_help_says_what_has_no_effect():
    text = " ".join(child().format_help().split())
    assert "--max_asyncio_workers MAX_ASYNCIO_WORKERS No effect, as in KServe" in text
    assert "No effect, as in KServe with one worker" in text
    assert "No effect, as in KServe: see --predictor_protocol" in text
    assert "--grpc_port GRPC_PORT Of gRPC, which is not served yet." in text
    assert "'%(r)s %(s)s %(L)s'" in text


# ---- settings


def test_the_settings_of_the_server_are_those_of_the_flags():
    config = config_of(
        parsed(
            "--http_port=1", "--host=h", "--ssl_certfile", "c", "--tls-key", "k", "--timeout-keep-alive", "7",
            "--enable_docs_url=y", "--enable_latency_logging=n", "--log_config_file", "l.yaml", "--model_name", "m",
        )
    )  # fmt: skip
    assert (config.http_port, config.host, config.keep_alive, config.ui, config.latency_log) == (1, "h", 7, True, False)
    assert (config.tls_cert, config.tls_key, config.log_config) == (Path("c"), Path("k"), Path("l.yaml"))
    assert (config.graphs, config.model_name) == ((), None)
