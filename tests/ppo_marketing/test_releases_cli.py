"""The commands of releasing: exit codes, one JSON object, four eyes from a file, a rollback."""

from __future__ import annotations

import inspect
import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from envs import decision_names
from ppo_marketing.cli import app, main
from ppo_marketing.cli.releases import promote
from tests.support import releasing
from tests.support.releasing import POOR, judged, logged_policies

DECISION = decision_names()[0]


class Finished(NamedTuple):
    """What a command left: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str


Call = Callable[..., Finished]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Iterator[Call]:
    """Runs commands in the project `tmp_path`, in this process: test_cli.py starts real ones."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("PPO_MARKETING_PROJECT", str(tmp_path))
    monkeypatch.setattr(releasing, "DECISION", DECISION)
    monkeypatch.chdir(tmp_path)
    terminated = signal.getsignal(signal.SIGTERM)

    def run(*arguments: str | Path) -> Finished:
        monkeypatch.setattr(sys, "argv", ["ppo-marketing", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return Finished(ended.value.code, *capsys.readouterr())

    yield run
    signal.signal(signal.SIGTERM, terminated)


def found(finished: Finished) -> Any:
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_from_approval_to_rollback_on_the_command_line(tmp_path: Path, call: Call) -> None:
    decision, project = DECISION, tmp_path
    first, second = logged_policies(project, 2)
    judged(project / "one", first)
    judged(project / "two", second)
    rules = project / "release.yaml"
    rules.write_text("release: {four_eyes: true, approvers: [Grace]}\n")
    config = ("--config", rules)

    assert found(call("promote", "one", "--approver", "Ada", "--json"))["new"]
    lacking = call("promote", "two", "--approver", "Ada", *config)
    assert lacking.returncode == 5
    assert "ppo-marketing approve RUN" in lacking.stderr
    assert call("approve", "two", "--approver", "Eve", *config).returncode == 5
    assert call("approve", "two", "--approver", "Grace", *config).returncode == 0
    done = found(call("promote", "two", "--approver", "Ada", *config, "--json"))
    assert (done["action"], done["from_version"], done["to_version"]) == ("promote", 1, 2)
    nameless = call("rollback", decision)
    assert nameless.returncode == 3
    assert "--approver is missing; --reason is missing" in nameless.stderr
    back = call("rollback", decision, "--approver", "Linus", "--reason", "spend doubled")
    assert back.returncode == 0, back.stderr
    assert f"rolled back: {decision} version 2 -> version 1, by Linus" in back.stdout
    now = found(call("champion", decision, "--json"))
    assert (now["champion"], now["by"], now["in_force"]) == (1, "Linus", True)
    listed = found(call("audit", "log", "--json"))
    assert [line["action"] for line in listed["lines"]] == [
        "promote", "approve", "promote", "rollback",
    ]  # fmt: skip
    assert listed["head"] == now["head"]

    trail = project / "data" / "releases" / "audit.jsonl"
    whole = trail.read_bytes()
    trail.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    cut = call("audit", "verify")
    assert cut.returncode == 6
    assert "its end was cut off" in cut.stderr
    trail.write_bytes(whole + b'{"seq')
    assert call("champion", decision).returncode == 6
    assert call("audit", "mend", "--approver", "Ada", "--reason", "x").returncode == 0
    assert call("audit", "verify").returncode == 0
    assert {path.name for path in project.iterdir()} == {
        "data", "mlruns", "one", "policies", "release.yaml", "two",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("promote", "nowhere", "--approver", "Ada"), 3, "holds no verdict.json"),
        (("promote", "poor", "--approver", "Ada"), 4, "too few events"),
        (("reject", "poor"), 3, "--approver is missing; --reason is missing"),
        (("champion", "shelves"), 3, "choose one of"),
        (("rollback", "shelves", "--approver", "Ada", "--reason", "x"), 3, "choose one of"),
        (("champion", DECISION, "--reason", "x"), 3, "go with --restore"),
        (("audit", "verify", "--head", "abc"), 3, "write it as it was printed"),
        (("audit", "mend"), 3, "--approver is missing; --reason is missing"),
        (("promote",), 2, "RUN"),
    ],
)
def test_every_wrong_request_has_its_exit_code_and_a_sentence_and_leaves_nothing(
    tmp_path: Path, call: Call, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "policy.json").write_text("{}")
    judged(tmp_path / "poor", tmp_path / "policy", POOR)
    finished = call(*arguments)
    assert finished.returncode == code, finished.stderr
    assert said in finished.stderr
    assert "Traceback" not in finished.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"policy", "poor"}


def test_no_flag_skips_the_gate() -> None:
    """`--override` is the only way around, and it takes a reason, a name and a day; `--reason` is
    a comment for the record."""
    (command,) = (known for known in app.registered_commands if known.callback is promote)
    assert command.callback is not None
    assert set(inspect.signature(command.callback).parameters) == {
        "run", "approver", "override", "expires", "reason", "config_file", "json",
    }  # fmt: skip
