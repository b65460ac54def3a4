"""The text of one YAML scalar → its value: variables filled in, then typed by the YAML 1.2 core schema.

Done here and not by the parser, whose resolver follows ``%YAML`` directives and makes dates of texts. What is wrong is
said in a ValueError's text; where it stands is for the caller, who knows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

# Python refuses to print integers past 4,300 digits, so one that long could not even be named in an error.
MAX_DIGITS = 1_000

CORE_TAG = "tag:yaml.org,2002:"

_VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAMED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


def filled(text: str, environment: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with ``${NAME}`` and ``${NAME:-default}`` in place, and what is wrong with them, in order.

    As in a shell, the default also stands in for a variable that is set and empty. ``$${`` is a literal ``${``. What is
    put in is not looked at again.
    """
    problems: list[str] = []

    def value(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        named = _NAMED.fullmatch(found[1])
        if not found[2]:
            problems.append(f'"{shown(found[0])}" has no closing }}; a literal ${{ is written $${{')
        elif named is None or "${" in found[1]:
            problems.append(f'"{shown(found[0])}" is not ${{NAME}} or ${{NAME:-default}}, where default is plain text')
        else:
            name, default = named.groups()
            given = environment.get(name)
            answer = given if default is None else given or default
            if answer is not None:
                return answer
            problems.append(f"{name} is not set; set it, or give it a default: ${{{name}:-…}}")
        return found[0]

    return _VARIABLE.sub(value, text), problems


def typed(text: str) -> object:
    """What a plain scalar without a tag is. ValueError where it is a number that Python cannot hold."""
    for _, pattern, convert in _CORE:
        if pattern.fullmatch(text):
            return convert(text)
    return text


def tagged(text: str, tag: str) -> object:
    """What a scalar is whose tag says so; ValueError where it cannot be, or the tag is none of the core schema's."""
    if tag == f"{CORE_TAG}str":
        return text
    for name, pattern, convert in _CORE:
        if tag == CORE_TAG + name:
            if pattern.fullmatch(text):
                return convert(text)
            raise ValueError(f'"{shown(text)}" is not what its tag says, !!{name}')
    raise ValueError(refused_tag(tag, "a text"))


def refused_tag(tag: str, kind: str) -> str:
    written = f"!!{tag.removeprefix(CORE_TAG)}" if tag.startswith(CORE_TAG) else tag
    return f"tag {shown(written)} on {kind}: a graph file holds plain values only; remove the tag"


def joined(text: str) -> str:
    """JSON writes characters past U+FFFF as two escapes, ``"\\ud83d\\ude00"``, and the parser leaves them apart."""
    if not _SURROGATE.search(text):
        return text
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise ValueError(f'"{shown(text)}" holds bytes that are not UTF-8, or half a surrogate pair') from None


def shown(text: str, *, most: int = 60) -> str:
    """On one line whatever it holds, and cut after ``most`` characters."""
    short = text if len(text) <= most else text[:most] + "…"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in short)


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a whole number of {len(text):,} digits; {MAX_DIGITS:,} are the most")
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text, base)


def _number(text: str) -> float:
    if text.lower().endswith(("inf", "nan")):
        return float(text.replace(".", ""))
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{shown(text)} is larger than a float can hold; infinity is written .inf")
    return number


_FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
# YAML 1.2.2, section 10.3.2, in its order: tag, the texts that have it, and how they are read.
_CORE: tuple[tuple[str, re.Pattern[str], Callable[[str], object]], ...] = (
    ("null", re.compile(r"(?:null|Null|NULL|~)?"), lambda _: None),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), lambda text: text.lower() == "true"),
    ("int", re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"), _integer),
    ("float", re.compile(_FLOAT), _number),
)
