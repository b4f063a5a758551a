"""An episode so far, as text or as a picture; for every decision alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Trace = Sequence[Mapping[str, float]]


def as_text(trace: Trace, horizon: int) -> str:
    """The KPIs of the last step and their running totals, one line each."""
    lines = [f"step {len(trace)} of {horizon}"]
    if trace:
        lines.append(f"{'':<14}{'last step':>14}{'so far':>14}")
        lines += [
            f"{name:<14}{trace[-1][name]:>14.4g}{sum(step[name] for step in trace):>14.4g}"
            for name in trace[-1]
        ]
    return "\n".join(lines)


def as_picture(trace: Trace, horizon: int) -> NDArray[np.uint8]:
    """Running totals of every KPI over the episode, `[height, width, 3]` RGB."""
    # Drawing is rare and matplotlib slow to import: environments that only train never pay for it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(trace[0]) if trace else ["no step yet"]
    figure = Figure(figsize=(6.4, 1.2 * len(names) + 0.6), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for panel, name in zip(axes, names, strict=True):
        panel.set_ylabel(name, rotation=0, ha="right", va="center")
        panel.set_xlim(0, horizon)
        if trace:
            panel.step(
                range(1, len(trace) + 1), np.cumsum([step[name] for step in trace]), where="pre"
            )
    axes[-1].set_xlabel("step")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
