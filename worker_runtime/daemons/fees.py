"""What a transaction offers for its gas, and how much more when it is stuck. All per unit of gas, in wei."""

from domain.treasury import chain
from domain.value import Value

BUMP_US = 48_000_000
"""A transaction that is in no block after so long gets a higher fee (four blocks of mainnet; OP txmgr's default)."""
BUMP_PER_MILLE = 125
"""By how much: nodes ask for a tenth at least."""
TIP_WEI_MAX = 10**11
"""A hundred gwei. All of a tip is paid, so no node is believed that more is usual."""
FEE_TIMES_MAX = 5
"""A fee is not raised beyond so many times what the chain asks for now."""


class Terms(Value):
    fee_wei_max: int
    tip_wei: int


def usual(fees: chain.Fees) -> Terms:
    """Room for the base fee to double."""
    tip_wei = min(fees.tip_wei, TIP_WEI_MAX)
    return Terms(2 * fees.base_wei + tip_wei, tip_wei)


def raised(last: Terms, now: Terms) -> Terms | None:
    """Enough above the last terms to replace them, and no less than is usual now; None if that is too much."""
    fee_wei_max = max(last.fee_wei_max + -(-last.fee_wei_max * BUMP_PER_MILLE // 1000), now.fee_wei_max)
    tip_wei = max(last.tip_wei + -(-last.tip_wei * BUMP_PER_MILLE // 1000), now.tip_wei)
    return Terms(fee_wei_max, tip_wei) if fee_wei_max <= FEE_TIMES_MAX * now.fee_wei_max else None
