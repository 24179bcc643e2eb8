"""From a command's claim to the address that signed it. Whether that address may, the domain decides."""

from api.parts import Recover
from domain.body import Body
from domain.ids import AccountId
from domain.signing import Claim, typed_data
from domain.world import World


def signer(world: World, recover: Recover, claim: Claim | None) -> str:
    """The address whose key signed the claim; empty if there is no claim, or nothing that could be a signature of it."""
    if claim is None or not world.assets:
        return ""
    chain_id = next(iter(world.assets.values())).chain_id
    try:
        return recover(typed_data(world.log, chain_id, claim), claim.signature)
    except ValueError:
        return ""


def signers(world: World, recover: Recover, command: Body, account: AccountId) -> tuple[str, str]:
    """(who signed, which second person signed)."""
    return signer(world, recover, command.claim(account)), signer(world, recover, command.countersigned())
