"""docs/events.md: every event for people to read."""

import json
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from covey_contracts.asyncapi import HEADERS
from covey_contracts.base import Event
from covey_contracts.documents import Examples, JsonObject, event_schema, json_object

OPENING = """\
# Events

What Covey's services tell the world. Made from `libs/contracts` by `make contracts`: change it there.

Each topic carries one kind of event, and its name is the event's type. A record is a
[CloudEvent](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md) in binary
mode: the value is the plain JSON shown here, the rest is in the headers.

{headers}

An event holds the public state after the change, not the difference. Pass over fields and types that you do not know.
Every event as [JSON Schemas](../libs/contracts/generated/schemas), all together as
[AsyncAPI](../libs/contracts/generated/asyncapi.json).
"""

PLAIN_WORDS = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text"}
FORMATS = {"uuid": "UUID", "date": "date", "date-time": "time", "decimal": "exact number, as text"}


def events_page(events: Sequence[type[Event]], examples: Examples) -> str:
    """The page: a table of all events, then one section for each."""
    described = json_object(HEADERS["properties"])
    headers = ["| header | says |", "|---|---|"]
    headers += [f"| `{name}` | {_says(json_object(header))} |" for name, header in described.items()]
    table = ["| topic | aggregate | written by | heard by | kept |", "|---|---|---|---|---|"]
    for event in events:
        topic = event.topic
        link = f"[`{topic.name}`](#{_anchor(topic.name)})"
        heard_by = ", ".join(topic.listeners) or "whoever subscribes"
        table.append(f"| {link} | {topic.aggregate} | {topic.owner} | {heard_by} | {_kept(event)} |")
    sections = [_section(event, examples.get(event.topic.name, {})) for event in events]
    return "\n".join([OPENING.format(headers="\n".join(headers)), *table, "", "\n".join(sections)])


def _says(header: JsonObject) -> str:
    return f"`{header['const']}`" if "const" in header else _one_line(header.get("description"))


def _section(event: type[Event], examples: Mapping[str, JsonValue]) -> str:
    topic = event.topic
    schema = event_schema(event)
    listeners = f"Heard by **{'**, **'.join(topic.listeners)}**" if topic.listeners else "No service of ours listens"
    lines = [
        f"## {topic.name}",
        "",
        _one_line(schema.get("description")),
        "",
        f"Written by **{topic.owner}**. {listeners}. Kept {_kept(event)}. Key: `{topic.key}`. "
        f"{topic.partitions} partitions. " + ("" if topic.sequenced else "No sequence. ") + "Model: "
        f"`{event.__module__}.{event.__name__}`, [schema](../libs/contracts/generated/schemas/{topic.name}.json).",
        "",
        *_fields(schema, schema),
        "",
    ]
    if event.sealed_body:
        lines += [
            f"Inside `sealed`, for **{event.sealed_body.sealed_for}** alone. {_one_line(event.sealed_body.__doc__)}",
            "",
            *_fields(_sealed_schema(schema), schema),
            "",
        ]
    for payload in list(examples.values())[:1]:
        lines += ["```json", json.dumps(_shortened(payload), indent=2, ensure_ascii=False), "```", ""]
    return "\n".join(lines)


def _fields(schema: JsonObject, root: JsonObject) -> list[str]:
    required = schema.get("required")
    rows = ["| field | holds | |", "|---|---|---|"]
    for name, value in json_object(schema.get("properties", {})).items():
        field = json_object(value)
        optional = "" if isinstance(required, list) and name in required else ", or missing"
        rows.append(f"| `{name}` | {_holds(field, root)}{optional} | {_meaning(field, root)} |")
    return rows


def _holds(field: JsonObject, root: JsonObject) -> str:
    """What kind of value a field has, in words."""
    if isinstance(ref := field.get("$ref"), str):
        return _holds(_definition(ref, root), root)
    if isinstance(alternatives := field.get("anyOf"), list):
        return " or ".join(_holds(json_object(alternative), root) for alternative in alternatives)
    if isinstance(values := field.get("enum"), list):
        return " \\| ".join(f"`{value}`" for value in values)
    match field.get("type"):
        case "object" if "properties" in field:
            return f"{field['title']}: " + ", ".join(f"`{name}`" for name in json_object(field["properties"]))
        case "object":
            return "object"
        case "array":
            return f"list of {_holds(json_object(field.get('items', {})), root)}"
        case str(kind):
            return FORMATS.get(str(field.get("format")), PLAIN_WORDS.get(kind, kind))
        case _:
            return "anything"


def _meaning(field: JsonObject, root: JsonObject) -> str:
    """What the field says of itself, or else what the model that it holds says."""
    if "description" in field:
        return _one_line(field["description"])
    if isinstance(ref := field.get("$ref"), str):
        return _meaning(_definition(ref, root), root)
    alternatives = field.get("anyOf")
    held = [*(alternatives if isinstance(alternatives, list) else []), field.get("items", {})]
    return next(filter(None, (_meaning(json_object(schema), root) for schema in held if schema)), "")


def _sealed_schema(schema: JsonObject) -> JsonObject:
    field = json_object(json_object(schema["properties"])["sealed"])
    return _definition(str(json_object(json_object(field["x-covey-sealed"])["schema"])["$ref"]), schema)


def _definition(ref: str, root: JsonObject) -> JsonObject:
    return json_object(json_object(root["$defs"])[ref.removeprefix("#/$defs/")])


def _shortened(payload: JsonValue) -> JsonValue:
    """The example without the tail of its sealed text, which tells a reader nothing."""
    return {
        name: f"{value[:40]}…" if name == "sealed" and isinstance(value, str) else value
        for name, value in json_object(payload).items()
    }


def _kept(event: type[Event]) -> str:
    days = event.topic.kept_days
    return "for ever" if days is None else f"{days} days"


def _one_line(text: JsonValue) -> str:
    return " ".join(str(text or "").split()).replace("|", "\\|")


def _anchor(heading: str) -> str:
    """The anchor that Markdown renderers give a heading: its letters, digits and dashes."""
    return "".join(character for character in heading.lower() if character.isalnum() or character in "-_")
