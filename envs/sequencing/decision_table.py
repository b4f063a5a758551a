"""Sequencing as a table: a customer's state -> the contact to make, or none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from envs.core.decision_table import LARGEST_TABLE, DecisionGrid
from envs.core.world import Array
from envs.sequencing.world import SequencingWorld, blank


def decision_table(world: SequencingWorld) -> DecisionGrid:
    """Every recency x frequency x fatigue and consent of each channel, at the programme's start.

    Raises ValueError where that is more than `LARGEST_TABLE` rows: a list of many channels.
    """
    recencies, frequencies = world.tables.shape[:2]
    channels = world.menu.channels
    bins = [int(b) for b in world.terms.bins]
    shape = (recencies, frequencies, *bins, *[2] * len(channels))
    rows = int(np.prod(shape))
    if rows > LARGEST_TABLE:
        raise ValueError(
            f"a table of {len(channels)} channels has {rows:,} rows and {LARGEST_TABLE:,} are the "
            "most: use the ONNX policy"
        )
    axes = [axis.ravel().astype(np.int64) for axis in np.indices(shape)]
    recency, frequency = axes[:2]
    fatigue = np.stack(axes[2 : 2 + len(bins)], axis=1)
    consent = np.stack(axes[2 + len(bins) :], axis=1).astype(np.bool_)
    state = blank(rows, world.tables)._replace(
        recency=recency, frequency=frequency, fatigue=fatigue, consent=consent
    )
    each = {
        f"{kind}_{channel}": column[:, c]
        for kind, column in (("fatigue", fatigue), ("consent", consent))
        for c, channel in enumerate(channels)
    }

    def decided(action: Array) -> Mapping[str, NDArray[np.generic]]:
        contact = np.array([("", ""), *world.menu.contacts])[action]
        labels = np.array(world.menu.labels)[action]
        return {"decision": labels, "channel": contact[:, 0], "offer": contact[:, 1]}

    last = recencies - 1
    return DecisionGrid(
        columns={"weeks_since_purchase": recency, "frequency_bin": frequency, **each},
        observation=world.observe(state),
        mask=world.action_mask(state),
        decided=decided,
        amounts=(),
        meaning={
            "weeks_since_purchase": f"whole weeks since the last purchase; {last}: that or more",
            "frequency_bin": "how often the customer buys, from 0 (seldom)",
            **{f"fatigue_{c}": f"contact pressure by {c}, from 0 (rested)" for c in channels},
            **{f"consent_{c}": f"whether {c} may be used at all" for c in channels},
            "decision": "the contact to make this week, or none",
            "channel": "empty: no contact",
            "offer": "empty: none",
        },
        notes=(
            "No contact was made in the weeks that frequency caps look back on: whoever sends "
            "applies the caps, and the table never stands in for consent as it is today.",
        ),
    )
