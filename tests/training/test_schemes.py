import math
from dataclasses import replace

import pytest
import torch

from edanas.core.contracts import ConfidenceCriterion, ExitBatch, Phase
from edanas.core.errors import ConfigError
from edanas.exits.criteria import ScoreMargin
from edanas.testing import check_scheme
from edanas.training.phased_schemes import Distill, Layerwise
from edanas.training.schemes import Joint, JointCombined, Mixed


def log_softmax(row):
    largest = max(row)
    log_sum = largest + math.log(sum(math.exp(value - largest) for value in row))
    return [value - log_sum for value in row]


def cross_entropy_by_hand(logits, targets):
    """Mean over samples of -sum p log q; logits and targets as nested lists."""
    losses = [
        -sum(p * q for p, q in zip(target, log_softmax(row), strict=True))
        for row, target in zip(logits, targets, strict=True)
    ]
    return sum(losses) / len(losses)


def one_hot(labels, classes, smoothing=0.0):
    return [
        [(1 - smoothing) * (k == label) + smoothing / classes for k in range(classes)] for label in labels
    ]


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(5, 4, generator=generator, dtype=torch.float64) * 3 for _ in range(3)]


LABELS = [0, 3, 1, 1, 2]


def batch(logits, targets=None, smoothing=0.0, phase=None, points=None, learned=None):
    """A batch of a network, by default with an exit at every point."""
    return ExitBatch(
        logits,
        torch.tensor(LABELS) if targets is None else targets,
        phase or Phase.whole(len(logits)),
        points or tuple(range(len(logits))),
        ScoreMargin(),
        smoothing,
        learned or torch.nn.Module(),
    )


@pytest.mark.parametrize(("early", "last"), [(1.0, 1.0), (0.3, 2.5), (0.0, 1.0), (1.0, 0.0)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("exits", [1, 2, 3])
def test_the_loss_is_equation_4(logits, early, last, smoothing, exits):
    loss = Joint(early, last).loss(batch(logits[:exits], smoothing=smoothing))
    targets = one_hot(LABELS, 4, smoothing)
    weights = [*[early] * (exits - 1), last]
    expected = sum(
        w * cross_entropy_by_hand(each.tolist(), targets)
        for w, each in zip(weights, logits[:exits], strict=True)
    )
    assert loss.shape == ()
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_a_teacher_s_probabilities_are_targets_too(logits):
    teacher = torch.randn(5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64).softmax(1)
    expected = sum(cross_entropy_by_hand(each.tolist(), teacher.tolist()) for each in logits)
    assert float(Joint().loss(batch(logits, teacher))) == pytest.approx(expected, rel=1e-12)


def test_each_exit_s_gradient_has_its_weight(logits):
    for each in logits:
        each.requires_grad_()
    Joint(2.0, 0.5).loss(batch(logits)).backward()
    for weight, each in zip((2.0, 2.0, 0.5), logits, strict=True):
        expected = weight * (each.detach().softmax(1) - torch.tensor(one_hot(LABELS, 4))) / 5
        assert torch.allclose(each.grad, expected)


@pytest.mark.parametrize(("early", "last"), [(1.0, -0.1), (-1.0, 1.0), (0.0, 0.0), (float("nan"), 1.0)])
def test_weights_that_are_no_weights(early, last):
    with pytest.raises(ConfigError, match=r"scheme\.(early|last): found .*; allowed: "):
        Joint(early, last)


def each_loss(logits, smoothing=0.0):
    return [cross_entropy_by_hand(each.tolist(), one_hot(LABELS, 4, smoothing)) for each in logits]


def test_weights_set_by_exit_point_follow_the_exits_that_a_network_has(logits):
    scheme = Joint(weights=(0.5, 7.0, 2.0, 0.25))
    losses = each_loss(logits)
    loss = scheme.loss(batch(logits, points=(0, 2, 3)))
    assert float(loss) == pytest.approx(0.5 * losses[0] + 2 * losses[1] + 0.25 * losses[2], rel=1e-12)
    alone = scheme.loss(batch(logits[2:], phase=Phase.backbone(3), points=(0, 2, 3)))
    assert float(alone) == pytest.approx(0.25 * losses[2], rel=1e-12)


def test_learned_weights_are_those_of_kendall_et_al(logits):
    """The sum of exp(-s) L + s / 2; at the best s of each, exp(s) = 2 L."""
    scheme, losses = Joint(weights="learned"), each_loss(logits)
    learned = scheme.learned((0, 1, 2)).double()
    loss = scheme.loss(batch(logits, learned=learned))
    assert float(loss.detach()) == pytest.approx(sum(losses), rel=1e-12)
    (values,) = learned.parameters()
    values.data.copy_(torch.tensor([2 * each for each in losses], dtype=torch.float64).log())
    loss = scheme.loss(batch(logits, learned=learned))
    assert float(loss.detach()) == pytest.approx(
        sum(0.5 + math.log(2 * each) / 2 for each in losses), rel=1e-12
    )
    loss.backward()
    assert torch.allclose(values.grad, torch.zeros(3).double(), atol=1e-12)


def mixture(logits, shares, smoothing=0.0):
    """Cross-entropy of a mixture of the exits' probabilities; shares (E, B)."""
    probabilities = torch.stack([each.softmax(1) for each in logits])
    combined = (torch.as_tensor(shares, dtype=torch.float64)[:, :, None] * probabilities).sum(0)
    targets = torch.tensor(one_hot(LABELS, 4, smoothing), dtype=torch.float64)
    return float(-(targets * combined.log()).sum(1).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_combined_loss_is_that_of_the_mean_of_probabilities(logits, smoothing):
    loss = JointCombined().loss(batch(logits, smoothing=smoothing))
    assert float(loss) == pytest.approx(mixture(logits, [[1 / 3] * 5] * 3, smoothing), rel=1e-9)


def test_learned_shares_are_equal_at_first_and_a_softmax_then(logits):
    scheme = JointCombined("learned")
    learned = scheme.learned((0, 1, 2)).double()
    equal = scheme.loss(batch(logits, learned=learned))
    assert float(equal.detach()) == pytest.approx(mixture(logits, [[1 / 3] * 5] * 3), rel=1e-9)
    (values,) = learned.parameters()
    values.data.copy_(torch.tensor([0.0, 1.0, -1.0]))
    total = 1 + math.e + 1 / math.e
    shares = [[each / total] * 5 for each in (1, math.e, 1 / math.e)]
    loss = scheme.loss(batch(logits, learned=learned))
    assert float(loss.detach()) == pytest.approx(mixture(logits, shares), rel=1e-9)


def test_the_soft_conditional_form_is_equation_2_from_the_last_exit_to_the_first(logits):
    combined = logits[2].softmax(1)
    for each in logits[1::-1]:
        sure = ScoreMargin()(each)[:, None]
        combined = sure * each.softmax(1) + (1 - sure) * combined
    expected = -combined[range(5), LABELS].log().mean()
    loss = JointCombined("soft-conditional").loss(batch(logits))
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)


def test_with_confidences_of_0_and_1_the_soft_form_is_early_exiting(logits):
    """Each sample has the loss of the first confident exit, as in inference."""
    confidences = torch.tensor([[1, 0, 0, 1, 0], [1, 1, 0, 0, 0]], dtype=torch.float64)

    class Decided(ConfidenceCriterion):
        def __call__(self, answer):
            index = next(i for i, each in enumerate(logits) if each is answer)
            return confidences[index] if index < 2 else torch.zeros(5).double()

    exits = [0, 1, 2, 0, 2]
    exit_logits = torch.stack([logits[at][sample] for sample, at in enumerate(exits)])
    expected = cross_entropy_by_hand(exit_logits.tolist(), one_hot(LABELS, 4))
    decided = replace(batch(logits), criterion=Decided())
    assert float(JointCombined("soft-conditional").loss(decided)) == pytest.approx(expected, abs=1e-8)


def test_gradients_of_the_soft_form_flow_through_confidences_too(logits):
    for each in logits:
        each.requires_grad_()
    JointCombined("soft-conditional").loss(batch(logits)).backward()
    with_gates = logits[0].grad.clone()
    shares = [ScoreMargin()(each).detach() for each in logits]
    first = logits[0].detach().clone().requires_grad_()
    probabilities = [first.softmax(1), *(each.detach().softmax(1) for each in logits[1:])]
    rest = shares[1][:, None] * probabilities[1] + (1 - shares[1][:, None]) * probabilities[2]
    combined = shares[0][:, None] * probabilities[0] + (1 - shares[0][:, None]) * rest
    (-combined[range(5), LABELS].log().mean()).backward()
    assert not torch.allclose(with_gates, first.grad, atol=1e-3)


def test_own_losses_beside_the_combined_one(logits):
    plain, own = JointCombined().loss(batch(logits)), sum(each_loss(logits)) / 3
    mixed_loss = JointCombined(own=0.25).loss(batch(logits))
    assert float(mixed_loss) == pytest.approx(0.75 * float(plain) + 0.25 * own, rel=1e-9)


def test_layer_by_layer_each_exit_has_its_own_loss_and_phase(logits):
    scheme = Layerwise()
    phases = scheme.phases((0, 2, 3))
    assert [(p.exits, p.segments, p.heads, p.share) for p in phases] == [
        ((n,), (n,), (n,), 1) for n in range(3)
    ]
    loss = scheme.loss(batch(logits[1:2], phase=phases[1], points=(0, 2, 3)))
    assert float(loss) == pytest.approx(each_loss(logits)[1], rel=1e-12)


def distilled(logits, **options):
    scheme = Distill(**options)
    return float(scheme.loss(batch(logits, phase=scheme.phases((0, 1, 2))[-1])))


def kl(teacher, student):
    """KL(teacher || student), a mean over samples, of probabilities."""
    return float((teacher * (teacher / student).log()).sum(1).mean())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("mix", [0.0, 0.3, 1.0])
def test_exits_learn_from_the_last_at_a_temperature(logits, temperature, mix):
    *early, last = (each / temperature for each in logits)
    divergence = sum(kl(last.softmax(1), each.softmax(1)) for each in early)
    expected = (1 - mix) * sum(each_loss(logits)[:2]) + mix * temperature**2 * divergence
    assert distilled(logits, temperature=temperature, mix=mix) == pytest.approx(expected, rel=1e-9)


def test_a_hot_teacher_s_loss_tends_to_half_the_squared_distance_of_logits(logits):
    """Hinton et al., 2015, Section 2.1: for centred logits and T to infinity it is |z - v|^2 / 2K."""
    centred = [each - each.mean(1, keepdim=True) for each in logits]
    expected = sum(float((each - centred[2]).square().sum(1).mean()) / 8 for each in centred[:2])
    assert distilled(centred, temperature=1e4, mix=1.0) == pytest.approx(expected, rel=1e-3)


def test_the_last_exit_learns_from_labels_alone_and_first(logits):
    for each in logits:
        each.requires_grad_()
    scheme = Distill(backbone=0.25)
    first, second = scheme.phases((0, 1, 2))
    assert (first.share, second.share) == (0.25, 0.75)
    assert (first.exits, first.segments, first.heads) == ((2,), (0, 1, 2), (2,))
    assert (second.exits, second.segments, second.heads) == ((0, 1, 2), (), (0, 1))
    loss = scheme.loss(batch(logits[2:], phase=first, points=(0, 1, 2)))
    assert float(loss.detach()) == pytest.approx(each_loss(logits)[2], rel=1e-12)
    scheme.loss(batch(logits, phase=second)).backward()
    assert logits[2].grad is None or not logits[2].grad.any()


def test_mixed_is_the_backbone_and_then_joint(logits):
    scheme = Mixed(0.25, early=0.5, last=2.0, rescale=True)
    first, second = scheme.phases((0, 1, 2))
    assert first == Phase.backbone(3, 0.25)
    assert second == Phase.whole(3, 0.75, rescale=True)
    alone = scheme.loss(batch(logits[2:], phase=first, points=(0, 1, 2)))
    assert float(alone) == pytest.approx(2 * each_loss(logits)[2], rel=1e-12)
    assert torch.equal(scheme.loss(batch(logits, phase=second)), Joint(0.5, 2.0).loss(batch(logits)))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Joint(weights=(1.0, -2.0)), r"scheme\.weights\[2\]: found -2\.0; allowed: a number >= 0"),
        (
            lambda: Joint(weights=(0.0, 0.0)),
            r"scheme\.weights: found \[0\.0, 0\.0\]; allowed: .* a number above 0",
        ),
        (lambda: Joint(weights="learnt"), r"scheme\.weights: found 'learnt'\. Did you mean 'learned'\?"),
        (lambda: Joint(weights=(1.0, 1.0)).phases((0, 2)), r"found 2 weights; allowed: 3, .* 2 exit points"),
        (lambda: Mixed(weights=(1.0, 1.0)).phases((0, 2)), r"found 2 weights; allowed: 3"),
        (lambda: Mixed(backbone=1.0), r"scheme\.backbone: found 1\.0; allowed: a number > 0 and < 1"),
        (lambda: Distill(temperature=-1.0), r"scheme\.temperature: found -1\.0; allowed: a number > 0"),
        (lambda: Distill(mix=1.5), r"scheme\.mix: found 1\.5; allowed: a number >= 0 and <= 1"),
        (lambda: Distill(backbone=0.0), r"scheme\.backbone: found 0\.0"),
        (
            lambda: JointCombined("median"),
            r"scheme\.combine: found 'median'\..* Allowed: learned, mean, soft-",
        ),
        (lambda: JointCombined(own=1.0), r"scheme\.own: found 1\.0; allowed: a number >= 0 and < 1"),
    ],
)
def test_a_wrong_option_is_one_clear_error(make, text):
    with pytest.raises(ConfigError, match=text):
        make()


@pytest.mark.parametrize(
    "scheme",
    [
        Joint(weights="learned"),
        Joint(rescale=True),
        JointCombined("learned", own=0.3),
        JointCombined("soft-conditional"),
        Distill(temperature=1.0, mix=0.9, backbone=0.2),
        Mixed(weights="learned", rescale=True),
    ],
    ids=lambda scheme: type(scheme).__name__,
)
def test_every_form_conforms(scheme):
    check_scheme(scheme, exits=(1, 3))


def test_weights_that_are_set_conform_for_their_number_of_exits():
    check_scheme(Joint(weights=(0.5, 1.0, 2.0, 0.1)), exits=(4,))
