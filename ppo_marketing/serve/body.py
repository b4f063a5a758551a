"""A request's body: bounded before it is read, decompressed or parsed."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NoReturn

from ppo_marketing.serve.settings import RequestLimits

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}]')


class BadRequest(Exception):
    """What is wrong with a request, all of it; the answer is 400."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limits: RequestLimits) -> Any:
    """The JSON of a request, None where there is no body.

    Raises:
        BadRequest: larger than allowed as sent or decompressed, nested too deeply, in another
            encoding than gzip, or not JSON in UTF-8 with finite numbers.
    """
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > limits.bytes:
        raise _too_large(limits)
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("the request ended early")
        part = message.get("body", b"")
        size += len(part)
        if size > limits.bytes:
            raise _too_large(limits)
        parts.append(part)
        more = message.get("more_body", False)
    content = b"".join(parts)
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding == b"gzip":
        content = _decompressed(content, limits)
    elif encoding != b"identity":
        raise BadRequest("content-encoding must be gzip, or none")
    return None if not content else parsed(content, limits)


def parsed(content: bytes, limits: RequestLimits) -> Any:
    """The values of a JSON text; raises BadRequest as `read_body`."""
    if _deeper_than(content, limits.depth):
        raise BadRequest(f"nested more than {limits.depth} levels deep")
    try:
        # As text: bytes in UTF-16 would be read too, past what was just checked.
        return json.loads(content.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"not JSON: {str(error)[:200]}") from error


def _decompressed(content: bytes, limits: RequestLimits) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(content, limits.bytes + 1)
    except zlib.error as error:
        raise BadRequest(f"not gzip: {error}") from error
    if len(unpacked) > limits.bytes:
        raise _too_large(limits)
    if not unpacker.eof or unpacker.unused_data:
        raise BadRequest("not one whole gzip stream")
    return unpacked


def _deeper_than(content: bytes, depth: int) -> bool:
    if content.count(b"[") + content.count(b"{") <= depth:
        return False
    level = 0
    for token in _TOKENS.finditer(content):
        first = content[token.start()]
        if first in b"[{":
            level += 1
            if level > depth:
                return True
        elif first in b"]}":
            level -= 1
    return False


def _too_large(limits: RequestLimits) -> BadRequest:
    return BadRequest(f"larger than {limits.bytes:,} bytes, as sent or decompressed")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")
