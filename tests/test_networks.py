"""The networks: parameter counts of the sources, shapes at every side, and the modules that methods add to them."""

import pytest
import torch

from skdcore.models import MODELS, network
from skdcore.parts import Bottleneck, Pyramid

PAPER = {"resnet18": 1, "resnet50": 4, "resnet101": 4, "resnext50_32x4d": 4, "densenet121": 4}  # {name: expansion}


def meta(name, classes=100, side=32):
    """A network without storage, in evaluation mode: shapes and counts, no arithmetic."""
    with torch.device("meta"):
        return network(name, classes, side).eval()


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def images(side, batch=2):
    return torch.zeros(batch, 3, side, side, device="meta")


@pytest.mark.parametrize(
    "name, parameters",
    [
        ("resnet18", 11_220_132),
        ("resnet50", 23_705_252),
        ("resnet101", 42_697_380),
        ("resnext50_32x4d", 23_177_124),
        ("densenet121", 7_048_548),
    ],
)
def test_parameters_deployed_with_the_cifar_stem(name, parameters):
    assert count(meta(name).base) == parameters


@pytest.mark.parametrize("name", PAPER)
def test_parameters_of_the_exits(name):
    counts = {1: [329_828, 342_116, 391_268], 4: [4_513_892, 4_710_500, 5_496_932]}
    assert [count(ac) for ac in meta(name).exits] == counts[PAPER[name]]


@pytest.mark.parametrize(
    "name, drg, journal, conference",  # in thousands: methods 3.4
    [
        ("resnet18", 11_562, 12_283, 13_011),
        ("resnet50", 28_416, 38_427, 50_431),
        ("resnet101", 47_408, 57_419, 69_423),
        ("resnext50_32x4d", 27_888, 37_898, None),
    ],
)
def test_parameters_in_training(name, drg, journal, conference):
    net = meta(name)
    *shallow, last = (feature.shape for feature in net.features(images(32)))
    with torch.device("meta"):
        branches = [Bottleneck(shape, last, 100) for shape in shallow]
    assert round(count(net.base, net.exits[1]) / 1000) == drg
    assert round(count(net.base, net.exits) / 1000) == journal
    if conference:
        assert round(count(net.base, *branches) / 1000) == conference


@pytest.mark.parametrize("side", [32, 64, 224])
@pytest.mark.parametrize("name", PAPER)
def test_shapes(name, side):
    net = meta(name, 7, side)
    features = net.features(images(side))
    widths = [64 * PAPER[name] << b for b in range(4)]
    if name == "densenet121":
        widths[3] = 1024
    first = side if side < 128 else side // 4
    assert [tuple(f.shape) for f in features] == [(2, c, first >> b, first >> b) for b, c in enumerate(widths)]
    assert net(images(side)).shape == net.base(images(side)).shape == (2, 7)
    assert [net.exits[k](features[k]).shape for k in range(3)] == [(2, 7)] * 3


@pytest.mark.parametrize("side", [16, 32, 64, 224])
@pytest.mark.parametrize("name", MODELS)
def test_modules_of_methods_fit_every_network(name, side):
    net = meta(name, 7, side)
    features = net.features(images(side))
    with torch.device("meta"):
        branches = [Bottleneck(feature.shape, features[-1].shape, 7) for feature in features[:-1]]
        pyramid = Pyramid([feature.shape[1] for feature in features], 7)
    for branch, feature in zip(branches, features, strict=False):
        pooled, z = branch(feature)
        assert (pooled.shape, z.shape) == ((2, features[-1].shape[1]), (2, 7))
        assert branch.tower[:-2](feature).shape == features[-1].shape  # the stride is the ratio of the sides
    maps, z = pyramid(features)
    assert [m.shape[2:] for m in maps] == [f.shape[2:] for f in features] and z.shape == (2, 7)


@pytest.fixture(scope="module", params=["resnet10_w16", "resnext50_32x4d", "densenet121"])
def net(request):
    """A real network of each builder and each kind of block, for tests that calculate."""
    torch.manual_seed(0)
    return network(request.param, 2, 16)


def test_the_blocks_and_the_head_are_the_network(net):
    x = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        net.eval()
        torch.testing.assert_close(net(x), net.base(x))
        assert net.features(x)[-1].min() >= 0  # every network ends in a ReLU, then pool and linear


def test_the_small_convolution_of_a_stem_is_drawn_as_its_network_draws_them():
    torch.manual_seed(0)
    for name, fan in (("resnet10_w16", 16 * 9), ("densenet121", 3 * 9)):
        assert network(name, 2, 32).blocks[0][0].weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.15)


def test_a_training_step_reaches_every_parameter(net):
    net.train()
    features = net.features(torch.randn(2, 3, 16, 16))
    z = [net.head(features[-1]), *(ac(f) for ac, f in zip(net.exits, features, strict=False))]
    sum(torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1])) for logits in z).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_the_gates_are_scaled_as_in_the_official_code():
    """Its second branch alone says align_corners=True; the literal bilinear rule beside it."""
    net, x = network("resnet10_w16", 5, 32), torch.randn(1, 1, 4, 4)
    for exit_, aligned in zip(net.exits, (False, True, False), strict=True):
        at = torch.arange(8) * 3 / 7 if aligned else ((torch.arange(8) + 0.5) / 2 - 0.5).clamp(0, 3)
        low, part = at.floor().long(), at - at.floor()
        weights = torch.zeros(8, 4).scatter_(1, low[:, None], 1 - part[:, None])
        weights.scatter_add_(1, (low + 1).clamp(max=3)[:, None], part[:, None])
        torch.testing.assert_close(exit_.gate[3](x)[0, 0], weights @ x[0, 0] @ weights.T)


def test_a_side_that_no_exit_can_halve_is_refused():
    net = meta("resnet18", 5, 34)
    features = net.features(images(34))
    assert net.exits[0](features[0]).shape == (2, 5)
    with pytest.raises(ValueError, match="even sides, not 17x17"):
        net.exits[1](features[1])


def test_a_network_that_is_not_known_or_has_one_class_is_refused():
    with pytest.raises(ValueError, match="did you mean resnet"):
        network("resnet34", 10)
    with pytest.raises(ValueError, match="at least 2"):
        network("densenet121", 1)


@pytest.mark.parametrize("sides", [(16, 8, 4, 2), (60, 30, 15, 8), (60, 30, 15, 7)])
def test_the_pyramids_maps_have_the_sides_of_the_blocks_odd_ones_too(sides):
    widths = 4, 8, 16, 32
    features = [torch.randn(2, width, side, side) for width, side in zip(widths, sides, strict=True)]
    maps, z = Pyramid(widths, 10)(features)
    assert [one.shape[-1] for one in maps] == list(sides) and z.shape == (2, 10)
