"""The networks and the auxiliary classifiers: counts, shapes, what is deployed."""

import pytest
import torch
from torch import nn

from skdcore.models import MODELS, AuxiliaryClassifier, network


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def resnet18():
    return network("resnet18", 100)


def test_resnet18_has_the_published_numbers_of_parameters(resnet18):
    assert count(resnet18.base) == 11_220_132
    assert [count(ac) for ac in resnet18.exits] == [329_828, 342_116, 391_268]
    assert count(resnet18) == 11_220_132 + 329_828 + 342_116 + 391_268, "a parameter is registered once"


def test_auxiliary_classifiers_of_wide_networks_have_the_published_numbers_of_parameters():
    """ResNet50, 101, ResNeXt50: 256, 512 and 1024 channels (methods 2.4)."""
    counts = [count(AuxiliaryClassifier(k, 128 << k, 100)) for k in (1, 2, 3)]
    assert counts == [4_513_892, 4_710_500, 5_496_932]


def test_the_small_network_has_one_basic_block_a_stage_of_widths_16_to_128():
    net = network("resnet10_w16", 100, side=16)
    outputs = net.features(torch.randn(2, 3, 16, 16))
    assert [tuple(o.shape[1:]) for o in outputs] == [(16, 16, 16), (32, 8, 8), (64, 4, 4), (128, 2, 2)]
    basic = sum(9 * (a * b + b * b) + 2 * b + 2 * b for a, b in ((16, 16), (16, 32), (32, 64), (64, 128)))
    shortcuts = sum(a * b + 2 * b for a, b in ((16, 32), (32, 64), (64, 128)))
    assert count(net.base) == 27 * 16 + 32 + basic + shortcuts + 129 * 100


def test_resnet18_keeps_the_side_up_to_its_second_block(resnet18):
    outputs = resnet18.eval().features(torch.randn(1, 3, 32, 32))
    assert [tuple(o.shape[1:]) for o in outputs] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]


def test_large_images_get_torchvisions_own_stem():
    net = network("resnet10_w16", 5, side=224)
    assert net.base.conv1.kernel_size == (7, 7) and isinstance(net.base.maxpool, nn.MaxPool2d)
    assert net.features(torch.randn(1, 3, 224, 224))[0].shape == (1, 16, 56, 56)


def test_the_auxiliary_classifier_after_block_2_layer_by_layer(resnet18):
    """The table of methods 2.4 for ResNet18 at 32 pixels: every convolution, and the shapes between the layers."""
    ac, shapes = resnet18.exits[1].eval(), []
    layers = [*ac.gate, *ac.tower, ac.linear]
    for layer in layers:
        layer.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
    feature = torch.randn(1, 128, 16, 16)
    z = ac(feature)
    gate, tower = [(128, 8, 8)] * 3 + [(128, 16, 16)] * 2, [(256, 8, 8), (512, 4, 4), (512, 1, 1), (512,)]
    assert shapes == [*gate, *tower, (100,)]
    torch.testing.assert_close(z, ac.linear(ac.tower(torch.sigmoid(ac.gate[:4](feature)) * feature)))
    upsample = ac.gate[3]
    assert (upsample.mode, upsample.align_corners, upsample.scale_factor) == ("bilinear", True, 2)
    assert [type(layer) for layer in ac.gate[1:3]] == [nn.BatchNorm2d, nn.ReLU]


@pytest.mark.parametrize("c_in, c_out, place", [(128, 128, "gate"), (128, 256, "tower")])
def test_a_separable_convolution_layer_by_layer(resnet18, c_in, c_out, place):
    layers = list(getattr(resnet18.exits[1], place)[0])
    convolutions = [
        (c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0], c.padding[0], c.groups, c.bias)
        for c in layers
        if isinstance(c, nn.Conv2d)
    ]
    assert convolutions == [
        (c_in, c_in, 3, 2, 1, c_in, None),
        (c_in, c_in, 1, 1, 0, 1, None),
        (c_in, c_in, 3, 1, 1, c_in, None),
        (c_in, c_out, 1, 1, 0, 1, None),
    ]
    kinds = ["conv" if isinstance(c, nn.Conv2d) else type(c).__name__ for c in layers]
    assert kinds == 2 * ["conv", "conv", "BatchNorm2d", "ReLU"], "no batch norm between a depthwise and its pointwise"


@pytest.mark.parametrize("k, sides", [(1, 3), (2, 2), (3, 1)])
def test_an_auxiliary_classifier_halves_the_side_once_for_each_block_that_it_stands_for(resnet18, k, sides):
    tower = resnet18.exits[k - 1].tower
    assert sum(type(layer).__name__ == "SeparableConv" for layer in tower) == sides
    assert resnet18.exits[k - 1].linear.in_features == 512


@pytest.mark.parametrize("side", [24, 48, 64])
def test_exits_work_for_other_image_sides(side):
    net = network("resnet10_w16", 7, side).eval()
    features = net.features(torch.randn(2, 3, side, side))
    assert [net.exits[k](features[k]).shape for k in range(3)] == [(2, 7)] * 3


@pytest.mark.parametrize("shape", [(17, 17), (16, 17), (17, 16)])
def test_a_feature_map_of_an_odd_side_is_refused_in_words(shape):
    with pytest.raises(ValueError, match=f"even sides, not {shape[0]}x{shape[1]}"):
        AuxiliaryClassifier(2, 32, 10)(torch.randn(1, 32, *shape))


@pytest.mark.parametrize("model", MODELS)
def test_the_deployed_network_is_torchvisions_and_needs_no_auxiliary_classifier(model):
    net, x = network(model, 10).eval(), torch.randn(2, 3, 32, 32)
    expected = net(x)
    net.exits = None
    assert torch.equal(net(x), expected), "forward touches no exit"
    torch.testing.assert_close(net.base(x), expected)
    assert not any("exit" in name for name in net.base.state_dict())
    again = network(model, 10).base
    again.load_state_dict(net.base.state_dict())
    torch.testing.assert_close(again.eval()(x), expected)


def test_networks_start_from_torchs_random_state():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in network("resnet10_w16", 10).parameters()])

    assert torch.equal(weights(3), weights(3)) and not torch.equal(weights(3), weights(4))


def test_weights_are_stored_channels_last(resnet18):
    assert resnet18.base.layer2[0].conv2.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_depthwise_convolution_in_bf16_is_near_the_one_in_float32(stride):
    """With a stride it runs in float32 (much faster on a CPU) and still takes bf16 and gives gradients."""
    conv = AuxiliaryClassifier(3, 8, 10).gate[0][0 if stride == 2 else 4]
    assert conv.stride == (stride, stride)
    x = torch.randn(2, 8, 8, 8)
    exact = conv(x)
    with torch.autocast("cpu", torch.bfloat16):
        rough = conv(x.bfloat16())
    assert rough.dtype == (torch.float32 if stride == 2 else torch.bfloat16)
    torch.testing.assert_close(rough.float(), exact, atol=0.02, rtol=0.05)


@pytest.mark.parametrize(
    "name, classes, side, words",
    [("resnet81", 10, 32, "unknown model 'resnet81'; did you mean resnet18"), ("xyzzy", 10, 32, "known: .*resnet18"),
     ("resnet18", 1, 32, "classes=1"), ("resnet18", 0, 32, "classes=0"), ("resnet18", 10, 0, "side=0"),
     ("resnet18", 10**6, 32, "classes=1000000"), ("resnet18", 10, 10**20, "side=1000")],
)  # fmt: skip
def test_bad_arguments_are_refused_in_words(name, classes, side, words):
    with pytest.raises(ValueError, match=words):
        network(name, classes, side)
