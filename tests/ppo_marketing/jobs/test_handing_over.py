"""From a judged run to a target's files: compared, held, whole or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from ppo_marketing.errors import AlreadyRunning, IntegrityError, Refused, UserError
from ppo_marketing.files import held_alone
from ppo_marketing.jobs.exporting import export_bundle
from ppo_marketing.jobs.handing_over import Order, hand_over, read_rows, require_written
from tests.support.command import run_command

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def run(judged_customers: Path) -> Path:
    return judged_customers


def order(output: Path, target: str = "table", **more: Any) -> Order:
    return Order(target=target, output=output, now=NOW, **more)


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_the_table_is_written_and_the_next_time_nothing_changed(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "table"
    first = hand_over(run, order(out))
    assert first["added"] == first["rows"] == first["given"] > 0
    assert set(held(out)) == {*first["files"], "report.json", "rows.json", "manifest.json"}
    later = replace(order(out), now=datetime(2026, 11, 22, tzinfo=UTC))
    second = hand_over(run, later)
    assert (second["unchanged"], second["added"], second["changed"]) == (first["rows"], 0, 0)


def test_a_dry_run_previews_against_what_is_there_and_leaves_it(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "table"
    assert hand_over(run, order(out, dry_run=True))["added"] > 0
    assert not out.exists()
    hand_over(run, order(out))
    before = held(out)
    assert hand_over(run, order(out, dry_run=True))["added"] == 0
    assert held(out) == before


def test_a_last_export_that_was_touched_is_refused_and_left(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "table"
    hand_over(run, order(out))
    rows = out / "rows.json"
    rows.write_bytes(rows.read_bytes().replace(b"none", b"nona", 1))
    before = held(out)
    with pytest.raises(IntegrityError, match=r"rows\.json.*move it away"):
        hand_over(run, order(out))
    assert held(out) == before


def test_what_is_no_export_is_never_replaced(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="not an export"):
        hand_over(run, order(tmp_path / "mine"))
    with pytest.raises(UserError, match="not a policy bundle"):
        export_bundle(run, tmp_path / "mine", made_at="2026-11-21", dry_run=False)
    hand_over(run, order(tmp_path / "table"))
    with pytest.raises(UserError, match="not a policy bundle"):
        export_bundle(run, tmp_path / "table", made_at="2026-11-21", dry_run=False)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_one_export_at_a_time_writes_to_a_place(run: Path, tmp_path: Path) -> None:
    with held_alone(tmp_path), pytest.raises(AlreadyRunning) as busy:
        hand_over(run, order(tmp_path / "table"))
    assert busy.value.exit_code == 75
    assert not (tmp_path / "table").exists()


def people(folder: Path) -> dict[str, Path]:
    """A hundred customers in two states, the profile, and lists of today."""
    lines = ["id,weeks,bin,f1,f2,c1,c2"]
    lines += [f"c-{n},{n % 5},1,0,0,true,{'true' if n % 2 else 'false'}" for n in range(100)]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    join = {
        "weeks_since_purchase": "weeks", "frequency_bin": "bin", "fatigue_email": "f1",
        "fatigue_letter": "f2", "consent_email": "c1", "consent_letter": "c2",
    }  # fmt: skip
    profile = {
        "identifier": "external_id",
        "columns": {"external_id": "id", "next_contact": "decision"},
        "join": join,
    }
    (folder / "profile.yaml").write_text(yaml.safe_dump(profile))
    as_of = "# as of 2026-11-21T06:00:00Z\n"
    (folder / "suppression.txt").write_text(as_of + "c-3\nc-4\n")
    (folder / "consent.txt").write_text(as_of + "".join(f"c-{n}\n" for n in range(90)))
    return {
        "rows": folder / "rows.csv",
        "profile": folder / "profile.yaml",
        "suppression": folder / "suppression.txt",
        "consent": folder / "consent.txt",
    }


def test_customers_get_their_decision_unless_the_lists_forbid_it(run: Path, tmp_path: Path) -> None:
    files = people(tmp_path)
    report = hand_over(run, order(tmp_path / "out", "braze_users", **files))
    assert report["rows"] == 88
    assert report["left_out"] == {"is on the suppression list": 2, "has not consented": 10}
    written = (tmp_path / "out" / "braze-user-attributes.csv").read_text()
    assert '"c-5"' in written
    assert '"c-3"' not in written
    assert '"c-95"' not in written
    # Beside the file itself, nothing of the export names a customer.
    rest = {n: c for n, c in held(tmp_path / "out").items() if not n.endswith(".csv")}
    assert not any(b"c-5" in content for content in rest.values())


@pytest.mark.parametrize("missing", ["suppression", "consent"])
def test_without_a_list_or_with_an_old_one_nothing_is_exported(
    run: Path, tmp_path: Path, missing: str
) -> None:
    files = people(tmp_path)
    without = {name: path for name, path in files.items() if name != missing}
    with pytest.raises(Refused, match=f"no {missing} list"):
        hand_over(run, order(tmp_path / "out", "braze_users", **without))
    with pytest.raises(Refused, match="older than 5 hours"):
        hand_over(run, order(tmp_path / "out", "braze_users", **files, list_hours=5))
    assert not (tmp_path / "out").exists()


def test_an_export_that_changes_too_much_is_stopped_and_the_last_one_stays(
    run: Path, tmp_path: Path
) -> None:
    files = people(tmp_path)
    hand_over(run, order(tmp_path / "out", "braze_users", **files))
    before = held(tmp_path / "out")
    (tmp_path / "consent.txt").write_text("# as of 2026-11-21T07:00:00Z\nc-1\nc-2\n")
    report = hand_over(run, order(tmp_path / "out", "braze_users", **files))
    with pytest.raises(Refused, match="nothing is exported: 86 of the last export's 88 rows"):
        require_written(report)
    assert held(tmp_path / "out") == before
    hand_over(run, order(tmp_path / "out", "braze_users", **files, max_change=1.0))
    assert held(tmp_path / "out") != before


def test_unknown_targets_profiles_and_settings_are_said(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean google_ads"):
        hand_over(run, order(tmp_path / "out", "google_adds"))
    with pytest.raises(UserError, match="max-change"):
        hand_over(run, order(tmp_path / "out", max_change=float("nan")))
    (tmp_path / "p.yaml").write_text("identifier: emial\ncolums: {}\n")
    with pytest.raises(UserError) as error:
        hand_over(run, order(tmp_path / "out", "braze_users", profile=tmp_path / "p.yaml"))
    assert "colums: unknown; did you mean columns" in str(error.value)
    assert "identifier" in str(error.value)


def test_rows_are_read_from_what_platforms_export(tmp_path: Path) -> None:
    wanted = [{"Campaign": "Schuhe, grün", "Max CPC": "007.10"}]
    text = 'Campaign\tMax CPC\r\n"Schuhe, grün"\t007.10\r\n'
    (tmp_path / "editor.csv").write_bytes(text.encode("utf-16"))
    (tmp_path / "semicolon.csv").write_bytes(
        text.replace("\t", ";").encode("utf-8-sig").replace(b"\r", b"")
    )
    pq.write_table(pa.Table.from_pylist(wanted), tmp_path / "rows.parquet")
    for name in ("editor.csv", "semicolon.csv", "rows.parquet"):
        assert read_rows(tmp_path / name) == wanted


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n", b"a,b\n1\n", b"a,a\n1,2\n", b'a,b\n"1,2\n', b"\xff\x00\n"]
)
def test_rows_that_cannot_be_read_whole_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(UserError):
        read_rows(tmp_path / "rows.csv")


def test_the_command_shows_the_report_and_exits_5_when_it_is_stopped(
    run: Path, tmp_path: Path
) -> None:
    files = people(tmp_path)
    for name in ("suppression", "consent"):  # the command's clock is today's
        content = files[name].read_text().partition("\n")[2]
        stamp = datetime.now(UTC).isoformat(timespec="seconds")
        files[name].write_text(f"# as of {stamp}\n" + ("" if name == "consent" else content))
    finished = run_command(
        "export", run, "--target", "braze_users", "--output", tmp_path / "out", "--json",
        *(part for name, path in files.items() for part in (f"--{name}", path)),
    )  # fmt: skip
    assert finished.returncode == 5, finished.stderr
    report = json.loads(finished.stdout)
    assert report["left_out"] == {"is on the suppression list": 2, "has not consented": 98}
    assert "no row is left" in finished.stderr
    assert not (tmp_path / "out").exists()
