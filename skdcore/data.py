"""Data sets as tensors on the device: no DataLoader, no workers.

A `Data` holds all its images as uint8, in memory or, where they are large, in a file mapped into memory.
`view(index)` crops, flips and normalises a whole batch in a few tensor operations; the result is float32 in
channels_last order.  All randomness comes from torch's global random state.
"""

import hashlib
from functools import lru_cache

import torch
import torch.nn.functional as F

import skdcore.fine_grained  # noqa: F401 (registers three data sets)
from skdcore.datasets import entry
from skdcore.resized_crop import random_boxes, resized_crop

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261)  # the official code's, for every data set (Q30)


class Data:
    """One split of a data set.

    `images`: uint8 (N, 3, H, H), stored channels_last; `labels`: int64 (N,); `classes`: K names.
    With `padding` (pixels on each edge, of zeros) a view is a random crop of H pixels, with `crop` a random box
    resized to `crop` pixels, and with `flip` either is mirrored at random; else a view is the image itself.
    `side` is that of a view.
    """

    def __init__(self, images, labels, classes, device="cpu", padding=0, crop=0, flip=False):
        self.images = torch.as_tensor(images).contiguous(memory_format=torch.channels_last).to(device)
        self.labels = torch.as_tensor(labels, dtype=torch.int64).to(device)
        self.classes = list(classes)
        self.side, self.padding, self.crop, self.flip = crop or self.images.shape[-1], padding, crop, flip
        mean, std = torch.tensor(MEAN, device=device), torch.tensor(STD, device=device)
        self.scale = (1 / (255 * std)).repeat(self.side)  # (v / 255 - mean) / std, for a row of pixels
        self.shift = (-mean / std).repeat(self.side)
        if padding:
            padded = F.pad(self.images, [padding] * 4)
            self.pixels = padded.permute(0, 2, 3, 1).reshape(-1, 3)  # one row a pixel, for the gather
        self.sorted = self.labels.argsort(stable=True)  # indices class by class, for partners
        self.counts = self.labels.bincount(minlength=len(self.classes))
        self.starts = self.counts.cumsum(0) - self.counts

    def __len__(self):
        return len(self.labels)

    def view(self, index):
        """A view of the images `index`, int64 (B,): float32 (B, 3, side, side), normalised, channels_last."""
        if self.crop:
            chosen = self._resized_crop(index)
        elif self.padding:
            chosen = self._padded_crop(index)
        else:
            chosen = self.images[index].permute(0, 2, 3, 1)
        return self._normalised(chosen)

    def plain(self, index):
        """The images `index` as they are measured, without augmentation; of the form of a view."""
        chosen = self.images[index].permute(0, 2, 3, 1)
        if self.crop:
            start = torch.zeros(2, len(index), device=index.device)
            chosen = resized_crop(self.images[index], start, start + self.images.shape[-1], self.side)
        return self._normalised(chosen)

    def _normalised(self, chosen):
        """(B, side, side, 3) of 0 to 255 -> float32 (B, 3, side, side)."""
        rows = torch.addcmul(self.shift, chosen.flatten(2).float(), self.scale)
        return rows.view(chosen.shape).permute(0, 3, 1, 2)

    def _padded_crop(self, index):
        """uint8 (B, side, side, 3): crop and flip as one gather of pixels."""
        one = (len(index), 1)
        steps, wide = torch.arange(self.side, device=index.device), self.side + 2 * self.padding
        row = torch.randint(2 * self.padding + 1, one, device=index.device) + steps
        column = torch.randint(2 * self.padding + 1, one, device=index.device) + steps
        if self.flip:
            column = torch.where(torch.rand(one, device=index.device) < 0.5, column.flip(1), column)
        pixel = ((index[:, None] * wide + row) * wide)[:, :, None] + column[:, None, :]
        return self.pixels.index_select(0, pixel.flatten()).view(*pixel.shape, 3)

    def _resized_crop(self, index):
        """float32 (B, side, side, 3): resize a random box of each image, and flip."""
        boxes = random_boxes(len(index), self.images.shape[-1], index.device)
        chosen = resized_crop(self.images[index], *boxes, self.side)
        if self.flip:
            chosen = torch.where(torch.rand(len(index), 1, 1, 1, device=index.device) < 0.5, chosen.flip(2), chosen)
        return chosen

    def partners(self, y):
        """For each label a random image of that class, int64 (B,); it may be the anchor itself."""
        chosen = (torch.rand(len(y), device=y.device) * self.counts[y]).long()
        return self.sorted[self.starts[y] + chosen]


def load(name, root=None, device="cpu", seed=0):
    """The splits (train, test) of the data set `name`, as `Data` on `device`.

    glyphs         100 classes of characters, 16 pixels, made here from an embedded file
    cifar100       torchvision's files under `root`, which are only read; without a root they are looked
                   for in $SKD_DATA (default: data/) and downloaded there if they are missing
    cifar100(n=50) the same with 50 training images of each class, drawn by `seed`; those of a smaller n are among them
    tinyimagenet   the folder tiny-imagenet-200 of Stanford's zip under `root`, found or downloaded alike
    caltech101     the folder caltech101 as torchvision unpacks it, found or downloaded alike
    stanford_dogs  the folder stanford_dogs with Stanford's images.tar and lists.tar unpacked in it, likewise
    cub200         the folder CUB_200_2011 of its archive, likewise
    cub200(side=64), and so for all three: the same, resized to 64 pixels instead of 224; the resized images are
                   kept in the data set's folder or, if that is read-only, below ~/.cache/skdcore
    folder:PATH    an image folder PATH/train/CLASS/*, PATH/test/CLASS/*

    Raises ValueError for an unknown name or an unusable folder, FileNotFoundError or ValueError for files
    that are missing or altered.
    """
    chosen = entry(name)
    train, test, classes = chosen.read(root, seed)
    return Data(*train, classes, device, **chosen.augment(train[0].shape[-1])), Data(*test, classes, device)


def images(run):
    """What a run's images depend on: its data set and, if it draws them, its seed."""
    return run.dataset, run.seed if entry(run.dataset).sampled else 0


def load_run(run, root, device):
    """`load` for a run.  The runs of one process share a data set, unless the seed draws its images."""
    dataset, seed = images(run)
    return load_cached(dataset, root, torch.device(device), seed)


load_cached = lru_cache(maxsize=1)(load)


def checksum(train, test):
    """sha256 over the pixels (row by row, RGB) and labels of both splits: what a record is matched by."""
    digest = hashlib.sha256()
    for split in (train, test):
        for tensor in (split.images.permute(0, 2, 3, 1), split.labels):
            digest.update(tensor.cpu().contiguous().view(-1).numpy())
    return digest.hexdigest()
