"""Peaks of activations against an exhaustive search, and against published networks' arenas."""

import itertools
import random

import pytest

from edanas.core.operator_graph import Footprint, Operator, OperatorGraph, Work, in_sequence


def random_graph(generator: random.Random, operators: int) -> OperatorGraph:
    """Return a graph whose operators each read one or two earlier tensors."""
    sizes = tuple(generator.randrange(1, 100) for _ in range(operators + 1))
    steps = []
    for index in range(operators):
        reads = tuple(generator.sample(range(index + 1), min(index + 1, generator.choice((1, 1, 2)))))
        steps.append(Operator(f"operator {index}", reads, index + 1))
    return OperatorGraph(sizes, tuple(steps), 0, operators)


def peak_of(graph: OperatorGraph, order: tuple[int, ...], *, keeps_source: bool) -> int | None:
    """Return the peak of one order, by the definition; `None` if an operator comes before its inputs."""
    present, peak = {graph.source}, 0
    for position, index in enumerate(order):
        operator = graph.operators[index]
        if not present.issuperset(operator.reads):
            return None
        present.add(operator.writes)
        peak = max(peak, sum(graph.sizes[tensor] for tensor in present))
        later = {tensor for at in order[position + 1 :] for tensor in graph.operators[at].reads}
        present &= later | {graph.result} | ({graph.source} if keeps_source else set())
    return peak


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("keeps_source", [False, True])
def test_the_best_order_has_the_peak_of_an_exhaustive_search(seed, keeps_source):
    graph = random_graph(random.Random(seed), 6)
    orders = itertools.permutations(range(6))
    peaks = [peak for order in orders if (peak := peak_of(graph, order, keeps_source=keeps_source))]
    assert graph.peak(keeps_source=keeps_source)[0] == min(peaks)
    assert peak_of(graph, graph.best_order(keeps_source=keeps_source), keeps_source=keeps_source) == min(
        peaks
    )


def test_the_peak_names_the_operator():
    steps = (Operator("small", (0,), 1), Operator("large", (1,), 2), Operator("end", (2,), 3))
    assert OperatorGraph((10, 20, 300, 4), steps, 0, 3).peak() == (320, "large")


def test_a_segment_without_operators_holds_its_input():
    assert OperatorGraph((64,), (), 0, 0).footprint() == Footprint(64, 64, 64, 0)


def test_a_graph_with_too_many_parallel_branches_is_counted_in_its_own_order():
    branches = tuple(Operator("branch", (0,), index + 1) for index in range(20))
    join = Operator("join", tuple(range(1, 21)), 21)
    graph = OperatorGraph((1,) * 22, (*branches, join), 0, 21)
    assert graph.best_order() == tuple(range(21))
    assert graph.peak()[0] == 21


def test_footprints_in_sequence_equal_the_footprint_of_the_joined_graph():
    sizes = (50, 80, 30, 90, 10)
    steps = tuple(
        Operator(f"operator {index}", (index,), index + 1, 7, Work(linear=index)) for index in range(4)
    )
    whole = OperatorGraph(sizes, steps, 0, 4).footprint()
    parts = [
        OperatorGraph(sizes, steps[index : index + 1], index, index + 1).footprint() for index in range(4)
    ]
    assert in_sequence(parts) == whole
    assert whole.ram == 130
    assert whole.held == 170
    assert whole.largest == "operator 0"
