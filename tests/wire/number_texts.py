"""Texts that are arrays of numbers, or nearly: what the readers of numbers are held to what reads all JSON with."""

from __future__ import annotations

from hypothesis import strategies as st

# Each is written somewhere by somebody, or has a rule of its own.
SPELLINGS = (
    "0", "-0", "-0.0", "7", "-1", "1.0", "-2.50", "1e5", "1E-7", "1.5e+2", "0e5", "1e-400", "4.9e-324", "0.1",
    "16777217",
    "9007199254740993", "-9007199254740993.0", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
    "18446744073709551615", "18446744073709551616", "-9223372036854775809", "1" + "0" * 40, "65504", "65519.99",
    "65520",
    "3.4028235e38", "3.4028235677973366e38", "1e39", "3.39e38", "1.7976931348623157e308", "127", "128", "255", "256",
    "-32769", "0.30000001192092896", "1.00000017881393432617187499", "8.5e-8", "6e-8", "2.9802322387695312e-08",
)  # fmt: skip
ODD = (
    "null", "true", "false", "NaN", "-Infinity", '"1"', "{}", "[]", "[1]", "1e400", "01", "1.", ".5", "+1", "-", "0x10",
    "1_0",
    "", "1 2", "1]", "[1", "1}", '{"b64":"AA=="}', "\x0b", "\u00a0",
)  # fmt: skip
FLOATS = st.floats(allow_nan=False, allow_infinity=False).map(repr)
NUMBERS = st.sampled_from(SPELLINGS) | FLOATS | st.integers().map(str)
SPACES = st.sampled_from(("", "", "", " ", "\n  ", "\t"))
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


# Most datatypes hold the first ones, all floating ones the second.
KINDS = (st.integers(0, 100).map(str), st.floats(width=16, allow_nan=False, allow_infinity=False).map(repr), NUMBERS)


@st.composite
def arrays(draw, shapes=SHAPES, elements=None):
    """(text, shape): rows that are all alike, written as this and that library write them."""
    shape, space = draw(shapes), draw(SPACES)
    if elements is None:
        elements = KINDS[draw(st.integers(0, len(KINDS) - 1))]
    between = st.just(",") if space else st.sampled_from((",", ", "))
    return _written(draw, list(shape), elements, space, draw(between)), shape


def _written(draw, shape, elements, space, comma):
    if not shape:
        return draw(elements)
    rows = [_written(draw, shape[1:], elements, space, comma) for _ in range(shape[0])]
    return f"[{space}{comma.join(rows)}{space}]"


@st.composite
def broken(draw):
    """An array in which one thing is odd: an element, or a character that is left out, put in, or another."""
    text, shape = draw(arrays())
    if draw(st.booleans()):
        text, shape = draw(arrays(elements=NUMBERS | st.sampled_from(ODD)))
    at = draw(st.integers(0, len(text)))
    put = draw(st.sampled_from(("", "[", "]", ",", "1", "-", ".", " ", "e", "],[", "{", "}")))
    return text[:at] + put + text[at + draw(st.integers(0, 1)) :], shape
