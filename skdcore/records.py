"""Records: one JSON file for each finished (or failed) run, the only source of a number on a page.

    <results>/<dataset>/<model>/<method>/e<epochs>-<precision>/<seed>.json

A record is checked against `SCHEMA` when it is written and when it is read.  It is a run's record if every
parameter of `run` and the data's checksum are the same; the machine and the code are provenance.
"""

import json
import os
import warnings
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from skdcore.errors import Stopped

try:
    import fastjsonschema
except ImportError:  # a bare training machine: its records are checked where they are read
    fastjsonschema = None

NUMBER, TEXT, SERIES = {"type": "number"}, {"type": "string"}, {"type": "array", "items": {"type": "number"}}
LONGEST = 200  # characters of a folder's name; file systems take 255, some that encrypt fewer
POSITIVE = {"type": "number", "minimum": 0}
SHARE, PERCENT = POSITIVE | {"maximum": 1}, POSITIVE | {"maximum": 100}


def _object(required, **properties):
    return {"type": "object", "required": required.split(), "properties": properties}


SCHEMA = _object(
    "run state provenance",
    run=_object(
        "dataset model method seed epochs precision batch lr momentum weight_decay gamma milestones score_every",
        **dict.fromkeys("dataset model method".split(), TEXT),
        **dict.fromkeys("lr momentum weight_decay gamma".split(), POSITIVE),
        milestones=SERIES,
        batch={"type": "integer", "minimum": 1},
        score_every={"type": "integer", "minimum": 1},
        seed={"type": "integer", "minimum": 0},
        epochs={"type": "integer", "minimum": 1},
        precision={"enum": ["fp32", "bf16"]},
    )
    | {"additionalProperties": False},  # what a run is, is known
    state={"enum": ["finished", "failed"]},
    reason=TEXT,
    final=_object(
        "accuracy nll ece entropy p_true",
        **dict.fromkeys("accuracy train_accuracy".split(), PERCENT),
        **dict.fromkeys("nll entropy temperature nll_scaled".split(), POSITIVE),
        **dict.fromkeys("ece p_true ece_scaled".split(), SHARE),
    ),
    best=_object("accuracy epoch", accuracy=PERCENT, epoch={"type": "integer", "minimum": 1}),
    curve=_object(
        "loss lr train scored test var_logits var_probs",
        loss={"type": "object", "additionalProperties": SERIES},
        **dict.fromkeys("lr train scored test var_logits var_probs".split(), SERIES),
    ),
    cost=_object(
        "seconds_per_step seconds params_trained params_deployed peak_memory",
        **dict.fromkeys("seconds_per_step seconds params_trained params_deployed".split(), POSITIVE),
    ),
    provenance=_object("torch device threads code data_sha256 started ended"),
) | {
    "if": {"properties": {"state": {"const": "finished"}}},
    "then": {"required": ["final", "best", "curve", "cost"]},
    "else": {"required": ["reason"]},
}
FORM = fastjsonschema.compile(SCHEMA, use_default=False) if fastjsonschema else lambda record: record


def check(record, where):
    """Raises ValueError, naming the file, unless the record has the form of `SCHEMA`."""
    try:
        FORM(record)
    except ValueError as error:
        raise ValueError(f"{where}: not a record: {error}") from None
    if record["state"] == "finished" and (fault := _contradiction(record)):
        raise ValueError(f"{where}: not a record: {fault}")
    return record


def _contradiction(record):
    """What a finished record says against itself, in words, or None."""
    curve, epochs, final, best = record["curve"], record["run"]["epochs"], record["final"], record["best"]
    by_epoch = [*curve["loss"].values(), curve["lr"], curve["train"]]
    if {len(series) for series in by_epoch} != {epochs}:
        return f"a curve does not have one point for each of {epochs} epochs"
    if {len(curve[key]) for key in ("test", "var_logits", "var_probs")} != {len(curve["scored"])}:
        return "a curve does not have one point for each epoch that was scored"
    if curve["scored"][-1:] != [epochs]:
        return "the final epoch was not scored"
    if final["accuracy"] != curve["test"][-1]:
        return f"final accuracy {final['accuracy']} where the curve ends at {curve['test'][-1]}"
    if best != {"accuracy": max(curve["test"]), "epoch": curve["scored"][curve["test"].index(max(curve["test"]))]}:
        return f"best {best} is not the maximum of the curve"
    return None


def path(results, settings):
    """The file of the record of a run with these settings; every part of its path is percent-encoded.

    A part too long for a file system ends in a hash of the whole.
    """
    dataset = settings["dataset"].replace("folder:", "folder-", 1)  # no file system likes a colon
    parts = [dataset, settings["model"], settings["method"], f"e{settings['epochs']}-{settings['precision']}"]
    return Path(results, *(_fitting(quote(part, safe="+(),=._-")) for part in parts), f"{settings['seed']}.json")


def _fitting(name):
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 13]}~{sha256(name.encode()).hexdigest()[:12]}"


def read(file):
    """The record in `file`.  Raises ValueError if it is not one."""
    try:
        record = json.loads(Path(file).read_text(), parse_constant=_refuse, object_pairs_hook=_object_of)
    except ValueError as error:  # no JSON, or no text at all
        raise ValueError(f"{file}: not a record: {error}; move it away to train the run again") from None
    return check(record, file)


def _refuse(constant):
    raise ValueError(f"{constant} is not a number")


def _object_of(pairs):
    """A JSON object, unless it gives a key twice: json would take the later value."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return found


def find(results, settings, data_sha256=None):
    """The record of the run with these settings, or None.

    Raises ValueError if the file is the record of other settings or other data: a record is never
    overwritten.  Without `data_sha256` (the data are not at hand) the settings decide, but for the batch, which
    follows the data.
    """
    file = path(results, settings)
    if file.is_symlink() and not file.exists():
        raise ValueError(f"{file}: a link that leads nowhere")
    if not file.exists():
        return None
    record = read(file)
    found, wanted = dict(record["run"]), dict(settings)
    if data_sha256:
        found["data_sha256"], wanted["data_sha256"] = record["provenance"]["data_sha256"], data_sha256
    else:
        wanted["batch"] = found["batch"]
    odd = [k for k in sorted(found.keys() | wanted.keys()) if found.get(k) != wanted.get(k)]
    if odd:
        detail = ", ".join(f"{k} {found.get(k)} instead of {wanted.get(k)}" for k in odd)
        raise ValueError(f"{file} belongs to another run ({detail}); use another results folder or move it away")
    return record


def write(file, record):
    """Writes the record whole or not at all."""
    check(record, file)
    write_json(file, record)


def write_json(file, value):
    """Writes a value as JSON, whole or not at all.  Raises ValueError for NaN and infinities."""
    atomically(file, json.dumps(value, indent=1, allow_nan=False).encode() + b"\n")


def atomically(file, content):
    """The bytes go to a temporary file; once they are on the disk it takes the name `file`, in one move.

    Raises OSError that names the file, for example where the disk is full.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(temporary, file)
    except OSError as error:
        error.filename = str(file)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def outcome(record):
    """One line on how a run ended."""
    run = record["run"]
    if record["state"] == "failed":
        return f"{run['method']} seed {run['seed']}: failed: {record['reason']}"
    return f"{run['method']} seed {run['seed']}: test accuracy {record['final']['accuracy']:.2f} %"


@contextmanager
def lock(file, stop=lambda: None, line=None):
    """A lock on the run, so that two workers never train it twice; the system frees it if one dies.

    While another worker has it, `line` (a `progress.Line`) says so; raises `Stopped` once `stop()` gives a reason.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(file.with_suffix(".lock"))
    while True:
        try:
            with held.acquire(timeout=0.2):
                yield
            return
        except Timeout:
            if reason := stop():
                raise Stopped(f"{file}: another process is training this run; {reason}") from None
            if line:
                line.update(lambda: f"another process is training this run; this one waits: {file}")


def folder(results):
    """The path of a folder of records, which is to be read only.  Raises FileNotFoundError if there is none."""
    if not Path(results).is_dir():
        raise FileNotFoundError(f"{results}: no such folder of records")
    return Path(results)


def under(results):
    """All records under a folder, in the order of their paths, but for the runs made again for a teacher's weights.

    A seed names each, unlike what `bench` keeps there.  One that cannot be used is left out, with a warning.
    """
    results, found = Path(results), []
    for file in sorted(results.rglob("[0-9]*.json")):
        if results / "teachers" in file.parents:
            continue
        try:
            record = read(file)
            if (own := path("", record["run"]).parts) != file.parts[-len(own) :]:
                raise ValueError(f"{file}: the record of another run, {'/'.join(own)}")
            found.append(record)
        except (ValueError, OSError) as error:
            warnings.warn(f"not counted: {error}", stacklevel=2)
    return found
