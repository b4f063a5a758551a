"""Evidence: what the policy would earn beyond others, and whether the log itself supports it."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from app import charts, errors, findings, layout, log_panel, project, words
from app.layout import Card
from envs.core.decision import Decision
from ppo_marketing.gate import Finding, Verdict, sentence
from ppo_marketing.gate_words import OUTCOMES, in_words
from ppo_marketing.jobs.kept_runs import KeptEvidence, KeptRun
from ppo_marketing.jobs.release_book import standing_champion
from ppo_marketing.lifts import Lift, PairedLift, lifts
from ppo_marketing.overview import headline
from ppo_marketing.report import optimism
from ppo_marketing.report_run import chance, run_page

ICONS = {
    "passed": ":material/check_circle:",
    "warned": ":material/visibility:",
    "refused": ":material/cancel:",
    "not applicable": ":material/remove_circle_outline:",
}
COLOURS = {"passed": "green", "warned": "orange", "refused": "red", "not applicable": "gray"}


def page() -> None:
    """Draw the page."""
    choice, run = layout.require("judged", "Evidence")
    card, evidence = choice.decision, project.evidence(run)
    verdict = project.verdict(run).verdict
    said = headline(evidence.judgement.later, card.episode, verdict.passed).sentence(
        lambda amount: words.money(amount, evidence.currency)
    )
    layout.headline("Evidence", said)
    tell = st.success if verdict.passed else st.warning
    tell(errors.as_text(sentence(verdict)), icon=ICONS["passed" if verdict.passed else "refused"])
    found = lifts(evidence.judgement.later, _champion(run))
    _lifts(card, found, evidence.currency)
    _verdict(verdict)
    _optimism(evidence)
    with errors.kindly():
        log_panel.draw(card, run, project.verdict(run).audit.lift, evidence.currency)
    with errors.kindly():
        log_panel.draw_days(card, run)
    _download(card, run, evidence, verdict, found, said)


def _champion(run: KeptRun) -> PairedLift | None:
    """The policy above today's champion, once that was asked for: both have to play for it."""
    asked = f"against-champion-{run.sha256}"
    champion = standing_champion(project.folder(), run.decision)
    if champion is None or champion.policy_sha256 == project.verdict(run).policy_sha256:
        return None
    if not st.session_state.get(asked):
        if not st.button("Compare with the champion as well", icon=":material/trophy:"):
            return None
        st.session_state[asked] = True
    found = None
    with errors.kindly():
        found = findings.against_champion(run)
    return None if found is None else found.lift


def _lifts(card: Decision, found: tuple[Lift, ...], currency: str) -> None:
    kpi = words.value_kpi(card)
    st.subheader(
        f"What it earns beyond others, a {card.episode}",
        help=f"{kpi.label}: {kpi.definition}. Everybody plays the same simulated episodes of days "
        "that nothing was trained on; differences are taken episode by episode.",
        anchor=False,
    )
    layout.cards([_card(lift, currency) for lift in found])
    if not any(lift.beside == "champion" for lift in found):
        st.caption("Without a champion: nothing was released yet, this is it, or it was not asked.")
    known = [(lift, lift.money) for lift in found if lift.money is not None]
    if not known:
        st.info("This run was judged before lifts were kept in money: evaluate it again.")
        return
    frame = pd.DataFrame(
        {
            "above": lift.who,
            "kind": lift.beside,
            "value": money.value,
            "low": money.low,
            "high": money.high,
            "P(lift > 0)": chance(lift),
        }
        for lift, money in known
    )
    charts.show(
        charts.intervals(frame, "above", f"{kpi.label.lower()} beyond it, {words.short(currency)}"),
        frame.drop(columns="kind"),
        alt=f"{kpi.label} beyond others a {card.episode}, with 95 % intervals; what lies right "
        "of 0 is earned on top",
    )


def _card(lift: Lift, currency: str) -> Card:
    names = {
        "floor": "Above nothing",
        "logging": "Above the log",
        "rule": "Above best rule",
        "champion": "Above champion",
    }
    if lift.money is not None:
        value = words.money(lift.money.value, currency, signed=True)
        reach = words.interval(lift.money, "currency", currency)
    elif lift.points is not None:
        value = f"{words.number(100 * lift.points.value, 2, signed=True)} points"
        reach = "of the ceiling"
    else:
        value = reach = "–"
    return Card(
        names[lift.beside],
        value,
        f"{reach}; P(lift > 0) {chance(lift)}",
        help=f"The policy less {errors.as_text(lift.who)}. The probability speaks of other "
        "episodes of the same simulator, not of the simulator itself: for that there is the gate.",
    )


def _verdict(verdict: Verdict) -> None:
    st.subheader("What the gate asked", anchor=False)
    order = ("refused", "warned", "passed", "not applicable")
    for finding in sorted(verdict.findings, key=lambda one: order.index(one.outcome)):
        _finding(finding)


def _finding(finding: Finding) -> None:
    told = in_words(finding.test)
    colour, icon = COLOURS[finding.outcome], ICONS[finding.outcome]
    with st.container(border=True):
        left, right = st.columns((4, 1), vertical_alignment="center")
        left.markdown(f"**{told.asks}**", help=told.why or None)
        right.badge(OUTCOMES[finding.outcome], icon=icon, color=colour)  # type: ignore[arg-type] # one of its colours
        st.markdown(errors.as_text(finding.found))
        if finding.allowed:
            st.caption(f"Wanted: {errors.as_text(finding.allowed)}")
        if finding.advice:
            st.markdown(f":material/lightbulb: {errors.as_text(finding.advice)}")


def _optimism(evidence: KeptEvidence) -> None:
    st.subheader("Optimism", anchor=False)
    judgement = evidence.judgement
    there, here = judgement.earlier.policy.value, judgement.later.policy.value
    layout.cards(
        [
            Card(
                "Where it was trained",
                words.money(there.value, evidence.currency),
                words.interval(there, "currency", evidence.currency),
                help="Its value in the simulator of the earlier days, through which it learned.",
            ),
            Card(
                "Where it is judged",
                words.money(here.value, evidence.currency),
                words.interval(here, "currency", evidence.currency),
                help="Its value in the simulator of the later days, which it never met.",
            ),
            Card(
                "Gap",
                words.share(judgement.optimism_gap, signed=True),
                "up to +10 % is acceptable; beyond, do not rely on the value",
                help="The first over the second, less one.",
            ),
        ]
    )
    st.caption(errors.as_text(optimism(judgement)))


def _download(
    card: Decision,
    run: KeptRun,
    evidence: KeptEvidence,
    verdict: Verdict,
    found: tuple[Lift, ...],
    said: str,
) -> None:
    html = run_page(
        card, run.name, evidence, verdict, found, said,
        money=lambda amount: words.money(amount, evidence.currency),
        made_at=words.time(datetime.now(UTC)),
    )  # fmt: skip
    st.download_button(
        "Download this as one page",
        html.encode(),
        file_name=f"{run.name}-report.html",
        mime="text/html",
        icon=":material/download:",
        on_click="ignore",
    )


page()
