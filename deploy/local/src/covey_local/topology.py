"""The whole platform on one screen: what runs, in which order it starts, and where one would like to find it.

Everything starts in the order of this page and stops in the opposite one. The ports are wishes: where one is taken, a
free one is found and remembered; ``.covey/run.json`` says which.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service: its Python package, its port, and what it needs beside its database and Kafka."""

    name: str
    port: int
    sends_mail: bool = False
    owns_access: bool = False
    """It has the accounts and the facts of access, and signs access tokens. All others listen to it."""

    @property
    def package(self) -> str:
        return f"covey_{self.name}"


@dataclass(frozen=True, kw_only=True)
class Broker:
    """One node of Kafka, which is a controller, too."""

    name: str
    port: int
    controller_port: int


POSTGRES = 20432
BROKERS: Mapping[int, tuple[Broker, ...]] = {
    1: (Broker(name="kafka", port=20092, controller_port=20093),),
    3: (
        Broker(name="kafka-1", port=20092, controller_port=20093),
        Broker(name="kafka-2", port=20094, controller_port=20095),
        Broker(name="kafka-3", port=20096, controller_port=20097),
    ),
}
"""By how many there are: one, or three, each with a copy of everything."""
SMTP = 20025
MAIL = 20080

SERVICES = (
    Service(name="identity", port=20100, owns_access=True),
    Service(name="membership", port=20101),
    Service(name="transactions", port=20104),
    Service(name="renewals", port=20102),
    Service(name="notifications", port=20103, sends_mail=True),
)

PORTAL = 20110
"""Pages for people. It has no database: it asks these services in their name."""
ASKED_BY_PORTAL = ("identity", "membership", "transactions", "renewals")

LISTENERS = tuple(service.name for service in SERVICES if not service.owns_access)
"""Who has to hear of every change of access before it is said to be done."""

RELAY_PORT_DISTANCE = 100
"""With relays in processes of their own, a service's relay listens (for its probes) this far above the service."""
