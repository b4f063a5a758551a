"""Files of an experiment: read literally, refused whole, written whole."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from ppo_marketing.errors import UserError
from ppo_marketing.experiment.assignment import assigned
from ppo_marketing.experiment.files import (
    ArmNames,
    ResultColumns,
    read_results,
    read_units,
    write_assignment,
)


def csv(folder: Path, text: str) -> Path:
    path = folder / "results.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_results_are_read_with_names_of_ones_own(tmp_path: Path) -> None:
    path = csv(tmp_path, "who;group;spent;earlier\n007;B;1.5;2\n7;A;0;0\n007;B;2;1\n")
    found = read_results(
        path, ResultColumns("who", "group", "spent", "earlier"), ArmNames("A", "B")
    )
    assert found.unit.tolist() == [0, 1, 0]  # 007 is not 7
    assert found.challenger.tolist() == [True, False, True]
    assert found.outcome.tolist() == [1.5, 0.0, 2.0]
    assert found.before is not None
    assert found.before.tolist() == [2.0, 0.0, 1.0]


def test_parquet_with_numbered_units_is_read_the_same(tmp_path: Path) -> None:
    path = tmp_path / "results.parquet"
    arms = pa.array(["champion", "challenger"]).dictionary_encode()
    pq.write_table(pa.table({"unit_id": [7, 8], "arm": arms, "outcome": [0, 1]}), path)
    found = read_results(path)
    assert found.unit.tolist() == [0, 1]
    assert found.outcome.tolist() == [0.0, 1.0]
    assert found.before is None


def test_a_bad_file_is_refused_with_every_problem(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        "unit_id,arm,outcome\n1,champion,0\n1,challenger,1\n,champion,1\n4,control,2\n"
        "5,champion,\n6,champion,much\n7,,1\n8,champion,inf\n",
    )
    with pytest.raises(UserError) as refused:
        read_results(path)
    message = str(refused.value)
    for part in (
        "1 units in two arms, such as 1",
        "unit_id: no value in 1 row (3)",
        "arms named control in 1 row",
        "write 0 where nothing happened",
        "text that is not a number, such as 'much',",
        "arm: no value in 1 row (7)",
        "a number that is not finite",
    ):
        assert part in message
    assert "7 problems" in message


def test_columns_and_arms_that_are_missing_are_named(tmp_path: Path) -> None:
    path = csv(tmp_path, "unit,arm,outcome\n1,champion,0\n2,champion,1\n")
    with pytest.raises(UserError, match="the file has unit, arm, outcome"):
        read_results(path)
    with pytest.raises(UserError, match="no row of challenger"):
        read_results(path, ResultColumns(unit="unit"))
    with pytest.raises(UserError, match="one column named twice"):
        read_results(path, ResultColumns(unit="unit", before="outcome"))
    with pytest.raises(UserError, match="no rows"):
        read_results(csv(tmp_path, "unit_id,arm,outcome\n"))
    with pytest.raises(UserError, match="no such file"):
        read_results(tmp_path / "absent.csv")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_units_are_dealt_once_and_read_back_as_written(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "units.csv"
    source.write_text("unit_id\n001\n1\n001\nMüller, Zoë\n".replace("Müller, Zoë", '"Müller, Zoë"'))
    units = read_units(source)
    assert units == ("001", "1", "Müller, Zoë")
    output = tmp_path / "new" / f"dealt.{suffix}"
    arms = assigned("spring", units, {"a": 0.5, "b": 0.5})
    write_assignment(output, units, arms)
    convert = pa_csv.ConvertOptions(column_types={"unit_id": pa.string()})
    table = (
        pq.read_table(output)
        if suffix == "parquet"
        else pa_csv.read_csv(output, convert_options=convert)
    )
    assert table.column("unit_id").to_pylist() == list(units)
    assert table.column("arm").to_pylist() == arms.tolist()
    with pytest.raises(UserError, match="exists already"):
        write_assignment(output, units, arms)
    with pytest.raises(UserError, match="CSV or Parquet"):
        write_assignment(tmp_path / "dealt.xlsx", units, arms)


def test_units_without_an_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unit_id: no value in 1 row"):
        read_units(csv(tmp_path, "unit_id,x\n1,2\n,3\n"))
