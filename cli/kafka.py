"""Commands for Kafka: the relay of events, and brokers on a developer's machine."""

from pathlib import Path
from typing import Annotated

import typer

from cli.app import Json, Root, say
from cli.servers import TOOLS

Directory = Annotated[Path, typer.Option("--directory", help="where the brokers' data lies")]
DATA = TOOLS / "kafka-data"


def add(app: typer.Typer, root: Root) -> None:
    add_brokers(app, root)

    @app.command()
    def relay(
        directory: Path,
        to: Annotated[str, typer.Option(help="bootstrap servers, or kafka:// and them; empty: the cluster that the log is in")] = "",
        partitions: Annotated[int | None, typer.Option(min=1, max=1_000, help="of the topic, when it is made; 6 if left out")] = None,
        properties: Annotated[
            Path | None, typer.Option(help="librdkafka's settings for that cluster; DIRECTORY/kafka.properties if left out")
        ] = None,
        once: Annotated[bool, typer.Option("--once", help="Only up to the log's end.")] = False,
        as_json: Json = False,
    ) -> None:
        """Pass on every event to the topic gridledger.LEDGER.events, for consumer groups, until Ctrl-C or SIGTERM: at least once, each
        stream in order. It goes on where the topic ends (docs/relay.md)."""
        facts = root.relay(directory, to, partitions, properties, once=once)
        say(facts, as_json=as_json, text=f"relayed up to position {facts['position']} to the topic {facts['topic']}")


def add_brokers(app: typer.Typer, root: Root) -> None:
    kafka = typer.Typer(no_args_is_help=True, help="Kafka brokers for development, on the loopback address. Their jars: make kafka.")
    app.add_typer(kafka, name="kafka")

    @kafka.command()
    def start(
        count: Annotated[int, typer.Option("--brokers", min=1, max=3, help="1 or 3")] = 1,
        directory: Directory = DATA,
        as_json: Json = False,
    ) -> None:
        """Start brokers that run on until `gridledger kafka stop`."""
        from adapters.kafka import brokers

        if count == 2:  # would hold fewer copies than three, and be stopped by the loss of either
            raise typer.BadParameter("1 or 3", param_hint="--brokers")
        servers = brokers.launch(directory, TOOLS, count)
        text = f"{count} {'broker runs' if count == 1 else 'brokers run'}: export {root.KAFKA}={servers}"
        say({"bootstrap": servers, "brokers": count}, as_json=as_json, text=text)

    @kafka.command()
    def stop(directory: Directory = DATA, as_json: Json = False) -> None:
        """Stop them; their data stays."""
        from adapters.kafka import brokers

        stopped = brokers.halt(directory)
        say({"stopped": stopped}, as_json=as_json, text=f"{stopped} stopped")

    @kafka.command()
    def status(directory: Directory = DATA, as_json: Json = False) -> None:
        """Say which of them run. Exit status 1: not all."""
        from adapters.kafka import brokers

        facts = brokers.state(directory)
        lines = [f"broker {number} at {address} {'runs' if pid else 'does not run'}" for number, address, pid in facts]
        found = [{"broker": number, "address": address, "pid": pid or None} for number, address, pid in facts]
        say(found, as_json=as_json, text="\n".join(lines) or f"there is no cluster in {directory}")
        raise SystemExit(0 if facts and all(pid for _, _, pid in facts) else 1)
