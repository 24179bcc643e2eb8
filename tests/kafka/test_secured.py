"""A cluster that asks for a password over TLS: what `kafka.properties` says reaches every client, and what is wrong is one line."""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from adapters.kafka import brokers
from tests.fix_kafka import TOOLS
from tests.system.test_server import gridledger, head, serving

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
USER, PASSWORD = "gridledger", "right-1"
JAAS = (
    "org.apache.kafka.common.security.plain.PlainLoginModule required "
    f'username="broker" password="of-brokers" user_broker="of-brokers" user_{USER}="{PASSWORD}";'
)


def certificate(folder: Path, name: str) -> Path:
    """One of its own authority, for the loopback address: the certificate; beside it, key and certificate in one file for Java."""
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key), "-out", str(cert), *subject]
    subprocess.run(command, check=True, capture_output=True)
    (folder / f"{name}.both").write_text(key.read_text() + cert.read_text())
    return cert


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(bootstrap servers, the authority's certificate)"""
    authority = certificate(tmp_path, "broker")
    client, controller = brokers.plan(tmp_path / "brokers", 1).ports[0]
    settings = {
        "listeners": f"SASL_SSL://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"SASL_SSL://127.0.0.1:{client}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
        "inter.broker.listener.name": "SASL_SSL",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": JAAS,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": tmp_path / "broker.both",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": authority,
    }
    with brokers.running(tmp_path / "brokers", TOOLS, settings=settings) as cluster:
        yield cluster.bootstrap, authority


def properties(directory: Path, **changed: str) -> None:
    said: Mapping[str, str] = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": USER,
        "sasl.password": PASSWORD,
        **{name.replace("_", "."): value for name, value in changed.items()},
    }
    directory.mkdir(exist_ok=True)
    (directory / "kafka.properties").write_text("".join(f"{name}={value}\n" for name, value in said.items()))


def test_a_ledger_lives_in_a_cluster_that_asks_for_a_password_over_tls(tmp_path: Path, database: str, secured: tuple[str, Path]) -> None:
    servers, authority = secured
    directory, stranger = tmp_path / "ledger", certificate(tmp_path, "stranger")
    init = ("init", str(directory), "--policy", "demo", "--database-url", database, "--kafka", servers)
    properties(directory, sasl_password="wrong-1", ssl_ca_location=str(authority))
    password = gridledger(*init)
    properties(directory, ssl_ca_location=str(stranger))
    unknown = gridledger(*init)
    properties(directory, ssl_ca_location=str(authority))
    begun = gridledger(*init)
    with serving(directory) as url:
        size = int(head(url)["size"])
    checked = gridledger("log", "check", str(directory))

    for refused, says in ((password, "Authentication failed"), (unknown, "certificate verify failed")):
        assert (refused.returncode, refused.stderr.count("\n")) == (3, 1), refused.stderr
        assert says in refused.stderr
    assert begun.returncode == 0, begun.stderr
    assert size > 1
    assert checked.returncode == 0, checked.stderr
