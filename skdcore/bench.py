"""What a step costs: contenders take turns, step by step, in one process, and ratios are read pair by pair.

The reference is the loop that one would otherwise write: float32, NCHW, a DataLoader over PIL images, `.item()`
at each step.  Images are random, so that nothing need be downloaded; their content costs nothing.
What can be counted instead of timed is in `skdcore.study.costs`.
"""

import json
import re
import time
from functools import partial
from pathlib import Path

import pandas
import torch
from PIL import Image

from skdcore import records, vision
from skdcore.capture import Capture
from skdcore.data import MEAN, STD, Data
from skdcore.losses import cross_entropy
from skdcore.machine import kernels, provenance, usable
from skdcore.methods import canonical
from skdcore.models import network
from skdcore.progress import Line
from skdcore.train import Run, rehearsal

USUAL = "usual loop"
EAGER = ", eager"  # on CUDA ours is captured, and eager beside it to compare
PRECISION = "bf16"  # ours, on every device
BATCH, EPOCH = 128, 390  # images a step, steps an epoch of CIFAR-100
# Seconds an epoch that a network needs at least, with batch norm unfused, for its arithmetic and memory traffic alone.
FLOORS = {
    "NVIDIA H200": {
        "resnet18": 0.33,
        "resnet50": 1.2,
        "resnet101": 1.9,
        "resnext50_32x4d": 1.5,
        "densenet121": 1.4,
    }
}


def bench(model, methods, minutes=4.3, device=None, images=2048):
    """What steps of batch 128 cost, as a record to `keep`: a dict of `steps`, `views` and where they were measured.

    `steps` {contender: its seconds and ratio}: the methods take turns until `minutes` are over, set-up included (but
    three turns at least).  A ratio is the median over turns of a contender's seconds over vanilla's in the same turn,
    eager over eager, beside its quartiles.  On CUDA also their peak memory in MiB.  `floor`: seconds an epoch of the
    network alone, where known.  `views` {which: images a second on one thread}.
    """
    end = time.monotonic() + 60 * minutes
    device = usable(device)
    data = _random_data(images, device)
    makers = {USUAL: partial(_usual_loop, model, data, device)}
    for method in dict.fromkeys(["vanilla", *map(canonical, methods)]):
        for name, eager in ((method, False), (method + EAGER, True))[: 1 + (device.type == "cuda")]:
            makers[name] = partial(_ours, model, method, data, device, eager)
    views = _views(_random_data(images, "cpu"))
    tables = {"steps": _turns(makers, end, device), "views": views}
    made = provenance(device)
    record = {"model": model, "precision": PRECISION, "floor": FLOORS.get(made["device"], {}).get(model)}
    return record | {k: v.to_dict("index") for k, v in tables.items()} | {"provenance": made}


def keep(record, results):
    """Writes what `bench` returned to <results>/bench/<model>-<device>.json, over an older one; returns the file."""
    file = _file(results, record["model"], record["provenance"]["device"])
    records.write_json(file, record)
    return file


def find(results, model, methods):
    """What `keep` has put there for a model and all these methods, on this machine or else on another, or None."""
    own = provenance(usable(None))["device"]
    there = sorted(kept(results, model), key=lambda record: record["provenance"]["device"] != own)
    return next((one for one in there if set(map(canonical, methods)) <= one["steps"].keys()), None)


def _file(results, model, device):
    return Path(results, "bench", f"{model}-{re.sub('[^a-z0-9]+', '-', device.lower()).strip('-')}.json")


def kept(results, model):
    """What `keep` has put under a folder for a model, one for each device.  Raises ValueError for another file."""
    return [_read(file) for file in sorted(Path(results, "bench").glob(f"{model}-*.json"))]


def _read(file):
    try:
        record = json.loads(file.read_text())
        if not (record["steps"] and record["provenance"]["device"]):
            raise ValueError("nothing was timed")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: not a benchmark ({error}); move it away") from None
    return record


def _turns(makers, end, device):
    """Seconds a step of each contender by turn until the time `end`, as a table of medians and ratios."""
    steps, peaks = {}, {}
    for name, make in makers.items():
        steps[name], peaks[name] = _begun(make, device)
    taken, order = [], list(steps)
    with Line() as line:
        while time.monotonic() < end or len(taken) < 4:
            taken.append({name: _seconds(steps[name], device) for name in order})
            order.reverse()  # so that a machine that slows down favours nobody
            line.update(lambda: f"turn {len(taken)}, {max(0, end - time.monotonic()):.0f} s left")
    taken = pandas.DataFrame(taken[1:])[list(steps)]  # the first turn warms up
    ratios = pandas.DataFrame({name: taken[name] / taken[_vanilla(name)] for name in taken})
    columns = {"seconds a step": taken.median(), "images/s": BATCH / taken.median(), "over vanilla": ratios.median()}
    columns |= {"first quartile": ratios.quantile(0.25), "third quartile": ratios.quantile(0.75)}
    if device.type == "cuda":
        columns |= {"peak memory": pandas.Series(peaks)}
    return pandas.DataFrame(columns | {"seconds an epoch": EPOCH * taken.median(), "steps": taken.count()})


def _vanilla(name):
    return "vanilla" + EAGER if name.endswith(EAGER) else "vanilla"


def _begun(make, device):
    """A contender after its first step, and the memory that it took on CUDA in MiB."""
    if device.type != "cuda":
        return make(), None
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    step = make()
    step()
    return step, (torch.cuda.max_memory_allocated(device) - before) / 2**20


def _seconds(step, device):
    """Seconds of one step; on CUDA the mean of 20 that are waited for once."""
    count = 20 if device.type == "cuda" else 1
    began = time.perf_counter()
    for _ in range(count):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - began) / count


def _views(data):
    """Images a second that become normalised float batches, on one thread: ours and the DataLoader, in turns."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    index, batches, taken = torch.arange(BATCH), _pil_batches(data), []
    for _ in range(15):
        began = time.perf_counter()
        for _ in range(20):
            data.view(index)
        middle = time.perf_counter()
        next(batches)
        taken.append({"ours": 20 * BATCH / (middle - began), "PIL DataLoader": BATCH / (time.perf_counter() - middle)})
    torch.set_num_threads(threads)
    taken = pandas.DataFrame(taken[1:])
    ratio = (taken["ours"] / taken["PIL DataLoader"]).median()
    return pandas.DataFrame({"images/s": taken.median(), "over PIL": [ratio, 1.0]})


def _random_data(images, device):
    pixels = torch.randint(256, (images, 3, 32, 32), dtype=torch.uint8)
    return Data(pixels, torch.arange(images) % 100, range(100), device, padding=4, flip=True)


def _ours(model, method, data, device, eager):
    """A function that takes one step of ours: bf16, channels_last, on CUDA captured unless `eager`."""
    run = Run("cifar100", model, method, precision=PRECISION)
    training = rehearsal(run.settings(device, data), data, data, device)
    training.state.net.train()
    with kernels():
        training.step()
        advance = training.step
        if training.captured and not eager:
            advance = Capture(training.step, training.state.tensors, device).capture()

    def step():
        with kernels():
            advance()
        training.state.row %= len(training.state.batches)

    return step


def _usual_loop(model, data, device):
    """A function that takes one step of the loop which one would otherwise write."""
    net = network(model, 100).to(device, memory_format=torch.contiguous_format).train()
    optimizer = torch.optim.SGD(net.base.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    batches = _pil_batches(data)

    def step():
        x, y = (part.to(device) for part in next(batches))
        loss = cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def _pil_batches(data):
    """Endless batches (x, y) of a shuffled DataLoader over PIL images, with torchvision's transforms."""
    transforms = vision.torchvision.transforms
    augment = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    pictures = [Image.fromarray(image.numpy()) for image in data.images.permute(0, 2, 3, 1).cpu()]
    pairs = list(zip(pictures, data.labels.tolist(), strict=True))
    loader = torch.utils.data.DataLoader(
        pairs, BATCH, shuffle=True, drop_last=True, collate_fn=lambda batch: _collate(batch, augment)
    )
    while True:
        yield from loader


def _collate(batch, augment):
    return torch.stack([augment(picture) for picture, _ in batch]), torch.tensor([label for _, label in batch])
