"""`marketing/PersonalizationSession-v0`: spaces, observation, reward, ends; its documentation."""

from __future__ import annotations

from typing import Any

from envs.core.env import WorldEnv
from envs.core.vector import WorldVectorEnv
from envs.personalization.env import make_world


class PersonalizationSessionEnv(WorldEnv):
    """What to show a visitor next, so that the whole session brings the most responses.

    ## Description
    One episode is one visitor: pages of `slots` items until the visitor leaves, and further days if
    they return. What was just shown bores: a click has probability
    `sigmoid(logit q(x, a, position) - eta b)`, b the boredom with the item's category, which rises
    by one (at most K) when the category is shown and falls by one when it is not. With `one_choice`
    the items of a page compete for one click, w = exp of that logit, as in
    `marketing/Personalization-v0`. After a page the visitor leaves with `l_click` where something
    was clicked, else with `l_none + l_b b`, and returns the next day with `sigmoid(c_0 + c_1 SAT)`,
    SAT a sigmoid of discounted exposure.

    ## Action Space
    `Discrete(A)`: the item to show next; the space carries `item_features` [A, F] and
    `info["action_mask"]` the allowed items, as in `marketing/Personalization-v0`.

    ## Observation Space
    `Box(-10, 10, (D + C + 5,), float32)`

    | # | observation |
    |---|---|
    | 0 .. D - 1 | the encoded context |
    | D | share of the page's slots still to fill |
    | D + 1 .. D + C | boredom with each of the C categories / K |
    | D + C + 1 | whether the last item was clicked |
    | D + C + 2 | satisfaction, 0 to 1; 0 where nobody can return |
    | D + C + 3 | day / days |
    | D + C + 4 | 1 while the visitor is here |

    ## Rewards
    The *expected* click of the item shown, in units of the mean over visitors of the largest q;
    what happens next depends on the click that is drawn. Use gamma = 1: leaving is the discount.

    ## Starting State
    A visitor drawn from the world's contexts, not bored by anything.

    ## Episode End
    Leaving for good is a termination. `session_limit` items (200) are a truncation: the visitor
    would have stayed, so the value of the last state is bootstrapped.

    ## Calibrated from
    A log with sessions (`envs/personalization/session_fit.py`). Without sessions in the log the
    response is calibrated and eta, l and c are scenario parameters: fields of
    `PersonalizationSettings`, and the calibration's notes say so.

    ## Not modelled
    That boredom comes from what was clicked rather than shown; which item of a page was clicked
    (whether any was is what keeps visitors); boredom that outlasts a night; tastes that change
    within a session.

    ## Version History
    * v0: first version.
    """

    @staticmethod
    def world_of(**options: Any) -> Any:
        """As `make_world` says."""
        return make_world(sessions=True, **options)


class PersonalizationSessionVectorEnv(WorldVectorEnv):
    """`marketing/PersonalizationSession-v0` for many copies; see `PersonalizationSessionEnv`."""

    world_of = staticmethod(PersonalizationSessionEnv.world_of)
