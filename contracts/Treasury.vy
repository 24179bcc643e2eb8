# pragma version 0.4.3
"""
@title Treasury
@notice Holds one ERC-20 for the ledger: takes deposits for its accounts, pays payouts in batches, each id once, and keeps the newest
        root of the log. The owner appoints the payer and the anchorer; no role can take money out other than by a payout.
"""

from ethereum.ercs import IERC20

event Deposited:
    account: indexed(bytes32)
    sender: indexed(address)
    amount: uint256

event Paid:
    id: indexed(bytes32)
    to: indexed(address)
    amount: uint256

event Failed:
    id: indexed(bytes32)
    to: indexed(address)
    amount: uint256

event Anchored:
    size: indexed(uint256)
    root: bytes32

event Appointed:
    owner: address
    payer: address
    anchorer: address

PAYOUTS_MAX: constant(uint256) = 100
# What a transfer may use. Before each one, enough gas must be left to give it that much and to go on: a batch that was sent with
# too little gas reverts whole, and no payout counts as refused by its recipient because of it.
TRANSFER_GAS: constant(uint256) = 100_000
RESERVED_GAS: constant(uint256) = 140_000

token: public(immutable(IERC20))
owner: public(address)
payer: public(address)
anchorer: public(address)
paid: public(HashMap[bytes32, bool])
size: public(uint256)
root: public(bytes32)


@deploy
def __init__(token_: IERC20, payer_: address, anchorer_: address):
    assert token_.address.is_contract, "no token"
    token = token_
    self._appoint(msg.sender, payer_, anchorer_)


@external
def appoint(owner_: address, payer_: address, anchorer_: address):
    """
    @notice Gives the three roles anew. The zero address stops what its role does; an owner there must be.
    """
    assert msg.sender == self.owner, "not the owner"
    self._appoint(owner_, payer_, anchorer_)


@external
@nonreentrant
def deposit(account: bytes32, amount: uint256):
    """
    @notice Takes `amount` of the token, approved before, for an account of the ledger: its id in ASCII, zeros after it.
    @dev A token that keeps a part of what it moves is refused, else more would be owed than is held.
    """
    assert account != empty(bytes32), "no account"
    assert amount != 0, "no amount"
    before: uint256 = staticcall token.balanceOf(self)
    assert extcall token.transferFrom(msg.sender, self, amount, default_return_value=True), "transfer refused"
    assert staticcall token.balanceOf(self) == before + amount, "less came in"
    log Deposited(account=account, sender=msg.sender, amount=amount)


@external
@nonreentrant
def pay(ids: DynArray[bytes32, PAYOUTS_MAX], to: DynArray[address, PAYOUTS_MAX], amounts: DynArray[uint256, PAYOUTS_MAX]):
    """
    @notice Pays `amounts[i]` to `to[i]` as payout `ids[i]`. Reverts if any of them was paid before; a transfer that fails, fails alone
            and leaves its id unpaid.
    """
    assert msg.sender == self.payer, "not the payer"
    assert len(ids) == len(to) and len(ids) == len(amounts), "lengths differ"
    for i: uint256 in range(len(ids), bound=PAYOUTS_MAX):
        assert not self.paid[ids[i]], "paid before"
        assert msg.gas > RESERVED_GAS, "too little gas"
        self.paid[ids[i]] = True
        if self._transfer(to[i], amounts[i]):
            log Paid(id=ids[i], to=to[i], amount=amounts[i])
        else:
            self.paid[ids[i]] = False
            log Failed(id=ids[i], to=to[i], amount=amounts[i])


@external
def anchor(root: bytes32, size: uint256):
    """
    @notice Keeps the Merkle root over the first `size` events of the log. Sizes only rise.
    """
    assert msg.sender == self.anchorer, "not the anchorer"
    assert size > self.size, "size does not rise"
    self.size = size
    self.root = root
    log Anchored(size=size, root=root)


@internal
def _appoint(owner_: address, payer_: address, anchorer_: address):
    assert owner_ != empty(address), "no owner"
    self.owner = owner_
    self.payer = payer_
    self.anchorer = anchorer_
    log Appointed(owner=owner_, payer=payer_, anchorer=anchorer_)


@internal
def _transfer(to: address, amount: uint256) -> bool:
    """
    @dev True if the token says so, or says nothing, as old ones do. Money that the treasury sends to itself pays nobody.
    """
    if to == self:
        return False
    success: bool = False
    answer: Bytes[32] = b""
    success, answer = raw_call(
        token.address,
        abi_encode(to, amount, method_id=method_id("transfer(address,uint256)")),
        max_outsize=32,
        gas=TRANSFER_GAS,
        revert_on_failure=False,
    )
    return success and (len(answer) == 0 or convert(answer, uint256) == 1)
