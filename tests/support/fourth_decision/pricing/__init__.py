"""Pricing, in miniature: which price to offer each customer of a day. The card."""

from __future__ import annotations

from envs.core.decision import Decision, Kpi, Ratio

from .fit import PricingCalibration, fit
from .generator import PRESETS, generate, true_world
from .log import OFFERS
from .rules import NO_OFFER, FixedPrice
from .world import PricingScenario, PricingSettings, best_margin

DECISION = Decision(
    name="pricing",
    title="Pricing",
    question="Which price to offer each customer, so that a day earns the most margin?",
    env_id="marketing/Pricing-v0",
    episode="day",
    schema=OFFERS,
    presets=PRESETS,
    generate=generate,
    true_world=true_world,
    fit=fit,
    load_calibration=PricingCalibration.load,
    sample_settings=PricingSettings,
    settings_type=PricingSettings,
    settle=lambda log, settings: settings,
    anchored=lambda settings, rules: settings,
    ppo={"learning_rate": 0.003},
    run_defaults={"training": {"total_steps": 20_000, "copies": 64}},
    scenario_type=PricingScenario,
    rules=lambda: (FixedPrice(),),
    logging_rule=lambda calibration: None,
    do_nothing=NO_OFFER,
    ceiling=best_margin,
    ceiling_kind="realised",
    value_kpi="margin",
    event_kpi="orders",
    kpis=(
        Kpi("offers", "Offers", "", "customers who were offered a price"),
        Kpi("margin", "Margin", "currency", "expected margin of the offers"),
        Kpi("orders", "Orders", "orders", "realised orders: they confirm, they do not judge"),
    ),
    ratios=(Ratio("Orders per offer", "orders", "offers", "", "orders / offers"),),
    limitable=("orders",),
    limit_instead="customers come whatever they are asked for, and margin is what training is for",
)
