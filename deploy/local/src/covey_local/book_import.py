"""Importing a book of groups from the command line: the file goes in, its progress shows, its bad rows come out."""

import time
from collections.abc import Iterator
from datetime import date
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

import httpx
from pydantic import BaseModel

from covey_local.demo.book import as_csv, make_book
from covey_local.home import RunFile
from covey_local.refused import Refused, why
from covey_local.sign_on import as_staff

POLL_S = 0.1
PATIENCE_S = 60.0


class Report(BaseModel):
    """How far an import is."""

    id: str
    status: str
    rows_total: int
    rows_done: int
    registered: int
    changed: int
    unchanged: int
    refused: int


def sample_book(groups: int, today: date) -> bytes:
    """A file of made-up groups, whose renewals become available over the next weeks."""
    return as_csv(make_book(groups, days=60, today=today, seed=1))


def has_groups(run_file: RunFile) -> bool:
    """Whether membership knows any group."""
    with _membership(run_file) as http:
        return bool(http.get("/v1/groups", params={"limit": 1}).raise_for_status().json()["items"])


class BookImport:
    """One import at membership."""

    def __init__(self, run_file: RunFile, content: bytes) -> None:
        self._http = _membership(run_file)
        answer = self._http.post(
            "/v1/imports",
            content=content,
            headers={"Content-Type": "text/csv", "Idempotency-Key": str(uuid4())},
        )
        if not answer.is_success:
            raise Refused(why(answer))
        self._path = answer.headers["Location"]

    def reports(self) -> Iterator[Report]:
        """How far it is, again and again until it is done. A membership that is not well for a while is waited for.

        Raises:
            Refused: it has refused to say, or was not well for ``PATIENCE_S``.
        """
        patient_until = time.monotonic() + PATIENCE_S
        while True:
            report = self._report(patient=time.monotonic() <= patient_until)
            if report is not None:
                yield report
                if report.status == "done":
                    return
                patient_until = time.monotonic() + PATIENCE_S
            time.sleep(POLL_S)

    def _report(self, *, patient: bool) -> Report | None:
        """How far it is; None where it is not well, and one is ``patient``."""
        try:
            answer = self._http.get(self._path)
        except httpx.HTTPError as error:  # membership, or identity where one signs on, is being started again
            if patient:
                return None
            raise Refused(f"{error.request.url} does not answer: {error}.") from error
        if answer.is_success:
            return Report.model_validate(answer.json())
        if patient and answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            return None
        raise Refused(why(answer))

    def write_errors(self, file: Path) -> None:
        """What is wrong with its bad rows, by line and column, as CSV."""
        with self._http.stream("GET", f"{self._path}/errors.csv") as answer, file.open("wb") as out:
            answer.raise_for_status()
            for piece in answer.iter_bytes():
                out.write(piece)


def _membership(run_file: RunFile) -> httpx.Client:
    """Membership, for the stack's staff."""
    url = run_file["services"]["membership"]
    return httpx.Client(base_url=url, auth=as_staff(run_file), timeout=60, trust_env=False)
