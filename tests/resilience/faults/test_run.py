"""A run that did not do what was asked for does not pass for one that did."""

import time

from . import report
from .__main__ import _run
from .catalogue import FAULTS


async def test_faults_that_there_was_no_time_for_are_named():
    rounds, missed = await _run(FAULTS[:2], seed=7, events=0, until=time.monotonic())

    assert (rounds, missed) == ([], "F1, F2 with seed 7")
    assert report.summary(rounds).startswith("0 rounds")
