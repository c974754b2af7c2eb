"""Learning curves as the run pages draw them: panels of SVG, with a line for each seed."""

from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

LEFT, TOP, WIDTH, HEIGHT = 44, 8, 300, 170  # of the axes, in pixels


@dataclass(frozen=True)
class Panel:
    """A quantity by epoch: `lines` {seed: [(epoch, value)]}, drawn in their own units."""

    title: str
    lines: dict

    @property
    def points(self):
        """{seed: the points of its line, as SVG has them}."""
        return {
            seed: " ".join(f"{epoch},{value:.4g}" for epoch, value in line) for seed, line in self.lines.items() if line
        }

    @property
    def ends(self):
        """{seed: (pixels from the left, pixels from the top, value) of its last point}."""
        last = {seed: line[-1] for seed, line in self.lines.items() if line}
        return {seed: (self.x(epoch), self.y(value), f"{value:.4g}") for seed, (epoch, value) in last.items()}

    @property
    def xticks(self):
        """(pixels from the left, label) of each tick of the axis of epochs."""
        return [(self.x(tick), f"{tick:g}") for tick in _ticks(0, self._epochs, integer=True) if tick <= self._epochs]

    @property
    def yticks(self):
        """(pixels from the top, label) of each tick of the axis of values."""
        return [(self.y(tick), f"{tick:g}") for tick in self._levels]

    @property
    def scale(self):
        """The SVG transform from epochs and values to pixels."""
        low, high = self._levels[0], self._levels[-1]
        across, down = WIDTH / self._epochs, HEIGHT / (high - low)
        return f"translate({LEFT} {TOP + HEIGHT}) scale({across:.6g} {-down:.6g}) translate(0 {-low:.6g})"

    def x(self, epoch):
        """Pixels from the left."""
        return round(LEFT + WIDTH * epoch / self._epochs, 1)

    def y(self, value):
        """Pixels from the top."""
        low, high = self._levels[0], self._levels[-1]
        return round(TOP + HEIGHT * (high - value) / (high - low), 1)

    @property
    def _epochs(self):
        return max(epoch for line in self.lines.values() for epoch, _ in line)

    @property
    def _levels(self):
        values = [value for line in self.lines.values() for _, value in line]
        low, high = min(values), max(values)
        room = (low == high) * (abs(low) / 10 or 1)  # about a constant, of which matplotlib would show rounding errors
        return _ticks(low - room, high + room)


def _ticks(low, high, **options):
    """Round numbers that enclose an interval."""
    return MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10], **options).tick_values(low, high)


def panels(found):
    """Test accuracy, then the loss of each term, of the `found` records that hold curves."""
    curves = {record["run"]["seed"]: record["curve"] for record in found if "curve" in record}
    if not curves:
        return []
    tests = {seed: [*zip(curve["scored"], curve["test"], strict=True)] for seed, curve in curves.items()}
    terms = dict.fromkeys(term for curve in curves.values() for term in curve["loss"])
    losses = [
        Panel(
            f"Loss, term {term}", {seed: [*enumerate(curve["loss"].get(term, []), 1)] for seed, curve in curves.items()}
        )
        for term in terms
    ]
    return [Panel("Test accuracy, %", tests), *losses]
