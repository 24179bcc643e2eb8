"""The people of the demo: each with an account, keys and money of his own, and nothing but the public API and the chain."""

import os
from pathlib import Path

from adapters import signer
from adapters.client import Client, signing
from adapters.evm.anvil import Anvil
from adapters.evm.node import Node
from adapters.evm.wallet import Wallet
from adapters.files import home
from adapters.signer import Signer
from demo.feed import Feed
from domain import body
from domain.accounts import USDC
from domain.event import Event
from domain.ids import NO_ACCOUNT, NO_WORKER, LogId
from domain.log import wire
from domain.log.answers import Answer
from domain.market import bid, worker
from domain.treasury import account, payout, stake
from domain.units import Units

UNSIGNED = "0x" + "00" * 65
PATIENCE_S = 60.0
"""People ask again for longer than a server takes to come back."""

COUNTRIES = {"cheat": "BR", "slow": "CA", "fast": "CH", "checker-1": "NO", "checker-2": "KE", "checker-3": "NZ"}
"""What the owners say, so that the map has something to show: all of them run here. One says nothing, as anybody may."""


class Network:
    """What everybody knows: where the server and the chain are."""

    def __init__(self, server: str, anvil: Anvil, log: LogId, chain_id: int, treasury: str, token: str) -> None:
        self.server, self.anvil, self.log, self.chain_id = server, anvil, log, chain_id
        self.node = Node(anvil.url)
        self.treasury, self.token = treasury, token


class Person:
    """Somebody with an account. `name` is what the demo calls him."""

    def __init__(self, network: Network, name: str, folder: Path) -> None:
        self.network, self.name, self.folder = network, name, folder
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        self.secret = home.secret()
        private(folder / "api.key", self.secret)
        self.owner, self.agent = signer.create(folder / "owner.key"), signer.create(folder / "agent.key")
        self.client = Client(network.server, self.secret, patience_s=PATIENCE_S)
        self.account = NO_ACCOUNT
        self.worker = NO_WORKER
        self.numbers = {"stake": 0, "payout": 0}

    def signed(self, command: body.Body, key: Signer) -> body.Body:
        """The command with its claim's signature."""
        claim = command.claim(self.account)
        assert claim is not None
        return command.model_copy(update={"signature": signing(key, self.network.log, self.network.chain_id)(claim)})

    async def join(self, role: str) -> None:
        """Open an account, and register keys and a payout address."""
        opened = first(await self.client.ask("/v1/accounts", account.Open(roles=(role,))))
        assert isinstance(opened, account.Opened)
        self.account = opened.account
        keys = (
            account.SigningKey(alg="eip712", key=self.owner.address, purpose="owner"),
            account.SigningKey(alg="eip712", key=self.agent.address, purpose="agent"),
        )
        await self.client.ask("/v1/me/account", account.Change(keys_added=keys, payout_address=self.owner.address))

    async def deposit(self, amount: int) -> None:
        """On the chain, through the treasury contract; the ledger hears of it from the watch."""
        await self.network.anvil.fund(self.owner.address)
        wallet = Wallet(self.network.node, self.owner)
        await wallet.deposit(self.network.treasury, self.network.token, self.account, amount, mint=True)

    async def lock(self, amount: int) -> None:
        self.numbers["stake"] += 1
        command = stake.Lock(asset=USDC, amount=Units(amount), number=self.numbers["stake"], signature=UNSIGNED)
        await self.client.ask("/v1/stakes/lock", self.signed(command, self.owner))

    async def register(self, kind: worker.Kind, cls: str) -> None:
        command = worker.Register(kind=kind, classes=(cls,), country=COUNTRIES.get(self.name, ""))
        registered = first(await self.client.ask("/v1/workers", command))
        assert isinstance(registered, worker.Registered)
        self.worker = registered.worker

    async def bid(self, cls: str, price_per_kwu: int) -> None:
        facts = {"worker": self.worker, "class": cls, "price_per_kwu": Units(price_per_kwu), "number": 1, "signature": UNSIGNED}
        await self.client.ask(f"/v1/workers/{self.worker}/bid", self.signed(bid.Bid.model_validate(facts), self.agent))

    async def payout(self, kind: payout.Kind, amount: Units) -> None:
        self.numbers["payout"] += 1
        facts = payout.Request(
            asset=USDC, kind=kind, to=self.owner.address, amount=amount, number=self.numbers["payout"], signature=UNSIGNED
        )
        await self.client.ask("/v1/payouts", self.signed(facts, self.owner))

    def configuration(self, kind: str, cls: str, own_accounts: list[str], **more: str | int) -> Path:
        """The agent's one file, as its owner would write it."""
        facts: dict[str, str | int] = {
            "server": self.network.server,
            "log": self.network.log,
            "chain_id": self.network.chain_id,
            "worker": self.worker,
            "account": self.account,
            "class": cls,
            "kind": kind,
            "api_key": self.secret,
            "signing_key_file": str(self.folder / "agent.key"),
            **more,
        }
        lines = [f"{name} = {value}" if isinstance(value, int) else f'{name} = "{value}"' for name, value in facts.items()]
        lines.append(f"own_accounts = {own_accounts}".replace("'", '"'))
        return private(self.folder / "worker.toml", "\n".join(lines))


def private(file: Path, text: str) -> Path:
    """Writes a file for its owner alone."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(f"{text}\n")
    return file


def first(answer: Answer) -> Event:
    return wire.event(answer.events[0]).event


def payable(feed: Feed, person: Person, kind: payout.Kind) -> Units:
    """What the log says is payable to him, summed from its entries."""
    where = payout.source(USDC, person.account, kind)
    return Units(-sum(amount for each in feed.events for at, amount in each.entry if at == where))
