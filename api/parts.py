"""What the application is made of: all that it touches beside the domain, given to it by whoever composes the process."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from domain.event import Event, Recorded
from domain.ids import CommandId, WorkerId
from domain.log.log import Log
from domain.log.merkle import Head
from domain.log.receipts import Ask, Receipt
from domain.proof import proof
from domain.value import Value
from domain.work.manifest import ASSET_BYTES_MAX, Manifest
from domain.work.objects import Store
from domain.world import World
from projections.past import Past
from projections.row import Projection
from projections.views import Views

Item = tuple[Recorded[Event], bytes]
Submit = Callable[[Ask], Awaitable[Receipt]]
Recover = Callable[[dict[str, Any], str], str]
"""(EIP-712 document, signature) -> address in lower case. Raises `ValueError` for what is no signature."""
CheckScene = Callable[[Manifest, Callable[[str], bytes]], tuple[str, str] | None]
"""(scene, bytes of an asset by name) -> None, or (code, what is wrong and where). Runs in a thread."""
Gate = Callable[[World, WorkerId, proof.Commit], Awaitable[str | None]]
"""Looks at a proof before the ledger hears of it: None, or the code of what is wrong with it (DOMAIN.md §5.2)."""
Seen = Callable[[WorkerId, str], None]
"""A heartbeat of a worker's session."""


class Reader(Protocol):
    """The process's one reader of the log (adapters/log/follower.py)."""

    @property
    def head(self) -> Head: ...

    @property
    def world(self) -> World:
        """As of `head`. To be read only."""
        ...

    def remembers(self, cmd: CommandId) -> bool:
        """Whether a keyed command was done before, as of `head`."""
        ...

    @property
    def at_us(self) -> int:
        """Ledger time of the last block."""
        ...

    async def reached(self, position: int, timeout_s: float) -> None:
        """Returns when the head is there. Raises `TimeoutError`; anything else: nobody follows the log any more."""
        ...

    def events(
        self, after: int, *, types: Collection[str] = (), streams: Collection[str] = (), about: Collection[str] = ()
    ) -> AsyncGenerator[Item, None]:
        """Events after a position, with their lines, for ever; empty filters mean all. Ends with an exception when the caller is too
        slow or nobody follows any more. To be closed."""
        ...


class Notary(Protocol):
    """Signs heads of the log (adapters/files/notary.py)."""

    @property
    def verifier(self) -> str:
        """The public key, as C2SP signed-note writes it."""
        ...

    def checkpoint(self, size: int, root: str) -> str:
        """The signed note of a head; `root` is 64 hex digits."""
        ...


Said = tuple[int, list[tuple[str, str]], AsyncIterator[bytes]]
"""Status, headers, body."""


class Leader(Protocol):
    """The server that leads (adapters/remote.py)."""

    def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: AsyncIterator[bytes] | bytes
    ) -> AbstractAsyncContextManager[Said]:
        """Raises `Busy` if it did not get the request, `OutcomeUnknown` if it may have. Bytes may be sent twice, if another one leads
        by then."""
        ...


class Limits(Value):
    object_bytes_max: int = ASSET_BYTES_MAX
    account_bytes_max: int = 8 << 30
    """What an account may upload within an hour."""
    account_uploads_max: int = 2_000
    """Uploads that an account may have open."""
    scene_bytes_max: int = 512 << 20
    """Of all assets of a scene together: they are looked at in memory, one scene at a time."""
    read_wait_s: float = 2.0
    """How long a read waits for `min_pos`."""
    wait_s: float = 5.0
    """How long a request waits until this process has read what it was told by the ledger."""
    live_max: int = 12_000
    """Live connections at once."""
    keep_alive_s: float = 15.0
    address_minute_max: int = 6_000
    """Requests of one address within a minute; costly ones count ten times. The server's own machine is not counted."""
    address_open_max: int = 500
    """Requests and feeds that one address may have open."""


class Parts(Value):
    submit: Submit
    reader: Reader
    views: Views
    projections: Sequence[Projection]
    """Whose rows the views hold; an answer `as_of` a position is folded by them."""
    objects: Store
    log: Log
    past: Past
    """The views as they stood; one for all that a process answers, since what it holds is bounded."""
    check_scene: CheckScene
    recover: Recover
    gate: Gate
    seen: Seen
    now_us: Callable[[], int]
    gauges: Callable[[], dict[str, float]] = dict
    """More numbers for `/metrics`: name -> value, e.g. how many commands wait."""
    ready: Callable[[], bool] = lambda: True
    """Whether commands would be decided now."""
    leads: Callable[[], bool] = lambda: True
    """Whether this process decides them."""
    begun: Callable[[], int] = int
    """The position at which it last came to: others may have told callers of what is before it."""
    leader: Leader | None = None
    """Who does if it is another one; None: there is no other."""
    notary: Notary | None = None
    """None: heads are not signed here."""
    limits: Limits = Limits()
    role: str = "all"
    """What kind of process it is (roles/)."""
