"""``schema``: the JSON Schema of the graph file, with the step kinds and runtimes there are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.graph.json_schema import json_schema
from pipeline.steps.catalog import StepKind, step_kinds


def schema_text() -> str:
    """As a file: indented JSON."""
    kinds = step_kinds()
    keys = {action: kind.KEYS[action] for action, kind in kinds.items()}
    return json.dumps(json_schema(keys, options_of(kinds)), indent=2, ensure_ascii=False) + "\n"


def options_of(kinds: Mapping[str, StepKind]) -> dict[str, Mapping[str, Any]]:
    """Action → the schema of it and of its options."""
    return {action: kind.schema() for action, kind in kinds.items()}
