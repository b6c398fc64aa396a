"""A run that did not do what was asked for does not pass for one that did."""

import asyncio
import json
import time
from dataclasses import replace

from . import report
from .__main__ import _is_over, _run
from .catalogue import FAULTS
from .checker import Figures
from .evidence import Removal
from .history import History, Op
from .rounds import REBUILT, Load, Round, until_under_way


async def test_faults_that_there_was_no_time_for_are_named():
    rounds, missed = await _run(FAULTS[:2], seed=7, events=0, load=Load(), until=time.monotonic())

    assert (rounds, missed) == ([], "F1, F2 with seed 7")
    assert report.summary(rounds).startswith("0 rounds")


def test_a_faults_rounds_are_one_line_of_the_table_with_the_longest_recovery():
    figures = Figures(operations=3_000, acknowledged=2_000, events=1_500, effects=6_000, wire_duplicates=1)
    first = Round(fault=FAULTS[0], seed=1, figures=figures, violations=[], recovery_s=2.5, took_s=60)
    rounds = [first, replace(first, seed=2, recovery_s=7.25, violations=["I1: lost"])]

    *_, line = report.as_markdown(json.loads(report.as_json(rounds))).splitlines()

    assert line.startswith("| F1 | kill -9 of services |")
    assert line.endswith("| 2 | 6,000 | 4,000 | 3,000 | 12,000 | 2 | 7.2 s | 1 |")


def test_a_run_is_over_when_enough_have_passed_but_not_before_each_fault_was_played():
    figures = Figures(operations=300, acknowledged=200, events=900, effects=3_600, wire_duplicates=0)
    passed = [Round(fault=FAULTS[0], seed=1, figures=figures, violations=[], recovery_s=1.0, took_s=60)]
    later = time.monotonic() + 60

    assert not _is_over(passed, enough=None, until=later)
    assert not _is_over(passed, enough=901, until=later)
    assert _is_over(passed, enough=900, until=later)
    assert _is_over(passed, enough=None, until=time.monotonic())


async def test_a_run_goes_on_from_what_was_written(tmp_path):
    figures = Figures(operations=300, acknowledged=200, events=900, effects=3_600, wire_duplicates=0)
    removals = [Removal(0.04, "acknowledged"), Removal(7.8, "silence")]
    first = Round(
        fault=FAULTS[0],
        seed=7,
        figures=figures,
        violations=[],
        recovery_s=1.0,
        removals=removals,
        took_s=60,
        code="abc",
    )
    left = Round(fault=REBUILT, seed=7, figures=figures, violations=["I1: lost"], recovery_s=None, took_s=5)
    report.write([first, left], tmp_path / "rounds.json")

    before = report.read(tmp_path / "rounds.json")
    rounds, missed = await _run(FAULTS[:2], seed=7, events=0, load=Load(), until=time.monotonic(), before=before)

    assert before == rounds == [first, left]
    assert missed == "F2 with seed 7"
    assert report.removals(rounds)["silence"] == 1


async def test_a_round_in_which_something_was_violated_is_played_again():
    figures = Figures(operations=300, acknowledged=200, events=900, effects=3_600, wire_duplicates=0)
    broken = Round(fault=FAULTS[0], seed=7, figures=figures, violations=["I1: lost"], recovery_s=1.0, took_s=60)

    _, missed = await _run(FAULTS[:1], seed=7, events=0, load=Load(), until=time.monotonic(), before=[broken])

    assert missed == "F1 with seed 7"


async def test_a_fault_strikes_once_somebody_was_let_in_watched_and_was_removed(tmp_path):
    """On a slow machine that took longer than the warm-up, and the round proved nothing of streams."""
    done = {"client": "somebody", "service": "identity", "invoked_at": 1.0, "outcome": "ok", "shows": True}
    with History(tmp_path / "clients.jsonl") as history:
        await history.note(Op(id="removed", kind="remove", committed=frozenset(), **done))
        under_way = asyncio.create_task(until_under_way(tmp_path / "clients.jsonl", within_s=60))
        asked = asyncio.create_task(until_under_way(tmp_path / "clients.jsonl", within_s=0.5))
        await asked
        assert not under_way.done()

        await history.note(Op(id="watched", kind="watch", **done))
        await under_way
