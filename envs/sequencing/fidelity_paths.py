"""3, 4, 5. Held-out customers followed through their weeks beside simulated ones.

Simulated customers start where the held-out ones stood, and get the contacts that the log's own
policy gives (MODELLING 3.3). Statistics and cumulative purchases are those of the later weeks;
where these are fewer than a test asks for, the same customers are followed from earlier on: no week
of theirs was fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.fidelity import SIGNIFICANCE, Check, Curve, count_ratio_bounds
from envs.sequencing.fidelity_predictive import predictive_checks
from envs.sequencing.panel import RECENCIES, Panel, states
from envs.sequencing.paths import Customers, follow
from envs.sequencing.tables import ResponseTables

Floats = NDArray[np.float64]

SIMULATIONS = 100
MOST_FOLLOWED = 4000
WINDOW_WEEKS = 12
HALF_YEAR, YEAR = 26, 52
CUMULATED_WEEKS = {HALF_YEAR: 0.05, YEAR: 0.08}
"""Cumulative purchases must agree after so many weeks, to within so much."""

LONG_SIMULATIONS = 25
"""Their mean alone is compared, which is then known to a fifth of one simulation's spread."""

LEAST_CUSTOMERS = 300
LEAST_WEEKS = 4
AUC_WARNING, AUC_REFUSED = 0.60, 0.70


class Paths(NamedTuple):
    """`N` customers through `T` weeks."""

    action: NDArray[np.int64]  # [N, T]
    purchase: NDArray[np.bool_]  # [N, T]
    unsubscribe: NDArray[np.bool_]  # [N, T]
    start: Customers
    margin: Floats  # [N, T]


def path_checks(
    tables: ResponseTables, held_out: Panel, split: int, policy: Floats, rng: Generator
) -> tuple[tuple[Check, ...], tuple[Curve, ...], tuple[str, ...]]:
    """Posterior predictive statistics, two-sample test and cumulative purchases."""
    weeks = min(held_out.weeks - split, max(CUMULATED_WEEKS))
    observed = followed(held_out, split, weeks, rng)
    n = len(observed.purchase)
    if n < LEAST_CUSTOMERS or weeks < LEAST_WEEKS or observed.purchase.sum() < 50:
        return (), (), (
            f"trajectories: {n} held-out customers in {weeks} later weeks with "
            f"{int(observed.purchase.sum())} purchases, too few to follow",
        )  # fmt: skip
    draws = [simulated(tables, observed.start, policy, weeks, rng) for _ in range(SIMULATIONS)]
    predictive, notes = predictive_checks(statistics(observed), [statistics(d) for d in draws])
    cumulative, curve = _cumulative(
        observed, draws, sorted({min(weeks, HALF_YEAR), weeks}), "later weeks"
    )
    longer, longer_notes = _longer(tables, held_out, weeks, policy, rng)
    begun = max(0, min(split, held_out.weeks - WINDOW_WEEKS))
    length = min(WINDOW_WEEKS, held_out.weeks - begun)
    window = followed(held_out, begun, length, rng)
    drawn = simulated(tables, window.start, policy, length, rng)
    two_sample, two_sample_notes = _two_sample(window, drawn, rng)
    return (
        (*predictive, two_sample, *cumulative, *longer),
        (curve,),
        (*notes, *longer_notes, *two_sample_notes),
    )


def _longer(
    tables: ResponseTables, held_out: Panel, later: int, policy: Floats, rng: Generator
) -> tuple[list[Check], list[str]]:
    """Cumulative purchases over 26 and 52 weeks where the log is so long, its later part not."""
    checks, notes = [], []
    for weeks in CUMULATED_WEEKS:
        if later >= weeks:
            continue
        if held_out.weeks < weeks:
            notes.append(
                f"the log has {held_out.weeks} weeks, {later} of them later ones: cumulative "
                f"purchases cannot be compared over {weeks}"
            )
            continue
        observed = followed(held_out, held_out.weeks - weeks, weeks, rng)
        if len(observed.purchase) < LEAST_CUSTOMERS:
            notes.append(
                f"cumulative purchases over {weeks} weeks: {len(observed.purchase)} held-out "
                "customers were there throughout, too few to follow"
            )
            continue
        draws = [
            simulated(tables, observed.start, policy, weeks, rng) for _ in range(LONG_SIMULATIONS)
        ]
        checks += _cumulative(observed, draws, [weeks], "weeks of held-out customers")[0]
    return checks, notes


def followed(panel: Panel, split: int, weeks: int, rng: Generator) -> Paths:
    """The customers of a panel who are there from week `split` on; a sample of large panels."""
    kept = (panel.week >= split) & (panel.week < split + weeks)
    rows = panel.where(kept)
    customers, count = np.unique(rows.customer, return_counts=True)
    whole = customers[count == weeks]
    if len(whole) > MOST_FOLLOWED:
        whole = np.sort(rng.choice(whole, MOST_FOLLOWED, replace=False))
    rows = rows.where(np.isin(rows.customer, whole))
    shape = (len(whole), weeks)
    first = rows.where(rows.week == split)
    return Paths(
        np.maximum(rows.action, 0).reshape(shape),
        rows.purchase.reshape(shape),
        rows.unsubscribe.reshape(shape),
        states(first),
        rows.value.reshape(shape),
    )


def simulated(
    tables: ResponseTables, start: Customers, policy: Floats, weeks: int, rng: Generator
) -> Paths:
    """As many customers from the same states under the log's policy, one member for all."""
    n = len(start.recency)
    members = np.full(n, rng.integers(tables.members))
    path = follow(tables, members, start, policy, weeks, rng)
    purchase = np.stack([week.purchase for week in path], axis=1)
    recency = np.stack([week.before.recency for week in path], axis=1)
    frequency = np.stack([week.before.frequency for week in path], axis=1)
    margin = tables.margin[members[0]][recency, frequency]
    spread = float(tables.basket_cv[members[0]]) ** 2
    if spread > 0:
        margin = margin * rng.gamma(1 / spread, spread, purchase.shape)
    return Paths(
        np.stack([week.action for week in path], axis=1),
        purchase,
        np.stack([week.unsubscribe for week in path], axis=1),
        start,
        purchase * margin,
    )


def statistics(paths: Paths) -> dict[str, float]:
    """Ten numbers that a team would look at first."""
    buys = paths.purchase.sum(axis=1)
    contacts = paths.action > 0
    gap = np.diff(np.nonzero(paths.purchase)[1])
    same = np.diff(np.nonzero(paths.purchase)[0]) == 0
    gaps = gap[same] if same.any() else np.zeros(1)
    value = np.sort(paths.margin.sum(axis=1))[::-1]
    half = paths.purchase.shape[1] // 2
    before = np.cumsum(contacts, axis=1)[paths.purchase & (np.cumsum(paths.purchase, axis=1) == 1)]
    after_contact = paths.purchase[:, 1:][contacts[:, :-1]]
    return {
        "weekly buyers": float(paths.purchase.mean()),
        "buyers who buy again": float((buys > 1).sum() / max((buys > 0).sum(), 1)),
        "customers without a purchase": float((buys == 0).mean()),
        "mean weeks between purchases": float(gaps.mean()),
        "purchases of the first half": float(
            paths.purchase[:, :half].sum() / max(paths.purchase.sum(), 1)
        ),
        "customers still subscribed": float((~paths.unsubscribe.any(axis=1)).mean()),
        "contacts up to the first purchase": float(before.mean()) if len(before) else 0.0,
        "revenue share of the top tenth": float(
            value[: max(len(value) // 10, 1)].sum() / max(value.sum(), 1e-12)
        ),
        "weekly contacts": float(contacts.mean()),
        "buyers a week after a contact": float(after_contact.mean()) if len(after_contact) else 0.0,
    }


def _two_sample(observed: Paths, drawn: Paths, rng: Generator) -> tuple[Check, list[str]]:
    """Can a classifier tell logged from simulated windows? AUC on customers it was not shown."""
    # Loading scikit-learn takes a second: only who calibrates waits for it.
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict

    weeks = min(WINDOW_WEEKS, observed.purchase.shape[1])
    features = np.concatenate([window_features(p, weeks) for p in (observed, drawn)])
    simulated_one = np.repeat([0, 1], [len(observed.purchase), len(drawn.purchase)])
    order = rng.permutation(len(features))
    model = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, random_state=0)
    chance = cross_val_predict(
        model, features[order], simulated_one[order], cv=3, method="predict_proba"
    )
    auc = float(roc_auc_score(simulated_one[order], chance[:, 1]))
    check = Check(
        name="trajectories: two-sample AUC", value=auc, low=0.0, high=AUC_REFUSED,
        n=len(features), unit=f"windows of {weeks} weeks",
        meaning="How well a classifier tells logged from simulated customers under the log's own "
        "policy; .5 is not at all. Up to .60 is accepted, up to .70 with a warning.",
    )  # fmt: skip
    notes = []
    if AUC_WARNING < auc <= AUC_REFUSED:
        notes.append(f"warning: simulated windows can be told from logged ones (AUC {auc:.2f})")
    if weeks < WINDOW_WEEKS:
        notes.append(f"two-sample windows are {weeks} weeks long, not {WINDOW_WEEKS}")
    return check, notes


def window_features(paths: Paths, weeks: int) -> Floats:
    """What a classifier is shown of each customer: the start, and what was done and followed."""
    action, purchase = paths.action[:, :weeks], paths.purchase[:, :weeks]
    contact = action > 0
    week = np.arange(weeks)
    last = np.where(purchase, week, -RECENCIES).max(axis=1)
    halves = [part.sum(axis=1) for part in np.array_split(purchase, 3, axis=1)]
    contacts = [part.sum(axis=1) for part in np.array_split(contact, 3, axis=1)]
    return np.column_stack(
        [
            paths.start.recency,
            paths.start.frequency,
            paths.start.fatigue,
            paths.start.consent,
            purchase.sum(axis=1),
            last,
            *halves,
            *contacts,
            *[(action == a).sum(axis=1) for a in range(1, int(paths.action.max()) + 1)],
            (purchase & contact).sum(axis=1),
            (purchase[:, 1:] & contact[:, :-1]).sum(axis=1),
            (purchase[:, 1:] & purchase[:, :-1]).sum(axis=1),
            (contact[:, 1:] & contact[:, :-1]).sum(axis=1),
            paths.unsubscribe[:, :weeks].any(axis=1),
            paths.margin[:, :weeks].sum(axis=1) > 0,
        ]
    ).astype(np.float64)


def _cumulative(
    observed: Paths, draws: list[Paths], at: Sequence[int], of: str
) -> tuple[list[Check], Curve]:
    """5. Cumulative purchases within 5 % up to 26 weeks, 8 % beyond, plus their sampling error."""
    truth = np.cumsum(observed.purchase.sum(axis=0))
    drawn = np.array([np.cumsum(draw.purchase.sum(axis=0)) for draw in draws])
    mean, (low_end, high_end) = drawn.mean(axis=0), np.quantile(drawn, [0.05, 0.95], axis=0)
    weeks = len(truth)
    checks = []
    for week in at:
        tolerance = CUMULATED_WEEKS[HALF_YEAR if week <= HALF_YEAR else YEAR]
        expected = float(mean[week - 1])
        low, high = count_ratio_bounds(expected, tolerance, SIGNIFICANCE)
        checks.append(Check(
            name=f"cumulative purchases after {week} {of}",
            value=float(truth[week - 1]) / expected, low=low, high=high,
            n=len(observed.purchase), unit="customers",
            meaning="Observed over simulated purchases of the held-out customers.",
        ))  # fmt: skip
    return checks, Curve(
        name="cumulative purchases", x_label="later week", y_label="purchases",
        x=tuple(float(w) for w in range(1, weeks + 1)),
        observed=tuple(float(v) for v in truth), simulated=tuple(float(v) for v in mean),
        kind="forecast", low=tuple(low_end.tolist()), high=tuple(high_end.tolist()),
    )  # fmt: skip
