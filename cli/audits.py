"""Commands for whoever audits: the verification of a bundle, explanations from it, and whether an audit would find it."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.app import Json, Root, fail

if TYPE_CHECKING:
    from auditor.checks.heads import Noted


HEAD = re.compile("([0-9]{1,15}):([0-9a-f]{64})")


def add(app: typer.Typer, root: Root) -> None:
    add_verify(app)
    add_drill(app)


def add_verify(app: typer.Typer) -> None:
    @app.command()
    def verify(
        bundle: Path,
        rpc: Annotated[str | None, typer.Option(help="JSON-RPC of a node of the chain")] = None,
        head: Annotated[
            list[str] | None, typer.Option(metavar="SIZE:ROOT", help="an earlier head of this log that you noted; several times")
        ] = None,
        jobs: Annotated[int | None, typer.Option(min=1, max=1024, help="processes for a large log; by default one for each core")] = None,
        report: Annotated[Path | None, typer.Option(help="also write the report to this file, as Markdown")] = None,
        as_json: Json = False,
    ) -> None:
        """Check a bundle: everything that an outsider can recompute. Exit 0 clean, 1 findings, 2 evidence missing, 3 bad input."""
        from auditor.verify import verify as check

        with progress(bundle, shown=sys.stderr.isatty() and not as_json) as tell:
            try:
                found = check(bundle, rpc, heads=noted(head or ()), jobs=jobs, progress=tell)
            except BrokenExecutor:
                fail("a process of the audit was ended from outside, by want of memory perhaps; --jobs 1 needs none")
        if report:
            report.write_text(found.markdown())
        typer.echo(found.json() if as_json else found.text().rstrip())
        raise SystemExit(found.exit)

    @app.command()
    def explain(
        what: Annotated[str, typer.Argument(help="an account, job, task, payout or worker")],
        bundle: Annotated[Path, typer.Option(help="an exported bundle")] = Path("demo-out/bundle"),
        as_json: Json = False,
    ) -> None:
        """Expand an amount into the events, prices and shares that made it. Offline."""
        from auditor.explain import explain as expand

        tree = expand(bundle, what)
        typer.echo(tree.json() if as_json else tree.text())


def add_drill(app: typer.Typer) -> None:
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


def noted(heads: Sequence[str]) -> "list[Noted]":
    """Of `SIZE:ROOT`, as a report prints it."""
    from auditor.checks.heads import Noted

    found = [HEAD.fullmatch(each) for each in heads]
    for wrong in [each for each, match in zip(heads, found, strict=True) if match is None]:
        raise typer.BadParameter(f"--head is SIZE:ROOT, a number and 64 hex digits, not {wrong[:100]!r}")
    return [Noted(int(match[1]), match[2]) for match in found if match]


@contextmanager
def progress(bundle: Path, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal. How long it is, the bundle says of itself."""
    if not shown:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from auditor import bundle as bundles

    try:
        with bundles.Bundle(bundle) as opened:
            size = opened.manifest.size
    except bundles.BadBundle:
        size = None
    columns = TextColumn("verify"), BarColumn(), MofNCompleteColumn(), TextColumn("events"), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        of = bar.add_task("verify", total=size)
        yield lambda done: bar.update(of, completed=done)
