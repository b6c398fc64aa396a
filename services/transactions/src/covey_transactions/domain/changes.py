"""What a group changes for its coming plan year: plans by employee class, contribution, who joins and who leaves.

A draft may lack anything, and is kept as it was written. What it has to have when it is submitted, and what in it has to
fit together, says ``faults``: all of it at once, each with the place where it stands.
"""

import contextlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, TypeVar

from covey_chassis.errors import FieldError
from covey_contracts.transactions import ClassPlans as ToldClassPlans
from covey_contracts.transactions import Contribution as ToldContribution
from covey_contracts.transactions import ContributionBasis
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from covey_transactions.domain.words import Entry

PERCENT_MAX = Decimal(100)
PLANS_MAX = 50
"""Of all classes together. Membership keeps 200 at most for a group, those of all its plan years."""
FIRST_YEAR_OF_BIRTH = 1900
MISSING = "must not be missing"

Part = TypeVar("Part")

_CENT = Decimal("0.01")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _day(value: object) -> date:
    """Written in one way only: a number would be read as a point in time."""
    if type(value) is date:
        return value
    if isinstance(value, str) and _DAY.fullmatch(text := value.strip()):
        with contextlib.suppress(ValueError):
            return date.fromisoformat(text)
    raise PydanticCustomError("date", "must be a date, written YYYY-MM-DD")


def _to_the_cent(value: Decimal) -> Decimal:
    return abs(value.quantize(_CENT))  # minus zero is zero


Day = Annotated[date, BeforeValidator(_day)]
Share = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=9, decimal_places=2), AfterValidator(_to_the_cent)]


class Value(BaseModel):
    """A part of a draft. Two that say the same are the same; fields that it does not know are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Contribution(Value):
    """What the employer pays of an employee's premium, and of that of each of the employee's dependents."""

    basis: ContributionBasis | None = None
    employee: Share | None = None
    dependents: Share | None = None


class ClassPlans(Value):
    """What is offered to one class of employees."""

    employee_class: Entry = ""
    plan_ids: Annotated[tuple[Entry, ...], Field(max_length=PLANS_MAX)] = ()
    contribution: Contribution = Contribution()


class Person(Value):
    """Somebody who joins or leaves."""

    first_name: Entry = ""
    last_name: Entry = ""
    date_of_birth: Day | None = None


class Relationship(StrEnum):
    """What a dependent is to the subscriber."""

    SPOUSE = "spouse"
    DOMESTIC_PARTNER = "domestic partner"
    CHILD = "child"


PARTNERS = (Relationship.SPOUSE, Relationship.DOMESTIC_PARTNER)
"""A subscriber has one at most."""


class Dependent(Person):
    """Whom the subscriber covers."""

    relationship: Relationship | None = None


class Enrollment(Value):
    """A subscriber who joins, with dependents; or dependents who join a subscriber who is covered already."""

    subscriber: Person = Person()
    already_covered: Annotated[
        bool, Field(description="The subscriber stays as they are: only the dependents join.")
    ] = False
    employee_class: Entry = ""
    plan_id: Entry = ""
    dependents: Annotated[tuple[Dependent, ...], Field(max_length=20)] = ()


class TerminationReason(StrEnum):
    """Why coverage ends with the plan year."""

    LEFT_EMPLOYMENT = "left employment"
    WAIVED = "waived"
    NOT_ELIGIBLE = "not eligible"
    DIED = "died"


class Termination(Value):
    """A subscriber whose coverage ends, and with it that of their dependents; or dependents alone."""

    subscriber: Person = Person()
    stays_covered: Annotated[bool, Field(description="Only the coverage of the dependents who are listed ends.")] = (
        False
    )
    dependents: Annotated[tuple[Person, ...], Field(max_length=20)] = ()
    reason: TerminationReason | None = None


class Draft(Value):
    """All that is to be different. Persons are listed here and in no event."""

    classes: Annotated[tuple[ClassPlans, ...], Field(max_length=20)] = ()
    enrollments: Annotated[tuple[Enrollment, ...], Field(max_length=200)] = ()
    terminations: Annotated[tuple[Termination, ...], Field(max_length=200)] = ()

    @property
    def enrolled(self) -> int:
        """How many persons join."""
        return sum(len(each.dependents) + (not each.already_covered) for each in self.enrollments)

    @property
    def terminated(self) -> int:
        """How many of the persons who are listed leave."""
        return sum(len(each.dependents) + (not each.stays_covered) for each in self.terminations)

    def told_classes(self) -> tuple[ToldClassPlans, ...]:
        """The classes as events tell them: those that say what is offered, completely."""
        return tuple(
            ToldClassPlans(
                employee_class=each.employee_class,
                plan_ids=each.plan_ids,
                contribution=ToldContribution(
                    basis=each.contribution.basis,
                    employee=each.contribution.employee,
                    dependents=each.contribution.dependents,
                ),
            )
            for each in self.classes
            if each.employee_class
            and each.plan_ids
            and each.contribution.basis is not None
            and each.contribution.employee is not None
            and each.contribution.dependents is not None
        )


# --- what it has to have when it is submitted ---


def faults(draft: Draft, known_plans: Collection[str], today: date) -> list[FieldError]:
    """Everything that keeps the draft from being submitted; none when it is whole.

    No sentence holds what somebody has entered: places are named instead.

    Args:
        draft: what was saved.
        known_plans: the plans that the carrier is known to offer there in that plan year.
        today: the carrier's date.
    """
    return [
        *_faults_of_classes(draft.classes, known_plans),
        *_faults_of_enrollments(draft, today),
        *_faults_of_terminations(draft, today),
        *_persons_named_twice(draft),
    ]


def _faults_of_classes(classes: Sequence[ClassPlans], known_plans: Collection[str]) -> Iterator[FieldError]:
    if not classes:
        yield FieldError("/classes", "must have at least one class of employees")
    if len({plan_id for each in classes for plan_id in each.plan_ids}) > PLANS_MAX:
        yield FieldError("/classes", f"must name {PLANS_MAX} different plans at most")
    first_place: dict[str, str] = {}
    for place, each in _places("/classes", classes):
        if not each.employee_class:
            yield FieldError(f"{place}/employee_class", MISSING)
        elif (first := first_place.setdefault(_folded(each.employee_class), place)) != place:
            yield FieldError(f"{place}/employee_class", f"is the class of {first} again")
        if not each.plan_ids:
            yield FieldError(f"{place}/plan_ids", "must name at least one plan")
        for index, plan_id in enumerate(each.plan_ids):
            if plan_id not in known_plans:
                yield FieldError(f"{place}/plan_ids/{index}", "is not a plan that can be chosen")
            elif plan_id in each.plan_ids[:index]:
                yield FieldError(f"{place}/plan_ids/{index}", "is named twice")
        yield from _faults_of_contribution(f"{place}/contribution", each.contribution)


def _faults_of_contribution(place: str, contribution: Contribution) -> Iterator[FieldError]:
    if contribution.basis is None:
        yield FieldError(f"{place}/basis", MISSING)
    for name, share in (("employee", contribution.employee), ("dependents", contribution.dependents)):
        if share is None:
            yield FieldError(f"{place}/{name}", MISSING)
        elif contribution.basis is ContributionBasis.PERCENT and share > PERCENT_MAX:
            yield FieldError(f"{place}/{name}", "must be 100 percent at most")


def _faults_of_enrollments(draft: Draft, today: date) -> Iterator[FieldError]:
    offered = {_folded(each.employee_class): each.plan_ids for each in reversed(draft.classes) if each.employee_class}
    for place, each in _places("/enrollments", draft.enrollments):
        yield from _faults_of_person(f"{place}/subscriber", each.subscriber, today)
        yield from _faults_of_choice(place, each, offered)
        if each.already_covered and not each.dependents:
            yield FieldError(f"{place}/dependents", "must name who joins a subscriber who is already covered")
        partner: str | None = None
        for whose, dependent in _places(f"{place}/dependents", each.dependents):
            yield from _faults_of_person(whose, dependent, today)
            if dependent.relationship is None:
                yield FieldError(f"{whose}/relationship", MISSING)
            elif dependent.relationship in PARTNERS:
                if partner is not None:
                    yield FieldError(f"{whose}/relationship", f"cannot be so beside that of {partner}")
                partner = partner or whose


def _faults_of_choice(
    place: str, enrollment: Enrollment, offered: Mapping[str, Collection[str]]
) -> Iterator[FieldError]:
    """The class and the plan of who joins. Who is already covered keeps theirs, but what is said has to fit as well."""
    plan_ids = offered.get(_folded(enrollment.employee_class))
    if not enrollment.employee_class:
        if not enrollment.already_covered:
            yield FieldError(f"{place}/employee_class", MISSING)
    elif plan_ids is None:
        yield FieldError(f"{place}/employee_class", "is none of the classes")
    if not enrollment.plan_id:
        if not enrollment.already_covered:
            yield FieldError(f"{place}/plan_id", MISSING)
    elif plan_ids is not None and enrollment.plan_id not in plan_ids:
        yield FieldError(f"{place}/plan_id", "is not offered to this class")


def _faults_of_terminations(draft: Draft, today: date) -> Iterator[FieldError]:
    for place, each in _places("/terminations", draft.terminations):
        yield from _faults_of_person(f"{place}/subscriber", each.subscriber, today)
        for whose, dependent in _places(f"{place}/dependents", each.dependents):
            yield from _faults_of_person(whose, dependent, today)
        if each.reason is None:
            yield FieldError(f"{place}/reason", MISSING)
        if each.stays_covered:
            if not each.dependents:
                yield FieldError(f"{place}/dependents", "must name who leaves a subscriber who stays covered")
            if each.reason is TerminationReason.LEFT_EMPLOYMENT:
                yield FieldError(f"{place}/reason", "cannot be so of a subscriber who stays covered")


def _faults_of_person(place: str, person: Person, today: date) -> Iterator[FieldError]:
    if not person.first_name:
        yield FieldError(f"{place}/first_name", MISSING)
    if not person.last_name:
        yield FieldError(f"{place}/last_name", MISSING)
    if person.date_of_birth is None:
        yield FieldError(f"{place}/date_of_birth", MISSING)
    elif person.date_of_birth > today:
        yield FieldError(f"{place}/date_of_birth", "must not be in the future")
    elif person.date_of_birth.year < FIRST_YEAR_OF_BIRTH:
        yield FieldError(f"{place}/date_of_birth", f"must not be before {FIRST_YEAR_OF_BIRTH}")


def _persons_named_twice(draft: Draft) -> Iterator[FieldError]:
    """Nobody joins twice, leaves twice, or does both."""
    first_place: dict[tuple[str, str, date], str] = {}
    for place, person in (*_joining(draft), *_leaving(draft)):
        if person.first_name and person.last_name and person.date_of_birth is not None:
            who = (_folded(person.first_name), _folded(person.last_name), person.date_of_birth)
            if (first := first_place.setdefault(who, place)) != place:
                yield FieldError(place, f"is the same person as {first}")


def _joining(draft: Draft) -> Iterator[tuple[str, Person]]:
    for place, each in _places("/enrollments", draft.enrollments):
        if not each.already_covered:
            yield f"{place}/subscriber", each.subscriber
        yield from _places(f"{place}/dependents", each.dependents)


def _leaving(draft: Draft) -> Iterator[tuple[str, Person]]:
    for place, each in _places("/terminations", draft.terminations):
        if not each.stays_covered:
            yield f"{place}/subscriber", each.subscriber
        yield from _places(f"{place}/dependents", each.dependents)


def _places(place: str, parts: Iterable[Part]) -> Iterator[tuple[str, Part]]:
    """Each part with the JSON pointer to it."""
    return ((f"{place}/{index}", part) for index, part in enumerate(parts))


def _folded(text: str) -> str:
    """For comparing: whether letters are capitals says nothing."""
    return unicodedata.normalize("NFC", text.casefold())
