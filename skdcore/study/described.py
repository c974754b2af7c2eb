"""A matplotlib figure in words and numbers, for whoever cannot see it."""

import re

from matplotlib.collections import LineCollection
from matplotlib.container import ErrorbarContainer

MOST = 8  # points of a line that are all named; of a longer one, the ends are


def described(figure):
    """The figure's own label or, without one, the labelled lines and points of each panel under its title and axes."""
    return figure.get_label() or " ".join(filter(None, map(_panel, figure.axes)))


def _panel(axes):
    names = _names(axes)
    series = dict(_series(axes, names))
    about = [axes.get_title(), axes.get_xlabel(), "" if names else axes.get_ylabel()]
    listed = "; ".join(f"{label}: {', '.join(points)}" for label, points in series.items() if points)
    return f"{', '.join(filter(None, about)) or 'A panel'}. {listed}." if listed else ""


def _names(axes):
    """{place: name} of the rows of a panel whose ordinate is no number."""
    names = {place: label.get_text() for place, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=False)}
    return names if any(re.search("[a-z]", name) for name in names.values()) else {}


def _series(axes, names):
    """(label, points in words) of what a legend would name."""
    for one in (*axes.get_lines(), *axes.containers, *axes.collections):
        label = str(one.get_label())
        if label.startswith("_"):
            continue
        if isinstance(one, LineCollection):
            yield label, [_span(*ends, names) for ends in one.get_segments() if len(ends) == 2]  # one of NaN has none
        else:
            line = one.lines[0] if isinstance(one, ErrorbarContainer) else one
            if hasattr(line, "get_xdata") and len(line.get_xdata()):
                yield label, _points(line.get_xdata(), line.get_ydata(), names)


def _points(xs, ys, names):
    if len(ys) == 2 and ys[0] == ys[1] and not names:  # a line across the panel
        return [f"{ys[0]:.4g}"]
    points = [_at(x, y, names) for x, y in zip(xs, ys, strict=True) if x == x and y == y]  # without NaN
    return points if names or len(points) <= MOST else [f"from {points[0]}", f"to {points[-1]}"]


def _at(x, y, names):
    return f"{names[y]} {x:.4g}" if y in names else f"{y:.4g} at {x:.4g}"


def _span(first, last, names):
    """An interval, along a row or at an abscissa."""
    (x, y), (to_x, to_y) = first, last
    if y == to_y:
        return f"{names.get(y, y)} {x:.4g} to {to_x:.4g}"
    return f"{y:.4g} to {to_y:.4g} at {x:.4g}"
