"""The image example: pictures in any format, as base64 or as they are; what is no picture is a 400."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline_serve import BlockingClient, Client, InvalidInput
from tests.examples.readme import trained
from tests.serving import ROOT, serving

EXAMPLE = ROOT / "examples" / "image"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlockingClient]:
    with (
        serving(tmp_path_factory.mktemp("served"), graphs=[str(trained(EXAMPLE) / "graph.yaml")]) as server,
        Client(server.url, trust_env=False).blocking() as client,
    ):
        yield client


def picture(name: str, form: str = "PNG", mode: str = "L", **how: object) -> bytes:
    """A picture of the example in another format."""
    with Image.open(EXAMPLE / f"{name}.png") as image:
        written = io.BytesIO()
        image.convert(mode).save(written, form, **how)
    return written.getvalue()


def test_pictures_travel_as_the_bytes_they_are(digits: BlockingClient) -> None:
    answer = digits.infer(
        "digits", {"image": [Path(EXAMPLE / f"{name}.png").read_bytes() for name in ("three", "seven")]}
    )
    assert answer["digit"].tolist() == [3, 7]
    assert answer["legible"].tolist() == [True, True]
    assert answer["confidence"].tolist() == [0.9, 1.0]


@pytest.mark.parametrize(("form", "mode"), [("JPEG", "RGB"), ("GIF", "P"), ("BMP", "1"), ("WEBP", "RGBA")])
def test_any_format_and_any_mode_is_read(digits: BlockingClient, form: str, mode: str) -> None:
    assert digits.infer("digits", {"image": [picture("seven", form, mode)]})["digit"].tolist() == [7]


def test_an_empty_sheet_is_not_legible_whatever_the_model_says(digits: BlockingClient) -> None:
    sheet = io.BytesIO()
    Image.new("L", (20, 30), 255).save(sheet, "PNG")
    assert digits.infer("digits", {"image": [sheet.getvalue()]})["legible"].tolist() == [False]


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (b"not a picture", "no picture"),
        (b"", "no picture"),
        (picture("three")[:120], "no picture"),
        (picture("three").replace(b"IDAT", b"IDxT"), "no picture"),
    ],
    ids=["text", "nothing", "cut short", "broken"],
)
def test_what_is_no_picture_is_the_callers_mistake(digits: BlockingClient, image: bytes, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        digits.infer("digits", {"image": [picture("seven"), image]})


def test_a_picture_that_is_too_large_is_refused_before_it_is_unpacked(digits: BlockingClient) -> None:
    huge = io.BytesIO()
    Image.fromarray(np.zeros((5000, 10), np.uint8)).save(huge, "PNG")
    with pytest.raises(InvalidInput, match="at most 4096 pixels wide and high, this one is 10×5000"):
        digits.infer("digits", {"image": [huge.getvalue()]})
