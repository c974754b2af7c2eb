"""Image files as pixels: whatever a file holds becomes 8-bit RGB, scaled and centre-cropped to a square."""

import warnings
from collections import Counter
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps

from skdcore import vision
from skdcore.progress import Line


def image_files(directory):
    """The image files in a folder, by their endings, sorted.  Raises ValueError if there is none."""
    ends = vision.torchvision.datasets.folder.IMG_EXTENSIONS
    files = sorted(f for f in directory.iterdir() if f.suffix.lower() in ends)
    if not files:
        raise ValueError(f"{directory}: an empty class; it needs at least one image ({' '.join(ends)})")
    return files


def warn_of_others(folder, used):
    """Warns of what is in a folder of train/CLASS/* and test/CLASS/* beside the files used, by ending and number."""
    there = [entry for place in ("train/*", "test/*", "train/*/*", "test/*/*") for entry in folder.glob(place)]
    read = used | {file.parent for file in used}
    kinds = Counter(
        "folder" if entry.is_dir() else entry.suffix.lower() or "file without an ending"
        for entry in there
        if entry not in read and not entry.name.startswith(".")
    )
    if kinds:
        counts = ", ".join(f"{n} {kind}{'s' * (kind == 'folder' and n > 1)}" for kind, n in sorted(kinds.items()))
        warnings.warn(f"{folder}: left out as no images: {counts}", stacklevel=2)


def shorter_side(file):
    """The shorter side of the image in the file, in pixels.  Raises ValueError if it is not a readable image."""
    with _opened(file) as image:
        return min(image.size)


def squares(files, side):
    """The images in the files one by one, upright, scaled and centre-cropped to `side`: uint8 (side, side, 3).

    Raises ValueError, naming the file, for a broken image and for pixels of no known range.
    """
    fit = vision.torchvision.transforms.functional
    with Line(show=len(files) > 5000) as line:  # a few are read in no time
        for i, file in enumerate(files):
            with _opened(file) as image:
                upright = ImageOps.exif_transpose(image)
            yield np.asarray(fit.center_crop(fit.resize(_rgb(upright, file), side), side))
            line.update(lambda done=i + 1: f"{done:,} of {len(files):,} images read")
        line.show(f"{len(files):,} images read")


@contextmanager
def _opened(file):
    """The image in the file; whatever Pillow raises on a broken one becomes a ValueError that names it."""
    try:
        with Image.open(file) as image:
            yield image
    except Exception as error:  # Pillow's plugins raise many kinds
        raise ValueError(f"{file}: not a readable image ({error})") from error


def _rgb(image, file):
    """The image in 8 bits a colour, on white where it is transparent.

    Pillow would clip deeper pixels to white; those of no known range are refused.
    """
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image).astype(np.float32) / 257).round().astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError(f"{file}: pixels of mode {image.mode}, whose range is not known; save them with 8 or 16 bits")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")
