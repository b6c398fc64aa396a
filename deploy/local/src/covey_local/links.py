"""What may stand between a service and what it uses: nothing, or proxies that a test can break."""

from typing import Protocol


class Links(Protocol):
    """Says by which port each user reaches each target. ``None`` in its place means: straight there."""

    async def port(self, user: str, target: str, port: int) -> int:
        """The port by which ``user`` reaches ``target``, which listens, or will listen, at ``port``.

        Args:
            user: a service, or a broker that asks another broker, or its controller.
            target: ``postgres``, ``identity``, or a broker by its name.
            port: each door of a broker has its own.
        """
        ...
