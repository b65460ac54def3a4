"""What schemathesis itself gets wrong about a document that is right; loaded by its own process."""

import schemathesis


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Spares replies ``prefixItems``: 4.32 rewrites them to draft 7's ``items: […]``, and refuses that as no schema.

    Each item then fits one of the prefixes, at any place. Requests keep theirs.
    """
    for path in raw_schema["paths"].values():
        for operation in path.values():
            loosen(operation["responses"])


def loosen(node):
    if isinstance(node, dict):
        if "prefixItems" in node:
            node["items"] = {"anyOf": node.pop("prefixItems")}
        for inner in node.values():
            loosen(inner)
    elif isinstance(node, list):
        for inner in node:
            loosen(inner)
