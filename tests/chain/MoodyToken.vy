# pragma version 0.4.3
"""
@title Moody token
@notice Moves money as told, except to addresses that somebody gave a mood: what a treasury may meet on a real chain.
"""

REVERTS: constant(uint256) = 1
SAYS_NO: constant(uint256) = 2
BURNS_GAS: constant(uint256) = 3
SAYS_NOTHING: constant(uint256) = 4
KEEPS_A_PART: constant(uint256) = 5

balanceOf: public(HashMap[address, uint256])
mood: public(HashMap[address, uint256])


@external
def mint(to: address, amount: uint256):
    self.balanceOf[to] += amount


@external
def set_mood(of: address, mood: uint256):
    self.mood[of] = mood


@external
def approve(spender: address, amount: uint256) -> bool:
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    self.balanceOf[owner] -= amount
    self.balanceOf[to] += amount if self.mood[owner] != KEEPS_A_PART else amount - 1
    return self.mood[owner] != SAYS_NO


@external
@raw_return
def transfer(to: address, amount: uint256) -> Bytes[32]:
    mood: uint256 = self.mood[to]
    assert mood != REVERTS, "blocked"
    if mood == SAYS_NO:
        return abi_encode(False)
    if mood == BURNS_GAS:
        for i: uint256 in range(1_000_000):
            self.mood[self] = i
    self.balanceOf[msg.sender] -= amount
    self.balanceOf[to] += amount
    return b"" if mood == SAYS_NOTHING else abi_encode(True)
