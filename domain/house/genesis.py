"""The first block: the log's name and home, the people it begins with, and what the house goes by."""

from collections.abc import Iterator

from domain.accounts import Asset
from domain.event import Event, Origin
from domain.house import ledger, rules
from domain.ids import LogId, account_id
from domain.policy import POLICIES
from domain.treasury.account import DAEMONS, SCOPES, KeyLine, Opened
from domain.value import Value
from domain.world import World

FORMAT = 1
OFFICERS = ("admin", "finance", "operator")


class Founder(Value):
    """One of the first accounts: an admin or a daemon, by its keys. `api_key` is a secret's SHA-256, `address` signs."""

    api_key: str
    address: str


class FirstAsset(Value):
    asset: Asset
    decimals: int
    chain_id: int
    contract: str
    treasury: str


class FirstEngine(Value):
    engine: str
    build: str
    classes: tuple[str, ...]
    bench_wu_milli: int
    bench_tiles: int
    wu_milli_per_msample: int


class Init(Value):
    """Begin a ledger. Accepted on an empty log only."""

    log: LogId
    home: str
    policy: str
    admins: tuple[Founder, Founder]
    daemons: tuple[Founder, ...]
    """In the order of `DAEMONS`."""
    assets: tuple[FirstAsset, ...]
    engines: tuple[FirstEngine, ...]

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        assert origin.pos == 1, "a ledger begins once"
        yield ledger.Opened(self.log, FORMAT, tuple(asset.asset for asset in self.assets), self.policy)
        yield ledger.Bound(self.home)
        for admin in self.admins:
            yield Opened(account_id(world.pos + 1), "person", OFFICERS, "", self._keys(admin, SCOPES))
        for role, daemon in zip(DAEMONS, self.daemons, strict=True):
            yield Opened(account_id(world.pos + 1), "daemon", (role,), "", self._keys(daemon, ("office",)))
        yield rules.PolicyAdopted(self.policy, POLICIES[self.policy], origin.at_us, "", "")
        for it in self.assets:
            yield rules.AssetListed(it.asset, it.decimals, it.chain_id, it.contract, it.treasury, "", "")
        for each in self.engines:
            facts = each.bench_wu_milli, each.bench_tiles, each.wu_milli_per_msample
            yield rules.EngineRegistered(each.engine, each.build, each.classes, *facts, "", "")

    def _keys(self, founder: Founder, scopes: tuple[str, ...]) -> tuple[KeyLine, ...]:
        return (KeyLine(founder.api_key, "api", "api", scopes), KeyLine(founder.address, "eip712", "owner"))
