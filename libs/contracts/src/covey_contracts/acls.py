"""Who may write and read what on Kafka: for each party that the events name, a principal and its ACLs, and nothing else.

Pure: the same events, the same ACLs. The local stack applies them; ``acls.json`` and Strimzi's ``KafkaUser`` resources are
made from them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from covey_contracts.base import Event
from covey_contracts.documents import JsonObject

PREFIX = "covey-"
HEADER = """\
# For Strimzi's User Operator: a Kafka user for each party that Covey's contracts name, with the rights that they give it.
# Made from libs/contracts by `make contracts`: change it there. The cluster's name, `strimzi.io/cluster`, is yours.
# Whoever else listens has a user of its own, with Read on its topics and on its own groups.
"""


@dataclass(frozen=True, order=True)
class Acl:
    """An operation that a principal may carry out on one resource, or on all whose names begin so."""

    principal: str
    resource: Literal["group", "topic"]
    name: str
    pattern: Literal["literal", "prefixed"]
    operation: Literal["read", "write"]


def principal_of(party: str) -> str:
    """By which name a service, or the programs together, sign on to Kafka."""
    return f"{PREFIX}{party}"


def acls(events: Iterable[type[Event]]) -> list[Acl]:
    """Each owner writes its topics; each listener reads its own, in consumer groups whose names begin with its own.

    Read and Write imply Describe. An idempotent producer needs no right beyond Write: brokers from 2.8 on ask for
    IdempotentWrite on the cluster only where a principal may write no topic (KIP-679). Nobody uses transactions.
    """
    found: set[Acl] = set()
    for topic in (event.topic for event in events):
        found.add(Acl(principal_of(topic.owner), "topic", topic.name, "literal", "write"))
        for listener in topic.listeners:
            found.add(Acl(principal_of(listener), "topic", topic.name, "literal", "read"))
            found.add(Acl(principal_of(listener), "group", f"{listener}.", "prefixed", "read"))
    return sorted(found)


def access_list(events: Iterable[type[Event]]) -> list[JsonObject]:
    """The ACLs as JSON, for whoever administers Kafka by other means than Strimzi."""
    return [
        {
            "principal": f"User:{acl.principal}",
            "resource": {"type": acl.resource, "name": acl.name, "pattern": acl.pattern},
            "operation": acl.operation,
        }
        for acl in acls(events)
    ]


def kafka_users(events: Iterable[type[Event]]) -> str:
    """The ACLs as YAML: a ``KafkaUser`` of Strimzi for each principal. The operator makes its password."""
    users = groupby(acls(events), key=lambda acl: acl.principal)
    return HEADER + "".join(_kafka_user(principal, own) for principal, own in users)


def _kafka_user(principal: str, own: Iterable[Acl]) -> str:
    return f"""\
---
apiVersion: kafka.strimzi.io/v1
kind: KafkaUser
metadata:
  name: {principal}
  labels:
    strimzi.io/cluster: kafka
spec:
  authentication:
    type: scram-sha-512
  authorization:
    type: simple
    acls:
{"".join(map(_rule, own))}"""


def _rule(acl: Acl) -> str:
    pattern = acl.pattern.removesuffix("ed")  # Kafka's "prefixed" is Strimzi's "prefix"
    return f"""\
      - resource: {{ type: {acl.resource}, name: {acl.name}, patternType: {pattern} }}
        operations: [{acl.operation.capitalize()}]
"""
