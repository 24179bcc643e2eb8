"""Payouts: all of them, one, and the batch in which it went to the chain."""

from collections.abc import Sequence
from typing import ClassVar

from domain.accounts import USDC
from domain.ids import position as position_of
from domain.treasury.batch import Finalised, Mined
from domain.value import Value
from explorer.look import Look, Missing, encode
from explorer.model import Model, Table
from explorer.pages.money import explain
from explorer.pages.money.explain import Node
from explorer.words import count
from projections.explorer.events import Line
from projections.explorer.house import Asset, Beacon, Checkpoint, Policy, Reconciliation
from projections.explorer.overview import Volume
from projections.explorer.payouts import Batch, Payout
from projections.finance.balances import TrialLine
from projections.finance.journal import StatementLine

FILTERS = ("account", "status", "batch")
BATCHES, ITEMS, PAYEES = 12, 100, 12
"""Payees of a batch of whom it is looked up when the money was earned and matured."""


class Stage(Value):
    """Money on its way out, of all accounts together."""

    name: str
    amount: int
    note: str
    code: str
    """Of the trial balance; empty: it has left."""


class Payouts(Model):
    template: ClassVar[str] = "payouts.html"
    section: ClassVar[str] = "Payouts"
    rows: Sequence[Payout]
    next: str | None
    batches: Sequence[Batch]
    volumes: Sequence[Volume]
    asset: str
    stages: list[Stage]

    @property
    def title(self) -> str:
        return "Payouts"

    @property
    def records(self) -> Table:
        return Table(Payout, self.rows)


STAGES = (
    ("Earned", ("2210.accrued",), "accepted, not mature yet"),
    ("Payable", ("2220.payable", "2250.checker-payable"), "mature: asked for, or on the next payday"),
    ("On its way", ("2230.inflight",), "asked for or signed, not in a block"),
    ("In a block", ("1140.outbound",), "mined, not final"),
)


async def payouts(look: Look) -> Payouts:
    found = await look.list(Payout, FILTERS)
    batches = (await look.page(Batch, limit=BATCHES)).rows
    volumes = (await look.page(Volume, newest=False)).rows
    asset = str(volumes[0].asset) if volumes else USDC
    return Payouts(found.rows, encode(found.next) if found.next else None, batches, volumes, asset, await stages(look, asset, volumes))


async def stages(look: Look, asset: str, volumes: Sequence[Volume]) -> list[Stage]:
    """Where the money is between the work and the owner's address."""
    found = list[Stage]()
    for name, codes, note in STAGES:
        lines = [await look.get(TrialLine, asset, code) for code in codes]
        found.append(Stage(name, abs(sum(int(line.amount) for line in lines if line)), note, codes[0]))
    paid = sum(int(volume.paid) for volume in volumes if volume.asset == asset)
    return [*found, Stage("Paid", paid, "final on the chain", "")]


class Step(Value):
    """Of the way of a payout."""

    name: str
    at_us: int
    """Zero: not yet."""
    positions: tuple[int, ...]
    note: str


class Page(Model):
    template: ClassVar[str] = "payout.html"
    section: ClassVar[str] = "Payouts"
    batch: Batch | None
    """None: it is not signed yet, or was cancelled before."""
    rows: Sequence[Payout]
    """Of the batch."""
    asset: Asset | None
    reconciled: Reconciliation | None
    """The first one after it was final."""
    lines: Sequence[Line]
    """Of the payout and its batch, the newest first."""
    steps: list[Step]
    confirmations: int | None
    """How many blocks are known from the batch's block on, itself among them. None: it is in none, or nobody can tell."""
    finality: int
    """How many blocks have to stand on it."""
    explained: Node | None
    """What one payout is made of."""
    id: str

    @property
    def amount(self) -> int:
        """Of what is not cancelled or failed."""
        return sum(int(row.amount or 0) for row in self.rows if row.outcome != "failed")

    @property
    def title(self) -> str:
        return self.id

    @property
    def about(self) -> str:
        return self.id

    @property
    def records(self) -> Table:
        return Table(Payout, self.rows)


async def payout(look: Look) -> Page:
    """Of a batch, or of a payout with the batch that it is in."""
    id = look.path["payout"]
    if id.startswith("batch-"):
        return await of_batch(look, await look.need(Batch, id), id, [])
    if not id.startswith("payout-"):
        raise Missing(id)
    row = await look.need(Payout, id)
    batch = await look.get(Batch, row.batch) if row.batch else None
    return await of_batch(look, batch, id, [row])


async def of_batch(look: Look, batch: Batch | None, id: str, rows: Sequence[Payout]) -> Page:
    single = bool(rows)
    if batch is not None and not rows:
        rows = (await look.page(Payout, {"batch": batch.batch}, limit=ITEMS, newest=False)).rows
    asset = await look.get(Asset, str(batch.asset if batch else rows[0].asset))
    streams = [id] if batch is None or batch.batch == id else [id, batch.batch]
    lines = [line for stream in streams for line in (await look.page(Line, {"stream": stream})).rows]
    lines.sort(key=lambda line: -line.position)
    reconciled = None
    if batch is not None:
        found = (await look.page(Reconciliation, {"asset": str(batch.asset)}, after=(batch.position or 0,), limit=1, newest=False)).rows
        reconciled = found[0] if found else None
    policies = (await look.page(Policy, limit=1)).rows
    finality = policies[0].parameters.finality_blocks if policies and policies[0].parameters else 0
    known = await confirmations(look, batch)
    way = [*(await before(look, rows)), *after(batch, rows, lines, finality, known)]
    made = await explain.find(look, f"{position_of(rows[0].payout)}-1") if single else None
    return Page(batch, rows, asset, reconciled, lines, way, known, finality, made, id)


async def confirmations(look: Look, batch: Batch | None) -> int | None:
    """By the newest block of the chain that the log names."""
    if batch is None or not batch.block:
        return None
    blocks = [int(batch.block)]
    for rows in ((await look.page(Beacon, limit=1)).rows, (await look.page(Checkpoint, limit=1)).rows):
        blocks += [int(getattr(row, "block_number", 0) or getattr(row, "block", 0)) for row in rows]
    blocks += [int(row.block or 0) for row in (await look.page(Reconciliation, limit=1)).rows]
    return max(blocks) - int(batch.block) + 1


async def before(look: Look, rows: Sequence[Payout]) -> list[Step]:
    """When the last of it was earned, and matured; of the first payees."""
    earned, matured = [list[StatementLine]() for _ in range(2)]
    for row in rows[:PAYEES]:
        if row.kind == "customer":
            continue
        code = "2220.payable" if row.kind == "worker" else "2250.checker-payable"
        credit = await credited(look, f"{row.asset}:{code}.{row.account}", str(row.account), position_of(row.payout))
        matured += credit
        if row.kind == "worker" and credit:
            earned += await credited(look, f"{row.asset}:2210.accrued.{row.account}", str(row.account), credit[0].position)
    return [
        *([step("Earned", earned, "the last piece accepted")] if earned else []),
        *([step("Matured", matured, "payable from then on")] if matured else []),
    ]


async def credited(look: Look, account: str, owner: str, position: int) -> list[StatementLine]:
    """The last line before a position that put something there."""
    found = await look.page(StatementLine, {"account": account}, by="position", after=(position, owner, position, 0), limit=BATCHES)
    return [row for row in found.rows if int(row.amount) < 0][:1]


def step(name: str, lines: Sequence[StatementLine], note: str) -> Step:
    last = max(lines, key=lambda line: line.position)
    return Step(name, last.at_us or 0, (last.position,), note)


def after(batch: Batch | None, rows: Sequence[Payout], lines: Sequence[Line], finality: int, known: int | None) -> list[Step]:
    """From the request on."""
    asked = sorted({position_of(row.payout) for row in rows})
    whole = tuple(dict.fromkeys((asked[0], asked[-1]))) if asked else ()
    requested = Step("Requested", min((int(row.requested_us or 0) for row in rows), default=0), whole, count(len(rows), "payout"))
    if batch is None:
        cancelled = [row for row in rows if row.cancelled_us]
        if cancelled:
            return [requested, Step("Cancelled", int(cancelled[0].cancelled_us or 0), (int(cancelled[0].position or 0),), "payable again")]
        return [requested, *(Step(name, 0, (), "") for name in ("Signed", "Sent", "Mined", "Final"))]
    at = {str(line.type): line.position for line in reversed(lines)}
    again = f", {batch.signatures} times with a higher fee" if batch.signatures > 1 else ""
    deep = f"{min((known or 1) - 1, finality)} of {count(finality, 'block')} on it" if batch.mined_us and not batch.final_us else ""
    return [
        requested,
        Step("Signed", batch.signed_us or 0, (position_of(batch.batch),), f"the bytes are on the log before they are sent{again}"),
        Step(
            "Sent", batch.mined_us or 0, (), "the chain has it" if batch.mined_us else "until a block has it, the same bytes are sent again"
        ),
        Step(
            "Mined",
            batch.mined_us or 0,
            tuple(at[name] for name in [str(Mined.__struct_config__.tag)] if name in at and batch.mined_us),
            f"block {batch.block}" if batch.block else "",
        ),
        Step(
            "Final",
            batch.final_us or 0,
            tuple(at[name] for name in [str(Finalised.__struct_config__.tag)] if name in at and batch.final_us),
            deep or f"with {count(finality, 'block')} on it",
        ),
    ]
