"""The card: how a decision type introduces itself to an engine that knows none by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from numpy.random import Generator
from numpy.typing import NDArray

from envs.core.world import Array, World

if TYPE_CHECKING:
    # Cards are read by the command line's help, which should not wait for Arrow and DuckDB.
    import pyarrow as pa

    from envs.core.decision_table import DecisionGrid
    from envs.core.fidelity import FidelityReport
    from envs.core.live import LiveForm
    from envs.core.log import LogSchema, LogTable
    from envs.core.logged import LoggedDecisions
    from envs.core.one_step import OneStepRows
    from envs.core.words import Words

W = TypeVar("W", contravariant=True)


@dataclass(frozen=True)
class Kpi:
    """An amount that every step adds to: its name in `Outcome.kpis`, label, unit and meaning."""

    name: str
    label: str
    unit: str
    definition: str


@dataclass(frozen=True)
class Ratio:
    """A quotient of two KPI totals, such as spend per click."""

    label: str
    numerator: str
    denominator: str
    unit: str
    definition: str


class Rule(Protocol[W]):
    """A heuristic that practitioners use today, speaking in controls."""

    @property
    def name(self) -> str:
        """The rule's name in tables."""

    @property
    def chosen(self) -> Mapping[str, float | str]:
        """The parameters that tuning chose; empty before tuning and for rules without any."""

    def tuned(self, history: W, rng: Generator) -> Rule[W]:
        """The same rule with its parameters chosen on the days of history only."""

    def arena(self, world: W, rng: Generator) -> World[Any]:
        """The world as this rule acts in it; `world` itself unless the rule perceives noisily."""

    def control(self, world: W, state: Any, rng: Generator) -> Array:
        """The rule's controls for every copy, `[n, ...]`."""


class Choosing(Protocol):
    """How something chooses: probabilities from what a policy sees."""

    def __call__(self, observation: Array, mask: Array | None) -> Array:
        """Probabilities `[n, A]` from observations `[n, obs]`; 0 where `mask [n, A]` forbids."""


class Calibration(Protocol):
    """A market fitted to a log: an ensemble of K members and the report that says how well.

    The log's days are split by time. What is fitted on the earlier part trains and tunes; what is
    fitted on the later part, which training never sees, judges.
    """

    @property
    def fidelity(self) -> FidelityReport:
        """The checks on held-out days."""

    @property
    def data_sha256(self) -> str:
        """The hash of the log that was fitted."""

    @property
    def judged_from(self) -> date:
        """The first UTC day of the later part; nothing from it on is trained or tuned on."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Honest remarks for whoever reads a result."""

    def training_world(self, episodes: int, settings: Any, rng: Generator) -> World[Any]:
        """`episodes` simulated episodes of the earlier part, members mixed."""

    def judging_world(self, episodes: int, settings: Any, rng: Generator) -> World[Any]:
        """`episodes` simulated episodes of the later part; plans still come from the earlier."""

    def history_world(self, settings: Any) -> World[Any]:
        """The earlier part's own episodes: what rules are tuned on."""

    def heldout_world(self, settings: Any) -> World[Any] | None:
        """The later part's own episodes, as logged; None where a log cannot be replayed."""

    def heldout_decisions(self, settings: Any) -> LoggedDecisions | None:
        """The later part's decisions with what was known, done and earned; None where
        `heldout_world` replays them."""

    def member_worlds(self, episodes: int, settings: Any, rng: Generator) -> Sequence[World[Any]]:
        """`episodes` simulated episodes of each member of the earlier part, one world a member."""

    def save(self, folder: Path) -> None:
        """Write everything to `folder`; never partially."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Everything the engine, the command line and the app know of a decision type."""

    name: str
    title: str
    question: str
    env_id: str
    schema: LogSchema
    presets: tuple[str, ...]
    # what a generated log is counted in
    sample_period: str = "days"
    # (preset, periods, rng) -> a log as a team would have kept it
    generate: Callable[[str, int, Generator], pa.Table]
    # (preset, episodes, settings, rng) -> the generator's own world, for measuring against truth
    true_world: Callable[[str, int, Any, Generator], World[Any]]
    fit: Callable[[LogTable, Any, Generator], Calibration]
    load_calibration: Callable[[Path], Calibration]
    # the settings that fit the generator's sample
    sample_settings: Callable[[], Any]
    # a frozen dataclass; its field `currency` names the unit of money
    settings_type: type
    # (log, settings) -> the settings with what the log itself says filled in
    settle: Callable[[LogTable, Any], Any]
    # (settings, tuned rules) -> the settings with the agent's action 0 on the best closed-form rule
    anchored: Callable[[Any, Sequence[Rule[Any]]], Any]
    # settings -> those that training is done under, where it is to meet more than what is judged
    training_settings: Callable[[Any], Any] = field(default=lambda settings: settings)
    # what this decision's training needs different from PPO's own defaults
    ppo: Mapping[str, Any]
    # this decision's values for sections of a run's configuration, below the user's own:
    # {"training": {"copies": 1024}, "evaluation": {"episodes": 4000}}
    run_defaults: Mapping[str, Any] = field(default_factory=dict)
    # what an episode is, as in "value per day"
    episode: str = "episode"
    # what a decision within an episode stands for, as in "the bid of the half-hour"
    step: str = "step"
    # the what-if knobs, a dataclass of factors on today (`envs/core/scenario.py`)
    scenario_type: type
    # the knob that scales what may be spent; None where nothing is
    spend_knob: str | None = None
    # (calibration or None, world) -> what its observations and actions are called
    words: Callable[[Any, Any], Words] | None = None
    rules: Callable[[], tuple[Rule[Any], ...]]
    logging_rule: Callable[[Any], Rule[Any] | None]
    # (calibration, world) -> the log's own policy as a policy sees the world; None where actions
    # are no choices, or it cannot be told from observations
    logging_choices: Callable[[Any, Any], Choosing | None] | None = None
    do_nothing: Rule[Any]
    # (world, initial state) -> the most [n] that could be earned in each episode
    ceiling: Callable[[Any, Any], NDArray[Any]]
    # "realised": hindsight on the episode's own draws; "expected": the optimal policy's mean, which
    # single episodes may exceed by luck
    ceiling_kind: Literal["realised", "expected"]
    value_kpi: str
    event_kpi: str
    # the KPI that counts the money a decision commits; None where decisions cost nothing
    spend_kpi: str | None = None
    # whether the value is what is left after that money, so that a gain of 0 breaks even, not 1
    value_after_spend: bool = False
    kpis: tuple[Kpi, ...]
    ratios: tuple[Ratio, ...]
    # the KPIs that a price on them keeps down in training (`training.constraint`), by themselves or
    # above the line of a ratio
    limitable: tuple[str, ...] = ()
    # why a limit on others would not be held, and what to set instead
    limit_instead: str = "the card names no other that a price could keep down"
    # how many days after a decision its outcome may still come: of younger ones a log knows too
    # little, and nothing is fitted to them
    attribution_days: int = 0
    # the log's rows where every decision stands alone, so that the log alone can judge a policy;
    # None where decisions follow each other, or were auctions
    one_step: Callable[[LogTable], OneStepRows] | None = None
    # world -> the situations in which a policy is written out as a table; None where observations
    # are too rich for one. Raises ValueError where a world has too many
    decision_table: Callable[[Any], DecisionGrid] | None = None
    # (world, its calibration where there is one) -> how an exported policy is asked and what it
    # answers, in words; None: by numbers alone
    live_form: Callable[[Any, Calibration | None], LiveForm] | None = None
