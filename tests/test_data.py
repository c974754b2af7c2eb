"""Data sets: views against a slow literal loop, partners, glyphs, files of CIFAR-100 and TinyImageNet, folders."""

import hashlib
import lzma
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import files
from PIL import Image

from skdcore import datasets, vision
from skdcore.data import MEAN, STD, Data, checksum, load, load_cached, load_run
from skdcore.resized_crop import resized_crop
from skdcore.train import Run, train, trained_network

CIFAR = Path(os.environ.get("SKD_DATA", "data"))
needs_cifar = pytest.mark.skipif(
    not (CIFAR / "cifar-100-python" / "train").is_file(), reason=f"no real CIFAR-100 under {CIFAR} (set SKD_DATA)"
)


def some(n=40, side=16, **options):
    """Random images of 4 classes, of which class 2 has one image."""
    images = torch.randint(256, (n, 3, side, side), dtype=torch.uint8)
    labels = torch.tensor([0, 1, 3])[torch.randint(3, (n,))]
    labels[7] = 2
    return Data(images, labels, "abcd", **options)


# --- views ---


def normalised(pixel, channel):
    return (pixel / 255 - MEAN[channel]) / STD[channel]


@pytest.mark.parametrize("flip", [True, False])
def test_a_view_is_crop_flip_and_normalisation_of_each_image_over_the_same_random_draws(flip):
    part, index = some(padding=2, flip=flip), torch.tensor([3, 11, 3, 39, 0, 25])
    torch.manual_seed(5)
    got = part.view(index)
    torch.manual_seed(5)
    rows, columns = torch.randint(5, (6, 1)), torch.randint(5, (6, 1))
    mirrored = torch.rand(6, 1) < 0.5 if flip else torch.zeros(6, 1)
    expected = torch.empty(6, 3, 16, 16)
    for i, chosen in enumerate(index):
        for c in range(3):
            for h in range(16):
                for w in range(16):
                    y, x = h + rows[i] - 2, (15 - w if mirrored[i] else w) + columns[i] - 2
                    inside = 0 <= y < 16 and 0 <= x < 16
                    expected[i, c, h, w] = normalised(int(part.images[chosen, c, y, x]) if inside else 0, c)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
    assert len({*rows.flatten().tolist(), *columns.flatten().tolist()}) > 2, "the draws try several places"


def test_a_view_without_augmentation_is_the_image_itself_and_draws_nothing():
    part, before = some(), torch.get_rng_state()
    x = part.view(torch.tensor([4, 2]))
    assert torch.equal(torch.get_rng_state(), before)
    exact = (part.images[[4, 2]].double() / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    torch.testing.assert_close(x.double(), exact, atol=1e-5, rtol=0)


@pytest.mark.parametrize("padding", [0, 2])
def test_a_view_is_float32_and_channels_last_and_the_images_stay_uint8(padding):
    part = some(padding=padding, flip=bool(padding))
    x = part.view(torch.arange(5))
    assert x.shape == (5, 3, 16, 16) and x.dtype == torch.float32
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert part.images.dtype == torch.uint8 and part.images.is_contiguous(memory_format=torch.channels_last)


def test_views_are_crops_of_every_place_and_mirrored_half_of_the_time():
    """One lit pixel in the middle of 16 x 16: after padding by 2 it lands on 5 x 5 places, twice (mirrored)."""
    images = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    images[0, :, 7, 5] = 255
    x = Data(images, [0], "ab", padding=2, flip=True).view(torch.zeros(4000, dtype=torch.int64))
    places, times = (x[:, 0] > 0).nonzero()[:, 1:].unique(dim=0, return_counts=True)
    assert {tuple(p) for p in places.tolist()} == {(h, w) for h in range(5, 10) for w in (*range(3, 8), *range(8, 13))}
    assert times.min() > 4000 / 50 / 2 and times.max() < 4000 / 50 * 2


def test_views_of_one_image_differ_and_the_same_seed_repeats_them():
    part, index = some(padding=2, flip=True), torch.zeros(8, dtype=torch.int64)
    first = part.view(index)
    assert len(first.unique(dim=0)) > 1 and not torch.equal(first, part.view(index))
    torch.manual_seed(0)
    one = part.view(index)
    torch.manual_seed(0)
    assert torch.equal(one, part.view(index))


# --- partners ---


def test_partners_have_the_anchors_class_and_cover_it_evenly():
    part = some()
    y = part.labels.repeat(100)
    chosen = part.partners(y)
    assert chosen.dtype == torch.int64 and torch.equal(part.labels[chosen], y)
    for label in range(4):
        members, times = chosen[y == label].unique(return_counts=True)
        assert torch.equal(members, (part.labels == label).nonzero().flatten())
        assert times.min() > 60 and times.max() < 140  # 100 expected, a standard deviation of 10


# --- checksum ---


def test_checksum_is_of_pixels_row_by_row_and_labels():
    train, test = some(12), some(9)
    digest = hashlib.sha256()
    for part in (train, test):
        digest.update(np.ascontiguousarray(part.images.numpy().transpose(0, 2, 3, 1)).tobytes())
        digest.update(part.labels.numpy().astype("<i8").tobytes())
    assert checksum(train, test) == digest.hexdigest()


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("what", ["images", "labels"])
def test_checksum_changes_with_one_pixel_or_label(part, what):
    parts = some(), some()
    before = checksum(*parts)
    values = getattr(parts[part], what).view(-1) if what == "labels" else getattr(parts[part], what)[3, 1, 2]
    values[4] ^= 1
    assert checksum(*parts) != before


# --- glyphs ---

GLYPHS = "220430659c5094f807ac89cea4db75f5af89705d31790525836861e2ce840908"


def test_glyphs_are_the_same_on_every_machine_and_whatever_the_random_state():
    """Drawn in integers and float64 from an embedded file by a generator of their own, so the checksum is pinned."""
    torch.manual_seed(123)
    before = torch.get_rng_state()
    train, test = load("glyphs")
    assert torch.equal(torch.get_rng_state(), before)
    assert checksum(train, test) == GLYPHS


def test_glyphs_are_100_classes_of_16_and_10_images(glyph_parts):
    train, test = load("glyphs")
    assert len(train.classes) == len(set(train.classes)) == 100 and train.classes == test.classes
    assert train.counts.tolist() == 100 * [16] and test.counts.tolist() == 100 * [10]
    assert train.images.shape == (1600, 3, 16, 16) and test.images.shape == (1000, 3, 16, 16)
    assert not any(torch.equal(a, b) for a, b in zip(train.images[:1000], test.images, strict=True))


def test_glyphs_are_neither_cropped_nor_mirrored():
    part, _ = load("glyphs")
    assert torch.equal(part.view(torch.arange(9)), part.view(torch.arange(9)))


# --- CIFAR-100 ---


@pytest.fixture(scope="module")
def cifar():
    return load("cifar100", CIFAR)


@needs_cifar
def test_cifar100_has_its_published_numbers(cifar):
    train, test = cifar
    assert (len(train), len(test), len(train.classes)) == (50_000, 10_000, 100)
    assert train.counts.tolist() == 100 * [500] and test.counts.tolist() == 100 * [100]
    assert train.classes == sorted(train.classes) and train.classes[0] == "apple" and train.classes[99] == "worm"


@needs_cifar
@pytest.mark.parametrize("part, name", [(0, "train"), (1, "test")])
def test_cifar100_is_what_its_files_hold(cifar, part, name):
    """Read anew without torchvision: a row of a file is the red, then the green, then the blue pixels."""
    with (CIFAR / "cifar-100-python" / name).open("rb") as file:
        raw = pickle.load(file, encoding="latin1")
    assert torch.equal(cifar[part].images, torch.from_numpy(raw["data"]).view(-1, 3, 32, 32))
    assert cifar[part].labels.tolist() == raw["fine_labels"]


@needs_cifar
def test_cifar100_begins_with_a_cattle_a_dinosaur_and_an_apple_and_tests_begin_with_a_mountain(cifar):
    train, test = cifar
    assert [train.classes[y] for y in train.labels[:3]] == ["cattle", "dinosaur", "apple"]
    assert test.classes[test.labels[0]] == "mountain"
    assert train.images[0, :, 0, 0].tolist() == [255, 255, 255]


@needs_cifar
def test_cifar100_is_cropped_by_4_and_mirrored_to_train_and_left_alone_to_test(cifar):
    train, test = cifar
    assert (train.padding, train.flip, test.padding) == (4, True, 0)


@needs_cifar
def test_a_few_steps_on_cifar100_lower_the_loss(cifar):
    from skdcore.train import Training

    settings = Run("cifar100", "resnet10_w16", "drg+dsr", epochs=1).settings("cpu", cifar[0])
    training = Training(settings, *cifar, torch.device("cpu"))
    for _ in range(16):
        training.step()
    losses = training.state.meter[:16, :-1].sum(dim=1)
    assert losses[-4:].mean() < losses[:4].mean()
    assert 4.0 < training.state.meter[0, 0] < 5.5, "a network that knows nothing has a loss near log 100"


@pytest.fixture
def small_cifar(tmp_path, monkeypatch):
    """A root with three files in CIFAR-100's form and the checksums of these instead of the real ones."""
    dataset = vision.torchvision.datasets.CIFAR100
    base, chance = tmp_path / "root" / dataset.base_folder, np.random.default_rng(0)
    base.mkdir(parents=True)
    names = [f"class{i:02}" for i in range(100)]
    contents = {"meta": {"fine_label_names": names}}
    for part in ("train", "test"):
        pixels = chance.integers(0, 256, (100, 3072), dtype=np.uint8)
        contents[part] = {"data": pixels, "fine_labels": list(range(100))}
    md5 = {}
    for name, content in contents.items():
        (base / name).write_bytes(pickle.dumps(content))
        md5[name] = hashlib.md5((base / name).read_bytes()).hexdigest()
    monkeypatch.setattr(dataset, "train_list", [["train", md5["train"]]])
    monkeypatch.setattr(dataset, "test_list", [["test", md5["test"]]])
    monkeypatch.setattr(dataset, "meta", dataset.meta | {"md5": md5["meta"]})
    return tmp_path / "root"


def test_cifar100_is_read_where_the_root_says(small_cifar):
    train, test = load("cifar100", small_cifar)
    assert (len(train), len(test), train.classes[99]) == (100, 100, "class99")


def test_cifar100_is_looked_for_in_skd_data_without_a_root(small_cifar, monkeypatch):
    monkeypatch.setenv("SKD_DATA", str(small_cifar))
    assert len(load("cifar100")[0]) == 100


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_missing_cifar100_file_is_named_and_nothing_is_downloaded_under_a_given_root(small_cifar, name, monkeypatch):
    monkeypatch.setattr(datasets, "_download", None)
    (small_cifar / "cifar-100-python" / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"cifar-100-python: no file {name}$"):
        load("cifar100", small_cifar)


@pytest.mark.parametrize("harm", ["truncated", "altered", "empty"])
@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_damaged_cifar100_file_is_named(small_cifar, name, harm):
    path = small_cifar / "cifar-100-python" / name
    good = path.read_bytes()
    path.write_bytes({"truncated": good[:-7], "altered": good[:50] + b"?" + good[51:], "empty": b""}[harm])
    with pytest.raises(ValueError, match=rf"cifar-100-python.{name}: not CIFAR-100's file"):
        load("cifar100", small_cifar)


def test_a_download_that_fails_says_what_to_do(tmp_path, monkeypatch):
    def download(root, download):
        raise OSError("no network")

    download.train_list, download.test_list, download.meta = [["train", ""]], [], {"filename": "meta", "md5": ""}
    download.base_folder, download.url = "cifar-100-python", "https://example.org/cifar"
    monkeypatch.setattr(vision.torchvision.datasets, "CIFAR100", download)
    monkeypatch.setenv("SKD_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"example.org.*no network.*root"):
        load("cifar100")


# --- TinyImageNet ---

SAMPLE = Path(__file__).parents[2] / "shared/data/tinyimagenet/val.xz"
BRIGHT = {"n01443537": 30, "n02124075": 90, "n03444034": 150}  # the grey level of a class


def save(path, level, side=64, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(level).integers(level, level + 60, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, "JPEG")


@pytest.fixture
def small_tiny(tmp_path):
    """A root with 3 classes of 4 + 2 JPEGs in the layout of Stanford's zip; one training image is grey."""
    base, notes = tmp_path / "root" / "tiny-imagenet-200", []
    for name, level in BRIGHT.items():
        for i in range(4):
            save(base / "train" / name / "images" / f"{name}_{i}.JPEG", level + i, mode="RGB" if i else "L")
        (base / "train" / name / f"{name}_boxes.txt").write_text(f"{name}_0.JPEG\t0\t10\t63\t58\n")
    for i, (name, level) in enumerate([*reversed(BRIGHT.items()), *BRIGHT.items()]):
        save(base / "val" / "images" / f"val_{i}.JPEG", level)
        notes.append(f"val_{i}.JPEG\t{name}\t0\t32\t44\t62\n")
    (base / "val" / "val_annotations.txt").write_text("".join(notes))
    save(base / "test" / "images" / "test_0.JPEG", 0)
    (base / "wnids.txt").write_text("".join(f"{name}\n" for name in reversed(BRIGHT)))
    return tmp_path / "root"


def test_tinyimagenet_is_read_where_the_root_says_and_its_validation_part_is_the_test_part(small_tiny):
    train, test = load("tinyimagenet", small_tiny)
    assert train.classes == test.classes == sorted(BRIGHT)
    assert train.counts.tolist() == [4, 4, 4] and test.counts.tolist() == [2, 2, 2]
    assert train.images.shape == (12, 3, 64, 64) and test.images.shape == (6, 3, 32, 32)
    for part in (train, test):
        level = part.images.float().mean(dim=(1, 2, 3))
        assert torch.equal((level - 60).div(60).round().long(), part.labels), (
            "each image has the brightness of its class"
        )


def test_tinyimagenet_is_cropped_and_mirrored_to_train_and_scaled_to_32_to_test(small_tiny):
    train, test = load("tinyimagenet", small_tiny)
    assert (train.crop, train.side, train.flip, train.padding) == (32, 32, True, 0)
    assert (test.crop, test.side, test.flip, test.padding) == (0, 32, False, 0)
    with Image.open(small_tiny / "tiny-imagenet-200/val/images/val_3.JPEG") as image:
        scaled = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(test.images[0], scaled) or np.array_equal(test.images[1], scaled)


def test_a_grey_jpeg_has_three_equal_channels(small_tiny):
    images = load("tinyimagenet", small_tiny)[0].images
    grey = (images == images[:, :1]).flatten(1).all(dim=1)
    assert grey.tolist() == 3 * [True, False, False, False]


def test_tinyimagenet_is_looked_for_in_skd_data_without_a_root(small_tiny, monkeypatch):
    monkeypatch.setenv("SKD_DATA", str(small_tiny))
    assert len(load("tinyimagenet")[0]) == 12


def test_tinyimagenet_trains_by_the_recipe_of_table_2(small_tiny, tmp_path):
    run = Run("tinyimagenet", "resnet10_w16", "ps_kd+drg+dsr", epochs=2)
    record = train(run, "cpu", root=small_tiny, results=tmp_path / "results", progress=False)
    assert record["state"] == "finished" and record["run"]["batch"] == 12
    assert (record["run"]["gamma"], record["run"]["milestones"]) == (0.1, [0.5, 0.75])


@pytest.mark.parametrize("name", ["", "train", "val", "val/val_annotations.txt", "train/n02124075/images"])
def test_a_missing_part_of_tinyimagenet_is_named_and_nothing_is_downloaded_under_a_given_root(
    small_tiny, name, monkeypatch
):
    monkeypatch.setattr(datasets, "_download", None)
    path = small_tiny / "tiny-imagenet-200" / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(FileNotFoundError, match=f"tiny-imagenet-200/{name}"):
        load("tinyimagenet", small_tiny)


@pytest.mark.parametrize("name", ["train/n02124075/images/n02124075_1.JPEG", "val/images/val_4.JPEG"])
@pytest.mark.parametrize("harm", ["truncated", "missing"])
def test_a_truncated_jpeg_or_a_missing_one_is_named(small_tiny, name, harm):
    path = small_tiny / "tiny-imagenet-200" / name
    good = path.read_bytes()
    if harm == "truncated":
        path.write_bytes(good[: len(good) // 2])
    elif "train" in name:
        shutil.rmtree(path.parent)
        path = path.parent
        path.mkdir()
    else:
        path.unlink()
    with pytest.raises(ValueError, match=str(path)):
        load("tinyimagenet", small_tiny)


@pytest.mark.parametrize(
    "row, words",
    [
        ("val_6.JPEG\tn09999999\t0\t0\t9\t9\n", "same classes; only test/ has n09999999"),
        ("val_6.JPEG\n", "val_annotations.txt: a line without a class"),
        ("\n", "val_annotations.txt: a line without a class"),
    ],
)
def test_annotations_that_fit_no_class_are_refused(small_tiny, row, words):
    with (small_tiny / "tiny-imagenet-200/val/val_annotations.txt").open("a") as notes:
        notes.write(row)
    with pytest.raises(ValueError, match=words):
        load("tinyimagenet", small_tiny)


def test_tinyimagenet_is_downloaded_as_a_whole_or_not_at_all(small_tiny, tmp_path, monkeypatch):
    where, utils = tmp_path / "elsewhere", vision.torchvision.datasets.utils
    monkeypatch.setenv("SKD_DATA", str(where))

    def cut_off(url, root, md5):
        (Path(root) / "tiny-imagenet-200" / "train").mkdir(parents=True)
        raise OSError("the line went dead")

    monkeypatch.setattr(utils, "download_and_extract_archive", cut_off)
    with pytest.raises(FileNotFoundError, match=r"tiny-imagenet-200.zip \(the line went dead\); .*root"):
        load("tinyimagenet")
    assert list(where.iterdir()) == []
    monkeypatch.setattr(
        utils,
        "download_and_extract_archive",
        lambda url, root, md5: shutil.copytree(small_tiny, root, dirs_exist_ok=True),
    )
    assert len(load("tinyimagenet")[0]) == 12
    assert [path.name for path in where.iterdir()] == ["tiny-imagenet-200"]


@pytest.mark.skipif(not SAMPLE.is_file(), reason="no sample of the real TinyImageNet beside the checkout")
def test_real_jpegs_of_tinyimagenet(tmp_path):
    """200 of them as both parts: a test image is what the crop of the whole training image gives, to a grey level."""
    base, count = tmp_path / "tiny-imagenet-200", 200
    (base / "val" / "images").mkdir(parents=True)
    with lzma.open(SAMPLE) as file:  # sizes, uint32, and labels, uint8, of 10,000 JPEGs, then these
        sizes, labels = (np.frombuffer(file.read(10_000 * n), kind)[:count] for n, kind in ((4, "<u4"), (1, "u1")))
        jpegs = [file.read(size) for size in sizes]
    names = [f"n{label:08}" for label in labels]
    for i, (jpeg, name) in enumerate(zip(jpegs, names, strict=True)):
        (base / "train" / name / "images").mkdir(parents=True, exist_ok=True)
        for path in (base / "train" / name / "images" / f"{i:03}.JPEG", base / "val" / "images" / f"{i:03}.JPEG"):
            path.write_bytes(jpeg)
    (base / "val" / "val_annotations.txt").write_text("".join(f"{i:03}.JPEG\t{n}\n" for i, n in enumerate(names)))
    train, test = load("tinyimagenet", tmp_path)
    assert len(train) == len(test) == count and torch.equal(train.labels, test.labels)
    assert (train.images == train.images[:, :1]).flatten(1).all(dim=1).sum() > 0, "some are grey"
    whole = resized_crop(train.images, torch.zeros(2, count), torch.full((2, count), 64.0), 32)
    assert (whole - test.images.permute(0, 2, 3, 1)).abs().max() <= 1.001


# --- folders ---


@pytest.fixture
def own_folder(folder, tmp_path):
    """A copy of the image folder, to be spoilt."""
    return Path(shutil.copytree(folder, tmp_path / "own"))


def test_a_folder_is_read_class_by_class_in_the_order_of_names(folder):
    train, test = load(f"folder:{folder}")
    assert train.classes == test.classes == sorted(["a cat's", "dög+1"])
    assert train.counts.tolist() == [6, 6] and test.counts.tolist() == [3, 3]
    assert train.images.shape == (12, 3, 32, 32) and (train.padding, train.flip, test.padding) == (4, True, 0)
    bright = train.images.float().mean(dim=(1, 2, 3))
    assert bright[train.labels == 1].min() > bright[train.labels == 0].max(), "the second class is the bright one"


@pytest.mark.parametrize("side, size, expected", [(20, 32, 32), (40, 32, 32), (70, 64, 64), (300, 224, 224)])
def test_images_of_a_folder_fill_the_largest_side_that_they_can(tmp_path, side, size, expected):
    for part in ("train", "test"):
        for label in "ab":
            (tmp_path / part / label).mkdir(parents=True)
            Image.new("L", (side + 9, side), 200).save(tmp_path / part / label / "grey.png")
    train, _ = load(f"folder:{tmp_path}")
    assert train.images.shape == (2, 3, expected, expected) and (train.images == 200).all()


def test_an_image_is_cropped_at_its_centre(own_folder):
    pixels = np.zeros((32, 64, 3), dtype=np.uint8)
    pixels[:, 16:48] = 250
    Image.fromarray(pixels).save(own_folder / "train" / "a cat's" / "0.png")
    assert (load(f"folder:{own_folder}")[0].images[0] == 250).all()


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_folder_without_a_part_is_refused(own_folder, part):
    shutil.rmtree(own_folder / part)
    with pytest.raises(FileNotFoundError, match=f"own: no folder {part}/"):
        load(f"folder:{own_folder}")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load(f"folder:{tmp_path / 'nowhere'}")


def test_a_folder_of_one_class_is_refused(own_folder):
    for part in ("train", "test"):
        shutil.rmtree(own_folder / part / "a cat's")
    with pytest.raises(ValueError, match="train: 1 class; .* at least 2"):
        load(f"folder:{own_folder}")


@pytest.mark.parametrize("part", ["train", "test"])
def test_an_empty_class_is_named(own_folder, part):
    (own_folder / part / ".ipynb_checkpoints").mkdir()  # a hidden folder is no class
    for file in (own_folder / part / "dög+1").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match=rf"{part}.dög\+1: an empty class"):
        load(f"folder:{own_folder}")


def test_different_classes_in_train_and_test_are_named(own_folder):
    (own_folder / "test" / "a cat's").rename(own_folder / "test" / "a rat")
    with pytest.raises(ValueError, match="same classes; only train/ has a cat's and only test/ has a rat"):
        load(f"folder:{own_folder}")


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(
    "name, harm",
    [
        ("0.png", lambda good: b""),
        ("0.png", lambda good: b"no image at all"),
        ("0.png", lambda good: good[: len(good) // 2]),
        ("0.png", lambda good: good[:60] + b"????" + good[64:]),
        ("1.jpg", lambda good: good[: len(good) // 2]),
        ("0.ppm", lambda good: b"P6 x9 32 255 "),
        ("0.bmp", lambda good: b"BM" + bytes(12) + b"\x28\0\0\0" + b"\xff\xff\xff\x7f" * 2 + b"\1\0\x18\0" + bytes(24)),
    ],
    ids=["empty", "text", "truncated png", "altered png", "truncated jpg", "no number in ppm", "huge bmp"],
)
def test_a_broken_image_is_named_and_leaves_no_file_open(own_folder, part, name, harm):
    path = own_folder / part / "dög+1" / name
    path.write_bytes(harm(path.read_bytes() if path.exists() else b""))
    with pytest.raises(ValueError, match=rf"{part}.dög\+1.{name}: not a readable image"):
        load(f"folder:{own_folder}")


def test_a_folder_trains(folder, tmp_path):
    run = Run(f"folder:{folder}", "resnet10_w16", "drg+dsr", epochs=2)
    record = train(run, "cpu", results=tmp_path, progress=False)
    assert record["state"] == "finished" and record["run"]["batch"] == 12, "a batch is no larger than the data"
    assert len(files(tmp_path)) == 5, "record, weights, those of the exit, logits and scores of the images"


def indices(seed, n, labels):
    """The images that `of_each_class` draws, known by their value."""
    numbers = torch.arange(len(labels))
    chosen, kept = datasets.of_each_class(numbers, labels, n, seed, ["a", "b", "c"], "set")
    assert torch.equal(kept, torch.as_tensor(labels)[chosen])
    return chosen.tolist()


def test_n_images_of_each_class_are_drawn_by_the_seed_in_the_order_of_the_files_and_nested_in_n():
    labels = torch.arange(3).repeat(20)[torch.randperm(60)]
    for seed in range(3):
        drawn = [indices(seed, n, labels) for n in range(1, 21)]
        for n, chosen in enumerate(drawn, start=1):
            assert labels[chosen].bincount().tolist() == [n] * 3 and chosen == sorted(chosen)
        assert all(set(less) < set(more) for less, more in zip(drawn, drawn[1:], strict=False))
    assert indices(0, 5, labels) != indices(1, 5, labels)
    counts = torch.zeros(60)
    for seed in range(600):
        counts[indices(seed, 5, labels)] += 1
    assert (counts - 150).abs().max() < 5 * (600 * 0.25 * 0.75) ** 0.5, "each image is as likely as any other"


def test_more_images_than_the_smallest_class_has_are_refused_and_the_class_is_named():
    with pytest.raises(ValueError, match=r"set\(n=3\): the smallest class, 'b', has 2 images"):
        indices(0, 3, [0, 0, 0, 1, 1, 2, 2, 2])


@pytest.mark.parametrize(
    "name, words",
    [
        ("cifar100(n=0)", r"cifar100\(n=0\): n must be at least 1"),
        ("cifar100(n=-5)", "n must be at least 1"),
        ("cifar100(n=2.5)", "n takes int, such as 500"),
        ("cifar100(n='all')", "n takes int"),
        ("cifar100(images=50)", "unknown keyword of cifar100 'images'"),
        ("cifar100(50)", "not a data set with keywords"),
        ("cifar100(n=50", "unknown data set"),
        ("glyphs(n=3)", "glyphs takes no keywords, such as n"),
        ("cifar-100", "unknown data set 'cifar-100'; did you mean cifar100"),
        ("cifar10(n=50)", "unknown data set 'cifar10'; did you mean cifar100"),
    ],
)
def test_a_bad_name_of_a_subset_is_refused_in_words(name, words):
    with pytest.raises(ValueError, match=words):
        Run(name, "resnet10_w16", "vanilla")


def test_a_data_set_has_one_canonical_name():
    for name in ("cifar100(n=500)", "cifar100( )", " cifar100", "cifar100"):
        assert Run(name, "resnet10_w16", "vanilla").dataset == "cifar100"
    assert Run("cifar100( n = 50 )", "resnet10_w16", "vanilla").dataset == "cifar100(n=50)"


def test_a_subset_is_scored_every_fifth_epoch_and_the_whole_set_every_epoch():
    every = [Run(name, "resnet10_w16", "vanilla").settings()["score_every"] for name in ("cifar100(n=50)", "cifar100")]
    assert every == [5, 1]


@needs_cifar
def test_a_subset_of_cifar100_has_n_images_of_each_class_and_all_test_images(cifar):
    train, test = load("cifar100(n=7)", CIFAR, seed=3)
    assert (train.counts == 7).all() and torch.equal(test.images, cifar[1].images)
    whole = {image.numpy().tobytes(): label for image, label in zip(cifar[0].images, cifar[0].labels, strict=True)}
    assert all(whole[i.numpy().tobytes()] == label for i, label in zip(train.images, train.labels, strict=True))


def test_images_of_16_bits_are_scaled_and_those_of_an_unknown_range_refused(tmp_path):
    for split, name in ((s, n) for s in ("train", "test") for n in ("a", "b")):
        (tmp_path / split / name).mkdir(parents=True)
        Image.fromarray(np.full((32, 32), 30000, dtype=np.uint16)).save(tmp_path / split / name / "0.png")
    train, _ = load(f"folder:{tmp_path}")
    assert (train.images == 117).all(), "30000 / 257"
    Image.fromarray(np.full((32, 32), 0.5, dtype=np.float32)).save(tmp_path / "train/a/1.tif")
    with pytest.raises(ValueError, match=r"1\.tif: .*pixels of mode F, whose range is not known"):
        load(f"folder:{tmp_path}")


def _two_classes(top, image, ending=".png", **options):
    for split, name in ((s, n) for s in ("train", "test") for n in ("a", "b")):
        (top / split / name).mkdir(parents=True)
        image.save(top / split / name / f"0{ending}", **options)
    return load(f"folder:{top}")[0]


def test_a_photograph_that_a_camera_took_turned_is_set_upright(tmp_path):
    turned, exif = Image.fromarray(np.arange(32 * 48, dtype=np.uint32).reshape(32, 48).astype(np.uint8)), Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter, clockwise
    train = _two_classes(tmp_path, turned, exif=exif)
    assert torch.equal(train.images[0, 0], torch.from_numpy(np.rot90(turned, -1)[8:40].copy()))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_seen_on_white(tmp_path, mode):
    image = Image.new("LA" if mode == "LA" else "RGBA", (32, 32), (10, 0) if mode == "LA" else (10, 10, 10, 0))
    image.paste((10, 255) if mode == "LA" else (10, 10, 10, 255), (0, 0, 16, 32))
    train = _two_classes(tmp_path, image.convert(mode))
    assert (train.images[..., :16] == 10).all() and (train.images[..., 16:] == 255).all()


def test_what_is_left_out_of_a_folder_is_counted(tmp_path):
    _two_classes(tmp_path, image := Image.new("RGB", (32, 32)))
    image.save(tmp_path / "train/a/1.GIF")
    image.save(tmp_path / "test/b/2.gif")
    (tmp_path / "train/a/more").mkdir()
    for name in ("README", "train/notes", "train/a/.DS_Store"):
        (tmp_path / name).touch()
    with pytest.warns(UserWarning, match="left out as no images: 2 .gif, 1 file without an ending, 1 folder$"):
        assert len(load(f"folder:{tmp_path}")[0]) == 2


def test_measuring_takes_the_images_as_they_are_whatever_the_augmentation():
    images = torch.randint(256, (6, 3, 8, 8), dtype=torch.uint8)
    index = torch.tensor([4, 2])
    as_it_is = Data(images, [0] * 6, "ab").view(index)
    assert torch.equal(Data(images, [0] * 6, "ab", padding=2, flip=True).plain(index), as_it_is)
    halved = Data(images, [0] * 6, "ab", crop=4, flip=True).plain(index)
    mean = images[index].double().unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(4, 5))  # PIL's triangle is wider than 2
    assert halved.shape == (2, 3, 4, 4) and torch.equal(halved, Data(images, [0] * 6, "ab", crop=4).plain(index))
    assert (halved * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)).sub(
        mean / 255
    ).abs().max() < 0.4


def test_a_folder_that_moved_keeps_its_records_and_another_of_its_name_is_refused(folder, tmp_path):
    for where in ("here", "there/pets"):
        shutil.copytree(folder, tmp_path / where, dirs_exist_ok=True)
    (tmp_path / "here").rename(tmp_path / "pets")
    run = Run(f"folder:{tmp_path / 'pets'}", "resnet10_w16", "vanilla", epochs=1)
    record = train(run, "cpu", results=tmp_path / "results", progress=False)
    moved = Run(f"folder:{tmp_path / 'there/pets'}", "resnet10_w16", "vanilla", epochs=1)
    assert train(moved, "cpu", results=tmp_path / "results", progress=False) == record
    (image,) = (tmp_path / "there/pets/test").rglob("*cat*/0.png")
    Image.new("RGB", (40, 40)).save(image)
    load_cached.cache_clear()
    with pytest.raises(ValueError, match="0.json belongs to another run .data_sha256"):
        train(moved, "cpu", results=tmp_path / "results", progress=False)


def test_a_data_set_is_loaded_once_however_its_device_is_given(tiny, fit, tmp_path):
    fit("vanilla")
    load_run(Run(tiny, "resnet10_w16", "vanilla"), None, "cpu")
    trained_network(Run(tiny, "resnet10_w16", "vanilla"), "cpu", None, tmp_path / "results")
    assert load_cached.cache_info().misses == 1


def test_an_unknown_data_set_is_refused_and_the_near_ones_named():
    with pytest.raises(ValueError, match="unknown data set 'cifar10'; did you mean cifar100"):
        load("cifar10")
