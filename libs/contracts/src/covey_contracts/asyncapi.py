"""The whole platform as one AsyncAPI 3.0 document: topics, messages, and who sends and receives what."""

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from covey_contracts.base import Event
from covey_contracts.documents import Examples, JsonObject, definitions_of, json_object, retention_ms, topic_facts

BINDING = "0.5.0"
SCHEMA_REF = "#/components/schemas/{model}"

HEADERS: JsonObject = {
    "title": "CloudEventHeaders",
    "description": "CloudEvents 1.0, Kafka binding, binary mode: each header's value is UTF-8 text.",
    "type": "object",
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {
            "type": "string",
            "format": "uuid",
            "description": "The event's ID, a UUIDv7. A record can come twice: source and ID together tell.",
        },
        "ce_source": {
            "type": "string",
            "format": "uri-reference",
            "description": "The service that says it.",
            "examples": ["/membership"],
        },
        "ce_type": {"type": "string", "description": "The kind of event: the topic's name."},
        "ce_time": {"type": "string", "format": "date-time", "description": "When it happened (RFC 3339, UTC)."},
        "ce_subject": {"type": "string", "description": "The aggregate's ID."},
        "ce_partitionkey": {"type": "string", "description": "The aggregate's ID again: the record's key."},
        "ce_sequence": {
            "type": "string",
            "pattern": "^[0-9]{20}$",
            "description": "Counts the aggregate's events over all its topics, up by one with each, padded so that it "
            "sorts as text. A copy applies only what is higher than what it has.",
        },
        "ce_correlationid": {
            "type": "string",
            "description": "The same for everything that one request or one scheduled run set off.",
        },
        "ce_causationid": {
            "type": "string",
            "description": "The `ce_id` of the event that this one answers, if it answers one.",
        },
        "traceparent": {"type": "string", "description": "W3C Trace Context."},
        "content-type": {"type": "string", "const": "application/json"},
    },
    "required": [
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_time",
        "ce_subject",
        "ce_partitionkey",
        "ce_correlationid",
        "content-type",
    ],
}


def asyncapi(events: Sequence[type[Event]], version: str, examples: Examples) -> JsonObject:
    """The document. Servers are left out: they differ from one deployment to the next."""
    names, schemas = definitions_of(events, SCHEMA_REF)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Covey",
            "version": version,
            "description": "What Covey's services tell the world, over Apache Kafka. Each topic carries one kind of "
            "event; its records are CloudEvents in binary mode with a JSON value.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {event.topic.name: _channel(event) for event in events},
        "operations": {name: operation for event in events for name, operation in _operations(event).items()},
        "components": {
            "messages": {
                event.topic.name: _message(event, names[event], examples.get(event.topic.name, {})) for event in events
            },
            "schemas": {"CloudEventHeaders": HEADERS, **schemas},
        },
    }


def _channel(event: type[Event]) -> JsonObject:
    topic = event.topic
    return {
        "address": topic.name,
        "title": event.__name__,
        "description": event.__doc__ or "",
        "messages": {event.__name__: {"$ref": f"#/components/messages/{topic.name}"}},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": retention_ms(event)},
                "bindingVersion": BINDING,
            }
        },
        **topic_facts(event),
    }


def _operations(event: type[Event]) -> JsonObject:
    topic = event.topic
    parts = [(topic.owner, "send"), *((listener, "receive") for listener in topic.listeners)]
    return {f"{service}.{action}.{topic.name}": _operation(event, service, action) for service, action in parts}


def _operation(event: type[Event], service: str, action: str) -> JsonObject:
    channel = f"#/channels/{event.topic.name}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{event.__name__}"}],
        "tags": [{"name": service}],
    }


def _message(event: type[Event], schema_name: str, examples: Mapping[str, JsonValue]) -> JsonObject:
    topic = event.topic
    headers: JsonObject = {
        "type": "object",
        "allOf": [{"$ref": SCHEMA_REF.format(model="CloudEventHeaders")}],
        "properties": {"ce_type": {"const": topic.name}},
    }
    if topic.sequenced:
        headers["required"] = ["ce_sequence"]
    return {
        "name": topic.name,
        "title": event.__name__,
        "summary": event.__doc__ or "",
        "contentType": "application/json",
        "headers": headers,
        "payload": {"$ref": SCHEMA_REF.format(model=schema_name)},
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"The {topic.aggregate}'s ID: `{topic.key}`."},
                "bindingVersion": BINDING,
            }
        },
        "examples": [{"name": name, "payload": json_object(payload)} for name, payload in examples.items()],
    }
