"""The demo: a whole compute network on one machine, each step as an outsider would do it, through the public API or the feeds."""

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from adapters import process
from adapters.client import Client
from adapters.evm import anvil, contracts
from adapters.evm.node import Node
from adapters.evm.wallet import Wallet
from adapters.files.home import Home, Settings
from adapters.signer import generate
from cli import download, submission
from demo import chaos, money, parts
from demo.board import Board
from demo.feed import Disappointed, Feed, Progress
from demo.people import Network, Person, payable
from demo.result import missing, present
from demo.screen import Screen
from domain.accounts import ETH, USDC
from domain.house.genesis import FirstAsset
from domain.ids import LogId
from domain.treasury import anchor, earnings, payout
from domain.units import Units
from domain.value import Value
from domain.work import job

CLASS, ENGINE = "mitsuba-3.9.1/cpu", "mitsuba"
DOLLAR = 1_000_000
LIMIT = 200 * DOLLAR
CREATOR_FUNDS, FUNDS, STAKE = 20 * DOLLAR, 10 * DOLLAR, 5 * DOLLAR
SLACK_S = 90.0
"""How long the demo waits for any one thing before it says that it did not happen."""


class Cast(Value):
    """A worker of the demo: its bid per thousand work units, and how its agent is run."""

    name: str
    price: int
    options: tuple[str, ...] = ()


WORKERS = (
    Cast("cheat", 150 * DOLLAR, ("--cheat-samples", "8")),
    Cast("killed", 160 * DOLLAR),
    Cast("slow", 170 * DOLLAR, ("--duty", "50")),
    Cast("fast", 180 * DOLLAR),
)
CHECKERS = ("checker-1", "checker-2", "checker-3")


class Options(Value):
    frames: int = 4
    size: tuple[int, int] = (320, 180)
    samples: int = 64
    seed: int = 7
    policy: str = "demo"
    log: str = "postgresql"
    keep: bool = False
    out: Path = Path("demo-out")
    chaos: bool = False
    """Somebody kills at random whatever runs."""
    opens: bool = False


class Given(Value):
    """What the composition root gives the demo: things that only it can put together."""

    database_variable: str
    kafka_variable: str
    tools: Path
    begin: Callable[[Home, str, str, tuple[FirstAsset, ...]], Awaitable[LogId]]
    write_scene: Callable[[Path, int], list[Path]]
    export: Callable[[str, str | None, Path], object]


class Play:
    """One run."""

    def __init__(self, options: Options, given: Given, screen: Screen, directory: Path) -> None:
        self.options, self.given, self.screen, self.directory = options, given, screen, directory
        self.board = screen.board
        self.timings: dict[str, float] = {}
        self.killed_at = 0
        self.slack_s = SLACK_S * (2 if options.chaos else 1)

    def lap(self, name: str) -> None:
        self.timings[name] = round(self.screen.seconds, 2)

    # The parts.

    def processes(self, directory: Path) -> parts.Processes:
        return parts.Processes(directory, revive=self.options.chaos)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[parts.Processes, anvil.Anvil]]:
        """PostgreSQL, anvil with the contracts, and the server; everything else is started into `Processes` later."""
        screen, directory = self.screen, self.directory
        screen.part("contracts")
        compiling = asyncio.gather(
            *(asyncio.to_thread(contracts.compiled, name, self.given.tools / "contracts") for name in ("TestDollar", "Treasury"))
        )
        async with contextlib.AsyncExitStack() as stack:
            screen.part("anvil")
            node = await stack.enter_async_context(anvil.running(anvil.find(self.given.tools), directory / "anvil"))
            screen.part("anvil", f"an EVM node with 1 s blocks at {node.url}")
            screen.part("PostgreSQL")
            home = Home(directory / "server")
            home.path.mkdir()
            given, url, fact = stack.enter_context(parts.database(home, self.given.database_variable, keep=self.options.keep))
            screen.part("PostgreSQL", fact)
            kafka = ""
            if self.options.log == "kafka":
                screen.part("Kafka")
                kafka, fact = stack.enter_context(parts.brokers(home, self.given.kafka_variable, self.given.tools, keep=self.options.keep))
                screen.part("Kafka", fact)
            treasury_at, token_at = self.network_facts = await self._deploy(node, home, *(await compiling))
            home.keep(Settings(database_url=given, kafka=kafka, rpc_url=node.url, treasury=treasury_at, token=token_at))
            self.log_id = await self.given.begin(home, url, self.options.policy, self._assets())
            processes = stack.enter_context(self.processes(directory))
            self.postgres = None if given else home.postgres
            screen.part("server")
            processes.start("server", "serve", str(home.path), "--port", "0", without=self.given.database_variable)
            yield processes, node

    async def _deploy(self, node: anvil.Anvil, home: Home, dollar: Any, treasury: Any) -> tuple[str, str]:
        """The contracts on the chain, and ether for who sends transactions."""
        deployer, payer, anchorer = generate(), home.signer("payer").address, home.signer("anchorer").address
        for address in (deployer.address, payer, anchorer):
            await node.fund(address, 10 * anvil.ETHER_WEI)
        wallet = Wallet(Node(node.url), deployer)
        deployed = await wallet.deploy_treasury(dollar, treasury, payer=payer, anchorer=anchorer)
        self.screen.part("contracts", f"compiled from Vyper, treasury at {deployed[0]}")
        return deployed

    def _assets(self) -> tuple[FirstAsset, ...]:
        treasury, token = self.network_facts
        ether = FirstAsset(ETH, 18, anvil.CHAIN_ID, "0x" + "0" * 40, treasury)
        return FirstAsset(USDC, 6, anvil.CHAIN_ID, token, treasury), ether

    # The play.

    async def run(self, processes: parts.Processes, node: anvil.Anvil) -> dict[str, Any]:
        """Everything from the first account to the audit."""
        scene = await asyncio.to_thread(self._scene)
        self.server = await parts.address(processes, self.directory / "server" / "server.url")
        processes.changed("server", "serve", str(self.directory / "server"), "--port", str(urlsplit(self.server).port))
        async with Client(self.server) as public:
            await parts.ready(public)
            self.screen.part("server", f"sequencer, projections, API and daemons at {self.server}")
            self.lap("parts")
            feed = Feed(public, self.board, self.screen)
            watching = [asyncio.create_task(feed.run()), *self._chaos(processes, feed, public)]
            try:
                network = Network(self.server, node, self.log_id, anvil.CHAIN_ID, *self.network_facts)
                return await self._play(processes, feed, network, scene)
            finally:
                await parts.ended(watching)

    def _chaos(self, processes: parts.Processes, feed: Feed, public: Client) -> Iterator[asyncio.Task[Any]]:
        """Whoever kills, and whoever starts again."""
        if self.options.chaos:
            agents = [cast.name for cast in WORKERS[2:]] + list(CHECKERS)
            self.nemesis = chaos.Nemesis(self.options.seed, processes, agents, self.postgres, self.screen)
            feed.listeners.append(self.nemesis.payer)
            self.killing = asyncio.create_task(self.nemesis.run(public))
            yield self.killing
            yield asyncio.create_task(processes.watch())

    def _scene(self) -> submission.Scene:
        folder = self.directory / "scene"
        return submission.gather(self.given.write_scene(folder, self.options.frames), pictures=True)

    async def _play(self, processes: parts.Processes, feed: Feed, network: Network, scene: submission.Scene) -> dict[str, Any]:
        creator = Person(network, "creator", self.directory / "people" / "creator")
        workers = [Person(network, cast.name, self.directory / "people" / cast.name) for cast in WORKERS]
        checkers = [Person(network, name, self.directory / "people" / name) for name in CHECKERS]
        everybody = [creator, *workers, *checkers]
        await creator.join("creator")
        self.board.names[creator.account] = creator.name
        uploading = asyncio.create_task(submission.upload(creator.client, scene))
        funding = asyncio.create_task(creator.deposit(CREATOR_FUNDS))
        await asyncio.gather(*(self._staff(processes, feed, person, creator) for person in [*checkers, *workers]))
        await asyncio.gather(funding, uploading)
        self.lap("people")
        scored = [person.worker for person in workers]
        await feed.until(lambda: all(each in self.board.scores for each in scored), "a score for every worker", self.slack_s)
        self.lap("benches")
        feed.watchers.append(self._assassin(processes, workers[1]))
        self.job = await self._submit(feed, creator, scene)
        await self._work(processes, feed)
        self.lap("job closed")
        pictures = asyncio.create_task(self._pictures(creator))
        await self._pay(feed, [*workers, *checkers])
        self.lap("paid")
        await self._peace(feed.client)
        saved = await pictures
        self.lap("pictures")
        result = await self._audit(feed, network)
        result |= saved | self._result(feed, creator, workers, checkers)
        for person in everybody:
            await person.client.close()
        return result

    async def _staff(self, processes: parts.Processes, feed: Feed, person: Person, creator: Person) -> None:
        """A worker or checker: account, money, stake, bid, and its agent as a process of its own."""
        cast = next((each for each in WORKERS if each.name == person.name), None)
        await person.join("provider" if cast else "checker")
        self.board.names[person.account] = person.name
        depositing = asyncio.create_task(person.deposit(FUNDS))
        await person.register("cpu" if cast else "checker", CLASS)
        self.board.names[person.worker] = person.name
        if cast:
            await person.bid(CLASS, cast.price)
        file = person.configuration("worker" if cast else "checker", CLASS, ["everybody"])
        role = ("worker", "run") if cast else ("checker", "run")
        processes.start(person.name, *role, str(file), *(cast.options if cast else ()))
        await depositing
        await feed.until(lambda: credited(feed, person), f"the deposit of {person.name}", self.slack_s)
        await person.lock(STAKE)

    async def _submit(self, feed: Feed, creator: Person, scene: submission.Scene) -> str:
        await feed.until(lambda: credited(feed, creator), "the creator's deposit", self.slack_s)
        options = self.options
        size, samples, seed, limit = options.size, options.samples, options.seed, Units(LIMIT)
        digest = scene.described.sha256()
        command = job.Submit(
            engine=ENGINE, manifest_sha256=digest, frames=options.frames, size=size, samples=samples, seed=seed, limit_price=limit
        )
        await submission.submit(creator.client, scene, command)
        await feed.until(lambda: self.board.status == "quoted", "a quote", self.slack_s)
        assert self.board.job is not None
        id = self.board.job.job
        await creator.client.ask(f"/v1/jobs/{id}/open", job.Open(job=id))
        self.screen.say([f"watch it in a browser: {self.server}/jobs/{id}"], loud=True)
        if options.opens:
            await asyncio.to_thread(webbrowser.open, f"{self.server}/jobs/{id}")
        return id

    def _assassin(self, processes: parts.Processes, victim: Person) -> Callable[[Progress], None]:
        """SIGKILL at the first progress of a job's task, unless its proof was quicker: then at the next task's."""

        def watch(seen: Progress) -> None:
            leased = self.board.tasks.get(seen.task) == "leased" and self.board.fences.get(seen.task) == seen.fence
            if not self.killed_at and seen.worker == victim.worker and leased:
                self.killed_at = self.board.position
                processes.mourn(victim.name)
                processes.kill(victim.name)
                self.screen.say([f"SIGKILL to {self.board.name(victim.worker)} while it renders {seen.task}"], loud=True)

        return watch

    async def _work(self, processes: parts.Processes, feed: Feed) -> None:
        ended = lambda: self.board.status in {"completed", "failed", "cancelled"}  # noqa: E731
        closing = asyncio.create_task(feed.until(ended, "the end of the job", self.slack_s, lambda: self.board.accepted))
        while not (await asyncio.wait([closing], timeout=0.5))[0]:
            processes.check()
        await closing
        if self.board.status != "completed":
            raise Disappointed(f"{self.job} is {self.board.status}: some task was tried too often, as on a machine that is too busy")

    async def _pay(self, feed: Feed, owners: Sequence[Person]) -> None:
        """When all shares have matured and a pool epoch is over, everybody asks for what is payable."""
        await feed.until(lambda: not self.board.unmatured, "the maturity of all shares", self.slack_s)
        last = max(each.pos for each in feed.events if isinstance(each.event, earnings.Matured))
        distributed = lambda: any(isinstance(each.event, earnings.Distributed) and each.pos > last for each in feed.events)  # noqa: E731
        with contextlib.suppress(Disappointed):
            await feed.until(distributed, "the distribution of the pool", 5.0)
        kinds: list[tuple[Person, payout.Kind]] = [
            (person, "worker" if person.name in {c.name for c in WORKERS} else "checker") for person in owners
        ]
        due = [(person, kind, amount) for person, kind in kinds if (amount := payable(feed, person, kind)) >= 10_000]
        await asyncio.gather(*(person.payout(kind, amount) for person, kind, amount in due))
        await feed.until(lambda: sum(len(each.paid) for each in self.board.finalised) >= len(due), "the payouts on chain", self.slack_s)
        block = self.board.finalised[-1].block
        reconciled = lambda: any(isinstance(each.event, anchor.Reconciled) and each.event.block >= block for each in feed.events)  # noqa: E731
        await feed.until(reconciled, "the reconciliation with the chain", self.slack_s)

    async def _peace(self, public: Client) -> None:
        """No more deaths: what follows looks at what was."""
        if self.options.chaos:
            await parts.ended([self.killing])
            await chaos.ready(public)

    # The results.

    async def _pictures(self, creator: Person) -> dict[str, Any]:
        """The creator downloads what it paid for: frames, contact sheet and animation."""
        assert self.board.job is not None
        spec = download.spec_of(self.board.job)
        made = await download.frames(creator.client, self.board.job.job, spec, self.board.proofs)
        saved = await asyncio.to_thread(download.save, self.options.out, made)
        return {name: getattr(saved, name) for name in saved.__struct_fields__}

    async def _audit(self, feed: Feed, network: Network) -> dict[str, Any]:
        """The bundle, and a process that has nothing of ours but that and the chain's RPC."""
        bundle = self.options.out / "bundle"
        shutil.rmtree(bundle, ignore_errors=True)
        await asyncio.to_thread(self.given.export, network.server, network.anvil.url, bundle)
        self.lap("exported")
        command = [sys.executable, "-m", "gridledger", "verify", str(bundle), "--rpc", network.anvil.url, "--json"]
        done = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        said, complaint = await done.communicate()
        self.lap("verified")
        report = json.loads(said.splitlines()[-1]) if said.strip() else {"error": complaint.decode()[-2000:]}
        head = await feed.client.get("/v1/checkpoint")
        return {
            "bundle": str(bundle),
            "verify": {"exit": done.returncode, "checks": report.get("checks", report)},
            "head": {"size": head["size"], "root": head["root"]},
            "log": self.log_id,
        }

    def _result(self, feed: Feed, creator: Person, workers: Sequence[Person], checkers: Sequence[Person]) -> dict[str, Any]:
        books, board = money.books(feed.events, USDC), self.board
        owners = [(person.name, person.account) for person in [*workers, *checkers]]
        parties = books.parties(creator.account, owners)
        cheat, killed = workers[0], workers[1]
        paid = next(party.paid_on_chain for party in parties if party.account == cheat.account)
        releases = [
            {"task": it.task, "from_fence": it.fence, "to_fence": again.fence, "worker": again.worker}
            for it in board.ended
            if it.worker == killed.worker and it.outcome == "no_reply"
            for again in board.leases
            if again.task == it.task and again.fence == it.fence + 1
        ]
        self.parties = parties
        return {
            "frames": self.options.frames,
            "tasks": len(board.tasks),
            "job": self.job,
            "outcome": board.status,
            "balanced": all(party.is_balanced for party in parties),
            "balances": {account: str(amount) for account, amount in sorted(books.balances.items()) if amount},
            "trial_balance": books.trial_balance,
            "parties": [{name: getattr(party, name) for name in party.__struct_fields__} for party in parties],
            "cheat": {
                "worker": cheat.worker,
                "tasks_rejected": len(board.rejected.get(cheat.worker, [])),
                "paid": paid,
                "slashed": board.slashed.get(cheat.worker, 0),
            },
            "killed": {
                "worker": killed.worker,
                "releases": releases,
                "finished": {each["task"]: board.accepted_from.get(str(each["task"]), "") for each in releases},
            },
            "honest_convicted": sorted(set(board.rejected) - {cheat.worker}),
            "audits": {"opened": board.audits, **board.results},
            **({"chaos": {"seed": self.options.seed, "killed": self.nemesis.deaths}} if self.options.chaos else {}),
            "timings": self.timings,
            "seconds": round(self.screen.seconds, 2),
        }


def credited(feed: Feed, person: Person) -> bool:
    return person.account in feed.board.credited


async def play(options: Options, given: Given, console: Console, *, as_json: bool) -> int:
    """Runs the demo in a directory of its own. Returns the exit status: 0 only if everything that it is to show happened."""
    directory = Path(tempfile.mkdtemp(prefix="gridledger-demo-"))
    # Whom PostgreSQL runs as must be able to reach its data, if we are root; what is private in there has a mode of its own.
    directory.chmod(0o711)
    parts.end_on_signals()
    process.adopt_orphans()
    try:
        with Screen(Board(), console, quiet=as_json) as screen:
            it = Play(options, given, screen, directory)
            async with it.running() as (processes, node):
                result = await it.run(processes, node)
                screen.close()
                if options.keep:
                    result |= {"rpc": node.url, "server": it.server, "people": str(directory / "people")}
                present(it.board, it.parties, result, console, as_json=as_json)
                if options.keep and not as_json:
                    console.print(f"\nThe network runs on at {it.server}; Ctrl-C ends it.", highlight=False)
                if options.keep:
                    await asyncio.Event().wait()
        return int(bool(missing(result)))
    finally:
        process.bury()
        if options.keep and not as_json:
            console.print(f"kept: {directory}; the ledger runs again by: gridledger serve {directory / 'server'}", highlight=False)
        elif not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
