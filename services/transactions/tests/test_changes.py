"""What a draft has to have when it is submitted: every fault, with the place where it stands."""

from copy import deepcopy
from datetime import date

import pytest
from covey_transactions.domain.changes import Draft, faults
from pydantic import ValidationError

from .story import a_draft

TODAY = date(2026, 2, 1)
KNOWN = ["GOLD-80", "SILVER-70", *(f"BRONZE-{number}" for number in range(49))]
MISSING = "must not be missing"


def found(draft):
    return [(each.pointer, each.detail) for each in faults(Draft.model_validate(draft), KNOWN, TODAY)]


def with_(path, value):
    """The whole draft, but for one thing: ``with_("/classes/0/plan_ids", [])``. What is None is left out."""
    draft = deepcopy(a_draft())
    *way, last = [int(part) if part.isdecimal() else part for part in path.split("/")[1:]]
    place = draft
    for part in way:
        place = place[part]
    if value is None:
        del place[last]
    elif isinstance(place, list) and last == len(place):
        place.append(value)
    else:
        place[last] = value
    return draft


def person(first="Grace", last="Hopper", born="1986-12-09", **more):
    return {"first_name": first, "last_name": last, "date_of_birth": born} | more


def joining(**more):
    return {"subscriber": person(), "employee_class": "Full-time", "plan_id": "GOLD-80"} | more


def leaving(**more):
    return {"subscriber": person(), "reason": "waived"} | more


def test_a_whole_draft_has_none():
    assert found(a_draft()) == []


def test_an_empty_draft_lacks_a_class_and_nothing_else():
    assert found({}) == [("/classes", "must have at least one class of employees")]


SAID_OF_ONE_THING = [
    ("/classes/0/employee_class", None, [("/classes/0/employee_class", MISSING)]),
    ("/classes/0/plan_ids", [], [("/classes/0/plan_ids", "must name at least one plan")]),
    (
        "/classes/0/plan_ids",
        ["GOLD-80", "BRONZE-60", ""],
        [
            ("/classes/0/plan_ids/1", "is not a plan that can be chosen"),
            ("/classes/0/plan_ids/2", "is not a plan that can be chosen"),
        ],
    ),
    ("/classes/0/plan_ids", ["GOLD-80", "SILVER-70", "GOLD-80"], [("/classes/0/plan_ids/2", "is named twice")]),
    (
        "/classes/0/contribution",
        None,
        [
            ("/classes/0/contribution/basis", MISSING),
            ("/classes/0/contribution/employee", MISSING),
            ("/classes/0/contribution/dependents", MISSING),
        ],
    ),
    ("/classes/0/contribution/employee", "100", []),
    (
        "/classes/1",
        {
            "employee_class": "Others",
            "plan_ids": [f"BRONZE-{number}" for number in range(49)],
            "contribution": {"basis": "percent", "employee": 0, "dependents": 0},
        },
        [("/classes", "must name 50 different plans at most")],
    ),
    (
        "/classes/0/contribution/employee",
        "100.01",
        [("/classes/0/contribution/employee", "must be 100 percent at most")],
    ),
    (
        "/classes/0/contribution/dependents",
        101,
        [("/classes/0/contribution/dependents", "must be 100 percent at most")],
    ),
    ("/classes/0/contribution", {"basis": "amount", "employee": "450.50", "dependents": 0}, []),
    (
        "/enrollments/0/subscriber",
        None,
        [
            ("/enrollments/0/subscriber/first_name", MISSING),
            ("/enrollments/0/subscriber/last_name", MISSING),
            ("/enrollments/0/subscriber/date_of_birth", MISSING),
        ],
    ),
    (
        "/enrollments/0/subscriber/date_of_birth",
        "2026-02-02",
        [("/enrollments/0/subscriber/date_of_birth", "must not be in the future")],
    ),
    ("/enrollments/0/subscriber/date_of_birth", "2026-02-01", []),
    (
        "/enrollments/0/subscriber/date_of_birth",
        "1899-12-31",
        [("/enrollments/0/subscriber/date_of_birth", "must not be before 1900")],
    ),
    ("/enrollments/0/subscriber/date_of_birth", "1900-01-01", []),
    ("/enrollments/0/employee_class", None, [("/enrollments/0/employee_class", MISSING)]),
    ("/enrollments/0/employee_class", "Interns", [("/enrollments/0/employee_class", "is none of the classes")]),
    ("/enrollments/0/employee_class", "FULL-TIME", []),
    ("/enrollments/0/plan_id", None, [("/enrollments/0/plan_id", MISSING)]),
    ("/enrollments/0/plan_id", "BRONZE-60", [("/enrollments/0/plan_id", "is not offered to this class")]),
    (
        "/enrollments/0/dependents/0",
        {},
        [
            ("/enrollments/0/dependents/0/first_name", MISSING),
            ("/enrollments/0/dependents/0/last_name", MISSING),
            ("/enrollments/0/dependents/0/date_of_birth", MISSING),
            ("/enrollments/0/dependents/0/relationship", MISSING),
        ],
    ),
    ("/enrollments/1", joining(dependents=[person("Vincent", relationship="spouse")]), []),
    (
        "/enrollments/1",
        joining(
            dependents=[
                person("Vincent", relationship="domestic partner"),
                person("Mary", relationship="child"),
                person("Walter", relationship="spouse"),
            ]
        ),
        [
            (
                "/enrollments/1/dependents/2/relationship",
                "cannot be so beside that of /enrollments/1/dependents/0",
            )
        ],
    ),
    (
        "/enrollments/1",
        {"subscriber": person(), "already_covered": True, "dependents": [person("Mary", relationship="child")]},
        [],
    ),
    (
        "/enrollments/1",
        {"subscriber": person(), "already_covered": True},
        [("/enrollments/1/dependents", "must name who joins a subscriber who is already covered")],
    ),
    (
        "/enrollments/1",
        joining(already_covered=True, plan_id="BRONZE-60", dependents=[person("Mary", relationship="child")]),
        [("/enrollments/1/plan_id", "is not offered to this class")],
    ),
    ("/terminations/0/subscriber/last_name", None, [("/terminations/0/subscriber/last_name", MISSING)]),
    ("/terminations/0/reason", None, [("/terminations/0/reason", MISSING)]),
    (
        "/terminations/1",
        leaving(dependents=[{}]),
        [
            ("/terminations/1/dependents/0/first_name", MISSING),
            ("/terminations/1/dependents/0/last_name", MISSING),
            ("/terminations/1/dependents/0/date_of_birth", MISSING),
        ],
    ),
    ("/terminations/1", leaving(stays_covered=True, dependents=[person("Mary")]), []),
    (
        "/terminations/1",
        leaving(stays_covered=True),
        [("/terminations/1/dependents", "must name who leaves a subscriber who stays covered")],
    ),
    (
        "/terminations/1",
        leaving(stays_covered=True, dependents=[person("Mary")], reason="left employment"),
        [("/terminations/1/reason", "cannot be so of a subscriber who stays covered")],
    ),
]


@pytest.mark.parametrize(("path", "value", "said"), SAID_OF_ONE_THING)
def test_every_fault_is_named_at_its_place(path, value, said):
    draft = with_(path, value)
    if path.startswith("/classes"):
        draft["enrollments"] = []  # whoever has chosen something there would be named as well

    assert found(draft) == said


def test_a_class_is_named_once_whatever_its_capitals():
    again = deepcopy(a_draft()["classes"][0]) | {"employee_class": "full-TIME"}

    assert found(with_("/classes/1", again)) == [("/classes/1/employee_class", "is the class of /classes/0 again")]


def test_a_plan_has_to_be_offered_to_the_class_of_who_joins_and_not_to_another():
    part_time = deepcopy(a_draft()["classes"][0]) | {"employee_class": "Part-time", "plan_ids": ["SILVER-70"]}
    draft = with_("/classes/1", part_time) | {"enrollments": [joining(employee_class="Part-time")]}

    assert found(draft) == [("/enrollments/0/plan_id", "is not offered to this class")]


TWICE = [
    ({"enrollments": [joining(), joining()]}, "/enrollments/1/subscriber", "/enrollments/0/subscriber"),
    (
        {"enrollments": [joining(), joining(subscriber=person("GRACE", "hopper"))]},
        "/enrollments/1/subscriber",
        "/enrollments/0/subscriber",
    ),
    (
        {"enrollments": [joining(dependents=[person(relationship="child")])]},
        "/enrollments/0/dependents/0",
        "/enrollments/0/subscriber",
    ),
    (
        {"terminations": [leaving(), leaving(subscriber=person("Mary"), dependents=[person()])]},
        "/terminations/1/dependents/0",
        "/terminations/0/subscriber",
    ),
    (
        {"enrollments": [joining()], "terminations": [leaving()]},
        "/terminations/0/subscriber",
        "/enrollments/0/subscriber",
    ),
    (
        {
            "enrollments": [joining(subscriber=person("Zoe\u0308"))],
            "terminations": [leaving(subscriber=person("ZO\u00cb"))],
        },
        "/terminations/0/subscriber",
        "/enrollments/0/subscriber",
    ),
]


@pytest.mark.parametrize(("different", "second", "first"), TWICE)
def test_nobody_joins_twice_or_leaves_twice_or_does_both(different, second, first):
    draft = a_draft(enrollments=[], terminations=[]) | different

    assert found(draft) == [(second, f"is the same person as {first}")]


NOT_TWICE = [
    {"enrollments": [joining(), joining(subscriber=person(born="1986-12-10"))]},
    {"enrollments": [joining(), joining(subscriber=person("Mary"))]},
    {  # two children join a subscriber who is covered already, entered one after the other
        "enrollments": [
            {"subscriber": person(), "already_covered": True, "dependents": [person(name, relationship="child")]}
            for name in ("Mary", "Roger")
        ]
    },
    {  # one who stays covered does not leave
        "terminations": [leaving(stays_covered=True, dependents=[person(name)]) for name in ("Mary", "Roger")]
    },
]


@pytest.mark.parametrize("different", NOT_TWICE)
def test_who_differs_in_name_or_birth_date_or_stays_is_nobody_else_again(different):
    assert found(a_draft(enrollments=[], terminations=[]) | different) == []


def test_all_faults_are_named_at_once_and_none_repeats_what_was_entered():
    draft = {
        "classes": [{"employee_class": "Zebra", "plan_ids": ["Okapi", "Okapi"]}],
        "enrollments": [
            {"subscriber": person("Quagga", "", "2090-01-01"), "employee_class": "Gnu", "plan_id": "Eland"}
        ],
        "terminations": [{"subscriber": person("Kudu", "Dikdik", "1850-01-01")}],
    }

    said = found(draft)

    assert len(said) == 10
    assert not any(
        word in detail
        for _, detail in said
        for word in ("Zebra", "Okapi", "Quagga", "2090", "Gnu", "Eland", "Kudu", "Dikdik", "1850")
    )


# --- what a draft may be made of ---


def test_who_joins_and_who_leaves_are_counted_as_persons():
    draft = Draft.model_validate(
        {
            "enrollments": [
                joining(dependents=[person("Mary", relationship="child"), person("Roger", relationship="child")]),
                {"subscriber": person(), "already_covered": True, "dependents": [person("Jo", relationship="child")]},
            ],
            "terminations": [
                leaving(dependents=[person("Mary")]),
                leaving(stays_covered=True, dependents=[person("Jo")]),
            ],
        }
    )

    assert (draft.enrolled, draft.terminated) == (4, 3)


def test_what_is_entered_is_kept_composed_trimmed_and_to_the_cent():
    draft = Draft.model_validate(
        {
            "classes": [
                {
                    "employee_class": "  Full \u00a0 time ",
                    "contribution": {"basis": "percent", "employee": 75, "dependents": "-0"},
                }
            ],
            "terminations": [{"subscriber": {"first_name": "Zoe\u0308", "last_name": "   "}}],
        }
    )

    (offered,), (left,) = draft.classes, draft.terminations
    assert offered.employee_class == "Full time"
    assert (str(offered.contribution.employee), str(offered.contribution.dependents)) == ("75.00", "0.00")
    assert (left.subscriber.first_name, left.subscriber.last_name) == ("Zo\u00eb", "")


@pytest.mark.parametrize(
    "born",
    [19861209, "1986-12-09T00:00:00", "12/09/1986", "1986-02-30", "0000-01-01", 1.5, True, ["1986"], "١٩٨٦-12-09"],
)
def test_a_birth_date_is_written_in_one_way_and_never_guessed(born):
    with pytest.raises(ValidationError, match="written YYYY-MM-DD"):
        Draft.model_validate({"terminations": [{"subscriber": {"date_of_birth": born}}]})


@pytest.mark.parametrize("share", ["0.001", -1, "NaN", "Infinity", "ten", "1000000.01", "1e400", True])
def test_a_share_is_an_amount_to_the_cent(share):
    with pytest.raises(ValidationError):
        Draft.model_validate({"classes": [{"contribution": {"employee": share}}]})
