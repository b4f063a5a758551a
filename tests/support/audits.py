"""An audit that passes every test of the gate: what tests change one part of."""

from __future__ import annotations

from ppo_marketing.gate import Audit, LogLift, Residual

LIFT = LogLift("fitted Q evaluation", 6.0, 3.5, 30.0, "customer", 8000.0)
SOUND = Audit(
    sequential=True,
    unsupported=0.02,
    residuals=(Residual("letter, 10 weeks or more", 7000.0, 120.0, 117.0, 0.2),),
    training_value=29.0,
    judging_value=28.5,
    ensemble_lift=0.5,
    best_rule="cadence",
    lift=LIFT,
    positives=600.0,
    limit_excess=None,
    drift=None,
    currency="EUR",
    not_applicable={},
)
