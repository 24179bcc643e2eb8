"""Commands from outside. What comes from outside is Pydantic, what we wrote ourselves is msgspec: a command is its own request body, so
there is one definition, one validation and one schema."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, WithJsonSchema

from domain.accounts import Asset
from domain.event import Event, Origin
from domain.ids import AccountId, AuditId, BatchId, DepositId, JobId, PayoutId, TaskId, WorkerId
from domain.signing import Claim
from domain.units import AMOUNT_MAX, Units
from domain.world import World

Invalid = ValidationError
"""What a body raises for fields that are not as they must be."""
DECIMAL = re.compile("[1-9][0-9]{0,30}")
POSITION = "[1-9][0-9]{0,14}"
COUNT_MAX = 2**53 - 1


class Body(BaseModel):
    """The fields of a command, exactly: strict types, nothing extra."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    def decide(self, world: World, origin: Origin) -> Iterator[Event]:
        raise NotImplementedError

    def claim(self, account: AccountId) -> Claim | None:
        """What the caller's signature is over, for commands that carry one."""
        return None

    def countersigned(self) -> Claim | None:
        """What the second person's signature is over, for commands that need two."""
        return None


def _amount(value: Any) -> Units:
    if isinstance(value, Units) and 0 < value <= AMOUNT_MAX:
        return value
    if isinstance(value, str) and DECIMAL.fullmatch(value) and int(value) <= AMOUNT_MAX:
        return Units(value)
    raise ValueError("expected minor units, more than 0, as a decimal string")


Amount = Annotated[
    Units, PlainValidator(_amount), WithJsonSchema({"type": "string", "pattern": f"^{DECIMAL.pattern}$", "examples": ["200000000"]})
]
Account = Annotated[AccountId, Field(pattern=f"^account-{POSITION}$", examples=["account-10"])]
Worker = Annotated[WorkerId, Field(pattern=f"^worker-{POSITION}$", examples=["worker-26"])]
Job = Annotated[JobId, Field(pattern=f"^job-{POSITION}$", examples=["job-100"])]
Task = Annotated[TaskId, Field(pattern=f"^(job-{POSITION}/{POSITION}|bench-{POSITION})$", examples=["job-100/4"])]
Audit = Annotated[AuditId, Field(pattern=f"^audit-{POSITION}$", examples=["audit-95"])]
Deposit = Annotated[DepositId, Field(pattern=f"^deposit-{POSITION}$")]
Payout = Annotated[PayoutId, Field(pattern=f"^payout-{POSITION}$", examples=["payout-307"])]
Batch = Annotated[BatchId, Field(pattern=f"^batch-{POSITION}$")]
AssetId = Annotated[Asset, Field(pattern="^[a-z][a-z0-9]{1,11}$", examples=["usdc"])]
Count = Annotated[int, Field(ge=0, le=COUNT_MAX)]
Number = Annotated[int, Field(ge=1, le=COUNT_MAX)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$", examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])]
"""SHA-256 as lower-case hex."""
Hash32 = Annotated[str, Field(pattern="^0x[0-9a-f]{64}$")]
"""A transaction or block hash."""
Address = Annotated[str, Field(pattern="^0x[0-9a-f]{40}$", examples=["0x70997970c51812dc3a010c7d01b50e0d17dc79c8"])]
"""An EVM address in lower case."""
KeyId = Annotated[str, Field(pattern="^(0x[0-9a-f]{40}|[0-9a-f]{64})$")]
"""An address, or the SHA-256 of an API key's secret."""
Signature = Annotated[str, Field(pattern="^0x[0-9a-f]{130}$")]
"""65 bytes r ‖ s ‖ v of an EIP-712 signature."""
Word = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_.-]{0,39}$", examples=["mitsuba"])]
"""A code, never free text."""
Model = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9 ._()/+-]{0,79}$", examples=["NVIDIA H200"])]
"""A device's name, as its driver gives it."""
Class = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,39}/[a-z0-9][a-z0-9_.-]{0,39}$", examples=["mitsuba-3.9.1/cpu"])]
"""Engine build and device class."""
