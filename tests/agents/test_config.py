"""`worker.toml`: what is read, what is refused and why in one line, and that its secrets stay where they are."""

import stat
from pathlib import Path

import pytest

from worker_runtime import config
from worker_runtime.config import Unusable

GOOD = """
server = "http://127.0.0.1:8080"
log = "000102030405060708090a0b0c0d0e0f"
chain_id = 31337
worker = "worker-26"
account = "account-12"
class = "mitsuba-3.9.1/cpu"
api_key = "an api key"
signing_key = "a signing key"
price_per_kwu = "180000000"
duty = 50
"""


def write(folder: Path, text: str = GOOD, mode: int = 0o600, name: str = "worker.toml") -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_configuration_is_read(tmp_path: Path) -> None:
    found = config.load(write(tmp_path))
    assert (found.worker, found.account, found.cls, found.duty) == ("worker-26", "account-12", "mitsuba-3.9.1/cpu", 50)
    assert (found.secret("api_key"), found.secret("signing_key")) == ("an api key", "a signing key")
    assert found.folder == str(tmp_path / "worker-26.data")


def test_its_text_shows_no_secret(tmp_path: Path) -> None:
    found = config.load(write(tmp_path))
    assert repr(found) == str(found) == "Config(worker-26 at http://127.0.0.1:8080)"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_what_others_may_read_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path, mode=mode)
    with pytest.raises(Unusable, match=f"chmod 600 {path}"):
        config.load(path)


def test_a_key_in_a_file_beside_it_is_read_and_must_be_private_too(tmp_path: Path) -> None:
    key = write(tmp_path, "a key in a file\n", name="agent.key")
    found = config.load(write(tmp_path, GOOD.replace('signing_key = "a signing key"', 'signing_key_file = "agent.key"')))
    assert found.secret("signing_key") == "a key in a file"
    key.chmod(0o644)
    with pytest.raises(Unusable, match="chmod 600"):
        found.secret("signing_key")


BAD = {
    "no TOML": ("server = ", "Invalid value"),
    "unknown field": (GOOD + "sloths = 3\n", "sloths"),
    "missing field": (GOOD.replace("chain_id = 31337\n", ""), "chain_id"),
    "a number as text": (GOOD.replace("31337", '"31337"'), "chain_id"),
    "a price as a number": (GOOD.replace('"180000000"', "180000000"), "price_per_kwu"),
    "a price with a leading zero": (GOOD.replace('"180000000"', '"0180000000"'), "price_per_kwu"),
    "no duty": (GOOD.replace("duty = 50", "duty = 0"), "duty"),
    "too much duty": (GOOD.replace("duty = 50", "duty = 101"), "duty"),
    "a worker that is none": (GOOD.replace("worker-26", "worker-026"), "worker"),
    "a class that is a path": (GOOD.replace("mitsuba-3.9.1/cpu", "../cpu"), "class"),
    "another kind of server": (GOOD.replace("http://127.0.0.1:8080", "file:///etc/passwd"), "server"),
    "no key": (GOOD.replace('api_key = "an api key"', ""), "api_key or api_key_file"),
    "two keys": (GOOD + 'api_key_file = "api.key"\n', "api_key or api_key_file"),
    "a checker that bids": (GOOD + 'kind = "checker"\n', "price_per_kwu"),
    "too long": (GOOD + "#" * config.BYTES_MAX, "at most"),
}


@pytest.mark.parametrize(("text", "named"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_named_in_one_line_without_secrets(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(Unusable, match=named) as raised:
        config.load(write(tmp_path, text))
    line = str(raised.value)
    assert "\n" not in line
    assert "an api key" not in line
    assert "a signing key" not in line


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="No such file"):
        config.load(tmp_path / "worker.toml")


def test_an_imported_configuration_is_for_its_owner_alone(tmp_path: Path) -> None:
    kept = config.keep(write(tmp_path, mode=0o644), tmp_path / "home")
    assert kept == tmp_path / "home" / "worker-26.toml"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert config.load(kept).worker == "worker-26"


def test_an_import_replaces_nothing_unless_told_to(tmp_path: Path) -> None:
    source, home = write(tmp_path), tmp_path / "home"
    kept = config.keep(source, home)
    write(tmp_path, GOOD.replace("duty = 50", "duty = 60"))
    with pytest.raises(Unusable, match="there already"):
        config.keep(source, home)
    assert config.load(kept).duty == 50
    assert config.load(config.keep(source, home, replace=True)).duty == 60


def test_an_import_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="chain_id"):
        config.keep(write(tmp_path, GOOD.replace("31337", '"x"')), tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_an_import_cannot_name_files_beside_the_source(tmp_path: Path) -> None:
    source = write(tmp_path, GOOD.replace('api_key = "an api key"', 'api_key_file = "api.key"'))
    with pytest.raises(Unusable, match="absolute path"):
        config.keep(source, tmp_path / "home")


@pytest.mark.parametrize(("own", "creator", "expected"), [("[]", "account-3", False), ('["account-3"]', "account-3", True)])
def test_scenes_of_named_creators_are_one_s_own(tmp_path: Path, own: str, creator: str, expected: bool) -> None:
    found = config.load(write(tmp_path, GOOD + f"own_accounts = {own}\n"))
    assert found.owns(creator) is expected
    assert found.owns("account-12")


def test_everybody_may_be_the_operator(tmp_path: Path) -> None:
    assert config.load(write(tmp_path, GOOD + 'own_accounts = ["everybody"]\n')).owns("account-99")
