"""A scene from outside: read by us, checked by the rules, and written anew for the renderer (research/engines.md §1).

Mitsuba's own reader loads libraries by plugin name, files by path and whole scenes by inclusion, so a scene never reaches it. What
reaches it is a text of ours: what the rules let pass, with our film, sampler, integrator and identifiers. The same check runs where
a scene is accepted and again where it is rendered.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import NamedTuple
from xml.parsers import expat
from xml.sax import saxutils

from domain.work import manifest, tiles
from worker_runtime.gpu import assets, rules

SceneRefused = assets.SceneRefused

XML_BYTES_MAX = 4 << 20
ELEMENTS_MAX = 20_000
NESTING_MAX = 12
DEPTH_MAX = 32
"""Bounces of a path; also what a scene gets that does not say."""
ROULETTE_DEPTH = 5
BLOCK_PIXELS = 32
"""The renderer's choice would differ with the number of its threads, and with it the samples."""
_REPLACED = {"film", "sampler", "integrator"}


class Frame(NamedTuple):
    """One frame as we understood it, and the files that it uses, each as often as it does."""

    scene: rules.Node
    files: tuple[str, ...]

    def text(self, size: tiles.Pair) -> str:
        """What the renderer reads, for a picture of `size` = (width, height) pixels."""
        return "".join(_write(self.scene, size))


class Scene(NamedTuple):
    """A checked scene: its frames by name, and the bytes of the other files by name."""

    frames: dict[str, Frame]
    files: dict[str, bytes]


def parse(name: str, xml: bytes, files: frozenset[str]) -> Frame:
    """Reads and checks the frame `name`; `files` are the names that it may use. Raises `SceneRefused`."""
    scene = _Reader(name).read(xml)
    check = rules.Check(files)
    check(scene)
    tags = [child.tag for child in scene.children]
    if tags.count("sensor") != 1 or tags.count("integrator") > 1 or "shape" not in tags:
        raise scene.refuse("scene", "expected one sensor, at most one integrator and at least one shape")
    return Frame(scene, tuple(check.used))


def load(scene: manifest.Manifest, read: Callable[[str], bytes]) -> Scene:
    """Checks every file and every frame of a scene; `read` returns the bytes of an asset. Raises `SceneRefused`."""
    contents = {asset.name: _verified(asset, read(asset.name)) for asset in scene.assets}
    names = frozenset(scene.frames)
    files = {name: content for name, content in contents.items() if name not in names}
    facts = {name: assets.inspect(name, content) for name, content in files.items()}
    frames = {}
    for name in sorted(names):
        if not name.endswith(".xml"):
            raise SceneRefused("ending", f"{name}: a frame is an .xml file")
        frame = frames[name] = parse(name, contents[name], frozenset(files))
        # A file that is used twice is in memory twice.
        if sum(facts[used].triangles for used in frame.files) > assets.TRIANGLES_MAX:
            raise SceneRefused("triangles", f"{name}: more than {assets.TRIANGLES_MAX} together")
        if sum(facts[used].pixels for used in frame.files) > assets.TEXTURE_PIXELS_MAX:
            raise SceneRefused("pixels", f"{name}: more than {assets.TEXTURE_PIXELS_MAX} together")
    return Scene(frames, files)


def check_scene(scene: manifest.Manifest, read: Callable[[str], bytes]) -> None:
    """Raises `SceneRefused` for a scene that we would not render; `read` returns the bytes of an asset."""
    load(scene, read)


def fault(scene: manifest.Manifest, read: Callable[[str], bytes]) -> tuple[str, str] | None:
    """The same as an answer: None, or (code, what is wrong and where)."""
    try:
        load(scene, read)
    except SceneRefused as refused:
        return refused.code, refused.detail
    return None


def _verified(asset: manifest.Asset, content: bytes) -> bytes:
    if len(content) != asset.bytes or sha256(content).hexdigest() != asset.sha256:
        raise SceneRefused("hash", f"{asset.name}: not the bytes that the manifest names")
    return content


class _Reader:
    """Expat without anything that reaches outside the text."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.open: list[rules.Node] = []
        self.parser = expat.ParserCreate("utf-8")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.XmlDeclHandler = self.declaration
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.parser.ProcessingInstructionHandler = self.instruction

    def refuse(self, code: str, reason: str) -> SceneRefused:
        return SceneRefused(code, f"{self.name}:{self.parser.CurrentLineNumber}: {reason}")

    def read(self, xml: bytes) -> rules.Node:
        if len(xml) > XML_BYTES_MAX:
            raise SceneRefused("size", f"{self.name}: {len(xml)} bytes, at most {XML_BYTES_MAX}")
        # Expat believes a byte order mark more than its caller.
        if b"\0" in xml or not _utf8(xml):
            raise SceneRefused("encoding", f"{self.name}: expected UTF-8 without null bytes")
        try:
            self.parser.Parse(xml, True)
        except expat.ExpatError as error:
            raise self.refuse("syntax", expat.ErrorString(error.code)) from None
        return self.root

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.count += 1
        if self.count > ELEMENTS_MAX:
            raise self.refuse("count", f"more than {ELEMENTS_MAX} elements")
        if len(self.open) >= NESTING_MAX:
            raise self.refuse("depth", f"more than {NESTING_MAX} levels")
        if not rules.known(tag) or (tag == "scene") != (not self.open):
            raise self.refuse("element", f"{tag[:40]!a} is not an element that we render")
        named = attributes.get("id") or attributes.get("name") or ""
        where = f"{self.name}:{self.parser.CurrentLineNumber} <{tag}>" + (f" {named[:40]!a}" if named else "")
        node = rules.Node(tag, attributes, [], where)
        if self.open:
            self.open[-1].children.append(node)
        else:
            self.root = node
        self.open.append(node)

    def end(self, tag: str) -> None:
        self.open.pop()

    def characters(self, text: str) -> None:
        if text.strip():
            raise self.refuse("text", "text between elements")

    def declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() != "utf-8":
            raise self.refuse("encoding", f"{encoding[:20]!a}, expected UTF-8")

    def doctype(self, *declared: object) -> None:
        raise self.refuse("dtd", "a document type declares things that we do not read")

    def instruction(self, target: str, data: str) -> None:
        raise self.refuse("instruction", "a processing instruction")


def _utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _element(tag: str, attributes: dict[str, str], inside: str = "") -> str:
    words = "".join(f" {name}={saxutils.quoteattr(value)}" for name, value in sorted(attributes.items()))
    return f"<{tag}{words}>{inside}</{tag}>" if inside else f"<{tag}{words}/>"


def _property(tag: str, name: str, value: object) -> str:
    return _element(tag, {"name": name, "value": str(value)})


def _write(node: rules.Node, size: tiles.Pair) -> Iterator[str]:
    inside = [part for child in node.children if child.tag not in _REPLACED for part in _write(child, size)]
    attributes = dict(node.attributes)
    if node.tag == "scene":
        integrator = next((child for child in node.children if child.tag == "integrator"), None)
        inside.append(_integrator(integrator))
    if node.tag == "sensor":
        attributes["id"] = "camera"
        inside += [_film(size), _element("sampler", {"type": "independent"})]
    yield _element(node.tag, attributes, "".join(inside))


def _integrator(asked: rules.Node | None) -> str:
    """A path integrator. The scene decides how deep it goes, within reason, and whether light sources are seen."""
    bounces = int((asked and asked.value("integer", "max_depth")) or -1)
    roulette = int((asked and asked.value("integer", "rr_depth")) or ROULETTE_DEPTH)
    hidden = (asked and asked.value("boolean", "hide_emitters")) or "false"
    inside = [
        _property("integer", "max_depth", min(bounces, DEPTH_MAX) if bounces > 0 else DEPTH_MAX),
        _property("integer", "rr_depth", max(1, roulette)),
        _property("boolean", "hide_emitters", hidden),
        _property("integer", "block_size", BLOCK_PIXELS),
    ]
    return _element("integrator", {"type": "path"}, "".join(inside))


def _film(size: tiles.Pair) -> str:
    inside = [
        _property("integer", "width", size[0]),
        _property("integer", "height", size[1]),
        _property("string", "pixel_format", "rgb"),
        _property("string", "component_format", "float32"),
        _element("rfilter", {"type": "box"}),
    ]
    return _element("film", {"type": "hdrfilm"}, "".join(inside))
