"""The page in a real browser, where there is one: it sends what it shows, loses nothing, and runs nobody's markup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.zoo import APP
from tests.server.browser import COMMAND, Page, browsing
from tests.serving import Server, serving

pytestmark = pytest.mark.skipif(COMMAND is None, reason="chromium is not installed")

MARKUP = "<img src=x onerror=alert(1)>"
FILES = {
    "app.py": APP + f'\nclass Fails:\n    def load(self):\n        raise RuntimeError("{MARKUP}")\n'
    "    def __call__(self, x):\n        return x\n",
    "numbers.yaml": "{schema: {inputs: {x: 'FP64[n]'}}, steps: {count: app.py:largest}}",
    "markup.yaml": f"{{schema: {{inputs: {{'{MARKUP}': 'FP32[n]'}}}}, steps: {{count: app.py:count}}}}",
    "wait.yaml": "steps: {answer: app.py:wait}",
    "fails.yaml": "steps: {answer: app.py:Fails}",
    "blocks.yaml": "{schema: {inputs: {x: 'FP32[n]'}}, steps: {answer: app.py:Blocks}}",
}
FILES["app.py"] += "\ndef largest(x):\n    return np.array([2**64 - 1], dtype=np.uint64)\n"
GRAPHS = [name for name in FILES if name.endswith(".yaml")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("page"), FILES, "--ready=any", graphs=GRAPHS) as server:
        server.wait_until("the load began", (server.folder / "load.began").exists)
        yield server
        (server.folder / "load.go").touch()
        assert server.stop() == 0


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browsing(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture
def page(server: Server, browser: Page) -> Page:
    browser.complaints.clear()
    browser.open("about:blank", "true")
    browser.open(f"{server.url}/docs", "document.querySelector('#sections section')")
    return browser


def opened(page: Page, model: str, *, operation: int = 0) -> str:
    """An operation of a model, opened: a script that finds its element."""
    found = f"document.querySelectorAll('#model-{model} .operation')[{operation}]"
    page.run(f"{found}.open = true; 0")
    page.until(f"{found}.querySelector('textarea, button')")
    return found


def pressed(page: Page, key: str, code: int, *, text: str = "", control: bool = False) -> None:
    """A key goes down, with the text that it types, and up."""
    how = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 2 if control else 0}
    page.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **how)
    page.call("Input.dispatchKeyEvent", type="keyUp", **how)


def test_it_sends_what_it_shows_and_shows_what_comes_without_losing_a_digit(page: Page):
    model = opened(page, "numbers")
    assert page.run(f"{model}.querySelector('textarea').value") == '{"instances": [0.0]}'
    assert "-d '{\"instances\": [0.0]}'" in str(page.run(f"{model}.querySelector('pre').textContent"))
    page.run(f"{model}.querySelector('button.first').click()")
    assert str(page.until(f"{model}.querySelector('.status')?.textContent")).startswith("200")
    assert page.run(f"{model}.querySelector('.answer pre').textContent") == '{"predictions": [18446744073709551615]}'
    assert "x-request-id" in str(page.run(f"{model}.querySelector('.answer dl').textContent"))
    assert page.complaints == []


@pytest.mark.parametrize("operation", range(8))
def test_every_operation_of_a_model_answers_from_the_page(page: Page, operation):
    model = opened(page, "numbers", operation=operation)
    page.run(f"{model}.querySelector('button.first').click()")
    assert str(page.until(f"{model}.querySelector('.status')?.textContent")).startswith("200")


def test_it_works_from_the_keyboard_alone(page: Page):
    page.run("document.querySelector('#model-markup .operation summary').focus()")
    pressed(page, "Enter", 13, text="\r")
    page.until("document.querySelector('#model-markup textarea')")
    pressed(page, "Tab", 9)
    assert page.run("document.activeElement.tagName") == "TEXTAREA"
    pressed(page, "Enter", 13, control=True)
    status = page.until("document.querySelector('#model-markup .status')?.textContent")
    assert str(status).startswith("200")


def test_names_and_reasons_are_text_and_never_markup(page: Page):
    opened(page, "markup")
    text = str(page.run("document.getElementById('sections').textContent"))
    assert f"RuntimeError: {MARKUP}" in text
    assert page.run("document.querySelector('#model-markup tbody th').textContent") == MARKUP
    assert page.run("document.querySelectorAll('#sections img').length") == 0
    assert page.complaints == []


def test_a_request_that_its_reader_gives_up_is_cancelled_in_the_server(page: Page, server: Server):
    model = opened(page, "wait")
    page.run(f"""{{
        const field = {model}.querySelector('textarea');
        field.value = '{{"instances": "given-up"}}'.replace('"given-up"', '["given-up"]');
        field.dispatchEvent(new Event("input"));
    }}""")
    page.run(f"{model}.querySelector('button.first').click()")
    server.wait_until("the step began", (server.folder / "given-up.began").exists)
    assert page.run(f"{model}.querySelector('button.first').textContent") == "Cancel"
    page.run(f"{model}.querySelector('button.first').click()")
    assert page.until(f"{model}.querySelector('.status')?.textContent") == "Cancelled"
    server.wait_until("the step was cancelled", (server.folder / "given-up.cancelled").exists)


def test_a_model_that_becomes_ready_shows_it_and_what_was_typed_stays(page: Page, server: Server):
    model = opened(page, "blocks")
    assert page.run("document.querySelector('#model-blocks .badge').textContent") == "loading"
    page.run(f"{model}.querySelector('textarea').focus()")
    page.call("Input.insertText", text="mine ")
    (server.folder / "load.go").touch()
    assert page.until("document.querySelector('#model-blocks .badge.ready')?.textContent") == "ready"
    field = f"{model}.querySelector('textarea')"
    page.until(field)
    assert "mine " in str(page.run(f"{field}.value"))
    assert page.run(f"document.activeElement === {field}") is True


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_narrow_screen_in_light_and_in_dark(page: Page, scheme, tmp_path: Path):
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.call("Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=True)
    opened(page, "numbers")
    opened(page, "markup", operation=1)
    assert page.run("document.documentElement.scrollWidth") == 360
    colours = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    background, text = page.run(colours)
    lightness = [sum(map(int, colour.strip("rgb()").split(","))) for colour in (background, text)]
    assert (lightness[0] > lightness[1]) == (scheme == "light")
    page.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_graphs_are_drawn_in_the_readers_colours_and_names_are_text(page: Page, server: Server, scheme):
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.call("Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=True)
    page.open(f"{server.url}/graph", "document.querySelector('.pipeline-graph')")
    assert page.run("document.querySelectorAll('section .pipeline-graph').length") == len(GRAPHS)
    assert page.run("document.documentElement.scrollWidth") == 360
    assert page.run("document.querySelectorAll('main img').length") == 0
    assert MARKUP in str(page.run("document.querySelector('#markup-1').textContent"))
    card, title = (
        sum(
            map(
                int,
                str(page.run(f"getComputedStyle(document.querySelector('.{style}')).fill")).strip("rgb()").split(","),
            )
        )
        for style in ("card", "title")
    )
    assert (card > title) == (scheme == "light")
    assert page.complaints == []
    page.call("Emulation.clearDeviceMetricsOverride")
