"""Reading JSON Schemas: references followed, alternatives in one list, words for people left out."""

from dataclasses import dataclass

from pydantic import JsonValue

from covey_contracts.documents import JsonObject, json_object

ANNOTATIONS = {
    "$comment",
    "$defs",
    "$schema",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
}
"""Keywords that say nothing about which values are allowed or what they stand for."""

SEALED = "x-covey-sealed"


@dataclass(frozen=True)
class Node:
    """A place in a schema document, with the document in which its references are looked up."""

    schema: JsonObject
    root: JsonObject

    def at(self, schema: JsonValue) -> "Node":
        """Another place in the same document; ``true`` and ``false`` are schemas, too."""
        if isinstance(schema, bool):
            return Node({} if schema else {"not": {}}, self.root)
        return Node(json_object(schema), self.root)

    def part(self, keyword: str) -> "Node":
        """The schema under a keyword; a missing one allows everything."""
        return self.at(self.schema.get(keyword, True))

    def values(self, keyword: str) -> list[JsonValue]:
        """The list under a keyword; empty when there is none."""
        found = self.schema.get(keyword)
        return found if isinstance(found, list) else []

    def properties(self) -> JsonObject:
        """The schemas of an object's properties by name."""
        return json_object(self.schema.get("properties", {}))

    def target(self) -> "Node":
        """What stands here once references are followed; keywords beside a reference count, too."""
        schema = self.schema
        while isinstance(ref := schema.get("$ref"), str):
            found: JsonValue = self.root
            for step in ref.removeprefix("#/").split("/"):
                found = json_object(found)[step]
            schema = json_object(found) | {word: value for word, value in schema.items() if word != "$ref"}
        return Node(schema, self.root)

    def kinds(self) -> list["Node"]:
        """The kinds of value that may stand here, however it is spelled: ``anyOf``, ``oneOf``, a list of types."""
        here = self.target()
        for keyword in ("anyOf", "oneOf"):
            if options := here.values(keyword):
                besides = {word: v for word, v in here.schema.items() if word != keyword and word not in ANNOTATIONS}
                inner = [kind for option in options for kind in self.at(option).kinds()]
                return [Node(kind.schema | besides, self.root) for kind in inner]
        types = here.values("type")
        return [Node(here.schema | {"type": kind}, self.root) for kind in types] if types else [here]

    def plain(self, inside: frozenset[JsonValue] = frozenset()) -> JsonValue:
        """The schema without references and annotations: equal when the same values are allowed and mean the same."""
        ref = self.schema.get("$ref")
        if ref in inside:
            return "the same again"
        if ref is not None:
            inside |= {ref}
        return {
            word: self._plain(word, value, inside)
            for word, value in self.target().schema.items()
            if word not in ANNOTATIONS
        }

    def _plain(self, word: str, value: JsonValue, inside: frozenset[JsonValue]) -> JsonValue:
        match word, value:
            case (("const" | "default"), _):
                return value
            case (("required" | "enum"), list(values)):
                return sorted(values, key=repr)
            case (("properties" | "patternProperties"), dict(schemas)):
                return {name: self.at(schema).plain(inside) for name, schema in schemas.items()}
            case word, dict(sealed) if word == SEALED:
                return sealed | {"schema": self.at(sealed["schema"]).plain(inside)}
            case _, dict(schema):
                return self.at(schema).plain(inside)
            case _, list(items):
                return [self.at(item).plain(inside) if isinstance(item, dict) else item for item in items]
            case _:
                return value
