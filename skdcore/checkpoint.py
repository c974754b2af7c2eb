"""The checkpoints of a run, beside its record: the last two, so that a damaged one costs a minute and not the run."""

import os
import warnings

from skdcore.errors import Damaged
from skdcore.state import load, readable, save

ENDINGS = ".checkpoint.pt", ".checkpoint-before.pt"  # the latest, and the one before it


def keep(state, file):
    """Writes the `State` of the run with this record `file`; the checkpoint before is kept as well.

    Raises OSError, for example where the disk is full; what was kept before is whole then.
    """
    latest, before = _paths(file)
    if latest.exists():
        os.replace(latest, before)
    save(state.state_dict(), latest)


def newest(state, remembered, file, device):
    """What the newest whole checkpoint of the run with this record `file` holds, of the form of `state`, or None.

    `remembered` is the form of the memories that its method has after a step.

    A damaged one is set aside, under a name that ends in .damaged, with a warning.  Raises ValueError if one belongs to
    a run with other settings, data or teacher.
    """
    for path in _paths(file):
        if not path.exists():
            continue
        try:
            kept = load(path, device)
            with readable(path):
                same = kept["settings"] == state.settings and _inputs(kept["provenance"]) == _inputs(state.provenance)
            if same:
                with readable(path):
                    state.check(kept, remembered)
                return kept
        except Damaged as error:
            aside = path.with_name(f"{path.name}.damaged")
            os.replace(path, aside)
            warnings.warn(f"{error}: set aside as {aside.name}", stacklevel=2)
            continue
        raise ValueError(f"{path} belongs to a run with other settings, data or teacher; move it away to start anew")
    return None


def _inputs(provenance):
    return [provenance.get(key) for key in ("data_sha256", "teachers")]


def remove(file):
    """Removes the checkpoints of the run with this record `file`."""
    for path in _paths(file):
        path.unlink(missing_ok=True)


def _paths(file):
    return [file.with_suffix(ending) for ending in ENDINGS]
