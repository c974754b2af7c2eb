"""Modules that methods own: BYOT's shallow classifier and FRSKD's self-teacher."""

import torch
import torch.nn.functional as F
from torch import nn

from skdcore.models import Depthwise


class Bottleneck(nn.Module):
    """BYOT's [3] shallow classifier in its conference form; `shape` is its block's output's, `deepest` the deepest's.

    1x1, k x k of stride k (the ratio of the two blocks' sides) and 1x1 convolution, then global pool -> linear.
    """

    def __init__(self, shape, deepest, classes):
        super().__init__()
        (_, c_in, *_, side), (_, c_out, *_, deepest_side) = shape, deepest
        widths, sides = (c_in, c_out // 4, c_out // 4, c_out), (1, side // deepest_side, 1)
        layers = []
        for a, b, k in zip(widths, widths[1:], sides, strict=False):
            layers += [nn.Conv2d(a, b, k, stride=k), nn.BatchNorm2d(b), nn.ReLU()]
        self.tower = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.linear = nn.Linear(c_out, classes)

    def forward(self, feature):
        """Pooled features, (B, C) with the deepest block's C, and logits, (B, K)."""
        pooled = self.tower(feature)
        return pooled, self.linear(pooled)


class Pyramid(nn.Module):
    """FRSKD's [4] self-teacher: one top-down and one bottom-up pass over the blocks' outputs, as in BiFPN.

    Every level has the width of block 2; `widths` are those of all blocks, shallow to deep.
    """

    def __init__(self, widths, classes):
        super().__init__()
        c = widths[1]
        self.lateral = nn.ModuleList(nn.Sequential(nn.Conv2d(w, c, 1, bias=False), nn.BatchNorm2d(c)) for w in widths)
        self.down = nn.ModuleList(Fusion(c, 2) for _ in widths[1:])
        self.up = nn.ModuleList([*(Fusion(c, 3) for _ in widths[2:]), Fusion(c, 2)])
        self.linear = nn.Linear(c, classes)

    def forward(self, features):
        """The refined maps, each of the side of its block's output, and logits z_T, (B, K)."""
        sides = [feature.shape[2:] for feature in features]
        lateral = [layer(feature) for layer, feature in zip(self.lateral, features, strict=True)]
        down = lateral[-1:]
        for layer, x, side in reversed(list(zip(self.down, lateral, sides, strict=False))):
            down.insert(0, layer(x, F.interpolate(down[0], side)))
        maps = down[:1]
        for level, layer in enumerate(self.up, start=1):
            own = [lateral[level]] if level == len(self.up) else [lateral[level], down[level]]
            maps.append(layer(*own, F.adaptive_max_pool2d(maps[-1], sides[level])))
        return maps, self.linear(maps[-1].mean(dim=(2, 3)))


class Fusion(nn.Module):
    """A weighted mean of `n` maps of width c, its weights learnt and not negative, then a separable convolution."""

    def __init__(self, c, n):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n))
        self.conv = nn.Sequential(
            Depthwise(c, c, 3, padding=1, groups=c, bias=False),
            nn.Conv2d(c, c, 1, bias=False),
            nn.BatchNorm2d(c),
            nn.ReLU(),
        )

    def forward(self, *maps):
        """One map of the same shape."""
        weight = self.weight.relu()
        return self.conv(sum(w * x for w, x in zip(weight, maps, strict=True)) / (weight.sum() + 1e-4))
