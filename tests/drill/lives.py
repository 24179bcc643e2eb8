"""A life with a place for every fraud: two jobs and two cheats, a lease that ran out and its proof that came too late, money that was
frozen and let go, payouts in two batches, anchors. `python -m tests.drill.lives OUT` writes its bundle."""

import sys
from functools import cache
from pathlib import Path

from domain import accounts
from domain.accounts import USDC
from domain.house import override
from domain.ids import AccountId, TaskId, WorkerId
from domain.proof import proof
from domain.treasury import anchor
from domain.work import task
from tests import network
from tests.auditor import forging
from tests.network import BUILD, DUMMY, Network, block_hash


@cache
def life() -> Network:
    """One for all tests: nobody changes it."""
    it, creator, workers = network.populated()
    run(it, creator, workers, "cheat")
    come_late(it)
    pay(it)
    note(it, 1)
    freeze_and_release(it)
    it.request(creator, "customer", 1_000_000)
    it.deposit(creator, 10_000_000)
    note(it, 2)
    run(it, creator, workers, "slow")
    pay(it)
    it.wait(2 * it.policy.archive_us)
    return it


def run(it: Network, creator: AccountId, workers: dict[str, WorkerId], cheat: str) -> None:
    """One job, of which one worker renders rubbish and one renders nothing."""
    job = it.submit(creator)
    it.open(job)
    while job in it.world.jobs and it.world.jobs[job].status == "open":
        busy = [id for id, each in it.world.tasks.items() if each.status == "leased" and each.worker != workers["killed"]]
        for id in busy:
            if it.world.tasks[id].status == "leased":
                it.commit(id, honest=it.world.tasks[id].worker != workers[cheat], after_us=1_500_000)
        it.judge()
        if not busy:
            it.wait(2 * it.policy.grid_us)
    it.wait(it.policy.maturity_us + 7)
    it.wait(it.policy.epoch_us + 7)


def come_late(it: Network) -> None:
    """The killed worker is there again, and brings what it had to bring long ago."""
    ended = next(each.event for each in it.events if isinstance(each.event, task.Ended) and each.event.outcome == "no_reply")
    of = it.world.tasks[ended.task]
    command = proof.Commit(
        worker=ended.worker,
        task=TaskId(ended.task),
        fence=ended.fence,
        raw=tuple(it.raw(of, tile) for tile in range(of.tiles)),
        raw_bytes=236 * of.tiles,
        seconds_us=1_000_000,
        build=BUILD,
        device="cpu",
        signature=DUMMY,
    )
    it.do(ended.worker, it.agent_signed(command, ended.owner), ended.owner)


def freeze_and_release(it: Network) -> None:
    """The watch stops the money, two admins let it go."""
    freeze = override.Override(action="freeze", reason="breach", number=1)
    it.do(it.daemon("watch"), freeze)
    asker, approver = list(it.world.people)[:2]
    release = override.Override(action="release", reason="explained", number=2, approver=approver, approval=DUMMY)
    claim = release.countersigned()
    assert claim is not None
    it.do(asker, release.model_copy(update={"approval": it.sign(claim, approver)}), keyed=True)


def pay(it: Network) -> None:
    """Everybody asks for what is payable; the last of the batch fails."""
    network.pay_all(it)


def note(it: Network, number: int) -> None:
    """The head is anchored, and the treasury counted."""
    head = it.ledger.head
    it.do(it.daemon("anchorer"), anchor.Anchor(size=head.size, root=head.root, tx=block_hash(number), block=7 * number))
    balance = str(it.world.balances[accounts.treasury(USDC)])
    it.do(it.daemon("watch"), anchor.Reconcile(asset=USDC, block=it.world.final_block, balance=balance))


def bundle(out: Path) -> Path:
    return forging.bundle(out, life())


if __name__ == "__main__":
    print(bundle(Path(sys.argv[1])))
