"""A cache of resized images: a data set of large images is decoded once, and mapped into memory from then on.

The cache of N images of S pixels is one file: N * S * S * 3 bytes of pixels, then a line of text, the stamp of the
image files that they were made of and the CRC-32 of the pixels.
"""

import hashlib
import os
import zlib
from pathlib import Path

import numpy as np
import PIL
import torch
from filelock import FileLock

from skdcore.image_files import squares

RULE = 1  # to be raised with every change to `squares` that changes pixels: it makes all caches stale


def resized(files, side, folder):
    """The images in the files of a data set's `folder`, as `squares` makes them: uint8 (N, 3, side, side).

    The tensor is the cache itself, mapped into memory (stored channels_last), not a copy.  The cache lies in `folder`
    or, where that is read-only, below the user's cache directory.  It is built if it is missing, stale (a file's name,
    size or time has changed, or Pillow's version) or damaged.  All its bytes are checked: 3 GB take a second.

    Raises FileNotFoundError for a file that is missing, ValueError for one that is no image, and OSError that names
    the cache, for example where the disk is full.
    """
    stamp, length = _stamp(files, side, folder), len(files) * side * side * 3
    paths = [folder / f"resized-{side}.bin", _own(folder) / f"resized-{side}.bin"]
    path = next((path for path in paths if _intact(path, length, stamp)), None)
    if path is None:
        path = paths[0] if os.access(folder, os.W_OK) else paths[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not _intact(path, length, stamp):  # another process may have built it meanwhile
                _build(path, files, side, stamp)
    pixels = np.memmap(path, np.uint8, mode="c", shape=(len(files), side, side, 3))  # writes stay in memory
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def _own(folder):
    """The place of a folder's cache below the user's cache directory."""
    top = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(top, "skdcore", *folder.resolve().parts[1:])


def _stamp(files, side, folder):
    """sha256, in hexadecimal, over whatever the pixels depend on."""
    digest = hashlib.sha256(f"{RULE} {PIL.__version__} {side}".encode())
    for file in files:
        found = os.stat(file)
        digest.update(os.fsencode(file.relative_to(folder)))
        digest.update(f" {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _seal(stamp, crc):
    return f"{stamp} {crc:08x}\n".encode()


def _intact(path, length, stamp):
    """Whether the cache is there, of these files, and has the bytes that were written."""
    try:
        file = np.memmap(path, np.uint8, mode="r")
    except (FileNotFoundError, ValueError):  # ValueError: an empty file
        return False
    seal = file[length:].tobytes()
    return seal.startswith(stamp.encode()) and seal == _seal(stamp, zlib.crc32(file[:length]))


def _build(path, files, side, stamp):
    """Writes the cache under a temporary name; once it is complete it takes its own, in one move."""
    crc, temporary = 0, path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            for image in squares(files, side):
                crc = zlib.crc32(image, crc)
                file.write(image)
            file.write(_seal(stamp, crc))
        os.replace(temporary, path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
