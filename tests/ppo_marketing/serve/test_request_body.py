"""What a request may be at most, and that each bound is what refuses."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from ppo_marketing.serve.body import BadRequest, parsed, read_body
from ppo_marketing.serve.settings import RequestLimits

LIMITS = RequestLimits(bytes=4096, depth=8)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"1" + b"]" * depth


def body(content: bytes, encoding: str) -> Any:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    return asyncio.run(read_body(receive, {b"content-encoding": encoding.encode()}, LIMITS))


def test_as_deep_as_allowed_is_read_and_one_level_more_is_refused_by_its_depth() -> None:
    assert parsed(nested(8), LIMITS) == [[[[[[[[1]]]]]]]]
    with pytest.raises(BadRequest) as refused:
        parsed(nested(9), LIMITS)
    assert refused.value.problems == ("nested more than 8 levels deep",)


def test_brackets_within_a_text_are_no_depth() -> None:
    assert parsed(b'["[[[[[[[[[[[[", "\\"[[[[[[[[["]', LIMITS) == ["[" * 12, '"' + "[" * 9]


def test_what_unpacks_to_more_than_allowed_is_refused_by_its_size() -> None:
    assert body(gzip.compress(b'{"small": 1}'), "gzip") == {"small": 1}
    with pytest.raises(BadRequest) as refused:
        body(gzip.compress(b" " * 1_000_000), "gzip")
    assert refused.value.problems == ("larger than 4,096 bytes, as sent or decompressed",)
