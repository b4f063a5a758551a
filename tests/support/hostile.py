"""Requests that mean harm or make no sense, drawn at random: what a server must survive."""

from __future__ import annotations

import copy
import gzip
import json
from typing import Any

from numpy.random import Generator

ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 10**400, 1e308, -1e308, 5e-324, "", "x", "\ud800", "USD", [],
    {}, [[]], {"ext": {}}, "1" * 300, [1] * 100, {"id": "1"}, 0.1, -0.0, 2**63,
)  # fmt: skip
LITERALS = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"01", b"tru", b"'x'", b"\x00")
KEYS = (
    "id", "imp", "banner", "bidfloor", "bidfloorcur", "metric", "pmp", "at", "test", "tmax", "cur",
    "regs", "user", "device", "site", "app", "ext", "decisions", "observation", "mask", "unit",
    "hour", "cost", "context", "decision",
)  # fmt: skip


def hostile(valid: Any, rng: Generator) -> tuple[bytes, dict[str, str]]:
    """A body and headers: `valid`, mutilated in one of a dozen ways."""
    kind = int(rng.integers(0, 14))
    values = json.loads(json.dumps(valid))
    if kind < 5:
        for _ in range(int(rng.integers(1, 4))):
            _mutate(values, rng)
        return json.dumps(values).encode(), {}
    content = json.dumps(values).encode()
    if kind == 5:  # cut off
        return content[: int(rng.integers(0, len(content)))], {}
    if kind == 6:  # bytes changed
        changed = bytearray(content)
        for _ in range(int(rng.integers(1, 5))):
            changed[int(rng.integers(0, len(changed)))] = int(rng.integers(0, 256))
        return bytes(changed), {}
    if kind == 7:  # a number that is none
        at = content.rfind(b":") + 1
        return content[:at] + LITERALS[int(rng.integers(0, len(LITERALS)))] + b"}]}", {}
    if kind == 8:  # deep
        depth = int(rng.integers(20, 3000))
        opening = (b"[", b'{"a":', b'{"imp":[')[int(rng.integers(0, 3))]
        return opening * depth, {}
    if kind == 9:  # deep below a good part
        inner = "[" * int(rng.integers(20, 500))
        return content[:-1] + b',"ext":' + inner.encode(), {}
    if kind == 10:  # a bomb, or nearly
        size = int(rng.integers(1, 40)) * 250_000
        return gzip.compress(b" " * size + content, 1), {"content-encoding": "gzip"}
    if kind == 11:  # large
        return b" " * int(rng.integers(200_000, 10_000_000)) + content, {}
    if kind == 12:
        packed = gzip.compress(content)
        cut = packed[: int(rng.integers(0, len(packed) + 1))]
        encoding = ("gzip", "br", "deflate", "GZIP ", "x")[int(rng.integers(0, 5))]
        return cut, {"content-encoding": encoding}
    encoding = ("utf-16", "utf-32", "latin-1")[int(rng.integers(0, 3))]
    return json.dumps(values, ensure_ascii=False).encode(encoding, "replace"), {}


def _mutate(values: Any, rng: Generator) -> None:
    """Change one place of nested values, somewhere."""
    here = values
    while True:
        inner = list(here.values()) if isinstance(here, dict) else list(here)
        nested = [one for one in inner if isinstance(one, dict | list) and one]
        if not nested or rng.random() < 0.35:
            break
        here = nested[int(rng.integers(0, len(nested)))]
    odd = copy.deepcopy(ODD[int(rng.integers(0, len(ODD)))])
    if isinstance(here, dict):
        known = list(here)
        if known and rng.random() < 0.7:
            name = known[int(rng.integers(0, len(known)))]
            if rng.random() < 0.25:
                del here[name]
                return
        else:
            name = KEYS[int(rng.integers(0, len(KEYS)))]
        here[name] = odd
    elif here:
        place = int(rng.integers(0, len(here)))
        if rng.random() < 0.3:
            here.append(here[place])  # twice: ids must differ
        else:
            here[place] = odd
