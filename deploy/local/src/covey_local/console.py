"""What a person sees: one line for each step that was done, where its result is, and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from covey_local.progress import Progress, Step


def console(*, stderr: bool = False) -> Console:
    """A console that never breaks lines: whoever pipes them elsewhere wants them whole."""
    return Console(stderr=stderr, soft_wrap=True, highlight=False)


class _BarStep(Step):
    def __init__(self, title: str, bars: Bars, task: TaskID) -> None:
        super().__init__(title=title)
        self._bars = bars
        self._task = task

    def advance(self, done: int, total: int) -> None:
        self._bars.update(self._task, completed=done, total=total)


class ConsoleProgress(Progress):
    """Shows steps on a console: with a moving bar on a terminal, and plain lines anywhere else."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=out,
            transient=True,
            disable=not out.is_terminal,
        )

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        began = time.monotonic()
        task = self._bars.add_task(title, total=None)
        self._bars.start()
        step = _BarStep(title, self._bars, task)
        try:
            yield step
            self._out.print(f"  {title:<20} {step.where:<44} {time.monotonic() - began:5.1f} s", markup=False)
        finally:
            self._bars.remove_task(task)
            if not self._bars.tasks:
                self._bars.stop()

    def say(self, line: str) -> None:
        self._out.print(f"  {line}", markup=False)
