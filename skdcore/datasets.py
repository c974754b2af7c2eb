"""The data sets: one entry each, with how it is read, how it is augmented and the recipe of section V-A."""

import ast
import hashlib
import os
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch

from skdcore import vision
from skdcore.errors import unknown
from skdcore.image_files import image_files, shorter_side, squares, warn_of_others
from skdcore.sums import call, expression

SIDES = (32, 64, 224)  # of a folder's images: the largest one that they fill
SGD = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "batch": 128, "epochs": 200, "score_every": 1}
CIFAR = SGD | {"gamma": 0.2, "milestones": [0.3, 0.6, 0.8]}  # milestones are fractions of the run
OTHERS = SGD | {"gamma": 0.1, "milestones": [0.5, 0.75]}  # Q8
DATASETS = {}


class Entry(NamedTuple):
    """A data set by its name: `read(root, seed)` gives its splits and classes, `augment(side)` keywords of `Data`."""

    name: str  # canonical, as records have it
    where: str  # the same, but for a folder, which is known by its name, as it may be moved
    read: object
    augment: object
    recipe: dict
    sampled: bool  # whether the seed draws the training images


def padded(side):
    """Random crops of images padded by an eighth of their side, and flips."""
    return {"padding": side // 8, "flip": True}


def dataset(recipe, augment=padded):
    """Registers a reader (root, seed, keywords) -> (images, labels) of both splits, classes, under its own name."""

    def register(function):
        function.recipe, function.augment = recipe, augment
        DATASETS[function.__name__] = function
        return function

    return register


def entry(name):
    """The entry of a data set such as "cifar100", "cifar100(n=50)" or "folder:PATH".

    Raises ValueError for an unknown name or keyword, naming the near ones, and for a bad value.
    """
    if name.startswith("folder:"):
        path = Path(name.removeprefix("folder:")).resolve()  # one text for each folder, true in every process
        return Entry(f"folder:{path.name}", f"folder:{path}", lambda root, seed: _folder(path), padded, OTHERS, False)
    node = expression(name)
    if not isinstance(node, ast.Call) and not (isinstance(node, ast.Name) and node.id in DATASETS):
        raise unknown("data set", name, [*DATASETS, "folder:PATH"])
    function, keywords, text = call(node, DATASETS, "data set", name)
    if keywords.get("n", 1) < 1:
        raise ValueError(f"{text}: n must be at least 1 image of each class")
    if not 16 <= keywords.get("side", 16) <= 512:
        raise ValueError(f"{text}: side must be 16 to 512 pixels")
    recipe = function.recipe | ({"score_every": 5} if "n" in keywords else {})  # scoring dwarfs a short epoch
    return Entry(text, text, partial(function, **keywords), function.augment, recipe, "n" in keywords)


def of_each_class(images, labels, n, seed, classes, name):
    """The `n` training images of each class that `seed` draws, in the order of the files; nested in n.

    Raises ValueError, naming the smallest class, if it has fewer.
    """
    labels = torch.as_tensor(labels)
    counts = labels.bincount(minlength=len(classes))
    if n > int(counts.min()):
        raise ValueError(
            f"{name}(n={n}): the smallest class, {classes[int(counts.argmin())]!r}, has {counts.min()} images"
        )
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    by_class = order[labels[order].argsort(stable=True)].split(counts.tolist())
    chosen = torch.cat([indices[:n] for indices in by_class]).sort().values
    return images[chosen], labels[chosen]


@dataset(CIFAR)
def cifar100(root, seed, n=500):
    """CIFAR-100 [31]: 50,000 + 10,000 images of 32 pixels, 100 classes, byte for byte the original.

    `n` is the number of training images of each class.
    """
    original = vision.torchvision.datasets.CIFAR100
    where = data_folder(root)
    files = [*original.train_list, *original.test_list, [original.meta["filename"], original.meta["md5"]]]
    missing = [name for name, _ in files if not (where / original.base_folder / name).is_file()]
    if missing and root is None:
        advice = f"give the folder that holds {original.base_folder}/ as the root"
        with _download("CIFAR-100", original.url, where, advice):
            original(where, download=True)
        return cifar100(where, seed, n)
    if missing:
        raise FileNotFoundError(f"{where / original.base_folder}: no file {', '.join(missing)}")
    for name, md5 in files:
        path = where / original.base_folder / name
        if hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != md5:
            raise ValueError(f"{path}: not CIFAR-100's file (its MD5 should be {md5}); truncated or altered?")
    splits = [original(where, train=train) for train in (True, False)]
    train, test = [(torch.from_numpy(p.data).permute(0, 3, 1, 2), p.targets) for p in splits]
    classes = splits[0].classes
    if n != 500:  # all of them
        train = of_each_class(*train, n, seed, classes, "cifar100")
    return train, test, classes


@dataset(OTHERS, lambda side: {"crop": 32, "flip": True})
def tinyimagenet(root, seed):
    """TinyImageNet [32]: 100,000 + 10,000 JPEGs of 64 pixels, 200 classes, named by their WordNet ids (Q10).

    The official validation split, sorted into classes by its annotations, is the test split, scaled to 32 pixels; the
    official test split has no labels and is not read.  Decoding takes half a minute.
    """
    where = data_folder(root) / "tiny-imagenet-200"
    if root is None and not where.exists():
        url, md5 = "http://cs231n.stanford.edu/tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de"
        fetch = partial(vision.torchvision.datasets.utils.download_and_extract_archive, url, md5=md5)
        download_whole("TinyImageNet", url, where, f"give the folder that holds {where.name}/ as the root", fetch)
    notes = where / "val" / "val_annotations.txt"
    for needed in (where / "train", notes):
        if not needed.exists():
            raise FileNotFoundError(f"{needed} is missing; the root is the folder that holds {where.name}/")
    train = {d.name: image_files(d / "images") for d in sorted((where / "train").iterdir()) if d.is_dir()}
    test = {}
    for row in notes.read_text().splitlines():
        file, _, rest = row.partition("\t")
        test.setdefault(rest.partition("\t")[0], []).append(notes.parent / "images" / file)
    if "" in test:
        raise ValueError(f"{notes}: a line without a class")
    _check_classes(where, train, test)
    return _read(train, 64), _read({name: test[name] for name in train}, 32), list(train)


def data_folder(root):
    """The folder that holds a data set's own folder: the root or, without one, $SKD_DATA or data/."""
    return Path(root or os.environ.get("SKD_DATA", "data"))


def download_whole(name, url, where, advice, fetch):
    """Makes the folder `where` of what `fetch(new)` puts into new/, a temporary folder, under the same name.

    Raises FileNotFoundError with the `advice` if anything goes wrong; an interrupted download leaves nothing.
    """
    with _download(name, url, where.parent, advice):
        where.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=where.parent) as new:
            fetch(new)
            Path(new, where.name).rename(where)


@contextmanager
def _download(name, url, where, advice):
    """Whatever goes wrong with a download becomes a FileNotFoundError that says what to do."""
    try:
        yield
    except Exception as error:  # urllib, ssl, zipfile and torchvision each raise their own
        raise FileNotFoundError(
            f"{name} is not under {where} and could not be downloaded from {url} ({error}); {advice}"
        ) from error


@dataset(CIFAR | {"lr": 0.05, "epochs": 4, "batch": 32}, lambda side: {})
def glyphs(root, seed):
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
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such folder; expected one with train/CLASS/* and test/CLASS/*")
    for part in ("train", "test"):
        if not (path / part).is_dir():
            raise FileNotFoundError(f"{path}: no folder {part}/; expected train/CLASS/* and test/CLASS/*")
        folders = [d for d in sorted((path / part).iterdir()) if d.is_dir() and not d.name.startswith(".")]
        parts.append({d.name: image_files(d) for d in folders})
    train, test = parts
    _check_classes(path, train, test)
    warn_of_others(path, {file for part in parts for files in part.values() for file in files})
    sides = sorted(shorter_side(file) for files in train.values() for file in files)
    side = max((s for s in SIDES if s <= sides[len(sides) // 2]), default=SIDES[0])
    return *(_read(part, side) for part in parts), list(train)


def _check_classes(path, train, test):
    if len(train) < 2:
        raise ValueError(f"{path / 'train'}: {len(train)} class; a classifier needs at least 2")
    if train.keys() != test.keys():
        odd = {"train/": sorted(train.keys() - test.keys()), "test/": sorted(test.keys() - train.keys())}
        said = " and ".join(f"only {part} has {', '.join(names)}" for part, names in odd.items() if names)
        raise ValueError(f"{path}: both splits must hold the same classes; {said}")


def _read(part, side):
    """The images of {class: files}, scaled and centre-cropped to `side`: uint8 (N, 3, side, side), and labels."""
    files = [(file, label) for label, files in enumerate(part.values()) for file in files]
    images = np.empty((len(files), side, side, 3), dtype=np.uint8)
    for i, image in enumerate(squares([file for file, _ in files], side)):
        images[i] = image
    return torch.from_numpy(images).permute(0, 3, 1, 2), [label for _, label in files]
