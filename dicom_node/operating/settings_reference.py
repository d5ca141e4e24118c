"""Every setting in a table, as `docs/settings.md` holds it: made from the settings' own model, so it cannot age."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from dicom_node.settings import Settings
from pipeline.findings import RESEARCH_NOTICE

# One key, or one table, as JSON schema describes it.
Described = Mapping[str, Any]

_HEAD = f"""# Settings

> {RESEARCH_NOTICE}

Every key of a settings file. This page is made by `dicom-node config reference`; do not edit it.

- The file is TOML. `dicom-node config init` writes one that shows every key with its default;
  `dicom-node config init --minimal` only what must be said. `dicom-node config check FILE` says what a file means.
- A key that is not listed here is an error; so is a value out of its range. The message names file, key, value and remedy.
- Relative paths start at the file's own folder.
- A running node keeps the settings that it started with: restart it after a change.
- `dicom-node config schema` prints the same as JSON schema, for editors.
"""

# Tables that stand inside others, by their heading.
_INNER_TABLES = {
    "An entry of `node.ae_titles` as a table": "CalledAeTitle",
    "`[destinations.series.sc]`, and so for each object": "SeriesOfObject",
}


def settings_reference() -> str:
    """The whole page, Markdown."""
    schema = Settings.model_json_schema()
    known: Mapping[str, Described] = schema["$defs"]
    parts = [_HEAD]
    for key, field in schema["properties"].items():
        if key == "destinations":
            parts += _kinds([known[_referred(one)] for one in field["items"]["oneOf"]])
            continue
        several = field.get("type") == "array"
        table = known[_referred(field["items"] if several else field)]
        heading = f"[[{key}]]" if several else f"[{key}]"
        parts += [f"## `{heading}`", str(table["description"]), _table(table)]
    for heading, name in _INNER_TABLES.items():
        parts += [f"## {heading}", str(known[name]["description"]), _table(known[name])]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _kinds(tables: Sequence[Described]) -> Iterator[str]:
    """The destinations: what all kinds have, then what each has of its own."""
    common = set.intersection(*(set(table["properties"]) for table in tables)) - {"kind"}
    yield "## `[[destinations]]`"
    yield "Where results go, and what each destination wants of them. These keys are common to all kinds:"
    yield _table(tables[0], common)
    for table in tables:
        kind = table["properties"]["kind"]["const"]
        yield f"### `[[destinations]]` with `kind = {json.dumps(kind)}`"
        yield str(table["description"])
        yield _table(table, set(table["properties"]) - common)


def _table(table: Described, keys: Collection[str] | None = None) -> str:
    """A row for each key of a table, or for those of `keys`."""
    needed = table.get("required", ())
    rows = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for key, field in table["properties"].items():
        if keys is not None and key not in keys:
            continue
        cells = (f"`{key}`", _type(field), _default(field, key in needed), str(field["description"]))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _type(field: Described) -> str:
    """A key's type in words, with its limits."""
    if "$ref" in field:
        return "a table (below)"
    if "anyOf" in field:
        return " or ".join(_type(kind) for kind in field["anyOf"] if kind.get("type") != "null")
    if "enum" in field:
        return " or ".join(f"`{json.dumps(word)}`" for word in field["enum"])
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if field["type"] == "object":
        words = ", ".join(f"`{word}`" for word in field["propertyNames"]["enum"])
        return f"a table (below) for each of {words}"
    if field["type"] == "array":
        return f"list: {_type(field['items'])}"
    names = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "true or false",
    }
    name = "path" if field.get("format") == "path" else names[field["type"]]
    return " ".join([name, *_limits(field)])


def _limits(field: Described) -> Iterator[str]:
    words = {
        "exclusiveMinimum": "above {}",
        "minimum": "from {}",
        "exclusiveMaximum": "below {}",
        "maximum": "to {}",
        "maxLength": "of at most {} characters",
    }
    for key, text in words.items():
        if key in field:
            yield text.format(json.dumps(field[key]))


def _default(field: Described, needed: bool) -> str:
    if needed:
        return "must be given"
    default = field["default"]
    return "not set" if default is None else f"`{json.dumps(default)}`"


def _referred(field: Described) -> str:
    """The name of the table that a key refers to."""
    return str(field["$ref"]).rpartition("/")[2]
