"""Money: entries as their events make them, balances from entries alone, and what must hold of them after every event."""

from collections import defaultdict
from collections.abc import Mapping

from auditor.report import Findings
from domain.accounts import Account
from domain.event import Event, Recorded
from domain.units import Units
from domain.work import job

NEVER_OWED = ("1110.treasury", "1120.inbound", "5110.gas")
"""Debit accounts that cannot be below zero; 1140 may be, from a batch's block to its finality."""


class Books:
    """Balances by account, debits minus credits; and of each job's escrow, all its accounts together."""

    def __init__(self, findings: Findings, balances: Mapping[Account, Units]) -> None:
        """`balances` are those at the beginning; they are copied."""
        self._findings = findings
        self.balances = {str(account): int(amount) for account, amount in balances.items()}
        self._escrow: dict[str, int] = defaultdict(int)
        for account, amount in self.balances.items():
            self._add_escrow(account.partition(":")[2], amount)

    def take(self, it: Recorded[Event]) -> None:
        findings = self._findings
        findings.seen["entries"] += 1
        expected = it.event.entry()
        if it.entry != expected:
            findings.found("entries", "the entry is not what the event makes it", it.pos, expected=expected, actual=it.entry)
        sums: dict[str, int] = {}
        for account, amount in it.entry:
            asset, _, name = account.partition(":")
            sums[asset] = sums.get(asset, 0) + amount
            balance = self.balances.get(account, 0) + amount
            if balance:
                self.balances[account] = balance
            else:
                self.balances.pop(account, None)
            self._add_escrow(name, amount)
            self._bound(it.pos, account, name, balance)
        if any(sums.values()):
            findings.found("entries", "the entry does not balance", it.pos, expected="0", actual=sums)
        if isinstance(it.event, job.Closed | job.Archived) and (left := self._escrow.get(it.event.job, 0)):
            findings.found("balances", f"the escrow of {it.event.job} is not empty at its end", it.pos, expected="0", actual=-left)

    def _add_escrow(self, name: str, amount: int) -> None:
        """Of a job, which has nothing once it is over."""
        if name.startswith("2120."):
            of = name.split(".")[2].partition("/")[0]
            self._escrow[of] += amount
            if not self._escrow[of]:
                del self._escrow[of]

    def _bound(self, pos: int, account: str, name: str, balance: int) -> None:
        self._findings.seen["balances"] += 1
        if balance > 0 and name.startswith("2"):
            self._findings.found("balances", f"{account} is overdrawn", pos, expected="0 or more", actual=-balance)
        if balance < 0 and name.startswith(NEVER_OWED):
            self._findings.found("balances", f"{account} is below zero", pos, expected="0 or more", actual=balance)

    def finish(self) -> None:
        """At the end: all accounts of an asset together."""
        for asset, sum_ in self.trial_balance().items():
            if sum_:
                self._findings.found("balances", f"the trial balance of {asset} is not zero", expected="0", actual=sum_)

    def trial_balance(self) -> dict[str, int]:
        sums: dict[str, int] = defaultdict(int)
        for account, balance in self.balances.items():
            sums[account.partition(":")[0]] += balance
        return dict(sums)
