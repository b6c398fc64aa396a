"""Which changes of a released event break somebody, each said in a sentence.

Three readers are protected, because services are released one by one and most events are kept for ever:

- **a listener that is older than the producer** parses today's events with the released model. It must not meet a
  value that the released model refuses, nor miss one that it relies on;
- **a listener that is newer than the producer** parses released events with today's model;
- **a replay** does the same with every event since the first.

What a wider rule gives to one of them it takes from another: so the rules of a released property stay as they are.
What may be added: optional properties, topics, listeners, longer retention.
"""

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from covey_contracts.documents import JsonObject, json_object
from covey_contracts.schema_nodes import ANNOTATIONS, SEALED, Node

TOPIC_FACTS = {
    "owner": "ce_source changes with it, by which listeners know a repeated event",
    "aggregate": "listeners file what they hear under it",
    "key": "one aggregate's events would lie in two partitions and lose their order",
    "partitions": "a key would move to another partition and lose its order",
    "sequenced": "listeners guard their copies by the sequence",
}

LOWER_BOUNDS = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
UPPER_BOUNDS = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
RULED_ELSEWHERE = {"additionalProperties", "const", "default", "enum", "items", "prefixItems", "properties", "required"}
"""Keywords that have a function of their own below. Any other may not change at all."""

OLD_LISTENERS_REFUSE = "a listener of the last release refuses that"
OLD_LISTENERS_MISS = "a listener of the last release may rely on it"
REPLAYS_FAIL = "events that are already published may not parse any more"

Above = tuple[tuple[JsonValue, JsonValue], ...]
"""What is being compared further up: a recursive model ends there."""


def breaking_changes(released: Mapping[str, JsonObject], today: Mapping[str, JsonObject]) -> list[str]:
    """One sentence for each change that breaks a reader. Both hold the events' schemas by topic name."""
    sentences = []
    for topic, before in released.items():
        after = today.get(topic)
        if after is None:
            sentences.append(f"{topic}: the topic is gone: listeners wait for it, and its history can't be read.")
            continue
        changes = [*_topic_changes(before, after), *_changes(Node(before, before), Node(after, after), "", ())]
        sentences += [f"{topic}: {change}." for change in changes]
    return sentences


def _topic_changes(before: JsonObject, after: JsonObject) -> Iterator[str]:
    for fact, reason in TOPIC_FACTS.items():
        old, new = before.get(f"x-covey-{fact}"), after.get(f"x-covey-{fact}")
        if old != new:
            yield f"{fact} changed from {_said(old)} to {_said(new)}: {reason}"
    old, new = before.get("x-covey-kept-days"), after.get("x-covey-kept-days")
    if isinstance(new, int) and (not isinstance(old, int) or new < old):
        kept = "for ever" if old is None else f"{old} days"
        yield f"it was kept {kept} and would be kept {new} days: a listener that begins later misses the rest"


def _changes(before: Node, after: Node, at: str, above: Above) -> Iterator[str]:
    """Changes between two places; ``at`` is the path to them, such as ``plans[].plan_id``."""
    pair = (before.plain(), after.plain())
    if pair[0] == pair[1] or pair in above:
        return
    above = (*above, pair)
    yield from _sealing_changes(before.target(), after.target(), at, above)
    old, new = before.kinds(), after.kinds()
    gone = [kind for kind in old if kind.plain() not in [other.plain() for other in new]]
    come = [kind for kind in new if kind.plain() not in [other.plain() for other in old]]
    for kind, heir in _heirs(gone, come):
        gone.remove(kind)
        come.remove(heir)
        yield from _kind_changes(kind, heir, at, above)
    yield from (f"{_name(at)} may not be {_label(kind)} any more: {REPLAYS_FAIL}" for kind in gone)
    yield from (f"{_name(at)} may be {_label(kind)} now: {OLD_LISTENERS_REFUSE}" for kind in come)


def _heirs(gone: list[Node], come: list[Node]) -> list[tuple[Node, Node]]:
    """Which of the new kinds of value is a changed old one: the one of the same name, or the only one."""
    if len(gone) == len(come) == 1:
        return [(gone[0], come[0])]
    named = {_label(kind): kind for kind in come}
    return [(kind, named.pop(_label(kind))) for kind in gone if _label(kind) in named]


def _kind_changes(before: Node, after: Node, at: str, above: Above) -> Iterator[str]:
    """Changes of one kind of value: a scalar, an object or an array."""
    old, new = before.schema.get("type", "anything"), after.schema.get("type", "anything")
    if old != new:
        yield f"{_name(at)} changed its type from {old} to {new}: no reader expects both"
        return
    yield from _value_changes(before, after, at)
    yield from _rule_changes(before, after, at)
    yield from _property_changes(before, after, at, above)
    yield from _openness_changes(before, after, at, above)
    yield from _changes(before.part("items"), after.part("items"), f"{at}[]", above)
    yield from _position_changes(before, after, at, above)


def _value_changes(before: Node, after: Node, at: str) -> Iterator[str]:
    """Changes of a closed list of values; a constant is a list of one."""
    old, new = ([node.schema["const"]] if "const" in node.schema else node.values("enum") for node in (before, after))
    if old and not new:
        yield f"{_name(at)} takes any value now: {OLD_LISTENERS_REFUSE}"
    elif new and not old:
        yield f"{_name(at)} is limited to a list of values now: {REPLAYS_FAIL}"
    else:
        yield from (f"{_name(at)} lost the value {_said(v)}: {REPLAYS_FAIL}" for v in old if v not in new)
        yield from (f"{_name(at)} has the new value {_said(v)}: {OLD_LISTENERS_REFUSE}" for v in new if v not in old)


def _rule_changes(before: Node, after: Node, at: str) -> Iterator[str]:
    """Changes of bounds, pattern, format and every keyword that has no function of its own: none may change."""
    words = (before.schema.keys() | after.schema.keys()) - ANNOTATIONS - RULED_ELSEWHERE
    for word in sorted(word for word in words if not word.startswith("x-covey-")):
        old, new = before.schema.get(word), after.schema.get(word)
        if before.at({word: old}).plain() == after.at({word: new}).plain():
            continue
        if old is None or _is_narrower(word, old, new):
            change, reason = "is narrower", REPLAYS_FAIL
        elif new is None or _is_narrower(word, new, old):
            change, reason = "is wider", OLD_LISTENERS_REFUSE
        else:
            change, reason = "allows other values", f"{REPLAYS_FAIL}, and {OLD_LISTENERS_REFUSE}"
        yield f"{_name(at)} {change}, as {word} changed from {_said(old)} to {_said(new)}: {reason}"


def _is_narrower(word: str, old: JsonValue, new: JsonValue) -> bool:
    """Whether a bound allows less than before."""
    if not isinstance(old, int | float) or not isinstance(new, int | float):
        return False
    return (word in LOWER_BOUNDS and new > old) or (word in UPPER_BOUNDS and new < old)


def _property_changes(before: Node, after: Node, at: str, above: Above) -> Iterator[str]:
    old, new = before.properties(), after.properties()
    come = [name for name in new if name not in old]
    for name, schema in old.items():
        if name in new:
            yield from _presence_changes(before, after, at, name)
            yield from _changes(before.at(schema), after.at(new[name]), _path(at, name), above)
            continue
        heir = next((other for other in come if after.at(new[other]).plain() == before.at(schema).plain()), None)
        renamed = f" (renamed to `{heir}`, it seems)" if heir else ""
        yield f"{_name(at, name)} is gone{renamed}: {OLD_LISTENERS_MISS}"
    for name in come:
        if name in after.values("required"):
            yield f"{_name(at, name)} is new and required: {REPLAYS_FAIL}, as they have no such property"
        elif before.schema.get("additionalProperties") is False:
            yield f"{_name(at, name)} is new where nothing unknown was allowed: {OLD_LISTENERS_REFUSE}"


def _presence_changes(before: Node, after: Node, at: str, name: str) -> Iterator[str]:
    """Changes of what it means that a property is missing."""
    was_required, is_required = (name in node.values("required") for node in (before, after))
    if was_required and not is_required:
        yield f"{_name(at, name)} is no longer required: {OLD_LISTENERS_MISS}"
    elif is_required and not was_required:
        yield f"{_name(at, name)} became required: {REPLAYS_FAIL}, as they may lack it"
    elif not is_required:
        old, new = (node.at(node.properties()[name]).target().schema.get("default") for node in (before, after))
        if old != new:
            yield (
                f"{_name(at, name)} means {_said(new)} when it is missing, and meant {_said(old)}: "
                "events that are already published would change their meaning"
            )


def _openness_changes(before: Node, after: Node, at: str, above: Above) -> Iterator[str]:
    """Changes of what is allowed beside the named properties."""
    was_closed, is_closed = (node.schema.get("additionalProperties") is False for node in (before, after))
    if is_closed and not was_closed:
        yield f"{_name(at)} allows no unknown properties any more: it would refuse the events of a newer producer"
    elif was_closed and not is_closed:
        yield f"{_name(at)} allows unknown properties now: {OLD_LISTENERS_REFUSE}"
    else:
        beside = "additionalProperties"
        yield from _changes(before.part(beside), after.part(beside), _path(at, "*"), above)


def _position_changes(before: Node, after: Node, at: str, above: Above) -> Iterator[str]:
    """Changes of a list whose positions have a schema each."""
    old, new = before.values("prefixItems"), after.values("prefixItems")
    if len(old) != len(new):
        yield f"{_name(at)} has {len(new)} positions and had {len(old)}: no reader expects both"
        return
    for position, schemas in enumerate(zip(old, new, strict=True)):
        yield from _changes(before.at(schemas[0]), after.at(schemas[1]), f"{at}[{position}]", above)


def _sealing_changes(before: Node, after: Node, at: str, above: Above) -> Iterator[str]:
    old, new = before.schema.get(SEALED), after.schema.get(SEALED)
    if old is None and new is None:
        return
    if old is None or new is None:
        yield f"{_name(at)} is {'sealed now' if new else 'no longer sealed'}: no reader expects both"
        return
    old, new = json_object(old), json_object(new)
    if old["for"] != new["for"]:
        yield f"{_name(at)} was sealed for {old['for']} and would be for {new['for']}: the first can't open it any more"
    yield from _changes(before.at(old["schema"]), after.at(new["schema"]), f"{at} > ", above)


def _label(kind: Node) -> str:
    """What to call one of several kinds of value."""
    return str(kind.schema.get("title") or kind.schema.get("format") or kind.schema.get("type") or "anything")


def _path(at: str, name: str) -> str:
    return f"{at}{name}" if at == "" or at.endswith(" ") else f"{at}.{name}"


def _name(at: str, name: str = "") -> str:
    """How a sentence calls a place: `plans[].plan_id`, `sealed > contract_signer.email`, or the value itself."""
    path = _path(at, name) if name else at
    return f"`{path}`" if path else "the value"


def _said(value: JsonValue) -> str:
    return "nothing" if value is None else f"'{value}'" if isinstance(value, str) else str(value)
