"""What an agent needs of the outside. Implementations are elsewhere (adapters/client.py, worker_runtime/gpu/mitsuba.py); tests bring
their own.

Whatever asks the server raises `answers.Problem` when it is refused and `answers.Unanswered` when no answer came within the patience
of the implementation, which asks again by itself before that.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple, Protocol

from domain import body
from domain.event import Event, Recorded
from domain.ids import JobId, TaskId, WorkerId
from domain.log.answers import Answer
from domain.market import worker
from domain.signing import Claim
from domain.work import manifest as manifests
from domain.work import tiles


class Ledger(Protocol):
    """Commands of an agent and what it reads of the log."""

    async def send(self, agent: WorkerId, command: body.Body) -> Answer:
        """Asks the ledger to do it; the same command again does nothing."""
        ...

    async def beat(self, agent: WorkerId, session: str) -> None:
        """Says that the agent is alive; nothing of it is kept."""
        ...

    async def report(self, agent: WorkerId, task: TaskId, fence: int, tile: int, of: int) -> None:
        """Says that `tile` of `of` tiles of a task are rendered; nothing of it is kept."""
        ...

    async def stream(self, id: str, least_pos: int = 0) -> list[Recorded[Event]]:
        """All events of a stream, read at `least_pos` or after it."""
        ...


class Feed(Protocol):
    def agent_events(self, agent: WorkerId) -> AsyncIterator[Recorded[Event]]:
        """What concerns the agent: first what is still open for it, then everything as it happens, for ever. It may repeat itself."""
        ...


class Objects(Protocol):
    """Bytes under the name of their SHA-256. What comes back is what was named: the implementation hashes it."""

    async def manifest(self, job: JobId, sha256: str) -> bytes: ...

    async def asset(self, job: JobId, wanted: manifests.Asset) -> bytes: ...

    async def store(self, content: bytes) -> str:
        """Returns the name."""
        ...

    async def raw(self, task: TaskId, tile: int, sha256: str, evidence: str) -> bytes:
        """A worker's tile, by its index within the task, for a drawn checker who names his own rendering of it, stored before."""
        ...


class Server(Ledger, Feed, Objects, Protocol):
    """All three; one client is."""


class Tile(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def raw(self) -> bytes: ...
    @property
    def seconds_us(self) -> int: ...


class Renderer(Protocol):
    """One child process for one scene. Raises `mitsuba.EngineFailed` and `assets.SceneRefused` (worker_runtime/gpu)."""

    async def warm(self) -> None: ...

    async def open(self, described: manifests.Manifest, read: Callable[[str], bytes]) -> None: ...

    def render(self, spec: tiles.Spec, frame: int, numbers: Sequence[int]) -> AsyncIterator[Tile]: ...

    async def close(self) -> None: ...


class Signer(Protocol):
    def __call__(self, claim: Claim, /) -> str:
        """The signature over the claim's typed data, as 0x-prefixed hex."""
        ...


class Clock(Protocol):
    def __call__(self) -> int:
        """Microseconds since 1970."""
        ...


class Probe(Protocol):
    def __call__(self) -> list[worker.Device]:
        """The graphics processors of this machine."""
        ...


class Workshop(NamedTuple):
    """What a machine renders with: makes a renderer, and whether somebody else's scenes may run in it."""

    renderer: Callable[[], Renderer]
    isolated: bool
