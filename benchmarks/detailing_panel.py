"""The detailing panel: prescriptions of months 16-23 predicted from months 1-15, two models.

The gamma-Poisson filter of envs/sequencing/counts.py against a Poisson regression on the lagged
response and calls. One step: every month from all before it. Multi-step: every month from month 15,
predictions standing in for what was not seen; calls are known to both.

    python -m benchmarks.detailing_panel --data DIR
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import write_result
from envs.core.log import read_log
from envs.sequencing.counts import CountHead, expected, fit_counts, seen, start
from envs.sequencing.log import EVENTS

FITTED_MONTHS = 15
BOOTSTRAP = 2000
Floats = NDArray[np.float64]


def panel(folder: Path, cache: Path) -> tuple[Floats, Floats]:
    """Calls and prescriptions `[physicians, months]`, through the reader of the log."""
    log = read_log(folder, EVENTS, reader="detailing", cache=cache)
    columns = log.arrays(["timestamp", "customer_id", "event"])
    month = (columns["timestamp"] - columns["timestamp"].min()).astype("timedelta64[D]")
    month = month.astype(np.int64) // 7
    _, who = np.unique(columns["customer_id"].astype(str), return_inverse=True)
    size = (int(who.max()) + 1, int(month.max()) + 1)

    def grid(event: str) -> Floats:
        rows = columns["event"] == event
        flat = np.ravel_multi_index((who[rows], month[rows]), size)
        return np.bincount(flat, minlength=size[0] * size[1]).reshape(size).astype(np.float64)

    return grid("contact"), grid("purchase")


def design(lagged: Floats, calls: Floats) -> Floats:
    """1, log(1 + lagged prescriptions), log(1 + calls): `[..., 3]`."""
    return np.stack([np.ones_like(calls), np.log1p(lagged), np.log1p(calls)], axis=-1)


def poisson_regression(x: Floats, y: Floats) -> Floats:
    """Maximum likelihood by Newton's method."""
    weights = np.array([np.log(y.mean()), 0.0, 0.0])
    for _ in range(100):
        mean = np.exp(x @ weights)
        step = np.linalg.solve((x * mean[:, None]).T @ x, x.T @ (y - mean))
        weights = weights + step
        if np.abs(step).max() < 1e-10:
            break
    return weights


def filter_predictions(head: CountHead, calls: Floats, y: Floats, *, multi: bool) -> Floats:
    """Of the months after `FITTED_MONTHS`, `[N, months]`."""
    level, found = start(head, len(y)), []
    for month in range(y.shape[1]):
        mean = expected(head, level, calls[:, month])
        if month >= FITTED_MONTHS:
            found.append(mean)
        # What is not seen is taken as it was expected: that leaves the level's mean drifting home.
        shown = mean if multi and month >= FITTED_MONTHS else y[:, month]
        level = seen(head, level, calls[:, month], shown)
    return np.stack(found, axis=1)


def regression_predictions(weights: Floats, calls: Floats, y: Floats, *, multi: bool) -> Floats:
    """Of the months after `FITTED_MONTHS`, `[N, months]`."""
    lagged, found = y[:, FITTED_MONTHS - 1], []
    for month in range(FITTED_MONTHS, y.shape[1]):
        mean = np.exp(design(lagged, calls[:, month]) @ weights)
        found.append(mean)
        lagged = mean if multi else y[:, month]
    return np.stack(found, axis=1)


def deviance(y: Floats, mean: Floats) -> Floats:
    """Mean Poisson deviance of every physician, `[N]`."""
    log = np.where(y > 0, y * np.log(np.maximum(y, 1e-300) / mean), 0.0)
    return np.asarray(2 * (log - (y - mean)).mean(axis=1))


def compare(calls: Floats, y: Floats, rng: np.random.Generator) -> dict[str, Any]:
    """Both models, one step and multi-step, with paired intervals over physicians."""
    head = fit_counts(calls[:, :FITTED_MONTHS], y[:, :FITTED_MONTHS])
    x = design(y[:, : FITTED_MONTHS - 1], calls[:, 1:FITTED_MONTHS])
    weights = poisson_regression(x.reshape(-1, 3), y[:, 1:FITTED_MONTHS].ravel())
    result: dict[str, Any] = {
        "physicians": len(y), "months": y.shape[1], "fitted_months": FITTED_MONTHS,
        "filter": head._asdict(), "regression": weights.tolist(),
    }  # fmt: skip
    later = y[:, FITTED_MONTHS:]
    for name, multi in (("one_step", False), ("multi_step", True)):
        means = {
            "filter": filter_predictions(head, calls, y, multi=multi),
            "regression": regression_predictions(weights, calls, y, multi=multi),
        }
        lost = {model: deviance(later, mean) for model, mean in means.items()}
        gain = lost["regression"] - lost["filter"]
        draws = rng.choice(gain, (BOOTSTRAP, len(gain))).mean(axis=1)
        result[name] = {
            **{f"{model}_deviance": float(values.mean()) for model, values in lost.items()},
            **{
                f"{model}_mean_absolute_error": float(np.abs(later - mean).mean())
                for model, mean in means.items()
            },
            **{
                f"{model}_total_over_observed": float(mean.sum() / later.sum())
                for model, mean in means.items()
            },
            "deviance_gain": float(gain.mean()),
            "deviance_gain_95": np.quantile(draws, [0.025, 0.975]).tolist(),
            "at_least_as_good": bool(lost["filter"].mean() <= lost["regression"].mean()),
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="the folder bayesm_marketing")
    with tempfile.TemporaryDirectory() as cache:
        calls, scripts = panel(parser.parse_args().data, Path(cache))
    result = compare(calls, scripts, np.random.default_rng(0))
    config = {"fitted_months": FITTED_MONTHS, "bootstrap": BOOTSTRAP, "seed": 0}
    write_result("detailing_panel", config, result)


if __name__ == "__main__":
    main()
