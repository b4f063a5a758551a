"""A calibration on disk: arrays without pickles, a record with their hashes, all or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.bidding.auctions import Auctions, CalibrationError
from envs.bidding.landscape import PriceLaw
from envs.bidding.level import LevelModel
from envs.bidding.market import FittedMarket, Member
from envs.bidding.prices import PriceScale
from envs.bidding.response import Recalibration

RECORD = "calibration.json"
FORM = 1  # raise it when older files can no longer be read as they are


def save_parts(folder: Path, parts: Mapping[str, FittedMarket], record: Mapping[str, Any]) -> None:
    """Write one .npz per part and the record with their hashes; `folder` is replaced as a whole.

    Raises:
        CalibrationError: `folder` exists and holds something else.
    """
    if folder.exists() and not (folder / RECORD).is_file() and any(folder.iterdir()):
        raise CalibrationError(
            f"{folder} holds files that are not a calibration: choose an empty or a new folder"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    workspace = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fresh = workspace / "new"
        fresh.mkdir()
        hashes = {}
        for name, market in parts.items():
            file = fresh / f"{name}.npz"
            np.savez(file, allow_pickle=False, **_arrays(market))
            hashes[file.name] = _sha256(file)
        text = json.dumps({"form": FORM, "files": hashes, **record}, indent=1, allow_nan=False)
        (fresh / RECORD).write_text(text, encoding="utf-8")
        if folder.exists():
            os.replace(folder, workspace / "old")
        os.replace(fresh, folder)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def load_parts(folder: Path) -> tuple[dict[str, FittedMarket], dict[str, Any]]:
    """The parts and the record that `save_parts` wrote.

    Raises:
        CalibrationError: a file is missing, of another form, or not what was written.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CalibrationError(
            f"{folder} has no {RECORD}: name a folder that calibrating wrote"
        ) from error
    except ValueError as error:
        raise CalibrationError(
            f"{folder / RECORD} is damaged ({error}): calibrate again"
        ) from error
    if record.get("form") != FORM:
        raise CalibrationError(
            f"{folder} has form {record.get('form')}, this program reads form {FORM}: "
            "calibrate again"
        )
    problems = []
    for name, expected in record["files"].items():
        if not (folder / name).is_file():
            problems.append(f"{name} is missing")
        elif _sha256(folder / name) != expected:
            problems.append(f"{name} is not what was written (its SHA-256 differs)")
    if problems:
        raise CalibrationError(f"{folder}: {'; '.join(problems)}. Calibrate again")
    try:
        parts = {Path(name).stem: _market(folder / name) for name in record["files"]}
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CalibrationError(f"{folder} cannot be read ({error}): calibrate again") from error
    return parts, record


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _arrays(market: FittedMarket) -> dict[str, NDArray[Any]]:
    auctions, members = market.auctions, market.members
    law = members[0].law
    return {
        **{f"auctions_{name}": np.asarray(value) for name, value in auctions._asdict().items()},
        **{f"scale_{name}": np.asarray(value) for name, value in market.scale._asdict().items()},
        "recalibration": np.stack(market.recalibration),
        "valuation": np.stack(market.valuation),
        "level": market.level,
        "bands": law.bands,
        "contexts": np.asarray(law.contexts),
        "day_share": np.stack([member.day_share for member in members]),
        "moving": np.stack([member.law.moving for member in members]),
        "sticky": np.stack([member.law.sticky for member in members]),
        "season": np.stack([member.level_model.season for member in members]),
        "level_parameters": np.array([member.level_model[1:] for member in members]),
        "centred": np.stack([member.centred for member in members]),
        "imputed_sticky": np.stack([member.sticky for member in members]),
    }


def _market(path: Path) -> FittedMarket:
    with np.load(path, allow_pickle=False) as saved:
        arrays = {name: saved[name] for name in saved.files}
    dates = arrays.pop("auctions_dates")
    weight = float(arrays.pop("auctions_weight"))
    columns = {name: arrays[f"auctions_{name}"] for name in Auctions._fields[:-2]}
    scale = PriceScale(
        tick=float(arrays["scale_tick"]),
        least=float(arrays["scale_least"]),
        ceiling=float(arrays["scale_ceiling"]),
        low=float(arrays["scale_low"]),
        bins=int(arrays["scale_bins"]),
        sticky=arrays["scale_sticky"],
        sticky_share=arrays["scale_sticky_share"],
    )
    members = tuple(
        Member(
            day_share=arrays["day_share"][k],
            law=PriceLaw(
                scale=scale,
                bands=arrays["bands"],
                contexts=int(arrays["contexts"]),
                moving=arrays["moving"][k],
                sticky=arrays["sticky"][k],
            ),
            level_model=LevelModel(
                arrays["season"][k], *(float(value) for value in arrays["level_parameters"][k])
            ),
            centred=arrays["centred"][k],
            sticky=arrays["imputed_sticky"][k],
        )
        for k in range(len(arrays["day_share"]))
    )
    return FittedMarket(
        auctions=Auctions(**columns, dates=dates, weight=weight),
        scale=scale,
        recalibration=Recalibration(*arrays["recalibration"]),
        valuation=Recalibration(*arrays["valuation"]),
        level=arrays["level"],
        members=members,
    )
