"""Each breaking change is refused with its sentence; each harmless one passes."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import pytest
from covey_contracts import Event, Sealed, SealedBody, Topic
from covey_contracts.compatibility import breaking_changes
from covey_contracts.documents import JsonObject, event_schema, json_object
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, create_model

NAME = "covey.kite.flown.v1"
TOPIC = Topic(name=NAME, aggregate="kite", key="kite_id", owner="hangar")


def kite_flown(fields: dict[str, Any], topic: Topic = TOPIC) -> type[Event]:
    """An event with these fields: a type for one that is required, a type and a default for one that is not."""
    definitions: dict[str, Any] = {
        name: kind if isinstance(kind, tuple) else (kind, ...) for name, kind in fields.items()
    }
    made: type[Event] = create_model("KiteFlown", __base__=Event, **definitions)
    made.topic = topic
    return made


def kite(**fields: Any) -> JsonObject:
    return event_schema(kite_flown(fields))


def topic(**facts: Any) -> JsonObject:
    """An event whose topic says this."""
    return event_schema(kite_flown({"a": str}, replace(TOPIC, **facts)))


def sealed(body: type[SealedBody]) -> JsonObject:
    """An event in which this is sealed."""

    class KiteFlown(Event):
        topic: ClassVar[Topic] = TOPIC
        sealed_body: ClassVar[type[SealedBody] | None] = body

        sealed: Sealed

    return event_schema(KiteFlown)


def opened(schema: JsonObject) -> JsonObject:
    """The schema, with what is sealed in the clear."""
    properties = json_object(schema["properties"])
    field = {word: value for word, value in json_object(properties["sealed"]).items() if word != "x-covey-sealed"}
    return schema | {"properties": properties | {"sealed": field}}


class Pilot(SealedBody):
    sealed_for: ClassVar[str] = "notifications"

    email: str


class PilotForBilling(Pilot):
    sealed_for: ClassVar[str] = "billing"


class PilotWithPhone(Pilot):
    phone: str | None = None


class PilotWithoutEmail(SealedBody):
    sealed_for: ClassVar[str] = "notifications"

    phone: str | None = None


class Tail(BaseModel):
    b: str


class TailOfNumbers(BaseModel):
    b: int


class TailThatMayLackB(BaseModel):
    b: str = ""


class TailWithoutB(BaseModel):
    pass


class TailWithMore(Tail):
    c: str = ""


class TailWithTail(BaseModel):
    tail: Tail


class TailWithTailThatMayLackB(BaseModel):
    tail: TailThatMayLackB


class Closed(Tail):
    model_config = ConfigDict(extra="forbid")


class ClosedWithMore(Closed):
    c: str = ""


class Branch(BaseModel):
    """A model that holds itself."""

    length: int
    branches: "tuple[Branch, ...]" = ()
    parent: "Branch | None" = None


class LongBranch(BaseModel):
    length: float
    branches: "tuple[LongBranch, ...]" = ()
    parent: "LongBranch | None" = None


Short = Annotated[str, Field(max_length=5)]
Shorter = Annotated[str, Field(max_length=4)]
Long = Annotated[str, Field(min_length=5)]
Longer = Annotated[str, Field(min_length=6)]
Letters = Annotated[str, Field(pattern="^[a-z]+$")]
Digits = Annotated[str, Field(pattern="^[0-9]+$")]
Few = Annotated[tuple[str, ...], Field(max_length=3)]
Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
BelowTen = Annotated[int, Field(lt=10)]
Twice = Annotated[int, Field(multiple_of=2)]
Thrice = Annotated[int, Field(multiple_of=3)]
Cents = Annotated[Decimal, Field(decimal_places=2)]
Tenths = Annotated[Decimal, Field(decimal_places=1)]
Colour = Literal["red", "blue"]
MoreColours = Literal["red", "blue", "green"]

REPLAYS = "events that are already published may not parse any more"
LISTENERS = "a listener of the last release refuses that"
RELIES = "a listener of the last release may rely on it"
EITHER = f"{REPLAYS}, and {LISTENERS}"
NOBODY = "no reader expects both"

# fmt: off
REFUSED = [
    # The topic
    ("another owner", topic(), topic(owner="shed"),
     "owner changed from 'hangar' to 'shed'", "ce_source changes with it, by which listeners know a repeated event"),
    ("another aggregate", topic(), topic(aggregate="box"),
     "aggregate changed from 'kite' to 'box'", "listeners file what they hear under it"),
    ("another key", topic(), topic(key="a"),
     "key changed from 'kite_id' to 'a'", "one aggregate's events would lie in two partitions and lose their order"),
    ("more partitions", topic(), topic(partitions=12),
     "partitions changed from 6 to 12", "a key would move to another partition and lose its order"),
    ("no sequence", topic(), topic(sequenced=False),
     "sequenced changed from True to False", "listeners guard their copies by the sequence"),
    ("no longer kept for ever", topic(), topic(kept_days=30),
     "it was kept for ever and would be kept 30 days", "a listener that begins later misses the rest"),
    ("kept shorter", topic(kept_days=30), topic(kept_days=7),
     "it was kept 30 days and would be kept 7 days", "a listener that begins later misses the rest"),
    # Which properties there are
    ("gone", kite(a=str, b=int), kite(a=str), "`b` is gone", RELIES),
    ("an optional one gone", kite(a=str, b=(int, 1)), kite(a=str), "`b` is gone", RELIES),
    ("renamed", kite(a=(str, "")), kite(b=(str, "")), "`a` is gone (renamed to `b`, it seems)", RELIES),
    ("new and required", kite(a=str), kite(a=str, b=int),
     "`b` is new and required", f"{REPLAYS}, as they have no such property"),
    ("became required", kite(a=(str, "")), kite(a=str), "`a` became required", f"{REPLAYS}, as they may lack it"),
    ("no longer required", kite(a=str), kite(a=(str, "")), "`a` is no longer required", RELIES),
    ("another default", kite(a=(int, 1)), kite(a=(int, 2)),
     "`a` means 2 when it is missing, and meant 1", "events that are already published would change their meaning"),
    ("unknown ones refused", kite(a=Tail), kite(a=Closed),
     "`a` allows no unknown properties any more", "it would refuse the events of a newer producer"),
    ("unknown ones allowed", kite(a=Closed), kite(a=Tail), "`a` allows unknown properties now", LISTENERS),
    ("new where unknown ones are refused", kite(a=Closed), kite(a=ClosedWithMore),
     "`a.c` is new where nothing unknown was allowed", LISTENERS),
    # Types
    ("another type", kite(a=int), kite(a=str), "`a` changed its type from integer to string", NOBODY),
    ("a wider type", kite(a=int), kite(a=float), "`a` changed its type from integer to number", NOBODY),
    ("anything", kite(a=int), kite(a=object), "`a` changed its type from integer to anything", NOBODY),
    ("many of one", kite(a=str), kite(a=tuple[str, ...]), "`a` changed its type from string to array", NOBODY),
    ("a value grows parts", kite(a=str), kite(a=Tail), "`a` changed its type from string to object", NOBODY),
    ("null allowed", kite(a=str), kite(a=str | None), "`a` may be null now", LISTENERS),
    ("null refused", kite(a=str | None), kite(a=str), "`a` may not be null any more", REPLAYS),
    ("a kind more", kite(a=int | str), kite(a=int | str | bool), "`a` may be boolean now", LISTENERS),
    ("a kind less", kite(a=int | str | bool), kite(a=int | str), "`a` may not be boolean any more", REPLAYS),
    # Rules about a value
    ("another format", kite(a=date), kite(a=datetime),
     "`a` allows other values, as format changed from 'date' to 'date-time'", EITHER),
    ("a format", kite(a=str), kite(a=UUID), "`a` is narrower, as format changed from nothing to 'uuid'", REPLAYS),
    ("no format", kite(a=UUID), kite(a=str), "`a` is wider, as format changed from 'uuid' to nothing", LISTENERS),
    ("another pattern", kite(a=Letters), kite(a=Digits),
     "`a` allows other values, as pattern changed from '^[a-z]+$' to '^[0-9]+$'", EITHER),
    ("a pattern", kite(a=str), kite(a=Letters),
     "`a` is narrower, as pattern changed from nothing to '^[a-z]+$'", REPLAYS),
    ("no pattern", kite(a=Letters), kite(a=str),
     "`a` is wider, as pattern changed from '^[a-z]+$' to nothing", LISTENERS),
    ("a lower upper bound", kite(a=Short), kite(a=Shorter),
     "`a` is narrower, as maxLength changed from 5 to 4", REPLAYS),
    ("a higher upper bound", kite(a=Shorter), kite(a=Short),
     "`a` is wider, as maxLength changed from 4 to 5", LISTENERS),
    ("a higher lower bound", kite(a=Long), kite(a=Longer),
     "`a` is narrower, as minLength changed from 5 to 6", REPLAYS),
    ("a lower lower bound", kite(a=Positive), kite(a=NotNegative),
     "`a` is wider, as minimum changed from 1 to 0", LISTENERS),
    ("a bound", kite(a=int), kite(a=BelowTen),
     "`a` is narrower, as exclusiveMaximum changed from nothing to 10", REPLAYS),
    ("no bound", kite(a=BelowTen), kite(a=int),
     "`a` is wider, as exclusiveMaximum changed from 10 to nothing", LISTENERS),
    ("a bound of length", kite(a=tuple[str, ...]), kite(a=Few),
     "`a` is narrower, as maxItems changed from nothing to 3", REPLAYS),
    ("other steps", kite(a=Twice), kite(a=Thrice),
     "`a` allows other values, as multipleOf changed from 2 to 3", EITHER),
    ("another precision", kite(a=Cents), kite(a=Tenths),
     "`a` allows other values, as x-decimal changed from {'decimal_places': '2'} to {'decimal_places': '1'}", EITHER),
    ("an exact number", kite(a=str), kite(a=Decimal),
     "`a` is narrower, as format changed from nothing to 'decimal'", REPLAYS),
    ("a value more", kite(a=Colour), kite(a=MoreColours), "`a` has the new value 'green'", LISTENERS),
    ("a value less", kite(a=MoreColours), kite(a=Colour), "`a` lost the value 'green'", REPLAYS),
    ("a constant gets a second value", kite(a=Literal["red"]), kite(a=Colour),
     "`a` has the new value 'blue'", LISTENERS),
    ("a list of values", kite(a=str), kite(a=Colour), "`a` is limited to a list of values now", REPLAYS),
    ("no list of values", kite(a=Colour), kite(a=str), "`a` takes any value now", LISTENERS),
    # Further in
    ("in a part", kite(a=Tail), kite(a=TailWithoutB), "`a.b` is gone", RELIES),
    ("in a part of a part", kite(a=TailWithTail), kite(a=TailWithTailThatMayLackB),
     "`a.tail.b` is no longer required", RELIES),
    ("in a part that may be null", kite(a=Tail | None), kite(a=TailOfNumbers | None),
     "`a.b` changed its type from string to integer", NOBODY),
    ("in one of several kinds", kite(a=int | Short), kite(a=int | Shorter),
     "`a` is narrower, as maxLength changed from 5 to 4", REPLAYS),
    ("in two of several kinds", kite(a=Positive | Tail), kite(a=Positive | TailWithoutB), "`a.b` is gone", RELIES),
    ("in a list", kite(a=tuple[Tail, ...]), kite(a=tuple[TailOfNumbers, ...]),
     "`a[].b` changed its type from string to integer", NOBODY),
    ("at a position", kite(a=tuple[str, int]), kite(a=tuple[str, str]),
     "`a[1]` changed its type from integer to string", NOBODY),
    ("in an object's values", kite(a=dict[str, Colour]), kite(a=dict[str, MoreColours]),
     "`a.*` has the new value 'green'", LISTENERS),
    # What is sealed
    ("sealed for another", sealed(Pilot), sealed(PilotForBilling),
     "`sealed` was sealed for notifications and would be for billing", "the first can't open it any more"),
    ("in the sealed", sealed(PilotWithPhone), sealed(PilotWithoutEmail), "`sealed > email` is gone", RELIES),
    ("in the clear", sealed(Pilot), opened(sealed(Pilot)), "`sealed` is no longer sealed", NOBODY),
    ("no more in the clear", opened(sealed(Pilot)), sealed(Pilot), "`sealed` is sealed now", NOBODY),
]

ALLOWED = [
    ("nothing", kite(a=str), kite(a=str)),
    ("a new optional property", kite(a=str), kite(a=str, b=(int | None, None))),
    ("a new optional property in a part", kite(a=Tail), kite(a=TailWithMore)),
    ("a new optional property in a part that may be null", kite(a=Tail | None), kite(a=TailWithMore | None)),
    ("a new optional property in a list", kite(a=tuple[Tail, ...]), kite(a=tuple[TailWithMore, ...])),
    ("a new optional property in what is sealed", sealed(Pilot), sealed(PilotWithPhone)),
    ("other words", kite(a=Annotated[str, Field(description="old")]), kite(a=Annotated[str, Field(description="new")])),
    ("properties in another order", kite(a=str, b=int), kite(b=int, a=str)),
    ("values in another order", kite(a=Literal["red", "blue"]), kite(a=Literal["blue", "red"])),
    ("kinds in another order", kite(a=int | str | None), kite(a=None | str | int)),
    ("a listener more", topic(), topic(listeners=("billing",))),
    ("a listener less", topic(listeners=("billing",)), topic()),
    ("kept longer", topic(kept_days=7), topic(kept_days=30)),
    ("kept for ever", topic(kept_days=7), topic(kept_days=None)),
    ("a model that holds itself", kite(a=Branch), kite(a=Branch)),
]
# fmt: on


@pytest.mark.parametrize(
    ("before", "after", "change", "reason"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED]
)
def test_a_breaking_change_is_named_in_one_sentence(
    before: JsonObject, after: JsonObject, change: str, reason: str
) -> None:
    assert breaking_changes({NAME: before}, {NAME: after}) == [f"{NAME}: {change}: {reason}."]


@pytest.mark.parametrize(("before", "after"), [pytest.param(*row[1:], id=row[0]) for row in ALLOWED])
def test_a_harmless_change_passes(before: JsonObject, after: JsonObject) -> None:
    assert breaking_changes({NAME: before}, {NAME: after}) == []


def test_a_topic_that_is_gone_is_refused() -> None:
    assert breaking_changes({NAME: topic()}, {}) == [
        f"{NAME}: the topic is gone: listeners wait for it, and its history can't be read."
    ]


def test_a_new_topic_is_welcome() -> None:
    assert breaking_changes({}, {NAME: topic()}) == []


def test_every_change_is_named_and_not_only_the_first() -> None:
    sentences = breaking_changes({NAME: kite(a=str, b=int, c=date)}, {NAME: kite(a=int, c=str)})

    assert sentences == [
        f"{NAME}: `a` changed its type from string to integer: {NOBODY}.",
        f"{NAME}: `b` is gone: {RELIES}.",
        f"{NAME}: `c` is wider, as format changed from 'date' to nothing: {LISTENERS}.",
    ]


def test_a_list_of_fixed_positions_may_not_grow() -> None:
    sentences = breaking_changes({NAME: kite(a=tuple[str, int])}, {NAME: kite(a=tuple[str, int, int])})

    assert f"{NAME}: `a` has 3 positions and had 2: {NOBODY}." in sentences


def test_a_model_that_holds_itself_is_compared_and_comes_to_an_end() -> None:
    sentences = breaking_changes({NAME: kite(a=Branch)}, {NAME: kite(a=LongBranch)})

    assert f"{NAME}: `a.length` changed its type from integer to number: {NOBODY}." in sentences


def test_a_rule_that_the_check_does_not_know_may_not_change() -> None:
    before = kite(a=str)
    after = before | {"propertyNames": {"pattern": "^a$"}}

    assert breaking_changes({NAME: before}, {NAME: after}) == [
        f"{NAME}: the value is narrower, as propertyNames changed from nothing to {{'pattern': '^a$'}}: {REPLAYS}."
    ]


# What the check promises, tried with made-up events: when it finds nothing, each side reads what the other wrote.

Kind = tuple[Any, st.SearchStrategy[object]]
"""A type, and the JSON values that a producer with this type sends."""

Shape = dict[str, tuple[Kind, bool]]
"""An event's fields: of which kind, and whether required."""

WORDS = st.text("abcdef", max_size=8)
KINDS: list[Kind] = [
    (str, WORDS),
    (Short, st.text("abc", max_size=5)),
    (Letters, st.text("abc", min_size=1)),
    (int, st.integers(-99, 99)),
    (Positive, st.integers(1, 99)),
    (date, st.dates().map(str)),
    (UUID, st.uuids().map(str)),
    (Decimal, st.decimals(-9, 9, places=3).map(str)),
    (Cents, st.decimals(0, 9, places=2).map(str)),
    (Colour, st.sampled_from(["red", "blue"])),
    (MoreColours, st.sampled_from(["red", "blue", "green"])),
    (tuple[str, ...], st.lists(WORDS, max_size=2)),
    (Tail, st.fixed_dictionaries({"b": WORDS})),
    (TailThatMayLackB, st.fixed_dictionaries({}, optional={"b": WORDS})),
    (TailWithMore, st.fixed_dictionaries({"b": WORDS}, optional={"c": WORDS})),
    (Closed, st.fixed_dictionaries({"b": WORDS})),
    (ClosedWithMore, st.fixed_dictionaries({"b": WORDS}, optional={"c": WORDS})),
    (Tail | None, st.none() | st.fixed_dictionaries({"b": WORDS})),
    (tuple[Tail, ...], st.lists(st.fixed_dictionaries({"b": WORDS}), max_size=2)),
    (tuple[TailWithMore, ...], st.lists(st.fixed_dictionaries({"b": WORDS, "c": WORDS}), max_size=2)),
]
FIELD = st.tuples(st.sampled_from(KINDS), st.booleans())


def made_up(shape: Shape) -> type[Event]:
    fields = shape.items()
    return kite_flown({name: kind if required else (kind | None, None) for name, ((kind, _), required) in fields})


def written(shape: Shape) -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries(
        {name: values for name, ((_, values), required) in shape.items() if required},
        optional={name: values for name, ((_, values), required) in shape.items() if not required},
    )


@settings(max_examples=400, deadline=None)
@given(
    before=st.dictionaries(st.sampled_from("ab"), FIELD, min_size=1),
    changes=st.dictionaries(st.sampled_from("abc"), FIELD, max_size=1),
    data=st.data(),
)
def test_when_nothing_is_found_each_side_reads_what_the_other_wrote(
    before: Shape, changes: Shape, data: st.DataObject
) -> None:
    after = before | changes
    old, new = made_up(before), made_up(after)
    if breaking_changes({NAME: event_schema(old)}, {NAME: event_schema(new)}):
        return

    new.model_validate(data.draw(written(before), label="kept from the last release"))
    old.model_validate(data.draw(written(after), label="from a newer producer"))
