"""The whole of it, as people meet it: a real server whose view is changed behind its back, money frozen, two admins, money again."""

import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg import sql

from adapters import signer
from adapters.client import Client
from adapters.evm import anvil, contracts
from adapters.evm.node import Node
from adapters.evm.wallet import Wallet
from adapters.files.home import Home
from adapters.views.statements import Generation
from demo.people import Network, Person
from domain.log.answers import Problem
from domain.units import Units
from examples.marbles import make_scene
from tests import fix_chain
from tests.system.test_server import gridledger, serving

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

DOLLAR = 1_000_000
WAIT_S = 30.0
FROZEN_S_MAX = 15.0
"""The guard looks every two seconds, and twice at what it finds."""
GENERATION = "SELECT generation, name FROM projection WHERE name = 'balances' AND live"


class Site(NamedTuple):
    home: Home
    database: str
    node: anvil.Anvil
    server: str
    creator: Person
    public: Client
    job: str
    """Quoted, to be opened."""


async def until(public: Client, path: str, wanted: Any) -> float:
    """Seconds until the answer is as wanted."""
    began = time.monotonic()
    while not wanted(await public.get(path)):
        assert time.monotonic() < began + WAIT_S, await public.get(path)
    return time.monotonic() - began


def run(*arguments: str) -> Any:
    done = gridledger(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@asynccontextmanager
async def site(folder: Path, database: str) -> AsyncIterator[Site]:
    """A chain, a ledger with a treasury on it, its server, and a creator with money and a quote."""
    dollar, treasury = (contracts.compiled(name, folder, contracts.SOURCES) for name in ("TestDollar", "Treasury"))
    home = Home(folder / "ledger")
    async with anvil.running(anvil.find(fix_chain.TOOLS), folder / "anvil") as node:
        deployer, payer, anchorer = signer.generate(), home.signer("payer"), home.signer("anchorer")
        for who in (deployer, payer, anchorer):
            await node.fund(who.address)
        async with aclosing(Node(node.url)) as bare:
            addresses = await Wallet(bare, deployer).deploy_treasury(dollar, treasury, payer=payer.address, anchorer=anchorer.address)
        chain = ("--rpc-url", node.url, "--treasury", addresses[0], "--token", addresses[1], "--chain-id", str(anvil.CHAIN_ID))
        log = run("init", str(home.path), "--policy", "demo", "--database-url", database, *chain)["log"]
        with serving(home.path) as url:
            network = Network(url, node, log, anvil.CHAIN_ID, *addresses)
            creator = Person(network, "creator", folder / "creator")
            async with Client(url) as public, creator.client, aclosing(network.node):
                await creator.join("creator")
                await creator.deposit(20 * DOLLAR)
                await until(creator.client, "/v1/me", lambda me: me["balances"])
                scene, *_ = make_scene.write(folder / "scene")
                options = ("--server", url, "--api-key", creator.secret, "--size", "64x64", "--samples", "16")
                yield Site(home, database, node, url, creator, public, run("submit", str(scene), *options)["job"])


def behind_its_back(it: Site, amount: int) -> None:
    """A row of a view is changed by who has the database."""
    with psycopg.connect(it.database, autocommit=True) as db:
        row = db.execute(GENERATION).fetchone()
        assert row is not None
        table = sql.Identifier(Generation(row[0], row[1], live=True).schema, "balance")
        change = sql.SQL("UPDATE {} SET amount = amount + %s WHERE account = %s").format(table)
        assert db.execute(change, (amount, f"usdc:2110.available.{it.creator.account}")).rowcount == 1


async def test_a_view_changed_behind_its_back_freezes_money_until_two_admins_release_it(tmp_path: Path, database: str) -> None:
    async with site(tmp_path, database) as it:
        behind_its_back(it, -5)
        assert await until(it.public, "/v1/overview", lambda body: body["frozen"]) < FROZEN_S_MAX
        opening = gridledger("job", "open", it.job, "--server", it.server, "--api-key", it.creator.secret)
        with pytest.raises(Problem) as payout:
            await it.creator.payout("customer", Units(DOLLAR))
        reads = [await it.public.get(path) for path in ("/v1/jobs", "/v1/balances", "/v1/events", f"/v1/jobs/{it.job}")]
        frozen = (await it.public.get("/v1/overview"))["frozen"]
        evidence = json.loads((it.home.objects / "objects" / frozen["evidence_sha256"][:2] / frozen["evidence_sha256"]).read_bytes())

        assert (opening.returncode, opening.stderr.split(": ")[1]) == (3, "money_frozen")
        assert (payout.value.status, payout.value.code) == (503, "money_frozen")
        assert all(reads)
        assert [each["subject"] for each in evidence["findings"]] == [f"usdc:2110.available.{it.creator.account}"]
        assert (frozen["reason"], frozen["number"], evidence["findings"][0]["actual"]) == ("views", 1, str(-20 * DOLLAR - 5))

        released(it)
        await until(it.public, "/v1/overview", lambda body: body["frozen"] is None)
        run("job", "open", it.job, "--server", it.server, "--api-key", it.creator.secret)
        it.creator.numbers["payout"] = 0
        await it.creator.payout("customer", Units(DOLLAR))
        await until(it.public, "/v1/payouts", lambda page: [row["status"] for row in page["items"]] == ["final"])
        behind_its_back(it, 5)
        run("log", "export", str(tmp_path / "bundle"), "--server", it.server, "--rpc", it.node.url)
        verified = gridledger("verify", str(tmp_path / "bundle"), "--rpc", it.node.url, "--json")

        assert verified.returncode == 0, verified.stdout
        assert (await it.public.get("/v1/overview"))["frozen"] is None
        assert "money frozen" in (tmp_path / "serve.log").read_text()


def released(it: Site) -> None:
    """The second admin signs on another machine, which has nothing but a key; the first one sends it."""
    elsewhere = it.home.path.parent / "second-admin.key"
    shutil.copy(it.home.path / "keys" / "admin-2.key", elsewhere)
    asked = run("override", "status", "--server", it.server, "--api-key", it.home.secret("admin-2"))
    named = [word for name in ("number", "account", "log", "chain_id") for word in (f"--{name.replace('_', '-')}", str(asked[name]))]
    signed = gridledger("override", "approve", "release", "--reason", "checked", *named, "--key", str(elsewhere))
    other = ("override", "release", "--approval", signed.stdout.strip(), "--directory", str(it.home.path))

    assert gridledger(*other, "--reason", "unchecked").stderr.startswith("gridledger: approver_missing: ")
    assert run(*other, "--reason", "checked")["events"] == ["override.applied"]
