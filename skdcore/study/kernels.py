"""Kernels that are forked: what every notebook imports, for 8 seconds of a core, is imported once for all of them.

A forked kernel differs from an ordinary one in little: it runs no `atexit` hooks.
"""

import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from functools import cache
from threading import Thread

from jupyter_client.manager import AsyncKernelManager

from skdcore.sweep import FORKS, preload

# All but matplotlib_inline, which looks for its notebook when it is imported.
IMPORTED = "skdcore.preload", "ipykernel.kernelapp", "scipy.stats", "skdcore.study.body", "skdcore.study.claims_page"
INLINE = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # matplotlib looks for it when it is imported


@cache
def prepare():
    """Starts the process that kernels, and this process's sweeps, are forked from."""
    preload(*IMPORTED, **INLINE)


class Forked(AsyncKernelManager):
    """Starts a kernel in a fork of a process that has the imports, instead of a new one."""

    async def _async_launch_kernel(self, kernel_cmd, **options):
        prepare()
        local, arguments = self.provisioner, kernel_cmd[kernel_cmd.index("-f") :]
        local.process = _Process(arguments, options["env"], options.get("cwd") or os.getcwd())
        local.pid = local.pgid = local.process.pid  # the leader of its group
        self._reconcile_connection_info(local.connection_info)


class _Process:
    """What Jupyter uses of a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, *arguments):
        how = {"target": _run, "args": arguments, "daemon": True}  # a daemon is not waited for at exit
        self.process = multiprocessing.get_context("forkserver").Process(**how)
        self.process.start()
        self.pid = self.process.pid

    def poll(self):
        return self.process.exitcode

    def wait(self):
        self.process.join()
        return self.process.exitcode

    def send_signal(self, number):
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


def _run(arguments, env, folder):
    """A kernel, in the fork."""
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the process that it is forked from blocks it
    multiprocessing.current_process().daemon = False  # a sweep in a notebook may have workers
    Thread(target=_end_with_parent, daemon=True).start()
    os.chdir(folder)
    os.environ |= env
    del sys.path[0]  # IPython puts the folder in its usual place
    # A handle other than 0 says that this kernel has a parent.
    IPKernelApp.launch_instance(argv=[*arguments, "--IPKernelApp.parent_handle=1"])


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


# What papermill takes: nothing, and so its own kernels, where processes are not forked.
MANAGED = {"kernel_manager_class": Forked} if FORKS else {}
