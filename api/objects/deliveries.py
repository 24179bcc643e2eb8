"""Who brought which bytes. The hashes on the log are public, so a hash alone shows nothing; whoever has the bytes can bring them again.

Kept in memory, and bounded: after a restart a client is asked to upload once more, which costs little and decides nothing.
"""

from collections import OrderedDict

from api.problems import EvidenceSwapped, UploadLimit
from domain.ids import AccountId

DELIVERIES_MAX = 200_000
HOUR_US = 3_600_000_000


class Deliveries:
    def __init__(self, account_bytes_max: int) -> None:
        self._bytes_max = account_bytes_max
        self._delivered: OrderedDict[tuple[AccountId, str], None] = OrderedDict()
        self._filed: OrderedDict[tuple[AccountId, str, int], str] = OrderedDict()
        self._spent: dict[AccountId, tuple[int, int]] = {}

    def note(self, account: AccountId, digest: str) -> None:
        """The account brought these bytes."""
        self._delivered[account, digest] = None
        self._delivered.move_to_end((account, digest))
        if len(self._delivered) > DELIVERIES_MAX:
            self._delivered.popitem(last=False)

    def has(self, account: AccountId, digest: str) -> bool:
        return (account, digest) in self._delivered

    def file(self, account: AccountId, audit: str, region: int, digest: str) -> None:
        """The checker's own rendering of a region, for good. Raises `EvidenceSwapped` if it filed another one before."""
        if self._filed.setdefault((account, audit, region), digest) != digest:
            raise EvidenceSwapped(region=region)
        if len(self._filed) > DELIVERIES_MAX:
            self._filed.popitem(last=False)

    def filed(self, account: AccountId, audit: str, region: int) -> str:
        """Its hash; empty if nothing was."""
        return self._filed.get((account, audit, region), "")

    def spend(self, account: AccountId, size: int, now_us: int) -> None:
        """The account is about to bring so many bytes. Raises `UploadLimit` if that is too much for one hour."""
        hour = now_us // HOUR_US
        began, spent = self._spent.get(account, (hour, 0))
        spent = size if began != hour else spent + size
        if spent > self._bytes_max:
            raise UploadLimit(limit=f"{self._bytes_max} bytes an hour")
        self._spent[account] = (hour, spent)
