"""Ethereum's JSON-RPC over HTTP. What answers is not trusted to be well-formed: an answer is of the expected type or it is silence."""

import contextlib
import itertools
import re
from typing import Any, TypeVar

import httpx2
import msgspec

from domain.treasury import chain

T = TypeVar("T")

INTERNAL_ERROR, LIMIT_EXCEEDED = -32603, -32005
_QUANTITY = re.compile("0x[0-9a-fA-F]{1,64}")
_HTTP_REFUSED = {400, 401, 403, 404, 405}

TEXT = msgspec.json.Decoder(str)
ANYTHING = msgspec.json.Decoder(Any)


class Error(msgspec.Struct, frozen=True):
    code: int
    message: str


class Answer(msgspec.Struct, frozen=True):
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Error | None = None


class Refusal(chain.ChainRefused):
    """The node's own words."""

    def __init__(self, method: str, error: Error) -> None:
        super().__init__(f"{method}: {error.message} ({error.code})")
        self.code, self.message = error.code, error.message


class Rpc:
    """One node."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        # The address is the whole instruction: no proxy, no credentials from the environment.
        self._http = httpx2.AsyncClient(timeout=timeout_s, trust_env=False, headers={"content-type": "application/json"})
        self._url = url
        self._ids = itertools.count(1)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def call(self, result: msgspec.json.Decoder[T], method: str, *parameters: Any) -> T:
        """The result, of the decoder's type. Raises `ChainSilent`, or `ChainRefused` with the node's words."""
        question = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": parameters}
        try:
            response = await self._http.post(self._url, content=msgspec.json.encode(question))
        except httpx2.HTTPError as error:
            raise chain.ChainSilent(f"{method}: {type(error).__name__}") from error
        if response.status_code in _HTTP_REFUSED:
            raise chain.ChainRefused(f"{method}: HTTP status {response.status_code}")
        try:
            answer = msgspec.json.decode(response.content, type=Answer)
            if answer.error is None:
                return result.decode(answer.result)
        except msgspec.MsgspecError as error:
            raise chain.ChainSilent(f"{method}: not an answer (HTTP status {response.status_code})") from error
        if answer.error.code in {INTERNAL_ERROR, LIMIT_EXCEEDED}:
            raise chain.ChainSilent(f"{method}: {answer.error.message}")
        raise Refusal(method, answer.error)


def number(quantity: str) -> int:
    """A number as JSON-RPC writes it, or a word of a log. Raises `ChainSilent` where it is none."""
    if not _QUANTITY.fullmatch(quantity):
        raise chain.ChainSilent(f"not a quantity: {quantity[:80]}")
    return int(quantity, 16)


def word(text: str) -> bytes:
    """The 32 bytes that a view returns or a log carries. Raises `ChainSilent` where it is anything else."""
    with contextlib.suppress(ValueError):
        raw = bytes.fromhex(text.removeprefix("0x"))
        if len(raw) == chain.WORD_BYTES:
            return raw
    raise chain.ChainSilent(f"not a word: {text[:80]}")
