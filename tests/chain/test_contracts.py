"""Sources become bytecode once, and anew when they change."""

from pathlib import Path

import pytest

from adapters.evm import contracts

SOURCE = "# pragma version 0.4.3\nkept: public(uint256)\n\n@deploy\ndef __init__(value_: uint256):\n    self.kept = value_\n"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    (tmp_path / "Box.vy").write_text(SOURCE)
    return tmp_path


def test_second_use_reads_what_the_first_compiled(sources: Path) -> None:
    first = contracts.compiled("Box", sources / "cache", sources)
    [kept] = (sources / "cache").iterdir()
    marked = kept.read_bytes().replace(first.bytecode.encode(), b"0xfeed")
    kept.write_bytes(marked)
    assert contracts.compiled("Box", sources / "cache", sources).bytecode == "0xfeed"


def test_changed_source_is_compiled_anew(sources: Path) -> None:
    first = contracts.compiled("Box", sources / "cache", sources)
    (sources / "Box.vy").write_text(SOURCE + "\n@external\ndef more():\n    self.kept += 1\n")
    second = contracts.compiled("Box", sources / "cache", sources)
    assert [part.get("name") for part in second.abi if part not in first.abi] == ["more"]


def test_torn_file_in_the_cache_is_made_anew(sources: Path) -> None:
    first = contracts.compiled("Box", sources / "cache", sources)
    [kept] = (sources / "cache").iterdir()
    kept.write_bytes(kept.read_bytes()[:40])
    assert contracts.compiled("Box", sources / "cache", sources) == first


def test_arguments_of_the_constructor_follow_the_bytecode(sources: Path) -> None:
    box = contracts.compiled("Box", sources / "cache", sources)
    call = contracts.creation(box, 7)
    assert (call.to, call.data) == ("0x", bytes.fromhex(box.bytecode[2:]) + (7).to_bytes(32, "big"))


def test_unknown_contract_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        contracts.compiled("Nothing", tmp_path)
