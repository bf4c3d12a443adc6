"""Checks a JSON document against the part of JSON Schema that kvista's schemas use."""
import json
import re

TYPES = {"string": str, "boolean": bool, "integer": int, "number": (int, float), "null": type(None), "array": list,
         "object": dict}
# Another keyword in a schema is a fault of this file: it would be passed over in silence.
KNOWN = {"$schema", "title", "description", "type", "properties", "required", "items", "const", "pattern", "minimum",
         "maximum", "additionalProperties", "oneOf"}


def has_type(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, TYPES[name])


def check(schema: dict, value: object, at: str) -> list[str]:
    faults = [f"{at}: the schema has {key}, which is not checked" for key in schema if key not in KNOWN]
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(has_type(value, name) for name in types):
        return faults + [f"{at}: {value!r} is not of type {types}"]
    if "const" in schema and value != schema["const"]:
        faults.append(f"{at}: {value!r} is not {schema['const']!r}")
    if "oneOf" in schema and sum(not check(one, value, at) for one in schema["oneOf"]) != 1:
        faults.append(f"{at}: not exactly one of the alternatives fits")
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        faults.append(f"{at}: {value!r} does not match {schema['pattern']}")
    if isinstance(value, (int, float)) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        faults.append(f"{at}: {value} is out of range")
    if isinstance(value, dict):
        faults += check_object(schema, value, at)
    if isinstance(value, list):
        for i, one in enumerate(value):
            faults += check(schema.get("items", {}), one, f"{at}[{i}]")
    return faults


def check_object(schema: dict, value: dict, at: str) -> list[str]:
    faults = [f"{at}: {name} is missing" for name in schema.get("required", []) if name not in value]
    properties = schema.get("properties")
    for name, one in value.items():
        if properties is None:
            continue
        # Stricter than JSON Schema: what is printed must be in the schema.
        if name not in properties:
            faults.append(f"{at}: the schema has no {name}")
        else:
            faults += check(properties[name], one, f"{at}.{name}")
    return faults


def faults_of(schema_text: str, document_text: str) -> list[str]:
    """What is wrong with the document, one sentence each."""
    try:
        document = json.loads(document_text)
    except json.JSONDecodeError as error:
        return [f"the output is no JSON: {error}"]
    return check(json.loads(schema_text), document, "document")
