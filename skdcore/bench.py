"""What a step costs: contenders take turns, step by step, in one process, and ratios are read pair by pair.

The reference is the loop that one would otherwise write: float32, NCHW, a DataLoader over PIL images, `.item()`
at each step.  Images are random, so that nothing need be downloaded; their content costs nothing.
"""

import time

import pandas
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from skdcore.data import MEAN, STD, Data
from skdcore.losses import cross_entropy
from skdcore.models import MODELS, network
from skdcore.progress import Line
from skdcore.train import Run, Training, usable
from skdcore.vision import torchvision

USUAL = "usual loop"


def bench(model="resnet18", methods=("vanilla", "dsr", "drg", "drg+dsr"), minutes=4.0, device=None, images=2048):
    """Two pandas tables: steps (batch 128) of each contender, and views (images a second on one thread).

    Steps take turns for `minutes`; a ratio is the median over turns of a contender's seconds over vanilla's in the
    same turn, beside its quartiles.
    """
    device = usable(device)
    data = _random_data(images, device)
    contenders = {USUAL: _usual_loop(model, data, device)}
    contenders |= {method: _ours(model, method, data, device) for method in dict.fromkeys(["vanilla", *methods])}
    views = _views(_random_data(images, "cpu"))
    return _turns(contenders, 60 * minutes, device), views


def sizes(classes=100, side=32):
    """A pandas table of each network: parameters and multiply-adds for one image, of it and of its three ACs."""
    rows = {}
    for name in MODELS:
        net = network(name, classes, side).to("meta").eval()
        features = net.features(torch.empty(1, 3, side, side, device="meta"))
        row = {
            "parameters": _count(net.base),
            "multiply-adds": _multiply_adds(net, features[0].new_empty(1, 3, side, side)),
        }
        for k, (ac, feature) in enumerate(zip(net.exits, features[:3], strict=True), start=1):
            row |= {f"AC {k} parameters": _count(ac), f"AC {k} multiply-adds": _multiply_adds(ac, feature)}
        rows[name] = row
    return pandas.DataFrame(rows).T.map("{:,}".format)


def _count(module):
    return sum(p.numel() for p in module.parameters())


def _multiply_adds(module, x):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x)
    return counter.get_total_flops() // 2


def _turns(contenders, seconds, device):
    """Seconds a step of each contender by turn, as a table of medians and ratios."""
    taken, end = [], time.monotonic() + seconds
    with Line() as line:
        while time.monotonic() < end or len(taken) < 4:
            turn = {}
            for name, step in contenders.items():
                began = time.perf_counter()
                step()
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                turn[name] = time.perf_counter() - began
            taken.append(turn)
            line.update(lambda: f"turn {len(taken)}, {max(0, end - time.monotonic()):.0f} s left")
    taken = pandas.DataFrame(taken[1:])  # the first turn warms up
    ratios = taken.div(taken["vanilla"], axis=0)
    columns = {"seconds a step": taken.median(), "images/s": 128 / taken.median(), "over vanilla": ratios.median()}
    columns |= {"first quartile": ratios.quantile(0.25), "third quartile": ratios.quantile(0.75)}
    return pandas.DataFrame(columns | {"steps": taken.count()})


def _views(data):
    """Images a second that become normalised float batches, on one thread: ours and the DataLoader, in turns."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    index, batches, taken = torch.arange(128), _pil_batches(data), []
    for _ in range(15):
        began = time.perf_counter()
        for _ in range(20):
            data.view(index)
        middle = time.perf_counter()
        next(batches)
        taken.append({"ours": 20 * 128 / (middle - began), "PIL DataLoader": 128 / (time.perf_counter() - middle)})
    torch.set_num_threads(threads)
    taken = pandas.DataFrame(taken[1:])
    ratio = (taken["ours"] / taken["PIL DataLoader"]).median()
    return pandas.DataFrame({"images/s": taken.median(), "over PIL": [ratio, 1.0]})


def _random_data(images, device):
    pixels = torch.randint(256, (images, 3, 32, 32), dtype=torch.uint8)
    return Data(pixels, torch.arange(images) % 100, range(100), device, padding=4, flip=True)


def _ours(model, method, data, device):
    """A function that takes one step of ours: bf16, channels_last."""
    settings = Run("cifar100", model, method, precision="bf16").settings(device, data)
    training = Training(settings, data, data, device)
    training.begin_epoch()
    training.net.train()

    def step():
        training.step()
        training.row %= len(training.batches)

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
    transforms = torchvision.transforms
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
        pairs, 128, shuffle=True, drop_last=True, collate_fn=lambda batch: _collate(batch, augment)
    )
    while True:
        yield from loader


def _collate(batch, augment):
    return torch.stack([augment(picture) for picture, _ in batch]), torch.tensor([label for _, label in batch])
