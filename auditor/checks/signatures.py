"""Signatures: who signed what an event claims, recovered from the event alone, against the keys of the account at that position.

The digest is computed here from EIP-712 itself (https://eips.ethereum.org/EIPS/eip-712), for the one shape that claims have: strings and
integers, and a domain of name, version, chain and salt. The tests hold it equal to eth-account's, which takes longer to import than most
logs to verify.
"""

from functools import cache, lru_cache

import coincurve
from Crypto.Hash import keccak as _keccak

from auditor.report import Findings
from auditor.state import State
from domain.event import Event, Recorded
from domain.house import override
from domain.market import bid
from domain.proof import proof, verdict
from domain.signing import Claim
from domain.treasury import account, payout, stake
from domain.world import World

REMEMBERED = 1 << 11
"""Digests and recovered keys: whoever verifies a log again, or a forged one beside it, meets the same ones."""
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Signatures:
    """That nobody signs twice is told by what he signs: a number, a fence, a round that the world knows to be over. Only what two admins
    do has none of them, and is remembered."""

    def __init__(self, findings: Findings, state: State) -> None:
        self._findings, self._state = findings, state

    def take(self, it: Recorded[Event], world: World) -> tuple[str, str]:
        """(signer, approver) as the ledger must have seen them; for a signature that does not hold, whom it pretends to be by, so that
        what follows is judged on its own."""
        signers = dict[bool, str]()
        for claim in it.event.claims():
            self._findings.seen["signatures"] += 1
            signers[_is_approval(it.event)] = self._check(it, claim, world)
        return signers.get(False, ""), signers.get(True, "")

    def _check(self, it: Recorded[Event], claim: Claim, world: World) -> str:
        chain_id = next(iter(world.assets.values())).chain_id if world.assets else 0
        signer = recover(digest(world.log, chain_id, claim), claim.signature)
        keys = world.people[claim.account].keys if claim.account in world.people else {}
        lawful = [
            id for id, key in keys.items() if key.alg == "eip712" and key.purpose == claim.purpose and not 0 < key.expires_us <= it.at_us
        ]
        if signer not in lawful:
            expected = f"an {claim.purpose} key of {claim.account}: {', '.join(lawful) or 'it has none'}"
            self._findings.found(
                "signatures", f"{claim.kind} is signed by no such key", it.pos, expected=expected, actual=signer or "no key"
            )
        elif before := self._used(it.event, claim):
            message = f"{claim.kind}: this signature was used {before}"
            self._findings.found("signatures", message, it.pos, actual=claim.signature)
        return signer if signer in lawful else next(iter(lawful), "")

    def _used(self, event: Event, claim: Claim) -> str:
        """When a signature like this was used, if it was."""
        world = self._state.world
        if at := self._state.approved.get(claim.signature):
            return f"at position {at}"
        if isinstance(event, proof.Committed):
            of = world.tasks.get(event.task)
            over = of is not None and of.fence == event.fence and of.proof is not None
            return "for the proof of this attempt" if over and not event.late else ""
        if isinstance(event, verdict.Committed):
            judged = event.audit in world.audits and event.checker in world.audits[event.audit].seals
            return "for the seal of this checker" if judged else ""
        number, last = dict(claim.fields).get("number", 0), _last(event, world)
        return f"with number {number}, the last one is {last}" if isinstance(number, int) and 0 < number <= last else ""


def _last(event: Event, world: World) -> int:
    """The number that was last signed for what the event is about."""
    match event:
        case bid.Set():
            return world.workers[event.worker].bids if event.worker in world.workers else 0
        case stake.Locked() | stake.Unlocking():
            return world.people[event.account].stakes if event.account in world.people else 0
        case payout.Requested():
            return world.people[event.account].payouts if event.account in world.people else 0
        case override.Applied():
            return world.overrides
        case _:
            return 0


def _is_approval(event: Event) -> bool:
    return hasattr(event, "approval") or isinstance(event, account.Changed)


def keccak(data: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it, which is not SHA3-256."""
    return _keccak.new(digest_bits=256, data=data).digest()


@lru_cache(REMEMBERED)
def digest(log: str, chain_id: int, claim: Claim) -> bytes:
    """The 32 bytes that were signed."""
    kinds = tuple((name, "uint256" if isinstance(value, int) else "string") for name, value in claim.fields)
    words = b"".join(_word(value) for _, value in claim.fields)
    return keccak(b"\x19\x01" + _domain(log, chain_id) + keccak(_type_hash(claim.kind, kinds) + words))


@lru_cache(REMEMBERED)
def recover(hashed: bytes, signature: str) -> str:
    """The address of the key that made the signature, lower-case; empty if it is not one in its one canonical form."""
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
    except ValueError:
        return ""
    if len(raw) != 65 or raw[64] not in {27, 28} or not 0 < int.from_bytes(raw[32:64], "big") <= CURVE_ORDER // 2:
        return ""
    try:
        key = coincurve.PublicKey.from_signature_and_message(raw[:64] + bytes([raw[64] - 27]), hashed, hasher=None)
    except Exception:
        return ""
    return "0x" + keccak(key.format(compressed=False)[1:])[-20:].hex()


def _word(value: str | int) -> bytes:
    return value.to_bytes(32, "big") if isinstance(value, int) else keccak(value.encode())


@cache
def _type_hash(kind: str, fields: tuple[tuple[str, str], ...]) -> bytes:
    return keccak(f"{kind}({','.join(f'{type_} {name}' for name, type_ in fields)})".encode())


@cache
def _domain(log: str, chain_id: int) -> bytes:
    fields = (("name", "string"), ("version", "string"), ("chainId", "uint256"), ("salt", "bytes32"))
    salt = bytes.fromhex(log).ljust(32, b"\0")
    return keccak(_type_hash("EIP712Domain", fields) + keccak(b"Gridledger") + keccak(b"1") + chain_id.to_bytes(32, "big") + salt)
