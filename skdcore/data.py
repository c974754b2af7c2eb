"""Data sets as tensors on the device: no DataLoader, no workers, nothing on disk once loaded.

A `Data` holds all its images as uint8.  `view(index)` crops, flips and normalises a whole batch in a few tensor
operations; the result is float32 in channels_last order.  All chance comes from torch's global random state.
"""

import hashlib
import os
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from skdcore.errors import unknown
from skdcore.progress import Line
from skdcore.resized_crop import random_boxes, resized_crop
from skdcore.vision import torchvision

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261)  # the official code's, for every data set (Q30)
SIDES = (32, 64, 224)  # of a folder's images: the largest one that they fill


class Data:
    """One part of a data set.

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
        place = ((index[:, None] * wide + row) * wide)[:, :, None] + column[:, None, :]
        return self.pixels.index_select(0, place.flatten()).view(*place.shape, 3)

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


def load(name, root=None, device="cpu"):
    """The parts (train, test) of the data set `name`, as `Data` on `device`.

    glyphs        100 classes of characters, 16 pixels, made here from an embedded file
    cifar100      torchvision's files under `root`, which are only read; without a root they are looked
                  for in $SKD_DATA (default: data/) and downloaded there if they are missing
    tinyimagenet  the folder tiny-imagenet-200 of Stanford's zip under `root`, found or downloaded alike
    folder:PATH   an image folder PATH/train/CLASS/*, PATH/test/CLASS/*

    Raises ValueError for an unknown name or an unusable folder, FileNotFoundError or ValueError for files
    that are missing or altered.
    """
    if name.startswith("folder:"):
        train, test, classes = _folder(Path(name.removeprefix("folder:")))
    elif name in DATASETS:
        train, test, classes = DATASETS[name](root)
    else:
        raise unknown("data set", name, [*DATASETS, "folder:PATH"])
    augment = AUGMENT.get(name, {"padding": train[0].shape[-1] // 8, "flip": True})
    return Data(*train, classes, device, **augment), Data(*test, classes, device)


def checksum(train, test):
    """sha256 over the pixels (row by row, RGB) and labels of both parts: what a record is matched by."""
    digest = hashlib.sha256()
    for part in (train, test):
        for tensor in (part.images.permute(0, 2, 3, 1), part.labels):
            digest.update(tensor.cpu().contiguous().view(-1).numpy())
    return digest.hexdigest()


def cifar100(root=None):
    """CIFAR-100 [31]: 50,000 + 10,000 images of 32 pixels, 100 classes, byte for byte the original."""
    dataset = torchvision.datasets.CIFAR100
    where = _where(root)
    files = [*dataset.train_list, *dataset.test_list, [dataset.meta["filename"], dataset.meta["md5"]]]
    missing = [name for name, _ in files if not (where / dataset.base_folder / name).is_file()]
    if missing and root is None:
        with _download("CIFAR-100", dataset.url, where, dataset.base_folder):
            dataset(where, download=True)
        return cifar100(where)
    if missing:
        raise FileNotFoundError(f"{where / dataset.base_folder}: no file {', '.join(missing)}")
    for name, md5 in files:
        path = where / dataset.base_folder / name
        if hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != md5:
            raise ValueError(f"{path}: not CIFAR-100's file (its MD5 should be {md5}); truncated or altered?")
    parts = [dataset(where, train=train) for train in (True, False)]
    pairs = [(torch.from_numpy(p.data).permute(0, 3, 1, 2), p.targets) for p in parts]
    return *pairs, parts[0].classes


def tinyimagenet(root=None):
    """TinyImageNet [32]: 100,000 + 10,000 JPEGs of 64 pixels, 200 classes, named by their WordNet ids (Q10).

    The official validation part, sorted into classes by its annotations, is the test part, scaled to 32 pixels; the
    official test part has no labels and is not read.  Decoding takes half a minute.
    """
    where = _where(root) / "tiny-imagenet-200"
    if root is None and not where.exists():
        url, md5 = "http://cs231n.stanford.edu/tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de"
        with _download("TinyImageNet", url, where.parent, where.name):
            where.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=where.parent) as new:  # a download that is cut off leaves nothing
                torchvision.datasets.utils.download_and_extract_archive(url, new, md5=md5)
                Path(new, where.name).rename(where)
    notes = where / "val" / "val_annotations.txt"
    for needed in (where / "train", notes):
        if not needed.exists():
            raise FileNotFoundError(f"{needed} is missing; the root is the folder that holds {where.name}/")
    train = {d.name: _images(d / "images") for d in sorted((where / "train").iterdir()) if d.is_dir()}
    test = {}
    for row in notes.read_text().splitlines():
        file, _, rest = row.partition("\t")
        test.setdefault(rest.partition("\t")[0], []).append(notes.parent / "images" / file)
    if "" in test:
        raise ValueError(f"{notes}: a line without a class")
    _check_classes(where, train, test)
    return _read(train, 64), _read({name: test[name] for name in train}, 32), list(train)


def _where(root):
    """The folder that holds a data set's own folder: the root or, without one, $SKD_DATA or data/."""
    return Path(root or os.environ.get("SKD_DATA", "data"))


@contextmanager
def _download(name, url, where, folder):
    """Whatever goes wrong with a download becomes a FileNotFoundError that says what to do."""
    try:
        yield
    except Exception as error:  # urllib, ssl, zipfile and torchvision each raise their own
        raise FileNotFoundError(
            f"{name} is not under {where} and could not be downloaded from {url} ({error}); "
            f"give the folder that holds {folder}/ as the root"
        ) from error


def glyphs(root=None):
    """The embedded data set: 100 characters, distorted; 16 + 10 images a class of 16 pixels.

    They are not augmented: a mirrored b is a d, and a network that sees each image unchanged learns it faster than
    what its class has in common, as it does with CIFAR-100 in the end.  Integers and float64 only, so that every
    machine draws the same pixels.
    """
    with np.load(Path(__file__).with_name("glyphs.npz")) as file:
        clean, characters = torch.from_numpy(file["glyphs"]), file["characters"].tolist()
    chance = torch.Generator().manual_seed(0)
    labels = [torch.arange(len(clean)).repeat(times) for times in (16, 10)]
    parts = [(_distort(clean, y, chance), y) for y in labels]
    return *parts, characters


def _distort(clean, labels, chance):
    """Random face, affine map, colours and noise for each label: uint8 (N, 3, 16, 16)."""
    n, faces, side = len(labels), clean.shape[1], clean.shape[2]

    def uniform(low, high, *shape):
        return low + (high - low) * torch.randint(2**30, (n, *shape), generator=chance).double() / 2**30

    stretch, slant, shift = uniform(0.95, 1.15, 2), uniform(-0.12, 0.12, 2), uniform(-0.75, 0.75, 2, 1, 1)
    grid = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    y, x = grid[:, None], grid[None, :]
    at = torch.stack(
        [
            stretch[:, :1, None] * y + slant[:, :1, None] * x,
            stretch[:, 1:, None] * x + slant[:, 1:, None] * y,
        ],
        dim=1,
    )
    at = (at + shift + (side - 1) / 2).round().long()
    inside = ((at >= 0) & (at < side)).all(dim=1)
    row, column = at.clamp(0, side - 1).unbind(1)
    face = torch.randint(faces, (n, 1, 1), generator=chance)
    ink = clean[labels[:, None, None], face, row, column].long() * inside
    ink = ink.view(n, 1, side // 2, 2, side // 2, 2).sum(dim=(3, 5))  # 0 .. 4 * 255
    dark, light = torch.randint(100, (2, n, 3, 1, 1), generator=chance)
    swap = torch.randint(2, (n, 1, 1, 1), generator=chance).bool()
    paper, pen = torch.where(swap, dark, 255 - light), torch.where(swap, 255 - light, dark)
    noise = torch.randint(-20, 21, (n, 3, side // 2, side // 2), generator=chance)
    drawn = paper + (pen - paper) * ink // (4 * 255) + noise
    return drawn.clamp(0, 255).to(torch.uint8)


def _folder(path):
    """Reads PATH/train and PATH/test; images are scaled and centre-cropped to one of `SIDES`."""
    parts = []
    for part in ("train", "test"):
        if not (path / part).is_dir():
            raise FileNotFoundError(f"{path}: no folder {part}/; it takes train/CLASS/* and test/CLASS/*")
        parts.append({d.name: _images(d) for d in sorted((path / part).iterdir()) if d.is_dir()})
    train, test = parts
    _check_classes(path, train, test)
    sides = sorted(_side(file) for files in train.values() for file in files)
    side = max((s for s in SIDES if s <= sides[len(sides) // 2]), default=SIDES[0])
    return *(_read(part, side) for part in parts), list(train)


def _check_classes(path, train, test):
    if len(train) < 2:
        raise ValueError(f"{path / 'train'}: {len(train)} class; a classifier needs at least 2")
    if train.keys() != test.keys():
        odd = sorted(train.keys() ^ test.keys())
        raise ValueError(f"{path}: both parts must hold the same classes; only one has {', '.join(odd)}")


def _images(directory):
    ends = torchvision.datasets.folder.IMG_EXTENSIONS
    files = sorted(f for f in directory.iterdir() if f.suffix.lower() in ends)
    if not files:
        raise ValueError(f"{directory}: an empty class; it needs at least one image ({' '.join(ends)})")
    return files


@contextmanager
def _opened(file):
    """The image in the file; whatever Pillow raises on a broken one becomes a ValueError that names it."""
    try:
        with Image.open(file) as image:
            yield image
    except Exception as error:  # Pillow's plugins raise many kinds
        raise ValueError(f"{file}: not a readable image ({error})") from error


def _side(file):
    with _opened(file) as image:
        return min(image.size)


def _read(part, side):
    """The images of {class: files}, scaled and centre-cropped to `side`: uint8 (N, 3, side, side), and labels."""
    files = [(file, label) for label, files in enumerate(part.values()) for file in files]
    images = np.empty((len(files), side, side, 3), dtype=np.uint8)
    fit = torchvision.transforms.functional
    with Line(show=len(files) > 5000) as line:  # a few are read in no time
        for i, (file, _) in enumerate(files):
            with _opened(file) as image:
                images[i] = np.asarray(fit.center_crop(fit.resize(image.convert("RGB"), side), side))
            line.update(lambda done=i + 1: f"{done:,} of {len(files):,} images read")
        line.show(f"{len(files):,} images read")
    return torch.from_numpy(images).permute(0, 3, 1, 2), [label for _, label in files]


DATASETS = {"glyphs": glyphs, "cifar100": cifar100, "tinyimagenet": tinyimagenet}
AUGMENT = {"glyphs": {}, "tinyimagenet": {"crop": 32, "flip": True}}  # the others: padded by an eighth, and flipped
load_cached = lru_cache(maxsize=1)(load)  # the cells of one process share a data set
