"""The search space against enumeration by hand, on random conditional spaces and on one like OFA's."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from edanas.core.errors import CandidateError, ConfigError, EdanasError, PluginError
from edanas.core.space import SearchSpace
from edanas.core.types import CONTINUOUS, Backbone, Candidate, SelectionScheme, Variable

FEW = settings(max_examples=30, derandomize=True)


def once_for_all() -> SearchSpace:
    """Five stages of up to four layers, a resolution, and four exit points."""
    variables = [Variable("resolution", (16, 20, 24))]
    for stage in range(1, 6):
        variables.append(Variable(f"stage{stage}.depth", (2, 3, 4)))
        for layer in range(1, 5):
            parent = f"stage{stage}.depth" if layer > 2 else None
            when = frozenset(range(layer, 5)) if layer > 2 else frozenset()
            variables.append(Variable(f"stage{stage}.layer{layer}.kernel", (3, 5, 7), parent, when))
            variables.append(Variable(f"stage{stage}.layer{layer}.expand", (3, 4, 6), parent, when))
    return SearchSpace(tuple(variables), (0.1, 0.2, None), 4)


@st.composite
def small_spaces(draw: st.DrawFn) -> SearchSpace:
    """Draw up to four variables, each of which may depend on an earlier one, and up to two exit points.

    Networks may end at exit points in half of the spaces.
    """
    exit_points, cut = draw(st.integers(0, 2)), draw(st.booleans())
    variables: list[Variable] = []
    for i in range(draw(st.integers(1, 4))):
        choices = tuple(10 * i + c for c in range(draw(st.integers(1, 3))))
        parent, when = None, frozenset()
        if variables and draw(st.booleans()):
            above = draw(st.sampled_from(variables))
            parent, when = above.name, draw(st.frozensets(st.sampled_from(above.choices), min_size=1))
        stage = draw(st.none() | st.integers(1, exit_points + 1))
        variables.append(Variable(f"v{i}", choices, parent, when, stage))
    thresholds = draw(st.sampled_from([(None,), (0.5, None), (None, 0.0, 1.0)]))
    return SearchSpace(tuple(variables), thresholds, exit_points, cut=cut)


def all_genomes(space: SearchSpace) -> np.ndarray:
    """Every vector of genes, canonical or not."""
    return np.array(list(itertools.product(*(range(n) for n in space.counts))), dtype=np.int64)


def expressed_by_hand(space: SearchSpace, genome: np.ndarray) -> list[bool]:
    """Return, for each variable, if it is expressed, from its parent's value and the number of stages."""
    names = [v.name for v in space.variables]
    stages = space.variables[0].choices[genome[0]] if names[0] == "stages" else np.inf
    result: list[bool] = []
    for variable in space.variables:
        reached = (variable.stage or 1) <= stages
        if variable.parent is None:
            result.append(reached)
            continue
        at = names.index(variable.parent)
        chosen = space.variables[at].choices[genome[at]] in variable.when
        result.append(bool(reached and result[at] and chosen))
    return result


@FEW
@given(small_spaces())
def test_expressed_and_canonical_agree_with_a_check_of_each_parent(space: SearchSpace) -> None:
    genomes = all_genomes(space)
    by_hand = np.array([expressed_by_hand(space, genome) for genome in genomes])
    assert (space.expressed(genomes) == by_hand).all()
    assert (space.canonical(genomes) == genomes * by_hand).all()
    assert (space.canonical(space.canonical(genomes)) == space.canonical(genomes)).all()


@FEW
@given(small_spaces())
def test_size_and_genomes_agree_with_enumeration(space: SearchSpace) -> None:
    canonical = np.unique(space.canonical(all_genomes(space)), axis=0)
    walked = np.array(list(space.genomes()))
    assert space.size() == len(canonical)
    assert (walked == canonical).all()


@FEW
@given(small_spaces())
def test_candidates_are_equal_exactly_if_their_canonical_genomes_are(space: SearchSpace) -> None:
    genomes = all_genomes(space)
    by_genome = {space.canonical(genome).tobytes(): space.decode(genome) for genome in genomes}
    assert len(set(by_genome.values())) == len(by_genome) == len({c.id for c in by_genome.values()})
    for genome in genomes:
        candidate = space.decode(genome)
        assert candidate == by_genome[space.canonical(genome).tobytes()]
        assert (space.encode(candidate) == space.canonical(genome)).all()


@FEW
@given(small_spaces())
def test_neighbours_agree_with_every_change_of_every_gene(space: SearchSpace) -> None:
    for genome in list(space.genomes())[:40]:
        expected = set()
        for i in np.flatnonzero(space.expressed(genome)):
            for choice in range(space.counts[i]):
                moved = genome.copy()
                moved[i] = choice
                expected.add(space.canonical(moved).tobytes())
        expected.discard(genome.tobytes())
        neighbours = space.neighbours(genome)
        assert neighbours.shape == (len(expected), space.dimensions)
        assert {row.tobytes() for row in neighbours} == expected


@settings(max_examples=20, derandomize=True)
@given(st.integers(0, 2**32))
def test_once_for_all_round_trips(seed: int) -> None:
    space = once_for_all()
    genomes = space.sample(np.random.default_rng(seed), 20)
    assert (space.canonical(genomes) == genomes).all()
    for genome in genomes:
        candidate = space.decode(genome)
        assert (space.encode(candidate) == genome).all()
        assert candidate.backbone == space.backbone(genome)
        depths = [candidate.backbone[f"stage{s}.depth"] for s in range(1, 6)]
        kernels = [name for name in candidate.backbone if name.endswith("kernel")]
        assert len(kernels) == sum(depths)
        assert len(candidate.scheme.thresholds) == 4


def test_size_of_once_for_all_is_exact() -> None:
    # There are nine kinds of layer; the depth is the number of layers of a stage.
    assert once_for_all().size() == 3 * sum(9**depth for depth in (2, 3, 4)) ** 5 * 3**4


def test_a_child_of_an_unexpressed_variable_is_unexpressed() -> None:
    space = SearchSpace(
        (
            Variable("a", (1, 2)),
            Variable("b", (3, 4), "a", frozenset({2})),
            Variable("c", (5, 6), "b", frozenset({3})),
        ),
        (None,),
        0,
    )
    assert space.decode(np.array([0, 0, 1])).backbone == Backbone((("a", 1),))
    assert space.size() == 1 + 2 + 1
    assert space.smallest() == Backbone((("a", 1),))
    assert space.largest() == Backbone((("a", 2), ("b", 4)))


def test_sampling_is_uniform_over_every_expressed_gene() -> None:
    space = once_for_all()
    genomes = space.sample(np.random.default_rng(5), 3000)
    expressed = space.expressed(genomes)
    p_values = [
        chisquare(np.bincount(genomes[expressed[:, i], i], minlength=space.counts[i])).pvalue
        for i in range(space.dimensions)
    ]
    # Fifty tests at once: each must pass what one test in twenty thousand would fail.
    assert min(p_values) > 0.05 / space.dimensions / 20
    assert np.mean(p_values) > 0.35


def test_sampled_backbones_repeat_by_seed_and_differ_from_each_other() -> None:
    space = once_for_all()
    one, other = np.random.default_rng(1), np.random.default_rng(1)
    first = [space.sample_backbone(one).id for _ in range(10)]
    assert first == [space.sample_backbone(other).id for _ in range(10)]
    assert len(set(first)) == 10


def test_signatures_of_different_spaces_differ() -> None:
    def signature(**changes: object) -> str:
        fields = {"name": "b", "choices": (3, 4), "parent": "a", "when": frozenset({2})} | changes
        a = Variable("a", (1, 2))
        return SearchSpace((a, Variable(**fields)), (0.5, None), 2).signature()  # type: ignore[arg-type]

    signatures = [
        signature(),
        signature(name="c"),
        signature(choices=(3, 5)),
        signature(parent=None, when=frozenset()),
        signature(when=frozenset({1})),
        signature(when=frozenset({1, 2})),
    ]
    assert len(set(signatures)) == len(signatures)
    assert signature() == signature()
    assert all(len(s) == 12 and int(s, 16) >= 0 for s in signatures)


def _space() -> SearchSpace:
    return SearchSpace(
        (Variable("depth", (2, 3)), Variable("kernel", (3, 5), "depth", frozenset({3}))), (0.25, None), 2
    )


@pytest.mark.parametrize(
    ("choices", "thresholds", "parts"),
    [
        ({"depth": 2, "kernel": 3}, (None, None), ["kernel", "not expressed", "depth is 3"]),
        ({"depth": 3}, (None, None), ["kernel", "missing", "depth is 3"]),
        ({"depth": 4}, (None, None), ["depth", "found 4", "2, 3"]),
        ({"dept": 2}, (None, None), ["'dept'", "Did you mean 'depth'?"]),
        ({"exit1.threshold": 0.25}, (None, None), ["'exit1.threshold'", "depth, kernel"]),
        ({}, (None, None), ["depth", "missing"]),
        ({"depth": 2}, (None, 0.3), ["exit2.threshold", "found 0.3", "0.25, none"]),
        ({"depth": 2}, (None,), ["exit2.threshold", "found 1 exit points", "has 2"]),
        ({"depth": 2}, (None,) * 3, ["exit3.threshold", "found 3 exit points", "has 2"]),
    ],
)
def test_a_candidate_of_another_space_is_refused_by_name(choices, thresholds, parts) -> None:
    with pytest.raises(CandidateError) as error:
        _space().encode(Candidate(Backbone.of(choices), SelectionScheme(thresholds)))
    assert all(part in str(error.value) for part in parts), str(error.value)


def test_the_order_of_a_backbones_choices_does_not_matter() -> None:
    backbone = Backbone.of({"kernel": 5, "depth": 3})
    assert _space().encode(Candidate(backbone, SelectionScheme((None, 0.25)))).tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("genome", "parts"),
    [
        ([0, 2, 0, 0], ["kernel", "gene 2", "0 to 1"]),
        ([0, 0, 0, -1], ["exit2.threshold", "gene -1"]),
        ([0, 0, 0], ["(3,)", "4 integers"]),
        ([0.0, 0.5, 0.0, 0.0], ["float64", "4 integers"]),
    ],
)
def test_an_array_that_is_not_a_genome_is_refused(genome, parts) -> None:
    with pytest.raises(CandidateError) as error:
        _space().decode(np.array(genome))
    assert all(part in str(error.value) for part in parts), str(error.value)


A = Variable("a", (1, 2))


@pytest.mark.parametrize(
    ("variables", "thresholds", "kind", "parts"),
    [
        ((A, A), (None,), PluginError, ["'a'", "twice"]),
        ((Variable("exit1.threshold", (1,)),), (None,), PluginError, ["'exit1.threshold'", "twice"]),
        ((Variable("a", ()),), (None,), PluginError, ["'a'", "one or more"]),
        ((Variable("a", (1, 1.0)),), (None,), PluginError, ["'a'", "none twice"]),
        ((Variable("a", (1, None)),), (None,), PluginError, ["'a'", "finite numbers"]),
        ((Variable("a", (1, math.inf)),), (None,), PluginError, ["'a'", "finite numbers"]),
        ((Variable("a", (1,), None, frozenset({1})),), (None,), PluginError, ["'a'", "no parent"]),
        ((Variable("b", (1,), "a", frozenset({1})), A), (None,), PluginError, ["'b'", "'a' before it"]),
        ((A, Variable("b", (1,), "a", frozenset({3}))), (None,), PluginError, ["'b'", "a is 3", "1, 2"]),
        ((A, Variable("b", (1,), "a")), (None,), PluginError, ["'b'", "a is nothing"]),
        ((A,), (), ConfigError, ["thresholds", "empty list"]),
        ((A,), (0.1, 0.1), ConfigError, ["thresholds", "twice"]),
        ((A,), (1.5,), ConfigError, ["thresholds", "1.5", "0 to 1"]),
        ((A,), (math.nan,), ConfigError, ["thresholds", "nan", "0 to 1"]),
    ],
)
def test_an_inconsistent_space_is_refused(variables, thresholds, kind: type[EdanasError], parts) -> None:
    with pytest.raises(kind) as error:
        SearchSpace(variables, thresholds, 1)
    assert all(part in str(error.value) for part in parts), str(error.value)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_a_confined_space_holds_exactly_the_allowed_candidates(seed: int) -> None:
    rng = np.random.default_rng(seed)
    thresholds = (0.1, 0.4, None)
    whole = SearchSpace((A,), thresholds, 3)
    allowed = {(point, t): bool(rng.random() < 0.6) for point in range(3) for t in thresholds}
    if not all(any(allowed[point, t] for t in thresholds) for point in range(3)):
        return
    part = whole.confined(lambda point, threshold: allowed[point, threshold])
    expected_ids = {
        candidate.id
        for candidate in map(whole.decode, whole.genomes())
        if all(allowed[point, t] for point, t in enumerate(candidate.scheme.thresholds))
    }
    candidates = [part.decode(genome) for genome in part.genomes()]
    assert {candidate.id for candidate in candidates} == expected_ids
    assert part.size() == len(candidates) == len(expected_ids)
    assert all(candidate in whole for candidate in candidates)
    assert {c.id for c in map(whole.decode, whole.genomes()) if c in part} == expected_ids
    assert (part.signature() == whole.signature()) == (part.size() == whole.size())


def test_confining_a_space_to_nothing_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"found 0\.1, none; at exit point 2 the strategy needs a number"):
        SearchSpace((A,), (0.1, None), 2).confined(lambda point, _: point == 0)
    with pytest.raises(ConfigError, match=r'found 0\.1; at exit point 1 the strategy needs "none"'):
        SearchSpace((A,), (0.1,), 2).confined(lambda _, threshold: threshold is None)
    with pytest.raises(ConfigError, match="found 'continuous'"):
        SearchSpace((A,), CONTINUOUS, 2).confined(lambda *_: True)


def cut_space(thresholds: tuple[float | None, ...] = (0.5, None)) -> SearchSpace:
    """Three stages, of which the second and third have a kernel each, and networks that may end earlier."""
    kernels = [Variable(f"stage{n}.kernel", (3, 5), stage=n) for n in (2, 3)]
    return SearchSpace((Variable("width", (1, 2)), *kernels), thresholds, 2, cut=True)


def test_a_cut_network_has_neither_variables_nor_exits_behind_its_end() -> None:
    space = cut_space()
    # One, two or three stages: widths, kernels and exits of these stages alone.
    assert space.size() == 2 + 2 * 2 * 2 + 2 * 2 * 2 * 2 * 2
    shortest = space.decode(np.array([0, 1, 1, 1, 0, 0]))
    assert shortest == Candidate(Backbone.of({"stages": 1, "width": 2}), SelectionScheme((None, None)))
    middle = space.decode(np.array([1, 0, 1, 1, 0, 0]))
    assert dict(middle.backbone.choices) == {"stages": 2, "width": 1, "stage2.kernel": 5}
    assert middle.scheme.thresholds == (0.5, None)


def test_whole_networks_are_the_same_candidates_as_in_a_space_without_cut_networks() -> None:
    space = cut_space()
    plain = SearchSpace(space.variables[1:4], (0.5, None), 2)
    whole = {candidate.id for genome in plain.genomes() for candidate in [plain.decode(genome)]}
    assert whole == {space.whole().decode(genome).id for genome in space.whole().genomes()}
    assert whole < {space.decode(genome).id for genome in space.genomes()}
    assert space.whole().signature() == plain.signature() != space.signature()
    assert space.largest() == plain.largest()
    assert "stages" in space.smallest()


@pytest.mark.parametrize(
    ("choices", "thresholds", "message"),
    [
        ({"stages": 4}, (None, None), "stages: found 4; allowed: whole numbers from 1 to 3"),
        ({"stages": 1.5}, (None, None), "stages: found 1.5; allowed: whole numbers from 1 to 3"),
        ({"stages": 3}, (None, None), "stages: found 3; allowed: fewer stages, or no such choice"),
        ({"stages": 2, "stage3.kernel": 3}, (None, None), r"stage3.kernel: .*stages is 3 or more"),
        ({"stages": 2}, (0.5, 0.5), "exit2.threshold: found 0.5; allowed: none, .*ends after stage 2"),
        ({"stages": 1, "stage2.kernel": 3}, (None, None), r"stage2.kernel: .*stages is 2 or more"),
    ],
)
def test_a_choice_behind_the_end_is_named(choices: dict, thresholds: tuple, message: str) -> None:
    inner = {"stage2.kernel": 3} if choices["stages"] != 1 else {}
    backbone = Backbone.of({"width": 1, **inner, **choices})
    with pytest.raises(CandidateError, match=message):
        cut_space().encode(Candidate(backbone, SelectionScheme(thresholds)))


def test_networks_end_only_behind_the_exits_that_a_confined_space_needs() -> None:
    part = cut_space().confined(lambda point, threshold: (point == 0) == (threshold is not None))
    candidates = [part.decode(genome) for genome in part.genomes()]
    assert part.size() == len(candidates) == 2 * 2 + 2 * 2 * 2
    assert {candidate.scheme.thresholds for candidate in candidates} == {(0.5, None)}
    assert {dict(c.backbone.choices).get("stages", 3) for c in candidates} == {2, 3}
    single = cut_space().confined(lambda _, threshold: threshold is None)
    assert single.size() == 2 + 4 + 8


def test_the_name_of_the_choice_of_stages_is_reserved() -> None:
    with pytest.raises(PluginError, match="'stages': the name is reserved"):
        SearchSpace((Variable("stages", (1, 2)),), (0.5, None), 2)


def test_continuous_thresholds_need_no_choice_of_stages() -> None:
    variables = (Variable("width", (1, 2)),)
    space = SearchSpace(variables, CONTINUOUS, 2, cut=True)
    assert not space.cuts
    assert space.signature() == SearchSpace(variables, CONTINUOUS, 2).signature()
