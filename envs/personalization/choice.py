"""What is rewarded of a page: each item on its own, or at most one by a conditional logit.

Independent:       P(i | A) = w_i / (1 + w_i),                w_i = exp(logit q_i)
Conditional logit: P(i | A) = w_i / (1 + sum_{j in A} w_j),   and none with 1 / (1 + sum_j w_j)

The items of a page compete with each other and with leaving it alone; a page of one item is the
same under both. A row's `page` [M] numbers the page it was shown on.

Sources: McFadden 1974; Ie et al., SlateQ, IJCAI 2019, section 4.2 (with an outside option of
weight 1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.personalization.model import Floats, sigmoid


def log_weight_of_page(logit: Floats, page: NDArray[np.integer]) -> Floats:
    """log(1 + sum_{j on the page} w_j) of every row's page, `[M]`; without overflow."""
    most = np.zeros(int(page.max(initial=-1)) + 1)
    np.maximum.at(most, page, logit)
    total = np.exp(-most) + np.bincount(
        page, weights=np.exp(logit - most[page]), minlength=len(most)
    )
    return np.asarray((most + np.log(total))[page])


def chances(logit: Floats, page: NDArray[np.integer] | None) -> Floats:
    """P(rewarded) of every row, `[M]`; independent where `page` is None."""
    if page is None:
        return sigmoid(logit)
    return np.asarray(np.exp(logit - log_weight_of_page(logit, page)))


def deviances(logit: Floats, reward: Floats, page: NDArray[np.integer] | None) -> Floats:
    """What every row takes off the log likelihood, `[M]`; a page's share is even over its rows."""
    if page is None:
        return np.asarray(np.logaddexp(0, logit) - reward * logit)
    of_page = log_weight_of_page(logit, page) / np.bincount(page)[page]
    return np.asarray(of_page - reward * logit)


def competition(logit: Floats, page: NDArray[np.integer]) -> Floats:
    """What the rest of its page takes off each row's logit, `[M]`: -log(1 + sum_{j != i} w_j).

    With it a row is a decision of its own: P(i | A) = sigmoid(logit_i + competition_i).
    """
    whole = log_weight_of_page(logit, page)
    # log(e^whole - e^logit): what is left of the page without the row.
    return np.asarray(-(whole + np.log1p(-np.exp(np.minimum(logit - whole, -1e-12)))))
