"""The domain under a scripted life, and under everything that people do."""

from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from domain import accounts
from domain.accounts import USDC
from domain.errors import Refused
from domain.house import invariants
from domain.log.ledger import Ledger
from domain.log.merkle import Head
from domain.proof import ruling
from domain.treasury import stake
from domain.work.task import Ended, Leased
from tests.deeds import Life
from tests.network import LOG, Network, life


def replayed(network: Network) -> Ledger:
    ledger = Ledger(Head(LOG))
    for record in network.records:
        ledger.fold(record)
    return ledger


@pytest.fixture(scope="module")
def lived() -> Network:
    return life()


def test_replay_equals_live(lived: Network) -> None:
    assert replayed(lived) == lived.ledger


def test_invariants_hold_after_every_block_of_a_life(lived: Network) -> None:
    ledger = Ledger(Head(LOG))
    for record in lived.records:
        ledger.fold(record)
        invariants.check_sealed(ledger.world, ledger.at_us)


def test_the_cheat_is_slashed_and_unpaid_and_nobody_else_is_convicted(lived: Network) -> None:
    rejected = [each.event for each in lived.events if each.event.verb() == "task.rejected"]
    slashed = [each.event for each in lived.events if isinstance(each.event, stake.Slashed)]
    (cheat,) = {each.worker for each in slashed}

    assert rejected
    assert len(rejected) == len(slashed)
    assert cheat not in [each.event.worker for each in lived.events if isinstance(each.event, ruling.Accepted)]
    assert lived.world.credit(accounts.safety(USDC)) == sum(each.from_stake for each in slashed) > 0


def test_a_task_whose_worker_never_replies_is_leased_to_another(lived: Network) -> None:
    (silent,) = {each.event.worker for each in lived.events if isinstance(each.event, Ended) and each.event.outcome == "no_reply"}
    again = [each.event for each in lived.events if isinstance(each.event, Leased) and each.event.fence > 1]

    assert again
    assert silent not in [each.worker for each in again]


def test_the_world_forgets_a_job_that_is_over(lived: Network) -> None:
    world = lived.world

    assert (world.jobs, world.tasks, world.audits, world.shares) == ({}, {}, {}, {})
    assert not [stream for stream in world.versions if stream.startswith(("job-", "audit-", "batch-", "payout-", "bench-"))]


def test_a_refusal_changes_nothing() -> None:
    random = Random(3)
    doing = Life(random)
    for _ in range(300):
        doing.step()
    before = replayed(doing.network)
    for _ in range(20):
        with pytest.raises(Refused):
            doing.foolish()

    assert before == doing.network.ledger


@pytest.mark.system
@pytest.mark.parametrize("seed", range(6))
def test_seeded_lives_keep_the_invariants(seed: int) -> None:
    doing = Life(Random(seed), "standard" if seed % 3 == 2 else "demo")
    for _ in range(400):
        doing.step()
        invariants.check_sealed(doing.network.world, doing.network.ledger.at_us)

    assert replayed(doing.network) == doing.network.ledger
    assert doing.done > 100


class Anything(RuleBasedStateMachine):
    """Hypothesis drives the same deeds, and shrinks what breaks."""

    @initialize(random=st.randoms(use_true_random=False), policy=st.sampled_from(["demo", "standard"]))
    def begin(self, random: Random, policy: str) -> None:
        self.life = Life(random, policy)

    @rule()
    def do(self) -> None:
        self.life.step()
        invariants.check_sealed(self.life.network.world, self.life.network.ledger.at_us)

    def teardown(self) -> None:
        if hasattr(self, "life"):
            assert replayed(self.life.network) == self.life.network.ledger


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=15, stateful_step_count=40, deadline=None)
