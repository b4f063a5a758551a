"""Evidence + rules -> verdict with reasons: may this policy be released?

A pure function. Every test either passes, refuses or says that it does not apply and why; what is
refused names its reason, so that whoever reads it knows what to mend: the simulator, the log or
the policy. What is no number refuses. Source: MODELLING 5.2, and 5.3 for what each test catches
that the others miss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal

from ppo_marketing.errors import UserError


class Reason(StrEnum):
    """Why a policy is refused."""

    SUPPORT = "support"
    RESIDUAL = "residual"
    CROSS_HALF = "cross-half"
    ENSEMBLE = "ensemble"
    NOT_SHOWN_BETTER = "not shown better"
    TOO_FEW_EVENTS = "too few events"
    LIMIT = "limit"
    DRIFT = "drift"


DATA_REASONS = frozenset(
    {
        Reason.SUPPORT,
        Reason.CROSS_HALF,
        Reason.ENSEMBLE,
        Reason.NOT_SHOWN_BETTER,
        Reason.TOO_FEW_EVENTS,
    }
)
"""Reasons that more data, or more exploration in it, may remove."""


@dataclass(frozen=True, kw_only=True)
class GateRules:
    """What is allowed (MODELLING 5.2); a team may ask for more, never for less.

    Raises UserError where a value is laxer than the default, or no number at all.
    """

    most_unsupported: float = 0.20
    most_unsupported_alone: float = 0.05  # of decisions that stand alone
    largest_residual_z: float = 3.0
    largest_cross_half: float = 0.15
    least_ensemble_lift: float = 0.0
    least_log_lift: float = 0.0
    least_positives: float = 100.0
    largest_optimism: float = 0.10
    largest_excess: float = 0.05  # of a limit that training had: what chance may bring

    def __post_init__(self) -> None:
        plain = {name: f.default for name, f in type(self).__dataclass_fields__.items()}
        problems = []
        for name, strictest in plain.items():
            value = getattr(self, name)
            least = name.startswith("least")
            if not (value >= strictest if least else 0 <= value <= strictest):
                allowed = f"{strictest:g} or more" if least else f"from 0 to {strictest:g}"
                problems.append(f"  {name} is {value}: it must be {allowed}")
        if problems:
            raise UserError(
                "the gate may be made stricter, not laxer:\n" + "\n".join(problems)
                + "\nTo release in spite of a refusal, `promote` takes a named override."
            )  # fmt: skip


@dataclass(frozen=True)
class Residual:
    """One group of held-out rows that agree with the policy: events foretold and seen."""

    group: str
    rows: float
    foretold: float
    observed: float
    z: float


@dataclass(frozen=True)
class LogLift:
    """What the policy earns above the log's own decisions, by the log alone.

    `value` is in currency a `unit`, `low` its lower bound with 95 % confidence, None where the
    log cannot say, for the reasons in `cannot`; `method` names the estimator.
    """

    method: str
    value: float
    low: float | None
    logging: float
    unit: str
    effective_n: float
    cannot: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What the gate judges. None: the test does not apply, and `not_applicable` says why.

    `unsupported` is the share of the policy's decisions, in the simulator it was trained in, on
    (cell, action) with fewer than 30 rows of the log; `training_value` and `judging_value` are its
    values by the simulators of the two parts; `ensemble_lift` the 5th percentile over the members
    of its value less the best rule's; `positives` the effective number of events on
    held-out rows that agree with it; `limit_excess` used / limit - 1, where training had a limit;
    `drift` the bounds that it breaks against the policy that runs today, where there is one.
    """

    sequential: bool
    unsupported: float | None
    residuals: tuple[Residual, ...] | None
    training_value: float
    judging_value: float
    ensemble_lift: float | None
    best_rule: str
    lift: LogLift | None
    positives: float | None
    limit_excess: float | None
    drift: tuple[str, ...] | None
    currency: str
    not_applicable: dict[str, str]

    @property
    def replayed(self) -> bool:
        """Whether the held-out part was played again, so that no row has to agree with a policy."""
        return self.unsupported is None and self.lift is not None

    @property
    def optimism_gap(self) -> float:
        """V_train-sim / V_judge - 1."""
        return self.training_value / self.judging_value - 1.0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Audit:
        """What `asdict` took apart."""
        residuals, lift = values["residuals"], values["lift"]
        parts = {
            "residuals": None if residuals is None else tuple(Residual(**r) for r in residuals),
            "drift": None if values["drift"] is None else tuple(values["drift"]),
            "lift": None if lift is None else LogLift(**{**lift, "cannot": tuple(lift["cannot"])}),
        }
        return cls(**{**values, **parts})


Outcome = Literal["passed", "warned", "refused", "not applicable"]


@dataclass(frozen=True)
class Finding:
    """One test: what was found, what is allowed, what follows."""

    test: str
    outcome: Outcome
    found: str
    allowed: str
    reason: Reason | None = None
    advice: str = ""


@dataclass(frozen=True)
class Verdict:
    """Whether the policy may be released, and everything that was looked at."""

    findings: tuple[Finding, ...]
    value: LogLift | None
    optimism_gap: float

    @property
    def passed(self) -> bool:
        """No test refused."""
        return not self.reasons

    @property
    def reasons(self) -> frozenset[Reason]:
        """Why it was refused; empty where it was not."""
        return frozenset(f.reason for f in self.findings if f.reason is not None)

    @property
    def too_little_data(self) -> bool:
        """Whether only reasons that more data may remove stand in the way."""
        return bool(self.reasons) and self.reasons <= DATA_REASONS

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "passed": self.passed,
            "reasons": sorted(self.reasons),
            "too_little_data": self.too_little_data,
            "optimism_gap": self.optimism_gap,
            "value": None if self.value is None else asdict(self.value),
            "findings": [asdict(finding) for finding in self.findings],
        }


def judge(audit: Audit, rules: GateRules) -> Verdict:
    """Hold an audit against the rules; the value is given only where nothing refuses."""
    findings = (
        _support(audit, rules),
        _residual(audit, rules),
        _cross_half(audit, rules),
        _ensemble(audit, rules),
        _log_lift(audit, rules),
        _evidence(audit, rules),
        *(() if audit.limit_excess is None else (_limit(audit.limit_excess, rules),)),
        *(() if audit.drift is None else (_drift(audit.drift),)),
        _optimism(audit, rules),
    )
    refused = any(finding.outcome == "refused" for finding in findings)
    return Verdict(findings, None if refused else audit.lift, audit.optimism_gap)


def _support(audit: Audit, rules: GateRules) -> Finding:
    if audit.unsupported is None:
        return _left_out("support", audit)
    most = rules.most_unsupported if audit.sequential else rules.most_unsupported_alone
    found = f"{100 * audit.unsupported:.1f} % of its decisions are ones the log hardly holds"
    allowed = f"at most {100 * most:g} %"
    if not audit.unsupported <= most:
        advice = (
            "log more decisions of that kind at random, or close these actions where the log has "
            "none"
        )
        return Finding("support", "refused", found, allowed, Reason.SUPPORT, advice)
    warned = audit.unsupported > most / 2
    return Finding("support", "warned" if warned else "passed", found, allowed)


def _residual(audit: Audit, rules: GateRules) -> Finding:
    if audit.residuals is None:
        return _left_out("residual", audit)
    allowed = f"z at most {rules.largest_residual_z:g} in every group"
    if not audit.residuals:
        return Finding(
            "residual", "warned", "no group of held-out rows that agree with it is large enough",
            allowed,
        )  # fmt: skip
    worst = max(audit.residuals, key=lambda residual: (math.isnan(residual.z), residual.z))
    found = (
        f"{worst.group}: {worst.foretold:,.0f} events foretold and {worst.observed:,.0f} seen in "
        f"{worst.rows:,.0f} rows (z {worst.z:+.1f}), the worst of {len(audit.residuals)} groups"
    )
    if not worst.z <= rules.largest_residual_z:
        beyond = [r.group for r in audit.residuals if not r.z <= rules.largest_residual_z]
        advice = f"the simulator promises too much where the policy acts: {'; '.join(beyond)}"
        return Finding("residual", "refused", found, allowed, Reason.RESIDUAL, advice)
    return Finding("residual", "passed", found, allowed)


def _cross_half(audit: Audit, rules: GateRules) -> Finding:
    gap = (audit.training_value - audit.judging_value) / abs(audit.training_value)
    found = (
        f"worth {audit.training_value:,.4g} {audit.currency} by the simulator it was trained in, "
        f"{audit.judging_value:,.4g} by the other part's ({100 * gap:+.1f} %)"
    )
    allowed = f"at most {100 * rules.largest_cross_half:g} % less"
    if not gap <= rules.largest_cross_half:
        advice = "two halves of the log do not agree on it: use a longer log, or explore more"
        return Finding("cross-half", "refused", found, allowed, Reason.CROSS_HALF, advice)
    return Finding("cross-half", "passed", found, allowed)


def _ensemble(audit: Audit, rules: GateRules) -> Finding:
    if audit.ensemble_lift is None:
        return _left_out("ensemble", audit)
    found = (
        f"{audit.ensemble_lift:+,.4g} {audit.currency} above {audit.best_rule}, the best rule, in "
        "the 5th percentile of the simulator's members"
    )
    allowed = f"above {rules.least_ensemble_lift:g}"
    if not audit.ensemble_lift > rules.least_ensemble_lift:
        advice = (
            f"within what the simulator does not know {audit.best_rule} may be as good: keep it"
        )
        return Finding("ensemble", "refused", found, allowed, Reason.ENSEMBLE, advice)
    return Finding("ensemble", "passed", found, allowed)


def _log_lift(audit: Audit, rules: GateRules) -> Finding:
    allowed = f"lower bound above {rules.least_log_lift:g}"
    if audit.lift is None:
        found = audit.not_applicable.get("log", "the log says nothing of it")
        return Finding("log", "refused", found, allowed, Reason.NOT_SHOWN_BETTER, _WHAT_SHOWS)
    lift = audit.lift
    if lift.low is None:
        found = f"{'; '.join(lift.cannot)} ({lift.method})"
        return Finding("log", "refused", found, allowed, Reason.NOT_SHOWN_BETTER, _WHAT_SHOWS)
    found = (
        f"{lift.value:+,.4g} {audit.currency} a {lift.unit} above the log's own "
        f"{lift.logging:,.4g}, at least {lift.low:+,.4g} with 95 % confidence ({lift.method})"
    )
    if not lift.low > rules.least_log_lift:
        advice = "the log does not show that it is better: log more, or keep what runs today"
        return Finding("log", "refused", found, allowed, Reason.NOT_SHOWN_BETTER, advice)
    return Finding("log", "passed", found, allowed)


_WHAT_SHOWS = (
    "log the chance of every decision (or every bid, lost ones too), so that the log itself can "
    "speak for the policy; or test it against what runs today"
)


def _evidence(audit: Audit, rules: GateRules) -> Finding:
    if audit.positives is None:
        return _left_out("events", audit)
    found = (
        f"{audit.positives:,.0f} events where the held-out part is replayed with it"
        if audit.replayed
        else f"effectively {audit.positives:,.0f} events on held-out rows that agree with it"
    )
    allowed = f"at least {rules.least_positives:g}"
    if not audit.positives >= rules.least_positives:
        advice = "use a longer log" + (
            "" if audit.replayed else ", or one in which more was left to chance"
        )
        return Finding("events", "refused", found, allowed, Reason.TOO_FEW_EVENTS, advice)
    return Finding("events", "passed", found, allowed)


def _limit(excess: float, rules: GateRules) -> Finding:
    found = f"{100 * excess:+.1f} % against the limit that it was trained to keep"
    allowed = f"up to {100 * rules.largest_excess:+g} %"
    if not excess <= rules.largest_excess:
        advice = "train longer, or allow more"
        return Finding("limit", "refused", found, allowed, Reason.LIMIT, advice)
    return Finding("limit", "passed", found, allowed)


def _drift(broken: tuple[str, ...]) -> Finding:
    allowed = "within the bounds on what may change at once"
    if not broken:
        found = "it stays close to the policy that runs today"
        return Finding("drift", "passed", found, allowed)
    advice = (
        "anchor training to the champion (training.anchor_to: champion), change less at once, or "
        "widen `drift:` in the configuration on purpose"
    )
    return Finding("drift", "refused", "; ".join(broken), allowed, Reason.DRIFT, advice)


def _optimism(audit: Audit, rules: GateRules) -> Finding:
    found = f"{100 * audit.optimism_gap:+.1f} % (value in its own simulator over the judging one's)"
    allowed = f"up to +{100 * rules.largest_optimism:g} % is acceptable"
    outcome: Outcome = "warned" if audit.optimism_gap > rules.largest_optimism else "passed"
    return Finding("optimism gap", outcome, found, allowed)


def _left_out(test: str, audit: Audit) -> Finding:
    return Finding(test, "not applicable", audit.not_applicable.get(test, "not measured"), "")


def sentence(verdict: Verdict) -> str:
    """The verdict in a sentence."""
    if verdict.passed:
        return "The gate is passed: the log supports this policy."
    listed = ", ".join(sorted(verdict.reasons))
    if verdict.reasons == {Reason.NOT_SHOWN_BETTER}:
        return "The gate is not passed: the log does not show that this policy is better."
    data = " More data may remove it." if verdict.too_little_data else ""
    return f"The gate is not passed ({listed}).{data}"


def advice(findings: Sequence[Finding]) -> list[str]:
    """What to do about each refusal."""
    return [f"{f.reason}: {f.advice}" for f in findings if f.reason is not None]
