"""Progress on one line: in a terminal, in Jupyter, under papermill and in the built page."""

import sys
import time

SECONDS = {"terminal": 0.2, "notebook": 1.0, "log": 30.0}  # between two updates


class Line:
    """A line that is rewritten in place; in a log file, where that is impossible, it is repeated now and then.

    `update` takes a function, called only when it is time to show something, so that a training loop may call
    it every step.  Inside a notebook the line is one display, updated through its display_id, and so reads well
    in the executed copy too.
    """

    def __init__(self, show=True):
        self.output = _output() if show else None
        self.shown, self.handle = -1e9, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.output == "terminal" and self.shown > 0:
            print(file=sys.stderr, flush=True)
        self.output = None

    def update(self, text):
        """Shows `text()` if it is time to."""
        if self.output and time.monotonic() - self.shown > SECONDS[self.output]:
            self._show(text())

    def show(self, text):
        """Shows the text, whatever the time."""
        if self.output:
            self._show(text)

    def _show(self, text):
        self.shown = time.monotonic()
        if self.output == "notebook":
            from IPython.display import display

            shown = {"text/plain": text}
            if self.handle:
                self.handle.update(shown, raw=True)
            else:
                self.handle = display(shown, raw=True, display_id=True)
        else:
            start, end = ("\r\033[K", "") if self.output == "terminal" else ("", "\n")
            print(start + text, end=end, file=sys.stderr, flush=True)


def _output():
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    if shell and hasattr(shell, "kernel"):
        return "notebook"
    return "terminal" if sys.stderr.isatty() else "log"
