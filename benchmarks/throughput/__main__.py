"""How fast we train beside the peers, on our own bidding environment. Two cores are assumed.

Parts: `quality` (seconds of training to a given share of the ceiling: the headline), `layouts`
(steps a second at equal work), `stages` (CPU-seconds by stage, beside what matrix products alone
take), `memory` (peak of a training with 4,096 copies), `engines` (the same last return with either
engine). Writes results/throughput.json, the picture and the tables of docs/throughput.md; fails if
a bar is missed. About twenty minutes on a quiet machine.

Every measurement is kept as soon as it is made, so that the same command goes on where it was
stopped; `--again` measures anew. `--only` does some parts and leaves the others as they were.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchmarks.cells import Cells, cells_of
from benchmarks.report import RESULTS, write_result
from benchmarks.throughput.bars import at_most

NAME = "throughput"
SOURCES = (
    "ppo_marketing/ppo",
    "ppo_marketing/rivals",
    "envs/core",
    "envs/bidding",
    *(
        f"benchmarks/throughput/{module}.py"
        for module in ("jax_loop", "learners", "limits", "market", "memory", "stages")
    ),
)
"""What a kept measurement depends on, besides its own settings."""
REPEATS = 5
PARTS = ("quality", "layouts", "stages", "memory", "engines")


def quality(cells: Cells, options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.throughput.market import SHIPPED
    from benchmarks.throughput.quality import SEEDS, measure_quality

    return measure_quality(
        cells, SEEDS[: options.seeds], min(options.steps or 1 << 40, SHIPPED.total_steps)
    )


def layouts(cells: Cells, options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.throughput.layouts import LARGE, SMALL, measure_layouts

    return measure_layouts(cells, options.repeats, (SMALL, LARGE))


def stages(cells: Cells, options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.throughput.limits import flops_per_step, product_rate
    from benchmarks.throughput.market import shipped_config
    from benchmarks.throughput.stages import cpu_seconds
    from envs.bidding.kernel import OBSERVATIONS

    config = shipped_config()
    flops = flops_per_step(OBSERVATIONS, config.hidden, 1, config.epochs)

    def measure() -> dict[str, Any]:
        spent = cpu_seconds()
        rate = product_rate(OBSERVATIONS, config.hidden, 1, 1)
        return {"cpu_seconds": spent, "products": flops * 1e6 / rate, "flops_per_second": rate}

    found = cells.measured("stages", {"config": config.as_values()}, measure)
    total = sum(found["cpu_seconds"].values())
    print({stage: round(s, 3) for stage, s in found["cpu_seconds"].items()}, f"of {total:.2f} s")
    return {**found, "flops_per_step": flops, "total": total, "bars": []}


def memory(cells: Cells, options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.throughput.market import shipped_config
    from benchmarks.throughput.memory import COPIES, LIMIT_MB, measure

    found = {}
    for steps in (shipped_config().rollout_steps, 128):
        settings = {"copies": COPIES, "rollout_steps": steps}
        name = f"{COPIES:,} copies x {steps} steps"
        found[name] = cells.measured(f"memory {steps}", settings, partial(measure, COPIES, steps))
        print(name, found[name], flush=True)
    bars = [
        at_most(f"peak memory, MB, {name}", row["peak"], LIMIT_MB) for name, row in found.items()
    ]
    return {"rows": found, "bars": bars}


def engines(cells: Cells, options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.throughput.market import SHIPPED
    from benchmarks.throughput.quality import SEEDS, measure_engines

    return measure_engines(cells, SEEDS[: options.seeds], options.steps or SHIPPED.total_steps)


MEASURES: Mapping[str, Callable[[Cells, argparse.Namespace], dict[str, Any]]] = {
    "quality": quality,
    "layouts": layouts,
    "stages": stages,
    "memory": memory,
    "engines": engines,
}


def earlier(name: str) -> dict[str, Any]:
    """The parts that the results file has."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return {}
    parts: dict[str, Any] = json.loads(path.read_text())["result"]
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to measure")
    parser.add_argument("--again", action="store_true", help="measure anew what is kept")
    parser.add_argument("--draw", action="store_true", help="only the page, from the results file")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--steps", type=int, help="cap of every training; default: the shipped one")
    parser.add_argument(
        "--name", default=NAME, help="of the results file; other than the default: no page"
    )
    options = parser.parse_args()
    from benchmarks.throughput.page import write_page

    if options.draw:
        write_page(earlier(NAME))
        return
    cells = cells_of(options.name, SOURCES, again=options.again)
    parts = earlier(options.name) if options.only else {}
    config = {"seeds": options.seeds, "repeats": options.repeats, "steps": options.steps}
    for part in options.only or PARTS:
        parts[part] = {"code": cells.code, **MEASURES[part](cells, options)}
        write_result(options.name, config, parts)
    if options.name == NAME:
        write_page(parts)
    missed = [bar for part in parts.values() for bar in part["bars"] if not bar["met"]]
    if missed:
        sys.exit("; ".join(f"{b['what']}: {b['value']:.4g}, asked {b['bar']:g}" for b in missed))


if __name__ == "__main__":
    main()
