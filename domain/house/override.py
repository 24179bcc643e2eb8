"""Stopping the money, and letting it go again: what people may do over the rules, and what the watch does when the rules are broken.

While the ledger is frozen nobody opens a job, no payout is asked for and none is signed. Everything else goes on: work under way is
finished and judged, facts of the chain are taken in, everybody reads.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

from domain import body
from domain.errors import ApproverMissing, NumberUsed
from domain.event import Event, Origin
from domain.ids import NO_ACCOUNT, AccountId
from domain.lifecycle import MONEY, Money
from domain.signing import Claim
from domain.world import World

Action = Literal["freeze", "release"]
SUBJECT = "money"


class Applied(Event, tag="override.applied.v1"):
    """Payouts and new escrow were stopped, or let go again."""

    who: ClassVar[str] = "two admins; a freeze also the watch alone"

    subject: str
    action: Action
    reason: str
    """A code."""
    evidence_sha256: str
    """Of what was found, kept beside the log; empty if nothing was written down."""
    number: int
    """The last override's plus one."""
    approver: str = ""
    approval: str = ""

    @property
    def stream(self) -> str:
        return "override"

    def apply(self, world: World) -> None:
        world.frozen = MONEY.after(frozen(world), self.verb()) == "frozen"
        world.overrides = self.number
        for owner in world.people:
            world.arm_payday(owner)

    def claims(self) -> tuple[Claim, ...]:
        if not self.approval:
            return ()
        approver = AccountId(self.approver)  # type: ignore[arg-type]
        return (approved(self.action, self.reason, self.evidence_sha256, self.number, approver, self.approval),)


def frozen(world: World) -> Money:
    return "frozen" if world.frozen else "running"


def approved(action: str, reason: str, evidence: str, number: int, approver: AccountId, signature: str) -> Claim:
    fields = (("subject", SUBJECT), ("action", action), ("reason", reason), ("evidence", evidence), ("number", number))
    return Claim("Override", fields, approver, "owner", signature)


class Override(body.Body):
    """Freeze payouts and new escrow, or release them. Two admins: one asks, another signs; the watch freezes alone. `number` is the last
    override's plus one."""

    action: Action
    reason: body.Word
    evidence_sha256: body.Digest | None = None
    number: body.Number
    approver: body.Account | None = None
    approval: body.Signature | None = None

    def countersigned(self) -> Claim | None:
        if self.approver is None or self.approval is None:
            return None
        return approved(self.action, self.reason, self.evidence_sha256 or "", self.number, self.approver, self.approval)

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        alone = self.action == "freeze" and origin.account in world.people and "watch" in world.people[origin.account].roles
        approver = NO_ACCOUNT if alone and not self.approver else origin.require_approver(world, Applied.verb())
        if approver != (self.approver or NO_ACCOUNT):
            raise ApproverMissing(what=Applied.verb(), role="admin")
        if world.frozen == (self.action == "freeze"):
            return
        if self.number != world.overrides + 1:
            raise NumberUsed(expected=world.overrides + 1, number=self.number)
        yield Applied(SUBJECT, self.action, self.reason, self.evidence_sha256 or "", self.number, approver, self.approval or "")
