"""A bundle is used whole and untouched or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ppo_marketing.errors import IntegrityError, UserError
from ppo_marketing.export.bundle import bundle_files, load_bundle
from ppo_marketing.export.onnx_policy import OnnxPolicy
from ppo_marketing.export.sealed import as_json, sealed
from ppo_marketing.export.whole_folder import write_whole
from ppo_marketing.guardrails import (
    Always,
    AmountLimits,
    ChoiceLimits,
    Context,
    Guardrail,
    GuardrailLimits,
)
from tests.support.agents import agent_of, states

LIMITS = GuardrailLimits(choices=ChoiceLimits(choices=7, nothing=0, closed=(3,)))


def small_bundle(
    kind: str = "several choices", limits: GuardrailLimits | None = None
) -> dict[str, bytes]:
    agent = agent_of(kind, hidden=(4,))
    observation, mask = states(agent, 3)
    return bundle_files(
        agent,
        observation=observation,
        mask=mask,
        limits=limits,
        about={"decision": "test"},
        documents={"model-card.md": b"# card\n"},
        manifest={"decision": "test", "made_at": "2026-11-21T00:00:00+00:00"},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_whole(tmp_path / "bundle", small_bundle())
    return tmp_path / "bundle"


def refused(folder: Path) -> bool:
    try:
        load_bundle(folder)
    except IntegrityError as error:
        return error.exit_code == 6
    return False


def flips_refused(folder: Path, every: int) -> tuple[int, int]:
    """(flips tried, flips refused): the first and last byte of every file, and every n-th."""
    tried = caught = 0
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for place in sorted({0, len(content) - 1, *range(0, len(content), every)}):
            for bit in (0, 7) if every > 1 else range(8):
                changed = bytearray(content)
                changed[place] ^= 1 << bit
                path.write_bytes(changed)
                tried += 1
                caught += refused(folder)
        path.write_bytes(content)
    return tried, caught


def test_any_flipped_byte_of_any_file_is_refused(folder: Path) -> None:
    tried, caught = flips_refused(folder, every=37)
    assert tried > 150
    assert caught == tried
    load_bundle(folder)  # put back, it is itself again


def test_a_manifest_that_says_the_same_in_other_bytes_is_refused(folder: Path) -> None:
    manifest = folder / "manifest.json"
    written = manifest.read_bytes()
    values = json.loads(written)
    for other in (
        written.replace(b"\n", b" ", 1),
        written + b" ",
        json.dumps(values).encode(),
        written.replace(b'{\n "', b'{\n "kind": "x",\n "', 1),  # the later of two names would count
    ):
        assert json.loads(other) == values
        manifest.write_bytes(other)
        assert refused(folder)


@pytest.mark.verify
@pytest.mark.timeout(1800)
def test_every_flipped_bit_of_every_file_is_refused(folder: Path) -> None:
    tried, caught = flips_refused(folder, every=1)
    assert tried == 8 * sum(len(path.read_bytes()) for path in folder.iterdir())
    assert caught == tried


def test_a_file_missing_added_cut_or_linked_is_refused(folder: Path, tmp_path: Path) -> None:
    schema = (folder / "schema.json").read_bytes()
    (folder / "schema.json").unlink()
    assert refused(folder)
    (tmp_path / "elsewhere").write_bytes(schema)
    (folder / "schema.json").symlink_to(tmp_path / "elsewhere")
    assert refused(folder)
    (folder / "schema.json").unlink()
    (folder / "schema.json").write_bytes(schema[:-1])
    assert refused(folder)
    (folder / "schema.json").write_bytes(schema)
    (folder / "more.txt").write_bytes(b"")
    assert refused(folder)
    (folder / "more.txt").unlink()
    assert not refused(folder)


def test_a_manifest_may_not_point_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"x")
    files = sealed({"../outside": b"x"}, {"kind": "policy bundle", "format": 1})
    write_whole(tmp_path / "bundle", {"manifest.json": files["manifest.json"]})
    assert refused(tmp_path / "bundle")


def resealed(files: dict[str, bytes], **changed: bytes) -> dict[str, bytes]:
    """The bundle with a file changed by someone who makes the hashes right again."""
    manifest = json.loads(files["manifest.json"])
    about = {k: v for k, v in manifest.items() if k not in ("files", "sha256")}
    names = {name.replace("_", "."): content for name, content in changed.items()}
    return sealed({n: names.get(n, c) for n, c in files.items() if n != "manifest.json"}, about)


def test_another_policy_under_right_hashes_does_not_give_the_golden_answers(tmp_path: Path) -> None:
    files = small_bundle()
    other = agent_of("several choices", seed=1, hidden=(4,))
    observation, mask = states(other, 3)
    foreign = bundle_files(
        other, observation=observation, mask=mask, limits=None, about={}, documents={}, manifest={}
    )
    write_whole(tmp_path / "b", resealed(files, policy_onnx=foreign["policy.onnx"]))
    with pytest.raises(IntegrityError, match="as it was trained to"):
        load_bundle(tmp_path / "b")


def test_weights_that_are_not_finite_are_refused_under_right_hashes(tmp_path: Path) -> None:
    files = small_bundle()
    weight = agent_of("several choices", hidden=(4,)).arrays()["actor.weights.1"].tobytes()
    broken = files["policy.onnx"].replace(weight[:4], np.float32("nan").tobytes(), 1)
    assert broken != files["policy.onnx"]
    write_whole(tmp_path / "b", resealed(files, policy_onnx=broken))
    with pytest.raises(IntegrityError, match="not finite"):
        load_bundle(tmp_path / "b")


def test_no_golden_vectors_is_no_proof(tmp_path: Path) -> None:
    files = small_bundle()
    golden = json.loads(files["golden.json"])
    empty = {n: v[:0] if isinstance(v, list) else v for n, v in golden.items()}
    write_whole(tmp_path / "b", resealed(files, golden_json=as_json(empty)))
    assert refused(tmp_path / "b")


def test_a_bundle_that_agrees_with_itself_is_still_not_the_one_expected(folder: Path) -> None:
    known = load_bundle(folder).sha256
    load_bundle(folder, sha256=known)
    write_whole(folder, small_bundle("choices"))
    with pytest.raises(IntegrityError, match="another bundle"):
        load_bundle(folder, sha256=known)


def test_what_is_no_bundle_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no manifest"):
        load_bundle(tmp_path)
    write_whole(tmp_path / "table", sealed({"a.csv": b"1"}, {"kind": "table"}))
    with pytest.raises(UserError, match="not a policy bundle"):
        load_bundle(tmp_path / "table")


def test_guardrails_travel_with_the_policy_and_hold_it(tmp_path: Path) -> None:
    agent = agent_of("not normalised", hidden=(4,))
    observation, mask = states(agent, 50)
    limits = GuardrailLimits(choices=ChoiceLimits(choices=4, nothing=0, closed=(1, 2)))
    files = bundle_files(
        agent,
        observation=observation,
        mask=mask,
        limits=limits,
        about={},
        documents={},
        manifest={},
    )
    write_whole(tmp_path / "b", files)
    bundle = load_bundle(tmp_path / "b")
    assert bundle.limits == limits
    guarded = Guardrail(bundle.limits, bundle.policy, Always(0))
    shipped = guarded.decide(Context(observation=observation), np.random.default_rng(0)).action
    assert not np.isin(shipped, (1, 2)).any()
    observation[7] = np.nan  # the policy itself refuses; behind its guardrails it falls back
    shipped = guarded.decide(Context(observation=observation), np.random.default_rng(0)).action
    assert shipped[7] == 0


def test_limits_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    limits = GuardrailLimits(amounts=AmountLimits(floor=0.0, cap=1.0)).as_dict()
    limits["amounts"]["floor"] = 2.0
    write_whole(tmp_path / "b", resealed(small_bundle(), guardrails_json=as_json(limits)))
    assert refused(tmp_path / "b")


def test_a_loaded_policy_needs_no_torch(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert isinstance(bundle.policy, OnnxPolicy)
    assert bundle.manifest["policy_sha256"] == agent_of("several choices", hidden=(4,)).sha256()
