"""What the carrier says on the pages, by market region: contacts, announcements; and which terms are in force."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from covey_portal.languages import Language

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


def _in_english(texts: dict[Language, str]) -> dict[Language, str]:
    if "en" not in texts:
        raise ValueError('must be there in English ("en"): it is shown where a language has no text of its own')
    return texts


Texts = Annotated[dict[Language, Words], AfterValidator(_in_english)]
"""A text by language."""


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Announcement(_Said):
    """Something that people should know, in each language."""

    title: Texts
    text: Texts


class Region(_Said):
    """A market region: where the carrier sells."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50)]
    phone: Words
    email: Words
    hours: Texts
    announcements: tuple[Announcement, ...] = ()


class Site(_Said):
    """What the carrier says."""

    terms_version: Words
    terms: Texts
    requests_decided: Texts | None = None
    """By when requests for access are decided, as a sentence."""
    regions: Annotated[tuple[Region, ...], Field(min_length=1)]

    def region(self, name: str) -> Region:
        """The region of this name; the first one for whoever has none, such as staff."""
        return next((region for region in self.regions if region.name == name), self.regions[0])


def read_site(file: Path | None) -> Site:
    """From the carrier's own file, or the one that comes with the portal.

    Raises:
        pydantic.ValidationError: it is not complete, or something in it is not known.
    """
    text = file.read_text() if file else (resources.files("covey_portal") / "data" / "site.toml").read_text()
    return Site.model_validate(tomllib.loads(text))


def said(words: Mapping[Language, str], language: Language) -> str:
    """In the reader's language, or in English."""
    return words.get(language) or words["en"]
