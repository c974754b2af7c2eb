"""The paper's three data sets of large images (section V-A): Caltech101, Stanford Dogs and CUB200.

Each is a `Source`, which says where the files come from and how they are split, and an entry under `@dataset`.  Images
are resized once, to `side` pixels: 224 as in the paper, or another number that is part of the name, as in
caltech101(side=64).
"""

import hashlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from skdcore import vision
from skdcore.datasets import OTHERS, data_folder, dataset, download_whole
from skdcore.image_files import image_files
from skdcore.resized import resized

COUNTS = {  # as published; with any other, files are missing or altered
    "Caltech101": {"classes": 101, "images": 8_677},
    "Stanford Dogs": {"classes": 120, "training images": 12_000, "test images": 8_580},
    "CUB200": {"classes": 200, "training images": 5_994, "test images": 5_794},
}
TRAIN, TEST = slice(30), slice(30, 80)  # of a class of Caltech101


class Source(NamedTuple):
    """Where a data set comes from and how it is split.

    `fetch(new)` downloads the data set and unpacks it into new/FOLDER.  `splits(where)` gives {class: files} of the
    training and of the test split in the folder `where`; it raises FileNotFoundError for a list that is missing and
    ValueError for one that is damaged, and unless there are as many files as published.
    """

    title: str
    folder: str
    urls: list  # of its archives
    unpack: str  # what to do with them by hand; {where} is the folder, {root} the one that holds it
    fetch: object
    splits: object


def boxes(side):
    """Random boxes of an image, scaled to its own side, and flips: what TinyImageNet has (Q10)."""
    return {"crop": side, "flip": True}


# The mini-batch is 64 for large images (Q8, in `Run.settings`); below 128 pixels it is 128, as for TinyImageNet.
large = dataset(OTHERS, boxes)


# --- Caltech101 ---


def _caltech101(where):
    folders = [d for d in sorted((where / "101_ObjectCategories").iterdir()) if d.is_dir()]
    classes = {d.name: sorted(image_files(d), key=_chance) for d in folders if d.name != "BACKGROUND_Google"}
    _check(where, "Caltech101", {"classes": len(classes), "images": len(_all(classes))})
    train, test = ({name: sorted(files[part]) for name, files in classes.items()} for part in (TRAIN, TEST))
    return train, test


def _chance(file):
    """A value as good as random, but the same everywhere: the sha256 of CLASS/FILE."""
    return hashlib.sha256(f"{file.parent.name}/{file.name}".encode()).digest()


CALTECH101 = Source(
    title="Caltech101",
    folder="caltech101",
    urls=["https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip"],
    unpack="unpack its 101_ObjectCategories.tar.gz in {where}",
    fetch=lambda new: vision.torchvision.datasets.Caltech101(new, download=True),
    splits=_caltech101,
)


@large
def caltech101(root, seed, side=224):
    """Caltech101: 3,030 + 2,945 images of 101 classes; the background class is left out, as torchvision does.

    It has no official split (Q29).  Here each class's files are ordered by the sha256 of CLASS/FILE; the first 30 are
    the training images, the next 50, or as many as there are, the test images.  This split is the same in every run.
    """
    return _read(CALTECH101, root, side)


# --- Stanford Dogs ---


def _stanford_dogs(where):
    listed = [_listed(where / f"{split}_list.mat") for split in ("train", "test")]
    classes = sorted({name.partition("/")[0] for names in listed for name in names})
    train, test = ({name: [] for name in classes} for _ in listed)
    for split, names in zip((train, test), listed, strict=True):
        for name in names:
            split[name.partition("/")[0]].append(where / "Images" / name)
    _check_lists(where, "Stanford Dogs", train, test)
    return train, test


def _listed(file):
    """The names CLASS/FILE in one of Stanford's lists."""
    from scipy.io import loadmat  # slow to import

    with file.open("rb") as opened:
        try:
            return [str(cell.item()) for cell in loadmat(opened)["file_list"].flat]
        except Exception as error:  # scipy raises many kinds
            raise ValueError(f"{file}: not a list of images ({error}); truncated or altered?") from error


def _fetch_stanford_dogs(new):
    to = Path(new, STANFORD_DOGS.folder)
    for url, md5 in zip(STANFORD_DOGS.urls, DOGS_MD5, strict=True):
        vision.torchvision.datasets.utils.download_and_extract_archive(url, new, to, md5=md5)


# The MD5 sums that several public repositories give; Stanford publishes none.
DOGS_MD5 = "1bb1f2a596ae7057f99d7d75860002ef", "edbb9f16854ec66506b5f09b583e0656"
STANFORD_DOGS = Source(
    title="Stanford Dogs",
    folder="stanford_dogs",
    urls=[f"http://vision.stanford.edu/aditya86/ImageNetDogs/{name}.tar" for name in ("images", "lists")],
    unpack="unpack both in {where}",
    fetch=_fetch_stanford_dogs,
    splits=_stanford_dogs,
)


@large
def stanford_dogs(root, seed, side=224):
    """Stanford Dogs: 12,000 + 8,580 images of 120 breeds, named as in its archive; the official split (Q29)."""
    return _read(STANFORD_DOGS, root, side)


# --- CUB200 ---


def _cub200(where):
    lists = ("images", "image_class_labels", "train_test_split", "classes")
    names, labels, training, classes = (_table(where / f"{name}.txt") for name in lists)
    train, test = ({name: [] for name in classes.values()} for _ in range(2))
    for number, name in names.items():
        try:
            split = {"1": train, "0": test}[training[number]]
            split[classes[labels[number]]].append(where / "images" / name)
        except KeyError as error:
            raise ValueError(f"{where}: the lists do not fit each other; no {error} for image {number}") from error
    _check_lists(where, "CUB200", train, test)
    return train, test


def _table(file):
    """A list of CUB200, two words a line, as a dict."""
    rows = [line.split() for line in file.read_text(errors="replace").splitlines()]
    if odd := [i for i, row in enumerate(rows, start=1) if len(row) != 2]:
        raise ValueError(f"{file}: line {odd[0]} has not two words; truncated or altered?")
    return dict(rows)


def _fetch_cub200(new):
    name, md5 = "CUB_200_2011.tgz", "97eceeb196236b17998738112f37df78"
    vision.torchvision.datasets.utils.download_and_extract_archive(*CUB200.urls, new, filename=name, md5=md5)


CUB200 = Source(
    title="CUB200",
    folder="CUB_200_2011",
    urls=["https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz?download=1"],
    unpack="unpack it in {root}",
    fetch=_fetch_cub200,
    splits=_cub200,
)


@large
def cub200(root, seed, side=224):
    """CUB200 (CUB-200-2011): 5,994 + 5,794 images of 200 kinds of birds; the official split (Q29)."""
    return _read(CUB200, root, side)


# --- what they share ---


def _read(source, root, side):
    """The splits and classes of a source.  All images are one cache, of which each split is a part."""
    where = data_folder(root) / source.folder
    urls, unpack = " and ".join(source.urls), source.unpack.format(where=where, root=where.parent)
    if root is None and not where.exists():
        advice = f"{unpack} by hand, or give the folder that holds {source.folder}/ as the root"
        download_whole(source.title, urls, where, advice, lambda new: _fetch(source, new))
    try:
        train, test = source.splits(where)
        images = resized(_all(train) + _all(test), side, where)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error.filename} is missing; fetch {urls} and {unpack}") from error
    labels = [label for split in (train, test) for label, files in enumerate(split.values()) for _ in files]
    n = len(_all(train))
    return (images[:n], labels[:n]), (images[n:], labels[n:]), list(train)


def _fetch(source, new):
    """Downloads, and makes sure that nothing is missing: a truncated archive may well be unpacked without a word."""
    source.fetch(new)
    for split in source.splits(Path(new, source.folder)):
        for file in _all(split):
            file.stat()


def _all(split):
    return [file for files in split.values() for file in files]


def _check_lists(where, title, train, test):
    if twice := [file for file, times in Counter(_all(train) + _all(test)).items() if times > 1]:
        raise ValueError(f"{twice[0]} is in the lists of {title} twice")
    counts = {"classes": len(train), "training images": len(_all(train)), "test images": len(_all(test))}
    _check(where, title, counts)


def _check(where, title, counts):
    """Raises ValueError unless the counts are those of `COUNTS`."""
    found, published = (" and ".join(f"{n:,} {what}" for what, n in c.items()) for c in (counts, COUNTS[title]))
    if found != published:
        raise ValueError(f"{where}: {found}, but {title} has {published}; truncated or altered?")
