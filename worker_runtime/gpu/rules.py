"""The fixed list: which elements, plugins and values a scene may have (research/engines.md §1, hostile scenes).

Whatever is not on it is refused, with a stable code and the place. What is on it cannot name a path or a library, and every number is
finite, so that the renderer's own reader meets nothing that it would resolve, load or loop on.
"""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from domain.work import tiles
from worker_runtime.gpu import assets

SAMPLES_MAX = 65_536
BRANCHES_MAX = 64
"""Materials and textures that one material can ask in turn, through references too: a blend of blends doubles each time."""
VALUE_CHARS_MAX = 2_000
VALUE_MAX = 1e30
"""Beyond float32 a number would become infinite inside the renderer."""

PLUGINS = {
    "shape": "sphere cube rectangle disk cylinder ply obj",
    "bsdf": "diffuse dielectric thindielectric roughdielectric conductor roughconductor plastic roughplastic principled"
    " principledthin twosided mask bumpmap normalmap blendbsdf null",
    "texture": "bitmap checkerboard",
    "emitter": "area directionalarea constant envmap point spot directional",
    "sensor": "perspective thinlens",
    "film": "hdrfilm",
    "sampler": "independent stratified multijitter orthogonal ldsampler",
    "rfilter": "box tent gaussian mitchell catmullrom lanczos",
    "integrator": "path",
}
OURS = {"film", "sampler", "rfilter", "integrator"}
"""Checked, and then replaced by the network's own."""
_TYPES = {tag: frozenset(types.split()) for tag, types in PLUGINS.items()}
_FILES = {"ply": {"ply"}, "obj": {"obj"}, "bitmap": {"png", "hdr"}, "envmap": {"png", "hdr"}}
_MOVES = {"translate", "scale", "rotate", "lookat", "matrix"}
_ASKED = {"bsdf", "texture", "ref"}

# Elements by where they may stand; properties stand in any plugin.
_PARENTS = {
    "shape": {"scene"},
    "bsdf": {"scene", "shape", "bsdf"},
    "texture": {"scene", "bsdf", "texture", "emitter"},
    "emitter": {"scene", "shape"},
    "sensor": {"scene"},
    "integrator": {"scene"},
    "film": {"sensor"},
    "sampler": {"sensor"},
    "rfilter": {"film"},
    "ref": {"shape", "bsdf", "texture", "emitter"},
} | {move: {"transform"} for move in _MOVES}

# Elements by their attributes: those that must be there, those that may.
_XYZ = {"x", "y", "z", "value"}
_ATTRIBUTES: dict[str, tuple[set[str], set[str]]] = {
    "scene": ({"version"}, set()),
    "ref": ({"id"}, {"name"}),
    **{tag: ({"type"}, {"name", "id"}) for tag in PLUGINS},
    **{tag: ({"name", "value"}, set()) for tag in ("integer", "float", "boolean", "string")},
    **{tag: ({"value"}, {"name"}) for tag in ("rgb", "spectrum")},
    **{tag: ({"name"}, _XYZ) for tag in ("point", "vector")},
    "transform": ({"name"}, set()),
    "translate": (set(), _XYZ),
    "scale": (set(), _XYZ),
    "rotate": ({"angle"}, _XYZ),
    "lookat": ({"origin", "target", "up"}, set()),
    "matrix": ({"value"}, set()),
}

_NAME = re.compile("[a-z][a-z0-9_]{0,40}")
_TYPE = re.compile("[a-z0-9_]{1,40}")
_ID = re.compile(r"[^\x00-\x1f\x7f]{1,120}")
_VERSION = re.compile(r"3\.[0-9]{1,3}\.[0-9]{1,3}")
_INTEGER = re.compile("-?[0-9]{1,10}")
_WORD = re.compile("[A-Za-z0-9_. -]{0,40}")
_MATERIAL = re.compile("[a-z0-9 .()-]{1,40}")
_STRINGS = {
    "distribution": re.compile("beckmann|ggx"),
    "material": re.compile("[A-Za-z0-9_-]{1,20}"),
    "int_ior": _MATERIAL,
    "ext_ior": _MATERIAL,
    "filter_type": re.compile("nearest|bilinear"),
    "wrap_mode": re.compile("repeat|mirror|clamp"),
    "fov_axis": re.compile("x|y|diagonal|smaller|larger"),
}
_SIDES = {"width", "height", "crop_width", "crop_height"}


class Node(NamedTuple):
    """An element as it was read; `where` is its place for people."""

    tag: str
    attributes: dict[str, str]
    children: list["Node"]
    where: str

    def value(self, tag: str, name: str) -> str | None:
        """Of this element's property `name`, if it is a `tag`."""
        named = (child for child in self.children if child.tag == tag and child.attributes["name"] == name)
        return next((child.attributes["value"] for child in named), None)

    def refuse(self, code: str, reason: str) -> assets.SceneRefused:
        return assets.SceneRefused(code, f"{self.where}: {reason}")


def known(tag: str) -> bool:
    return tag in _ATTRIBUTES


class Check:
    """One frame's tree, element by element from the top. `files` are the names that it may use; `used` are those that it does, as
    often as it does. Identifiers are replaced by ours, where something can refer to them, and dropped elsewhere."""

    def __init__(self, files: frozenset[str]) -> None:
        self.files = files
        self.used: list[str] = []
        self.named: dict[str, tuple[str, int]] = {}
        self.count = itertools.count()

    def __call__(self, node: Node) -> int:
        """How many materials and textures the element asks in turn, itself included. Raises `SceneRefused`."""
        _attributes(node)
        id = node.attributes.pop("id", None)
        asked = 1
        for child in node.children:
            if node.tag not in _PARENTS.get(child.tag, PLUGINS):
                raise child.refuse("element", f"does not belong in <{node.tag}>")
            below = self(child)
            asked += below if child.tag in _ASKED else 0
        if node.tag == "ref":
            return self.refer(node, id or "")
        if node.tag in PLUGINS:
            self.plugin(node)
        else:
            _value(node)
        if node.tag != "scene" and asked > BRANCHES_MAX:
            raise node.refuse("depth", f"asks more than {BRANCHES_MAX} materials and textures in turn")
        if id is not None:
            self.name(node, id, asked)
        return asked

    def name(self, node: Node, id: str, asked: int) -> None:
        if not _ID.fullmatch(id) or id in self.named:
            raise node.refuse("id", "the id is not printable, too long, or there twice")
        ours = f"o{next(self.count)}"
        self.named[id] = (ours if node.tag in {"bsdf", "texture"} else "", asked)
        if node.tag in {"bsdf", "texture"}:
            node.attributes["id"] = ours

    def refer(self, node: Node, id: str) -> int:
        # Only what was complete before can be referred to, so that no element contains itself.
        ours, asked = self.named.get(id, ("", 0))
        if not ours:
            raise node.refuse("ref", "names no material or texture that stands before it")
        node.attributes["id"] = ours
        return asked

    def plugin(self, node: Node) -> None:
        kind = node.attributes["type"]
        if not _TYPE.fullmatch(kind) or kind not in _TYPES[node.tag]:
            raise node.refuse("type", f"type {kind[:60]!a} is not one of {', '.join(sorted(_TYPES[node.tag]))}")
        names = [child for child in node.children if child.attributes.get("name") == "filename"]
        if len(names) != (kind in _FILES):
            raise node.refuse("filename", f"{kind} has {len(names)} file names")
        for child in names:
            name = child.attributes.get("value", "")
            if child.tag != "string" or name not in self.files:
                raise child.refuse("filename", f"{name[:60]!a} is not a file of this scene")
            if name.rpartition(".")[2] not in _FILES[kind]:
                raise child.refuse("ending", f"{name} is not what {kind} reads")
            self.used.append(name)
        for child in node.children:
            _property(node, child)


def _attributes(node: Node) -> None:
    required, optional = _ATTRIBUTES[node.tag]
    for name, value in node.attributes.items():
        if name not in required | optional:
            raise node.refuse("attribute", f"the attribute {name[:40]!a} is not one that we read")
        if len(value) > VALUE_CHARS_MAX:
            raise node.refuse("value", f"{name} has more than {VALUE_CHARS_MAX} characters")
    if missing := sorted(required - node.attributes.keys()):
        raise node.refuse("attribute", f"the attribute {missing[0]} is missing")
    if not _NAME.fullmatch(node.attributes.get("name", "x")):
        raise node.refuse("name", "the name must match " + _NAME.pattern)


def _property(plugin: Node, node: Node) -> None:
    """What only the plugin around it decides about a property."""
    name, value = node.attributes.get("name", ""), node.attributes.get("value", "")
    if node.tag in {"rgb", "spectrum"} and not name:
        raise node.refuse("attribute", "the attribute name is missing")
    if node.tag == "string" and name != "filename":
        rule = _WORD if plugin.tag in OURS else _STRINGS.get(name)
        if rule is None or not rule.fullmatch(value):
            raise node.refuse("value", f"{name} {value[:40]!a} is not a word that we know")
    if node.tag == "integer" and name in _SIDES and plugin.tag == "film" and not 1 <= int(value) <= tiles.SIZE_MAX:
        raise node.refuse("value", f"{name} must be 1 to {tiles.SIZE_MAX} pixels")
    if node.tag == "integer" and name == "sample_count" and not 1 <= int(value) <= SAMPLES_MAX:
        raise node.refuse("value", f"{name} must be 1 to {SAMPLES_MAX}")


def _value(node: Node) -> None:
    """The values of an element that is no plugin."""
    read = node.attributes.get
    match node.tag:
        case "scene":
            if not _VERSION.fullmatch(read("version", "")):
                raise node.refuse("version", "expected version 3.x.x")
        case "integer":
            if not _INTEGER.fullmatch(read("value", "")) or not -(2**31) <= int(read("value", "")) < 2**31:
                raise node.refuse("number", "expected an integer of 32 bits")
        case "float":
            _numbers(node, read("value", ""), 1)
        case "boolean":
            if read("value") not in {"true", "false"}:
                raise node.refuse("value", "expected true or false")
        case "rgb":
            _numbers(node, read("value", ""), 1, 3)
        case "spectrum":
            _spectrum(node, read("value", ""))
        case "rotate":
            _numbers(node, read("angle", ""), 1)
            if not any(_vector(node)):
                raise node.refuse("value", "the axis has no length")
        case "scale":
            if not all(_vector(node, 1.0)):
                raise node.refuse("value", "nothing is left of what is scaled by 0")
        case "point" | "vector" | "translate":
            _vector(node)
        case "lookat":
            _look(node)
        case "matrix":
            _matrix(node)


def _numbers(node: Node, text: str, *counts: int) -> list[float]:
    """The numbers in `text`, separated by spaces or commas."""
    words = text.replace(",", " ").split(" ")
    try:
        values = [assets.number(word) for word in words if word]
    except assets.SceneRefused as refused:
        raise node.refuse("number", refused.detail) from None
    if len(values) not in counts or not all(abs(value) < VALUE_MAX for value in values):
        raise node.refuse("number", f"expected {' or '.join(map(str, counts))} numbers below {VALUE_MAX:g}")
    return values


def _vector(node: Node, missing: float = 0.0) -> list[float]:
    """From one `value` or from x, y and z."""
    given = _XYZ & node.attributes.keys()
    if not given or ("value" in given and len(given) > 1):
        raise node.refuse("attribute", "expected either value or some of x, y, z")
    if "value" in given:
        values = _numbers(node, node.attributes["value"], *((1, 3) if node.tag == "scale" else (3,)))
        return values * 3 if len(values) == 1 else values
    return [_numbers(node, node.attributes[axis], 1)[0] if axis in given else missing for axis in ("x", "y", "z")]


def _cross(a: list[float], b: list[float]) -> list[float]:
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def _dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _look(node: Node) -> None:
    origin, target, up = (_numbers(node, node.attributes[name], 3) for name in ("origin", "target", "up"))
    ahead = [there - here for here, there in zip(origin, target, strict=True)]
    side = _cross(ahead, up)
    if not _dot(side, side) > 1e-12 * _dot(ahead, ahead) * _dot(up, up) > 0:
        raise node.refuse("value", "looks nowhere, or along its own up")


def _matrix(node: Node) -> None:
    values = _numbers(node, node.attributes["value"], 9, 16)
    side = 3 if len(values) == 9 else 4
    rows = [values[at : at + side] for at in range(0, len(values), side)]
    if side == 4 and rows[3] != [0, 0, 0, 1]:
        raise node.refuse("value", "the last row must be 0 0 0 1")
    if not abs(_dot(_cross(rows[0][:3], rows[1][:3]), rows[2][:3])) > 0:
        raise node.refuse("value", "the matrix has no inverse")


def _spectrum(node: Node, text: str) -> None:
    pairs: Iterator[list[str]] = (pair.split(":") for pair in text.replace(",", " ").split(" ") if pair)
    if ":" not in text:
        _numbers(node, text, 1)
        return
    last = 0.0
    for pair in pairs:
        if len(pair) != 2:
            raise node.refuse("value", "expected one number, or wavelength:value pairs")
        wavelength = _numbers(node, pair[0], 1)[0]
        _numbers(node, pair[1], 1)
        if wavelength <= last:
            raise node.refuse("value", "wavelengths must rise")
        last = wavelength
