"""The reference ledger, concluded: stakes, the pool, deposits, payouts and batches, and what the chain holds (`stake`, `pool`, `deposit`,
`payout`, `batch`, `chain`)."""

from collections import Counter
from typing import Any

from tests.simulator.chain import Chain, decode
from tests.simulator.judges.draws import Draws
from tests.simulator.judges.reference import Line, require

SOURCES = {"worker": "2220.payable", "checker": "2250.checker-payable", "customer": "2110.available"}


class Book(Draws):
    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self.chain = chain
        self.deposits, self.payouts, self.batches = dict[str, Line](), dict[str, Line](), dict[str, Line]()
        self.signed = dict[str, str]()
        """Signed bytes of every transaction that the log has, by hash."""
        self.nonces = dict[int, str]()
        self.paid = dict[str, int]()
        """Final payouts, with their amounts."""
        self.final_deposits = set[str]()
        self.epoch_us = 0
        self.payable_us = dict[str, int]()
        """Since when somebody has enough for a payout."""
        self.frozen = False
        self.counts = Counter[str]()
        self.told = 0
        self.lawful = self._lawful

    def _lawful(self, timestamp_s: int) -> Any:
        block = next(mined.block for mined in self.chain.blocks if mined.block.timestamp_s >= timestamp_s)
        return block, len(self.chain.blocks) - 1 - block.number

    def final(self) -> int:
        return len(self.chain.blocks) - 1 - int(self.policy["finality_blocks"])

    def settled(self) -> dict[str, int]:
        """How much came to an end, by kind."""
        return dict(sorted((self.outcomes + self.counts).items()))

    def take(self, line: Line, writer: str) -> None:
        super().take(line, writer)
        least = int(self.policy.get("payout_min", 1))
        for owner in {account.rpartition(".")[2] for account, _ in line.get("entry", []) if account[5:9] in {"2220", "2250"}}:
            if any(self.credit(f"usdc:{SOURCES[kind]}.{owner}") >= least for kind in ("worker", "checker")):
                self.payable_us.setdefault(owner, self.at_us)
            else:
                self.payable_us.pop(owner, None)

    # Stakes and the pool.

    def stake_unlocking(self, event: Line, line: Line) -> None:
        self.due["unlock", event["account"]] = event["available_us"]

    def stake_released(self, event: Line, line: Line) -> None:
        self.on_time("unlock", event["account"], line["at_us"])

    def stake_slashed(self, event: Line, line: Line) -> None:
        penalty, owner = int(event["gross"]) * 1_000_000 // event["p_ppm"], event["account"]
        from_stake = min(penalty, self.credit(f"usdc:2310.stake.{owner}"))
        require(int(event["from_stake"]) == from_stake, "stake", f"{owner} loses {event['from_stake']}, not {from_stake}")
        for part in event["taken"]:
            self.shares[part["task"]]["worker"] -= int(part["amount"])
        left = penalty - from_stake - int(event["from_accrued"]) - int(event["shortfall"])
        require(not left, "stake", f"{left} of the penalty of {owner} are missing")
        self.counts["convictions"] += 1

    def pool_distributed(self, event: Line, line: Line) -> None:
        require(line["at_us"] >= event["epoch_us"], "early", f"the pool was distributed at {line['at_us']}")
        paid = sum(int(each["amount"]) for each in event["lines"])
        require(paid <= self.credit("usdc:2245.pool"), "pool", f"the pool holds less than {paid}")
        wrongly = [each["account"] for each in event["lines"] if each["account"] not in self.claimants]
        require(not wrongly, "pool", f"{wrongly} have checked nothing since they were paid last")
        self.claimants.clear()
        require(event["epoch_us"] > self.epoch_us, "pool", f"the epoch of {event['epoch_us']} is paid already")
        self.epoch_us = event["epoch_us"]

    # Deposits.

    def deposit_seen(self, event: Line, line: Line) -> None:
        ref = f"{event['tx']}/{event['log_index']}"
        require(ref not in self.deposits, "deposit", f"{ref} is seen twice")
        self.deposits[ref] = event

    def deposit_finalised(self, event: Line, line: Line) -> None:
        ref = f"{event['tx']}/{event['log_index']}"
        require(self.deposits.pop(ref, None), "deposit", f"{ref} was not seen")
        logs = [log for log in self.chain.state().deposits if (log.tx, log.log_index) == (event["tx"], event["log_index"])]
        found = logs and (logs[0].block, logs[0].amount) == (event["block"], int(event["amount"]))
        require(found and event["block"] <= self.final(), "deposit", f"{ref} of block {event['block']} is not final")
        require(not event["credited"] or logs[0].account == event["account"], "deposit", f"{ref} is credited to {event['account']}")
        self.final_deposits.add(ref)
        self.counts["deposits"] += 1

    def unheard(self) -> list[str]:
        """Deposits on the chain that the ledger does not have as final."""
        return [ref for log in self.chain.state().deposits if (ref := f"{log.tx}/{log.log_index}") not in self.final_deposits]

    def deposit_orphaned(self, event: Line, line: Line) -> None:
        require(self.deposits.pop(f"{event['tx']}/{event['log_index']}", None), "deposit", "an orphan was not seen")
        self.counts["orphans"] += 1

    # Payouts.

    def override_applied(self, event: Line, line: Line) -> None:
        self.frozen = event["action"] == "freeze"

    def payout_requested(self, event: Line, line: Line) -> None:
        person = self.people[event["account"]]
        require(not self.frozen, "payout", f"{event['payout']} is asked for while money is frozen")
        require(event["number"] == person["payouts"] + 1, "payout", f"{event['payout']} has the number {event['number']} again")
        person["payouts"] = event["number"]
        has = self.credit(f"usdc:{SOURCES[event['kind']]}.{event['account']}")
        require(has >= int(event["amount"]) and event["to"] == person["address"], "payout", f"{event['payout']} of {event['amount']}")
        if line["by"] == "house":
            day_us, since_us = self.policy["payday_us"], self.payable_us[event["account"]]
            require(line["at_us"] // day_us > since_us // day_us, "early", f"{event['payout']} is before its day")
        self.payouts[event["payout"]] = {"amount": int(event["amount"]), "to": event["to"], "status": "requested"}

    def payout_cancelled(self, event: Line, line: Line) -> None:
        require(self.payouts.pop(event["payout"])["status"] == "requested", "payout", f"{event['payout']} is signed and cancelled")
        self.counts["payouts cancelled"] += 1

    def batch_signed(self, event: Line, line: Line) -> None:
        tx, id, nonce = decode(event["raw_tx"]), event["batch"], event["nonce"]
        require(not self.frozen, "batch", f"{id} is signed while money is frozen")
        before = self.batches.get(id)
        lawful = self.nonces.get(nonce) == id if before else nonce not in self.nonces and nonce == len(self.nonces)
        require(lawful, "batch", f"{id} has the nonce {nonce} of {self.nonces.get(nonce)}")
        self.nonces[nonce] = id
        require((tx.nonce, tx.hash) == (nonce, event["tx_hash"]), "batch", f"the bytes of {id} are others than it says")
        items = [(item.payout, item.to, item.amount) for item in tx.items]
        known = [(each, it["to"], it["amount"]) for each in event["payouts"] if (it := self.payouts.get(each))]
        require(items == known and len(known) == len(event["payouts"]), "batch", f"the bytes of {id} pay {items}, not {known}")
        require(not before or before["payouts"] == event["payouts"], "batch", f"{id} pays others than before")
        for each in event["payouts"]:
            status = self.payouts[each]["status"]
            require(status == ("signed" if before else "requested"), "batch", f"{each} is {status} and signed in {id}")
            self.payouts[each]["status"] = "signed"
        self.signed[tx.hash] = event["raw_tx"]
        self.batches[id] = {"payouts": event["payouts"], "txs": [*(before["txs"] if before else ()), tx.hash], "status": "signed"}

    def batch_mined(self, event: Line, line: Line) -> None:
        self._in_batch(event, "signed", "mined")

    def batch_unmined(self, event: Line, line: Line) -> None:
        self._in_batch(event, "mined", "signed")
        self.counts["batches unmined"] += 1

    def batch_finalised(self, event: Line, line: Line) -> None:
        self._in_batch(event, "mined", "final")
        del self.batches[event["batch"]]
        require(event["block"] <= self.final(), "batch", f"{event['batch']} of block {event['block']} is not final")
        logs = {log.payout: log for log in self.chain.state().payouts if log.tx == event["tx_hash"] and log.block == event["block"]}
        for each in (*event["paid"], *event["failed"]):
            log, it, paid = logs.get(each["payout"]), self.payouts.pop(each["payout"]), each in event["paid"]
            good = log is not None and (log.ok, log.to, log.amount) == (paid, it["to"], it["amount"])
            require(good or (log is None and not paid), "batch", f"{each['payout']} is {'paid' if paid else 'failed'}, and on chain {log}")
            self.counts["payouts paid" if paid else "payouts failed"] += 1
            if paid:
                self.paid[each["payout"]] = int(each["amount"])

    def _in_batch(self, event: Line, before: str, after: str) -> None:
        it = self.batches[event["batch"]]
        named = sorted(each["payout"] for each in (*event["paid"], *event["failed"]))
        fits = it["status"] == before and named == sorted(it["payouts"]) and event["tx_hash"] in it["txs"]
        require(fits, "batch", f"{event['batch']} is {it['status']} and becomes {after} with {named}")
        it["status"] = after

    # The chain.

    def look_at_chain(self) -> None:
        """After each of its blocks: nothing is on it that the log did not have before, and nobody was paid twice."""
        for tx, raw in self.chain.sends[self.told :]:
            require(self.signed.get(tx) == raw, "chain", f"{tx} was sent, and its bytes are not in the log")
        self.told = len(self.chain.sends)
        good = Counter(log.payout for log in self.chain.state().payouts if log.ok)
        require(all(count == 1 for count in good.values()), "chain", f"paid more than once: {good.most_common(1)}")

    def conclude(self) -> None:
        """At the end, when all is final."""
        logs = {log.payout: log.amount for log in self.chain.state().payouts if log.ok}
        require(logs == self.paid, "chain", f"the chain paid {len(logs)} payouts and the ledger {len(self.paid)}")
        treasury, held = self.balances["usdc:1110.treasury"], self.chain.state().held
        require(treasury == held, "chain", f"the treasury holds {held}, in the ledger {treasury}")
