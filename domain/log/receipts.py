"""What commands came to, for whoever asks again.

A retry is safe for ever, in bounded memory: a receipt is kept for as long as its key is valid, and a key that is not valid any more
is refused, never carried out. Two buckets are enough. Ledger time moves them on, and so does their number; what is dropped early
takes the horizon of valid keys with it. All of it is a fold: who replays the log remembers, forgets and refuses the same.
"""

import re
from hashlib import sha256
from typing import Self

from msgspec import Struct

from domain.errors import CommandIdReused, KeyExpired, KeyFromFuture
from domain.event import Command
from domain.ids import NO_ACCOUNT, AccountId, Actor, CommandId, command_id
from domain.value import Value

KEY_AGE_US, KEY_AHEAD_US = 24 * 3_600_000_000, 5 * 60_000_000
"""A key is valid from 24 h before to 5 min after ledger time."""
BUCKET_US = KEY_AGE_US + KEY_AHEAD_US
RECEIPTS_MAX = 4_000_000
"""In both buckets together, some 600 MB."""

UUID7 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class BadKey(Exception):
    """The key is not a UUIDv7 in lower case."""


class Ask(Value):
    """A command on its way in."""

    cmd: CommandId
    actor: Actor
    """Who acts: an account, a worker, or `key-<fingerprint>` for an account that the command opens."""
    command: Command
    account: AccountId = NO_ACCOUNT
    """Whose key authenticated the request."""
    signer: str = ""
    """The address that the caller's signature recovers to."""
    approver: str = ""
    """The same for the second person's."""
    body: str = ""
    """A digest of the request, if a key came with it; empty means that the command is remembered by nobody."""
    key_us: int | None = None
    """When the caller made the key. None: the subject says what is done (a task, a fence, a verb), and the world knows if it was."""
    size: int = 0
    """Bytes that it takes while it waits."""

    @classmethod
    def keyed(
        cls,
        actor: Actor,
        key: str,
        command: Command,
        request: bytes,
        *,
        account: AccountId = NO_ACCOUNT,
        signer: str = "",
        approver: str = "",
    ) -> Self:
        """Of people and integrators. `request` is what the key stands for: path, command and body, as they came. Raises `BadKey`."""
        key_us, digest = uuid7_us(key), sha256(request).hexdigest()[:32]
        return cls(command_id(actor, key), actor, command, account, signer, approver, digest, key_us, len(request))

    @classmethod
    def about(
        cls,
        actor: Actor,
        subject: str,
        command: Command,
        *,
        account: AccountId = NO_ACCOUNT,
        signer: str = "",
        approver: str = "",
        size: int = 0,
    ) -> Self:
        """Of workers and daemons. `subject` says what is done, e.g. `commit/job-1042/17/3`: the same thing once more does nothing."""
        return cls(command_id(actor, subject), actor, command, account, signer, approver, size=size)


def uuid7_us(key: str) -> int:
    """When a UUIDv7 was made (RFC 9562 §5.7), in microseconds since 1970. Raises `BadKey`."""
    if not UUID7.fullmatch(key):
        raise BadKey
    return int(key[:8] + key[9:13], 16) * 1000


class Receipt(Value):
    """What a command came to."""

    position: int
    """Of its first event; of the last one before it if it had nothing to do."""
    count: int
    """How many events. The lines are the leaves at `position`, `position + 1` and so on."""
    lines: tuple[bytes, ...] = ()
    """Byte for byte; empty also for an older command, whose lines the log has."""

    @property
    def last(self) -> int:
        """The position from which on its effect is to be seen."""
        return self.position + max(self.count, 1) - 1


class Done(Value):
    """What is remembered of a command."""

    position: int
    count: int
    body: str


class Receipts(Struct):
    new: dict[CommandId, Done] = {}
    old: dict[CommandId, Done] = {}
    began_us: int = 0
    """Ledger time of the first receipt in `new`."""
    last_us: int = 0
    """Ledger time of the last receipt in `new`, and in `old`."""
    old_last_us: int = 0
    horizon_us: int = -1
    """Keys made up to then may have been forgotten."""

    def get(self, ask: Ask) -> Done | None:
        """What became of it when it was asked before. Raises `CommandIdReused` if that was another request."""
        done = self.new.get(ask.cmd) or self.old.get(ask.cmd)
        if done and done.body != ask.body:
            raise CommandIdReused(id=ask.cmd)
        return done

    def guard(self, key_us: int, at_us: int) -> None:
        """Refuse a key from outside the window: what it did may be forgotten, or will be before it is valid."""
        if key_us < at_us - KEY_AGE_US or key_us <= self.horizon_us:
            raise KeyExpired(key_us=key_us, at_us=at_us)
        if key_us > at_us + KEY_AHEAD_US:
            raise KeyFromFuture(key_us=key_us, at_us=at_us)

    def take(self, cmd: CommandId, done: Done, at_us: int) -> None:
        """Remember a keyed command that was decided at ledger time `at_us`."""
        if at_us - self.began_us >= BUCKET_US or len(self.new) >= RECEIPTS_MAX // 2:
            self._turn(at_us)
        self.new[cmd] = done
        self.last_us = at_us

    def _turn(self, at_us: int) -> None:
        """Forget the older bucket. A key in it may have been made up to `KEY_AHEAD_US` later than its command came. After a whole
        bucket's time such keys are too old anyway; if the bucket was full before, they are from now on."""
        if self.old:
            self.horizon_us = max(self.horizon_us, self.old_last_us + KEY_AHEAD_US)
        self.old, self.old_last_us = self.new, self.last_us
        self.new, self.began_us = {}, at_us
