"""What people sign, as EIP-712 typed data (https://eips.ethereum.org/EIPS/eip-712). Plain values here; keys and curves are elsewhere.

A claim's message is made of strings and integers that stand in the event, so that whoever has the log can rebuild it, recover the
signer's address and compare it with the keys that the account had then. The domain separator binds a signature to one log and chain.
"""

from typing import Any, Literal

from domain.ids import AccountId, LogId
from domain.value import Value

Purpose = Literal["owner", "agent"]
"""`owner` keys move money; `agent` keys bid, prove and judge."""


class Claim(Value):
    """One signed statement."""

    kind: str
    """The primary type, e.g. `Bid`."""
    fields: tuple[tuple[str, str | int], ...]
    """In signing order: strings become `string`, integers `uint256`."""
    account: AccountId
    """Whose key must have signed."""
    purpose: Purpose
    signature: str
    """65 bytes r ‖ s ‖ v as 0x-prefixed hex."""


def typed_data(log: LogId, chain_id: int, claim: Claim) -> dict[str, Any]:
    """The claim as the JSON document of EIP-712 (`eth_signTypedData_v4`)."""
    types = [{"name": name, "type": "uint256" if isinstance(value, int) else "string"} for name, value in claim.fields]
    return {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "salt", "type": "bytes32"},
            ],
            claim.kind: types,
        },
        "primaryType": claim.kind,
        "domain": {"name": "Gridledger", "version": "1", "chainId": chain_id, "salt": "0x" + log.ljust(64, "0")},
        "message": dict(claim.fields),
    }
