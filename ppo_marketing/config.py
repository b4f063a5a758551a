"""One YAML file configures a run; flags and environment variables override it.

Order: flags, then `PPO_MARKETING_...` variables (`__` between levels), then the file, then what the
decision's card says, then the defaults. Unknown keys are refused.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.exceptions import SettingsError

from envs import load_decision
from ppo_marketing.drift import DriftBounds
from ppo_marketing.errors import UserError, closest, meant
from ppo_marketing.gate import GateRules
from ppo_marketing.guardrails.section import ChoicesSection, GuardrailsSection
from ppo_marketing.ppo.constraint import PIDLagrangian
from ppo_marketing.releases import ReleaseRules
from ppo_marketing.special_ads import SpecialAdCategory

PROJECT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


def project_folder() -> Path:
    """The project's folder, where no configuration is loaded: `mlruns/` and `data/` lie in it."""
    return Path(os.environ.get("PPO_MARKETING_PROJECT", PROJECT))


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LogSection(_Section):
    """Where the historical log comes from."""

    path: Path | None = None
    """The log file; none: the built-in generated sample."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Canonical column name -> the name in the file."""
    reader: str | None = None
    """A named reader for a known format."""
    reader_options: dict[str, int] = Field(default_factory=dict)
    preset: str = "default"
    """The generated sample's market, where there is no file."""
    days: PositiveInt = 28
    """The generated sample's length: four weeks show each weekday four times."""
    special_ad_category: SpecialAdCategory | None = None
    """Housing, employment or credit: leaves out the columns that platforms restrict for it."""
    protected: dict[str, str] = Field(default_factory=dict)
    """Column -> the protected attribute it is; "none" where it only sounds like one."""


class TrainingSection(_Section):
    """How long to train, and on how much."""

    total_steps: PositiveInt = 400_000
    """Reaches the bar of the built-in market with a margin (benchmarks/bidding_ppo.py)."""
    copies: PositiveInt = 64
    episodes: PositiveInt = 256
    """Distinct simulated episodes to train on; fewer are learnt by heart."""
    validation_episodes: PositiveInt = 64
    """Fresh simulated episodes that choose the best update."""
    validate_every: PositiveInt = 20
    checkpoint_every: PositiveInt = 20
    regret: bool = True
    """Reward each decision by its regret against hindsight, where the world knows one."""
    constraint: PIDLagrangian | None = None
    """A limit on a KPI an episode, or on a quotient of two: {kpi: contacts, limit: 6}, or a CPA
    {kpi: contact_cost, per: purchases, limit: 2}."""
    ppo: dict[str, Any] = Field(default_factory=dict)
    """Settings of PPO that differ from the decision's own."""
    anchor_to: Literal["start", "champion", "logging"] = "start"
    """Whom `ppo.anchor` holds training to: where it starts, what is released today, or the log's
    own policy."""


class EvaluationSection(_Section):
    """How a policy is judged."""

    episodes: PositiveInt = 60
    """Fresh simulated episodes of the later part."""
    bootstrap: PositiveInt = 2000


class RunConfig(BaseSettings):
    """Everything that one run depends on, besides the log's content and the code."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="PPO_MARKETING_",
        env_nested_delimiter="__",
    )

    decision: str
    seed: int = Field(default=0, ge=0)
    project: Path = PROJECT
    """The folder that holds `mlruns/` and `data/`."""
    output: Path = Field(default_factory=lambda data: data["project"] / "data" / "runs" / "latest")
    log: LogSection = LogSection()
    environment: dict[str, Any] = Field(default_factory=dict)
    """Settings of the decision: budget, caps, targets."""
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()
    guardrails: GuardrailsSection = GuardrailsSection()
    gate: GateRules = GateRules()
    """What a policy must show before it may be released: the defaults, or stricter."""
    drift: DriftBounds = DriftBounds()
    """How much a challenger may change of what the champion does (`evaluate --champion`)."""
    release: ReleaseRules = ReleaseRules()
    """Who must agree before a policy is released: {four_eyes: true, approvers: [Ada, Grace]}."""
    accept_failed_fidelity: str | None = None
    """The reason for training on a simulator that failed its checks; recorded with the run."""

    def as_values(self) -> dict[str, Any]:
        """Plain values, as saved beside every run."""
        return self.model_dump(mode="json")


def load_config(path: Path | None, flags: Mapping[str, Any]) -> RunConfig:
    """Merge flags, environment, file and the decision's own defaults.

    Raises UserError that lists every problem.
    """
    return config_of({} if path is None else read_mapping(path), flags)


def config_of(content: Mapping[str, Any], flags: Mapping[str, Any]) -> RunConfig:
    """As `load_config`, of what a file holds.

    Raises UserError that lists every problem.
    """
    given = _merged(content, flags, {})
    try:
        card = load_decision(given.decision)
    except ValueError as error:
        raise UserError(str(error)) from error
    return _merged(content, flags, card.run_defaults) if card.run_defaults else given


def _merged(
    content: Mapping[str, Any], flags: Mapping[str, Any], defaults: Mapping[str, Any]
) -> RunConfig:
    class Loaded(RunConfig):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            file = InitSettingsSource(settings_cls, init_kwargs=dict(content))
            own = InitSettingsSource(settings_cls, init_kwargs=dict(defaults))
            return init_settings, env_settings, file, own

    try:
        return Loaded(**flags)
    except ValidationError as error:
        raise UserError(f"the configuration cannot be used:\n{problems_of(error)}") from error
    except SettingsError as error:
        raise UserError(
            f"a PPO_MARKETING_ variable cannot be used: {error}; a whole section is a JSON object, "
            "one value is PPO_MARKETING_SECTION__NAME=value"
        ) from error


def read_mapping(path: Path) -> dict[str, Any]:
    """The `name: value` lines of a YAML file.

    Raises UserError where it holds anything else, or cannot be read.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"the configuration file {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"the configuration file {path} must hold `name: value` lines")
    return content


def read_columns(path: Path) -> dict[str, str]:
    """The column mapping of a YAML file: canonical name -> name in the log.

    Raises UserError where it is anything else.
    """
    content = read_mapping(path)
    wrong = [f"{k}: {v!r}" for k, v in content.items() if not isinstance(v, str)]
    if wrong:
        raise UserError(
            f"{path} must map canonical column names to names in the log; wrong: {wrong}"
        )
    return {str(name): source for name, source in content.items()}


def build(kind: type[T], values: Mapping[str, Any], what: str) -> T:
    """Make a settings value of `kind` (a dataclass or a section) from plain values.

    Raises UserError that lists unknown names, wrong types and contradictions.
    """
    if issubclass(kind, BaseModel):
        known = list(kind.model_fields)
    else:
        known = [item.name for item in dataclasses.fields(kind)]  # type: ignore[arg-type] # is one
    problems = [f"  {name}: unknown; {meant(name, known)}" for name in values if name not in known]
    try:
        built = TypeAdapter(kind).validate_python(
            {name: value for name, value in values.items() if name in known}
        )
    except ValidationError as error:
        problems.append(problems_of(error))
    except UserError as error:
        problems.append(f"  {error}")
    if problems:
        raise UserError(f"the settings of {what} cannot be used:\n" + "\n".join(problems))
    return built


_SECRET = {"webhook"}
"""Settings whose value may let somebody in: it is never repeated."""
_IN_PLAIN_WORDS = {
    "tuple_type": "write a list in brackets, [ ... ]",
    "missing": "it must be given, by a flag or in the file",
    "unexpected_keyword_argument": "there is no such setting of this kind: drop it, or choose the "
    "kind that has it",
}


def _guess(name: str, names: Iterable[str]) -> str:
    """The setting that a misspelt name most likely means, on whatever level."""
    own = (RunConfig, LogSection, TrainingSection, EvaluationSection)
    sections = (*own, GuardrailsSection, ChoicesSection)
    known = {field for section in sections for field in section.model_fields} | set(names)
    return "" if closest(name, known) is None else f"; {meant(name, known)}"


def problems_of(error: ValidationError, names: Iterable[str] = ()) -> str:
    """Every problem of some settings, one a line; `names` are known beside those of a run."""
    lines = []
    for problem in error.errors(include_url=False):
        place = ".".join(str(part) for part in problem["loc"]) or "together"
        said = _IN_PLAIN_WORDS.get(problem["type"], problem["msg"]).removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            said = f"there is no such setting{_guess(str(problem['loc'][-1]), names)}"
        silent = problem["type"] == "missing" or _SECRET.intersection(problem["loc"])
        found = "" if silent else f"; found {problem['input']!r}"
        lines.append(f"  {place}: {said}{found}")
    return "\n".join(lines)
