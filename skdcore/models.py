"""The networks, cut into blocks, and the auxiliary classifiers (AC) behind blocks 1 to 3.

The networks are torchvision's.  For small images the stem is the CIFAR one: a 3x3 convolution of stride 1
and no max-pool.  Weights begin as torchvision's do.  The AC is the official repository's, layer by layer, with
global pooling.
In every network the deepest block ends in a ReLU; global pooling and one linear layer follow.
"""

import torch
from torch import nn

from skdcore import vision
from skdcore.errors import unknown


class Network(nn.Module):
    """A torchvision network `base` seen as blocks and a head, with an exit (an AC) after blocks 1 to 3.

    Only `base` is deployed; its state dict is torchvision's.  Exits and `parts` (a method's own modules) are for
    training.  Input: float (B, 3, side, side), float32 or under autocast.
    """

    def __init__(self, base, blocks, top, widths):
        super().__init__()
        self.base = base
        self.blocks, self.top = blocks, top  # tuples: their parameters are base's, and registered once
        classes = top[-1].out_features
        self.exits = nn.ModuleList(AuxiliaryClassifier(k, widths[k - 1], classes) for k in (1, 2, 3))
        self.parts = nn.ModuleDict()

    def features(self, x):
        """Outputs of the four blocks, shallow to deep, each (B, C, H, W)."""
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return outputs

    def head(self, deepest):
        """Logits z, (B, K), from the deepest block's output."""
        for layer in self.top:
            deepest = layer(deepest)
        return deepest

    def forward(self, x):
        """Logits z, (B, K); no exit takes part."""
        return self.head(self.features(x)[-1])


class AuxiliaryClassifier(nn.Module):
    """g of section IV-A: gate * feature -> separable convolutions -> global pool -> linear, for block `k`.

    Each of its 4 - k separable convolutions halves the side and doubles the width.
    """

    def __init__(self, k, width, classes):
        super().__init__()
        self.gate = nn.Sequential(
            SeparableConv(width, width, stride=2),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=k == 2),  # as in the official code
            nn.Sigmoid(),
        )
        tower = [SeparableConv(width << i, width << i + 1, stride=2) for i in range(4 - k)]
        self.tower = nn.Sequential(*tower, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.linear = nn.Linear(width << 4 - k, classes)

    def forward(self, feature, embedding=False):
        """Logits z', (B, K); with `embedding` the pooled features that `linear` reads, (B, width << 4 - k), and z'.

        Raises ValueError for a feature map whose side is odd: the gate cannot halve it.
        """
        if feature.shape[2] % 2 or feature.shape[3] % 2:
            height, width = feature.shape[2:]
            raise ValueError(f"an auxiliary classifier needs feature maps of even sides, not {height}x{width}")
        pooled = self.tower(self.gate(feature) * feature)
        return (pooled, self.linear(pooled)) if embedding else self.linear(pooled)


class Depthwise(nn.Conv2d):
    """A depthwise convolution; on a CPU one with a stride runs in float32, 10 to 30 times faster than in bf16."""

    def forward(self, x):
        """As torch's."""
        if x.device.type != "cpu" or self.stride == (1, 1) or x.dtype == torch.float64:
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


class SeparableConv(nn.Sequential):
    """Depthwise 3x3 and pointwise 1x1, twice; the first depthwise one carries the stride."""

    def __init__(self, c_in, c_out, stride):
        super().__init__(
            Depthwise(c_in, c_in, 3, stride, padding=1, groups=c_in, bias=False),
            nn.Conv2d(c_in, c_in, 1, bias=False),
            nn.BatchNorm2d(c_in),
            nn.ReLU(),
            Depthwise(c_in, c_in, 3, 1, padding=1, groups=c_in, bias=False),
            nn.Conv2d(c_in, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out),
            nn.ReLU(),
        )


def _cifar_stem(c_out, mode="fan_out"):
    conv = nn.Conv2d(3, c_out, 3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode=mode, nonlinearity="relu")  # as torchvision's other layers
    return conv


def _resnet(base, side):
    if side < 128:
        base.conv1, base.maxpool = _cifar_stem(base.bn1.num_features), nn.Identity()
    stem = nn.Sequential(base.conv1, base.bn1, base.relu, base.maxpool)
    blocks = (nn.Sequential(*stem, base.layer1), base.layer2, base.layer3, base.layer4)
    c = base.fc.in_features // 8
    return Network(base, blocks, (base.avgpool, nn.Flatten(), base.fc), (c, 2 * c, 4 * c))


def resnet18(classes, side):
    """ResNet-18 [30]."""
    return _resnet(vision.torchvision.models.resnet18(num_classes=classes), side)


def resnet50(classes, side):
    """ResNet-50 [30]."""
    return _resnet(vision.torchvision.models.resnet50(num_classes=classes), side)


def resnet101(classes, side):
    """ResNet-101 [30]."""
    return _resnet(vision.torchvision.models.resnet101(num_classes=classes), side)


def resnext50_32x4d(classes, side):
    """ResNeXt-50, 32 groups of width 4."""
    return _resnet(vision.torchvision.models.resnext50_32x4d(num_classes=classes), side)


def densenet121(classes, side):
    """DenseNet-121, tapped behind each dense block before its transition (Q9).

    Its CIFAR stem is the convolution alone (each dense layer begins with a norm).  Its last norm and ReLU
    belong to block 4, so that methods see the features that are classified.
    """
    base = vision.torchvision.models.densenet121(num_classes=classes)
    layers = base.features
    if side < 128:
        layers.conv0 = _cifar_stem(layers.conv0.out_channels, mode="fan_in")
        layers.norm0, layers.relu0, layers.pool0 = nn.Identity(), nn.Identity(), nn.Identity()
    blocks = (
        nn.Sequential(layers.conv0, layers.norm0, layers.relu0, layers.pool0, layers.denseblock1),
        nn.Sequential(layers.transition1, layers.denseblock2),
        nn.Sequential(layers.transition2, layers.denseblock3),
        nn.Sequential(layers.transition3, layers.denseblock4, layers.norm5, nn.ReLU(inplace=True)),
    )
    top = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), base.classifier)
    return Network(base, blocks, top, (256, 512, 1024))


def _resnet10(width, classes, side):
    """One basic block a stage, with the widths `width` times 1, 2, 4, 8 in place of 64 times those."""
    resnet = vision.torchvision.models.resnet

    class Narrow(resnet.ResNet):
        def __init__(self):
            super().__init__(resnet.BasicBlock, [1, 1, 1, 1], num_classes=classes)
            self.bn1 = nn.BatchNorm2d(width)
            self.fc = nn.Linear(8 * width, classes)
            self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)

        def _make_layer(self, block, planes, blocks, **kwargs):
            if planes == 64:
                self.inplanes = width
            return super()._make_layer(block, planes * width // 64, blocks, **kwargs)

    return _resnet(Narrow(), side)


def resnet10_w16(classes, side):
    """The small network of this study: one basic block a stage, widths 16 to 128."""
    return _resnet10(16, classes, side)


def resnet10_w32(classes, side):
    """The same at twice the widths, 32 to 256."""
    return _resnet10(32, classes, side)


PAPERS = (resnet18, resnet50, resnet101, resnext50_32x4d, densenet121)
MODELS = {make.__name__: make for make in (*PAPERS, resnet10_w16, resnet10_w32)}


def network(name, classes, side=32):
    """The network `name` with `classes` outputs, freshly initialised from torch's random state.

    `side` is the image side in pixels: below 128 the stem is the CIFAR one, else torchvision's own.
    Raises ValueError for an unknown name (the near ones are named), and for classes or pixels that no network takes.
    """
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    if not 2 <= classes < 1e6:
        raise ValueError(f"classes={classes}: a classifier has at least 2, and less than a million")
    if not 1 <= side < 1e4:
        raise ValueError(f"side={side}: an image has at least one pixel, and less than 10,000 a side")
    return MODELS[name](classes, side).to(memory_format=torch.channels_last)
