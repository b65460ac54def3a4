"""Pictures in, digits out: the functions around the model, and the branch beside it."""

import io
from typing import Annotated

import numpy as np
from PIL import Image

from pipeline_serve import InvalidInput

SIDE, INK = 8, 16.0  # the data set's pictures: 8 × 8 pixels from 0, paper, to 16, ink
LARGEST = 4096


def pixels(image: bytes) -> Annotated[np.ndarray, "FP64[64]"]:
    """One picture in any format that Pillow reads → 64 pixels as the model was trained on."""
    try:
        with Image.open(io.BytesIO(image)) as picture:
            if max(picture.size) > LARGEST:
                width, height = picture.size
                raise InvalidInput(f"a picture is at most {LARGEST} pixels wide and high, this one is {width}×{height}")
            inked = picture.convert("RGBA")
            paper = Image.new("RGBA", inked.size, "white")
            small = Image.alpha_composite(paper, inked).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # SyntaxError is what a broken PNG raises
        raise InvalidInput("that is no picture in a format that Pillow reads") from error
    return (255 - np.asarray(small, dtype=np.float64)).reshape(-1) / 255 * INK


def contrast(pixels: np.ndarray) -> np.ndarray:
    """n × 64 pixels → how much darker the ink is than the paper, from 0 to 1."""
    return np.ptp(pixels, axis=1) / INK


def verdict(probabilities: np.ndarray, contrast: np.ndarray) -> dict[str, np.ndarray]:
    """Both branches: the digit and how sure the model is, and whether there was enough to see for that to count."""
    return {
        "digit": probabilities.argmax(axis=1),
        "confidence": probabilities.max(axis=1).round(2),
        "legible": contrast > 0.5,
    }
