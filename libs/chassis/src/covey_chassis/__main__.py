"""``python -m covey_chassis serve covey_membership`` runs a service; ``migrate`` brings its database to today's tables."""

import asyncio
import importlib
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from covey_chassis import failpoints
from covey_chassis.app import create_app
from covey_chassis.logs import configure_logging
from covey_chassis.running import Running
from covey_chassis.service import Context, Service
from covey_chassis.settings import ServiceSettings
from covey_chassis.telemetry import configure_tracing


def settings_of(service: Service) -> ServiceSettings:
    """From the environment; the process ends where they are not right, and says what is wrong."""
    try:
        return service.settings()
    except ValidationError as error:
        sys.exit(f"{service.name} can't run with the COVEY_... settings that it was given: {error}")


class _Server(uvicorn.Server):
    """A server that tells those who stream that the process is to end: it would wait for them."""

    def __init__(self, config: uvicorn.Config, context: Context) -> None:
        super().__init__(config)
        self._context = context

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._context.stopping.set()
        super().handle_exit(sig, frame)


def server_config(app: FastAPI, settings: ServiceSettings) -> uvicorn.Config:
    """How the app is served."""
    return uvicorn.Config(
        app,
        host=settings.http_host,
        port=settings.http_port,
        log_config=None,
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=15,
    )


def serve(service: Service) -> None:
    """Run one process of the service until SIGTERM or SIGINT."""
    settings = settings_of(service)
    configure_logging(settings.log_level)
    configure_tracing(service.name)
    failpoints.arm(settings.failpoints)
    running = Running(service, settings)
    app = create_app(service, running.context, ready=running.ready, live=running.live, lifespan=running.lifespan)
    server = _Server(server_config(app, settings), running.context)
    server.run()
    if not server.started:
        sys.exit(f"{service.name} did not start")


def main(arguments: list[str]) -> None:
    match arguments:
        case ["serve", package]:
            serve(importlib.import_module(f"{package}.app").service)
        case ["migrate", package]:
            service: Service = importlib.import_module(f"{package}.app").service
            settings = settings_of(service)
            if settings.owner_database_url is None:
                sys.exit("migrate needs COVEY_OWNER_DATABASE_URL: the role that owns the tables")
            configure_logging(settings.log_level)
            from covey_chassis.migrate import migrate  # noqa: PLC0415 - a service that serves does not need Alembic

            asyncio.run(migrate(settings.owner_database_url.get_secret_value(), service.package))
        case _:
            sys.exit("usage: python -m covey_chassis serve|migrate PACKAGE")


if __name__ == "__main__":
    main(sys.argv[1:])
