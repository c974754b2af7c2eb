"""A run, and `train(run)`, which carries it out, resumes it if it was stopped, and writes its record last."""

import hashlib
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from math import inf, isfinite
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch

from skdcore import measures, records
from skdcore.capture import Capture
from skdcore.data import checksum, load_run
from skdcore.datasets import entry
from skdcore.errors import Stopped, unknown
from skdcore.machine import CLEAN, CODE, COMMIT, kernels, now, peak_memory, provenance, usable
from skdcore.methods import build, canonical
from skdcore.models import MODELS, network
from skdcore.progress import Line
from skdcore.step import Step
from skdcore.sums import teachers


@dataclass(frozen=True)
class Run:
    """One cell: a data set, a model, a method (any text of the sum; kept in canonical form) and a seed.

    `epochs` None: the data set's recipe; `precision` None: fp32 on a CPU, bf16 on CUDA.
    Raises ValueError for a name that is not known (the near ones are named) or a number out of range.
    """

    dataset: str
    model: str
    method: str
    seed: int = 0
    epochs: int | None = None
    precision: str | None = None

    def __post_init__(self):
        object.__setattr__(self, "dataset", entry(self.dataset).name)
        if self.model not in MODELS:
            raise unknown("model", self.model, MODELS)
        if self.precision not in (None, "fp32", "bf16"):
            raise unknown("precision", self.precision, ["fp32", "bf16"])
        for name, value, least in (("epochs", self.epochs, 1), ("seed", self.seed, 0)):
            if value is not None and (type(value) is not int or value < least):
                raise ValueError(f"{name}={value!r}: a whole number of at least {least}")
        object.__setattr__(self, "method", canonical(self.method))

    def settings(self, device="cpu", train=None):
        """Every parameter of the run with its defaults resolved: `run` of its record.

        Given the training part, the batch is 64 for large images and never larger than the part.
        """
        settings = asdict(self) | entry(self.dataset).recipe
        settings["epochs"] = self.epochs or settings["epochs"]
        settings["precision"] = self.precision or ("bf16" if torch.device(device).type == "cuda" else "fp32")
        if train:
            settings["batch"] = min(64 if train.side >= 128 else settings["batch"], len(train))
        return settings


def learning_rate(settings, epoch):
    """lr * gamma^(milestones passed); one at fraction f is passed from the first epoch e >= 1, e >= f * epochs."""
    passed = sum(epoch >= max(1, f * settings["epochs"]) for f in settings["milestones"])
    return settings["lr"] * settings["gamma"] ** passed


def train(
    run, device=None, root=None, results="results", budget=inf, checkpoint_minutes=1.0, progress=True, eager=False
):
    """Trains the run and returns its record; a record that is there already is returned as it is.

    A run that was stopped goes on from its checkpoint (beside the record's place) to the record it would have
    had: bit for bit on a CPU.  Checkpoints are written every `checkpoint_minutes`, and on SIGINT, SIGTERM or
    when `budget` seconds are over; then `Stopped` is raised.  A loss that is not finite ends the run with a
    record whose state is "failed".  On CUDA the step is captured and replayed (capture.py) unless `eager`.
    Bad arguments raise ValueError and write nothing.
    """
    device, deadline = usable(device), time.monotonic() + budget
    parts = load_run(run, root, device)
    settings, data_sha256 = run.settings(device, parts[0]), checksum(*parts)
    place = records.path(results, settings)
    if record := records.find(results, settings, data_sha256):
        with Line(progress) as line:
            line.show(f"{outcome(record)} (recorded before, so not trained again)")
        return record
    taught_by = {}
    for name in teachers(run.method):
        how = {"budget": deadline - time.monotonic(), "progress": progress, "eager": eager}
        taught_by[name] = teacher(replace(run, method=name), device, root, results, **how)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    training = Training(settings, *parts, device, taught_by, eager)
    with kernels(), stop_signals(deadline) as stop, Line(progress) as line, records.lock(place, stop, line):
        if record := records.find(results, settings, data_sha256):  # another worker was faster
            return record
        training.checkpoint = place.with_suffix(".checkpoint.pt")
        training.provenance["data_sha256"] = data_sha256
        if taught_by:
            training.provenance["teachers"] = {name: fingerprint(net) for name, net in taught_by.items()}
        training.resume()
        record = training.run(stop, line, checkpoint_minutes * 60)
        if record["state"] == "finished":
            keep(training, place)
        records.write(place, record)
        training.checkpoint.unlink(missing_ok=True)
        line.show(outcome(record))
    return record


def keep(training, place):
    """Leaves beside the record its images' scores and, in half precision, the plain network's weights and logits."""
    weights = training.net.base.state_dict()
    for name, tensors in (("weights", weights), ("logits", {"logits": training.logits})):
        half = {key: (t.half() if t.is_floating_point() else t).cpu() for key, t in tensors.items()}
        save(half, place.with_suffix(f".{name}.pt"))
    scores = BytesIO()
    np.savez_compressed(scores, **measures.by_image(training.logits, training.test.labels))
    records.atomically(place.with_suffix(".images.npz"), scores.getbuffer())


def save(state, file):
    """`torch.save`, whole or not at all; into memory first, as torch hides what the system says of a full disk."""
    content = BytesIO()
    torch.save(state, content)
    records.atomically(file, content.getbuffer())


def teacher(run, device, root, results, **how):
    """The network of a run in evaluation mode, for `kd`; the run is trained first if its weights are not there.

    A record whose weights are not beside it, as in a fresh clone, is left alone, and its run trained anew under
    <results>/teachers.  `how` are further keywords of `train`.  Raises ValueError if the run failed.
    """
    parts = load_run(run, root, device)
    settings = run.settings(device, parts[0])
    place = records.path(results, settings)
    if place.exists() and not place.with_suffix(".weights.pt").exists():
        results = Path(results, "teachers")
        place = records.path(results, settings)
    if (record := train(run, device, root, results, **how))["state"] == "failed":
        raise ValueError(f"no teacher: {outcome(record)}")
    net = network(run.model, len(parts[0].classes), parts[0].side).to(device)
    with readable(place.with_suffix(".weights.pt")) as weights:
        net.base.load_state_dict(torch.load(weights, map_location=device, weights_only=True))
    return net.eval()


@contextmanager
def readable(file):
    """For a block that reads what `torch.save` wrote: ValueError that names the file if it cannot be used."""
    try:
        yield file
    except (EOFError, KeyError, RuntimeError, UnpicklingError) as error:
        reason = str(error).strip().splitlines()[:1]
        raise ValueError(
            f"{file}: damaged, or written by other code ({type(error).__name__}: {' '.join(reason)}); "
            "move it away to start anew"
        ) from error


def fingerprint(net):
    """sha256 over the parameters and buffers of a network."""
    digest = hashlib.sha256()
    for name, tensor in net.base.state_dict().items():
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def prepare(runs, device=None, root=None, results="results"):
    """{run: record} of the runs that have their record; each method of the others takes a dry step.

    So what a bad argument of any run raises is raised before the first one is trained.
    """
    device = usable(device)
    found, checksums, rehearsed = {}, {}, set()
    for run in runs:
        parts = load_run(run, root, device)
        if parts[0] not in checksums:
            checksums[parts[0]] = checksum(*parts)
        if record := records.find(results, run.settings(device, parts[0]), checksums[parts[0]]):
            found[run] = record
        elif (alike := replace(run, seed=0)) not in rehearsed:
            rehearsal(run, *parts, device)
            rehearsed.add(alike)
    return found


def rehearsal(run, train, test, device):
    """The run's `Training` on the two parts, not yet begun; untrained networks stand in for its teachers."""
    size = len(train.classes), train.side
    stand_ins = {name: network(run.model, *size).to(device).eval() for name in teachers(run.method)}
    return Training(run.settings(device, train), train, test, device, stand_ins)


def outcome(record):
    """One line on how a run ended."""
    run = record["run"]
    if record["state"] == "failed":
        return f"{run['method']} seed {run['seed']}: failed: {record['reason']}"
    return f"{run['method']} seed {run['seed']}: test accuracy {record['final']['accuracy']:.2f} %"


class Training:
    """A run under way: everything that a checkpoint holds, and the loop over it."""

    def __init__(self, settings, train, test, device, teachers=None, eager=False):
        self.settings, self.train, self.test, self.device = settings, train, test, device
        self.teachers = teachers
        self.provenance = {"started": now(), "commit": COMMIT, "clean": CLEAN, "code": CODE}
        self.capture = Capture(self.step, self.state, device) if device.type == "cuda" and not eager else None
        torch.manual_seed(settings["seed"])
        self.net = network(settings["model"], len(train.classes), train.side).to(device)
        self.losses = build(settings["method"])
        self.memories, self.curve = {}, {}
        self.epoch = self.at = 0  # epochs done, steps of this epoch done
        self.seconds = {"training": 0.0, "all": 0.0}
        trained = self.dry_step()
        self.optimizer = torch.optim.SGD(
            trained, settings["lr"], settings["momentum"], weight_decay=settings["weight_decay"], fused=True
        )
        self.begin_epoch()

    def dry_step(self):
        """One step that leaves no trace but the method's parts; returns the parameters that it trains.

        It raises what a bad argument raises before anything is written.
        """
        self.net.train()
        state = torch.get_rng_state(), {k: v.clone() for k, v in self.net.named_buffers()}
        cuda = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        index = torch.arange(self.settings["batch"], device=self.device)
        losses, _ = self.forward(index, {})
        self.terms = list(losses)
        sum(losses.values()).backward()
        with torch.no_grad():
            for name, buffer in self.net.named_buffers():
                if name in state[1]:
                    buffer.copy_(state[1][name])
        for layer in self.net.parts.modules():  # made just now, and in the random state and buffers of a start
            if isinstance(layer, torch.nn.modules.batchnorm._NormBase):
                layer.reset_running_stats()
        torch.set_rng_state(state[0])
        if cuda is not None:
            torch.cuda.set_rng_state(cuda, self.device)
        trained = [p for p in self.net.parameters() if p.grad is not None]
        self.net.zero_grad(set_to_none=True)
        return trained

    def forward(self, index, memories):
        """The losses by term on a batch, and how many of it were classified rightly."""
        s = Step(
            net=self.net,
            data=self.train,
            index=index,
            epoch=self.epoch,
            epochs=self.settings["epochs"],
            memories=memories,
            teachers=self.teachers,
        )
        with self.autocast():
            losses = self.losses(s)
        return losses, (s.z.argmax(dim=1) == s.y).sum()

    def autocast(self):
        """bf16 for the network where the precision asks for it; weights, statistics and losses stay float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings["precision"] == "bf16")

    def step(self):
        """One SGD step on the next batch; the losses and hits go to the epoch's meters.

        What changes from step to step is on the device, the number of the step too, so that this can be replayed.
        """
        losses, hits = self.forward(self.batches.index_select(0, self.row).squeeze(0), self.memories)
        self.optimizer.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        self.optimizer.step()
        self.meter.index_copy_(0, self.row, torch.stack([*losses.values(), hits]).detach()[None])
        self.row += 1

    def state(self):
        """The tensors that a step changes, once the first step has made them all."""
        momenta = [held["momentum_buffer"] for held in self.optimizer.state.values()]
        memories = [tensor for memory in self.memories.values() for tensor in memory.values()]
        return [*self.net.parameters(), *self.net.buffers(), *momenta, *memories, self.meter, self.row]

    def begin_epoch(self):
        """Draws the epoch's batches (the last incomplete one is dropped) and empties the meters."""
        n, batch = len(self.train), self.settings["batch"]
        self.batches = torch.randperm(n, device=self.device)[: n - n % batch].view(-1, batch)
        self.meter = torch.zeros(len(self.batches), len(self.terms) + 1, device=self.device)
        self.row = torch.zeros(1, dtype=torch.int64, device=self.device)  # `at`, where a replayed step can see it

    def run(self, stop, line, checkpoint_seconds):
        """The loop.  Returns the record; raises `Stopped` once `stop` gives a reason."""
        saved = began = time.monotonic()
        while self.epoch < self.settings["epochs"]:
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(self.settings, self.epoch)
            self.net.train()
            step = self.step
            while self.at < len(self.batches):
                if (reason := stop()) or time.monotonic() - saved > checkpoint_seconds:
                    began = self.clock(began, training=True)
                    self.save()
                    saved = time.monotonic()
                    if reason:
                        raise Stopped(f"{self.headline()}: {reason}; the same command goes on from there")
                if self.capture and step == self.step and (self.epoch or self.at):  # the run's first step is eager
                    step = self.capture.record()
                step()
                self.at += 1
                line.update(self.headline)
            began = self.clock(began, training=True)
            if bad := self.first_bad_step():
                return self.record("failed", reason=f"the loss is not finite at epoch {self.epoch + 1}, step {bad}")
            self.end_epoch()
            if self.curve.get("scored", [0])[-1] == self.epoch and not isfinite(self.scores["nll"]):
                return self.record("failed", reason=f"the test logits are not finite after epoch {self.epoch}")
            began = self.clock(began)
        return self.record("finished")

    def first_bad_step(self):
        """Number (from 1) of the epoch's first step with a loss that is not finite, or None."""
        bad = (~self.meter.isfinite().all(dim=1)).nonzero()
        return int(bad[0]) + 1 if len(bad) else None

    def end_epoch(self):
        """Reads the meters, evaluates on all test images if it is time to, and adds a point to every curve."""
        *losses, hits = self.meter.mean(dim=0).tolist()
        point = {f"loss {term}": loss for term, loss in zip(self.terms, losses, strict=True)}
        point |= {"lr": learning_rate(self.settings, self.epoch), "train": 100 * hits / self.settings["batch"]}
        self.epoch, self.at = self.epoch + 1, 0
        if self.epoch % self.settings["score_every"] == 0 or self.epoch == self.settings["epochs"]:
            self.logits = measures.predict(self.net, self.test, self.autocast)
            self.scores = measures.scores(self.logits, self.test.labels)
            point |= {"scored": self.epoch, "test": self.scores["accuracy"]} | measures.ranked_variances(self.logits)
        for key, value in point.items():
            self.curve.setdefault(key, []).append(value)
        self.begin_epoch()

    def clock(self, began, training=False):
        """Adds the seconds since `began` to the account and returns the time now."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.monotonic()
        self.seconds["all"] += now - began
        self.seconds["training"] += (now - began) * training
        return now

    def headline(self):
        """Where the run stands, in a line."""
        run, steps = self.settings, len(self.batches)
        accuracy = f", test accuracy {self.curve['test'][-1]:.2f} %" if "test" in self.curve else ""
        return (
            f"{run['dataset']} {run['model']} {run['method']} seed {run['seed']}: "
            f"epoch {min(self.epoch + 1, run['epochs'])}/{run['epochs']}, step {self.at}/{steps}{accuracy}"
        )

    def record(self, state, reason=None):
        """The record, of the form `records.SCHEMA`."""
        curve = {key: series for key, series in self.curve.items() if not key.startswith("loss ")}
        curve["loss"] = {term: self.curve.get(f"loss {term}", []) for term in self.terms}
        record = {"run": self.settings, "state": state}
        if state == "failed":
            record |= {"reason": reason}
        else:
            best, epoch = max(zip(curve["test"], curve["scored"], strict=True), key=lambda point: point[0])
            record |= {"final": self.final(), "best": {"accuracy": best, "epoch": epoch}, "curve": curve}
        return record | {"cost": self.cost(), "provenance": provenance(self.device) | self.provenance}

    def final(self):
        """The scores after the last epoch, on the test split and, without augmentation, on the training split."""
        y = self.train.labels
        right = measures.predict(self.net, self.train, self.autocast).argmax(dim=1) == y
        scaled = measures.temperature_scaled(self.logits, self.test.labels)
        return self.scores | scaled | {"train_accuracy": 100 * right.double().mean().item()}

    def cost(self):
        """What depends on the machine's speed, and the parameter counts."""
        steps = max(1, self.epoch * len(self.batches))
        return {
            "seconds_per_step": self.seconds["training"] / steps,
            "seconds": self.seconds["all"],
            "params_trained": sum(p.numel() for group in self.optimizer.param_groups for p in group["params"]),
            "params_deployed": sum(p.numel() for p in self.net.base.parameters()),
            "peak_memory": peak_memory(self.device),
            "captured": self.capture is not None,
        }

    KEPT = ("memories", "curve", "epoch", "at", "seconds", "batches", "meter", "settings", "provenance")

    def save(self):
        """Writes the checkpoint: all that the run's future depends on."""
        state = {name: getattr(self, name) for name in self.KEPT}
        state |= {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}
        state |= {"random": torch.get_rng_state(), "threads": torch.get_num_threads()}
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        save(state, self.checkpoint)

    def resume(self):
        """Goes on from the checkpoint, if there is one of this very run, with its number of threads."""
        if not self.checkpoint.exists():
            return
        with readable(self.checkpoint) as checkpoint:
            self.restore(torch.load(checkpoint, map_location=self.device, weights_only=True))

    def restore(self, state):
        """Takes over what `save` wrote.  The record names all code that had a part in the run."""
        free = dict.fromkeys(("started", "commit", "clean", "code"))
        made, wanted = (given | free for given in (state["provenance"], self.provenance))
        if state["settings"] != self.settings or made != wanted:
            raise ValueError(
                f"{self.checkpoint} is of a run with other settings, data or teacher; move it away to start anew"
            )
        for name in self.KEPT:
            setattr(self, name, state[name])
        for key, value in (("code", CODE), ("commit", COMMIT)):
            if value and value not in (self.provenance[key] or ""):
                self.provenance[key] = "+".join(filter(None, [self.provenance[key], value]))
        self.provenance["clean"] = self.provenance["clean"] and CLEAN
        self.row.fill_(self.at)
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_num_threads(state["threads"])
        torch.set_rng_state(state["random"].cpu())
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"].cpu(), self.device)


@contextmanager
def stop_signals(deadline):
    """Yields a function that gives the reason to stop, or None; `deadline` is a time of the monotonic clock.

    SIGINT and SIGTERM are reasons where handlers can be set (a main thread); elsewhere, as in a Dask
    worker, periodic checkpoints stand in for them.
    """
    caught = []
    names = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {name: signal.signal(name, lambda number, _: caught.append(number)) for name in names}
    try:
        yield (
            lambda: (
                f"stopped by {signal.Signals(caught[0]).name}"
                if caught
                else "the time budget is used up"
                if time.monotonic() > deadline
                else None
            )
        )
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
