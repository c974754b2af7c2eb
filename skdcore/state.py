"""Everything that the rest of a run depends on: what a checkpoint holds and a captured step changes."""

import hashlib
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from io import BytesIO
from pickle import UnpicklingError

import numpy as np
import torch

from skdcore.errors import Damaged
from skdcore.models import Network
from skdcore.records import atomically

# What reading a file raises that is incomplete, altered or of another form.
BROKEN = (
    AttributeError, EOFError, KeyError, NotImplementedError, OverflowError, RuntimeError, TypeError, UnpicklingError,
    ValueError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass
class State:
    """A run after `epoch` epochs and `at` steps of the next one.

    `batches` int64 (steps, B): this epoch's images.  `meter` float32 (steps, terms + 1): the losses of its steps by
    term, and how many images were classified correctly.  `row` int64 (1,): `at` on the device, where a replayed step
    can read it.  `curve`: see records.py.
    """

    settings: dict
    net: Network
    optimizer: torch.optim.Optimizer
    batches: torch.Tensor
    meter: torch.Tensor
    row: torch.Tensor
    curve: dict
    provenance: dict
    memories: dict = field(default_factory=dict)  # {term: {name: tensor}}
    seconds: dict = field(default_factory=lambda: {"training": 0.0, "scoring": 0.0})
    epoch: int = 0
    at: int = 0

    def tensors(self):
        """The tensors that a step changes in place, once the first step has made them all."""
        momenta = [held["momentum_buffer"] for held in self.optimizer.state.values()]
        memories = [tensor for memory in self.memories.values() for tensor in memory.values()]
        return [*self.net.parameters(), *self.net.buffers(), *momenta, *memories, self.meter, self.row]

    def state_dict(self):
        """All fields, with the random state and the number of threads, as a checkpoint holds them."""
        kept = {f.name: getattr(self, f.name) for f in fields(self)}
        kept |= {name: part.state_dict() for name, part in kept.items() if hasattr(part, "state_dict")}
        kept |= {"random": torch.get_rng_state(), "threads": torch.get_num_threads()}
        return kept | ({"cuda": torch.cuda.get_rng_state(self.row.device)} if self.row.is_cuda else {})

    def check(self, kept, remembered):
        """Raises ValueError unless this is of the form that `state_dict` gives; changes nothing.

        `remembered` {term: {name: tensor}}: what the method's memories hold, in their form, after the first step.
        """
        free = "memories", "optimizer", "provenance", "cuda"  # they grow, or differ from machine to machine
        mine = {key: value for key, value in self.state_dict().items() if key not in free}
        _check_form({key: kept[key] for key in mine}, mine, "state")
        held = [one["momentum_buffer"] for one in kept["optimizer"]["state"].values()]
        held += [tensor for memory in kept["memories"].values() for tensor in memory.values()]
        if not all(isinstance(tensor, torch.Tensor) for tensor in held):
            raise ValueError("a momentum or a memory is not a tensor")
        for term, memory in remembered.items() if kept["epoch"] or kept["at"] else ():
            for name, tensor in memory.items():
                _check_form(kept["memories"][term][name], tensor, f"memories.{term}.{name}")
        epochs = self.settings["epochs"]
        if not (0 <= kept["epoch"] < epochs and 0 <= kept["at"] <= len(self.batches) and kept["threads"] >= 1):
            raise ValueError(f"epoch {kept['epoch']}, step {kept['at']} and {kept['threads']} threads cannot be")
        if {len(kept["curve"][key]) for key in ("lr", "train")} != {kept["epoch"]}:
            raise ValueError(f"a curve has not one point for each of {kept['epoch']} epochs")

    def load_state_dict(self, kept):
        """Takes over what `state_dict` gave, the random state and the number of threads too."""
        for f in fields(self):
            part = getattr(self, f.name)
            if hasattr(part, "load_state_dict"):
                part.load_state_dict(kept[f.name])
            else:
                setattr(self, f.name, kept[f.name])
        torch.set_num_threads(kept["threads"])
        torch.set_rng_state(kept["random"].cpu())
        if self.row.is_cuda and "cuda" in kept:  # a run that was begun on a CPU has none
            torch.cuda.set_rng_state(kept["cuda"].cpu(), self.row.device)


def _check_form(kept, mine, name):
    """Raises ValueError unless both are alike but for the values: types, keys, and shapes and types of tensors."""
    if type(kept) is not type(mine):
        raise ValueError(f"{name} is a {type(kept).__name__} instead of a {type(mine).__name__}")
    if isinstance(mine, torch.Tensor) and (kept.shape, kept.dtype) != (mine.shape, mine.dtype):
        raise ValueError(
            f"{name} is {kept.dtype} of {tuple(kept.shape)} instead of {mine.dtype} of {tuple(mine.shape)}"
        )
    if isinstance(mine, dict):
        if odd := kept.keys() ^ mine.keys():
            raise ValueError(f"{name} has, or lacks, {min(map(str, odd))}")
        for key, value in mine.items():
            _check_form(kept[key], value, f"{name}.{key}")
    if isinstance(mine, list) and not all(isinstance(value, int | float) for value in kept):
        raise ValueError(f"{name} is not a list of numbers")


def save(tensors, file):
    """`torch.save`, whole or not at all; into memory first, as torch hides what the system says of a full disk."""
    content = BytesIO()
    torch.save(tensors, content)
    atomically(file, content.getbuffer())


def save_arrays(arrays, file):
    """numpy's compressed archive of {name: array}, whole or not at all."""
    content = BytesIO()
    np.savez_compressed(content, **arrays)
    atomically(file, content.getbuffer())


def load_arrays(file, *names):
    """What `save_arrays` wrote: {name: array} of these names, or of all.  Raises `Damaged`, which names the file."""
    with readable(file), np.load(_content(file)) as archive:
        return {name: archive[name] for name in names or archive.files}


def load(file, device="cpu"):
    """What `save` wrote.  Raises `Damaged`, which names the file."""
    content = _content(file)
    with readable(file):
        with zipfile.ZipFile(content) as archive:  # torch does not verify the checksums that it writes
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
        content.seek(0)
        return torch.load(content, map_location=device, weights_only=True)


def _content(file):
    """All bytes of a file: seeking in a damaged one may raise what the system says of a disk."""
    return BytesIO(file.read_bytes())


def load_exits(net, file, device="cpu"):
    """Gives a network the exits that were kept beside the record `file`; any other exit becomes an identity."""
    kept = file.with_suffix(".exits.pt")
    exits = load(kept, device) if kept.exists() else {}
    for k, ac in enumerate(net.exits, 1):
        if k in exits:
            ac.load_state_dict(exits[k])
        else:
            net.exits[k - 1] = torch.nn.Identity()


@contextmanager
def readable(file):
    """For a block that reads such a file: `Damaged`, which names it, if it cannot be used."""
    try:
        yield
    except BROKEN as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).strip().splitlines()[:1])}"
        raise Damaged(f"{file}: damaged, or written by other code ({reason})") from error


def halved(module):
    """A module's state dict on the CPU, in half precision where it is floating point."""
    return {k: (t.half() if t.is_floating_point() else t).cpu() for k, t in module.state_dict().items()}


def fingerprint(weights):
    """sha256 over the names and values of a state dict."""
    digest = hashlib.sha256()
    for name, tensor in weights.items():
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
