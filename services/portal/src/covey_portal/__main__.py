"""``python -m covey_portal`` serves the portal."""

import asyncio

from covey_chassis.logs import configure_logging
from covey_chassis.serving import answer_until_ended, settings_from_environment
from covey_chassis.telemetry import configure_tracing

from covey_portal.app import create_app
from covey_portal.settings import PortalSettings


def main() -> None:
    settings = settings_from_environment(PortalSettings, "portal")
    configure_logging(settings.log_level)
    configure_tracing("portal")
    stopping = asyncio.Event()
    answer_until_ended(create_app(settings, stopping=stopping), settings, "portal", stopping=stopping)


if __name__ == "__main__":
    main()
