"""Who asks whom, on floors."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from docs.plan.layers import Corridor, arranged, floors, reduced

NAMES = "abcdefgh"


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, set[str]]:
    """Each may ask those before it in the alphabet."""
    return {name: draw(st.sets(st.sampled_from(NAMES[:n]))) if n else set() for n, name in enumerate(NAMES)}


def reached(graph: dict[str, set[str]], node: str) -> set[str]:
    return graph[node].union(*(reached(graph, asked) for asked in graph[node]))


@given(graphs())
def test_what_is_left_out_is_reached_by_another_way(graph: dict[str, set[str]]) -> None:
    less = reduced(graph)
    for node, asked in less.items():
        assert asked <= graph[node]
        assert reached(less, node) == reached(graph, node)
        assert not any(one in reached(less, other) for one in asked for other in asked)


@given(graphs())
def test_whoever_asks_stands_above(graph: dict[str, set[str]]) -> None:
    floor = floors(graph, ground="a")
    assert floor["a"] == 0
    assert all(floor[node] > floor[asked] for node in graph for asked in graph[node])
    assert {node for node in graph if floor[node] < 1} == {"a"}


@settings(max_examples=10)
@given(graphs())
def test_an_arrow_goes_down_one_floor_at_a_time(graph: dict[str, set[str]]) -> None:
    less = reduced(graph)
    rows, steps = arranged(less, floors(less))
    level = {node: number for number, row in enumerate(rows) for node in row}
    assert {node for node in level if not isinstance(node, Corridor)} == set(graph)
    assert all(level[asked] == level[asker] + 1 for asker, asked in steps)


def test_arrows_that_need_not_cross_do_not() -> None:
    graph = {"a": {"z"}, "b": {"y"}, "c": {"x"}, "x": set(), "y": set(), "z": set()}
    rows, _ = arranged(graph, floors(graph))
    assert [next(iter(graph[node])) for node in rows[0]] == rows[1]


def test_equal_graphs_are_arranged_alike() -> None:
    graph = {"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set(), "e": {"d"}}
    backwards = {node: graph[node] for node in reversed(graph)}
    assert arranged(graph, floors(graph)) == arranged(backwards, floors(backwards))
