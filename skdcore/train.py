"""`train(run)` carries out a run, resumes it if it was stopped, and writes its record last."""

import time
from dataclasses import replace
from math import inf
from pathlib import Path

import torch

from skdcore import checkpoint, measures, records
from skdcore.capture import Capture
from skdcore.data import checksum, load_run
from skdcore.errors import Stopped
from skdcore.machine import AND, kernels, now, peak_memory, provenance, usable
from skdcore.methods import build
from skdcore.models import network
from skdcore.precision import autocast
from skdcore.progress import Line, words
from skdcore.run import Run, learning_rate
from skdcore.state import State, fingerprint, halved, load, load_exits, readable, save, save_arrays
from skdcore.step import Step
from skdcore.stop import stop_signals
from skdcore.sums import teachers

__all__ = ["Run", "train"]

AHEAD = 20  # steps that may wait for a GPU; with a whole epoch of them, a stop or a checkpoint would wait as well


def train(
    run,
    device=None,
    root=None,
    results="results",
    budget=inf,
    checkpoint_minutes=1.0,
    progress=True,
    eager=False,
    sweep=None,
):
    """Trains the run and returns its record; a record that is there already is returned as it is.

    A run that was stopped resumes from its checkpoint, beside its record, and ends in the record that it would have
    had: bit for bit on a CPU.  Checkpoints are written every `checkpoint_minutes`, and on SIGINT, SIGTERM or
    when `budget` seconds are over; then `Stopped` is raised.  A loss that is not finite ends the run with a
    record whose state is "failed".  On CUDA the step is captured and replayed (capture.py) unless `eager`.
    `progress`: whether to show how far the run is, or a function that is told.  `sweep` names the sweep that may ask
    the run to stop.
    Bad arguments raise ValueError and write nothing.
    """
    device, deadline = usable(device), time.monotonic() + budget
    splits = load_run(run, root, device)
    settings, data_sha256 = run.settings(device, splits[0]), checksum(*splits)
    file = records.path(results, settings)
    if record := records.find(results, settings, data_sha256):
        with Line(progress) as line:
            line.show(f"{records.outcome(record)} (recorded before, so not trained again)")
        return record
    if time.monotonic() > deadline:  # before a network is made, which takes long where it is large
        raise Stopped(f"{run}: not begun, the time budget is used up")
    taught_by, made = {}, {"data_sha256": data_sha256}
    how = {"progress": progress, "eager": eager, "checkpoint_minutes": checkpoint_minutes, "sweep": sweep}
    for name in teachers(run.method):
        rehearsal(settings | {"batch": 2}, *splits, device)  # a bad argument raises before a teacher is trained
        taught_by[name], weights = _teacher(run, name, deadline, device, root, results, **how)
        made["teachers"] = made.get("teachers", {}) | {name: weights}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    training = Training(settings, *splits, device, taught_by, eager)
    with kernels(), stop_signals(deadline, sweep) as stop, Line(progress) as line, records.lock(file, stop, line):
        if record := records.find(results, settings, data_sha256):  # another worker was faster
            return record
        training.state.provenance |= made
        training.resume(file)
        record = training.run(stop, line, checkpoint_minutes * 60)
        records.write(file, record)
        checkpoint.remove(file)
        line.show(records.outcome(record))
    return record


def _teacher(run, name, deadline, *where, **how):
    return trained_network(replace(run, method=name), *where, budget=deadline - time.monotonic(), **how)


def trained_network(run, device, root, results, **how):
    """The network of a run in evaluation mode, with the exits that it trained, and its fingerprint.

    It is trained first if there are no weights.

    If a record has no weights beside it that it names, as in a fresh clone, the run is trained again, under
    <results>/teachers.  `how` are further keywords of `train`.  Raises ValueError if the run failed, or if the weights
    are damaged or not those of the record.
    """
    device = usable(device)
    data, _ = load_run(run, root, device)
    settings = run.settings(device, data)
    file = records.path(results, settings)
    named = file.exists() and "weights" in records.read(file)["provenance"]
    if file.exists() and not (named and file.with_suffix(".weights.pt").exists()):
        results = Path(results, "teachers")
        file = records.path(results, settings)
    if (record := train(run, device, root, results, **how))["state"] == "failed":
        raise ValueError(f"no teacher: {records.outcome(record)}")
    weights = load(file.with_suffix(".weights.pt"), device)
    with readable(file.with_suffix(".weights.pt")):
        own = fingerprint(weights)
    if own != record["provenance"].get("weights"):
        raise ValueError(f"{file.with_suffix('.weights.pt')}: not the weights of {file.name}; move both away")
    net = network(run.model, len(data.classes), data.side).to(device)
    net.base.load_state_dict(weights)
    load_exits(net, file, device)
    return net.eval(), record["provenance"]["weights"]


def rehearsal(settings, data, test, device):
    """The `Training` of a run's settings on the two splits, not yet begun; untrained networks stand in for teachers."""
    model = settings["model"], len(data.classes), data.side
    stand_ins = {name: network(*model).to(device).eval() for name in teachers(settings["method"])}
    return Training(settings, data, test, device, stand_ins)


class Training:
    """A run under way: its `state`, and the loop over it.

    `data` and `test` are the splits; `losses` is the method, `terms` are its terms; `teachers` {sum: network}.
    """

    def __init__(self, settings, data, test, device, teachers=None, eager=False):
        self.settings, self.data, self.test, self.device = settings, data, test, device
        self.teachers, self.losses = teachers or {}, build(settings["method"])
        self.file = None  # of the record, once `resume` names it
        self.lap_began = time.monotonic()
        torch.manual_seed(settings["seed"])
        net = network(settings["model"], len(data.classes), data.side).to(device)
        self.terms, self.trained, self.remembered = self.dry_step(net)
        how = settings["lr"], settings["momentum"]
        optimizer = torch.optim.SGD(self.trained, *how, weight_decay=settings["weight_decay"], fused=True)
        curve = {"loss": {term: [] for term in self.terms}, "lr": [], "train": []}
        curve |= {"scored": [], "test": [], "var_logits": [], "var_probs": []}
        made = provenance(device) | {"started": now()}
        self.state = State(settings, net, optimizer, *self.fresh_epoch(), curve, made)
        self.captured = device.type == "cuda" and not eager

    def dry_step(self, net):
        """The method's terms, the parameters that it trains, and the form of its memories, {term: {name: meta tensor}}.

        They are those of a step that leaves no trace but its parts, and of a second if there are memories, now filled.
        They raise what a bad argument raises before anything is written.
        """
        net.train()
        random, buffers = torch.get_rng_state(), {name: buffer.clone() for name, buffer in net.named_buffers()}
        cuda = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        index, memories = torch.arange(self.settings["batch"], device=self.device), {}
        for _ in range(2):
            s = self.view_of(net, index, memories)
            losses, _ = self.forward(s)
            sum(losses.values()).backward()
            buffers |= s.made  # the parts' buffers, as they were made
            if not memories:
                break
        with torch.no_grad():
            for name, buffer in net.named_buffers():
                buffer.copy_(buffers[name])
        torch.set_rng_state(random)
        if cuda is not None:
            torch.cuda.set_rng_state(cuda, self.device)
        trained = [p for p in net.parameters() if p.grad is not None]
        net.zero_grad(set_to_none=True)
        remembered = {term: {name: t.to("meta") for name, t in memory.items()} for term, memory in memories.items()}
        return list(losses), trained, remembered

    def fresh_epoch(self):
        """The batches of an epoch (the incomplete one is dropped), an empty meter, and row 0."""
        n, batch = len(self.data), self.settings["batch"]
        batches = torch.randperm(n, device=self.device)[: n - n % batch].view(-1, batch)
        meter = torch.zeros(len(batches), len(self.terms) + 1, device=self.device)
        return batches, meter, torch.zeros(1, dtype=torch.int64, device=self.device)

    def view_of(self, net, index, memories, epoch=0):
        """The `Step` of a batch."""
        about = {"epoch": epoch, "epochs": self.settings["epochs"], "teachers": self.teachers}
        return Step(net=net, data=self.data, index=index, memories=memories, **about)

    def forward(self, s):
        """The losses by term on a step's batch, and how many of its images are classified correctly."""
        with self.autocast():
            return self.losses(s), (s.z.argmax(dim=1) == s.y).sum()

    def autocast(self):
        """The block in which the network computes, in the precision of the run."""
        return autocast(self.device, self.settings["precision"])

    def step(self):
        """One SGD step on the next batch; its losses and hits go to the meter.

        What changes from step to step is on the device, the number of the step too, so that this can be replayed.
        """
        state = self.state
        index = state.batches.index_select(0, state.row).squeeze(0)
        losses, right = self.forward(self.view_of(state.net, index, state.memories, state.epoch))
        state.optimizer.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        state.optimizer.step()
        state.meter.index_copy_(0, state.row, torch.stack([*losses.values(), right]).detach()[None])
        state.row += 1

    def run(self, stop, line, checkpoint_seconds):
        """The loop.  Returns the record; raises `Stopped` once `stop` gives a reason."""
        state, saved = self.state, time.monotonic()
        capture = Capture(self.step, self.state.tensors, self.device) if self.captured else None
        self.lap_began = time.monotonic()
        while state.epoch < self.settings["epochs"]:
            for group in state.optimizer.param_groups:
                group["lr"] = learning_rate(self.settings, state.epoch)
            state.net.train()
            step = self.step
            while state.at < len(state.batches):
                if (reason := stop()) or time.monotonic() - saved > checkpoint_seconds:
                    self.lap("training")
                    checkpoint.keep(state, self.file)
                    saved = time.monotonic()
                    if reason:
                        raise Stopped(f"{self.headline()}: {reason}; the same command resumes from there")
                if capture and step == self.step and (state.epoch or state.at):  # the first step is eager
                    step = capture.capture()
                step()
                state.at += 1
                if capture and state.at % AHEAD == 0:
                    torch.cuda.synchronize(self.device)
                line.update(lambda: f"{self.headline()}, {self.left()} left")
            self.lap("training")
            if bad := self.first_bad_step():
                return self.failed(f"the loss is not finite at epoch {state.epoch + 1}, step {bad}")
            logits = self.end_epoch()
            if logits is not None and not logits.isfinite().all():
                return self.failed(f"the test logits are not finite after epoch {state.epoch}")
            self.lap("scoring")
        return self.finished(logits)

    def first_bad_step(self):
        """Number (from 1) of the epoch's first step with a loss that is not finite, or None."""
        bad = (~self.state.meter.isfinite().all(dim=1)).nonzero()
        return int(bad[0]) + 1 if len(bad) else None

    def end_epoch(self):
        """Adds a point to every curve and begins the next epoch.  Returns the test logits if it was time to score."""
        state, logits = self.state, None
        self.check_trained()
        *losses, right = state.meter.mean(dim=0).tolist()
        for term, loss in zip(self.terms, losses, strict=True):
            state.curve["loss"][term].append(loss)
        point = {"lr": learning_rate(self.settings, state.epoch), "train": 100 * right / self.settings["batch"]}
        state.epoch, state.at = state.epoch + 1, 0
        if state.epoch % self.settings["score_every"] == 0 or state.epoch == self.settings["epochs"]:
            logits = measures.predict(state.net, self.test, self.autocast)
            point |= {"scored": state.epoch, "test": measures.scores(logits, self.test.labels)["accuracy"]}
            point |= measures.ranked_variances(logits)
        for key, value in point.items():
            state.curve[key].append(value)
        state.batches, state.meter, state.row = self.fresh_epoch()
        return logits

    def check_trained(self):
        """Raises ValueError for a parameter that a method began to use after the dry step: nothing would train it."""
        trained = {id(p) for p in self.trained}
        names = [name for name, p in self.state.net.named_parameters() if p.grad is not None and id(p) not in trained]
        if names:
            raise ValueError(
                f"{self.settings['method']} first used {names[0]} in epoch {self.state.epoch + 1}; a method must use "
                "what it trains from its first step on, with a weight of 0 if need be"
            )

    def lap(self, kind):
        """Adds the seconds since the lap before to `training` or `scoring`."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.monotonic()
        self.state.seconds[kind] += now - self.lap_began
        self.lap_began = now

    def headline(self):
        """How far the run is, in a line."""
        run, state = self.settings, self.state
        at = f"epoch {min(state.epoch + 1, run['epochs'])}/{run['epochs']}, step {state.at}/{len(state.batches)}"
        accuracy = f", test accuracy {state.curve['test'][-1]:.2f} %" if state.curve["test"] else ""
        return f"{run['dataset']} {run['model']} {run['method']} seed {run['seed']}: {at}{accuracy}"

    def left(self):
        """How long the rest of the run takes at its pace so far, in words."""
        epochs, done = self.settings["epochs"], self.state.epoch + self.state.at / len(self.state.batches)
        spent = sum(self.state.seconds.values()) + time.monotonic() - self.lap_began
        return words(spent * (epochs - done) / done)

    def finished(self, logits):
        """The record of a finished run, of the form `records.SCHEMA`; writes the files beside it.

        They are the images' scores and, in half precision, the test logits and the weights of the plain network and of
        the exits that the method trained.
        """
        state, y = self.state, self.test.labels
        right = measures.predict(state.net, self.data, self.autocast).argmax(dim=1) == self.data.labels
        final = measures.scores(logits, y) | measures.temperature_scaled(logits, y)
        final["train_accuracy"] = 100 * right.double().mean().item()
        best, epoch = max(zip(state.curve["test"], state.curve["scored"], strict=True), key=lambda point: point[0])
        weights, trained = halved(state.net.base), {id(p) for p in self.trained}
        exits = {k: halved(ac) for k, ac in enumerate(state.net.exits, 1) if id(ac.linear.weight) in trained}
        save(weights, self.file.with_suffix(".weights.pt"))
        if exits:
            save(exits, self.file.with_suffix(".exits.pt"))
        save({"logits": logits.half().cpu()}, self.file.with_suffix(".logits.pt"))
        save_arrays(measures.by_image(logits, y), self.file.with_suffix(".images.npz"))
        state.provenance["weights"] = fingerprint(weights)
        found = {"final": final, "best": {"accuracy": best, "epoch": epoch}, "curve": state.curve}
        return {"run": self.settings, "state": "finished"} | found | self.circumstances()

    def failed(self, reason):
        """The record of a run that failed."""
        return {"run": self.settings, "state": "failed", "reason": reason} | self.circumstances()

    def circumstances(self):
        """What depends on the machine's speed, the parameter counts, and what made the numbers."""
        state = self.state
        steps = max(1, state.epoch * len(state.batches) + state.at)
        cost = {
            "seconds_per_step": state.seconds["training"] / steps,
            "seconds": sum(state.seconds.values()),
            "params_trained": sum(p.numel() for p in self.trained),
            "params_deployed": sum(p.numel() for p in state.net.base.parameters()),
            "peak_memory": peak_memory(self.device),
            "captured": self.captured,
        }
        made = state.provenance | {"threads": torch.get_num_threads(), "ended": now()}
        return {"cost": cost, "provenance": made}

    def resume(self, file):
        """Takes over the newest whole checkpoint beside the record's `file`, if there is one, of this very run.

        The record then names all code and machines that the run used.
        """
        self.file, mine = file, self.state.provenance
        if not (kept := checkpoint.newest(self.state, self.remembered, file, self.device)):
            return
        self.state.load_state_dict(kept)
        made = self.state.provenance
        for key in ("code", "commit", "torch", "python", "device"):
            if mine[key] and mine[key] not in (made[key] or "").split(AND):
                made[key] = AND.join(filter(None, [made[key], mine[key]]))
        made["clean"] = made["clean"] and mine["clean"]
