"""A bank on a ledger: python examples/bank/bank.py; `PERSISTENCE_MODULE` says on which (docs/eventsourcing.md)."""

from decimal import Decimal
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Account(Aggregate):
    @event("Opened")
    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.balance = Decimal(0)

    @event("Moved")
    def move(self, amount: Decimal) -> None:
        if self.balance + amount < 0:
            raise ValueError(f"{self.owner} has {self.balance}")
        self.balance += amount


class Bank(Application[UUID]):
    snapshotting_intervals = {Account: 10}

    def open(self, owner: str) -> UUID:
        self.save(account := Account(owner))
        return account.id

    def account(self, id: UUID) -> Account:
        found: Account = self.repository.get(id)
        return found

    def pay_in(self, id: UUID, amount: Decimal) -> None:
        account = self.account(id)
        account.move(amount)
        self.save(account)

    def transfer(self, payer: UUID, payee: UUID, amount: Decimal) -> None:
        """Both accounts in one command, of one block: both or neither."""
        one, other = self.account(payer), self.account(payee)
        one.move(-amount)
        other.move(amount)
        self.save(one, other)


def main() -> None:
    with Bank() as bank:
        before = bank.recorder.max_notification_id() or 0
        ann, bob = bank.open("Ann"), bank.open("Bob")
        bank.pay_in(ann, Decimal(100))
        for _ in range(12):
            bank.transfer(ann, bob, Decimal("2.50"))
        told = [f"{account.owner} {account.balance}" for account in map(bank.account, (ann, bob))]
        print(*told, f"{(bank.recorder.max_notification_id() or 0) - before} events", sep=", ")


if __name__ == "__main__":
    main()
