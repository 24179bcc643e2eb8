"""What the demo says at its end, and whether it showed all that it was to show."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from demo.board import Board, usdc
from demo.money import Party
from demo.screen import money_table


def present(board: Board, parties: list[Party], result: Mapping[str, Any], console: Console, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result), flush=True)  # noqa: T201 - the last line of a program that was asked for JSON
        return
    console.print()
    console.print(money_table(parties, board.names))
    head, cheat, audits = result["head"], result["cheat"], result["audits"]
    console.print(
        f"cheat     {cheat['worker']}: {cheat['tasks_rejected']} rejected, paid {usdc(cheat['paid'])}, slashed {usdc(cheat['slashed'])}"
    )
    for task, finisher in result["killed"]["finished"].items():
        console.print(f"killed    {result['killed']['worker']}: {task} was finished by {board.name(finisher)}")
    console.print(
        f"audits    {audits['opened']} opened, {audits['valid']} valid, {audits['invalid']} invalid, {audits['inconclusive']} inconclusive"
    )
    console.print(f"head      {head['size']} events, root {head['root']}", highlight=False)
    console.print(f"verify    exit {result['verify']['exit']}: an audit by a process that has the bundle and the chain's RPC only")
    console.print(f"picture   {result['picture']}, {result['animation']}", highlight=False)
    console.print("timings   " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in result["timings"].items()))
    for fault in missing(result):
        console.print(f"MISSING   {fault}", style="bold red")
    console.print("\nTry next:", style="bold")
    program = "gridledger" if shutil.which("gridledger") else os.path.relpath(Path(sys.executable).parent / "gridledger")
    bundle, job_id, kept = result["bundle"], result["job"], result.get("people")
    submit = f"GRIDLEDGER_API_KEY=$(cat {kept}/creator/api.key) {program} submit YOUR.xml --server {result.get('server')} --out frames"
    for line in (
        f"{program} verify {bundle}",
        f"{program} explain {job_id} --bundle {bundle}",
        f"{program} explain {parties[1].account} --bundle {bundle}",
        submit if kept else 'make demo ARGS="--frames 8 --size 640x360 --keep"',
    ):
        console.print(f"  {line}", highlight=False, soft_wrap=True)


def missing(result: Mapping[str, Any]) -> list[str]:
    """What the demo was to show and did not."""
    killed, finished = result["killed"], result["killed"]["finished"]
    hoped = {
        "a finished job": result["outcome"] == "completed",
        "a cheat that is convicted": result["cheat"]["tasks_rejected"] > 0 and result["cheat"]["slashed"] > 0,
        "a cheat that is unpaid": result["cheat"]["paid"] == 0,
        "no honest worker convicted": not result["honest_convicted"],
        "a killed worker's task finished by another": bool(finished) and not {"", killed["worker"]} & set(finished.values()),
        "a trial balance of zero": result["trial_balance"] == 0,
        "balanced rows": result["balanced"],
        "a clean audit": result["verify"]["exit"] == 0,
    }
    return [what for what, happened in hoped.items() if not happened]
