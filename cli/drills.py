"""The command for whoever wants to know whether an audit would find it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.app import Json, Root


def add(app: typer.Typer, root: Root) -> None:
    @app.command()
    def drill(
        bundle: Path,
        seeds: Annotated[int, typer.Option(help="how often each fraud is tried", min=1, max=1_000_000)] = 10,
        seed: Annotated[int | None, typer.Option(help="try this seed only", min=0)] = None,
        rpc: Annotated[str | None, typer.Option(help="JSON-RPC of a node; else the bundle's own receipts are the chain")] = None,
        jobs: Annotated[int, typer.Option(help="processes", min=1, max=256)] = os.cpu_count() or 1,
        as_json: Json = False,
    ) -> None:
        """Forge copies of an honest bundle in every way that there is, and see whether verify finds it. Exit 0 if all was caught."""
        from auditor.drill import drill as drills

        heading = iter([drills.HEADING])

        def say(row: drills.Row) -> None:
            if not as_json:
                for line in (*heading, drills.line(row)):
                    typer.echo(line)

        done = drills.drill(bundle, range(seeds) if seed is None else [seed], rpc, jobs=jobs, say=say)
        typer.echo(done.json() if as_json else done.summary())
        raise SystemExit(0 if done.passed else 1)
