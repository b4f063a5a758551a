"""From a visit log to a calibrated page with its fidelity report.

The log's UTC days are split by time: a model is fitted to the earlier part (it trains and tunes)
and another to the later part, about a third of the impressions (it judges). The fidelity report
says how well the first foretells what policies earn on the later rows, which it has not seen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from threadpoolctl import threadpool_limits

from envs.core.calibration_folder import CalibrationError
from envs.core.log import LogTable
from envs.personalization.calibration import Part, PersonalizationCalibration
from envs.personalization.ensemble import Fitted, fit_ensemble
from envs.personalization.evidence import gather_evidence, shown_probability
from envs.personalization.fidelity import judge_model
from envs.personalization.logging_policy import LoggingEstimate, estimate_logging
from envs.personalization.model import Bools, Floats
from envs.personalization.response import Guess, fit_response, guess_of, logits, sorted_rows
from envs.personalization.session_fit import (
    boredom_effect,
    pages_of,
    session_notes,
    session_terms,
)
from envs.personalization.settings import PersonalizationSettings
from envs.personalization.shift import logged_shift
from envs.personalization.slates import slates_of
from envs.personalization.visits import Gathered, Visits, gather, kept_columns

__all__ = ["CalibrationError", "PersonalizationCalibration", "fit", "settle"]

LEAST_REWARDS = 3
"""With fewer rewards in a part there is nothing to fit; what more are worth the checks say."""

_LEAST_PROPENSITY = 1e-3  # of an estimate; what was shown had some chance
_BOREDOM_ROUNDS = 3  # effects and boredom take turns; they hardly disturb each other


class Propensities(NamedTuple):
    """Of the rows shown `[M]`, and where they come from."""

    earlier: Floats
    later: Floats
    source: str
    logged: bool


def fit(
    log: LogTable, settings: PersonalizationSettings, rng: Generator
) -> PersonalizationCalibration:
    """Calibrate a page to a log and check it on later rows.

    Raises:
        CalibrationError: the log cannot be calibrated; the message says what it needs.
    """
    # Its products are small: threads of the linear algebra would wait for each other, not help.
    with threadpool_limits(1):
        return _fit(log, settings, rng)


def _fit(
    log: LogTable, settings: PersonalizationSettings, rng: Generator
) -> PersonalizationCalibration:
    gathered = gather(log)
    earlier, later = gathered.earlier, gathered.later
    _refuse_unfit(earlier, later)
    policy, own = (_estimated(part, gathered.items) for part in (earlier, later))
    propensities = _propensities(gathered, policy, own)
    guess, judge_guess = (
        guess_of(gathered.catalogue.feature, estimate.policy, _shown(part, gathered.items))
        for part, estimate in ((earlier, policy), (later, own))
    )
    positions = int(max(earlier.position.max(), later.position.max())) + 1

    first = _fit_part(gathered, earlier, guess, positions, settings, rng)
    # The judge does not lean on what the earlier part preferred: it reads its own logger.
    second = _fit_part(gathered, later, judge_guess, positions, settings, rng)

    shift = logged_shift(
        later, gathered.catalogue.category, first.fitted.model, first.terms,
        settings.boredom_levels,
    )  # fmt: skip
    evidence = gather_evidence(
        first.fitted.model, earlier, later, propensities.later, own.policy,
        rng, shift,
    )  # fmt: skip
    return PersonalizationCalibration(
        earlier=Part(earlier, propensities.earlier, first.fitted.model, first.terms),
        later=Part(later, propensities.later, second.fitted.model, second.terms),
        catalogue=gathered.catalogue,
        encoder=gathered.encoder,
        logging=policy.policy,
        fidelity=judge_model(first.fitted.model, later, evidence, shift),
        data_sha256=log.sha256,
        judged_from=gathered.judged_from,
        notes=(
            *log.notes,
            *gathered.notes,
            propensities.source,
            *_remarks(first.fitted, policy),
            *session_notes(first.terms),
            *evidence.notes(),
        ),
        propensities="logged" if propensities.logged else "estimated",
    )


def settle(log: LogTable, settings: PersonalizationSettings) -> PersonalizationSettings:
    """Settings with sessions where the log has them, and pages as the log has them.

    A log that shows several items at once makes pages as long as its longest, unless the settings
    ask for several slots already.
    """
    if "session_id" in log.names:
        settings = replace(settings, sessions=True)
    if "position" not in log.names:
        return settings
    wanted = {"unit_id", "timestamp", "session_id", "position", "reward", "impressions"}
    columns, _ = kept_columns(log, [name for name in log.names if name in wanted])
    slates = slates_of(columns)
    slots = slates.longest if settings.slots == 1 else settings.slots
    return replace(settings, slots=slots, one_choice=settings.one_choice or slates.one_choice)


class _FittedPart(NamedTuple):
    fitted: Fitted
    terms: dict[str, float]


def _fit_part(
    gathered: Gathered,
    visits: Visits,
    guess: Guess,
    positions: int,
    settings: PersonalizationSettings,
    rng: Generator,
) -> _FittedPart:
    """The ensemble of one part; with sessions, boredom and leaving too."""
    if (visits.session < 0).all():
        return _FittedPart(fit_ensemble(visits, guess, positions, None, rng), {})
    pages = pages_of(visits, gathered.catalogue.category, settings.boredom_levels)
    eta, response = 0.0, None
    for _ in range(_BOREDOM_ROUNDS):
        offset = -eta * pages.bored.astype(np.float64)
        rows = sorted_rows(
            visits.x, visits.item, visits.position, visits.reward, visits.weight, offset,
            visits.page,
        )  # fmt: skip
        response = fit_response(rows, guess, positions, response)
        bored = pages.bored[np.argsort(visits.item, kind="stable")]
        free = logits(rows, guess, response) - rows.offset
        eta = boredom_effect(free, bored, rows.reward, rows.weight, rows.page)
    fitted = fit_ensemble(visits, guess, positions, -eta * pages.bored.astype(np.float64), rng)
    return _FittedPart(fitted, session_terms(visits, pages, eta))


def _refuse_unfit(earlier: Visits, later: Visits) -> None:
    problems = []
    for name, part in (("earlier", earlier), ("later", later)):
        rewards = float((part.weight * part.reward).sum())
        if rewards < LEAST_REWARDS:
            problems.append(
                f"the {name} part has {rewards:.0f} rewards in {part.weight.sum():,.0f} "
                f"impressions: at least {LEAST_REWARDS} are needed to see a rate. Use a longer log"
            )
        if len(np.unique(part.item)) < 2:
            problems.append(
                f"the {name} part shows a single item: nothing was chosen there. Use a log in "
                "which two items or more were on offer all the time"
            )
    if problems:
        raise CalibrationError("; ".join(problems))


def _shown(visits: Visits, items: int) -> Bools:
    return np.bincount(visits.item, minlength=items) > 0


def _estimated(visits: Visits, items: int) -> LoggingEstimate:
    return estimate_logging(visits.x, visits.item, visits.weight, visits.eligible, items)


def _propensities(
    gathered: Gathered, policy: LoggingEstimate, later_policy: LoggingEstimate
) -> Propensities:
    """Logged propensities; without them, those of the policies estimated on either part."""
    earlier, later = gathered.earlier, gathered.later
    if np.isfinite(earlier.propensity).all() and np.isfinite(later.propensity).all():
        return Propensities(earlier.propensity, later.propensity, "propensities: as logged", True)
    estimated = [
        np.maximum(shown_probability(estimate.policy, part), _LEAST_PROPENSITY)
        for part, estimate in ((earlier, policy), (later, later_policy))
    ]
    randomised = policy.randomised and later_policy.randomised
    source = (
        "propensities: estimated from how often each item was shown; the context made no visible "
        "difference, as where items are dealt at random"
        if randomised
        else "propensities: estimated, and who was shown what depends on the context: effects are "
        "assumed, not identified, unless the context holds everything that the choice went by"
    )
    return Propensities(estimated[0], estimated[1], source, False)


def _remarks(fitted: Fitted, estimate: LoggingEstimate) -> list[str]:
    response = fitted.response
    remarks = [
        f"how far items differ for everyone: sd {response.item_sd:.2g} logits; how far visitors "
        f"differ in what they like: {response.taste_sd:.2g} logits a unit of context, rank "
        f"{fitted.rank} (estimated: empirical Bayes, 3-fold cross-fitting)"
    ]
    if not estimate.randomised:
        remarks.append(
            "what the log's own policy preferred serves as a guess of what works: rewards give it "
            f"a weight of {response.shared[-1]:.2g} on items and {response.trust:.2g} on tastes"
        )
    return remarks
