"""A whole network without I/O: a ledger, people with real keys, agents that render tiny tiles, a chain of hashes. Drives every trade.

`Network` does single things; `life()` is the scripted life of one job: deposits, benches, leases, a cheat convicted, a worker that never
replies, audits, payouts. Times are ledger times; nothing here waits.
"""

import struct
from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID

from adapters import signer
from adapters.signer import Signer
from domain import accounts
from domain.accounts import USDC
from domain.body import Body
from domain.event import Event, Recorded
from domain.house.genesis import FirstAsset, FirstEngine, Founder, Init
from domain.ids import AccountId, Actor, AuditId, JobId, LogId, PayoutId, TaskId, WorkerId
from domain.log import wire
from domain.log.ledger import Ledger
from domain.log.merkle import Head
from domain.log.receipts import Ask
from domain.market import bid, worker
from domain.parts import Task
from domain.policy import Policy
from domain.proof import beacon, comparator, proof, verdict
from domain.signing import Claim, typed_data
from domain.treasury import account, anchor, batch, deposit, payout, stake
from domain.treasury.account import DAEMONS
from domain.units import Units
from domain.work import job, tiles
from domain.world import World

LOG, NOW_US = LogId("a" * 32), 1_800_000_000_000_000
CHAIN_ID, TOKEN, TREASURY = 31337, "0x" + "1" * 40, "0x" + "2" * 40
ENGINE, BUILD, CLASS = "mitsuba", "mitsuba-3.9.1", "mitsuba-3.9.1/cpu"
DUMMY = "0x" + "00" * 65
Populated = tuple["Network", AccountId, dict[str, WorkerId]]
SIZE, GRID, GROUP, SAMPLES = (16, 16), (4, 4), 4, 14_400


def key(n: int) -> Signer:
    """Person number `n`'s signing key."""
    return Signer(sha256(b"key %d" % n).digest())


def block_hash(number: int) -> str:
    return "0x" + sha256(b"block %d" % number).hexdigest()


class Network:
    """One ledger and everybody around it. Each method returns the events that it brought about."""

    def __init__(self, policy: str = "demo", *, signs: bool = True) -> None:
        self.ledger, self.records, self.events = Ledger(Head(LOG)), list[bytes](), list[Recorded[Event]]()
        self.now_us, self.signs, self._n = NOW_US, signs, 0
        self.objects: dict[str, bytes] = {}
        self.signers: dict[AccountId, Signer] = {}
        self.agents: dict[AccountId, Signer] = {}
        admins = (self._founder(1), self._founder(2))
        daemons = tuple(self._founder(3 + n) for n in range(len(DAEMONS)))
        asset = (FirstAsset(USDC, 6, CHAIN_ID, TOKEN, TREASURY), FirstAsset(accounts.ETH, 18, CHAIN_ID, "0x" + "0" * 40, TREASURY))
        engine = (FirstEngine(ENGINE, BUILD, (CLASS,), 1_500, 4, 760),)
        self._keep(self.ledger.genesis(Init(LOG, "memory", policy, admins, daemons, asset, engine), self.now_us).record)
        for n, person in enumerate(self.world.people.values(), 1):
            self.signers[person.id] = key(n)

    def _founder(self, n: int) -> Founder:
        return Founder(sha256(b"secret %d" % n).hexdigest(), key(n).address)

    @property
    def world(self) -> World:
        return self.ledger.world

    @property
    def policy(self) -> Policy:
        return self.ledger.world.policy

    def daemon(self, role: str) -> AccountId:
        return next(person.id for person in self.world.people.values() if role in person.roles)

    def _keep(self, record: bytes) -> list[Recorded[Event]]:
        self.records.append(record)
        lines = record.split(b"\n")[1:-1]
        fresh = [wire.event(line) for line in lines]
        self.events += fresh
        return fresh

    def seal(self) -> list[Recorded[Event]]:
        """The house has its turn, and the block is in the log."""
        sealed = self.ledger.seal(self.now_us)
        return self._keep(sealed.record) if sealed else []

    def wait(self, us: int) -> list[Recorded[Event]]:
        """Time passes, and the house does what falls due."""
        self.now_us += us
        return self.seal()

    def do(self, actor: Actor, command: Body, of: AccountId | None = None, *, keyed: bool = False) -> list[Recorded[Event]]:
        """One command in a block of its own. Raises `Refused`."""
        owner = of or AccountId(actor)
        claim = command.claim(owner)
        second = command.countersigned()
        signer_ = self._recover(claim) if claim else ""
        approver = self._recover(second) if second else ""
        self._n += 1
        self.now_us += 1_000
        if keyed:
            id = str(UUID(int=(self.now_us // 1000 << 80) | 0x7 << 76 | 0x2 << 62 | self._n))
            ask = Ask.keyed(actor, id, command, command.model_dump_json().encode(), account=owner, signer=signer_, approver=approver)
        else:
            ask = Ask.about(actor, f"{self._n}", command, account=owner, signer=signer_, approver=approver)
        self.ledger.decide(ask, self.now_us)
        return self.seal()

    def _recover(self, claim: Claim) -> str:
        """Who signed; without real signatures, whose claim it is."""
        if self.signs:
            return signer.recover_typed(typed_data(LOG, CHAIN_ID, claim), claim.signature)
        keys = self.signers if claim.purpose == "owner" else self.agents
        return keys[claim.account].address if claim.account in keys else ""

    def signed(self, command: Body, owner: AccountId) -> Body:
        """The command with its claim's signature by the owner's key."""
        claim = command.claim(owner)
        assert claim is not None
        return command.model_copy(update={"signature": self.sign(claim, owner)})

    def sign(self, claim: Claim, owner: AccountId) -> str:
        return self.signers[owner].sign_typed(typed_data(LOG, CHAIN_ID, claim)) if self.signs else DUMMY

    # People.

    def person(self, *roles: str, funds: int = 0, locked: int = 0) -> AccountId:
        """Somebody with an account, a signing key for everything, and a payout address."""
        self._n += 1
        me, actor = key(1_000 + self._n), Actor(f"key-{sha256(b'person %d' % self._n).hexdigest()}")
        opened = self.do(actor, account.Open(roles=roles), AccountId(Actor("")), keyed=True)[0].event
        assert isinstance(opened, account.Opened)
        id = opened.account
        self.signers[id] = me
        owner = account.SigningKey(alg="eip712", key=me.address, purpose="owner")
        agent = Signer(sha256(me.address.encode()).digest())
        purposes = (owner, account.SigningKey(alg="eip712", key=agent.address, purpose="agent"))
        self.agents[id] = agent
        self.do(id, account.Change(keys_added=purposes, payout_address=me.address), keyed=True)
        if funds:
            self.deposit(id, funds)
        if locked:
            self.lock(id, locked)
        return id

    def deposit(self, to: str, amount: int) -> list[Recorded[Event]]:
        self._n += 1
        tx, block, watch = block_hash(10_000 + self._n), self.world.final_block + 1, self.daemon("watch")
        self.do(watch, deposit.See(account=to, asset=USDC, tx=tx, log_index=0, block=block, amount=Units(amount)))
        return self.do(watch, deposit.Finalise(tx=tx, log_index=0, block=block))

    def lock(self, owner: AccountId, amount: int) -> list[Recorded[Event]]:
        number = self.world.people[owner].stakes + 1
        return self.do(owner, self.signed(stake.Lock(asset=USDC, amount=Units(amount), number=number, signature=DUMMY), owner))

    def worker(self, owner: AccountId, kind: str = "cpu", price: int | None = None) -> WorkerId:
        registered = self.do(owner, worker.Register(kind=kind, classes=(CLASS,)), keyed=True)[0].event  # type: ignore[arg-type]
        assert isinstance(registered, worker.Registered)
        if price:
            self.bid(registered.worker, price)
        return registered.worker

    def bid(self, id: WorkerId, price: int | None) -> list[Recorded[Event]]:
        it = self.world.workers[id]
        amount = Units(price) if price else None
        command = bid.Bid.model_validate({"worker": id, "class": CLASS, "price_per_kwu": amount, "number": it.bids + 1, "signature": DUMMY})
        return self.do(it.owner, self.agent_signed(command, it.owner))

    def agent_signed(self, command: Body, owner: AccountId) -> Body:
        claim = command.claim(owner)
        assert claim is not None
        if not self.signs:
            return command
        return command.model_copy(update={"signature": self.agents[owner].sign_typed(typed_data(LOG, CHAIN_ID, claim))})

    def online(self, id: WorkerId, session: str = "0" * 8) -> list[Recorded[Event]]:
        return self.do(id, worker.GoOnline(worker=id, session=session), self.world.workers[id].owner)

    # Chain.

    def beacon(self) -> list[Recorded[Event]]:
        """The beacon that is wanted now, at the earliest lawful time; nothing if none is."""
        grid_us = self.world.next_grid_us()
        if grid_us is None or grid_us > self.now_us + 10 * self.policy.grid_us:
            return []
        self.now_us = max(self.now_us, grid_us + self.policy.delay_us)
        number = grid_us // 1_000_000
        command = beacon.Bring(grid_us=grid_us, chain_id=CHAIN_ID, block_number=number, block_hash=block_hash(number))
        return self.do(self.daemon("watch"), command)

    # Work.

    def submit(self, creator: AccountId, frames: int = 1, limit: int = 200_000_000, scene: str = "") -> JobId:
        command = job.Submit(
            engine=ENGINE,
            manifest_sha256=scene or sha256(b"manifest").hexdigest(),
            frames=frames,
            size=SIZE,
            tiles=GRID,
            group=GROUP,
            samples=SAMPLES,
            limit_price=Units(limit),
        )
        submitted = self.do(creator, command, keyed=True)[0].event
        assert isinstance(submitted, job.Submitted)
        return submitted.job

    def open(self, id: JobId) -> list[Recorded[Event]]:
        return self.do(self.world.jobs[id].creator, job.Open(job=id), keyed=True)

    def raw(self, it: Task, tile: int, *, honest: bool = True) -> str:
        """The hash of the tile's raw object, which is a function of task and tile alone, unless somebody cheats."""
        spec = self.world.jobs[it.job].spec_sha256 if it.job else sha256(b"bench").hexdigest()
        level = 0.25 + tile / 64 + (0 if honest else 0.3)
        pixels = struct.pack("<48f", *[level + n / 1_000 for n in range(48)])
        content = tiles.pack(pixels, 4, 4, bytes.fromhex(spec))
        digest = sha256(content).hexdigest()
        self.objects[digest] = content
        return digest

    def commit(self, id: TaskId, *, honest: bool = True, after_us: int = 1_000_000) -> list[Recorded[Event]]:
        it = self.world.tasks[id]
        self.now_us += after_us
        raw = tuple(self.raw(it, tile, honest=honest) for tile in range(it.tiles))
        command = proof.Commit(
            worker=it.worker,
            task=id,
            fence=it.fence,
            raw=raw,
            raw_bytes=236 * it.tiles,
            seconds_us=after_us,
            build=BUILD,
            device="cpu",
            signature=DUMMY,
        )
        return self.do(it.worker, self.agent_signed(command, it.owner), it.owner)

    def check(self, id: AuditId) -> list[Recorded[Event]]:
        """Every drawn checker of the round judges honestly: all seal, also whoever a second look adds, then all reveal."""
        audit, done = self.world.audits[id], list[Recorded[Event]]()
        number = len(audit.rounds)
        while sealing := [checker for checker in audit.rounds[-1].checkers if checker not in audit.seals]:
            for checker in sealing:
                done += self.seal_verdict(id, checker)
            while audit.looking:
                done += self.beacon()
        for checker in audit.rounds[-1].checkers:
            if audit.status != "closed" and len(audit.rounds) == number:
                done += self.do(checker, self.verdict(id, checker, number), self.world.workers[checker].owner)
        return done

    def seal_verdict(self, id: AuditId, checker: WorkerId) -> list[Recorded[Event]]:
        number, owner = len(self.world.audits[id].rounds), self.world.workers[checker].owner
        it = self.verdict(id, checker, number)
        metrics = tuple(verdict.Metric(m.region, m.equal, m.psnr_mdb, m.differing_ppm) for m in it.metrics)
        seal = verdict.seal_of(id, checker, it.verdict, metrics, it.evidence_sha256, it.nonce)
        command = verdict.Commit(audit=id, checker=checker, round=number, seal=seal, signature=DUMMY)
        return self.do(checker, self.agent_signed(command, owner), owner)

    def verdict(self, id: AuditId, checker: WorkerId, number: int) -> verdict.Reveal:
        audit = self.world.audits[id]
        it, regions = self.world.tasks[audit.task], audit.rounds[number - 1].regions
        assert it.proof
        mine = [self.raw(it, region) for region in regions]
        seen = [
            comparator.compare(self.objects[own], self.objects[it.proof.raw[region]]) for own, region in zip(mine, regions, strict=True)
        ]
        metrics = [
            verdict.MetricIn(region=region, equal=m.equal, psnr_mdb=m.psnr_mdb, differing_ppm=m.differing_ppm)
            for region, m in zip(regions, seen, strict=True)
        ]
        return verdict.Reveal(
            audit=id,
            checker=checker,
            verdict=comparator.verdict(comparator.worst(seen)),
            metrics=tuple(metrics),
            comparator="psnr-1",
            evidence_sha256=tuple(mine),
            nonce=sha256(f"{id} {checker}".encode()).hexdigest()[:32],
        )

    def open_audits(self) -> list[AuditId]:
        return [audit.id for audit in self.world.audits.values() if audit.status != "closed"]

    def judge(self) -> None:
        """Beacons are drawn and audits checked until nothing waits."""
        while True:
            drawn = self.beacon()
            for id in self.open_audits():
                while id in self.world.audits and self.world.audits[id].status != "closed":
                    self.check(id)
            if not drawn:
                return

    # Payouts.

    def request(self, owner: AccountId, kind: payout.Kind, amount: int) -> PayoutId:
        person = self.world.people[owner]
        command = payout.Request(
            asset=USDC,
            kind=kind,
            to=person.payout_address,
            amount=Units(amount),
            number=person.payouts + 1,
            signature=DUMMY,
        )
        requested = self.do(owner, self.signed(command, owner), keyed=True)[0].event
        assert isinstance(requested, payout.Requested)
        return requested.payout

    def sign_batch(self, ids: Sequence[PayoutId]) -> list[Recorded[Event]]:
        self.now_us += self.policy.batch_wait_us
        payer = self.signers[self.daemon("payer")]
        items = [(id, self.world.payouts[id].to, int(self.world.payouts[id].amount)) for id in ids]
        nonce = self.world.nonce + 1
        raw, tx = payer.sign_payout_batch(TREASURY, nonce, items, chain_id=CHAIN_ID, fee_wei_max=10**9, tip_wei=1)
        return self.do(self.daemon("payer"), batch.Sign(asset=USDC, payouts=tuple(ids), nonce=nonce, raw_tx=raw, tx_hash=tx))

    def land(self, *, failing: Sequence[PayoutId] = ()) -> list[Recorded[Event]]:
        """The signed batch is mined and becomes final."""
        it, watch = next(iter(self.world.batches.values())), self.daemon("watch")
        paid, block = tuple(id for id in it.payouts if id not in failing), self.world.final_block + 1
        mined = batch.Mine(batch=it.id, tx_hash=it.tx_hash, block=block, paid=paid, failed=tuple(failing))
        return self.do(watch, mined) + self.do(watch, batch.Finalise.model_validate(dict(mined) | {"gas": Units(21_000)}))


def populated(policy: str = "demo", *, signs: bool = True) -> Populated:
    """A creator with money, four workers with bids and scores, three checkers of different owners."""
    it = Network(policy, signs=signs)
    creator = it.person("creator", funds=20_000_000)
    names = {"cheat": 150, "killed": 160, "slow": 170, "fast": 180}
    workers = {
        name: it.worker(it.person("provider", funds=10_000_000, locked=5_000_000), price=price * 10**6) for name, price in names.items()
    }
    for n in range(3):
        workers[f"checker {n}"] = it.worker(it.person("checker", funds=10_000_000, locked=5_000_000), "checker")
    for id in workers.values():
        it.online(id)
    score_all(it)
    return it, creator, workers


def score_all(it: Network) -> None:
    """Benches until every worker has its scores."""
    while any(not standing.score for each in it.world.workers.values() if each.kind != "checker" for standing in each.classes.values()):
        it.beacon()
        for bench in [one for one, each in it.world.tasks.items() if not each.job and each.status == "leased"]:
            it.commit(bench, after_us=1_100_000)
        for audit in it.open_audits():
            it.check(audit)


def life(policy: str = "demo", *, frames: int = 2, signs: bool = True, of: Populated | None = None) -> Network:
    """The life of one job, from the first deposit to the last payout and the archive. `of`: among whom."""
    it, creator, workers = of or populated(policy, signs=signs)
    job_id = it.submit(creator, frames)
    it.open(job_id)
    while job_id in it.world.jobs and it.world.jobs[job_id].status == "open":
        work(it, workers)
    it.wait(2 * it.policy.maturity_us)
    it.wait(2 * it.policy.epoch_us)
    pay_all(it)
    it.do(it.daemon("anchorer"), anchor.Anchor(size=it.ledger.head.size, root=it.ledger.head.root, tx=block_hash(1), block=7))
    balance = str(it.world.balances[accounts.treasury(USDC)])
    it.do(it.daemon("watch"), anchor.Reconcile(asset=USDC, block=it.world.final_block, balance=balance))
    it.wait(2 * it.policy.archive_us)
    return it


def work(it: Network, workers: dict[str, WorkerId]) -> None:
    """Everybody does what he has; the killed one does nothing."""
    busy = [one for one, each in it.world.tasks.items() if each.status == "leased" and each.worker != workers["killed"]]
    for id in busy:
        if it.world.tasks[id].status == "leased":
            it.commit(id, honest=it.world.tasks[id].worker != workers["cheat"], after_us=1_500_000)
    it.judge()
    if not busy:
        it.wait(10 * it.policy.grid_us)


def pay_all(it: Network) -> list[PayoutId]:
    """Everybody asks for what is payable; the last of the batch fails."""
    ids = list[PayoutId]()
    kinds: tuple[payout.Kind, ...] = ("worker", "checker")
    for person in list(it.world.people.values()):
        for kind in kinds:
            has = it.world.credit(payout.source(USDC, person.id, kind))
            if has >= it.policy.payout_min:
                ids.append(it.request(person.id, kind, has))
    it.sign_batch(ids)
    it.land(failing=ids[-1:])
    return ids
