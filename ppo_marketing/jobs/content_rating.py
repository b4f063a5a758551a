"""Rating pairs at a desk: who may, and under whose name."""

from __future__ import annotations

from ppo_marketing.access import Permission
from ppo_marketing.content.places import PAIRS, RATINGS, Place
from ppo_marketing.content.stages.files import read_pairs
from ppo_marketing.content.stages.rating import (
    Choice,
    Question,
    open_questions,
    rate_one,
    ratings_in,
)
from ppo_marketing.jobs.admission import admit
from ppo_marketing.jobs.releasable import LANGUAGE_MODEL
from ppo_marketing.jobs.release_book import Desk

SEED = 0
"""Of the order in which a pair is shown: the same for everybody, also after a reload."""


def questions(task: Place) -> tuple[tuple[Question, ...], int]:
    """Return the pairs that are left to rate and how many there are in all.

    Raises UserError where the pairs or the ratings cannot be read.
    """
    pairs = read_pairs(task.folder / PAIRS)
    return open_questions(pairs, ratings_in(task.folder / RATINGS), SEED), len(pairs)


def rate_at(desk: Desk, task: Place, question: Question, choice: Choice) -> int:
    """Keep a choice under the name of whoever made it, and return how many pairs are rated.

    Raises:
        Refused: whoever signed in may not, which is recorded; or the pair was rated meanwhile.
        AlreadyRunning: somebody else writes at this moment.
        UserError: a file cannot be read or written.
    """
    admit(desk, Permission.START, decision=LANGUAGE_MODEL, asked=f"rate pairs of {task.name}")
    rater = desk.actor if desk.user is None else desk.user.email
    pairs = read_pairs(task.folder / PAIRS)
    return rate_one(pairs, task.folder / RATINGS, question, choice, rater)
