"""The Open Bandit logs judged by each other: random -> BTS and back, with what each log cannot say.

Two policies showed items on one site in the same week: at random, and by Bernoulli Thompson
sampling (BTS). Each log is asked for the other policy's click rate, and the other log's own rate
stands beside the answers. A position of the page is a context cell; visitors carry no id, so that
hours are the units which are drawn anew (visitors of an hour share the policy and the traffic).

BTS changed during the week. As a target it is its mean policy: each item's share of each
position in the BTS log. At random is uniform over the items. Of a log of 10,000 rows with some 50
clicks little follows, and the table shows how little.

    python -m benchmarks.open_bandit_ope --data DIR

DIR holds random/ and bts/, each with <campaign>/<campaign>.csv.gz.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from benchmarks.report import write_result
from ppo_marketing.ope.battery import Estimated, OffPolicyReport, off_policy_report
from ppo_marketing.ope.estimators import UNBIASED
from ppo_marketing.ope.from_log import decisions_from_log
from ppo_marketing.ope.intervals import Interval

CAMPAIGNS = ("all", "men")
DIRECTIONS = (("random", "bts"), ("bts", "random"))
SEED = 1
Floats = NDArray[np.float64]


class Log(NamedTuple):
    """One campaign under one policy; positions and items count from 0."""

    item: NDArray[np.int64]
    position: NDArray[np.int64]
    click: Floats
    propensity: Floats
    hour: NDArray[np.int64]


def read(path: Path) -> Log:
    """The columns that are needed, in the order of the file."""
    table = pa_csv.read_csv(path)
    columns = {
        name: table[name].to_numpy()
        for name in ("item_id", "position", "click", "propensity_score", "timestamp")
    }
    return Log(
        item=columns["item_id"].astype(np.int64),
        position=columns["position"].astype(np.int64) - 1,
        click=columns["click"].astype(np.float64),
        propensity=columns["propensity_score"].astype(np.float64),
        hour=columns["timestamp"].astype("datetime64[h]").astype(np.int64),
    )


def mean_policy(log: Log, items: int) -> Floats:
    """The share of every item at every position, `[positions, items]`."""
    positions = int(log.position.max()) + 1
    shown = np.bincount(log.position * items + log.item, minlength=positions * items)
    shares = shown.reshape(positions, items).astype(np.float64)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def judged(log: Log, policy: Floats) -> OffPolicyReport:
    """What a log says of a policy `[positions, items]`."""
    rng = np.random.default_rng(SEED)
    made = decisions_from_log(
        context=np.eye(len(policy))[log.position],
        action=log.item,
        reward=log.click,
        target_probabilities=policy[log.position],
        propensity=log.propensity,
        unit=log.hour,
        cell=log.position,
        rng=rng,
    )
    return off_policy_report(made.decisions, rng, calibration=made.calibration)


def line(name: str, row: Estimated, seen: float) -> str:
    """One row of the Markdown table; rates in percent."""

    def interval(pair: Interval | None) -> str:
        mark = "" if row.assumes == UNBIASED else " †"
        return "none" if pair is None else f"{pair.low:.3%} to {pair.high:.3%}{mark}"

    away = "" if math.isnan(row.value) else f"{row.value / seen - 1:+.0%}"
    cells = (
        name, row.name, row.family, f"{row.value:.3%}", f"{row.standard_error:.3%}",
        interval(row.bootstrap), interval(row.bernstein), away,
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def markdown(reports: dict[str, tuple[OffPolicyReport, float]]) -> str:
    """Estimates, then diagnostics, then what was refused."""
    lines = [
        "| log -> target, campaign | estimator | family | click rate | standard error | "
        "95 % bootstrap over hours | empirical Bernstein | against the target's own log |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (report, seen) in reports.items():
        lines += [line(name, row, seen) for row in report.estimates]
    lines += [
        "",
        "† of what the estimator estimates, which is the policy's value only if its model is right "
        "or its shrinkage takes nothing",
        "",
        "| log -> target, campaign | log's own rate | target's own rate | effective n | mean "
        "weight | largest | in the top 1 % | tail index | unsupported | rewarded, w r > 0 | their "
        "effective n | lift of DR | its lower bound |",
        "|" + "---|" * 13,
    ]
    for name, (report, seen) in reports.items():
        d = report.diagnostics
        tail = "none" if d.tail_index is None else f"{d.tail_index:.2f}"
        low = "none" if report.lift.low is None else f"{report.lift.low:+.3%}"
        lines.append(
            f"| {name} | {report.logging.value:.2%} | {seen:.2%} | {d.effective_n:,.0f} | "
            f"{d.mean_weight:.2f} | {d.largest_weight:.1f} | {d.top_share:.0%} | {tail} | "
            f"{d.unsupported:.1%} | {d.effective_positives:.0f} | {d.positive_ess:.1f} | "
            f"{report.lift.value:+.3%} | {low} |"
        )
    for name, (report, _) in reports.items():
        lines += ["", f"{name}:", ""]
        lines += [f"* refused: {refusal}" for refusal in report.refusals]
        lines += [f"* beware: {warning}" for warning in report.warnings]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the logs")
    folder = parser.parse_args().data
    reports: dict[str, tuple[OffPolicyReport, float]] = {}
    for campaign in CAMPAIGNS:
        logs = {
            policy: read(folder / policy / campaign / f"{campaign}.csv.gz")
            for policy in ("random", "bts")
        }
        items = 1 + max(int(log.item.max()) for log in logs.values())
        policies = {
            "random": np.full((1 + int(logs["random"].position.max()), items), 1 / items),
            "bts": mean_policy(logs["bts"], items),
        }
        for source, target in DIRECTIONS:
            report = judged(logs[source], policies[target])
            reports[f"{source} -> {target}, {campaign}"] = report, float(logs[target].click.mean())
    result = {
        name: {"target_own_rate": seen, **report.as_dict()}
        for name, (report, seen) in reports.items()
    }
    print(markdown(reports))
    write_result("open_bandit_ope", {"seed": SEED, "campaigns": list(CAMPAIGNS)}, result)


if __name__ == "__main__":
    main()
