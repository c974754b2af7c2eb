"""Caltech101, Stanford Dogs and CUB200: their files, splits and downloads, and the cache of resized images."""

import hashlib
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import files
from PIL import Image
from scipy.io import savemat

from skdcore import fine_grained, resized, vision
from skdcore.data import checksum, load, load_cached
from skdcore.image_files import squares
from skdcore.train import Run, train

REAL = Path(os.environ.get("SKD_DATA", "data"))
FOLDERS = {"caltech101": "caltech101", "stanford_dogs": "stanford_dogs", "cub200": "CUB_200_2011"}
SIDE = 16
SIZES = {"Faces": 33, "ant": 31, "wrench": 90}  # of Caltech101's classes, as made here
BREEDS = {"n02085620-Chihuahua": (4, 3), "n02085782-Japanese_spaniel": (4, 2)}
BIRDS = {"001.Black_footed_Albatross": (3, 2), "002.Laysan_Albatross": (2, 3), "003.Sooty_Albatross": (3, 1)}


def save(file, level):
    """A small image, wider than high, of about the given brightness."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(level).integers(level, level + 20, (18, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "JPEG")


def make_caltech101(root):
    categories = root / "caltech101" / "101_ObjectCategories"
    for label, (name, size) in enumerate(SIZES.items()):
        for i in range(1, size + 1):
            save(categories / name / f"image_{i:04}.jpg", 70 * label)
    save(categories / "BACKGROUND_Google" / "image_0001.jpg", 230)


def make_stanford_dogs(root):
    top, lists = root / "stanford_dogs", {"train": [], "test": []}
    for label, (name, sizes) in enumerate(BREEDS.items()):
        for i in range(sum(sizes)):
            lists["train" if i < sizes[0] else "test"].append(f"{name}/{name[:9]}_{i}.jpg")
            save(top / "Images" / lists["train" if i < sizes[0] else "test"][-1], 70 * label)
    for split, names in lists.items():
        dogs(top / f"{split}_list.mat", names)


def dogs(file, names):
    """A list as Stanford's: a column of cells."""
    cells = np.empty((len(names), 1), dtype=object)
    cells[:, 0] = names
    savemat(file, {"file_list": cells, "labels": np.zeros((len(names), 1))})


def make_cub200(root):
    top, lists, number = root / "CUB_200_2011", {}, 0
    for label, (name, sizes) in enumerate(BIRDS.items()):
        lists.setdefault("classes", []).append(f"{label + 1} {name}")
        for i in range(sum(sizes)):
            number += 1
            lists.setdefault("images", []).append(f"{number} {name}/{name[4:]}_{i:04}_{number}.jpg")
            lists.setdefault("image_class_labels", []).append(f"{number} {label + 1}")
            lists.setdefault("train_test_split", []).append(f"{number} {int(i >= sizes[1])}")
            save(top / "images" / f"{name}/{name[4:]}_{i:04}_{number}.jpg", 70 * label)
    for name, lines in lists.items():
        (top / f"{name}.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def originals(tmp_path_factory):
    """A root with all three data sets in the layout of their archives, of a few small images each."""
    root = tmp_path_factory.mktemp("originals")
    make_caltech101(root)
    make_stanford_dogs(root)
    make_cub200(root)
    return root


@pytest.fixture
def root(originals, tmp_path, monkeypatch):
    """A copy of them, to be spoilt, and the counts that they have.  Caches elsewhere lie below the test's folder."""
    counts = {
        "Caltech101": {"classes": 3, "images": 154},
        "Stanford Dogs": {"classes": 2, "training images": 8, "test images": 5},
        "CUB200": {"classes": 3, "training images": 8, "test images": 6},
    }
    monkeypatch.setattr(fine_grained, "COUNTS", counts)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    return Path(shutil.copytree(originals, tmp_path / "root"))


@pytest.fixture
def built(monkeypatch):
    """The files of which a cache is built, one list for each time."""
    times = []

    def counted(files, side):
        times.append(files)
        return squares(files, side)

    monkeypatch.setattr(resized, "squares", counted)
    return times


def small(name):
    return f"{name}(side={SIDE})"


# --- names ---


@pytest.mark.parametrize("name", FOLDERS)
def test_224_pixels_is_the_default_and_not_in_the_name(name):
    assert Run(f"{name}( side = 224 )", "resnet18", "vanilla").dataset == name
    assert Run(f"{name}( side = 64 )", "resnet18", "vanilla").dataset == f"{name}(side=64)"


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize(
    "side, words",
    [
        ("0", r"\(side=0\): side must be 16 to 512"),
        ("-64", r"\(side=-64\): side must be 16 to 512"),
        ("15", r"\(side=15\): side must be 16 to 512"),
        ("513", r"\(side=513\): side must be 16 to 512"),
        ("64.0", r"\(side=64.0\): side takes int, such as 224"),
        ("'64'", r"\(side='64'\): side takes int, such as 224"),
        ("True", r"\(side=True\): side takes int, such as 224"),
    ],
)
def test_a_bad_side_is_refused_and_named(name, side, words):
    with pytest.raises(ValueError, match=name + words):
        Run(f"{name}(side={side})", "resnet18", "vanilla")


@pytest.mark.parametrize(
    "wrong, near",
    [("caltech", "caltech101"), ("caltech256", "caltech101"), ("stanford", "stanford_dogs"), ("cub", "cub200")],
)
def test_near_names_are_named(wrong, near):
    with pytest.raises(ValueError, match=f"unknown data set '{wrong}'; did you mean {near}"):
        load(wrong)


def test_large_images_are_trained_in_batches_of_64_and_small_ones_of_128():
    class Split(list):
        side = 224

    run = Run("cub200", "resnet18", "vanilla")
    batches = {}
    for Split.side in (224, 128, 64):
        batches[Split.side] = run.settings(train=Split(range(1000)))["batch"]
    assert batches == {224: 64, 128: 64, 64: 128}
    settings = run.settings()
    assert (settings["gamma"], settings["milestones"], settings["epochs"]) == (0.1, [0.5, 0.75], 200)


# --- splits ---


@pytest.mark.parametrize(
    "name, classes, counts",
    [
        ("caltech101", sorted(SIZES), ([30, 30, 30], [3, 1, 50])),
        ("stanford_dogs", sorted(BREEDS), ([4, 4], [3, 2])),
        ("cub200", sorted(BIRDS), ([3, 2, 3], [2, 3, 1])),
    ],
)
def test_the_splits_are_the_published_ones_and_each_image_has_its_class(root, name, classes, counts):
    splits = load(small(name), root)
    for split, expected in zip(splits, counts, strict=True):
        assert split.classes == classes and split.counts.tolist() == expected
        assert split.images.shape == (sum(expected), 3, SIDE, SIDE) and split.images.dtype == torch.uint8
        level = split.images.float().mean(dim=(1, 2, 3))
        assert torch.equal((level - 10).div(70).round().long(), split.labels), "each has its class's brightness"
    assert (splits[0].crop, splits[0].flip, splits[0].padding) == (SIDE, True, 0)
    assert (splits[1].crop, splits[1].flip, splits[1].padding) == (0, False, 0)
    assert splits[0].view(torch.arange(4)).shape == (4, 3, SIDE, SIDE)


def test_an_image_is_scaled_to_its_shorter_side_and_cropped_at_the_centre(root):
    file = root / "CUB_200_2011/images/001.Black_footed_Albatross/Black_footed_Albatross_0002_3.jpg"
    first = load(small("cub200"), root)[0].images[0]
    with Image.open(file) as image:
        scaled = np.asarray(image.resize((21, 16), Image.Resampling.BILINEAR))
    assert np.array_equal(first.permute(1, 2, 0), scaled[:, 2:18]), "24 x 18 -> 21 x 16, of which 16 x 16"


def test_the_split_of_caltech101_is_one_and_the_same_whatever_the_seed_and_the_other_classes(root):
    before = torch.get_rng_state()
    split = fine_grained.CALTECH101.splits(root / "caltech101")
    assert torch.equal(torch.get_rng_state(), before)
    names = [f"image_{i:04}.jpg" for i in range(1, 91)]
    drawn = sorted(names, key=lambda name: hashlib.sha256(f"wrench/{name}".encode()).hexdigest())
    assert [file.name for file in split[0]["wrench"]] == sorted(drawn[:30])
    assert [file.name for file in split[1]["wrench"]] == sorted(drawn[30:80])
    assert checksum(*load(small("caltech101"), root, seed=1)) == checksum(*load(small("caltech101"), root, seed=2))
    for name, size in SIZES.items():
        assert len({*split[0][name], *split[1][name]}) == min(size, 80), "no image is in both"
    shutil.rmtree(root / "caltech101/101_ObjectCategories/Faces")
    fine_grained.COUNTS["Caltech101"] = {"classes": 2, "images": 121}
    assert fine_grained.CALTECH101.splits(root / "caltech101")[0]["wrench"] == split[0]["wrench"]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_data_set_trains(root, tmp_path, name):
    load_cached.cache_clear()
    run = Run(f"{name}(side=32)", "resnet10_w16", "vanilla", epochs=1)
    record = train(run, "cpu", root=root, results=tmp_path / "results", progress=False)
    assert record["state"] == "finished" and record["run"]["dataset"] == f"{name}(side=32)"
    assert record["provenance"]["data_sha256"] == checksum(*load(run.dataset, root))
    load_cached.cache_clear()


# --- what may be wrong with the files ---

MISSING = [
    ("caltech101", "", r"101_ObjectCategories is missing; fetch https://data.caltech.edu/\S*caltech-101.zip and"),
    ("caltech101", "101_ObjectCategories", "101_ObjectCategories is missing; fetch .* in .*root/caltech101$"),
    ("stanford_dogs", "", r"train_list.mat is missing; fetch http://\S*images.tar and http://\S*lists.tar and"),
    ("stanford_dogs", "test_list.mat", "test_list.mat is missing; fetch .* unpack both in .*root/stanford_dogs$"),
    ("stanford_dogs", "Images", r"Images/n02085620-Chihuahua/n02085620_0.jpg is missing; fetch .*images.tar"),
    ("stanford_dogs", "Images/n02085782-Japanese_spaniel/n02085782_5.jpg", "n02085782_5.jpg is missing"),
    ("cub200", "", r"images.txt is missing; fetch https://data.caltech.edu/\S*CUB_200_2011.tgz\S* and .* in .*root$"),
    ("cub200", "images.txt", "images.txt is missing; fetch"),
    ("cub200", "image_class_labels.txt", "image_class_labels.txt is missing; fetch"),
    ("cub200", "train_test_split.txt", "train_test_split.txt is missing; fetch"),
    ("cub200", "classes.txt", "classes.txt is missing; fetch"),
    ("cub200", "images/002.Laysan_Albatross/Laysan_Albatross_0004_10.jpg", "Laysan_Albatross_0004_10.jpg is missing"),
]


@pytest.mark.parametrize("name, file, words", MISSING)
def test_what_is_missing_is_named_and_where_to_get_it_and_nothing_is_downloaded_under_a_given_root(
    root, monkeypatch, name, file, words
):
    monkeypatch.setattr(fine_grained, "download_whole", None)
    path = root / FOLDERS[name] / file
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(FileNotFoundError, match=words):
        load(small(name), root)
    assert not list(root.rglob("resized*"))


def change(file, old, new, times=1):
    text = file.read_text()
    assert text.count(old) == times
    file.write_text(text.replace(old, new))


HARM = {
    "an image of Caltech101 too few": (
        "caltech101",
        lambda top: (top / "101_ObjectCategories/wrench/image_0090.jpg").unlink(),
        "3 classes and 153 images, but Caltech101 has 3 classes and 154 images; truncated",
    ),
    "a class of Caltech101 too few": (
        "caltech101",
        lambda top: shutil.rmtree(top / "101_ObjectCategories/ant"),
        "2 classes and 123 images, but Caltech101 has",
    ),
    "an empty class of Caltech101": (
        "caltech101",
        lambda top: [f.unlink() for f in (top / "101_ObjectCategories/ant").iterdir()],
        "ant: an empty class",
    ),
    "a list of Dogs too short": (
        "stanford_dogs",
        lambda top: dogs(top / "train_list.mat", [f"n02085620-Chihuahua/n02085620_{i}.jpg" for i in range(4)]),
        "2 classes and 4 training images and 5 test images, but Stanford Dogs has .* 8 training images and 5 test",
    ),
    "an image of Dogs in both lists": (
        "stanford_dogs",
        lambda top: dogs(top / "test_list.mat", [f"n02085620-Chihuahua/n02085620_{i}.jpg" for i in range(5)]),
        "n02085620_0.jpg is in the lists of Stanford Dogs twice",
    ),
    "a truncated list of Dogs": (
        "stanford_dogs",
        lambda top: (top / "train_list.mat").write_bytes((top / "train_list.mat").read_bytes()[:200]),
        r"train_list.mat: not a list of images \(.*\); truncated",
    ),
    "another matrix of Dogs": (
        "stanford_dogs",
        lambda top: savemat(top / "test_list.mat", {"x": 1}),
        r"test_list.mat: not a list of images \('file_list'\)",
    ),
    "an empty list of CUB": (
        "cub200",
        lambda top: (top / "images.txt").write_text(""),
        "3 classes and 0 training images and 0 test images, but CUB200 has",
    ),
    "a list of CUB cut in the middle of a line": (
        "cub200",
        lambda top: change(top / "images.txt", " 003.Sooty_Albatross/Sooty_Albatross_0003_14.jpg\n", ""),
        "images.txt: line 14 has not two words",
    ),
    "labels of CUB cut": (
        "cub200",
        lambda top: change(top / "image_class_labels.txt", "14 3\n", ""),
        "the lists do not fit each other; no '14' for image 14",
    ),
    "a class of CUB that is none": (
        "cub200",
        lambda top: change(top / "image_class_labels.txt", "14 3\n", "14 9\n"),
        "the lists do not fit each other; no '9' for image 14",
    ),
    "a split of CUB that is none": (
        "cub200",
        lambda top: change(top / "train_test_split.txt", "14 1\n", "14 2\n"),
        "the lists do not fit each other; no '2' for image 14",
    ),
    "an image of CUB in the other split": (
        "cub200",
        lambda top: change(top / "train_test_split.txt", "14 1\n", "14 0\n"),
        "7 training images and 7 test images, but CUB200 has 3 classes and 8 training images and 6 test images",
    ),
    "an image of CUB twice": (
        "cub200",
        lambda top: change(top / "images.txt", "Sooty_Albatross_0003_14", "Sooty_Albatross_0002_13"),
        "Sooty_Albatross_0002_13.jpg is in the lists of CUB200 twice",
    ),
    "a truncated image": (
        "cub200",
        lambda top: [f.write_bytes(f.read_bytes()[:300]) for f in top.rglob("Sooty_Albatross_0002_13.jpg")],
        "Sooty_Albatross_0002_13.jpg: not a readable image",
    ),
}


@pytest.mark.parametrize("name, harm, words", HARM.values(), ids=HARM)
def test_damaged_files_are_named_and_nothing_half_written_stays(root, name, harm, words):
    harm(root / FOLDERS[name])
    with pytest.raises(ValueError, match=words):
        load(small(name), root)
    assert not [file for file in files(root) if "resized" in file]


# --- downloads ---


@pytest.fixture
def archives(root, tmp_path, monkeypatch):
    """The archives of all three data sets, of which downloads are served; a root for them in SKD_DATA."""
    made, utils = tmp_path / "archives", vision.torchvision.datasets.utils
    made.mkdir()
    with tarfile.open(made / "CUB_200_2011.tgz", "w:gz") as tar:
        tar.add(root / "CUB_200_2011", "CUB_200_2011")
    with tarfile.open(made / "images.tar", "w") as tar:
        tar.add(root / "stanford_dogs/Images", "Images")
    with tarfile.open(made / "lists.tar", "w") as tar:
        for split in ("train", "test"):
            tar.add(root / f"stanford_dogs/{split}_list.mat", f"{split}_list.mat")
    with tarfile.open(made / "101_ObjectCategories.tar.gz", "w:gz") as tar:
        tar.add(root / "caltech101/101_ObjectCategories", "101_ObjectCategories")
    with zipfile.ZipFile(made / "caltech-101.zip", "w") as whole:
        whole.write(made / "101_ObjectCategories.tar.gz", "caltech-101/101_ObjectCategories.tar.gz")

    def download_url(url, root, filename=None, md5=None):
        name = filename or url.rpartition("/")[2]
        assert md5, "every archive is checked"
        Path(root).mkdir(parents=True, exist_ok=True)
        shutil.copy(made / name, Path(root) / name)

    monkeypatch.setattr(utils, "download_url", download_url)
    monkeypatch.setenv("SKD_DATA", str(tmp_path / "downloaded"))
    return made


@pytest.mark.parametrize("name", FOLDERS)
def test_a_data_set_is_downloaded_once_without_a_root(root, archives, monkeypatch, name):
    parts = load(small(name))
    assert checksum(*parts) == checksum(*load(small(name), root))
    assert [path.name for path in (archives.parent / "downloaded").iterdir()] == [FOLDERS[name]]
    monkeypatch.setattr(fine_grained, "download_whole", None)
    assert len(load(small(name))[0]) == len(parts[0])


@pytest.mark.parametrize(
    "name, archive, kept",
    [
        ("caltech101", "caltech-101.zip", 0.5),
        ("stanford_dogs", "images.tar", 0.5),
        ("stanford_dogs", "lists.tar", 0.3),
        ("cub200", "CUB_200_2011.tgz", 0.5),
        ("cub200", "CUB_200_2011.tgz", 0),
    ],
)
def test_a_truncated_archive_is_refused_and_nothing_of_it_stays(archives, name, archive, kept):
    whole = (archives / archive).read_bytes()
    (archives / archive).write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(FileNotFoundError, match=rf"could not be downloaded from .*{archive}.*; unpack .* as the root"):
        load(small(name))
    assert list((archives.parent / "downloaded").iterdir()) == []


def test_an_archive_that_ends_between_two_files_is_refused_too(archives):
    """To tarfile such an archive is whole, so the files are counted before the folder takes its name."""
    with tarfile.open(archives / "images.tar") as tar:
        end = tar.getmembers()[-1].offset
    with (archives / "images.tar").open("r+b") as file:
        file.truncate(end)
    with pytest.raises(FileNotFoundError, match=r"Stanford Dogs .* could not be downloaded .*No such file"):
        load(small("stanford_dogs"))
    assert list((archives.parent / "downloaded").iterdir()) == []


@pytest.mark.parametrize("name", FOLDERS)
def test_without_a_network_the_message_says_what_to_fetch_from_where_and_where_to_put_it(archives, name, monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(vision.torchvision.datasets.utils, "download_url", offline)
    words = rf"from https?://.*(zip|tar|tgz)\S* \(no network\); unpack .* in \S*downloaded.*holds {FOLDERS[name]}/ as"
    with pytest.raises(FileNotFoundError, match=words):
        load(small(name))


# --- the cache ---


def cache(root, name="cub200", side=SIDE):
    return root / FOLDERS[name] / f"resized-{side}.bin"


def test_images_are_resized_once(root, built):
    first = checksum(*load(small("cub200"), root))
    assert checksum(*load(small("cub200"), root)) == first and len(built) == 1
    load("cub200(side=24)", root)
    assert len(built) == 2, "another side is another cache"
    load(small("cub200"), root)
    assert len(built) == 2, "and both stay"


def test_the_cache_holds_what_the_files_hold_in_the_order_of_the_splits(root):
    parts = load(small("cub200"), root)
    listed = [file for split in fine_grained.CUB200.splits(root / "CUB_200_2011") for file in sum(split.values(), [])]
    expected = np.stack(list(squares(listed, SIDE)))
    assert np.array_equal(torch.cat([part.images for part in parts]).permute(0, 2, 3, 1), expected)
    assert cache(root).read_bytes()[: expected.size] == expected.tobytes()


def test_no_image_is_copied_into_memory(root, monkeypatch):
    """Both splits' tensors are the mapped file: the test images begin where the training images end."""
    maps, memmap = [], np.memmap
    monkeypatch.setattr(np, "memmap", lambda *values, **options: maps.append(memmap(*values, **options)) or maps[-1])
    train, test = load(small("cub200"), root)
    assert train.images.is_contiguous(memory_format=torch.channels_last)
    assert train.images.data_ptr() == maps[-1].ctypes.data and maps[-1].mode == "c"
    assert test.images.data_ptr() == train.images.data_ptr() + train.images.numel()


def test_a_change_of_the_tensor_does_not_change_the_file(root, built):
    parts = load(small("cub200"), root)
    before = checksum(*parts)
    parts[0].images[0] = 0
    assert checksum(*parts) != before and checksum(*load(small("cub200"), root)) == before and len(built) == 1


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "first byte": lambda path: flip(path, 0),
    "a byte in the middle": lambda path: flip(path, 4001),
    "last pixel": lambda path: flip(path, 14 * SIDE * SIDE * 3 - 1),
    "checksum": lambda path: flip(path, -2),
    "stamp": lambda path: flip(path, 14 * SIDE * SIDE * 3),
    "last byte gone": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "half": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "one byte more": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cache_is_built_anew(root, built, damage):
    before = checksum(*load(small("cub200"), root))
    whole = cache(root).read_bytes()
    damage(cache(root))
    assert checksum(*load(small("cub200"), root)) == before and len(built) == 2
    assert cache(root).read_bytes() == whole


IMAGE = "CUB_200_2011/images/003.Sooty_Albatross/Sooty_Albatross_0002_13.jpg"


def renamed(root, monkeypatch):
    (root / IMAGE).rename(root / IMAGE.replace("0002_13", "0002_99"))
    change(root / "CUB_200_2011/images.txt", "0002_13", "0002_99")


def resorted(root, monkeypatch):
    change(root / "CUB_200_2011/train_test_split.txt", "1 0\n", "1 1\n", times=2)  # lines 1 and 11
    change(root / "CUB_200_2011/train_test_split.txt", "14 1\n", "14 0\n")
    change(root / "CUB_200_2011/train_test_split.txt", "13 1\n", "13 0\n")


STALE = {
    "size": lambda root, _: (root / IMAGE).write_bytes((root / IMAGE).read_bytes() + b"\0"),
    "time": lambda root, _: os.utime(root / IMAGE, ns=(0, 10**18)),
    "name": renamed,
    "split": resorted,
    "rule": lambda _, monkeypatch: monkeypatch.setattr(resized, "RULE", resized.RULE + 1),
    "Pillow": lambda _, monkeypatch: monkeypatch.setattr(resized.PIL, "__version__", "0.1"),
}


@pytest.mark.parametrize("harm", STALE.values(), ids=STALE)
def test_a_stale_cache_is_built_anew(root, built, monkeypatch, harm):
    load(small("cub200"), root)
    harm(root, monkeypatch)
    for _ in range(2):
        load(small("cub200"), root)
    assert len(built) == 2


def test_a_folder_that_moved_keeps_its_cache(root, built):
    load(small("cub200"), root)
    root.rename(root.with_name("moved"))
    load(small("cub200"), root.with_name("moved"))
    assert len(built) == 1


@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_build_leaves_nothing(root, monkeypatch, kind):
    def interrupted(files, side):
        for i, image in enumerate(squares(files, side)):
            if i == 9:
                raise kind
            yield image

    monkeypatch.setattr(resized, "squares", interrupted)
    with pytest.raises((KeyboardInterrupt, OSError)) as error:
        load(small("cub200"), root)
    if isinstance(kind, OSError):
        assert str(cache(root)) in str(error.value)
    assert not [file for file in files(root) if "resized" in file]


def test_what_a_killed_build_left_is_overwritten(root):
    left = cache(root).with_suffix(".tmp")
    left.write_bytes(bytes(10**6))
    load(small("cub200"), root)
    assert not left.exists() and cache(root).stat().st_size < 10**6


def test_a_stale_cache_stays_until_the_new_one_is_complete(root, monkeypatch):
    load(small("cub200"), root)
    whole = cache(root).read_bytes()
    os.utime(root / IMAGE, ns=(0, 0))
    (root / IMAGE).write_bytes(b"no image")
    with pytest.raises(ValueError, match="not a readable image"):
        load(small("cub200"), root)
    assert cache(root).read_bytes() == whole


BUILDER = """
import sys
from skdcore import fine_grained, resized
from skdcore.data import checksum, load

fine_grained.COUNTS["CUB200"] = {"classes": 3, "training images": 8, "test images": 6}
squares = resized.squares

def counted(files, side):
    print("built", flush=True)
    return squares(files, side)

resized.squares = counted
print("ready", flush=True)
sys.stdin.readline()
print(checksum(*load(sys.argv[1], sys.argv[2])))
"""


def test_of_two_processes_that_start_at_once_one_builds_the_cache_and_both_have_it(root, python):
    both = [python("-c", BUILDER, small("cub200"), root, stdin=-1) for _ in range(2)]
    assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120) for process in both]
    words = [out.split() for out, _ in said]
    assert sorted(map(len, words)) == [1, 2], said
    assert {each[-1] for each in words} == {checksum(*load(small("cub200"), root))}
    assert [file for file in files(root) if "resized" in file] == [f"CUB_200_2011/resized-{SIDE}.bin"]


def test_the_second_of_two_builders_takes_the_cache_of_the_first(root, built, monkeypatch):
    """The first finishes while the second waits for the lock."""

    class Lock(resized.FileLock):
        def __enter__(self):
            if not waited:
                waited.append(True)
                load(small("cub200"), root)
            return super().__enter__()

    waited = []
    monkeypatch.setattr(resized, "FileLock", Lock)
    load(small("cub200"), root)
    assert waited and len(built) == 1


def test_the_cache_of_a_read_only_folder_lies_below_the_users_cache_directory(root, built, tmp_path, monkeypatch):
    folder, before = root / "CUB_200_2011", files(root)
    monkeypatch.setattr(resized.os, "access", lambda path, mode: Path(path) != folder)
    first = checksum(*load(small("cub200"), root))
    assert checksum(*load(small("cub200"), root)) == first and len(built) == 1
    assert files(root) == before
    assert (tmp_path / "user/skdcore" / folder.relative_to("/") / f"resized-{SIDE}.bin").is_file()


def test_a_cache_in_a_folder_that_became_read_only_is_used(root, built, monkeypatch):
    load(small("cub200"), root)
    monkeypatch.setattr(resized.os, "access", lambda path, mode: False)
    load(small("cub200"), root)
    assert len(built) == 1


def test_the_rule_of_resizing_makes_these_pixels(tmp_path):
    """If this fails, `squares` makes other pixels than before: raise `resized.RULE` and note the new checksum."""
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "0.png")
    (image,) = squares([tmp_path / "0.png"], 32)
    assert (resized.RULE, resized.zlib.crc32(image)) == (1, 3565870500)


# --- the real ones ---


@pytest.mark.parametrize("name, n", [("caltech101", 3030), ("stanford_dogs", 12_000), ("cub200", 5994)])
def test_real_data_sets_have_their_published_numbers(name, n, tmp_path, monkeypatch):
    monkeypatch.setattr(resized.os, "access", lambda path, mode: False)  # the cache lies elsewhere
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if not (REAL / FOLDERS[name]).is_dir():
        pytest.skip(f"no {FOLDERS[name]}/ under {REAL} (set SKD_DATA)")
    train, test = load(f"{name}(side=32)", REAL)
    assert len(train) == n and (train.counts > 0).all() and (test.counts > 0).all()
