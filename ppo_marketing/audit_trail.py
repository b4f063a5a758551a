"""Who released what, when and why: one JSON line an action, each naming the hash of the one before.

    sha256_i = SHA-256(line i without its own hash),  previous_i = sha256_{i-1},  previous_1 = 0...0

A line is its own canonical text, byte for byte, so any changed byte is found, as is any line that
was removed, moved or put in. What a chain alone cannot show is a tail that was cut off (what is
left is a sound, shorter chain) or a whole file written anew: for that its head must be known
elsewhere. So every command prints the head, released versions are tagged with it, and `cut_off`
compares. Nobody signs: whoever may write the file and every copy of its head can rewrite history.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from ppo_marketing.errors import IntegrityError, PpoMarketingError, UserError
from ppo_marketing.files import made, written_whole

GENESIS = "0" * 64
"""What the first line names as the hash before it."""


class Action(StrEnum):
    """What was done."""

    APPROVE = "approve"
    REJECT = "reject"  # a person says that this policy must not be released
    PROMOTE = "promote"
    OVERRIDE = "override"  # promoted in spite of a verdict that did not pass
    ROLLBACK = "rollback"
    RESTORE = "restore"  # an alias that was moved by hand, set back
    MEND = "mend"  # a torn last line, set aside
    REFUSE = "refuse"  # somebody tried what their role does not allow; nothing was done


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One action: `actor` is the account it ran under, `approver` the person who answers for it.

    `time` is UTC, ISO 8601; `expires` a date, the last day (UTC) of an override; versions are the
    registry's numbers; `verdict` is "passed" or "refused" with its `reasons`.
    """

    time: str
    actor: str
    approver: str
    action: Action
    decision: str
    from_version: int | None = None
    to_version: int | None = None
    policy_sha256: str = ""
    data_sha256: str = ""
    verdict_sha256: str = ""
    verdict: str = ""
    reasons: tuple[str, ...] = ()
    reason: str
    expires: str | None = None


@dataclass(frozen=True, kw_only=True)
class Line(Entry):
    """An entry at its place in the chain."""

    sequence: int
    previous: str
    sha256: str = ""


class Examined(NamedTuple):
    """What a trail's bytes hold: its lines, what is wrong with them, what was written in part."""

    lines: tuple[Line, ...]
    problems: tuple[str, ...]
    torn: bytes


class Anchor(NamedTuple):
    """A head that was kept elsewhere: where, how many lines there were, the last one's hash."""

    where: str
    sequence: int
    sha256: str


_LINE = TypeAdapter(Line)


def chained(entry: Entry, before: Line | None) -> Line:
    """The entry as the line after `before`; None: as the first."""
    line = Line(
        **{name: getattr(entry, name) for name in Entry.__dataclass_fields__},
        sequence=1 if before is None else before.sequence + 1,
        previous=GENESIS if before is None else before.sha256,
    )
    return replace(line, sha256=_digest(line))


def encoded(line: Line) -> bytes:
    """The one text of a line, ASCII, with its newline."""
    return (json.dumps(_values(line)) + "\n").encode("ascii")


def examined(content: bytes) -> Examined:
    """Read a trail and name every line that is not what was written, by its place in the file."""
    *whole, torn = content.split(b"\n")
    lines: list[Line] = []
    problems: list[str] = []
    sequence, previous = 1, GENESIS
    for place, text in enumerate(whole, 1):
        line = _decoded(text)
        if line is None:
            problems.append(f"line {place} is no record of this trail: it was changed or put in")
            # What follows is held against the lines around it: one bad line is one problem.
            sequence, previous = sequence + 1, ""
            continue
        problems += [f"line {place} {said}" for said in _misplaced(line, sequence, previous)]
        lines.append(line)
        sequence, previous = line.sequence + 1, line.sha256
    return Examined(tuple(lines), tuple(problems), torn)


def _misplaced(line: Line, sequence: int, previous: str) -> Iterator[str]:
    if line.sha256 != _digest(line):
        yield "was changed: its SHA-256 is not that of what it says"
    if line.sequence != sequence:
        yield (
            f"is number {line.sequence} where {sequence} belongs: lines were removed, moved or put "
            "in"
        )
    elif previous not in ("", line.previous):
        yield "does not follow the line before it: one of the two was changed or put in"


def cut_off(lines: Sequence[Line], anchors: Iterable[Anchor]) -> list[str]:
    """What heads that were kept elsewhere say against a trail whose chain is whole."""
    said = []
    for anchor in anchors:
        if anchor.sequence > len(lines):
            said.append(
                f"the trail ends at line {len(lines)}, and {anchor.where} names line "
                f"{anchor.sequence} ({anchor.sha256[:12]}): its end was cut off"
            )
        elif anchor.sequence < 1 or lines[anchor.sequence - 1].sha256 != anchor.sha256:
            said.append(
                f"line {anchor.sequence} is not the one that {anchor.where} names "
                f"({anchor.sha256[:12]}): the trail was written anew from there or before"
            )
    return said


def head(lines: Sequence[Line]) -> str:
    """`<number of lines>:<hash of the last>`, what to keep elsewhere; `0:000...` of none."""
    return f"{len(lines)}:{lines[-1].sha256 if lines else GENESIS}"


def anchor_from(text: str, where: str) -> Anchor | None:
    """What `head` wrote; None where the text is something else."""
    number, colon, sha256 = text.partition(":")
    if not (colon and number.isascii() and number.isdigit() and len(sha256) == len(GENESIS)):
        return None
    return Anchor(where, int(number), sha256)


def read_trail(path: Path) -> tuple[Line, ...]:
    """The lines of a trail; none where there is no file.

    Raises IntegrityError that names every line that is not what was written, or a torn last one.
    """
    return _sound(path, _content(path)).lines


def append(path: Path, entry: Entry) -> Line:
    """Add one line, on disk when this returns; a write that fails leaves the trail as it was.

    Raises:
        IntegrityError: the trail is not whole; nothing was added.
        UserError: a name or a reason is no text.
        PpoMarketingError: the file cannot be written.
    """
    with _alone(path):
        before = _sound(path, _content(path)).lines
        line = chained(entry, before[-1] if before else None)
        if _decoded(encoded(line).removesuffix(b"\n")) != line:
            # A shell hands in bytes that are no UTF-8 as halves of characters.
            raise UserError(
                "a name or a reason holds characters that are no text: write it in UTF-8"
            )
        _add(path, encoded(line))
    return line


def mend(path: Path, entry: Entry) -> Line:
    """Set a torn last line aside as `<name>.torn-<n>`, and record that and its hash.

    Raises IntegrityError where the end is not torn, or more than the end is wrong.
    """
    with _alone(path):
        content = _content(path)
        found = examined(content)
        if found.problems or not found.torn:
            whole = "its last line is whole" if not found.problems else "; ".join(found.problems)
            raise IntegrityError(f"{path} is not mended: {whole}")
        aside = path.with_name(f"{path.name}.torn-{len(found.lines) + 1}")
        with written_whole(aside) as place:
            place.write_bytes(found.torn)
        said = f"{entry.reason} (set aside: {len(found.torn)} bytes of SHA-256 {_of(found.torn)})"
        line = chained(replace(entry, reason=said), found.lines[-1] if found.lines else None)
        with written_whole(path) as place, place.open("wb") as file:
            file.write(content[: len(content) - len(found.torn)] + encoded(line))
            file.flush()
            os.fsync(file.fileno())
    return line


def torn_message(path: Path, found: Examined) -> str:
    """What a torn last line means and what to do about it."""
    return (
        f"{path} ends in {len(found.torn)} bytes that are no whole line, after line "
        f"{len(found.lines)}: a job was stopped while it wrote, and did nothing else. Look at them "
        "(`tail -n 1`), then `ppo-marketing audit mend` sets them aside and records it"
    )


def _sound(path: Path, content: bytes) -> Examined:
    found = examined(content)
    problems = list(found.problems) + ([torn_message(path, found)] if found.torn else [])
    if problems:
        listed = "\n  ".join(problems)
        raise IntegrityError(
            f"the audit trail {path} is not what was written:\n  {listed}\nNothing is released on "
            "it. Where a line was changed, restore the file from a copy"
        )
    return found


def _values(line: Line) -> dict[str, Any]:
    values = asdict(line)
    last = {name: values.pop(name) for name in ("sequence", "previous", "sha256")}
    return {"sequence": last.pop("sequence"), **values, **last}


def _digest(line: Line) -> str:
    values = _values(line)
    del values["sha256"]
    return _of(json.dumps(values).encode("ascii"))


def _of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _decoded(text: bytes) -> Line | None:
    try:
        line = _LINE.validate_json(text, strict=True)
        same = encoded(line) == text + b"\n"
    except (ValidationError, ValueError):
        return None
    # Another spelling of the same values is a change as well.
    return line if same else None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise PpoMarketingError(f"the audit trail {path} cannot be read: {error}") from error


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the trail's lock file; the system lets go of it when a job is killed."""
    lock = made(path.parent) / f".{path.name}.lock"
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise _unwritten(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _add(path: Path, text: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError as error:
        raise _unwritten(path, error) from error
    length = os.fstat(descriptor).st_size
    try:
        written = os.write(descriptor, text)
        if written != len(text):
            raise OSError(f"only {written} of {len(text)} bytes could be written")
        os.fsync(descriptor)
        _flushed(path.parent)
    except OSError as error:
        # Ours, under the lock, and said: the trail is as it was.
        os.ftruncate(descriptor, length)
        raise _unwritten(path, error) from error
    finally:
        os.close(descriptor)


def _flushed(folder: Path) -> None:
    """Make a new file's name last through a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritten(path: Path, error: OSError) -> PpoMarketingError:
    return PpoMarketingError(
        f"the audit trail {path} cannot be written ({error}): nothing was released. Free some "
        "space, or give this user the right to write it"
    )
