"""What the portal needs to be told: where it is reached, where the services are, and how it looks."""

from typing import Annotated, Self
from urllib.parse import urlsplit

from covey_chassis.settings import ProcessSettings
from pydantic import AfterValidator, Field, FilePath, StringConstraints, model_validator

LOCAL = ("localhost", "127.0.0.1")

Colour = Annotated[str, StringConstraints(pattern="^#[0-9a-fA-F]{6}$")]

DEFAULT_PORTS = {"https": 443, "http": 80}
LIGHT, DARK = "#ffffff", "#14181c"
"""What the accent is read on; see ``--page`` in covey.css."""
CONTRAST_MIN = 4.5
"""WCAG 2.2, success criterion 1.4.3."""


def _origin(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ValueError("must be a scheme and a host, such as https://portal.carrier.example")
    if parts.scheme == "http" and parts.hostname not in LOCAL:
        raise ValueError("must be https: browsers keep the sign-on's cookie for that alone, and on this machine")
    port = f":{parts.port}" if parts.port and parts.port != DEFAULT_PORTS[parts.scheme] else ""
    return (
        f"{parts.scheme}://{parts.hostname}{port}"  # as browsers write it: small letters, no port that is the usual one
    )


def _address(url: str) -> str:
    return url.rstrip("/")


Origin = Annotated[str, AfterValidator(_origin)]
Address = Annotated[str, AfterValidator(_address)]


class PortalSettings(ProcessSettings):
    """Settings of the portal. It has no secrets."""

    portal_url: Annotated[Origin, Field(description="As people's browsers know it; forms from elsewhere are refused.")]
    identity_url: Address
    membership_url: Address
    transactions_url: Address
    renewals_url: Address
    brand: Annotated[str, Field(min_length=1, max_length=40)] = "Covey"
    accent: Annotated[Colour, Field(description="Links and buttons on a light page.")] = "#0b5c63"
    accent_dark: Annotated[Colour, Field(description="The same on a dark page.")] = "#6fc7cf"
    site_file: Annotated[
        FilePath | None,
        Field(description="Market regions with their contacts and announcements, and the terms (TOML)."),
    ] = None

    @model_validator(mode="after")
    def _legible(self) -> Self:
        for colour, page in ((self.accent, LIGHT), (self.accent_dark, DARK)):
            if (found := contrast(colour, page)) < CONTRAST_MIN:
                raise ValueError(
                    f"{colour} on {page} has a contrast of {found:.1f}: {CONTRAST_MIN} is needed to read it"
                )
        return self


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5))
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
