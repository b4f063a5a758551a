"""Release: what would change, whether it goes live, what leaves the house, and the record of it."""

from __future__ import annotations

from app import (
    card_panel,
    change_panel,
    decide_panel,
    export_panel,
    history_panel,
    layout,
    project,
)
from ppo_marketing.audit_trail import read_trail
from ppo_marketing.gate import sentence
from ppo_marketing.jobs.release_book import desk_of, trail_of
from ppo_marketing.release_state import GatesWord, release_state

CHANGE = ":material/compare_arrows: What would change"
DECIDE = ":material/how_to_vote: Decide"
EXPORT = ":material/output: Export"
RECORD = ":material/history: Record"
CARD = ":material/description: Model card"


def page() -> None:
    """Draw the page."""
    choice, run = layout.require("judged", "Release")
    audited = project.verdict(run)
    lines = read_trail(trail_of(project.folder()))
    now = desk_of(project.folder()).now
    state = release_state(
        lines, choice.decision.name, audited.policy_sha256,
        GatesWord(audited.verdict.passed, sentence(audited.verdict)), audited.release, now,
    )  # fmt: skip
    layout.headline("Release", state.text)
    decide_panel.cards(state, now)
    layout.tabs(
        "release-tab",
        {
            CHANGE: lambda: change_panel.draw(choice.decision, run, state),
            DECIDE: lambda: decide_panel.draw(run.folder, state),
            EXPORT: lambda: export_panel.draw(choice.decision, run),
            RECORD: lambda: history_panel.draw(choice.decision.name, lines),
            CARD: lambda: card_panel.draw(run),
        },
    )


page()
