"""The chain port's twin: a treasury on a chain that does what a script says. It has no time of its own and no chance in it.

It can be silent, take what is sent and not answer, drop transactions, rebuild its last blocks, share timestamps between blocks, and
let a stranger use the payer's nonce. What it holds is always replayed from its blocks, so a reorg undoes everything.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256

from adapters import signer
from adapters.evm import transaction
from domain.treasury import chain

GAS_WEI = 21_000 * 10**9


@dataclass
class Tx:
    hash: str
    sender: str
    nonce: int = -1
    """Of those that are ours; the others are taken as they come."""
    fee_wei_max: int = 0
    deposit: tuple[str, int] | None = None
    items: tuple[chain.BatchItem, ...] = ()
    anchor: tuple[int, str] | None = None


@dataclass
class Mined:
    block: chain.Block
    txs: list[Tx]
    refusing: frozenset[str]
    """Recipients whose transfers fail in this block."""
    reverting: bool
    """Batches fail whole."""


@dataclass
class State:
    """After some block."""

    held: int = 0
    size: int = 0
    nonces: dict[str, int] = field(default_factory=dict)
    deposits: list[chain.DepositLog] = field(default_factory=list)
    payouts: list[chain.PaidLog] = field(default_factory=list)
    anchors: list[chain.AnchorLog] = field(default_factory=list)
    receipts: dict[str, chain.Receipt] = field(default_factory=dict)
    got: dict[str, int] = field(default_factory=dict)


class ChainTwin:
    """`chain.Chain`, and what a script does to it."""

    def __init__(self, start_s: int, *, block_s: int = 1) -> None:
        self.blocks, self.waiting = list[Mined](), list[Tx]()
        self.block_s, self.start_s, self.fork, self.made = block_s, start_s, 0, 0
        self.silent = self.loses_answers = self.penniless = False
        self.meanwhile: Callable[[], None] | None = None
        """Happens once, while somebody reads logs."""
        self.looked, self.reverting = list[tuple[int, int]](), False
        self.forgets = False
        """The contract does not know any more whom it paid."""
        self.tells = 1
        """How often each deposit is told of."""
        self.base_wei, self.refusing, self.sent = 10**9, set[str](), list[str]()
        self.mine()

    # What a script does.

    def mine(self, count: int = 1, *, timestamp_s: int | None = None) -> None:
        """So many blocks, the first with all that waits and can be mined."""
        for _ in range(count):
            number = len(self.blocks)
            last = self.blocks[-1].block.timestamp_s if self.blocks else self.start_s - self.block_s
            digest = sha256(f"{self.fork} {number}".encode()).hexdigest()
            taken = self._take()
            block = chain.Block(number, f"0x{digest}", timestamp_s if timestamp_s is not None else last + self.block_s)
            self.blocks.append(Mined(block, taken, frozenset(self.refusing), self.reverting))

    def deposit(self, account: str, amount: int) -> str:
        """Somebody deposits, once the next block is there. Returns the transaction's hash."""
        self.made += 1
        tx = "0x" + sha256(f"deposit {self.made}".encode()).hexdigest()
        self.waiting.append(Tx(tx, "0x" + "d" * 40, deposit=(account, amount)))
        return tx

    def reorg(self, depth: int, *, without: tuple[str, ...] = ()) -> None:
        """The last blocks never were. Their transactions wait again, but for some."""
        gone, self.blocks = self.blocks[-depth:], self.blocks[:-depth]
        self.fork += 1
        back = [tx for mined in gone for tx in mined.txs if tx.hash not in without]
        self.waiting = back + self.waiting

    def drop(self) -> None:
        """Nobody knows any more what waited."""
        self.waiting.clear()

    def use_nonce(self, sender: str, nonce: int) -> None:
        """A stranger with the sender's key sends something else; it wins over whatever waits."""
        digest = sha256(f"stranger {sender} {nonce}".encode()).hexdigest()
        self.waiting.insert(0, Tx(f"0x{digest}", sender, nonce, 10**18))

    # The port.

    async def chain_id(self) -> int:
        return 31337

    async def head(self) -> chain.Block:
        self._answer()
        return self.blocks[-1].block

    async def block(self, number: int) -> chain.Block | None:
        self._answer()
        return self.blocks[number].block if number < len(self.blocks) else None

    async def first_block_since(self, timestamp_s: int) -> chain.Block | None:
        self._answer()
        return next((mined.block for mined in self.blocks if mined.block.timestamp_s >= timestamp_s), None)

    async def deposits(self, first: int, last: int) -> list[chain.DepositLog]:
        self._answer()
        self.looked.append((first, last))
        found = [log for log in self.state().deposits if first <= log.block <= last]
        if happens := self.meanwhile:
            self.meanwhile = None
            happens()
        return found * self.tells

    async def payouts(self, first: int, last: int) -> list[chain.PaidLog]:
        self._answer()
        return [log for log in self.state().payouts if first <= log.block <= last]

    async def anchors(self, first: int, last: int) -> list[chain.AnchorLog]:
        self._answer()
        return [log for log in self.state().anchors if first <= log.block <= last]

    async def held(self, block: int) -> int:
        self._answer()
        return self.state(block).held

    async def nonce(self, address: str, block: int) -> int:
        self._answer()
        return self.state(block).nonces.get(address, 0)

    async def fees(self) -> chain.Fees:
        self._answer()
        return chain.Fees(self.base_wei, 10**9)

    async def send(self, raw_tx: str) -> str:
        tx = decode(raw_tx)
        if self.silent:
            raise chain.ChainSilent("nobody answers")
        self.sent.append(raw_tx)
        self._accept(tx)
        if self.loses_answers:
            raise chain.ChainSilent("the answer was lost")
        return tx.hash

    async def receipt(self, tx: str) -> chain.Receipt | None:
        self._answer()
        return self.state().receipts.get(tx)

    # How it works.

    def state(self, block: int | None = None) -> State:
        state = State()
        for mined in self.blocks if block is None else self.blocks[: block + 1]:
            index = 0
            for tx in mined.txs:
                index = self._execute(state, mined, tx, index)
        return state

    def _answer(self) -> None:
        if self.silent:
            raise chain.ChainSilent("nobody answers")

    def _accept(self, tx: Tx) -> None:
        state = self.state()
        if tx.hash in state.receipts or any(tx.hash == other.hash for other in self.waiting):
            return
        if tx.nonce < state.nonces.get(tx.sender, 0):
            raise chain.NonceUsed("nonce too low")
        if self.penniless:
            raise chain.Unfunded("insufficient funds for gas")
        if tx.fee_wei_max < self.base_wei:
            raise chain.Underpriced("max fee per gas less than block base fee")
        for other in self.waiting:
            if (other.sender, other.nonce) == (tx.sender, tx.nonce):
                if tx.fee_wei_max * 10 < other.fee_wei_max * 11:
                    raise chain.Underpriced("replacement transaction underpriced")
                self.waiting.remove(other)
                break
        self.waiting.append(tx)

    def _take(self) -> list[Tx]:
        taken, nonces = list[Tx](), dict(self.state().nonces)
        for tx in sorted(self.waiting, key=lambda tx: tx.nonce):
            if tx.nonce < 0:
                taken.append(tx)
            elif tx.nonce == nonces.get(tx.sender, 0) and tx.fee_wei_max >= self.base_wei:
                nonces[tx.sender] = tx.nonce + 1
                taken.append(tx)
        self.waiting = [tx for tx in self.waiting if tx not in taken and tx.nonce >= nonces.get(tx.sender, 0)]
        return taken

    def _execute(self, state: State, mined: Mined, tx: Tx, index: int) -> int:
        """Returns the next log index of the block."""
        if tx.nonce >= 0:
            state.nonces[tx.sender] = tx.nonce + 1
        ok, block = True, mined.block
        place = (tx.hash, index, block.number, block.hash)
        if tx.deposit:
            state.held += tx.deposit[1]
            state.deposits.append(chain.DepositLog(*place, tx.deposit[0], tx.sender, tx.deposit[1]))
        elif tx.anchor:
            ok = tx.anchor[0] > state.size
            if ok:
                state.size = tx.anchor[0]
                state.anchors.append(chain.AnchorLog(*place, *tx.anchor))
        elif tx.items:
            paid = {log.payout for log in state.payouts if log.ok and not self.forgets}
            ok = not mined.reverting and not paid.intersection(item.payout for item in tx.items)
            for n, item in enumerate(tx.items if ok else ()):
                good = item.to not in mined.refusing and item.amount <= state.held
                state.held -= item.amount * good
                state.got[item.to] = state.got.get(item.to, 0) + item.amount * good
                log = chain.PaidLog(tx.hash, index + n, block.number, block.hash, item.payout, item.to, item.amount, good)
                state.payouts.append(log)
        deposits = (index,) if tx.deposit else ()
        state.receipts[tx.hash] = chain.Receipt(tx.hash, block.number, block.hash, ok, GAS_WEI, deposits)
        return index + max(1, len(tx.items))


def decode(raw_tx: str) -> Tx:
    """What signed bytes do."""
    return replace(_decode(raw_tx))


@cache
def _decode(raw_tx: str) -> Tx:
    decoded = transaction.decode(raw_tx)
    tx = Tx(decoded.tx, decoded.sender, decoded.terms.nonce, decoded.terms.fee_wei_max)
    if decoded.call.data[:4] == transaction.selector("anchor(bytes32,uint256)"):
        tx.anchor = int.from_bytes(decoded.call.data[36:68], "big"), decoded.call.data[4:36].hex()
    else:
        tx.items = signer.decode_batch(raw_tx).items
    return tx
