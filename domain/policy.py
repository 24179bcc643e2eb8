"""The numbers of the house, adopted by an event and read from the world. Times in microseconds, shares in parts per million."""

from typing import Literal

from domain.units import Units
from domain.value import Value

SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000

PolicyName = Literal["standard", "demo"]


class Policy(Value):
    """DOMAIN.md §1, §3 and §5. The defaults are the standard policy."""

    name: str = "standard"

    grid_us: int = 60 * SECOND
    """Beacons stand on the UTC grid of this width."""
    delay_us: int = 12 * SECOND
    """A beacon's block is the first with a timestamp this long after its grid time."""
    finality_blocks: int = 12
    """A block is final when so many blocks stand on it."""

    benches: int = 3
    """The score is the median of so many of the last benches."""
    bench_parallel: int = 0
    """Benches at once; 0: no limit."""
    bench_lease_us: int = 2 * MINUTE
    bench_retry_us: int = 10 * MINUTE
    score_age_us: int = 7 * DAY
    """A score older than this wins no lease; a new bench is due one day before."""

    probation: int = 4
    """Tasks that a newcomer may hold leased, committed or auditing."""
    warm_up: int = 10
    """Clean audits in a class after which a worker is no newcomer."""
    audit_floor_ppm: int = 100_000

    lease_factor: int = 3
    """A lease is this many times the expected time, within the bounds below."""
    lease_min_us: int = 20 * SECOND
    lease_max_us: int = 15 * MINUTE
    errors_max: int = 3
    """A task that failed so often without a verdict on anybody is dead."""
    job_failures_max: int = 3
    """After so many failures in a job, a worker gets no more of it."""
    dead_ppm: int = 100_000
    """A job with more dead tasks than this share is paused."""

    verdict_us: int = 10 * MINUTE
    verdict_factor: int = 5
    """A verdict is due after `verdict_us`, or this many times the task's work units in seconds, whichever is longer."""
    reveal_us: int = 5 * MINUTE
    second_look_ppm: int = 200_000
    """How likely a second checker is drawn when the first one has sealed; 0: nobody waits for that beacon."""
    rounds_max: int = 3
    checker_stake_min: Units = Units(1_000_000)
    quarantine_us: int = 30 * DAY
    presence_us: int = 90 * SECOND
    grace_us: int = 120 * SECOND
    """Deadlines that were set before an election are due no earlier than this after it."""

    maturity_us: int = 3 * DAY
    later_audits: int = 20
    """Clean audits of the worker and class after the acceptance, before a share matures."""
    audited_us: int = 14 * DAY
    """After this long a share matures without them, if its own work was audited."""
    epoch_us: int = 7 * DAY
    """The checker pool is distributed at the end of each."""
    shares_ppm: tuple[int, int, int] = (870_000, 100_000, 30_000)
    """Worker, checkers, platform."""
    check_ppm: int = 1_500_000
    """What a correct reveal earns, of the price of the regions that were checked."""

    batch_wait_us: int = 10 * MINUTE
    payday_us: int = DAY
    """What is payable is paid out without being asked for, each time UTC is a multiple of this; 0: on request only."""
    payout_min: Units = Units(1_000_000)
    approval_min: Units = Units(10_000_000_000)
    """Payouts from this amount on need approvals by two of finance."""
    address_delay_us: int = DAY
    deposit_min: Units = Units(10_000_000)
    unlock_us: int = 7 * DAY
    """From the request to unlock a stake until it is released."""

    quote_valid_us: int = DAY
    cancel_grace_us: int = 30 * SECOND
    cancel_free_us: int = MINUTE
    """A lease that was cancelled after less than this costs nothing."""
    cancel_fee_ppm: int = 100_000
    paused_max_us: int = 7 * DAY
    archive_us: int = HOUR
    anchor_us: int = HOUR
    """Between two anchors of the log's head on the chain, if anything happened."""


STANDARD = Policy()

DEMO = Policy(
    name="demo",
    grid_us=SECOND,
    delay_us=SECOND,
    finality_blocks=1,
    benches=1,
    bench_parallel=1,
    bench_lease_us=20 * SECOND,
    bench_retry_us=2 * SECOND,
    lease_min_us=12 * SECOND,
    lease_max_us=60 * SECOND,
    verdict_us=15 * SECOND,
    verdict_factor=0,
    reveal_us=5 * SECOND,
    second_look_ppm=0,
    presence_us=10 * SECOND,
    grace_us=5 * SECOND,
    maturity_us=SECOND,
    later_audits=0,
    audited_us=SECOND,
    epoch_us=SECOND,
    batch_wait_us=SECOND // 2,
    payday_us=0,
    payout_min=Units(10_000),
    address_delay_us=0,
    unlock_us=5 * SECOND,
    cancel_grace_us=5 * SECOND,
    archive_us=3 * SECOND,
    anchor_us=5 * SECOND,
)
"""Everything shortened so that a whole life fits into a minute (DOMAIN.md §5)."""

POLICIES = {policy.name: policy for policy in (STANDARD, DEMO)}
