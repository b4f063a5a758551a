"""What the explorer and the what-ifs ask of a judged run, kept in memory by the hash of the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import streamlit as st

from app import findings, project
from envs.core.decision import Rule
from ppo_marketing.explore.answers import Answers
from ppo_marketing.explore.explorer import Explorer
from ppo_marketing.explore.guarded import Held
from ppo_marketing.guardrails.section import GuardrailsSection
from ppo_marketing.jobs.asking import episodes_of, explorer_of_run, held_of_run, stage_of_run
from ppo_marketing.jobs.campaigns import origin_of
from ppo_marketing.jobs.challenging import incumbent_of
from ppo_marketing.jobs.kept_runs import KeptRun
from ppo_marketing.jobs.release_book import standing_champion
from ppo_marketing.pipeline import calibrating
from ppo_marketing.policy import PolicyActor
from ppo_marketing.what_if.answers import Answer, asked
from ppo_marketing.what_if.campaigns import Origin
from ppo_marketing.what_if.curve import Curve, spend_curve
from ppo_marketing.what_if.fan import Fan, fan
from ppo_marketing.what_if.scenarios import Named, parsed
from ppo_marketing.what_if.stage import Stage

FEW, SOME, MANY = 2, 16, 64
"""How many large, middling and small values are kept, over all sessions."""

CHAMPION = "the champion"

Key = tuple[str, str]


def _key(run: KeptRun) -> Key:
    """Where a run lies, and the hash of its records."""
    return str(run.folder), run.sha256


def explorer(run: KeptRun) -> Explorer:
    """The run's policy, ready to be explored."""
    return _explorer(_key(run), run)


def held(run: KeptRun, section: GuardrailsSection) -> Held | None:
    """The run's policy as it would act under guardrails; None where they limit nothing."""
    return _held(_key(run), run, section.model_dump_json(), section)


def others(run: KeptRun) -> tuple[str, ...]:
    """Whom the policy can be compared with, by name."""
    parts = findings.parts(run)
    champion = standing_champion(project.folder(), run.decision)
    is_other = champion is not None and champion.policy_sha256 != parts.audited.policy_sha256
    names = [rule.name for rule in parts.decision.rules()]
    return (*([CHAMPION] if is_other else []), *names, parts.decision.do_nothing.name)


def answers_of(run: KeptRun, other: str) -> tuple[Answers, tuple[str, ...]]:
    """What another does in the states that the run's policy meets, and what to know of it."""
    champion = standing_champion(project.folder(), run.decision)
    standing = champion.policy_sha256 if other == CHAMPION and champion else ""
    return _answers_of(_key(run), run, other, standing, str(project.folder()))


def answers(
    run: KeptRun, scenarios: Sequence[Named], episodes: int, beside: bool
) -> tuple[Answer, ...]:
    """The scenarios side by side."""
    texts = tuple(one.text for one in scenarios)
    return _answers(_key(run), run, texts, episodes, beside)


def course(run: KeptRun, scenario: Named, kpi: str, episodes: int) -> Fan:
    """How a KPI may run under a scenario."""
    return _fan(_key(run), run, scenario.text, kpi, episodes)


def curve(run: KeptRun, scenario: Named, episodes: int) -> Curve:
    """What other spend would bring under a scenario."""
    return _curve(_key(run), run, scenario.text, episodes)


def campaign(run: KeptRun, scenario: Named, episodes: int) -> tuple[Origin, Curve]:
    """A run as a campaign: where it comes from, and what other spend would bring it."""
    on = _stage(_key(run), run, episodes)
    found = replace(curve(run, scenario, episodes), name=run.name)
    return origin_of(findings.parts(run), on), found


def usual_episodes(run: KeptRun) -> int:
    """As many as the run's evidence rests on, as far as that answers at once."""
    return episodes_of(findings.parts(run))


@st.cache_resource(max_entries=FEW, show_spinner="The policy meets states of its market …")
def _explorer(key: Key, _run: KeptRun) -> Explorer:
    return explorer_of_run(findings.parts(_run))


@st.cache_resource(max_entries=SOME, show_spinner="The policy acts under the limits …")
def _held(key: Key, _run: KeptRun, text: str, _section: GuardrailsSection) -> Held | None:
    return held_of_run(findings.parts(_run), _explorer(key, _run), _section)


@st.cache_resource(max_entries=FEW, show_spinner="Tuning the rules on history …")
def _rules(key: Key, _run: KeptRun) -> tuple[Rule, ...]:
    parts = findings.parts(_run)
    return calibrating.tuned_rules(
        parts.decision, parts.calibration, parts.settings, parts.config.seed
    )


@st.cache_resource(max_entries=SOME, show_spinner="Asking the other …")
def _answers_of(
    key: Key, _run: KeptRun, other: str, champion: str, place: str
) -> tuple[Answers, tuple[str, ...]]:
    parts, exploring = findings.parts(_run), _explorer(key, _run)
    if other == CHAMPION:
        found = incumbent_of(parts, Path(place))
        assert found is not None, "offered only where there is one"
        return exploring.of(PolicyActor(CHAMPION, found[1])), found[2]
    actors = {one.name: one for one in (*_rules(key, _run), parts.decision.do_nothing)}
    return exploring.of(actors[other]), ()


@st.cache_resource(max_entries=FEW, show_spinner="Simulating the episodes to ask about …")
def _stage(key: Key, _run: KeptRun, episodes: int) -> Stage:
    return stage_of_run(findings.parts(_run), episodes=episodes)


@st.cache_resource(max_entries=MANY, show_spinner="Playing the scenarios …")
def _answers(
    key: Key, _run: KeptRun, texts: tuple[str, ...], episodes: int, beside: bool
) -> tuple[Answer, ...]:
    on = _stage(key, _run, episodes)
    names: tuple[str, ...] = ()
    if beside:
        on = on.beside(_rules(key, _run))
        names = tuple(on.others)
    return asked(on, [parsed(on.decision, text) for text in texts], names)


@st.cache_resource(max_entries=MANY, show_spinner="Playing every member of the simulator …")
def _fan(key: Key, _run: KeptRun, text: str, kpi: str, episodes: int) -> Fan:
    on = _stage(key, _run, episodes)
    return fan(on, parsed(on.decision, text), kpi)


@st.cache_resource(max_entries=MANY, show_spinner="Playing other amounts of money …")
def _curve(key: Key, _run: KeptRun, text: str, episodes: int) -> Curve:
    on = _stage(key, _run, episodes)
    return spend_curve(on, parsed(on.decision, text))
