"""Kernels that are forked: what every notebook imports, for 8 seconds of a core, is imported once for all of them."""

import multiprocessing
import os
import sys
from threading import Lock

from jupyter_client.manager import AsyncKernelManager

from skdcore.sweep import FORKS, preload

# All but matplotlib_inline, which looks for its notebook when it is imported.
IMPORTED = "skdcore.preload", "ipykernel.kernelapp", "scipy.stats", "skdcore.study.body", "skdcore.study.claims_page"
INLINE = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # matplotlib looks for it when it is imported

STARTS = Lock()  # notebooks are run by several threads, and the variables are those of them all


def prepare():
    """Starts the process that kernels are forked from, and a sweep's workers too if it has none yet."""
    with STARTS:
        preload(IMPORTED, INLINE)


class Forked(AsyncKernelManager):
    """Starts a kernel in a fork of a process that has the imports, instead of a new one."""

    async def _async_launch_kernel(self, kernel_cmd, **options):
        local, arguments = self.provisioner, kernel_cmd[kernel_cmd.index("-f") :]
        prepare()
        local.process = _Process(arguments, options["env"], options.get("cwd") or os.getcwd())
        local.pid = local.pgid = local.process.pid  # the leader of its group
        self._reconcile_connection_info(local.connection_info)


class _Process:
    """What Jupyter asks of a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, arguments, env, folder):
        self.process = multiprocessing.get_context("forkserver").Process(target=_run, args=(arguments, env, folder))
        self.process.start()
        self.pid = self.process.pid

    def poll(self):
        return self.process.exitcode

    def wait(self):
        self.process.join()
        return self.process.exitcode

    def send_signal(self, number):
        os.kill(self.pid, number)


def _run(arguments, env, folder):
    """A kernel, in the fork."""
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()
    os.chdir(folder)
    os.environ |= env | {"JPY_PARENT_PID": str(os.getppid())}  # without its parent, a kernel ends
    sys.path[0] = ""
    IPKernelApp.launch_instance(argv=arguments)


# What papermill takes: nothing, and so its own kernels, where processes are not forked.
MANAGED = {"kernel_manager_class": Forked} if FORKS else {}
