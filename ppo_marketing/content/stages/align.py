"""`content ppo`: align a model, keep the update that held-out scores like best, say what it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ppo_marketing.content.alignment import Alignment, AlignmentRow, start_alignment, step
from ppo_marketing.content.alignment_config import AlignmentConfig
from ppo_marketing.content.hacking import signs, text_statistics
from ppo_marketing.content.language import measured
from ppo_marketing.content.models import load_language_model
from ppo_marketing.content.overoptimisation import gao_fit, held_out_peak
from ppo_marketing.content.rules.brand import Brand, read_brand
from ppo_marketing.content.rules.terms import Preference
from ppo_marketing.content.scoring import BrandReward, brand_reward
from ppo_marketing.content.stages.files import file_sha256, folder_sha256, read_prompts
from ppo_marketing.content.stages.folder import Stage, stage_folder, write_json
from ppo_marketing.content.stages.looks import (
    LOOK_EVERY,
    Judges,
    Look,
    distance,
    drawn,
    in_deviations,
    judge_of,
    truth_of,
)
from ppo_marketing.content.tokens import Sequences
from ppo_marketing.ppo.signals import stop_on_signals
from ppo_marketing.ppo.threads import single_threaded
from ppo_marketing.progress import Reporter

OnUpdate = Callable[[Sequence[AlignmentRow], Mapping[int, float]], None]


def ppo(
    model: Path,
    prompts: Path,
    output: Path,
    config: AlignmentConfig,
    *,
    rules: Path | None,
    models: Path | None,
    how: Preference | None,
    held_out: Path | None,
    gold: str | None,
    patience: int | None,
    seed: int,
    reporter: Reporter,
    on_update: OnUpdate,
) -> dict[str, Any]:
    """Align a model to a brand; the result lies in `output/model`.

    With `held_out`, reward models fitted to other pairs judge fresh texts every few updates; the
    best update by them is kept, and training ends `patience` judgements after it. `gold`, a
    function FILE.py:NAME of text and prompt, looks on at the same texts and chooses nothing. After
    every update `on_update` is told all updates so far and the held-out scores by update.

    Raises:
        UserError: an input cannot be used.
        Interrupted: a stop was asked for; the same command goes on.
    """
    language = load_language_model(model)
    asked = read_prompts(prompts)
    brand = None if rules is None else read_brand(rules)
    reward = brand_reward(brand, Path() if rules is None else rules.parent, models, how)
    judge = None if held_out is None else judge_of(held_out)
    truth = None if gold is None else truth_of(gold)
    inputs = {
        "model": folder_sha256(model),
        "prompts": file_sha256(prompts),
        "rules": None if rules is None else file_sha256(rules),
        "own": _own_code(brand, rules),
        "reward": None if reward.models is None else folder_sha256(reward.models),
        "how": None if how is None else how.model_dump(),
        "held_out": None if held_out is None else folder_sha256(held_out),
        "gold": None if gold is None else [gold, file_sha256(Path(gold.rsplit(":", 1)[0]))],
        "config": asdict(config),
        "patience": patience,
        "seed": seed,
    }
    with stage_folder(output, "ppo", inputs) as stage, single_threaded():
        if stage.result is not None:
            return stage.result
        first = reward.members[0] if reward.members else None
        run = start_alignment(language, first, asked, config, np.random.default_rng(seed))
        judges = Judges(judge, None if truth is None else in_deviations(truth, run, asked))
        best = _align(stage, run, asked, reward, judges, patience, reporter, on_update)
        run.values.copy_(best["values"])
        language.save(output / "model")
        result = _result(run, asked, reward, best, seed)
        write_json(output / "history.json", {"updates": [asdict(row) for row in run.history]})
        return stage.finish(result)


def _own_code(brand: Brand | None, rules: Path | None) -> dict[str, str]:
    """The hashes of the files that a team's own terms are in."""
    if brand is None or rules is None:
        return {}
    return {name: file_sha256(rules.parent / name.rsplit(":", 1)[0]) for name in brand.own}


def _align(
    stage: Stage,
    run: Alignment,
    prompts: Sequence[str],
    reward: BrandReward,
    judges: Judges,
    patience: int | None,
    reporter: Reporter,
    on_update: OnUpdate,
) -> dict[str, Any]:
    """Take the updates that are left; return the update to keep and what was judged."""
    looks: list[Look] = []
    kept: dict[str, Any] = {"update": 0, "values": run.values.clone()}
    saved = stage.resume()
    if saved is not None:
        run.load(saved["run"])
        looks = list(saved["judged"])
        kept = {"update": saved["kept"], "values": torch.from_numpy(saved["values"])}
    total = run.config.updates
    with reporter.stage("aligning with PPO", total) as shown, stop_on_signals() as stop:
        while len(run.history) < total and not _enough(looks, patience):
            row = step(run, prompts, reward)
            last = row.update == total
            looked = last or row.update % LOOK_EVERY == 0
            if looked and judges:
                looks.append(judges.look(run, prompts))
            if judges.held_out is None:
                kept = {"update": row.update, "values": run.values}
            elif looked and held_out_peak([one["score"] for one in looks])[0] == len(looks) - 1:
                kept = {"update": row.update, "values": run.values.clone()}
            shown.reach(row.update, f"score {row.score:.2f}, {row.kl:.1f} nats")
            if looked or stop.number is not None:
                stage.save(
                    {
                        "run": run.state(),
                        "judged": looks,
                        "kept": kept["update"],
                        "values": kept["values"].numpy(),
                    }
                )
            on_update(run.history, _held_out(looks))
            stage.heed(stop)
    return {**kept, "values": kept["values"].clone(), "judged": looks}


def _enough(looks: Sequence[Look], patience: int | None) -> bool:
    scores = [look["score"] for look in looks if "score" in look]
    return bool(scores) and held_out_peak(scores, patience)[1]


def _held_out(looks: Sequence[Look]) -> dict[int, float]:
    return {int(look["update"]): look["score"] for look in looks if "score" in look}


def _result(
    run: Alignment,
    prompts: Sequence[str],
    reward: BrandReward,
    best: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    """What the kept model does beside its reference, on fresh texts."""
    ends = {}
    for name, model in (("reference", run.reference), ("aligned", run.agent.policy)):
        rng = np.random.default_rng([seed, 8])
        ends[name] = (*drawn(run.language, model, prompts, run.config, rng), model)
    statistics = {name: _statistics(run, reward, rows, texts, model) for
                  name, (rows, texts, _, model) in ends.items()}  # fmt: skip
    audit = signs(statistics["reference"], statistics["aligned"])
    scores = {name: float(reward(*one[:3]).mean()) for name, one in ends.items()}
    last = run.history[-8:]
    by_k1, by_k3 = distance(run, ends["aligned"][0])
    return {
        "kept_update": best["update"],
        "updates": len(run.history),
        "kl_nats": by_k1,
        "kl_k3_nats": by_k3,
        "kl_of_the_last_updates": float(np.mean([row.kl for row in last])),
        "coefficient": run.kl.coefficient,
        "score": scores,
        "held_out": [look for look in best["judged"] if "score" in look],
        "gold": [{**look, "score": look["gold"]} for look in best["judged"] if "gold" in look],
        "gao_form": gao_of([(x["kl"], x["score"]) for x in best["judged"] if "score" in x]),
        "audit": [asdict(sign) for sign in audit],
    }


def gao_of(points: Sequence[tuple[float, float]]) -> dict[str, Any] | None:
    """Return the fitted form of (KL, score over the reference) points; None of fewer than four."""
    if len({kl for kl, _ in points}) < 4:
        return None
    kl, score = np.array(points).T
    fit = gao_fit(kl, score)
    return {**asdict(fit), "peak_nats": None if fit.peak is None else fit.peak**2}


def _statistics(
    run: Alignment, reward: BrandReward, rows: Sequences, texts: Sequence[str], model: Any
) -> dict[str, Any]:
    _, entropy = measured(model, rows, run.config.temperature)
    ended = (rows.response == run.language.end_token).any(dim=1).numpy()
    by_text = (entropy.sum(dim=1) / rows.lengths).double().numpy()
    return text_statistics(texts, ended, by_text, reward.disagreement(rows))
