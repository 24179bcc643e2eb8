"""From a job's proved tiles to pictures: download what was paid for, check it, stitch it, write what people look at."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.client import Client
from domain.ids import JobId, TaskId, task_id
from domain.proof import proof
from domain.value import Value
from domain.work import job, tiles

DOWNLOADS_MAX = 8


class Pictures(Value):
    """What was written, and the hash that is equal for equal jobs, whoever rendered what."""

    picture: str
    animation: str
    picture_sha256: str


def spec_of(submitted: job.Submitted) -> tiles.Spec:
    asked = submitted.spec
    return tiles.Spec(
        submitted.engine,
        submitted.build,
        submitted.manifest_sha256,
        asked.frames,
        asked.size,
        asked.tiles,
        asked.group,
        asked.samples,
        asked.seed,
    )


async def submitted(client: Client, id: JobId, least_pos: int = 0) -> job.Submitted:
    """The event that described the job, read at `least_pos` or after it."""
    event = (await client.stream(id, least_pos))[0].event
    assert isinstance(event, job.Submitted)
    return event


async def proofs(client: Client, id: JobId, spec: tiles.Spec, least_pos: int = 0) -> dict[str, Sequence[str]]:
    """By task, the hashes of its last proof's tiles; a task without one at `least_pos` is missing."""
    limit = asyncio.Semaphore(DOWNLOADS_MAX)

    async def last(task: TaskId) -> Sequence[str]:
        async with limit:
            events = [each.event for each in await client.stream(task, least_pos)]
        made = [event for event in events if isinstance(event, proof.Committed) and not event.late]
        return made[-1].raw if made else ()

    names = [task_id(id, number) for number in range(1, spec.tasks + 1)]
    found = await asyncio.gather(*(last(task) for task in names))
    return {task: raw for task, raw in zip(names, found, strict=True) if raw}


async def frames(client: Client, id: JobId, spec: tiles.Spec, raw: Mapping[str, Sequence[str]]) -> list[Any]:
    """Every frame as linear floats, its tiles checked by hash, shape and specification. Raises what the client raises."""
    from worker_runtime.gpu import stitch

    limit, stitched = asyncio.Semaphore(DOWNLOADS_MAX), list[Any]()

    async def fetch(task: TaskId, index: int, digest: str) -> bytes:
        async with limit:
            return await client.raw(task, index, digest)

    for frame in range(spec.frames):
        found: dict[int, bytes] = {}
        for number in range(frame * spec.groups + 1, (frame + 1) * spec.groups + 1):
            task = task_id(id, number)
            _, which = tiles.task_tiles(number, spec.grid, spec.group)
            fetched = await asyncio.gather(*(fetch(task, index, digest) for index, digest in enumerate(raw[task])))
            found |= dict(zip(which, fetched, strict=True))
        stitched.append(await asyncio.to_thread(stitch.frame, spec, found))
    return stitched


def save(out: Path, made: Sequence[Any]) -> Pictures:
    """Writes each frame, the contact sheet and the animation."""
    from worker_runtime.gpu import stitch

    out.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(made):
        (out / f"frame-{number:03}.png").write_bytes(stitch.png(frame))
    sheet, moving = out / "contact-sheet.png", out / "animation.webp"
    sheet.write_bytes(stitch.contact_sheet(made))
    moving.write_bytes(stitch.animation(made))
    return Pictures(str(sheet), str(moving), stitch.picture_sha256(made))


async def download(client: Client, id: JobId, out: Path, least_pos: int = 0) -> Pictures:
    """All of a job that is completed, at `least_pos` or before. Raises `KeyError` with the first task that is not proved there."""
    spec = spec_of(await submitted(client, id, least_pos))
    made = await frames(client, id, spec, await proofs(client, id, spec, least_pos))
    return await asyncio.to_thread(save, out, made)
