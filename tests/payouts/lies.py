"""Lies: for each, the questions of JSON-RPC that are answered wrongly, and how."""

from typing import Any

from tests.payouts.provider import Lie


def other_hash(block: Any) -> Any:
    return block and {**block, "hash": block["hash"][:-1] + ("0" if block["hash"][-1] != "0" else "1")}


def failed(receipt: Any) -> Any:
    return receipt and {**receipt, "status": "0x0"}


def twice_as_much(logs: Any) -> Any:
    return [{**log, "data": f"0x{2 * int(log['data'], 16):064x}"} for log in logs]


def one_more(quantity: Any) -> Any:
    return hex(int(quantity, 16) + 1)


LIES: dict[str, dict[str, Lie]] = {
    "blocks have other hashes": {"eth_getBlockByNumber": other_hash},
    "there are no receipts": {"eth_getTransactionReceipt": lambda _: None},
    "batches reverted": {"eth_getTransactionReceipt": failed},
    "there are no logs": {"eth_getLogs": lambda _: []},
    "logs are told twice": {"eth_getLogs": lambda logs: logs + logs},
    "amounts are doubled": {"eth_getLogs": twice_as_much},
    "nonces are used": {"eth_getTransactionCount": one_more},
    "the treasury is rich": {"eth_call": lambda word: "0x" + "0" * 40 + "f" * 24},
}
