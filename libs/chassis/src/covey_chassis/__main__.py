"""``python -m covey_chassis serve covey_membership`` runs a service; ``migrate`` brings its database to today's tables."""

import asyncio
import importlib
import sys

from covey_chassis import failpoints
from covey_chassis.app import create_app
from covey_chassis.logs import configure_logging
from covey_chassis.running import Running
from covey_chassis.service import Service
from covey_chassis.serving import answer_until_ended, settings_from_environment
from covey_chassis.telemetry import configure_tracing


def serve(service: Service) -> None:
    """Run one process of the service until SIGTERM or SIGINT."""
    settings = settings_from_environment(service.settings, service.name)
    configure_logging(settings.log_level)
    configure_tracing(service.name)
    failpoints.arm(settings.failpoints)
    running = Running(service, settings)
    app = create_app(service, running.context, ready=running.ready, live=running.live, lifespan=running.lifespan)
    answer_until_ended(app, settings, service.name, stopping=running.context.stopping)


def main(arguments: list[str]) -> None:
    match arguments:
        case ["serve", package]:
            serve(importlib.import_module(f"{package}.app").service)
        case ["migrate", package]:
            service: Service = importlib.import_module(f"{package}.app").service
            settings = settings_from_environment(service.settings, service.name)
            if settings.owner_database_url is None:
                sys.exit("migrate needs COVEY_OWNER_DATABASE_URL: the role that owns the tables")
            configure_logging(settings.log_level)
            from covey_chassis.migrate import migrate  # noqa: PLC0415 - a service that serves does not need Alembic

            owner, request, worker = (
                url.get_secret_value()
                for url in (settings.owner_database_url, settings.database_url, settings.worker_database_url)
            )
            asyncio.run(migrate(owner, service.package, request_url=request, worker_url=worker))
        case _:
            sys.exit("usage: python -m covey_chassis serve|migrate PACKAGE")


if __name__ == "__main__":
    main(sys.argv[1:])
