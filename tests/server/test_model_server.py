"""``ModelServer`` in this process, on a socket file in a thread; and what it does not start with."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import networkx as nx
import pytest

from pipeline.errors import NoModelReady
from pipeline.graph.source import GraphFaults
from pipeline.model import Model
from pipeline_serve import Pipeline, PredictorConfig, Step
from pipeline_serve.kserve import Model as KServeModel
from pipeline_serve.kserve.model_server import ModelServer as KServeServer
from pipeline_serve.kserve.model_server import app as kserve_app
from server.listen import listen
from server.model_repository import ModelRepository
from server.model_server import ModelServer
from tests.raw import answer, answering, doubling, raw_server
from tests.server.marks import Marks
from tests.serving import PATIENCE


class Doubles(Model):
    """Knows what was done to it."""

    def __init__(self, name="m", *, ready=True):
        super().__init__(name)
        self.ready = ready
        self.log = []

    def start(self):
        self.log.append("start")
        super().start()

    def stop(self):
        self.log.append("stop")
        super().stop()

    def predict(self, payload, headers=None):
        return {"predictions": [2 * row for row in payload["instances"]]}


class Triples(Doubles):
    def predict(self, payload, headers=None):
        return {"predictions": [3 * row for row in payload["instances"]]}


class Running:
    """A server that serves in a thread of this process."""

    def __init__(self, server, client):
        self.server, self.client = server, client

    def ask(self, name="m", verb="predict"):
        return self.client.post(f"/v1/models/{name}:{verb}", json={"instances": [1, 2]})

    def wait_until(self, happened):
        give_up = time.monotonic() + PATIENCE
        while not happened():
            assert time.monotonic() < give_up
            time.sleep(0.005)


@pytest.fixture
def argv(monkeypatch, tmp_path):
    """The command line of the script that this is; its socket is a file."""

    def argv(*flags):
        monkeypatch.setattr(sys, "argv", ["model.py", "--host", f"unix:{tmp_path}/s", *flags])

    argv()
    return argv


@pytest.fixture
def serving(argv, tmp_path):
    @contextmanager
    def serving(server, models, target=None):
        thread = threading.Thread(target=target or server.start, args=(models,))
        thread.start()
        transport = httpx.HTTPTransport(uds=f"{tmp_path}/s")
        with httpx.Client(transport=transport, base_url="http://h", timeout=PATIENCE) as client:
            running = Running(server, client)
            try:
                running.wait_until(lambda: _ready(client))
                yield running
            finally:
                server.stop()
                thread.join(PATIENCE)
                assert not thread.is_alive()

    return serving


def _ready(client):
    try:
        return client.get("/v2/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def pipeline(name="graph", factor=3):
    async def times(x: list):
        return [factor * row for row in x]

    dag = nx.DiGraph()
    dag.add_node("times", step=Step(run=times))
    return Pipeline(name, dag)


def test_models_and_pipelines_are_served_beside_each_other_and_closed_at_the_end(serving):
    ready, other = Doubles(), Doubles("other", ready=False)
    graph = pipeline()
    with serving(ModelServer(), [ready, other, graph]) as running:
        assert running.ask().json() == {"predictions": [2, 4]}
        assert running.ask("graph").json() == {"predictions": [3, 6]}
        # Not ready when the server began: its start is called, and it is never served, as in KServe.
        assert running.ask("other").status_code == 404
        assert set(running.client.get("/v2/models").json()["models"]) == {"m", "graph"}
    assert (ready.log, other.log) == (["start", "stop"], ["start"])


def test_a_server_that_stopped_may_start_again(serving):
    server, model, graph = ModelServer(), Doubles(), pipeline()
    for _ in range(2):
        model.ready = True
        with serving(server, [model, graph]) as running:
            assert running.ask().status_code == running.ask("graph").status_code == 200
            assert len(graph.observers) == 5
    assert graph.observers == []


def test_an_empty_list_is_a_server_and_what_the_repository_holds_is_served(serving):
    held = ModelRepository("/nowhere")
    held.update(Doubles(), "alias")
    with serving(ModelServer(registered_models=held), []) as running:
        assert running.ask("alias").json() == {"predictions": [2, 4]}
        assert running.ask("m").status_code == 404


def test_a_model_may_have_more_names(serving):
    server = ModelServer()
    model = Doubles()
    server.register_model(model, "first")
    server.register_model(pipeline(), "second")
    with serving(server, [model]) as running:
        assert running.ask("first").json() == running.ask("m").json() == {"predictions": [2, 4]}
        assert running.ask("second").json() == {"predictions": [3, 6]}
    assert server.registered_models.get_model("first") is model


def test_a_model_that_is_registered_while_others_serve_takes_requests_at_once(serving):
    server, late = ModelServer(), Doubles("late")
    with serving(server, [Doubles()]) as running:
        assert running.ask("late").status_code == 404
        server.register_model(late)
        server.register_model(pipeline("graph", 5))
        assert running.ask("late").json() == {"predictions": [2, 4]}
        assert running.ask("graph").json() == {"predictions": [5, 10]}
        other = Triples("late")
        server.register_model(other)
        assert running.ask("late").json() == {"predictions": [3, 6]}
    assert late.log == other.log == ["start", "stop"]


def test_one_that_cannot_be_opened_while_others_serve_is_the_callers_error(serving):
    class Fails(Doubles):
        def start(self):
            raise FileNotFoundError("the weights are missing")

    with serving(ModelServer(), []) as running, pytest.raises(FileNotFoundError, match="the weights are missing"):
        running.server.register_model(Fails())
    assert running.server.registered_models.get_model("m") is None


@pytest.mark.parametrize("kind", ["on trio", "on asyncio", "in a thread"])
def test_a_hook_may_register_a_model(serving, kind):
    late = Doubles("late")

    class InThread(Doubles):
        def predict(self, payload, headers=None):
            server.register_model(late)
            return payload

    class OnTrio(Doubles):
        async def predict(self, payload, headers=None):
            server.register_model(late)
            return payload

    class OnAsyncio(KServeModel):
        async def predict(self, payload, headers=None):
            asyncio.get_running_loop()
            server.register_model(late)
            return payload

    server = ModelServer()
    model = {"on trio": OnTrio, "on asyncio": OnAsyncio, "in a thread": InThread}[kind]("m")
    model.ready = True
    with serving(server, [model]) as running:
        assert running.ask().status_code == 200
        running.wait_until(lambda: running.ask("late").status_code == 200)


BROKEN = "Model with name broken is not ready. Error type: <class 'RuntimeError'> error msg: cannot load"


class Brings(ModelRepository):
    """Loads what it is asked for, on asyncio, and knows what it was told."""

    def __init__(self):
        super().__init__("/nowhere")
        self.log = []

    async def load(self, name):
        await asyncio.sleep(0)
        self.log.append(f"load {name}")
        if name == "broken":
            raise RuntimeError("cannot load")
        if name != "none":
            self.update(Doubles(name, ready=name != "tired"))

    def unload(self, name):
        self.log.append(f"unload {name}")
        super().unload(name)


def test_a_repository_of_ones_own_loads_and_unloads_by_the_wire(serving):
    held = Brings()
    first = Doubles("first")
    held.update(first)
    with serving(ModelServer(registered_models=held), [pipeline()]) as running:

        def tell(what, name):
            return running.client.post(f"/v2/repository/models/{name}/{what}")

        assert running.ask("first").status_code == 200
        assert tell("load", "new").status_code == 200
        assert running.ask("new").json() == {"predictions": [2, 4]}
        assert tell("load", "graph").status_code == 200
        for name, status, says in [
            ("none", 404, "Model with name none does not exist."),
            ("tired", 503, "Model with name tired is not ready."),
            ("broken", 503, BROKEN),
        ]:
            reply = tell("load", name)
            assert (reply.status_code, reply.json()) == (status, {"error": says})
        assert tell("unload", "first").status_code == 200
        assert running.ask("first").status_code == 404
        assert tell("unload", "first").status_code == 404
        assert tell("unload", "graph").status_code == 200
        assert tell("load", "first").status_code == 200
        assert running.ask("first").status_code == 200
    assert first.log == ["start", "stop"]
    assert held.log == [
        "load new", "load none", "load tired", "load broken", "unload first", "load first",
    ]  # fmt: skip


def test_the_asyncio_loop_is_one_for_as_long_as_the_server_runs(serving):
    class Remembers(ModelRepository):
        async def load(self, name):
            loops.append(asyncio.get_running_loop())
            self.update(Doubles(name))

    loops = []
    with serving(ModelServer(registered_models=Remembers("/nowhere")), [pipeline()]) as running:
        for _ in range(2):
            assert running.client.post("/v2/repository/models/m/load").status_code == 200
            assert running.client.post("/v2/repository/models/m/unload").status_code == 200
        assert loops[0] is loops[1]
        assert not loops[0].is_closed()
    assert loops[0].is_closed()


def test_a_synchronous_explain_asks_the_predictor_by_the_running_loop(serving, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Explains(KServeModel):
        def explain(self, payload, headers=None):
            loop = asyncio.get_running_loop()
            asked = [loop.run_until_complete(self.predict({"instances": [row]})) for row in payload["instances"]]
            both = asyncio.gather(*(self.predict({"instances": [row]}) for row in payload["instances"]))
            assert loop.run_until_complete(both) == asked
            return {"explanations": [answer["predictions"][0] for answer in asked]}

    with raw_server(doubling) as predictor:
        model = Explains("m")
        model.predictor_host = predictor.url.removeprefix("http://")
        model.ready = True
        with serving(ModelServer(), [model]) as running, ThreadPoolExecutor(8) as pool:
            replies = pool.map(lambda _: running.ask(verb="explain"), range(16))
            assert [reply.json() for reply in replies] == 16 * [{"explanations": [2, 4]}]


def test_with_the_health_check_the_server_is_ready_while_the_predictor_is(argv, serving, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    down = answer(b'{"error":"no"}', status="503 Service Unavailable")
    with raw_server(answering(answer(b'{"name":"m","ready":true}'), down)) as predictor:
        argv("--predictor_host", predictor.url.removeprefix("http://"), "--enable_predictor_health_check")
        model = Model("m")
        model.ready = True
        with serving(ModelServer(), [model]) as running:
            running.wait_until(lambda: running.client.get("/v2/health/ready").status_code == 503)
            assert running.client.get("/v1/models/m").status_code == 503
            assert running.client.get("/v2/health/live").status_code == 200


def test_a_hook_may_stop_the_server_which_answers_it(serving):
    class Last(Doubles):
        def predict(self, payload, headers=None):
            server.stop(15)
            return super().predict(payload)

    server = ModelServer()
    with serving(server, [Last()]) as running:
        assert running.ask().json() == {"predictions": [2, 4]}


def test_it_serves_in_a_thread_where_asyncio_runs(serving):
    server = ModelServer()

    async def main(models):
        server.start(models)

    with serving(server, [Doubles()], target=lambda models: asyncio.run(main(models))) as running:
        assert running.ask().status_code == 200


def test_an_exception_handler_is_accepted_and_hears_of_nothing_as_under_kserve(serving):
    class Fails(Doubles):
        async def predict(self, payload, headers=None):
            raise KeyError("the secret")

    heard, server = [], ModelServer()
    server.register_exception_handler(lambda loop, context: heard.append(context))
    with serving(server, [Fails()]) as running:
        assert running.ask().status_code == 500
    assert heard == []


def test_two_servers_share_no_middleware_but_by_kserves_import_paths(argv):
    assert ModelServer().app is not ModelServer().app
    assert KServeServer().app is KServeServer().app is kserve_app


def test_middleware_is_around_it(serving):
    server = ModelServer()
    server.app.add_middleware(Marks, name="it")
    with serving(server, [Doubles()]) as running:
        assert running.ask().headers["x-passed"] == "it"


@pytest.mark.parametrize(("flags", "shown"), [([], 404), (["--enable_docs_url", "true"], 200)])
def test_the_page_is_there_where_a_flag_says_so(serving, argv, flags, shown):
    argv(*flags, *sys.argv[1:])
    with serving(ModelServer(), []) as running:
        assert running.client.get("/docs").status_code == shown


@pytest.mark.parametrize(("wanted", "lines"), [(None, 1), (False, 0)])
def test_a_line_of_latencies_is_kserves_default(serving, caplog, wanted, lines):
    caplog.set_level("INFO")
    with serving(ModelServer(enable_latency_logging=wanted), [Doubles()]) as running:
        running.ask()
    assert len([line for line in caplog.messages if line.startswith("requestId: ") and "predict_ms" in line]) == lines


# ---- arguments and flags


def test_an_argument_comes_before_a_flag_and_a_flag_before_the_default(argv):
    assert (ModelServer().http_port, ModelServer().grpc_port) == (8080, 8081)
    argv("--http_port", "9000", "--grpc_port", "9001", "--workers", "1")
    server = ModelServer(http_port=1)
    assert (server.http_port, server.grpc_port, server.workers) == (1, 9001, 1)


@pytest.mark.parametrize(
    ("flags", "port"),
    [
        (["--ssl_certfile", "c", "--ssl_keyfile", "k"], 8443),
        (["--ssl_certfile", "c", "--ssl_keyfile", "k", "--http_port", "9000"], 9000),
        (["--ssl_certfile", "c"], 8080),
    ],
)
def test_the_port_is_that_of_https_where_there_is_a_certificate(argv, flags, port):
    argv(*flags)
    assert ModelServer().http_port == port


def test_what_the_flags_say_of_a_predictor_is_told_to_models_that_name_none(argv):
    argv("--predictor_host", "p:80", "--predictor_protocol", "v2", "--predictor_request_retries", "3")
    server, ours, own = ModelServer(), Doubles("ours"), Doubles("own")
    own.predictor_host = "mine"
    server.register_model(ours)
    server.register_model(own)
    told = ours.predictor_config
    assert (told.predictor_host, told.predictor_protocol, told.predictor_request_retries) == ("p:80", "v2", 3)
    assert own.predictor_config.predictor_host == "mine"
    given = PredictorConfig("g", predictor_health_check=True)
    ModelServer(predictor_config=given).register_model(ours)
    assert ours.predictor_config is given


def test_a_form_of_lines_that_is_none_is_told_at_once():
    with pytest.raises(ValueError, match="is no form of a line"):
        ModelServer(access_log_format="%(s")


# ---- what it does not start with


@pytest.mark.parametrize(
    ("models", "error", "says"),
    [
        ((), RuntimeError, "Unknown model collection type"),
        (Doubles(), RuntimeError, "Unknown model collection type"),
        ([Doubles(), object()], RuntimeError, "Model type should be 'Model' or 'Pipeline', not 'object'"),
        ([Doubles("a", ready=False)], NoModelReady, "Model with name a is not ready."),
        ([Doubles("a", ready=False), Doubles("b", ready=False)], NoModelReady, "Models with names a,b are not ready."),
        ([Doubles("")], ValueError, "Failed to register model, model.name must be provided."),
    ],
)
def test_models_that_cannot_be_served_are_the_scripts_error_in_kserves_words(argv, models, error, says):
    with pytest.raises(error) as raised:
        ModelServer().start(models)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (["--ssl_certfile", "nope.pem"], 2, "--tls-cert (--ssl_certfile) and --tls-key (--ssl_keyfile) go together"),
    ],
)
def test_flags_that_cannot_be_are_one_line_and_exit_2(argv, capsys, flags, code, says):
    argv(*flags)
    with pytest.raises(SystemExit) as ended:
        ModelServer().start([Doubles()])
    assert ended.value.code == code
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a b", "x:1"])
def test_a_name_that_no_url_can_have_is_one_line_and_exit_2(argv, capsys, name):
    with pytest.raises(SystemExit) as ended:
        ModelServer().start([Doubles(name)])
    assert ended.value.code == 2
    assert f'model "{name}" cannot be served: a name is letters, digits' in capsys.readouterr().err
    with pytest.raises(GraphFaults, match="a model name is letters, digits"):
        ModelServer().register_model(Doubles(), name)


def test_of_a_repository_only_the_model_with_such_a_name_is_not_served(serving):
    held = Brings()
    held.update(Doubles("sp ace"))
    held.update(Doubles("fine"))
    with serving(ModelServer(registered_models=held), []) as running:
        running.wait_until(lambda: running.ask("fine").status_code == 200)
        index = {own["name"]: own for own in running.client.post("/v2/repository/index").json()}
    assert index["fine"]["state"] == "READY"
    assert index["sp ace"]["state"] == "UNAVAILABLE"
    assert index["sp ace"]["reason"].startswith('model "sp ace" cannot be served: a name is letters, digits')
    assert held.log == []


def test_a_model_of_the_start_that_cannot_be_opened_ends_the_process_with_its_error(argv, tmp_path):
    class Fails(Doubles):
        def start(self):
            raise ValueError("no GPU")

    argv("--host", f"unix:{tmp_path / 'socket'}")
    fine = Doubles("fine")
    with pytest.raises(ValueError, match="no GPU"):
        ModelServer().start([Fails(), fine])
    assert fine.log in ([], ["start", "stop"])


@pytest.mark.parametrize("argument", ["http_port", "grpc_port"])
@pytest.mark.parametrize("given", [70000, -5])
def test_an_argument_that_is_no_port_is_one_line_and_exit_2(argv, capsys, argument, given):
    with pytest.raises(SystemExit) as ended:
        ModelServer(**{argument: given})
    assert ended.value.code == 2
    assert f"{argument}: a port is a number from 0 to 65535, not {given}\n" in capsys.readouterr().err


def test_a_port_in_use_is_one_line_and_exit_1(monkeypatch, capsys):
    with listen("127.0.0.1", 0, secure=False).socket as taken:
        monkeypatch.setattr(sys, "argv", ["model.py", "--host", "127.0.0.1"])
        with pytest.raises(SystemExit) as ended:
            ModelServer(http_port=taken.getsockname()[1]).start([Doubles()])
    assert ended.value.code == 1
    assert "another process has it; choose another with --http-port" in capsys.readouterr().err


async def test_under_a_trio_loop_it_says_how(argv):
    with pytest.raises(RuntimeError, match=r"await trio\.to_thread\.run_sync\(server\.start, models\)"):
        ModelServer().start([Doubles()])


def test_a_server_serves_once_at_a_time(serving):
    server = ModelServer()
    with serving(server, []), pytest.raises(RuntimeError, match="serves already"):
        server.start([])
