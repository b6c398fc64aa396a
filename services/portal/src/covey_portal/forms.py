"""What somebody typed into a form, and what is wrong with it."""

import re
from collections.abc import Iterable, Mapping
from typing import Self
from uuid import uuid4

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from covey_portal.calling import Refused
from covey_portal.languages import N_, Sentence
from covey_portal.refusals import known_sentence, sentence_of

ONCE = re.compile(r"[A-Za-z0-9:+.-]{1,100}")
IN_PROGRESS = "command-in-progress"
"""The same form was sent a moment before, and is being dealt with."""
NOT_SO = N_("This cannot be so. Check it, and try again.")

FIELDS_MAX = 300
"""A page of rights in a hundred billing units fits."""


class Form:
    """A form's values by field, and complaints about it: each a sentence in English, to be translated where it is shown.

    ``once`` makes sending the same page twice one act: it is the ``Idempotency-Key`` of the command.
    """

    def __init__(self, data: FormData | None = None) -> None:
        self._data = data or FormData()
        self.errors: dict[str, Sentence] = {}
        self.problem: Sentence | None = None
        said = self["once"]
        self.once = said if ONCE.fullmatch(said) else str(uuid4())

    @classmethod
    async def read(cls, request: Request) -> Self:
        return cls(await request.form(max_fields=FIELDS_MAX, max_files=0))

    @classmethod
    def of(cls, **values: str | Iterable[str]) -> Self:
        """A form that is filled in already."""
        pairs: list[tuple[str, str | UploadFile]] = []
        for name, value in values.items():
            pairs += [(name, each) for each in ([value] if isinstance(value, str) else value)]
        return cls(FormData(pairs))

    def __getitem__(self, name: str) -> str:
        """What was typed, without spaces around it; empty when there is nothing."""
        return self.raw(name).strip()

    def raw(self, name: str) -> str:
        """As it was typed, such as a password."""
        value = self._data.get(name, "")
        return value if isinstance(value, str) else ""

    def all(self, name: str) -> list[str]:
        """What was ticked."""
        return [value for value in self._data.getlist(name) if isinstance(value, str)]

    def has(self, name: str) -> bool:
        return name in self._data

    @property
    def bad(self) -> bool:
        return bool(self.errors or self.problem)

    @property
    def key(self) -> dict[str, str]:
        """The header by which a service knows a command that is sent again."""
        return {"Idempotency-Key": self.once}

    def lacks(self, **sentences: str) -> bool:
        """Complain of each of these fields that is empty, with its sentence; whether there is any."""
        self.errors |= {name: sentence for name, sentence in sentences.items() if not self.raw(name).strip()}
        return bool(self.errors)

    def refuse(self, refused: Refused, sentences: Mapping[str, str] | None = None) -> None:
        """Take a service's complaints over: of a field by its pointer, with the page's own sentence where it has one."""
        said = sentences or {}
        for pointer in refused.fields:
            name = pointer.removeprefix("query:").removeprefix("/").partition("/")[0]
            if self.has(name) or name in said:
                self.errors[name] = known_sentence(refused) or said.get(name, NOT_SO)
        if not self.errors:
            self.problem = sentence_of(refused)
        if refused.code != IN_PROGRESS:
            self.once = str(uuid4())  # what is sent after a refusal is another act
