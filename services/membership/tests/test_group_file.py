"""A file is cut into chunks of whole rows, and each row is told by the line on which it begins."""

import csv
import io

import pytest
from covey_membership.domain import group_file
from covey_membership.domain.group_file import CHUNK_ROWS, PLACES, FileNotReadable, Row, read, split, template
from hypothesis import given
from hypothesis import strategies as st

HEADER = ",".join(PLACES)


def read_all(content: bytes) -> list[Row]:
    columns, chunks = split(content)
    return [row for chunk in chunks for row in read(columns, chunk)]


def refusals(content: bytes) -> list[tuple[str, str]]:
    with pytest.raises(FileNotReadable) as refusal:
        read_all(content)
    return [(error.pointer, error.detail) for error in refusal.value.errors]


def test_the_template_names_every_column_once():
    columns, chunks = split(template().encode())

    assert columns == list(PLACES)
    assert list(chunks) == []


def test_a_row_tells_of_a_group(row, as_csv):
    (found,) = read_all(as_csv([row(7, billing_units="002=Yard|001=Head office")]))

    assert found.line == 2
    assert found.number == "000007"
    assert found.group.principal_address.county == "Humboldt"
    assert found.group.broker.contact.email == "teodora@alderquist.example.org"
    assert [(unit.code, unit.name) for unit in found.group.billing_units] == [("001", "Head office"), ("002", "Yard")]
    assert [(plan.plan_year, plan.plan_id) for plan in found.group.plans] == [(2026, "GOLD-80"), (2026, "SILVER-70")]


def test_the_columns_may_come_in_any_order(row, as_csv):
    (found,) = read_all(as_csv([row(7)], columns=reversed(PLACES)))

    assert found.group == read_all(as_csv([row(7)]))[0].group


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"], ids=["CRLF", "LF", "CR"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["without BOM", "with BOM"])
def test_every_way_to_end_a_line_and_a_byte_order_mark_are_read(row, as_csv, mark, end):
    content = mark + as_csv([row(1), row(2)]).replace(b"\r\n", end)

    assert [(found.line, found.number) for found in read_all(content)] == [(2, "000001"), (3, "000002")]


def test_lines_are_counted_as_an_editor_counts_them(row, as_csv):
    rows = [row(1, street='1 "Long"\nStreet, Suite 3'), row(2), row(3, ein="x\r\ny\r\nz"), row(4)]

    found = read_all(as_csv(rows))

    assert [each.line for each in found] == [2, 4, 5, 8]
    assert found[0].group.principal_address.street == '1 "Long" Street, Suite 3'
    assert [each.faults[0].column for each in found if each.faults] == ["ein"]


def test_lines_go_on_from_chunk_to_chunk(row, as_csv):
    rows = [row(number, street="1\nStreet") for number in range(2 * CHUNK_ROWS + 1)]

    columns, chunks = split(as_csv(rows))
    cut = list(chunks)

    assert [chunk.rows for chunk in cut] == [CHUNK_ROWS, CHUNK_ROWS, 1]
    found = [each for chunk in cut for each in read(columns, chunk)]
    assert [each.line for each in found] == [2 + 2 * number for number in range(len(rows))]


def test_a_chunk_ends_early_when_its_rows_are_long(row, as_csv, monkeypatch):
    monkeypatch.setattr(group_file, "CHUNK_CHARACTERS", 1000)

    _, chunks = split(as_csv([row(number, street="x" * 400) for number in range(4)]))

    assert [chunk.rows for chunk in chunks] == [2, 2]


def test_rows_with_nothing_in_them_are_passed_over(row, as_csv):
    blank = b"," * (len(PLACES) - 1) + b"\r\n"
    first, second = as_csv([row(1), row(2)]).splitlines(keepends=True)[1:]

    found = read_all(HEADER.encode() + b"\n\r\n" + first + blank + b" , " + blank[2:] + second + b"\n\n")

    assert [(each.line, each.number) for each in found] == [(3, "000001"), (6, "000002")]


def test_a_row_of_another_length_is_bad_as_a_whole(row, as_csv):
    content = as_csv([row(1), row(2)]).replace(b",ALL=Everyone,", b",ALL=Everyone,,", 1)

    short, good = read_all(content)

    assert [(fault.column, fault.message) for fault in short.faults] == [
        ("", "has 23 fields, but there are 22 columns")
    ]
    assert good.group is not None


def test_every_bad_cell_of_a_row_is_told(row, as_csv):
    (found,) = read_all(
        as_csv([row(1, ein="1", county="Atlantis", firm_name="", billing_units="A=One|=Two", plans="26:GOLD|2026")])
    )

    assert {fault.column: fault.message for fault in found.faults if fault.column != "plans"} == {
        "ein": "must be an EIN such as 12-3456789",
        "county": "must be one of the 58 counties of California",
        "firm_name": "must not be blank",
        "billing_units": "entry 2: code must not be blank",
    }
    assert [fault.message for fault in found.faults if fault.column == "plans"] == [
        "entry 1: plan_year must be a year between 1900 and 2199",
        "entry 2: plan_id must not be blank",
    ]
    assert found.group is None
    assert found.number == "000001"


def test_a_row_with_ever_so_many_faults_is_told_by_the_first_of_them(row, as_csv):
    (found,) = read_all(as_csv([row(1, plans="|" * 100_000)]))

    assert len(found.faults) == 25


def test_a_row_without_a_broker_leaves_all_five_columns_blank(row, as_csv):
    blank = dict.fromkeys(["firm_number", "firm_name", "firm_contact_name", "firm_contact_email", "acquired_date"], "")

    (found,) = read_all(as_csv([row(1, **blank)]))

    assert found.group.broker is None


def test_unknown_missing_and_doubled_columns_refuse_the_file(row, as_csv):
    header = HEADER.replace("ein,", "").replace("plans", "plans,shoe_size,zip,")

    assert refusals(header.encode() + b"\n") == [
        ("column:ein", "is missing"),
        ("column:shoe_size", "is not a column of this file"),
        ("column:zip", "is there twice"),
        ("column:24", "is not a column of this file"),
    ]


def test_a_file_without_a_header_is_refused_and_none_of_it_repeated(row, as_csv):
    without = as_csv([row(1), row(2)]).partition(b"\n")[2]

    found = refusals(without)

    assert found[0] == ("line:1", "must name the columns")
    assert found[1:] == [(f"column:{name}", "is missing") for name in PLACES]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b" \r\n,,,\r\n"])
def test_an_empty_file_is_refused(content):
    assert refusals(content) == [("", "is empty: its first line must name the columns")]


def test_a_file_that_is_not_utf_8_is_refused_with_the_line(row, as_csv):
    content = as_csv([row(number) for number in range(1000)] + [row(2000, city="Cañon")]).replace(
        "Cañon".encode(), "Cañon".encode("latin-1")
    )

    assert refusals(content) == [("line:1002", "is not UTF-8")]


@pytest.mark.parametrize(
    "street",
    [b'"1 Example Street', b'"1" Example Street', b'"' + b"x" * 140_000 + b'"'],
    ids=["not closed", "goes on", "too long"],
)
def test_a_quote_that_leaves_the_rows_in_doubt_refuses_the_file(row, as_csv, street):
    content = as_csv([row(1), row(2, street="HERE"), row(3)]).replace(b"HERE", street)

    ((pointer, sentence),) = refusals(content)

    assert pointer == "line:3"
    assert sentence.startswith("cannot be read as CSV")


def test_a_quote_inside_a_plain_cell_is_just_a_quote(row, as_csv):
    content = as_csv([row(1, street="HERE")]).replace(b"HERE", b'1 "Old" Street')

    assert read_all(content)[0].group.principal_address.street == '1 "Old" Street'


def test_a_file_with_too_many_rows_is_refused():
    assert refusals(f"{HEADER}\n".encode() + b"x\n" * 200_001) == [("", "has more than 200,000 rows")]


CELL = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
RECORD = st.lists(CELL, min_size=len(PLACES), max_size=len(PLACES)).filter(lambda cells: any(c.strip() for c in cells))


@given(records=st.lists(RECORD, max_size=12), end=st.sampled_from(["\r\n", "\n", "\r"]), mark=st.booleans())
def test_whatever_a_spreadsheet_writes_comes_back_cell_for_cell(records, end, mark):
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([list(PLACES), *records])
    content = ("\ufeff" if mark else "") + out.getvalue()

    _, chunks = split(content.encode())

    text = "".join(chunk.content for chunk in chunks)
    assert list(csv.reader(io.StringIO(text, newline=""))) == records


@given(content=st.binary(max_size=300))
def test_whatever_comes_is_read_or_refused_with_its_line(content):
    try:
        rows = read_all(HEADER.encode() + b"\n" + content)
    except FileNotReadable as refusal:
        lines = [error.pointer for error in refusal.errors]
    else:
        lines = [f"line:{row.line}" for row in rows]

    assert all(line.startswith("line:") for line in lines)
