"""What a process of clients is told: who acts, on what, and where. Light to import: such a process has to start at once."""

from typing import TypedDict

from covey_local.home import UserAccount

PLANS = ("SILVER-70-HMO", "GOLD-80-PPO")
"""What the cast's groups can choose."""


class Member(TypedDict):
    """Somebody who acts."""

    account_id: str
    email: str
    account: UserAccount


class CastGroup(TypedDict):
    """A group that somebody works with."""

    id: str
    number: str
    renewal_id: str


class Owner(TypedDict):
    """The primary administrator of groups whose renewals they change."""

    member: Member
    groups: list[CastGroup]


class Sight(TypedDict):
    """Where a service shows a group."""

    service: str
    path: str
    names: str | None
    """What an answer holds if it shows the group; None where only who may see it is answered at all."""


class Team(TypedDict):
    """A group whose primary administrator lets a user in, and removes them again."""

    group: CastGroup
    primary: Member
    user: Member
    sights: list[Sight]
    """Where the user looks for the group."""


class Cast(TypedDict):
    """Everybody, as JSON."""

    staff: UserAccount
    reviewers: list[Member]
    owners: list[Owner]
    teams: list[Team]
    representative_id: str
    sessions: dict[str, str]
    """Session tokens, by user ID: they last while they are used."""


class Plan(TypedDict):
    """What a process of clients is told."""

    name: str
    seed: int
    rate_per_s: float
    approvals: int
    history: str
    services: dict[str, str]
    mail: str
    databases: dict[str, str]
    """Of the services at which a person who is removed writes: membership and transactions."""
    code: str
    """How an access code looks in an email: a regular expression."""
    cast: Cast
