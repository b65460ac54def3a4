"""The JSON Schema of the graph file, for editors: made of the words that the reader knows, so that they cannot drift.

Draft 2020-12. It sees one value at a time; what looks from one to another (cycles, unknown steps, dimensions) is for
``check``. A value may be ``${VAR}`` text wherever it is a text, a number or a truth value.
"""

from __future__ import annotations

import keyword
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pipeline.graph.spec import HEADERS, PARAMETERS, RESERVED
from pipeline.graph.units import BYTES, SECONDS
from pipeline.graph.words import PLACES, STEP_KEYS, TOP_KEYS, VERBS, listed
from pipeline.tensors.datatype import Datatype

Schema = Mapping[str, Any]

# No address: the schema is printed, not published, and an editor is given the file.
_ID = "urn:pipeline-serve:graph"
_VARIABLE = r"(^|[^$])\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"
_NUMBER = r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9][0-9]?)?"
# A whole zero is no duration, and none of 1e5s.
_QUANTITY = rf"^\s*(?=[0.]*[1-9]){_NUMBER}\s*({{}})\s*$"
# Letters, digits and _ of every script, as Python's \w; in ECMA-262 that is ASCII.
_WORD = r"[^\s\x00-/:-@\[-\^`{-\x9f]"
_MODEL_NAME = rf"^{_WORD}({_WORD}|[.\-]){{0,127}}$"
_DIM = rf"\s*([A-Za-z_]{_WORD}*|[0-9]{{1,18}}|-1)\s*"


def json_schema(kinds: Mapping[str, Collection[str]], options: Mapping[str, Mapping[str, Schema]]) -> dict[str, Any]:
    """The schema. ``kinds``: action → its option words; ``options``: action → the schema of it and of its options.

    A word without a schema of its own takes any value.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": _ID,
        "title": "A graph of pipeline-serve",
        "description": "One file is one pipeline: a graph of steps, served under one model name.",
        "type": "object",
        "required": ["steps"],
        "additionalProperties": False,
        "properties": {key: _TOP.get(key, True) for key in sorted(TOP_KEYS)},
        "examples": [{"name": "iris", "steps": {"clean": "app.py:clean", "predict": {"model": "iris.joblib"}}}],
        "$defs": {**_DEFS, "step": _step(kinds, options)},
    }


def _step(kinds: Mapping[str, Collection[str]], options: Mapping[str, Mapping[str, Schema]]) -> dict[str, Any]:
    own = sorted({option for words in kinds.values() for option in words})
    properties = {key: _STEP.get(key, True) for key in sorted(STEP_KEYS)}
    properties |= {action: options.get(action, {}).get(action, True) for action in sorted(kinds)}
    properties |= {option: True for option in own if option not in properties}
    return {
        "description": "What a step does (exactly one), what it reads, and its limits. A text is short for run.",
        "anyOf": [
            _ref("function", "file.py:name or package.module:name, short for run"),
            {
                "type": "object",
                "additionalProperties": False,
                "properties": properties,
                "oneOf": [{"required": [action]} for action in sorted(kinds)],
                "allOf": [
                    {
                        "if": {"required": [action]},
                        "then": {
                            "properties": {
                                word: (
                                    options.get(action, {}).get(word, _STEP.get(word, True)) if word in words else False
                                )
                                for word in own
                                if word not in STEP_KEYS
                            }
                        },
                    }
                    for action, words in sorted(kinds.items())
                ],
            },
        ],
    }


def or_variable(schema: Schema) -> dict[str, Any]:
    """The schema, or a text that a variable is filled into."""
    words = {key: schema[key] for key in ("description", "default", "examples") if key in schema}
    rest = {key: value for key, value in schema.items() if key not in words}
    return {**words, "anyOf": [rest, {"$ref": "#/$defs/variable"}]}


def _ref(name: str, description: str = "", **more: Any) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}", **({"description": description} if description else {}), **more}


def _whole(least: int, description: str, **more: Any) -> dict[str, Any]:
    return or_variable({"type": "integer", "minimum": least, "description": description, **more})


def _by_verb(one: Schema) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {verb: dict(one) for verb in VERBS}}


def _in_any_case(names: Iterable[str]) -> str:
    """ECMA-262 has no flag for it inside a pattern."""
    return "|".join("".join(f"[{c}{c.lower()}]" if c.isalpha() else c for c in name) for name in names)


_REFERENCE = (
    rf"^(?!({HEADERS}|{PARAMETERS})$)(?=.*\S)[^.]+(\..+)?$"  # what stands before the dot, and after it, is some name
)
_NO_NAMES = [*RESERVED, *keyword.kwlist]
# A step in a list is named after its function.
_NAMELESS = {"type": "string", "pattern": rf"(^|[:.])({'|'.join(_NO_NAMES)})$"}
_RUNS_NAMELESS = {"type": "object", "required": ["run"], "properties": {"run": _NAMELESS}}
_DEFS: Schema = {
    "variable": {"type": "string", "pattern": _VARIABLE, "description": "${VAR} or ${VAR:-default}, filled in first"},
    "duration": or_variable(
        {
            "type": "string",
            "pattern": _QUANTITY.format("|".join(SECONDS)),
            "description": f"A number and a unit: {listed(SECONDS)}",
            "examples": ["300ms", "2s", "5m"],
        }
    ),
    "size": or_variable(
        {
            "type": "string",
            "pattern": _QUANTITY.format("|".join(BYTES)),
            "description": f"A number and a unit: {listed(BYTES)}",
            "examples": ["512KiB", "64MiB", "10MB"],
        }
    ),
    "function": or_variable(
        {
            "type": "string",
            "pattern": r"^[\s\S]+:[^:]+$",
            "description": "file.py:name (beside the graph) or package.module:name: a function or a class",
            "examples": ["app.py:clean", "package.module:Class"],
        }
    ),
    "reference": or_variable(
        {
            "type": "string",
            "pattern": _REFERENCE,
            "description": "step, step.tensor, request, request.tensor, headers.NAME or parameters.NAME",
            "examples": ["request", "request.rows", "headers.x-user"],
        }
    ),
    "answer": or_variable(
        {
            "type": "string",
            "pattern": rf"^(?!({'|'.join(RESERVED)})(\.|$))(?=.*\S)[^.]+(\..+)?$",
            "description": "A step, or step.tensor",
        }
    ),
    "handle": or_variable(
        {"type": "string", "pattern": rf"^(?!({'|'.join(RESERVED)})$)(?=.*\S)[^.]+$", "description": "A step, whole"}
    ),
    "answers": {
        "anyOf": [_ref("answer"), {"type": "array", "minItems": 1, "items": _ref("answer")}],
    },
    "tensor": or_variable(
        {
            "type": "string",
            "pattern": rf"^\s*({_in_any_case(Datatype.__members__)})\s*\[(\s*|{_DIM}(,{_DIM})*)\]\s*\??\s*$",
            "description": "DTYPE[dims]; a dimension is a number, -1, or a name that is one size everywhere",
            "examples": ["FP32[n,4]", "BYTES[n]", "FP64[1]?"],
        }
    ),
    "step_name": {
        "pattern": rf"^(?![0-9]){_WORD}+$",
        "not": {"enum": _NO_NAMES},
        "description": "A Python identifier",
    },
}
_OUTPUT_TENSOR: Schema = {"allOf": [_ref("tensor"), {"not": {"pattern": r"\]\s*\?\s*$"}}]}
_TOP: Schema = {
    "name": or_variable(
        {"type": "string", "pattern": _MODEL_NAME, "description": "Model name on the wire; the file's stem by default"}
    ),
    "version": or_variable(
        {
            "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": _MODEL_NAME}],
            "description": "A whole number, or a text",
            "default": "1",
        }
    ),
    "steps": {
        "description": "Step name → step, in order; or a list of functions, a plain chain",
        "anyOf": [
            {
                "type": "object",
                "minProperties": 1,
                "propertyNames": _ref("step_name"),
                "additionalProperties": _ref("step"),
            },
            {
                "type": "array",
                "minItems": 1,
                "uniqueItems": True,
                "items": {
                    "allOf": [_ref("step"), {"if": {"type": "object"}, "then": {"required": ["run"]}}],
                    "not": {"anyOf": [_NAMELESS, _RUNS_NAMELESS]},
                },
            },
        ],
    },
    "output": {
        "description": "The answer: a step, a list of steps, or a map verb → step; the last step by default",
        "anyOf": [_ref("answers"), {**_by_verb(_ref("answers")), "minProperties": 1}],
    },
    "schema": {
        "description": "Tensors that the model takes and gives",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "inputs": {
                "type": "object",
                "additionalProperties": _ref("tensor"),
                "description": "? marks an optional one",
            },
            "outputs": {"type": "object", "additionalProperties": _OUTPUT_TENSOR},
        },
    },
    "deadline": {
        "description": "Of the whole request, or a map per verb; none where there is no bound",
        "default": "60s",
        "anyOf": [
            _ref("duration"),
            {"const": "none"},
            _by_verb({"anyOf": [_ref("duration"), {"const": "none"}]}),
        ],
    },
    "limit": _whole(1, "Requests inside the graph; past it, and its queue, 503", default=1000),
    "queue": _whole(0, "Requests that wait to enter", default=0),
}
_STEP: Schema = {
    "inputs": {
        "description": "A reference, a list of them, or a map parameter → reference; the step above by default",
        "anyOf": [
            _ref("reference"),
            {"type": "array", "items": _ref("reference")},
            {"type": "object", "additionalProperties": _ref("reference")},
        ],
    },
    "timeout": _ref("duration", "Waiting and work of this step together; the rest of the deadline by default"),
    "limit": _whole(1, "Requests in the step at once"),
    "queue": _whole(0, "Requests that wait for the step", default=100),
    "place": or_variable(
        {
            "enum": list(PLACES),
            "description": "Where it runs: async code on trio's loop, or on one of asyncio, the rest in a thread",
        }
    ),
    "each": or_variable(
        {"type": "string", "description": "The input to loop over: one run per item of its first axis"}
    ),
    "handles": {
        "description": "Name → a step that this one calls, as often as it likes",
        "type": "object",
        "additionalProperties": _ref("handle"),
    },
    "detached": or_variable({"type": "boolean", "description": "Nobody waits for it", "default": False}),
    "warmup": or_variable(
        {
            "anyOf": [{"type": "boolean"}, {"type": "string", "minLength": 1}],
            "description": "One call before the model is ready: with zeros, or a request from a file; false: none",
            "examples": [False, "request.json"],
        }
    ),
}


def words_without_a_schema(kinds: Mapping[str, Collection[str]], options: Mapping[str, Schema]) -> list[str]:
    """The words of the file that take any value, since nobody has said what they mean."""
    missing = [key for key in TOP_KEYS if key not in _TOP] + [key for key in STEP_KEYS if key not in _STEP]
    for action, words in kinds.items():
        missing += [word for word in (action, *words) if word not in options.get(action, {}) and word not in _STEP]
    return sorted(missing)
