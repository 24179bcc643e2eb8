"""From somebody's Mitsuba files to a submitted job: which files a scene needs, the manifest over them, and the uploads."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from adapters.client import Client, uuid7
from domain.log.answers import Answer, Problem
from domain.value import Value
from domain.work import job, manifest
from domain.work.manifest import Manifest

UPLOADS_MAX = 3
Reported = Callable[[str, int, int], None]
"""(what, done, of)"""


class NotAScene(Exception):
    """The files cannot be submitted; the message is one line and names the file."""


class Scene(Value):
    """All files of a job by their names in the manifest."""

    described: Manifest
    contents: dict[str, bytes]
    size: tuple[int, int]
    """Of the first frame's film; what a job gets unless its creator says otherwise. Likewise the samples."""
    samples: int


def gather(frames: Sequence[Path], *, pictures: bool = False) -> Scene:
    """Reads the frames, in this order, and every file that they name. Files in folders below a frame's own get their base names.
    With `pictures` everybody may see small pictures of what is rendered.

    Raises `NotAScene`.
    """
    contents: dict[str, bytes] = {}
    origins: dict[str, Path] = {}
    names = [file.name for file in frames]
    if len(set(names)) < len(names):
        raise NotAScene("two frames have the same file name")
    for file in frames:
        text = read(file)
        root = parse(file, text)
        if not contents:
            size, samples = film(root)
        for value, path in references(file, root):
            keep(contents, origins, path)
            text = text.replace(f'"{value}"'.encode(), f'"{path.name}"'.encode()).replace(f"'{value}'".encode(), f"'{path.name}'".encode())
        contents[file.name] = text
    salt = os.urandom(16).hex()
    described = Manifest(salt, [manifest.describe(name, content) for name, content in sorted(contents.items())], names, pictures)
    try:
        manifest.check(described)
    except ValueError as fault:
        raise NotAScene(str(fault)) from fault
    return Scene(described, contents, size, samples)


def read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as fault:
        raise NotAScene(f"{file}: {fault.strerror}") from fault


def parse(file: Path, text: bytes) -> ET.Element:
    if b"<!DOCTYPE" in text:
        raise NotAScene(f"{file}: a document type is not allowed")
    try:
        return ET.fromstring(text)  # noqa: S314 - without a document type there are no entities to expand
    except ET.ParseError as fault:
        raise NotAScene(f"{file}: {fault}") from fault


def references(file: Path, root: ET.Element) -> list[tuple[str, Path]]:
    """(as it is written, the file) for each file name in the scene. None may lie outside the scene's own folder."""
    folder, found = file.parent.resolve(), list[tuple[str, Path]]()
    for element in root.iter("string"):
        value = element.get("value", "")
        if element.get("name") == "filename" and value:
            path = (folder / value).resolve()
            if not path.is_relative_to(folder):
                raise NotAScene(f"{file}: {value} lies outside the scene's folder")
            found.append((value, path))
    return found


def keep(contents: dict[str, bytes], origins: dict[str, Path], path: Path) -> None:
    if origins.setdefault(path.name, path) != path:
        raise NotAScene(f"{path}: another file of the scene has the same name")
    if path.name not in contents:
        contents[path.name] = read(path)


def film(root: ET.Element) -> tuple[tuple[int, int], int]:
    """Width, height and samples per pixel that a scene asks for itself, or the usual ones."""
    asked = {each.get("name", ""): each.get("value", "") for each in root.iter("integer")}

    def number(name: str, usual: int) -> int:
        value = asked.get(name, "")
        return int(value) if value.isascii() and value.isdecimal() else usual

    return (number("width", 320), number("height", 180)), number("sample_count", 64)


async def upload(client: Client, scene: Scene, reported: Reported = lambda *_: None) -> str:
    """Stores every file and the manifest. Returns the manifest's hash."""
    pieces = [*scene.contents.items(), ("the manifest", scene.described.encode())]
    for n, (name, content) in enumerate(pieces, 1):
        await client.store(content)
        reported(name, n, len(pieces))
    return scene.described.sha256()


async def submit(client: Client, scene: Scene, command: job.Submit) -> Answer:
    """Submits what was uploaded. A server that was started again in between does not remember who brought the scene, and is brought it
    again; the key stays the same, so that a job is submitted once."""
    key = uuid7()
    for _ in range(UPLOADS_MAX):
        try:
            return await client.ask("/v1/jobs", command, key)
        except Problem as problem:
            if problem.code != "not_uploaded":
                raise
        await upload(client, scene)
    return await client.ask("/v1/jobs", command, key)
