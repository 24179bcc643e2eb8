"""The parts of the world: small structs, one for each thing that can be decided about. Only `Event.apply` and the world write them."""

from typing import Any

from msgspec import Struct

from domain.accounts import Account, Asset
from domain.ids import NO_ACCOUNT, NO_AUDIT, NO_WORKER, AccountId, AuditId, BatchId, BeaconId, DepositId, JobId, PayoutId, TaskId, WorkerId
from domain.lifecycle import AUDIT, BENCH, JOB, PAYOUT, TASK, AuditStatus, JobStatus, Mode, PayoutStatus, Presence
from domain.units import ZERO, Units
from domain.value import Value

Seat = tuple[int, int, int, int, int]
"""(price, -reliability, -score, idle since, worker): the order in which free workers are asked."""
RECORD_MAX = 200


class Key(Struct):
    alg: str
    """`api`: the id is the SHA-256 of a secret. `eip712`: the id is an address."""
    purpose: str
    """`api`, `owner` or `agent`."""
    scopes: list[str]
    expires_us: int


class Person(Struct):
    """An account: a creator, provider, checker, officer or daemon."""

    id: AccountId
    roles: list[str]
    keys: dict[str, Key] = {}
    payout_address: str = ""
    usable_us: int = 0
    payouts: int = 0
    """Number of the last payout request."""
    stakes: int = 0
    """Number of the last signed stake command."""
    unlocking: Units = ZERO


class AssetInfo(Struct):
    id: Asset
    decimals: int
    contract: str
    treasury: str
    chain_id: int


class Engine(Struct):
    id: str
    build: str
    classes: list[str]
    bench_wu_milli: int
    bench_tiles: int
    wu_milli_per_msample: int


class Standing(Struct):
    """A worker in a class."""

    price: Units = ZERO
    """Its bid per thousand work units; zero is none."""
    bid_expires_us: int = 0
    score: int = 0
    scored_us: int = 0
    seconds_us: list[int] = []
    """Of the last benches."""
    bench_us: int | None = None
    """Since when it waits for the next one, or from when on it will."""
    clean: int = 0
    """Clean audits since the last conviction."""
    cleared: int = 0
    """Clean audits in all."""
    waiting: list[TaskId] = []
    """Shares that wait for later clean audits, the oldest first."""
    held: int = 0
    """Tasks leased, committed or auditing."""
    seat: Seat | None = None
    """Where it stands among the free workers of the class, if it does."""


class Worker(Struct):
    id: WorkerId
    owner: AccountId
    kind: str
    slots: int
    vram_mib: int
    models: list[str]
    """Of its devices."""
    country: str
    classes: dict[str, Standing]
    mode: Mode = "active"
    presence: Presence = "offline"
    session: str = ""
    online_us: int = 0
    idle_us: int = 0
    """When its last lease ended, or it came online."""
    quarantined_us: int = 0
    """Until when; zero: it is not."""
    bids: int = 0
    leases: list[TaskId] = []
    record: list[int] = []
    """Of the last attempts and audits that said something: 1 for good, 0 for bad."""
    served_us: int = 0
    """A checker's time online in this epoch, up to when it last came online."""

    @property
    def is_there(self) -> bool:
        """It may be given work, as far as itself is concerned."""
        return self.presence == "online" and self.mode == "active" and not self.quarantined_us

    @property
    def reliability_ppm(self) -> int:
        return 1_000_000 * (sum(self.record) + 1) // (len(self.record) + 2)

    def note(self, *, good: bool) -> None:
        self.record = [*self.record[1 - RECORD_MAX :], int(good)]


class Job(Struct):
    id: JobId
    creator: AccountId
    asset: Asset
    engine: str
    build: str
    policy: str
    """That it was submitted under."""
    spec_sha256: str
    manifest_sha256: str
    frames: int
    pixels: int
    """Per frame."""
    samples: int
    tiles: tuple[int, int]
    group: int
    limit_price: Units
    vram_mib: int
    countries: list[str]
    """Where it may run; empty: everywhere."""
    models: list[str]
    """Devices that it may run on; empty: all."""
    deadline_us: int
    tasks: int
    wu_milli: int = 0
    """Of one task, by the quote."""
    total: Units = ZERO
    """Price of all tasks at the limit: what is held."""
    valid_us: int = 0
    open_tasks: int = 0
    """Neither accepted, dead nor cancelled."""
    accepted: int = 0
    dead: int = 0
    unmatured: int = 0
    audits: list[AuditId] = []
    """Of its tasks, open and closed."""
    ready: list[int] = []
    failures: dict[WorkerId, int] = {}
    outcome: str = ""
    reason: str = ""
    closed_us: int = 0
    status: JobStatus = "submitted"

    def move(self, happens: str) -> None:
        self.status = JOB.after(self.status, happens)


class Proof(Struct):
    pos: int
    at_us: int
    raw: list[str]
    """One hash per tile of the task, in the order of its tiles."""


class Task(Struct):
    """A task of a job, or a bench (then `job` is empty and it has one attempt)."""

    id: TaskId
    job: JobId
    wu_milli: int
    tiles: int
    cls: str = ""
    status: str = "ready"
    worker: WorkerId = NO_WORKER
    owner: AccountId = NO_ACCOUNT
    fence: int = 0
    """Number of the last attempt; a result must carry it."""
    price: Units = ZERO
    leased_us: int = 0
    proof: Proof | None = None
    errors: int = 0
    barred: list[WorkerId] = []
    """Whose work on this task was rejected."""
    failed: list[WorkerId] = []
    """Who did not reply or reported an error: asked again only if nobody else is eligible."""
    past: list[tuple[int, WorkerId]] = []
    """(fence, worker) of the attempts that are over and sent no proof: what comes from them is late."""
    audit: AuditId = NO_AUDIT

    def move(self, happens: str, chosen: Any = None) -> None:
        table: Any = TASK if self.job else BENCH
        self.status = table.after(self.status, happens, chosen)


class Round(Struct):
    regions: list[int]
    checkers: list[WorkerId]


class Audit(Struct):
    id: AuditId
    task: TaskId
    fence: int
    worker: WorkerId
    cls: str
    cause: str
    proof_pos: int
    beacon: BeaconId
    value: str
    p_ppm: int
    u: str
    rounds: list[Round]
    due_us: int
    drawn_regions: int = 0
    """How many numbers of the stream "gl/region/1" are used up; the next below, of "gl/checker/1"."""
    drawn_checkers: int = 0
    looking: bool = False
    """The first round is sealed, and whether a second checker looks is not drawn yet."""
    seals: dict[WorkerId, str] = {}
    verdicts: dict[WorkerId, str] = {}
    result: str = ""
    status: AuditStatus = "checking"

    def move(self, happens: str) -> None:
        self.status = AUDIT.after(self.status, happens)


class Draw(Struct):
    """A proof that waits for the lottery, a worker for its bench, or an audit for the second look; its beacon is drawn."""

    subject: str
    cls: str
    beacon: BeaconId
    value: str


class Share(Value):
    """Of an accepted task, until it matures. Never changed but replaced, so that a copy of the list of them is one of a moment."""

    task: TaskId
    job: JobId
    asset: Asset
    owner: AccountId
    worker: WorkerId
    cls: str
    amount: Units
    checkers: Units
    fee: Units
    accepted_us: int
    cleared: int
    """The worker's clean audits in the class at acceptance."""


class CheckClaim(Struct):
    """A correct reveal of this epoch, and what it earns at least, if the pool has it."""

    checker: WorkerId
    account: AccountId
    amount: Units


class Deposit(Struct):
    id: DepositId
    account: AccountId
    asset: Asset
    tx: str
    log_index: int
    block: int
    amount: Units


class Payout(Struct):
    id: PayoutId
    account: AccountId
    asset: Asset
    kind: str
    back_to: Account
    to: str
    amount: Units
    requested_us: int
    approvers: list[AccountId] = []
    batch: BatchId = BatchId("")
    status: PayoutStatus = "requested"

    def move(self, happens: str, chosen: PayoutStatus | None = None) -> None:
        self.status = PAYOUT.after(self.status, happens, chosen)


class Batch(Struct):
    id: BatchId
    asset: Asset
    payouts: list[PayoutId]
    nonce: int
    raw_tx: str
    tx_hash: str
    signed_us: int
    status: str = "signed"
    block: int = 0
