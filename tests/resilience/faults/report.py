"""What a run has shown: a table, the distribution of removal times, and the same as JSON."""

import json
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from covey_chassis.access.facts import SILENT_S

from .catalogue import FAULTS, NOT_HERE
from .checker import Figures
from .evidence import Removal
from .rounds import REBUILT, Round

COLUMNS = (
    "fault",
    "",
    "seed",
    "operations",
    "acknowledged",
    "events",
    "effects",
    "wire copies",
    "recovery",
    "violations",
)


def header() -> str:
    return _line(*COLUMNS)


def line(played: Round) -> str:
    """A round as one line of the table, with what was violated below it."""
    said = played.figures
    recovery = "none" if played.recovery_s is None else f"{played.recovery_s:.1f} s"
    numbers = (said.operations, said.acknowledged, said.events, said.effects, said.wire_duplicates)
    cells = (str(played.seed), *(f"{each:,}" for each in numbers), recovery, str(len(played.violations)))
    found = _line(played.fault.id, played.fault.title, *cells)
    return "\n".join([found, *(f"      {what}" for what in played.violations)])


def _line(*cells: str) -> str:
    fault, title, *numbers = cells
    return f"{fault:6}{title[:58]:60}" + "".join(f"{each:>14}" for each in numbers)


def summary(rounds: Sequence[Round]) -> str:
    """All rounds together, how long removals took, and what could not be done here."""
    total = {each.name: sum(getattr(played.figures, each.name) for played in rounds) for each in fields(Figures)}
    broken = sum(len(each.violations) for each in rounds)
    found = [
        f"{len(rounds)} rounds: " + ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in total.items()),
        f"{broken} violations",
    ]
    if said := removals(rounds):
        found.append(
            f"{said['number']} removals: p50 {said['p50_s']:.3f} s, p99 {said['p99_s']:.3f} s, "
            f"longest {said['max_s']:.3f} s; promised within {SILENT_S:.1f} s and a moment, "
            "counted anew when identity begins anew; "
            f"{said['acknowledged']} were acknowledged by all, for {said['silence']} a silence was waited out"
        )
    found += [f"{fault} cannot be done here: {why}" for fault, why in NOT_HERE.items()]
    return "\n".join(found)


def removals(rounds: Sequence[Round]) -> dict[str, Any]:
    """How long removals took until "removed"; nothing where there were none."""
    found = [each for played in rounds for each in played.removals]
    times = sorted(each.took_s for each in found)
    if not times:
        return {}
    return {
        "number": len(times),
        "p50_s": statistics.median(times),
        "p99_s": times[min(len(times) - 1, int(len(times) * 0.99))],
        "max_s": times[-1],
        "bound_s": SILENT_S,
        "acknowledged": sum(each.how == "acknowledged" for each in found),
        "silence": sum(each.how == "silence" for each in found),
    }


def as_json(rounds: Sequence[Round]) -> str:
    """The same for programs."""
    return json.dumps(
        {
            "faults": [
                {
                    "fault": played.fault.id,
                    "title": played.fault.title,
                    "moment": played.fault.moment,
                    "stack": str(played.fault.shape),
                    "seed": played.seed,
                    "code": played.code,
                    **asdict(played.figures),
                    "violations": played.violations,
                    "excused": sorted(played.fault.excused),
                    "because": played.fault.because,
                    "recovery_s": played.recovery_s,
                    "took_s": played.took_s,
                    "removals": [asdict(each) for each in played.removals],
                }
                for played in rounds
            ],
            "removals": removals(rounds),
            "not_here": NOT_HERE,
        },
        indent=1,
    )


def read(file: Path) -> list[Round]:
    """The rounds that were written to a file."""
    known = {fault.id: fault for fault in (*FAULTS, REBUILT)}
    return [
        Round(
            fault=known[row["fault"]],
            seed=row["seed"],
            figures=Figures(**{each.name: row[each.name] for each in fields(Figures)}),
            violations=row["violations"],
            recovery_s=row["recovery_s"],
            took_s=row["took_s"],
            removals=[Removal(**each) for each in row["removals"]],
            code=row.get("code", ""),
        )
        for row in json.loads(file.read_text())["faults"]
    ]


def as_markdown(said: dict[str, Any]) -> str:
    """What ``as_json`` says as a table of Markdown: a line for each fault, with all its rounds together."""
    faults: dict[str, list[dict[str, Any]]] = {}
    for played in said["faults"]:
        faults.setdefault(played["fault"], []).append(played)
    head = ("", "fault", "moment", "rounds", *COLUMNS[3:])
    return "\n".join(
        [
            _row(head),
            _row("---" if place < 3 else "--:" for place in range(len(head))),
            *map(_together, faults.values()),
        ]
    )


def _together(rounds: Sequence[dict[str, Any]]) -> str:
    """One fault's rounds; their recovery is the longest."""
    counted = [each.name for each in fields(Figures)]
    recoveries = [played["recovery_s"] for played in rounds if played["recovery_s"] is not None]
    return _row(
        [
            *(rounds[0][each] for each in ("fault", "title", "moment")),
            *(f"{number:,}" for number in [len(rounds), *(sum(played[each] for played in rounds) for each in counted)]),
            f"{max(recoveries):.1f} s" if recoveries else "",
            str(sum(len(played["violations"]) for played in rounds)),
        ]
    )


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write(rounds: Sequence[Round], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(as_json(rounds) + "\n")


if __name__ == "__main__":
    print(as_markdown(json.loads(Path(sys.argv[1]).read_text())))
