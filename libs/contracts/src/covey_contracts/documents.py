"""What the event models say, as documents that need no Python to be read. Pure: the same events, the same text."""

import json
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, JsonValue
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema

from covey_contracts.base import Event, SealedBody

JsonObject = dict[str, JsonValue]
Examples = Mapping[str, Mapping[str, JsonValue]]
"""The kept examples: by topic, then by name."""

DECIMAL_RULES = ("allow_inf_nan", "decimal_places", "ge", "gt", "le", "lt", "max_digits", "multiple_of")
DAY_MS = 24 * 60 * 60 * 1000
FOR_EVER = -1
"""Kafka's word for it in ``retention.ms``."""


def event_schema(event: type[Event]) -> JsonObject:
    """JSON Schema 2020-12 of the record's value, with what the topic says about it under ``x-covey-*``."""
    names, definitions = definitions_of([event])
    own = json_object(definitions.pop(names[event]))
    schema: JsonObject = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= {keyword: own.pop(keyword) for keyword in ("title", "description") if keyword in own}
    schema |= topic_facts(event)
    schema |= own
    if definitions:
        schema["$defs"] = definitions
    return schema


def topic_facts(event: type[Event]) -> JsonObject:
    """What the event's topic says, as JSON Schema keywords of our own."""
    topic = event.topic
    return {
        "x-covey-topic": topic.name,
        "x-covey-owner": topic.owner,
        "x-covey-listeners": list(topic.listeners),
        "x-covey-aggregate": topic.aggregate,
        "x-covey-key": topic.key,
        "x-covey-kept-days": topic.kept_days,
        "x-covey-partitions": topic.partitions,
        "x-covey-sequenced": topic.sequenced,
    }


def definitions_of(
    events: Sequence[type[Event]], ref_template: str = "#/$defs/{model}"
) -> tuple[dict[type[BaseModel], str], JsonObject]:
    """The schemas of the events, of their parts and of what is sealed in them, and the name that each model got.

    Raises:
        ValueError: an event has a sealed field and does not say what is in it, or the other way round.
    """
    sealed = {event: body for event in events if (body := _sealed_body(event))}
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (model, "serialization") for model in dict.fromkeys([*events, *sealed.values()])
    ]
    refs, document = models_json_schema(models, ref_template=ref_template, schema_generator=_Exact)
    definitions: JsonObject = document["$defs"]
    names = {model: str(refs[model, mode]["$ref"]).rpartition("/")[2] for model, mode in models}
    for event, body in sealed.items():
        field = json_object(json_object(json_object(definitions[names[event]])["properties"])["sealed"])
        field["x-covey-sealed"] = {"for": body.sealed_for, "schema": {"$ref": ref_template.format(model=names[body])}}
    return names, definitions


def topic_list(events: Iterable[type[Event]]) -> list[JsonObject]:
    """What a Kafka administrator has to create. Nothing is compacted: a late copy could stay as the last value."""
    return [
        {
            "name": event.topic.name,
            "partitions": event.topic.partitions,
            "retention_ms": retention_ms(event),
            "cleanup_policy": "delete",
        }
        for event in events
    ]


def retention_ms(event: type[Event]) -> int:
    """How long Kafka keeps the event, in milliseconds; -1 is for ever."""
    return FOR_EVER if event.topic.kept_days is None else event.topic.kept_days * DAY_MS


def as_text(document: JsonValue | Sequence[JsonObject]) -> str:
    """A document as it is committed: indented, with a last line end."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def json_object(value: JsonValue) -> JsonObject:
    """The value, known to be an object.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(value, dict):
        raise TypeError(f"not a JSON object: {value!r}")
    return value


def _sealed_body(event: type[Event]) -> type[SealedBody] | None:
    if ("sealed" in event.model_fields) != (event.sealed_body is not None):
        raise ValueError(f"{event.__name__}: a sealed field and a sealed_body go together")
    return event.sealed_body


class _Exact(GenerateJsonSchema):
    """Says of each value all that its reader checks."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False  # the field's name says as much

    def decimal_schema(self, schema: Mapping[str, object]) -> JsonSchemaValue:
        """An exact number travels as text; without this the document would allow any text."""
        rules = {word: str(rule) for word, rule in schema.items() if word in DECIMAL_RULES}
        return {"type": "string", "format": "decimal"} | ({"x-decimal": rules} if rules else {})
