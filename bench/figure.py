"""One figure of a benchmark: what was measured, what it is held against, and what it must reach."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """``ours`` beside ``limit`` (the same work on the same stand with nothing of ours) or ``peer`` (another's way).

    What must be reached is ``at_least`` or ``at_most``: of the ratio of ours to the other, or of ``ours`` itself where
    there is no other. ``note`` says what the remaining cost is.
    """

    what: str
    unit: str
    ours: float
    limit: float | None = None
    peer: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"{self.what}: either at_least or at_most")
        if self.limit is not None and self.peer is not None:
            raise ValueError(f"{self.what}: a figure each for limit and peer")

    @property
    def ratio(self) -> float | None:
        """Ours to the other."""
        other = self.limit if self.limit is not None else self.peer
        return None if other is None else self.ours / other

    @property
    def need(self) -> str:
        """What must be reached, such as ``>= 0.8`` of the ratio, or ``<= 1 ms``."""
        sign, bound = ("<=", self.at_most) if self.at_least is None else (">=", self.at_least)
        return f"{sign} {bound:g}" + (f" {self.unit}" if self.ratio is None else "")

    @property
    def margin(self) -> float:
        """How far above what must be reached, whichever way is better: 2 is twice as good, 0.5 half as good."""
        reached = self.ours if self.ratio is None else self.ratio
        if self.at_least is not None:
            return reached / self.at_least
        assert self.at_most is not None  # by __post_init__
        return self.at_most / reached if reached else float("inf")

    @property
    def ok(self) -> bool:
        return self.margin >= 1

    def as_json(self) -> dict[str, object]:
        """As it stands in the results. Absolute figures depend on the machine: the ratio is what counts."""
        return {
            "what": self.what,
            "unit": self.unit,
            "ours": _rounded(self.ours),
            "limit": _rounded(self.limit),
            "peer": _rounded(self.peer),
            "ratio": _rounded(self.ratio),
            "need": self.need,
            "ok": self.ok,
            "margin": _rounded(self.margin),
            "note": self.note,
        }


def growth(what: str, sizes: Sequence[int], costs_us: Sequence[float]) -> list[Figure]:
    """What one of a backlog costs: beside the least that one of any smaller backlog costs, so that no step is left out."""
    return [
        Figure(
            what=f"{what}, {size // sizes[0]} times the backlog",
            unit="us",
            ours=costs_us[place],
            limit=min(costs_us[:place]),
            at_most=1.3,
            note=f"With the first backlog, of {sizes[0]:,}, it is {costs_us[0]:.1f} us: a beginning costs, too.",
        )
        for place, size in enumerate(sizes)
        if place
    ]


def _rounded(number: float | None) -> float | None:
    """Four significant digits: no measurement here is better than that."""
    return None if number is None else float(f"{number:.4g}")
