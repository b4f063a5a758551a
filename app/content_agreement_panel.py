"""Whether the reward models may be believed: agreement, calibration, length."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import charts, content_project, errors, layout, words
from app.layout import Card
from ppo_marketing.content.agreement import COIN_NATS, Agreement
from ppo_marketing.content.places import Found


def draw(found: Found) -> None:
    """The newest reward models, or those chosen."""
    if not found.rewards:
        st.info(
            "There are no reward models yet. Fit some with `ppo-marketing content reward --model "
            "FOLDER --preferences FILE -o data/content/NAME/reward`."
        )
        return
    place = content_project.chosen(found.rewards, "Reward models", "content-reward")
    seen = content_project.agreement(place)
    st.markdown(errors.as_text(seen.sentence))
    _cards(seen)
    if seen.calibration:
        _calibration(seen)
    st.markdown("**Each model of the ensemble**")
    charts.write(
        pd.DataFrame(
            {
                "model": str(number),
                "agrees with raters": words.share(accuracy),
            }
            for number, accuracy in enumerate(seen.members, 1)
        ).set_index("model")
    )


def _cards(seen: Agreement) -> None:
    low, high = seen.accuracy_bounds
    bias = seen.length_bias
    layout.cards(
        [
            Card(
                "Agreement", words.share(seen.accuracy),
                f"95 %: {words.share(low)} to {words.share(high)}",
                "Share of held-out pairs of which the chosen text is scored higher. Raters who "
                "disagree among themselves set the ceiling.",
            ),
            Card(
                "Calibration error", words.share(seen.calibration_error),
                "0 % is best",
                "How far what the models say (70 % sure) lies from how often they are right, the "
                "mean over ten groups of pairs.",
            ),
            Card(
                "Log loss", words.number(seen.log_loss, 3), f"a coin: {words.number(COIN_NATS, 3)}",
                "nats a pair: below a coin's, the scores carry information.",
            ),
            Card(
                "Length bias", "–" if bias is None else words.share(bias, signed=True),
                "0 % is best",
                "How much more often than the raters the models prefer the longer text.",
            ),
        ]
    )  # fmt: skip


def _calibration(seen: Agreement) -> None:
    st.subheader("Is it as right as it is sure?", anchor=False)
    frame = pd.DataFrame(
        [
            {"how sure, %": 100 * one.said, "how often right, %": share, "line": line}
            for one in seen.calibration
            for line, share in (("these models", 100 * one.right), ("ideal", 100 * one.said))
        ]
    )
    table = pd.DataFrame(
        {
            "pairs": words.number(one.pairs),
            "how sure": words.share(one.said),
            "how often right": words.share(one.right),
        }
        for one in seen.calibration
    )
    charts.show(
        charts.lines(frame, "how sure, %", "how often right, %", "line", points=True),
        table,
        alt="How often the reward models are right beside how sure they are, in ten groups of "
        f"pairs; on average {words.share(seen.calibration_error)} apart",
    )
