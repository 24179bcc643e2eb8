"""Why the ledger says no.

One class is one reason. Its docstring is the message, its snake-cased name the stable `code`, and what it was raised with becomes the
members of the problem document. HTTP statuses live once, in `api/problems.py`. Errors of the log (domain/log) are not refusals.
"""

import re
from typing import ClassVar


class Refused(Exception):
    """The ledger refused the command."""

    code: ClassVar[str] = "refused"

    def __init_subclass__(cls) -> None:
        cls.code = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, **facts: str | int) -> None:
        self.facts = facts
        super().__init__((self.__doc__ or self.code).format_map(facts))


class NotFound(Refused):
    """There is no {id}."""


class NotLive(Refused):
    """{id} is over, or was never of that kind; the log tells what it was."""


class NotYours(Refused):
    """{id} belongs to somebody else."""


class NotAllowed(Refused):
    """{what} is {status}: {happens} cannot happen now."""


class RoleMissing(Refused):
    """{id} does not have the role {role}."""


class InsufficientFunds(Refused):
    """{account} holds {available}, but {needed} is needed."""


class BelowMinimum(Refused):
    """{amount} is below the minimum of {minimum}."""


class NumberUsed(Refused):
    """The next number is {expected}, not {number}."""


class WrongSignature(Refused):
    """The signature is not by a registered {purpose} key of {id}."""


class ApproverMissing(Refused):
    """{what} needs a second person with the role {role}, and that person's signature."""


class AddressNotUsable(Refused):
    """{id} has no payout address {address} that is usable now."""


class StaleFence(Refused):
    """The lease of {task} has fence {fence} now; {given} is over."""


class QuoteExpired(Refused):
    """The quote for {id} was valid until {valid_until_us}."""


class DeadlinePassed(Refused):
    """{what} was due at {due_us}."""


class TooEarly(Refused):
    """{what} is not possible before {due_us}."""


class NotDrawn(Refused):
    """{id} was not drawn for {audit}."""


class SealBroken(Refused):
    """What was revealed for {audit} does not open the seal that was committed."""


class VerdictNotByRule(Refused):
    """By the comparator's rule the verdict for these metrics is {expected}."""


class WrongTiles(Refused):
    """{task} has {expected} tiles; {given} hashes were given."""


class WrongBeacon(Refused):
    """The next beacon is for grid {expected}, not {given}."""


class WrongNonce(Refused):
    """The next nonce of the wallet is {expected}, not {given}."""


class UnknownEngine(Refused):
    """There is no engine {engine} with class {cls}."""


class UnknownAsset(Refused):
    """There is no asset {asset}."""


class Duplicate(Refused):
    """{what} is registered already."""


class Frozen(Refused):
    """{id} is quarantined until {until_us}."""


class MoneyFrozen(Refused):
    """Payouts and new escrow are stopped until two admins release them: {what} cannot happen now."""


class CommandIdReused(Refused):
    """Key of command {id} was sent before, with another request."""


class KeyExpired(Refused):
    """The key is from {key_us}, too long before {at_us}: whatever it did, it does not happen again."""


class KeyFromFuture(Refused):
    """The key is from {key_us}, too long after {at_us}: set your clock."""


class CommandTooLarge(Refused):
    """The command makes {size}, more than {maximum}."""
