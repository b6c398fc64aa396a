"""A book of groups as a CSV file: its columns, how it is cut into chunks of whole rows, and what a row says.

The file is read as it is cut: it is never in memory as rows. Lines are counted as an editor counts them, so a record with
a line break in a quoted field begins on one line and ends on a later one; it is named by the line on which it begins.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any

from covey_chassis.errors import FieldError, Invalid
from pydantic import TypeAdapter, ValidationError

from covey_membership.domain.fields import GroupNumber
from covey_membership.domain.profile import NewGroup

PLACES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "group_number": ("group_number",),
        "legal_name": ("legal_name",),
        "ein": ("ein",),
        "market_region": ("market_region",),
        "street": ("principal_address", "street"),
        "city": ("principal_address", "city"),
        "county": ("principal_address", "county"),
        "state": ("principal_address", "state"),
        "zip": ("principal_address", "zip"),
        "effective_date": ("effective_date",),
        "renewal_date": ("renewal_date",),
        "contract_signer_name": ("contract_signer", "name"),
        "contract_signer_email": ("contract_signer", "email"),
        "billing_contact_name": ("billing_contact", "name"),
        "billing_contact_email": ("billing_contact", "email"),
        "firm_number": ("broker", "firm_number"),
        "firm_name": ("broker", "firm_name"),
        "firm_contact_name": ("broker", "contact", "name"),
        "firm_contact_email": ("broker", "contact", "email"),
        "acquired_date": ("broker", "acquired_date"),
        "billing_units": ("billing_units",),
        "plans": ("plans",),
    }
)
"""Every column, and where its cell goes in a NewGroup."""

ROWS_MAX = 200_000
CHUNK_ROWS = 200
CHUNK_CHARACTERS = 1 << 20
"""A chunk ends with the row that reaches one of the two."""

FAULTS_MAX = 25
"""So many are told of one row: a cell with a hundred thousand bad entries has made its point."""

_COLUMN_AT = {place: column for column, place in PLACES.items()}
_BROKER = [column for column, place in PLACES.items() if place[0] == "broker"]
_LISTS = {"billing_units": ("=", "code", "name"), "plans": (":", "plan_year", "plan_id")}
"""Columns that hold a list, ``left=right|left=right``: what separates a pair, and what its halves are."""

_NOT_CSV = (
    "cannot be read as CSV: the record that begins here has a quoted field that is not closed, that goes on after its"
    " closing quote, or that has more than 131,072 characters"
)

_GROUPS = TypeAdapter(NewGroup)
_NUMBERS = TypeAdapter[str](GroupNumber)


class FileNotReadable(Invalid):
    """The file cannot be read as a book of groups."""


@dataclass(frozen=True)
class Chunk:
    """Some whole rows of the file, as they stand there."""

    first_line: int
    rows: int
    content: str


@dataclass(frozen=True)
class Fault:
    """What is wrong with a row. The column is empty when it is the row as a whole."""

    column: str
    message: str


@dataclass(frozen=True)
class Row:
    """One row as it was read: the group that it tells of, or what is wrong with it."""

    line: int
    number: str | None
    group: NewGroup | None
    faults: tuple[Fault, ...] = ()


def template() -> str:
    """A file without rows: the columns in the order in which the README tells of them."""
    return ",".join(PLACES) + "\r\n"


# --- cutting ---


def split(content: bytes) -> tuple[list[str], Iterator[Chunk]]:
    """The columns in the file's order, and its rows by the chunk.

    Raises:
        FileNotReadable: at once for what is wrong with the columns, else on the way, at the record that is not CSV.
    """
    lines = _Lines(content)
    records = _records(lines)
    columns = _columns(next(records, None))
    lines.cut()
    return columns, _chunks(lines, records)


class _Lines(Iterator[str]):
    """The file's lines, with their ends; keeps those that were read since the last cut."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._text = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline="")
        self._kept: list[str] = []
        self._first_kept = 1
        self.kept_characters = 0

    def __next__(self) -> str:
        try:
            line = next(self._text)
        except UnicodeDecodeError as error:
            raise FileNotReadable(FieldError(f"line:{self._undecodable()}", "is not UTF-8")) from error
        self._kept.append(line)
        self.kept_characters += len(line)
        return line

    def cut(self) -> tuple[int, str]:
        """The number of the first line since the last cut, and the text since."""
        cut = self._first_kept, "".join(self._kept)
        self._first_kept += len(self._kept)
        self._kept.clear()
        self.kept_characters = 0
        return cut

    def _undecodable(self) -> int:
        for number, line in enumerate(io.BytesIO(self._content), start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
        raise AssertionError("one of the lines was not UTF-8")


def _records(lines: Iterable[str], first_line: int = 1) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line on which it begins. Those with nothing in them, as spreadsheets leave, are passed over."""
    reader = csv.reader(lines, strict=True)
    while True:
        line = first_line + reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise FileNotReadable(FieldError(f"line:{line}", _NOT_CSV)) from error
        if any(cell.strip() for cell in cells):
            yield line, cells


def _chunks(lines: _Lines, records: Iterable[object]) -> Iterator[Chunk]:
    rows = 0
    for total, _ in enumerate(records, start=1):
        rows += 1
        if total > ROWS_MAX:
            raise FileNotReadable(FieldError("", "has more than 200,000 rows"))
        if rows == CHUNK_ROWS or lines.kept_characters >= CHUNK_CHARACTERS:
            first_line, content = lines.cut()
            yield Chunk(first_line, rows, content)
            rows = 0
    if rows:
        first_line, content = lines.cut()
        yield Chunk(first_line, rows, content)


def _columns(header: tuple[int, list[str]] | None) -> list[str]:
    if header is None:
        raise FileNotReadable(FieldError("", "is empty: its first line must name the columns"))
    line, cells = header
    names = [cell.strip() for cell in cells]
    faults = [FieldError(f"column:{name}", "is missing") for name in PLACES if name not in names]
    if len(faults) == len(PLACES):
        # Not a header but somebody's data, most likely: none of it is repeated.
        raise FileNotReadable(FieldError(f"line:{line}", "must name the columns"), *faults)
    for position, name in enumerate(names, start=1):
        if name not in PLACES:
            faults.append(FieldError(f"column:{name[:50] or position}", "is not a column of this file"))
        elif name in names[: position - 1]:
            faults.append(FieldError(f"column:{name}", "is there twice"))
    if faults:
        raise FileNotReadable(*faults)
    return names


# --- reading ---


def read(columns: Sequence[str], chunk: Chunk) -> Iterator[Row]:
    """What the chunk's rows say. A row is judged by itself: whether its number was there before is not known here."""
    for line, cells in _records(io.StringIO(chunk.content, newline=""), chunk.first_line):
        yield _row(line, columns, cells)


def _row(line: int, columns: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(columns):
        count = Fault("", f"has {len(cells)} fields, but there are {len(columns)} columns")
        return Row(line, None, None, (count,))
    said = dict(zip(columns, cells, strict=True))
    try:
        group = _GROUPS.validate_python(_document(said))
    except ValidationError as error:
        return Row(line, _number(said["group_number"]), None, tuple(islice(_faults(error), FAULTS_MAX)))
    return Row(line, group.group_number, group)


def _number(cell: str) -> str | None:
    try:
        return _NUMBERS.validate_python(cell)
    except ValidationError:
        return None


def _document(said: Mapping[str, str]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for column, place in PLACES.items():
        inner = document
        for part in place[:-1]:
            inner = inner.setdefault(part, {})
        inner[place[-1]] = _pairs(said[column], *_LISTS[column]) if column in _LISTS else said[column]
    if not any(said[column].strip() for column in _BROKER):
        document["broker"] = None
    return document


def _pairs(cell: str, between: str, left: str, right: str) -> list[dict[str, str]]:
    entries = [entry.partition(between) for entry in cell.split("|")] if cell.strip() else []
    return [{left: first.strip(), right: second.strip()} for first, _, second in entries]


def _faults(error: ValidationError) -> Iterator[Fault]:
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        match each["loc"]:
            case (str(column), int(entry), str(half)):
                yield Fault(column, f"entry {entry + 1}: {half} {each['msg']}")
            case place:
                yield Fault(_COLUMN_AT[tuple(map(str, place))], each["msg"])
