"""Progress on a line or a few: in a terminal, in Jupyter, under papermill and in the built page."""

import shutil
import sys
import threading
import time

SECONDS = {"terminal": 0.2, "notebook": 1.0, "log": 30.0}  # between two updates


class Line:
    """A text that is rewritten in place; in a log file, where that is impossible, its first line comes now and then.

    `show` is whether to show it at all, or a function that takes the text instead.

    `update` takes a function, called only when it is time to show something, so that a training loop may call
    it every step.  Inside a notebook the line is one display, updated through its display_id, and so reads well
    in the executed copy too.
    """

    def __init__(self, show=True):
        self.output = show if callable(show) else _output() if show else None
        self.shown, self.handle, self.below = -1e9, None, 0  # below: how many lines follow the first on the terminal
        self.alone = threading.RLock()  # a sweep's workers are heard in another thread

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.output == "terminal" and self.shown > 0:
            print(file=sys.stderr, flush=True)
        self.output = None

    def update(self, text):
        """Shows `text()` if it is time to."""
        if self.output and time.monotonic() - self.shown > SECONDS.get(self.output, 1.0):
            self._show(text())

    def show(self, text):
        """Shows the text, whatever the time."""
        if self.output:
            self._show(text)

    def _show(self, text):
        with self.alone:
            self.shown = time.monotonic()
            if callable(self.output):
                self.output(text)
            elif self.output == "notebook":
                self._display(text)
            elif self.output == "terminal":
                self._rewrite(text)
            else:
                print(text.partition("\n")[0], file=sys.stderr, flush=True)

    def _display(self, text):
        from IPython.display import display

        shown = {"text/plain": text}
        if self.handle:
            self.handle.update(shown, raw=True)
        else:
            self.handle = display(shown, raw=True, display_id=True)

    def _rewrite(self, text):
        width, lines = shutil.get_terminal_size().columns, text.split("\n")
        up = f"\033[{self.below}A" if self.below else ""
        self.below = len(lines) - 1
        print(f"\r{up}\033[J" + "\n".join(line[: width - 1] for line in lines), end="", file=sys.stderr, flush=True)


def words(seconds):
    """A time in the unit that suits it, such as "3.2 min"."""
    unit, name = (3600, "h") if seconds >= 3600 else (60, "min") if seconds >= 60 else (1, "s")
    return f"{seconds / unit:.1f} {name}"


def _output():
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    if shell and hasattr(shell, "kernel"):
        return "notebook"
    return "terminal" if sys.stderr.isatty() else "log"
