"""Commands for officers: money stopped and let go by two admins, each with a key of his own, on two machines if they like."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.client import Client
from cli.app import LOCAL, Json, Root, Server, fail, say
from domain.house import override
from domain.ids import LogId
from domain.log import wire

ApiKey = Annotated[str, typer.Option(envvar="GRIDLEDGER_API_KEY", help="the API key of an admin's account")]
Directory = Annotated[Path | None, typer.Option(help="a server's directory: instead of --server and --api-key, those of its first admin")]
Reason = Annotated[str, typer.Option(help="a code, e.g. checked")]
Evidence = Annotated[str, typer.Option(help="SHA-256 of what was written down about it")]
Approval = Annotated[str, typer.Option(help="ACCOUNT:SIGNATURE of another admin, from: gridledger override approve")]
ACTIONS = {"freeze": "Stop payouts and new escrow.", "release": "Let payouts and new escrow go again."}
UNSIGNED = "0x" + "00" * 65
PATH = "/internal/v1/overrides"


def add(app: typer.Typer, root: Root) -> None:
    overrides = typer.Typer(no_args_is_help=True, help="Stop payouts and new escrow, and let them go again.")
    app.add_typer(overrides, name="override")

    @overrides.command()
    def status(api_key: ApiKey = "", server: Server = LOCAL, directory: Directory = None, as_json: Json = False) -> None:
        """Whether money is stopped, why, and what an admin's approval has to name."""
        facts = asyncio.run(_status(*office(server, api_key, directory)))
        say(facts, as_json=as_json, text=told(facts))

    @overrides.command()
    def approve(
        action: Annotated[str, typer.Argument(help="freeze or release")],
        reason: Reason,
        number: Annotated[int, typer.Option(help="of the override, likewise the next three from: gridledger override status")],
        account: Annotated[str, typer.Option(help="one's own")],
        log: Annotated[str, typer.Option()],
        chain_id: Annotated[int, typer.Option()],
        key: Annotated[Path, typer.Option(help="the file of one's signing key")],
        evidence: Evidence = "",
    ) -> None:
        """Sign another admin's override, offline, and print what that admin needs."""
        typer.echo(signed(action, reason, evidence, number, account, LogId(log), chain_id, key))

    for action, text in ACTIONS.items():
        overrides.command(action, help=text)(applying(action))


def applying(action: str) -> Callable[..., None]:
    def apply(
        reason: Reason,
        approval: Approval,
        evidence: Evidence = "",
        api_key: ApiKey = "",
        server: Server = LOCAL,
        directory: Directory = None,
        as_json: Json = False,
    ) -> None:
        _apply(action, reason, evidence, approval, office(server, api_key, directory), as_json=as_json)

    return apply


def office(server: str, api_key: str, directory: Path | None) -> tuple[str, str]:
    """(address of the server, API key)."""
    if directory is not None:
        from adapters.files.home import ADMINS, Home

        address = directory / "server.url"
        if not address.is_file():
            fail(f"{directory}: no server of a ledger runs here")
        return address.read_text(encoding="utf-8").strip(), Home.open(directory).secret(ADMINS[0])
    if not api_key:
        fail("an admin's --api-key is needed, or --directory")
    return server, api_key


def command(action: str, reason: str, evidence: str, number: int, approver: str, approval: str) -> override.Override:
    """Raises `Invalid`."""
    facts = {"action": action, "reason": reason, "evidence_sha256": evidence or None, "number": number}
    return override.Override.model_validate({**facts, "approver": approver, "approval": approval})


def signed(action: str, reason: str, evidence: str, number: int, account: str, log: LogId, chain_id: int, key: Path) -> str:
    """An approval, as the other admin's command takes it."""
    from adapters import signer
    from adapters.client import signing

    claim = command(action, reason, evidence, number, account, UNSIGNED).countersigned()
    assert claim is not None
    try:
        return f"{account}:{signing(signer.load(key), log, chain_id)(claim)}"
    except ValueError as fault:
        fail(f"{key}: {fault}")
        raise


def _apply(action: str, reason: str, evidence: str, approval: str, at: tuple[str, str], *, as_json: bool) -> None:
    approver, _, signature = approval.partition(":")
    facts = asyncio.run(_ask(*at, (action, reason, evidence), approver, signature))
    done = f"done by event {facts['position']}" if facts["events"] else "so it was before"
    say(facts, as_json=as_json, text=f"{action} {reason}: {done}")


async def _ask(server: str, api_key: str, what: tuple[str, str, str], approver: str, signature: str) -> dict[str, Any]:
    async with Client(server, api_key) as client:
        number = (await client.get("/v1/me"))["overrides"] + 1
        answer = await client.ask(PATH, command(*what, number, approver, signature))
    return {"position": answer.position, "events": [wire.event(line).event.verb() for line in answer.events]}


async def _status(server: str, api_key: str) -> dict[str, Any]:
    async with Client(server, api_key) as client:
        me, frozen = await client.get("/v1/me"), (await client.get("/v1/overview"))["frozen"]
    return {"frozen": frozen, "number": me["overrides"] + 1, **{name: me[name] for name in ("account", "log", "chain_id")}}


def told(facts: dict[str, Any]) -> str:
    what, then = "money moves", "freeze"
    if frozen := facts["frozen"]:
        evidence = frozen["evidence_sha256"] or "none"
        what, then = f"money is stopped by event {frozen['position']}, reason {frozen['reason']}, evidence {evidence}", "release"
    named = f"--number {facts['number']} --account {facts['account']} --log {facts['log']} --chain-id {facts['chain_id']}"
    return f"{what}\nyour approval: gridledger override approve {then} --reason WORD {named} --key FILE"
