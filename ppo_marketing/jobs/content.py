"""What leaves content for other systems: runs for MLflow, and a catalog for Braze."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppo_marketing.content.stages.folder import RECORD, RESULT, write_json
from ppo_marketing.errors import Refused
from ppo_marketing.export.targets.braze import BrazeCatalog
from ppo_marketing.files import made, read_json, write_atomically
from ppo_marketing.jobs.releasable import LANGUAGE_MODEL
from ppo_marketing.progress import Reporter
from ppo_marketing.tracking import Run, open_tracker

if TYPE_CHECKING:
    from ppo_marketing.content.alignment import AlignmentRow

RUN = "run.json"
"""Where a stage's folder says which run recorded it."""
CURVES = ("score", "kl", "kl_k3", "coefficient", "length", "ended", "entropy")
HELD_OUT = "held_out_score"


def record_stage(output: Path, project: Path, reporter: Reporter) -> str:
    """Record the finished stage in `output` once, and return the id of its run.

    After the work, not around it: what is refused leaves no run, and a stage that is resumed on
    another day is one run.

    Raises:
        UserError: the folder holds no finished stage.
        PpoMarketingError: the store failed.
    """
    if (output / RUN).exists():
        return str(read_json(output / RUN)["run"])
    inputs, result = read_json(output / RECORD), read_json(output / RESULT)
    with reporter.stage("recording the run"):
        tracker = open_tracker(project)
        name = f"{inputs['stage']} {output.name}"
        with tracker.start(LANGUAGE_MODEL, name, params=inputs) as run:
            _result(run, result)
            history = output / "history.json"
            rows = read_json(history)["updates"] if history.exists() else []
            for curve in CURVES if rows else ():
                run.curve(curve, {row["update"]: row[curve] for row in rows})
        write_json(output / RUN, {"run": run.id})
    return run.id


class LiveCurves:
    """The run of an alignment under way: its curves are in the store update by update.

    The run starts with the first update, so that what is refused leaves none. A resumed alignment
    is a run of its own, with the curves from the first update on; the one before is KILLED.
    """

    def __init__(self, output: Path, project: Path, stack: ExitStack) -> None:
        self._output, self._project, self._stack = output, project, stack
        self._run: Run | None = None

    def __call__(self, rows: Sequence[AlignmentRow], held_out: Mapping[int, float]) -> None:
        """Record the last of the updates so far, or all of them where none was yet."""
        if self._run is None:
            inputs = read_json(self._output / RECORD)
            name = f"{inputs['stage']} {self._output.name}"
            started = open_tracker(self._project).start(LANGUAGE_MODEL, name, params=inputs)
            self._run = self._stack.enter_context(started)
            for curve in CURVES:
                self._run.curve(curve, {row.update: getattr(row, curve) for row in rows})
            if held_out:
                self._run.curve(HELD_OUT, held_out)
            return
        last = rows[-1]
        values = {curve: getattr(last, curve) for curve in CURVES}
        if last.update in held_out:
            values[HELD_OUT] = held_out[last.update]
        self._run.metrics(values, step=last.update)

    def finish(self, reporter: Reporter) -> None:
        """Record the result of the finished stage, once."""
        if self._run is None:
            record_stage(self._output, self._project, reporter)
            return
        _result(self._run, read_json(self._output / RESULT))
        write_json(self._output / RUN, {"run": self._run.id})


@contextmanager
def live_curves(output: Path, project: Path, reporter: Reporter) -> Iterator[LiveCurves]:
    """Record an alignment into `output` while it runs, and its result when the block ends.

    Raises:
        PpoMarketingError: the store failed.
    """
    with ExitStack() as stack:
        curves = LiveCurves(output, project, stack)
        yield curves
        curves.finish(reporter)


def _result(run: Run, result: Mapping[str, Any]) -> None:
    run.json("result", result)
    run.metrics(numbers(result), step=0)


def numbers(result: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the numbers of nested mappings by their path, a list's last number for the list."""
    found: dict[str, float] = {}
    for key, value in result.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= numbers(value, f"{name}.")
        elif isinstance(value, list) and value and _is_number(value[-1]):
            found[name] = float(value[-1])
        elif _is_number(value):
            found[name] = float(value)
    return found


def write_braze_catalog(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Write `braze_catalog` of these rows to a file, and raise as it does."""
    content = braze_catalog(rows)
    made(path.parent)
    write_atomically(path, content)


def braze_catalog(rows: Sequence[Mapping[str, str]]) -> bytes:
    """Return texts `{"prompt", "text"}` as a Braze catalog: id, prompt, text.

    The id is the prompt's words and the text's number among its prompt's: shoes-runners-1.

    Raises:
        Refused: a text does not fit a catalog; all are listed.
    """
    count: dict[str, int] = {}
    items = []
    for row in rows:
        slug = re.sub("[^A-Za-z0-9]+", "-", row["prompt"]).strip("-")[:200] or "text"
        count[slug] = count.get(slug, 0) + 1
        items.append({"id": f"{slug}-{count[slug]}", **row})
    target = BrazeCatalog(columns={name: name for name in ("id", "prompt", "text")})
    draft = target.draft(items)
    if draft.refused:
        listed = "\n  ".join(
            f"{items[one.source - 1]['text']!r}: {one.reason}" for one in draft.refused
        )
        raise Refused(f"the texts do not fit a Braze catalog:\n  {listed}")
    (content,) = target.files([ready.row for _, ready in draft.ready]).values()
    return content


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
