"""The parts of HTTP that every route shares: bounded bodies, checked decoding, JSON errors, ETags."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from rackwright.model import typed

T = TypeVar("T")

BODY_SECONDS = 60.0
"""A request's body must have come by then."""
KIB, MIB = 1024, 1024 * 1024


class HttpError(Exception):
    """An answer other than what was asked for."""

    def __init__(self, status: int, error: str, hint: str = "", **more: Any) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error, "hint": hint, **more}


def json_response(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """``data`` as JSON."""
    return Response(msgspec.json.encode(data), status, headers, "application/json")


def error_response(error: HttpError) -> Response:
    """``{error, hint}`` as JSON. It closes the connection where the rest of a body may follow."""
    headers = {}
    if error.status == 401:
        headers["www-authenticate"] = 'Bearer realm="rackwright"'
    if error.status in (408, 413):
        headers["connection"] = "close"
    return json_response(error.body, error.status, headers)


async def read_body(request: Request, limit: int) -> bytes:
    """The body. Raises HttpError when it is longer than ``limit`` bytes or does not come."""
    too_long = HttpError(413, f"the body is longer than {limit // KIB} KiB")
    length = request.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and int(length) > limit:
        raise too_long
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise too_long
                chunks.append(chunk)
    except TimeoutError:
        raise HttpError(408, f"the body did not come within {BODY_SECONDS:g} s") from None
    except ClientDisconnect:
        raise HttpError(400, "the body was cut off") from None
    return b"".join(chunks)


def decode(body: bytes, kind: type[T]) -> T:
    """``body`` (JSON) as ``kind``. Raises HttpError that says what is wrong with it."""
    try:
        found = typed.decode(body, kind)
        msgspec.json.encode(found)  # what cannot be written again cannot be kept either
    except msgspec.ValidationError as error:
        raise HttpError(400, f"the body is not what it must be: {error}") from None
    except (msgspec.MsgspecError, UnicodeError):
        raise HttpError(400, "the body is not JSON in UTF-8") from None
    except (RecursionError, OverflowError):
        raise HttpError(400, "the body is nested too deep or holds too large a number") from None
    return found


def etag_response(request: Request, etag: str, body: bytes) -> Response:
    """``body`` with its ETag, or 304 when the client has it."""
    quoted = f'"{etag}"'
    headers = {"etag": quoted, "cache-control": "private, no-cache"}
    known = request.headers.get("if-none-match")
    if known is not None and (
        known == quoted
        or known.strip() == "*"
        or quoted in (part.strip().removeprefix("W/") for part in known.split(","))
    ):
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, "application/json")
