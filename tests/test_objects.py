"""Both homes of objects keep the contract of `tests.contracts.objects`."""

from collections.abc import Callable
from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore

from adapters import objects
from adapters.objects import Objects
from domain.work.objects import Store
from tests.contracts.objects import ObjectsContract


class TestMemoryObjects(ObjectsContract):
    @pytest.fixture
    def medium(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def store(self, medium: MemoryStore) -> Store:
        return Objects(medium)

    @pytest.fixture
    def left(self, store: Store, medium: MemoryStore) -> Callable[[], list[str]]:
        return lambda: [entry["path"] for page in obstore.list(medium) for entry in page]


class TestLocalObjects(ObjectsContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return objects.local(tmp_path / "objects")

    @pytest.fixture
    def again(self, tmp_path: Path) -> Callable[[], Store]:
        return lambda: objects.local(tmp_path / "objects")

    @pytest.fixture
    def left(self, tmp_path: Path) -> Callable[[], list[str]]:
        return lambda: sorted(str(file) for file in tmp_path.rglob("*") if file.is_file())
