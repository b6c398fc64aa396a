"""Kafka's principals: their passwords, and what each may do, set as they are given.

aiokafka's admin client has no methods for either, and no request at all for passwords: hence the requests here, and the
client's private name.
"""

import hashlib
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest_v1, DeleteAclsRequest_v1, DescribeAclsRequest_v1
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactBytes, CompactString, Int8, Int16, Int32, Schema, TaggedFields
from covey_chassis.settings import KafkaSettings
from covey_contracts import EVENTS
from covey_contracts.acls import Acl, acls

from covey_local.credentials import DOWNSTREAM
from covey_local.topics import PREFIX, administered, raise_for, until

ACLS: Final = (
    *acls(EVENTS),
    Acl(DOWNSTREAM, "topic", PREFIX, "prefixed", "read"),
    Acl(DOWNSTREAM, "group", "downstream.", "prefixed", "read"),
)
NAMES: Final = tuple(sorted({acl.principal for acl in ACLS}))

ITERATIONS = 4096
SCRAM_SHA_512 = 2
RESOURCES: Final = {"topic": 2, "group": 3}
PATTERNS: Final = {"literal": 3, "prefixed": 4}
OPERATIONS: Final = {"read": 3, "write": 4}
ANY, ALLOW, ANY_HOST = 1, 3, "*"


@dataclass(frozen=True, kw_only=True)
class AclsApplied:
    """What ``apply_acls`` did."""

    given: tuple[Acl, ...]
    taken: int
    unchanged: int


async def set_passwords(kafka: KafkaSettings, passwords: Mapping[str, str]) -> None:
    """Let each principal sign on with its password, by SCRAM-SHA-512, and with no other one."""
    async with administered(kafka) as admin:
        hashed = [_hashed(name, password) for name, password in passwords.items()]
        answer = await admin._send_request(_Exactly(AlterUserScramCredentialsRequest_v0([], hashed, {})))
        for name, code, message, _ in answer.results:
            raise_for(code, name, message)


async def apply_acls(kafka: KafkaSettings, wanted: Collection[Acl]) -> AclsApplied:
    """Let the principals of these ACLs do what they say and nothing else; others are left alone.

    Returns once each broker knows.
    """
    rows = {_row(acl): acl for acl in wanted}
    principals = {f"User:{acl.principal}" for acl in wanted}
    async with administered(kafka) as admin:
        found = await _existing(admin, principals)
        given, taken = rows.keys() - found, found - rows.keys()
        if given:
            answer = await admin._send_request(_Exactly(CreateAclsRequest_v1(sorted(given))))
            for code, message in answer.creation_responses:
                raise_for(code, "an ACL", message)
        if taken:
            answer = await admin._send_request(_Exactly(DeleteAclsRequest_v1(sorted(taken))))
            for code, message, _ in answer.filter_responses:
                raise_for(code, "an ACL", message)
        for broker in (await admin.describe_cluster())["brokers"]:

            async def known(node: int = broker["node_id"]) -> bool:
                return await _existing(admin, principals, node) == rows.keys()

            await until(known, "changed the ACLs")
    return AclsApplied(
        given=tuple(sorted(rows[row] for row in given)), taken=len(taken), unchanged=len(rows.keys() & found)
    )


_Row = tuple[int, str, int, str, str, int, int]
"""An ACL as Kafka has it: resource and its name, pattern, principal, host, operation, permission."""


def _row(acl: Acl) -> _Row:
    resource, pattern = RESOURCES[acl.resource], PATTERNS[acl.pattern]
    return resource, acl.name, pattern, f"User:{acl.principal}", ANY_HOST, OPERATIONS[acl.operation], ALLOW


async def _existing(admin: AIOKafkaAdminClient, principals: Collection[str], node: int | None = None) -> set[_Row]:
    """The principals' ACLs, as one of the brokers knows them."""
    request = _Exactly(DescribeAclsRequest_v1(ANY, None, ANY, None, None, ANY, ANY))
    answer = await (admin._send_request(request) if node is None else admin._send_request_to_node(node, request))
    raise_for(answer.error_code, "ACLs", answer.error_message)
    return {
        (resource, name, pattern, *own)
        for resource, name, pattern, held in answer.resources
        for own in held
        if own[0] in principals
    }


def _hashed(name: str, password: str) -> tuple[str, int, int, bytes, bytes, dict[int, bytes]]:
    salt = secrets.token_bytes(32)
    salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return name, SCRAM_SHA_512, ITERATIONS, salt, salted, {}


@dataclass(frozen=True)
class _Exactly:
    """A request of this version and no other: every broker from 2.7 on knows those that are used here."""

    struct: RequestStruct

    def prepare(self, _versions: Mapping[int, tuple[int, int]]) -> RequestStruct:
        """As aiokafka's own requests, which choose among versions."""
        return self.struct


class AlterUserScramCredentialsResponse_v0(Response):  # type: ignore[misc]  # noqa: N801 - named as aiokafka's own
    """What became of each."""

    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class AlterUserScramCredentialsRequest_v0(RequestStruct):  # type: ignore[misc]  # noqa: N801 - named as aiokafka's own
    """Passwords to delete, and passwords to set."""

    FLEXIBLE_VERSION = True
    API_KEY = 51
    API_VERSION = 0
    RESPONSE_TYPE = AlterUserScramCredentialsResponse_v0
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields)),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )
