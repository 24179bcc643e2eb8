"""One ledger in Kafka: rivals lead it, clients ask for things, faults happen; then all heals, and has to settle; then the judge looks. At
last somebody does to the topic what nobody may go on after, and every rival has to stop."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import aclosing, suppress
from typing import NamedTuple

import msgspec

from adapters.kafka.brokers import Cluster
from adapters.kafka.log import KafkaLog
from adapters.kafka.topic import Exists, KafkaTopic, Unsafe
from domain.log.ledger import Ledger
from domain.log.log import Lost, Unreachable
from tests.chaos import checks, deeds, rival
from tests.chaos.planted import planted
from tests.chaos.rivals import Rival, outcomes
from tests.faults.history import History
from tests.log.ledgers import START, init
from tests.soak.kills import LANES, Lane

SETTLED_S_MAX = 40.0
DEEDS_MIN = 150
"""What clients ask for in an episode at least: where faults leave them little time, they go on when all has healed."""
STAYS = 0.8
"""How often a client asks whom it asked last."""
PAUSE_S, RETRY_S = 0.004, 0.02
TURNS_S = (0.1, 0.6)
UNDER_WAY_S = 0.3
"""What a rival had sent when it was stopped is in the log by then."""
GAP_S = (0.1, 0.6)
OVERLAP = 0.5
"""How often the next fault happens while one is under way."""


class Script(NamedTuple):
    """What happens in an episode."""

    faults: Sequence[str]
    ending: str
    """What somebody does to the topic at last; empty: nothing."""
    rivals: int = 3
    impatient: bool | None = None
    """Of rivals; None: some are."""
    turn_s: float | None = None
    """Of rivals; None: each has its own."""
    gap_s: tuple[float, float] = GAP_S
    bug: str = ""


class Episode:
    def __init__(self, cluster: Cluster, topic: str, script: Script, seed: str, counts: Counter[str]) -> None:
        self.cluster, self.topic, self.script, self.counts = cluster, topic, script, counts
        self.draw = random.Random(seed)
        self.brokers = asyncio.Lock()
        """Held by whoever does something to a broker, or needs all of them."""
        self.history = History()
        self.rivals = list[Rival]()
        self.read = list[bytes]()
        """By a reader that follows from the beginning to the end."""
        self.acknowledged_s = 0.0
        """When somebody was last told that something is done."""
        self._seed, self._over = seed, False
        now_us = time.time_ns() // 1000
        self._lanes = [Lane(number, self.history, random.Random(f"{seed} {number}"), now_us) for number in range(LANES)]

    async def run(self) -> list[str]:
        """What was found wrong, each with the name of the check before a colon."""
        try:
            async with asyncio.timeout(SETTLED_S_MAX):
                await self._begin()
        except TimeoutError:
            return [f"settling: no ledger could begin within {SETTLED_S_MAX:.0f} s"]
        with planted(self.script.bug):
            try:
                return await self._judged() or await self._ended()
            finally:
                for each in self.rivals:
                    each.kill()

    async def _begin(self) -> None:
        """Whatever the last episode did to the cluster is over soon."""
        topic = KafkaTopic(self.cluster.bootstrap, self.topic)
        async with KafkaLog(self.cluster.bootstrap, topic, START.log) as log:
            while True:
                try:
                    with suppress(Exists):
                        await topic.create()
                    genesis = msgspec.structs.replace(init(), home=await log.home())
                    return await log.append(Ledger(START).genesis(genesis, time.time_ns() // 1000))
                except (Unreachable, Unsafe, Lost):
                    await asyncio.sleep(RETRY_S)

    async def _judged(self) -> list[str]:
        for _ in range(self.script.rivals):
            self.born()
        following = asyncio.create_task(self._follow())
        try:
            if findings := await self._through():
                return findings
            await deeds.FAULTS["aborted transaction"](self)  # so that what is read last is a marker
            return await self._compared()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _compared(self) -> list[str]:
        """What the judge finds in the log, while nobody writes."""
        for each in self.rivals:
            each.pause()
        await asyncio.sleep(UNDER_WAY_S)
        try:
            truth = checks.fold(await asyncio.to_thread(checks.read_plainly, self.cluster.bootstrap, self.topic))
            findings = [*truth.findings, *checks.of_commands(self.history, truth), *checks.of_blocks(self.rivals, truth)]
            findings += checks.of_deposits(self._lanes, truth)
            findings += await checks.of_readers(self.cluster.bootstrap, self.topic, truth)
            if not await checks.until(lambda: len(self.read) >= len(truth.records), 10) or self.read != truth.records:
                findings.append(f"readers: who follows: {checks.difference(self.read, truth.records)}")
            self._count(truth)
            return findings
        finally:
            for each in self.rivals:
                each.resume()

    async def _through(self) -> list[str]:
        """Faults while clients ask, until all is settled."""
        clients = [asyncio.create_task(self._live(lane)) for lane in self._lanes]
        try:
            if not await checks.until(lambda: self.acknowledged_s > 0 or self._ended_rivals() != [], SETTLED_S_MAX):
                return ["settling: nothing is done"]
            await self._suffer()
            began_s = time.monotonic()
            least = max(len(self.history.deeds), DEEDS_MIN) + LANES
            await checks.until(lambda: len(self.history.deeds) > least or self._wrong() != [], SETTLED_S_MAX)
            self._over = True
            await asyncio.wait(clients, timeout=0 if self._wrong() else SETTLED_S_MAX)
            waiting = [lane.step.kind for lane, task in zip(self._lanes, clients, strict=True) if not task.done()]
            self.counts["settled_ms_max"] = max(self.counts["settled_ms_max"], round((time.monotonic() - began_s) * 1000))
            return self._wrong() or [f"settling: {kind} is not done {SETTLED_S_MAX:.0f} s after all healed" for kind in waiting]
        finally:
            for task in clients:
                task.cancel()
            await asyncio.gather(*clients, return_exceptions=True)

    async def _suffer(self) -> None:
        under_way = list[asyncio.Task[None]]()
        for fault in self.script.faults:
            await asyncio.sleep(self.draw.uniform(*self.script.gap_s))
            under_way.append(asyncio.create_task(deeds.FAULTS[fault](self)))
            self.counts[fault] += 1
            if self.draw.random() >= OVERLAP:
                await asyncio.gather(*under_way)
            if self._wrong():
                break
        await asyncio.gather(*under_way)

    def _wrong(self) -> list[str]:
        """What can be seen at once."""
        refused = [deed for deed in self.history.deeds.values() if deed.refusals]
        return [f"refusals: {deed.cmd} was refused: {deed.refusals[0]}" for deed in refused] + self._ended_rivals()

    def _ended_rivals(self) -> list[str]:
        return [f"rivals: {each.plan.name} ended by itself: {each.ended}" for each in self.rivals if each.ended]

    def born(self) -> None:
        """One more rival."""
        number = len(self.rivals)
        impatient = self.draw.random() < 0.5 if self.script.impatient is None else self.script.impatient
        properties = dict(self.draw.choice([*checks.FETCHES.values()]))
        turn_s = self.script.turn_s or self.draw.choice(TURNS_S)
        plan = rival.Plan(self.cluster.bootstrap, self.topic, f"rival-{number}", turn_s, impatient, properties, self.script.bug)
        self.rivals.append(Rival(plan, self.history))

    def living(self) -> list[Rival]:
        return [each for each in self.rivals if each.alive]

    async def _live(self, lane: Lane) -> None:
        """A client: one thing after the other, each until it is done."""
        whom = self.draw.choice(self.living() or self.rivals)
        while True:
            if not whom.alive or self.draw.random() >= STAYS:
                whom = self.draw.choice(self.living() or self.rivals)
            outcome, said = await whom.ask(lane.step.ask)
            lane.hear(outcome, said)
            if outcome == "done":
                self.acknowledged_s = time.monotonic() if said else self.acknowledged_s
                if self._over:
                    return
            else:
                whom = self.draw.choice(self.living() or self.rivals)
            await asyncio.sleep(PAUSE_S if outcome == "done" else RETRY_S)

    async def _follow(self) -> None:
        """Reads on through all that happens, with settings of its own."""
        servers, properties = self.cluster.bootstrap, self.draw.choice([*checks.FETCHES.values()])
        topic = KafkaTopic(servers, self.topic)
        async with KafkaLog(servers, topic, START.log, properties=properties) as log, aclosing(log.read(follow=True)) as records:
            async for record in records:
                self.read.append(record)

    def _count(self, truth: checks.Truth) -> None:
        self.counts["records compared"] += len(truth.records) * (len(checks.FETCHES) + 1)
        self.counts["blocks in the log"] += len(truth.leaders)
        self.counts["elections"] += len([line for line in truth.lines if b'"type":"ledger.leader_elected.v1"' in line])
        self.counts["events"] += len(truth.lines)
        for why, count in truth.void.items():
            self.counts[f"void records, {why}"] += count
        for outcome, count in outcomes(self.rivals).items():
            self.counts[f"blocks answered {outcome}"] += count
        attempts = {root: those for each in self.rivals for root, those in each.blocks.items()}
        self.counts["unknown ones that had landed"] += sum(
            root in truth.leaders and set(those) == {"unknown"} for root, those in attempts.items()
        )
        self.counts.update(self.history.counts)

    async def _ended(self) -> list[str]:
        """Nobody goes on after what is done to the topic now, and each says why in one line."""
        if not self.script.ending:
            return []
        self._over, ending = False, deeds.ENDINGS[self.script.ending]
        clients = [asyncio.create_task(self._live(lane)) for lane in self._lanes]
        try:
            await asyncio.sleep(0.3)
            await asyncio.to_thread(ending.deed, self)
            done_s = time.monotonic()
            self.counts[f"topic {self.script.ending}"] += 1
            await checks.until(lambda: not self.living() or self._acknowledged_after(done_s) != [], ending.within_s)
            return [*self._acknowledged_after(done_s), *self._unstopped(ending)]
        finally:
            for task in clients:
                task.cancel()
            await asyncio.gather(*clients, return_exceptions=True)

    def _acknowledged_after(self, done_s: float) -> list[str]:
        late_s = self.acknowledged_s - done_s
        if not deeds.ENDINGS[self.script.ending].lost or late_s < deeds.ON_ITS_WAY_S:
            return []
        return [f"endings: somebody was told {late_s:.1f} s after the topic was {self.script.ending} that something is done"]

    def _unstopped(self, ending: deeds.Ending) -> Iterator[str]:
        for each in self.rivals:
            runs = each.ended is None and each.alive
            if runs or (each.ended and (each.ended[0] not in {fault.__name__ for fault in ending.faults} or "\n" in each.ended[1])):
                came_to = each.ended or "nothing"
                yield f"endings: {each.plan.name} came to {came_to} within {ending.within_s:.0f} s after the topic was {self.script.ending}"
