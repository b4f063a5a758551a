"""Fidelity, evidence and training in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from envs.core.fidelity import FidelityReport
from ppo_marketing.constrained import share_of
from ppo_marketing.evaluation import Evidence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ppo_marketing.ppo.run import TrainingRow


def fidelity_figure(report: FidelityReport) -> Figure:
    """Observed against simulated, one panel a curve."""
    curves = report.curves
    figure = _figure(max(1, len(curves)))
    for panel, curve in zip(figure.axes, curves, strict=False):
        panel.plot(curve.x, curve.observed, label="held-out days", color="#0072B2")
        panel.plot(curve.x, curve.simulated, "--", label="simulator", color="#D55E00")
        panel.set(title=curve.name, xlabel=curve.x_label, ylabel=curve.y_label)
        panel.legend()
    return figure


def evidence_figure(evidence: Evidence) -> Figure:
    """Shares of the ceiling with their intervals."""
    rows = sorted(evidence.rows, key=lambda row: row.share_of_ceiling.value)
    figure = _figure(1)
    panel = figure.axes[0]
    shares = np.array([row.share_of_ceiling.value for row in rows])
    low = np.array([row.share_of_ceiling.low for row in rows])
    high = np.array([row.share_of_ceiling.high for row in rows])
    colours = ["#D55E00" if row.kind == "policy" else "#0072B2" for row in rows]
    panel.barh([row.name for row in rows], shares, color=colours)
    # Where every episode gives the same share, rounding alone can put the mean outside.
    arms = np.maximum([shares - low, high - shares], 0.0)
    panel.errorbar(shares, range(len(rows)), xerr=arms, fmt="none", color="black")
    panel.set(xlabel="share of the ceiling", title=evidence.world)
    return figure


def training_figure(history: Sequence[TrainingRow]) -> Figure:
    """The validation score against seconds of training."""
    scored = {
        row.seconds: share
        for row in history
        if (share := share_of(row.validation_score)) is not None
    }
    figure = _figure(1)
    panel = figure.axes[0]
    panel.plot(list(scored), list(scored.values()))
    panel.set(xlabel="seconds of training", ylabel="share of the ceiling", title="training")
    return figure


def _figure(panels: int) -> Figure:
    from matplotlib.figure import Figure  # slow to import, and only reports draw

    figure = Figure(figsize=(7, 3.6 * panels), layout="constrained")
    figure.subplots(panels, 1, squeeze=False)
    return figure
