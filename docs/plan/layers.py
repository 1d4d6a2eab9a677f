"""A graph of who asks whom on floors: whoever asks stands above whom it asks, and few arrows cross."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import pairwise, product
from math import fsum
from random import Random

Graph = Mapping[str, set[str]]
"""For each node those that it asks. No node may ask itself, by no way around."""

Links = Mapping[str, Sequence[str]]
"""For each node those on the floors beside its own that an arrow joins it with."""

_ASIDE = 2.0
"""So many crossings an arrow is worth that goes from one end of a floor to the other."""
_TRIES = 60


class Corridor(str):
    """The place on a floor through which an arrow passes that ends further down."""

    __slots__ = ()


def reduced(graph: Graph) -> dict[str, set[str]]:
    """The graph without every arrow that another way makes superfluous."""
    below: dict[str, set[str]] = {}
    for node in TopologicalSorter(graph).static_order():
        below[node] = set().union(*({asked} | below[asked] for asked in graph[node]))
    return {
        node: {one for one in asked if not any(one in below[o] for o in asked)}
        for node, asked in graph.items()
    }


def floors(graph: Graph, ground: Sequence[str] = ()) -> dict[str, int]:
    """The floor of each node: as low as it goes, but beside those who ask it where most of its arrows come from there.

    ``ground`` is the lowest floor, which nobody else is on.
    """
    order = list(TopologicalSorter(graph).static_order())
    floor: dict[str, int] = {}
    for node in order:
        lowest = 0 if node in ground or not ground else 1
        floor[node] = max((floor[asked] + 1 for asked in graph[node]), default=lowest)
        floor[node] = max(floor[node], lowest)
    for node in reversed(order):
        askers = [other for other in order if node in graph[other]]
        if node not in ground and askers and len(askers) >= len(graph[node]):
            floor[node] = min(floor[asker] for asker in askers) - 1
    return floor


def arranged(graph: Graph, floor: Mapping[str, int]) -> tuple[list[list[str]], list[tuple[str, str]]]:
    """The floors from the highest down, each from left to right, and every arrow from one floor to the next."""
    rows: list[list[str]] = [[] for _ in range(max(floor.values()) + 1)]
    for node in sorted(graph):
        rows[floor[node]].append(node)
    steps: list[tuple[str, str]] = []
    for asker in sorted(graph):
        for asked in sorted(graph[asker]):
            passed = range(floor[asker] - 1, floor[asked], -1)
            way = [asker, *(Corridor(f"{asker} {asked} {level}") for level in passed), asked]
            for level, corridor in zip(passed, way[1:-1], strict=True):
                rows[level].append(corridor)
            steps += pairwise(way)
    rows.reverse()
    links: dict[str, list[str]] = {}
    for asker, asked in steps:
        links.setdefault(asker, []).append(asked)
        links.setdefault(asked, []).append(asker)
    tries = [_settled(rows, links, Random(number)) for number in range(_TRIES)]
    return min(tries, key=lambda one: fsum(_cost(one, level, links) for level in range(len(one)))), steps


def _settled(rows: Sequence[Sequence[str]], links: Links, dice: Random) -> list[list[str]]:
    """The floors in an order in which no single room, set elsewhere on its floor, makes it better."""
    now = [dice.sample(row, len(row)) for row in rows]
    best, moved = -1.0, True
    while moved:
        moved = False
        for level, row in enumerate(now):
            best = _cost(now, level, links)
            for node, to in product(tuple(row), range(len(row))):
                was = row.index(node)
                row.insert(to, row.pop(was))
                cost = _cost(now, level, links)
                if cost < best - 1e-9:
                    best, moved = cost, True
                else:
                    row.insert(was, row.pop(to))
    return now


def _cost(rows: Sequence[Sequence[str]], level: int, links: Links) -> float:
    """Of a floor: crossings with those above and below, and how far its arrows go aside.

    Added up exactly: how ``sum`` rounds depends on the version of Python, and the picture is to be the same.
    """
    cost = 0.0
    for beside in (level - 1, level + 1):
        there = _places(rows[beside]) if 0 <= beside < len(rows) else {}
        ends = [
            (here, there[other])
            for node, here in _places(rows[level]).items()
            for other in links.get(node, ())
            if other in there
        ]
        cost += fsum(_ASIDE * abs(here - across) for here, across in ends)
        cost += sum(a < c and b > d for a, b in ends for c, d in ends)
    return cost


def _places(row: Sequence[str]) -> dict[str, float]:
    """Where the middle of each stands, from 0 to 1: a corridor is a fifth as broad as a room."""
    broad = [0.2 if isinstance(node, Corridor) else 1.0 for node in row]
    return {node: (fsum(broad[:n]) + broad[n] / 2) / fsum(broad) for n, node in enumerate(row)}
