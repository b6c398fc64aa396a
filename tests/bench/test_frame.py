"""What the benchmarks are told by: figures, rounds, the merged results and their picture."""

from xml.etree import ElementTree as ET

import pytest

from bench.chart import chart
from bench.figure import Figure, growth
from bench.results import merged
from bench.rounds import in_turn, interleaved, percentile


def test_a_figure_is_held_against_its_limit_or_its_peer_whichever_way_is_better() -> None:
    fast = Figure(what="fast", unit="events/s", ours=85, limit=100, at_least=0.8)
    slow = Figure(what="slow", unit="events/s", ours=75, limit=100, at_least=0.8)
    soon = Figure(what="soon", unit="ms", ours=5, peer=2, at_most=2.5)
    late = Figure(what="late", unit="ms", ours=6, peer=2, at_most=2.5)

    assert [figure.ratio for figure in (fast, slow, soon, late)] == [0.85, 0.75, 2.5, 3]
    assert [figure.ok for figure in (fast, slow, soon, late)] == [True, False, True, False]
    assert (fast.need, soon.need) == (">= 0.8", "<= 2.5")
    assert late.margin == pytest.approx(2.5 / 3)


def test_a_figure_without_another_is_held_against_what_it_must_reach_itself() -> None:
    figure = Figure(what="a check", unit="ms", ours=0.5, at_most=1)

    assert figure.ratio is None
    assert figure.need == "<= 1 ms"
    assert figure.margin == 2
    assert figure.ok


@pytest.mark.parametrize(
    "wrong", [{}, {"at_least": 1, "at_most": 1}, {"limit": 1, "peer": 1, "at_least": 1}], ids=["none", "both", "two"]
)
def test_a_figure_that_says_too_much_or_too_little_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="odd"):
        Figure(what="odd", unit="s", ours=1, **wrong)


async def test_measures_take_turns_and_none_is_always_first() -> None:
    order: list[str] = []

    def measure(name: str, values: list[float]):
        async def one() -> float:
            order.append(name)
            return values.pop(0)

        return one

    found = await interleaved(3, {"ours": measure("ours", [1, 9, 2]), "limit": measure("limit", [5, 4, 6])})

    assert found == {"ours": 2, "limit": 5}
    assert order == ["ours", "limit", "limit", "ours", "ours", "limit"]


async def test_what_the_rounds_gave_is_kept_in_their_order() -> None:
    values = iter(range(4))

    async def one() -> int:
        return next(values)

    assert await in_turn(4, {"ours": one}) == {"ours": [0, 1, 2, 3]}


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([float(n) for n in range(1, 101)], 50) == 51
    assert percentile([float(n) for n in range(1, 101)], 99) == 100
    assert percentile([7.0], 99) == 7


def test_a_run_of_one_benchmark_leaves_the_others_figures() -> None:
    figure = Figure(what="what", unit="s", ours=1, limit=3, at_most=1)
    before = {"machine": {"cores": 1}, "relay": ["kept"], "inbox": ["replaced"]}

    after = merged(before, "inbox", [figure], {"cores": 2}, ("relay", "latency", "inbox"))

    assert list(after) == ["machine", "relay", "inbox"]
    assert after["machine"] == {"cores": 2}
    assert after["relay"] == ["kept"]
    assert after["inbox"] == [figure.as_json()]
    assert figure.as_json()["ratio"] == 0.3333


def test_the_chart_shows_each_figure_and_which_side_of_what_it_must_reach_it_is() -> None:
    good = Figure(what="good <b>", unit="events/s", ours=2, limit=1, at_least=0.5)
    short = Figure(what="short", unit="ms", ours=1000, at_most=1)

    drawn = ET.fromstring(chart({"machine": {}, "relay": [good.as_json(), short.as_json()]}))

    bars = list(drawn.iter("{http://www.w3.org/2000/svg}rect"))
    assert [bar.get("class") for bar in bars] == ["ok", "short"]
    need = next(line for line in drawn.iter("{http://www.w3.org/2000/svg}line") if line.get("class") == "need")
    assert float(bars[0].get("x")) == float(need.get("x1"))
    assert float(bars[1].get("x")) + float(bars[1].get("width")) == pytest.approx(float(need.get("x1")), abs=0.2)
    assert any("good <b>" in (words.text or "") for words in drawn.iter("{http://www.w3.org/2000/svg}text"))


def test_growth_is_noticed_at_any_step_however_dear_the_beginning_is() -> None:
    tenfold, hundredfold = growth("cost", [10, 100, 1000], [65.0, 10.0, 14.0])

    assert tenfold.ok
    assert (hundredfold.limit, hundredfold.ok) == (10.0, False)
