"""Random resized crops of a batch, beside torchvision's on PIL images, one by one."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from skdcore.data import MEAN, STD, Data
from skdcore.resized_crop import random_boxes, resized_crop
from skdcore.vision import torchvision

pil = torchvision.transforms.functional
ONE_GREY = 1.001  # PIL rounds to whole grey levels twice, after the rows and after the columns


def noise(n=300, side=64):
    """Random images of 4 x 4 and of single pixels."""
    coarse = torch.randint(256, (n, 3, side // 4, side // 4)).repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    return ((coarse + torch.randint(256, (n, 3, side, side))) // 2).to(torch.uint8)


def by_pil(images, start, size, side):
    """The same crops, each cut and resized as a PIL image: float32 (B, side, side, 3)."""
    one_by_one = zip(images.permute(0, 2, 3, 1), start.T.int().tolist(), size.T.int().tolist(), strict=True)
    crops = [pil.resized_crop(Image.fromarray(im.numpy()), *at, *box, [side, side]) for im, at, box in one_by_one]
    return torch.from_numpy(np.stack(crops)).float()


@pytest.mark.parametrize("side", [32, 24])
def test_crops_are_torchvisions_of_the_same_boxes_to_one_grey_level(side):
    images, boxes = noise(), random_boxes(300, 64)
    assert boxes[1].min() < side < boxes[1].max(), "some boxes are enlarged, others shrunk"
    got = resized_crop(images, *boxes, side)
    assert got.shape == (300, side, side, 3) and got.dtype == torch.float32
    assert (got - by_pil(images, *boxes, side)).abs().max() <= ONE_GREY


@pytest.mark.parametrize("start, size", [((0, 0), (64, 64)), ((0, 63), (64, 1)), ((32, 0), (32, 32)), ((5, 6), (3, 2))])
def test_boxes_at_the_edges_the_whole_image_and_single_pixels(start, size):
    images = noise(3)
    box = [torch.tensor(pair).float()[:, None].expand(2, 3) for pair in (start, size)]
    assert (resized_crop(images, *box, 32) - by_pil(images, *box, 32)).abs().max() <= ONE_GREY


def test_boxes_are_distributed_as_torchvisions():
    """Two-sample tests of Kolmogorov and Smirnov on area, ratio, height and place; the draws are seeded."""
    (top, left), (height, width) = (values.double() for values in random_boxes(20_000, 64))
    draw, image = torchvision.transforms.RandomResizedCrop.get_params, torch.empty(1, 64, 64)
    theirs = [draw(image, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)) for _ in range(4000)]
    i, j, h, w = torch.tensor(theirs).double().T
    pairs = [(height * width, h * w), (width / height, w / h), (height, h), (width, w), (top, i), (left, j)]
    for ours, other in pairs:
        assert stats.ks_2samp(ours, other).pvalue > 0.01


def test_boxes_are_whole_lie_in_the_image_and_touch_its_edges():
    start, size = random_boxes(50_000, 64)
    assert torch.equal(start, start.round()) and torch.equal(size, size.round()) and size.min() >= 1
    assert start.min() == 0 and (start + size).max() == 64
    for axis in (0, 1):
        places, times = start[axis][size[axis] == 40].unique(return_counts=True)
        assert places.tolist() == list(range(25)) and times.max() < 5 * times.min()


def test_where_no_try_fits_the_box_is_the_whole_image(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda self, low, high: self.fill_(high))  # all the area, 4 : 3
    start, size = random_boxes(5, 64)
    assert torch.equal(start, torch.zeros(2, 5)) and torch.equal(size, torch.full((2, 5), 64.0))


def test_a_view_is_torchvisions_crop_flip_and_normalisation_over_the_same_random_draws():
    images, index = noise(20), torch.tensor([3, 11, 3, 19, 0, 12])
    part = Data(images, [0] * 20, "ab", crop=32, flip=True)
    torch.manual_seed(5)
    got = part.view(index)
    torch.manual_seed(5)
    crops, mirrored = by_pil(images[index], *random_boxes(6, 64), 32), torch.rand(6) < 0.5
    crops[mirrored] = crops[mirrored].flip(2)
    expected = (crops / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    assert 0 < mirrored.sum() < 6 and part.side == 32
    assert got.dtype == torch.float32 and got.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(got.permute(0, 2, 3, 1), expected, atol=ONE_GREY / 255 / min(STD), rtol=0)


def test_views_are_mirrored_half_of_the_time_and_only_if_asked():
    """Images that grow brighter to the right."""
    images = torch.arange(0, 256, 4, dtype=torch.uint8).expand(1, 3, 64, 64)
    for flip, share in ((True, 0.5), (False, 0)):
        x = Data(images, [0], "ab", crop=32, flip=flip).view(torch.zeros(2000, dtype=torch.int64))
        assert (x[:, 0, 0, 0] > x[:, 0, 0, -1]).float().mean().item() == pytest.approx(share, abs=0.04)


def test_autocast_does_not_round_the_pixels():
    part, index = Data(noise(8), [0] * 8, "ab", crop=32), torch.arange(8)
    torch.manual_seed(0)
    x = part.view(index)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(part.view(index), x)


@pytest.mark.parametrize("augment", [{}, {"padding": 4, "flip": True}, {"crop": 32, "flip": True}])
def test_no_view_waits_for_a_value_so_that_a_gpu_can_replay_it(augment):
    """On tensors without values whatever asks for one, or for a shape that depends on one, is an error."""
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

    part = Data(noise(8), [0] * 8, "ab", **augment)
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = part.view(torch.arange(4))
    assert isinstance(x, FakeTensor) and x.shape == (4, 3, part.side, part.side)
