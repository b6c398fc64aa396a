"""How a service says no: a refusal is a fact with a name, a sentence, and an HTTP status.

The class name is the machine's code, the docstring the human's sentence, keyword facts are the details. Refusals are
raised in the domain and turned into an answer in one place (``covey_chassis.problems``).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


class Refusal(Exception):
    """The command was understood, and refused."""

    status: ClassVar[int] = 409
    headers: ClassVar[Mapping[str, str]] = {}
    """Of the answer, besides what every answer has."""
    passes_by_itself: ClassVar[bool] = False
    """Nothing was decided: a consumer's record waits and is tried again, and parks nothing (``transient``)."""

    def __init__(self, **facts: object) -> None:
        super().__init__(facts)
        self.facts = facts

    @classmethod
    def code(cls) -> str:
        """The refusal's name for machines: ``MemberNotFound`` is ``member-not-found``."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    @classmethod
    def sentence(cls) -> str:
        """The refusal for people: the first sentence of its docstring."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value}" for name, value in self.facts.items())
        return f"{self.sentence()} ({facts})" if facts else self.sentence()


class NotFound(Refusal):
    """Nothing has this ID."""

    status = 404


@dataclass(frozen=True)
class FieldError:
    """One bad field: where (a JSON pointer, such as ``/principal_address/zip``) and what is wrong with it."""

    pointer: str
    detail: str


class Invalid(Refusal):
    """The input has fields that cannot be accepted."""

    status = 422

    def __init__(self, *errors: FieldError, **facts: object) -> None:
        super().__init__(**facts)
        self.errors = errors

    def __str__(self) -> str:
        return f"{self.sentence()} " + "; ".join(f"{error.pointer}: {error.detail}" for error in self.errors)


class NotYet(Refusal):
    """Something else has to arrive first. A consumer's record waits for it, behind its key."""
