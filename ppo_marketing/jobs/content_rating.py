"""Rating pairs at a desk: who may, and under whose name."""

from __future__ import annotations

from ppo_marketing.access import Permission
from ppo_marketing.content.places import PAIRS, RATINGS, Place, content_folder, found_in
from ppo_marketing.content.stages.files import read_pairs
from ppo_marketing.content.stages.rating import (
    Choice,
    Question,
    open_questions,
    rate_one,
    ratings_in,
)
from ppo_marketing.content.stages.sample import write_sample
from ppo_marketing.jobs.admission import admit
from ppo_marketing.jobs.releasable import LANGUAGE_MODEL
from ppo_marketing.jobs.release_book import Desk

SEED = 0
"""Of the order in which a pair is shown: the same for everybody, also after a reload."""


def start_sample(desk: Desk) -> Place:
    """Write the made-up brand to the project, and return its pairs to rate.

    Raises:
        Refused: whoever signed in may not, which is recorded.
        AlreadyRunning, UserError: the folder is being written, or cannot be.
    """
    admit(desk, Permission.START, decision=LANGUAGE_MODEL, asked="write the made-up brand")
    write_sample(content_folder(desk.project) / "demo", texts=3000, pairs=4000, seed=SEED)
    return found_in(desk.project).tasks[0]


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
