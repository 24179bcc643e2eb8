"""Our contracts: compiled from `contracts/` when first used, and put on a chain.

A compilation takes most of a second and depends on nothing but the source and the compiler's version, so its result is kept under
a name made of both.
"""

import importlib.metadata
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from adapters.evm import transaction
from domain.value import Value

SOURCES = Path(__file__).resolve().parents[2] / "contracts"


class Contract(Value):
    """A compiled contract."""

    name: str
    bytecode: str
    """What makes it, as 0x-prefixed hex, without arguments."""
    abi: list[dict[str, Any]]


def compiled(name: str, cache: Path, sources: Path = SOURCES) -> Contract:
    """`contracts/<name>.vy`, from `cache` if this source was compiled by this compiler before.

    Blocks for about a second where it was not. Raises `FileNotFoundError` if there is no such source.
    """
    source = (sources / f"{name}.vy").read_text(encoding="utf-8")
    key = sha256(f"vyper {importlib.metadata.version('vyper')}\0{source}".encode()).hexdigest()
    kept = cache / f"{name}-{key[:32]}.json"
    try:
        return msgspec.json.decode(kept.read_bytes(), type=Contract)
    except (FileNotFoundError, msgspec.MsgspecError):
        contract = _compile(name, source)
    cache.mkdir(parents=True, exist_ok=True)
    # Whoever reads meanwhile sees a whole file or none.
    fresh = kept.with_suffix(f".{id(contract):x}.part")
    fresh.write_bytes(msgspec.json.encode(contract))
    fresh.replace(kept)
    return contract


def creation(contract: Contract, *arguments: object) -> transaction.Call:
    """The call that puts it on a chain, with the arguments of its constructor."""
    constructor: dict[str, Any] = next((part for part in contract.abi if part["type"] == "constructor"), {"inputs": []})
    kinds = [field["type"] for field in constructor["inputs"]]
    return transaction.create(contract.bytecode, kinds, arguments)


def _compile(name: str, source: str) -> Contract:
    from vyper import compile_code  # noqa: PLC0415 - 0.3 s that are needed once per source

    output = compile_code(source, output_formats=["bytecode", "abi"])
    return Contract(name, output["bytecode"], output["abi"])
