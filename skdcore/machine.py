"""The machine that a run is on: its device, its kernels' settings, and what a record says of it."""

import hashlib
import platform
import resource
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import torch

from skdcore.errors import unknown

HERE = Path(__file__).parent
CODE = hashlib.sha256(b"".join(f.read_bytes() for f in sorted(HERE.glob("*.py")))).hexdigest()[:12]


def _git(*words):
    """What git says of this checkout, or None outside of one."""
    try:
        return subprocess.run(["git", *words], cwd=HERE, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


# As they are when the process begins: both the code that runs and what a record says of it.
COMMIT = _git("rev-parse", "HEAD") if _git("ls-files", "machine.py") else None  # installed elsewhere: no commit
CLEAN = COMMIT and not (_git("status", "--porcelain", "--untracked-files=no") or _git("status", "--porcelain", "."))
AND = " and "  # joins the commits, the code or the machines of a run that was resumed


def usable(name=None):
    """The device `name`, by default CUDA where there is one; ValueError if there is none of that name here."""
    name = known(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch raises either
        raise ValueError(f"device {name!r} cannot be used: {str(error).splitlines()[0]}") from None


def known(name):
    """The name of a device, as text; ValueError unless it is of a kind that runs can be trained on."""
    if str(name).split(":")[0] not in ("cpu", "cuda"):
        raise unknown("device", name, ["cpu", "cuda"])
    return str(name)


@contextmanager
def kernels():
    """cuDNN's settings for a run: it tries out its kernels, and fp32 is float32 in convolutions too.

    A resumed run takes the number of threads from its checkpoint; afterwards it is what it was before.
    """
    threads = torch.get_num_threads()
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            yield
    finally:
        torch.set_num_threads(threads)


def provenance(device):
    """What made a number: versions, device, threads, commit and a hash of the code; no host's name."""
    return {
        "torch": str(torch.__version__),  # plain text, as a checkpoint holds no other
        "python": platform.python_version(),
        "device": hardware(device),
        "threads": torch.get_num_threads(),
        "commit": COMMIT,
        "clean": CLEAN,
        "code": CODE,
        "ended": now(),
    }


def hardware(device):
    """The model name of a GPU, or of the processor: Linux tells it in /proc, others through `platform`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def peak_memory(device):
    """Largest memory so far, in bytes: on a GPU allocated since the last `train` began.

    On a CPU what was resident of the process, and so an upper bound where it had trained other runs before.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # macOS counts bytes, Linux KiB


def now():
    """The time in UTC, to the second, as ISO 8601 writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
