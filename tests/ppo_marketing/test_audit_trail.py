"""The audit trail: whatever was done to it is found, and named by its line."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_marketing.audit_trail import (
    GENESIS,
    Action,
    Anchor,
    Entry,
    Line,
    anchor_from,
    append,
    chained,
    cut_off,
    encoded,
    examined,
    head,
    mend,
    read_trail,
)
from ppo_marketing.errors import IntegrityError, PpoMarketingError, UserError

FIRST = Entry(
    time="2026-11-21T09:00:00+00:00",
    actor="deploy",
    approver="Ada",
    action=Action.PROMOTE,
    decision="bids",
    to_version=1,
    policy_sha256="a" * 64,
    data_sha256="b" * 64,
    verdict_sha256="c" * 64,
    verdict="passed",
    reason="The gate is passed: the log supports this policy.",
)


def trail(number: int) -> tuple[Line, ...]:
    lines: list[Line] = []
    for version in range(1, number + 1):
        entry = replace(FIRST, from_version=version - 1 or None, to_version=version)
        lines.append(chained(entry, lines[-1] if lines else None))
    return tuple(lines)


def text(lines: tuple[Line, ...]) -> bytes:
    return b"".join(encoded(line) for line in lines)


FIVE = trail(5)
CONTENT = text(FIVE)


def test_every_line_names_the_hash_of_the_line_before_and_the_first_names_zeros() -> None:
    assert [line.sequence for line in FIVE] == [1, 2, 3, 4, 5]
    assert [line.previous for line in FIVE] == [GENESIS, *(line.sha256 for line in FIVE[:-1])]
    assert len({line.sha256 for line in FIVE}) == 5


def test_the_hash_is_that_of_the_line_without_it_so_anyone_can_check_it() -> None:
    import hashlib

    values = json.loads(encoded(FIVE[2]))
    stated = values.pop("sha256")
    assert hashlib.sha256(json.dumps(values).encode()).hexdigest() == stated


def test_what_was_written_is_read_back_the_same() -> None:
    assert examined(CONTENT) == (FIVE, (), b"")
    assert examined(b"") == ((), (), b"")


@given(
    place=st.integers(0, len(CONTENT) - 1),
    byte=st.integers(0, 255),
)
def test_any_single_changed_byte_is_found(place: int, byte: int) -> None:
    changed = bytearray(CONTENT)
    changed[place] = byte
    found = examined(bytes(changed))
    if bytes(changed) == CONTENT:
        assert not found.problems
    else:
        assert found.problems or found.torn


def test_every_single_flipped_bit_is_found_and_its_line_named() -> None:
    line_of = [number for number, line in enumerate(FIVE, 1) for _ in encoded(line)]
    for place in range(len(CONTENT)):
        changed = bytearray(CONTENT)
        changed[place] ^= 1
        found = examined(bytes(changed))
        assert found.problems or found.torn, place
        if CONTENT[place : place + 1] != b"\n":
            assert any(f"line {line_of[place]} " in said for said in found.problems), place


@given(place=st.integers(0, len(CONTENT)), piece=st.binary(min_size=1, max_size=4))
def test_any_inserted_bytes_are_found(place: int, piece: bytes) -> None:
    found = examined(CONTENT[:place] + piece + CONTENT[place:])
    assert found.problems or found.torn


@given(st.permutations(range(5)))
def test_any_other_order_is_found(order: list[int]) -> None:
    found = examined(text(tuple(FIVE[k] for k in order)))
    assert bool(found.problems) == (order != [0, 1, 2, 3, 4])


@pytest.mark.parametrize("gone", range(4))
def test_a_removed_line_is_named(gone: int) -> None:
    found = examined(text(FIVE[:gone] + FIVE[gone + 1 :]))
    (said,) = found.problems
    assert said.startswith(f"line {gone + 1} is number {gone + 2} where {gone + 1} belongs")


def test_a_line_put_in_is_named() -> None:
    found = examined(text(FIVE[:2]) + encoded(FIVE[1]) + text(FIVE[2:]))
    assert found.problems[0].startswith("line 3 is number 2 where 3 belongs")


def test_a_line_rewritten_with_a_hash_of_its_own_does_not_fit_the_next() -> None:
    forged = chained(replace(FIVE[2], reason="nobody will notice"), FIVE[1])
    found = examined(text((*FIVE[:2], forged, *FIVE[3:])))
    (said,) = found.problems
    assert said.startswith("line 4 does not follow the line before it")


def test_a_changed_line_is_one_problem_not_one_for_every_line_after_it() -> None:
    (said,) = examined(CONTENT.replace(b'"to_version": 3', b'"to_version": 7')).problems
    assert said == "line 3 was changed: its SHA-256 is not that of what it says"
    (said,) = examined(CONTENT.replace(encoded(FIVE[2]), b"not a record\n")).problems
    assert said.startswith("line 3 is no record")


def test_a_cut_tail_is_a_sound_chain_and_only_a_head_kept_elsewhere_shows_it() -> None:
    shorter = examined(text(FIVE[:3]))
    assert not shorter.problems
    anchor = anchor_from(head(FIVE), "version 5")
    assert anchor is not None
    assert cut_off(FIVE, [anchor]) == []
    (said,) = cut_off(shorter.lines, [anchor])
    assert "ends at line 3, and version 5 names line 5" in said


def test_a_trail_written_anew_is_shown_by_a_head_kept_elsewhere() -> None:
    anew: list[Line] = []
    for line in FIVE:
        entry = Entry(**{name: getattr(line, name) for name in Entry.__dataclass_fields__})
        anew.append(chained(replace(entry, approver="Eve"), anew[-1] if anew else None))
    assert not examined(text(tuple(anew))).problems
    (said,) = cut_off(anew, [Anchor("version 2", 2, FIVE[1].sha256)])
    assert "line 2 is not the one that version 2 names" in said


@pytest.mark.parametrize("wrong", ["", "12", "x:" + GENESIS, "1:abc", "²:" + GENESIS])
def test_a_head_that_is_none_is_not_taken_for_one(wrong: str) -> None:
    assert anchor_from(wrong, "here") is None


def test_lines_are_appended_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "releases" / "audit.jsonl"
    assert read_trail(path) == ()
    first = append(path, FIRST)
    second = append(path, replace(FIRST, from_version=1, to_version=2))
    assert read_trail(path) == (first, second) == trail(2)


def test_letters_of_any_language_and_line_breaks_stay_on_one_ascii_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    reason = "Grüße\nこんにちは \u2028 \x00 }\r\n"
    append(path, replace(FIRST, reason=reason))
    assert read_trail(path)[0].reason == reason
    assert path.read_bytes().isascii()
    assert path.read_bytes().count(b"\n") == 1


def test_what_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no text"):
        append(tmp_path / "audit.jsonl", replace(FIRST, reason="half a character: \ud800"))
    assert not (tmp_path / "audit.jsonl").exists()


@pytest.mark.parametrize("kept", [1, 40, len(encoded(FIVE[4])) - 1])
def test_a_torn_last_line_is_said_and_nothing_is_added_or_repaired(
    tmp_path: Path, kept: int
) -> None:
    path = tmp_path / "audit.jsonl"
    torn = text(FIVE[:4]) + encoded(FIVE[4])[:kept]
    path.write_bytes(torn)
    with pytest.raises(IntegrityError, match=rf"{kept} bytes that are no whole line, after line 4"):
        read_trail(path)
    with pytest.raises(IntegrityError, match="audit mend"):
        append(path, FIRST)
    assert path.read_bytes() == torn


def test_mending_sets_the_torn_bytes_aside_and_records_their_hash(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(text(FIVE[:4]) + b'{"sequ')
    entry = replace(FIRST, action=Action.MEND, reason="the machine lost power")
    line = mend(path, entry)
    assert (tmp_path / "audit.jsonl.torn-5").read_bytes() == b'{"sequ'
    assert read_trail(path) == (*FIVE[:4], line)
    assert line.reason.startswith("the machine lost power (set aside: 6 bytes of SHA-256 ")
    with pytest.raises(IntegrityError, match="its last line is whole"):
        mend(path, entry)


def test_a_changed_line_is_never_mended(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    changed = CONTENT.replace(b"Ada", b"Eve") + b"{"
    path.write_bytes(changed)
    with pytest.raises(IntegrityError, match="line 1 was changed"):
        mend(path, FIRST)
    assert path.read_bytes() == changed


@pytest.mark.parametrize("written", [0, 7])
def test_a_full_disk_leaves_the_trail_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(CONTENT)
    write = os.write

    def full(descriptor: int, content: bytes) -> int:
        if written == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content[:written])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(PpoMarketingError, match="nothing was released") as refused:
        append(path, FIRST)
    assert refused.value.exit_code == 1
    assert path.read_bytes() == CONTENT


def test_a_trail_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    (tmp_path / ".audit.jsonl.lock").mkdir()
    with pytest.raises(PpoMarketingError, match="give this user the right to write it"):
        append(path, FIRST)
    path.mkdir()
    with pytest.raises(PpoMarketingError, match="cannot be read"):
        read_trail(path)


def test_appends_from_many_processes_make_one_chain(tmp_path: Path) -> None:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    path = tmp_path / "audit.jsonl"
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        list(pool.map(append, [path] * 24, [FIRST] * 24))
    assert [line.sequence for line in read_trail(path)] == list(range(1, 25))
