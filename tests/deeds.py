"""What people and agents do, at random: plausible and foolish things, drawn from the world as it is. One generator, two uses: with a
seeded `Random` for volume, with Hypothesis for shrinking."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from domain.accounts import USDC
from domain.body import Body
from domain.errors import Refused
from domain.ids import AccountId, JobId, PayoutId, TaskId, WorkerId
from domain.lifecycle import Mode
from domain.market import worker
from domain.proof import verdict
from domain.treasury import batch, payout, stake
from domain.units import Units
from domain.work import job, task
from tests.network import DUMMY, Network

T = TypeVar("T")


class Draw(Protocol):
    def choice(self, seq: Sequence[T]) -> T: ...
    def randint(self, a: int, b: int) -> int: ...


class Life:
    """A network and everybody in it, doing one thing after another."""

    def __init__(self, draw: Draw, policy: str = "demo") -> None:
        self.draw, self.network = draw, Network(policy, signs=False)
        self.done = 0
        self.refused = dict[str, int]()
        self.people = [self.network.person("creator", "provider", "checker", funds=50_000_000, locked=5_000_000) for _ in range(4)]
        for n, owner in enumerate(self.people):
            self.network.online(self.network.worker(owner, price=(150 + 10 * n) * 10**6))
            self.network.online(self.network.worker(owner, "checker"))

    def step(self) -> None:
        """One deed. A refusal is fine; whatever else goes wrong is not."""
        deeds: Sequence[Callable[[], object]] = (
            *[self.work] * 6,
            *[self.network.beacon] * 4,
            *[self.judge] * 5,
            *[self.submit] * 2,
            *[self.open] * 2,
            self.wait,
            self.presence,
            self.rebid,
            self.change_job,
            self.give_back,
            self.move_stake,
            self.ask_payout,
            self.pay,
            self.foolish,
        )
        try:
            self.draw.choice(deeds)()
            self.done += 1
        except Refused as refusal:
            self.refused[refusal.code] = self.refused.get(refusal.code, 0) + 1

    def some(self, things: Sequence[T]) -> T | None:
        return self.draw.choice(things) if things else None

    def wait(self) -> None:
        self.network.wait(self.draw.choice([1_000, 1_000_000, 13_000_000, 30_000_000]))

    def work(self) -> None:
        leased = [TaskId(id) for id, each in self.network.world.tasks.items() if each.status == "leased"]
        if id := self.some(leased):
            it = self.network.world.tasks[id]
            honest = bool(it.job == "" or self.draw.randint(0, 3))
            self.network.commit(id, honest=honest, after_us=self.draw.choice([300_000, 1_500_000]))

    def judge(self) -> None:
        """All drawn checkers judge, or only some of them seal, or one lies in wait."""
        audits = self.network.open_audits()
        if (id := self.some(audits)) is None:
            return
        if self.draw.randint(0, 3):
            self.network.check(id)
            return
        it = self.network.world.audits[id]
        checker = self.draw.choice(it.rounds[-1].checkers)
        owner = self.network.world.workers[checker].owner
        seal = verdict.Commit(audit=id, checker=checker, round=len(it.rounds), seal="ab" * 32, signature=DUMMY)
        self.network.do(checker, seal, owner)

    def submit(self) -> None:
        self.network.submit(self.draw.choice(self.people), self.draw.randint(1, 3), self.draw.choice([100, 165, 200]) * 10**6)

    def open(self) -> None:
        quoted = [id for id, each in self.network.world.jobs.items() if each.status == "quoted"]
        if id := self.some(quoted):
            self.network.open(id)

    def presence(self) -> None:
        id = self.draw.choice([*self.network.world.workers])
        if self.draw.randint(0, 3):
            self.network.online(id, f"{self.draw.randint(0, 10**6):08x}")
        else:
            self.network.do(id, worker.GoOffline(worker=id), self.network.world.workers[id].owner)

    def rebid(self) -> None:
        id = self.draw.choice([*self.network.world.workers])
        if self.draw.randint(0, 2):
            self.network.bid(id, self.draw.choice([None, 140_000_000, 190_000_000, 300_000_000]))
        else:
            mode: Mode = self.draw.choice(["active", "paused", "draining"])
            change = worker.Change(worker=id, mode=mode, slots=self.draw.randint(1, 3))
            self.network.do(self.network.world.workers[id].owner, change, keyed=True)

    def change_job(self) -> None:
        if id := self.some([*self.network.world.jobs]):
            kind = self.draw.choice([job.Pause, job.Resume, job.Resume, job.Cancel])
            who = self.draw.choice([self.network.world.jobs[id].creator, self.draw.choice(self.people)])
            self.network.do(who, kind(job=id), keyed=True)

    def give_back(self) -> None:
        if id := self.some([TaskId(id) for id, each in self.network.world.tasks.items() if each.worker]):
            it = self.network.world.tasks[id]
            outcome = self.draw.choice(["declined", "error"])
            fence = max(1, it.fence - self.draw.randint(0, 1))
            end = task.End.model_validate({"task": id, "fence": fence, "outcome": outcome, "code": "no_memory"})
            if self.draw.randint(0, 2):
                self.network.do(it.worker, end, it.owner)
            else:
                self.network.do(self.network.daemon("gate"), task.Stop(task=id, fence=fence, code="not_finite"))

    def move_stake(self) -> None:
        owner = self.draw.choice(self.people)
        number = self.network.world.people[owner].stakes + 1
        amount = Units(self.draw.randint(1, 3_000_000))
        kind = self.draw.choice([stake.Lock, stake.Unlock])
        self.network.do(owner, self.network.signed(kind(asset=USDC, amount=amount, number=number, signature=DUMMY), owner))

    def ask_payout(self) -> None:
        owner = self.draw.choice(self.people)
        kind: payout.Kind = self.draw.choice(["worker", "checker", "customer"])
        has = self.network.world.credit(payout.source(USDC, owner, kind))
        self.network.request(owner, kind, self.draw.choice([int(has), 10_000, 500_000]) or 1)

    def pay(self) -> None:
        """The payer signs what waits, or the chain takes what is signed, or somebody changes his mind."""
        world = self.network.world
        if world.batches:
            it = next(iter(world.batches.values()))
            self.network.land(failing=it.payouts[: self.draw.randint(0, 1)])
            return
        waiting = [PayoutId(id) for id, each in world.payouts.items() if each.status == "requested"]
        if waiting and self.draw.randint(0, 3):
            self.network.sign_batch(waiting)
        elif waiting:
            self.network.do(world.payouts[waiting[0]].account, payout.Cancel(payout=waiting[0]), keyed=True)

    def foolish(self) -> None:
        """What cannot be: unknown ids, others' things, offices that one does not hold."""
        me = self.draw.choice(self.people)
        nobody = self.draw.choice(["1", "999999999"])
        silly: list[Body] = [
            job.Open(job=JobId(f"job-{nobody}")),
            task.Stop(task=TaskId(f"job-{nobody}/1"), fence=1, code="x"),
            payout.Approve(payout=PayoutId(f"payout-{nobody}")),
            worker.GoOnline(worker=WorkerId(AccountId(f"worker-{nobody}")), session="0" * 8),  # type: ignore[arg-type]
            batch.Sign(asset=USDC, payouts=(PayoutId(f"payout-{nobody}"),), nonce=0, raw_tx="0xab", tx_hash="0x" + "0" * 64),
        ]
        self.network.do(me, self.draw.choice(silly))
