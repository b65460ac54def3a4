"""``schema``: the JSON Schema of the graph file, with the step kinds and runtimes there are."""

from __future__ import annotations

import json

from pipeline.graph.json_schema import json_schema
from pipeline.steps.catalog import step_kinds


def schema_text() -> str:
    """As a file: indented JSON."""
    kinds = step_kinds()
    keys = {action: kind.KEYS[action] for action, kind in kinds.items()}
    options = {action: kind.SCHEMA for action, kind in kinds.items()}
    return json.dumps(json_schema(keys, options), indent=2, ensure_ascii=False) + "\n"
