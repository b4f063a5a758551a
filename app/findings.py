"""What pages ask of a judged run beyond its records, kept in memory by the hash of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from app import project
from ppo_marketing.guardrails.section import GuardrailsSection
from ppo_marketing.jobs.challenging import Challenge, challenge
from ppo_marketing.jobs.exporting import whole_run
from ppo_marketing.jobs.kept_parts import Parts, parts_of
from ppo_marketing.jobs.kept_runs import KeptRun
from ppo_marketing.jobs.limit_costs import limit_costs
from ppo_marketing.jobs.log_word import LogWord, log_days, log_word
from ppo_marketing.jobs.release_book import standing_champion
from ppo_marketing.jobs.run_card import card_of
from ppo_marketing.jobs.run_fairness import (
    SegmentFairness,
    Segments,
    run_fairness,
    segments_of,
)
from ppo_marketing.jobs.verdicts import kept_verdict
from ppo_marketing.maturity import Day
from ppo_marketing.shadow_prices import ShadowPrices

FEW, SOME = 4, 16


def parts(run: KeptRun) -> Parts:
    """The run's market and policy, loaded."""
    return _parts(str(run.folder), run.sha256)


def word(run: KeptRun) -> LogWord:
    """What the held-out log says of the run's policy, in detail."""
    return _word(str(run.folder), run.sha256)


def days(run: KeptRun) -> tuple[Day, ...]:
    """The days of the run's log."""
    return log_days(parts(run))


def against_champion(run: KeptRun) -> Challenge | None:
    """The run's policy against the policy that is champion now."""
    champion = standing_champion(project.folder(), run.decision)
    if champion is None:
        return None
    return _challenge(str(run.folder), run.sha256, champion.sha256, str(project.folder()))


def costs(run: KeptRun, section: GuardrailsSection) -> ShadowPrices:
    """What each limit of a section would cost the run's policy."""
    return _costs(str(run.folder), run.sha256, section.model_dump_json(), section)


def segments(run: KeptRun) -> Segments | None:
    """What the run's held-out log can be parted by; None where it holds no choices about people."""
    return _segments(str(run.folder), run.sha256)


def fairness(
    run: KeptRun, names: tuple[str, ...], treatments: tuple[str, ...]
) -> tuple[SegmentFairness, ...]:
    """Treatment rates by segments of the run's held-out log."""
    return _fairness(str(run.folder), run.sha256, names, treatments)


def card_of_run(run: KeptRun) -> dict[str, Any]:
    """The run's model card."""
    return _card(str(run.folder), run.sha256, run.made.isoformat(timespec="seconds"))


@st.cache_resource(max_entries=FEW, show_spinner="Reading the run …")
def _parts(folder: str, sha256: str) -> Parts:
    return parts_of(Path(folder))


@st.cache_resource(max_entries=SOME, show_spinner="Asking the held-out log …")
def _word(folder: str, sha256: str) -> LogWord:
    return log_word(_parts(folder, sha256))


@st.cache_resource(max_entries=SOME, show_spinner="Both play the same episodes …")
def _challenge(folder: str, sha256: str, champion: str, place: str) -> Challenge | None:
    return challenge(_parts(folder, sha256), Path(place))


@st.cache_resource(max_entries=SOME, show_spinner="Playing with and without each limit …")
def _costs(folder: str, sha256: str, key: str, _section: GuardrailsSection) -> ShadowPrices:
    return limit_costs(_parts(folder, sha256), _section)


@st.cache_resource(max_entries=FEW, show_spinner="Looking at the log …")
def _segments(folder: str, sha256: str) -> Segments | None:
    return segments_of(_parts(folder, sha256))


@st.cache_resource(max_entries=SOME, show_spinner="Asking the policy about everybody …")
def _fairness(
    folder: str, sha256: str, names: tuple[str, ...], treatments: tuple[str, ...]
) -> tuple[SegmentFairness, ...]:
    within = _segments(folder, sha256)
    assert within is not None, "asked only where there is something to part"
    return run_fairness(_parts(folder, sha256), within, names, treatments)


@st.cache_resource(max_entries=SOME, show_spinner="Writing the model card …")
def _card(folder: str, sha256: str, made_at: str) -> dict[str, Any]:
    run = Path(folder)
    return card_of(whole_run(run, kept_verdict(run)), made_at)
