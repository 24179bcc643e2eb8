"""A ledger with its first block, and commands for it."""

from hashlib import sha256
from uuid import UUID

from domain.accounts import Asset
from domain.body import Body
from domain.house.genesis import Founder, Init
from domain.ids import AccountId, Actor, LogId
from domain.log.block import Sealed
from domain.log.ledger import Ledger
from domain.log.log import Log
from domain.log.merkle import Head
from domain.log.receipts import Ask
from domain.treasury import account, deposit
from domain.treasury.account import DAEMONS
from domain.units import Units
from tests.contracts.log import everything

LOG = LogId("a" * 32)
START = Head(LOG)
NOW_US = 1_800_000_000_000_000
"""When the ledgers of these tests begin."""
USDC = Asset("usdc")
WATCH = AccountId(Actor("account-5"))
"""The first of the daemons: after the two events of the ledger, and two admins."""


def founder(name: str) -> Founder:
    digest = sha256(name.encode()).hexdigest()
    return Founder(digest, f"0x{digest[:40]}")


def init(log: LogId = LOG) -> Init:
    from domain.house.genesis import FirstAsset, FirstEngine

    admins = founder("admin 1"), founder("admin 2")
    assets = (FirstAsset(USDC, 6, 31337, f"0x{'1' * 40}", f"0x{'2' * 40}"),)
    engines = (FirstEngine("mitsuba", "mitsuba-3", ("mitsuba-3/cpu",), 1_000, 4, 100),)
    return Init(log, "memory", "demo", admins, tuple(founder(role) for role in DAEMONS), assets, engines)


def opened() -> tuple[Ledger, Sealed]:
    ledger = Ledger(START)
    return ledger, ledger.genesis(init(), NOW_US)


async def begin(log: Log) -> None:
    """The first block, as `gridledger init` writes it."""
    await log.append(opened()[1])


def replayed(*records: bytes) -> Ledger:
    ledger = Ledger(START)
    for record in records:
        ledger.fold(record)
    return ledger


async def replay(log: Log) -> Ledger:
    return replayed(*await everything(log))


def uuid7(at_us: int, n: int = 0) -> str:
    return str(UUID(int=(at_us // 1000 << 80) | 0x7 << 76 | 0x2 << 62 | n))


def key_of(n: int) -> Actor:
    return Actor(f"key-{sha256(b'%d' % n).hexdigest()}")


def opening(n: int, at_us: int = NOW_US, command: Body | None = None) -> Ask:
    """Person number `n` opens an account."""
    command = command or account.Open(roles=("creator",))
    return Ask.keyed(key_of(n), uuid7(at_us, n), command, b"POST /v1/accounts\0" + command.model_dump_json().encode())


def seen(n: int, of: AccountId, amount: int = 10_000_000) -> Ask:
    """Deposit number `n` was mined."""
    tx = f"0x{n:064x}"
    command = deposit.See(account=of, asset=USDC, tx=tx, log_index=0, block=n + 1, amount=Units(amount))
    return Ask.about(WATCH, f"see/{tx}/0", command, account=WATCH)


def final(n: int) -> Ask:
    tx = f"0x{n:064x}"
    return Ask.about(WATCH, f"finalise/{tx}/0", deposit.Finalise(tx=tx, log_index=0, block=n + 1), account=WATCH)
