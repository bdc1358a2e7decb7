"""Whether a JSON answer keeps to the schema that it was bound to.

Belongs here: the keywords that decoders know (type, enum, const, properties, required, additionalProperties, items,
anyOf, bounds of lengths and numbers). Does not belong here: schemas themselves, references: a schema is written out.

A server that decodes under a schema breaks it only where it does not know a keyword or stops early, and not every
server decodes under one: so every answer is read with the same eyes.

vLLM's xgrammar lets every character into a string whose length is bounded: a line break inside a report comes as such
and not as "\\n". JSON forbids that, its meaning is plain, and it is read; other control characters are noise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}

_NOISE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def read_json(text: str) -> Any:
    """The document of an answer; tabs and line breaks may stand in its strings as they are.

    Raises:
        ValueError: it is no JSON.
    """
    if _NOISE.search(text):
        raise ValueError("a control character is no JSON")
    return json.loads(text, parse_constant=_no_constant, strict=False)


def keeps_to(text: str, schema: Mapping[str, Any]) -> bool:
    """Whether a text is JSON of this schema."""
    try:
        document = read_json(text)
    except (ValueError, RecursionError):
        return False
    return conforms(document, schema)


def conforms(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a JSON value follows a schema; keywords that are not known here forbid nothing."""
    if "anyOf" in schema and not any(conforms(value, one) for one in schema["anyOf"]):
        return False
    if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
        return False
    if "const" in schema and not _same(value, schema["const"]):
        return False
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(_is(value, name) for name in names):
            return False
    if isinstance(value, dict):
        return _object(value, schema)
    if isinstance(value, list):
        inner = schema.get("items", {})
        return _within(len(value), schema, "Items") and all(conforms(one, inner) for one in value)
    if isinstance(value, str):
        return _within(len(value), schema, "Length")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return schema.get("minimum", value) <= value <= schema.get("maximum", value)
    return True


def _object(value: dict[str, Any], schema: Mapping[str, Any]) -> bool:
    properties = schema.get("properties", {})
    if not set(schema.get("required", ())) <= set(value):
        return False
    if schema.get("additionalProperties") is False and not set(value) <= set(properties):
        return False
    return all(conforms(one, properties.get(name, {})) for name, one in value.items())


def _within(size: int, schema: Mapping[str, Any], what: str) -> bool:
    return bool(schema.get(f"min{what}", size) <= size <= schema.get(f"max{what}", size))


def _is(value: Any, name: str) -> bool:
    # True is an int in Python, and no number in JSON.
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name])


def _same(value: Any, other: Any) -> bool:
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
