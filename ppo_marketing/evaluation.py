"""Policies x worlds -> Evidence: every result beside its ceiling, its floor and the best rule.

All actors play the same episodes (common random numbers), so that differences are paired by
episode. Values are expectations under the calibrated model; realised events only confirm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.world import Array, Outcome, World
from ppo_marketing.errors import PpoMarketingError, UserError
from ppo_marketing.policy import Actor

CeilingKind = Literal["realised", "expected"]
Kind = Literal["ceiling", "policy", "champion", "rival", "untrained", "rule", "logging", "floor"]


BOOTSTRAP_BLOCKS = 2000  # enough for a 95 % interval, and 32 MB of weights


class ImplausibleClaim(PpoMarketingError):
    """A result above what hindsight could reach: a bug until proven otherwise."""

    exit_code = 1


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval over `effective_n` episodes, independent given the world.

    The interval says how far other episodes of the same simulator would lie, not how wrong the
    simulator itself may be: that is what its fidelity report is for.
    """

    value: float
    low: float
    high: float
    effective_n: float
    unit: str


@dataclass(frozen=True)
class Played:
    """What one actor made of `n` episodes: its KPI totals, each `[n]`."""

    name: str
    kind: Kind
    kpis: Mapping[str, Array]


@dataclass(frozen=True)
class Row:
    """One actor in the table of evidence.

    `share_of_ceiling` is the mean over episodes of value / ceiling; `policy_lift` the policy's
    share minus this actor's and `value_lift` its value minus this actor's, in currency, both paired
    by episode; `probability_of_lift` the bootstrap share of positive lifts of the share. All three
    are None in the policy's own row; `events` is None for the ceiling, since
    a bound on realised events would only say which of them happened.
    """

    name: str
    kind: Kind
    value: Estimate
    share_of_ceiling: Estimate
    events: Estimate | None
    kpis: Mapping[str, float]
    chosen: Mapping[str, float | str]
    policy_lift: Estimate | None
    probability_of_lift: float | None
    value_lift: Estimate | None = None


@dataclass(frozen=True)
class Evidence:
    """The judgement of one policy in one world.

    `headroom` is ceiling / best rule - 1: what could be gained at most. `gap_closed` is the share
    of the best rule's distance to the ceiling that the policy closes. `empty_episodes` were left
    out: nothing could be earned in them.
    """

    world: str
    episodes: int
    empty_episodes: int
    seed: int
    rows: tuple[Row, ...]
    best_rule: str
    headroom: float
    gap_closed: Estimate

    def row(self, name: str) -> Row:
        """The row of an actor."""
        return next(row for row in self.rows if row.name == name)

    @property
    def policy(self) -> Row:
        """The learned policy's row."""
        return next(row for row in self.rows if row.kind == "policy")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Limit:
    """What training held an episode to, and what the policy and the best rule use where judged."""

    kpi: str
    per: str | None
    allowed: float
    used: float
    best_rule_uses: float

    @property
    def excess(self) -> float:
        """used / allowed - 1."""
        return self.used / self.allowed - 1.0


@dataclass(frozen=True)
class Judgement:
    """One policy in three worlds.

    `later` is simulated from the part of the log that nothing was fitted, tuned or trained on,
    `logged` that part's own episodes where a log can be replayed, and `earlier` is simulated from
    the part that the policy was trained through. `limit` is set where training had one.
    """

    later: Evidence
    logged: Evidence | None
    earlier: Evidence
    limit: Limit | None = None

    @property
    def optimism_gap(self) -> float:
        """V in the training simulator / V in the judging one - 1, of the policy's value."""
        return self.earlier.policy.value.value / self.later.policy.value.value - 1.0

    @property
    def shown(self) -> tuple[Evidence, ...]:
        """The evidence on the later part: what a conclusion may rest on."""
        return (self.later,) if self.logged is None else (self.later, self.logged)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "later": self.later.to_dict(),
            "logged": None if self.logged is None else self.logged.to_dict(),
            "earlier": self.earlier.to_dict(),
            "optimism_gap": self.optimism_gap,
            "limit": None if self.limit is None else asdict(self.limit),
        }


def play(actor: Actor, world: World[Any], episodes: int, seed: int, kind: Kind) -> Played:
    """Let an actor play `episodes` episodes; the same seed gives every actor the same episodes."""
    totals: dict[str, Array] = {}
    for step in played_steps(actor, world, episodes, seed):
        for name, amount in step.outcome.kpis.items():
            totals[name] = totals.get(name, 0.0) + amount
    return Played(name=actor.name, kind=kind, kpis=totals)


class PlayedStep(NamedTuple):
    """One decision of all episodes: the world as the actor sees it, before, and what came of it.

    `running [n]` are the episodes that had not ended before.
    """

    arena: World[Any]
    state: Any
    outcome: Outcome[Any]
    running: NDArray[np.bool_]


def played_steps(actor: Actor, world: World[Any], episodes: int, seed: int) -> Iterator[PlayedStep]:
    """Play `episodes` episodes step by step, until all have ended."""
    # One stream draws the episodes, alike for every actor; the other serves the actor's own noise.
    episode_rng, actor_rng = (np.random.default_rng([seed, stream]) for stream in (0, 1))
    arena = actor.arena(world, actor_rng)
    state = arena.initial(episodes, episode_rng)
    running = np.ones(episodes, np.bool_)
    for _ in range(arena.horizon):
        outcome = arena.step(state, actor.control(arena, state, actor_rng), episode_rng)
        yield PlayedStep(arena, state, outcome, running)
        state, ended = outcome.state, outcome.terminated | outcome.truncated
        running = running & ~ended
        if bool(np.all(ended)):
            break


def ceiling_of(
    world: World[Any], episodes: int, seed: int, ceiling: Callable[[World[Any], Any], Array]
) -> Array:
    """What hindsight could have reached in each of the episodes that `play` draws, `[n]`."""
    return ceiling(world, world.initial(episodes, np.random.default_rng([seed, 0])))


def telling_episodes(ceiling: Array, kind: CeilingKind) -> NDArray[np.bool_]:
    """Which episodes say anything, `[n]`: where hindsight itself earns nothing, no choice matters.

    Raises UserError where there is none.
    """
    telling = np.asarray(ceiling > 0) if kind == "realised" else np.ones(len(ceiling), bool)
    if not telling.any() or not ceiling.sum() > 0:
        raise UserError(
            "nothing can be earned in any of the simulated episodes: check the budget, the caps "
            "and targets, and whether the log has any response at all"
        )
    return telling


def shares(value: Array, ceiling: Array, kind: CeilingKind) -> NDArray[np.float64]:
    """Each episode's value as a share of what could be earned, `[..., n]`.

    Against a realised ceiling it is value_i / ceiling_i. An expected ceiling says nothing of one
    episode's luck, so that the mean ceiling divides: the mean share is a ratio of means.
    """
    return np.asarray(value / (ceiling if kind == "realised" else ceiling.mean()), np.float64)


def bootstrap_means(
    values: NDArray[np.float64], repetitions: int, rng: Generator
) -> NDArray[np.float64]:
    """Means over episodes resampled with replacement: `[k, n]` -> `[k, repetitions]`, paired.

    Beyond `BOOTSTRAP_BLOCKS` episodes, which are exchangeable, blocks of them are resampled.
    """
    if values.shape[-1] > BOOTSTRAP_BLOCKS:
        whole = values.shape[-1] // BOOTSTRAP_BLOCKS * BOOTSTRAP_BLOCKS
        values = values[..., :whole].reshape(*values.shape[:-1], BOOTSTRAP_BLOCKS, -1).mean(-1)
    n = values.shape[-1]
    weights = rng.multinomial(n, np.full(n, 1 / n), size=repetitions) / n  # [repetitions, n]
    return np.asarray(values @ weights.T)


def judge_played(
    played: Sequence[Played],
    ceiling: Array,
    *,
    world: str,
    value_kpi: str,
    event_kpi: str,
    unit: str,
    event_unit: str,
    ceiling_kind: CeilingKind,
    seed: int,
    chosen: Mapping[str, Mapping[str, float | str]],
    repetitions: int = 2000,
) -> Evidence:
    """Compare what the actors made of the same episodes.

    Raises:
        ImplausibleClaim: an actor's value exceeds the ceiling by more than rounding.
        UserError: nothing could be earned in any episode.
    """
    telling = telling_episodes(ceiling, ceiling_kind)
    empty = int((~telling).sum())
    ceiling = ceiling[telling]
    value = np.array([p.kpis[value_kpi][telling] for p in played])  # [actors, n]
    events = np.array([p.kpis[event_kpi][telling] for p in played])
    share = shares(value, ceiling, ceiling_kind)

    rng = np.random.default_rng([seed, 2])
    n = len(ceiling)
    stacked = np.concatenate([value, events, share, ceiling[None]])
    resampled = bootstrap_means(stacked, repetitions, rng)
    actors = len(played)
    value_means, event_means, share_means, ceiling_means = np.split(
        resampled, [actors, 2 * actors, 3 * actors]
    )

    names = [p.name for p in played]
    if ceiling_kind == "realised":
        _refuse_beyond_ceiling(names, share.max(axis=1))
    else:
        _refuse_beyond_ceiling(names, np.quantile(share_means, 0.025, axis=1))

    def estimate(exact: float, draws: Array, of: str) -> Estimate:
        low, high = np.quantile(draws, [0.025, 0.975])
        return Estimate(exact, float(low), float(high), float(n), of)

    me = next(i for i, p in enumerate(played) if p.kind == "policy")
    rules = [i for i, p in enumerate(played) if p.kind == "rule"]
    best = max(rules, key=lambda i: float(share[i].mean()))
    rows = [
        Row(
            name="ceiling",
            kind="ceiling",
            value=estimate(float(ceiling.mean()), ceiling_means[0], unit),
            share_of_ceiling=Estimate(1.0, 1.0, 1.0, float(n), "of ceiling"),
            events=None,
            kpis={},
            chosen={},
            policy_lift=estimate(
                float(share[me].mean() - 1.0), share_means[me] - 1.0, "of ceiling"
            ),
            probability_of_lift=float((share_means[me] > 1.0).mean()),
            value_lift=estimate(
                float((value[me] - ceiling).mean()), value_means[me] - ceiling_means[0], unit
            ),
        )
    ]
    for i, p in enumerate(played):
        lift = share_means[me] - share_means[i]
        rows.append(
            Row(
                name=p.name,
                kind=p.kind,
                value=estimate(float(value[i].mean()), value_means[i], unit),
                share_of_ceiling=estimate(float(share[i].mean()), share_means[i], "of ceiling"),
                events=estimate(float(events[i].mean()), event_means[i], event_unit),
                kpis={name: float(np.mean(total[telling])) for name, total in p.kpis.items()},
                chosen=chosen.get(p.name, {}),
                policy_lift=None
                if i == me
                else estimate(float((share[me] - share[i]).mean()), lift, "of ceiling"),
                probability_of_lift=None if i == me else float((lift > 0).mean()),
                value_lift=None
                if i == me
                else estimate(
                    float((value[me] - value[i]).mean()), value_means[me] - value_means[i], unit
                ),
            )
        )
    gap = 1.0 - float(share[best].mean())
    with np.errstate(divide="ignore", invalid="ignore"):
        closed = (share_means[me] - share_means[best]) / (1.0 - share_means[best])
    exact = float((share[me] - share[best]).mean()) / gap if gap > 0 else 0.0
    return Evidence(
        world=world,
        episodes=n,
        empty_episodes=empty,
        seed=seed,
        rows=tuple(rows),
        best_rule=played[best].name,
        headroom=float(ceiling.mean() / value[best].mean() - 1.0),
        gap_closed=estimate(exact, np.nan_to_num(closed), "of the best rule's gap"),
    )


def _refuse_beyond_ceiling(names: Sequence[str], claimed: NDArray[np.float64]) -> None:
    """`claimed [actors]`: the largest share in any episode, or the mean share's lower bound."""
    # Single precision sums and the fractional last item of a linear program stay below this.
    tolerance = 1e-4
    beyond = [
        f"{name}: {share:.4f} of the ceiling"
        for name, share in zip(names, claimed, strict=True)
        if share > 1 + tolerance
    ]
    if beyond:
        raise ImplausibleClaim(
            "a claim larger than the headroom is a bug until proven otherwise; "
            "no evidence is written. Beyond what could be earned at all: " + "; ".join(beyond)
        )
