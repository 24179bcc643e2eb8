"""Which scenes are rendered, and that every hostile one is refused before the renderer sees it."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.work import manifest
from examples.atelier import make_scene as atelier
from examples.marbles import make_scene as marbles
from worker_runtime.gpu import assets, bench, rules, scene

FILES = frozenset({"mesh.ply", "gem.obj", "wood.png", "sky.hdr"})
LENS = '<sensor type="perspective"><float name="fov" value="40"/></sensor>'
BALL = '<shape type="sphere"/>'


def xml(inside: str = "", lens: str = LENS, shapes: str = BALL) -> bytes:
    return f'<scene version="3.0.0">{lens}{shapes}{inside}</scene>'.encode()


def refusal(text: bytes) -> str:
    with pytest.raises(scene.SceneRefused) as refused:
        scene.parse("frame.xml", text, FILES)
    assert refused.value.detail.startswith("frame.xml")
    return refused.value.code


def blends(levels: int) -> str:
    first = '<bsdf type="diffuse" id="b0"/>'
    return first + "".join(
        f'<bsdf type="blendbsdf" id="b{n}"><float name="weight" value="0.5"/><ref id="b{n - 1}"/><ref id="b{n - 1}"/></bsdf>'
        for n in range(1, levels + 1)
    )


def nested(levels: int) -> str:
    return '<bsdf type="twosided">' * levels + "</bsdf>" * levels


TEXTURE = '<bsdf type="diffuse"><texture type="bitmap" name="reflectance"><string name="filename" value="{}"/></texture></bsdf>'
HOSTILE = {
    # What Mitsuba's own reader would do: load a library, open a path, read another scene.
    "plugin of a library on disk": (xml('<bsdf type="../../evil"/>'), "type"),
    "plugin by absolute path": (xml('<bsdf type="/tmp/evil"/>'), "type"),
    "plugin with a null byte's escape": (xml('<bsdf type="diffuse&#10;x"/>'), "type"),
    "plugin of another kind": (xml('<bsdf type="sphere"/>'), "type"),
    "plugin in capitals": (xml('<bsdf type="Diffuse"/>'), "type"),
    "plugin that is real but not ours": (xml('<bsdf type="measured"/>'), "type"),
    "absolute texture path": (xml(TEXTURE.format("/etc/passwd")), "filename"),
    "texture path upwards": (xml(TEXTURE.format("../../secret.png")), "filename"),
    "texture that is not of the scene": (xml(TEXTURE.format("other.png")), "filename"),
    "texture of the current folder": (xml(TEXTURE.format("./wood.png")), "filename"),
    "texture that is a mesh": (xml(TEXTURE.format("mesh.ply")), "ending"),
    "mesh that is a texture": (xml('<shape type="ply"><string name="filename" value="wood.png"/></shape>'), "ending"),
    "mesh without a file": (xml('<shape type="ply"/>'), "filename"),
    "mesh with two files": (
        xml('<shape type="ply"><string name="filename" value="mesh.ply"/><string name="filename" value="mesh.ply"/></shape>'),
        "filename",
    ),
    "file name as another kind of value": (xml('<shape type="ply"><float name="filename" value="1"/></shape>'), "filename"),
    "file name as a material": (xml('<shape type="ply"><bsdf name="filename" type="diffuse"/></shape>'), "filename"),
    "file name where none belongs": (xml('<shape type="sphere"><string name="filename" value="mesh.ply"/></shape>'), "filename"),
    "spectrum from a file": (xml('<bsdf type="diffuse"><spectrum name="reflectance" filename="/etc/passwd"/></bsdf>'), "attribute"),
    "material that is a path": (xml('<bsdf type="conductor"><string name="material" value="../../x"/></bsdf>'), "value"),
    "refraction by a path": (xml('<bsdf type="dielectric"><string name="int_ior" value="../x"/></bsdf>'), "value"),
    "absolute include": (xml('<include filename="/etc/passwd"/>'), "element"),
    "include": (xml('<include filename="other.xml"/>'), "element"),
    "path": (xml('<path value="/etc"/>'), "element"),
    "alias": (xml('<bsdf type="diffuse" id="a"/><alias id="a" as="b"/>'), "element"),
    "default": (xml('<default name="spp" value="9"/>'), "element"),
    "parameter substitution": (xml('<shape type="sphere"><float name="radius" value="$r"/></shape>'), "number"),
    "document type": (b"<!DOCTYPE scene>" + xml(), "dtd"),
    "entity": (b'<!DOCTYPE scene [<!ENTITY a "b">]>' + xml(), "dtd"),
    "external entity": (b'<!DOCTYPE scene SYSTEM "file:///etc/passwd">' + xml(), "dtd"),
    "undeclared entity": (xml('<shape type="sphere" id="&a;"/>'), "syntax"),
    "processing instruction": (xml('<?php echo "x"?>'), "instruction"),
    "style sheet": (b'<?xml-stylesheet href="x"?>' + xml(), "instruction"),
    "other encoding": (b'<?xml version="1.0" encoding="utf-16"?>' + xml(), "encoding"),
    "bytes of another encoding": (xml().decode().encode("utf-16"), "encoding"),
    "bytes of another encoding without a mark": (xml().decode().encode("utf-16-le"), "encoding"),
    "plugin inside a reference": (
        xml('<bsdf type="diffuse" id="a"/><shape type="sphere"><ref id="a"><bsdf type="../../evil"/></ref></shape>'),
        "element",
    ),
    "plugin inside a transform": (
        xml('<shape type="sphere"><transform name="to_world"><bsdf type="../../evil"/></transform></shape>'),
        "element",
    ),
    "plugin inside what we replace": (
        xml(lens='<sensor type="perspective"><film type="hdrfilm"><rfilter type="../../evil"/></film></sensor>'),
        "type",
    ),
    # Size and shape.
    "too many bytes": (xml(" " * (4 << 20)), "size"),
    "too many elements": (xml(BALL * 20_001), "count"),
    "too many levels": (xml(nested(20)), "depth"),
    "blends that double": (xml(blends(12)), "depth"),
    "reference to itself": (xml('<bsdf type="twosided" id="a"><ref id="a"/></bsdf>'), "ref"),
    "reference forwards": (xml('<shape type="sphere"><ref id="a"/></shape><bsdf type="diffuse" id="a"/>'), "ref"),
    "reference to nothing": (xml('<shape type="sphere"><ref id="a"/></shape>'), "ref"),
    "reference to a shape": (xml('<shape type="cube" id="a"/><shape type="sphere"><ref id="a"/></shape>'), "ref"),
    "id there twice": (xml('<bsdf type="diffuse" id="a"/><bsdf type="diffuse" id="a"/>'), "id"),
    "id with a control character": (xml('<bsdf type="diffuse" id="a&#7;"/>'), "syntax"),
    "id with a line break": (xml('<bsdf type="diffuse" id="a&#10;b"/>'), "id"),
    "film of 30000²": (
        xml(lens='<sensor type="perspective"><film type="hdrfilm"><integer name="width" value="30000"/></film></sensor>'),
        "value",
    ),
    "film without a pixel": (
        xml(lens='<sensor type="perspective"><film type="hdrfilm"><integer name="height" value="0"/></film></sensor>'),
        "value",
    ),
    "samples for a year": (
        xml(
            lens='<sensor type="perspective"><sampler type="independent"><integer name="sample_count" value="2000000000"/></sampler>'
            "</sensor>"
        ),
        "value",
    ),
    "long value": (xml(f'<bsdf type="diffuse"><spectrum name="reflectance" value="{"0" * 3_000}"/></bsdf>'), "value"),
    # Numbers.
    "not a number": (xml('<shape type="sphere"><float name="radius" value="nan"/></shape>'), "number"),
    "infinite": (xml('<shape type="sphere"><float name="radius" value="inf"/></shape>'), "number"),
    "infinite in disguise": (xml('<shape type="sphere"><float name="radius" value="1e999"/></shape>'), "number"),
    "infinite as float32": (xml('<shape type="sphere"><float name="radius" value="1e39"/></shape>'), "number"),
    "hexadecimal": (xml('<shape type="sphere"><float name="radius" value="0x10"/></shape>'), "number"),
    "number with underscores": (xml('<shape type="sphere"><float name="radius" value="1_0"/></shape>'), "number"),
    "digits of another script": (xml('<shape type="sphere"><float name="radius" value="١"/></shape>'), "number"),
    "integer that is none": (xml('<shape type="sphere"><integer name="n" value="1.5"/></shape>'), "number"),
    "integer with a plus": (xml('<shape type="sphere"><integer name="n" value="+1"/></shape>'), "number"),
    "integer of 33 bits": (xml('<shape type="sphere"><integer name="n" value="4294967296"/></shape>'), "number"),
    "point of two numbers": (xml('<shape type="sphere"><point name="center" value="1 2"/></shape>'), "number"),
    "point said twice": (xml('<shape type="sphere"><point name="center" value="1 2 3" x="1"/></shape>'), "attribute"),
    "truth that is none": (xml('<shape type="sphere"><boolean name="flip_normals" value="yes"/></shape>'), "value"),
    "scaled by zero": (xml('<shape type="cube"><transform name="to_world"><scale value="0"/></transform></shape>'), "value"),
    "turned around nothing": (xml('<shape type="cube"><transform name="to_world"><rotate x="0" angle="1"/></transform></shape>'), "value"),
    "looking at oneself": (
        xml('<shape type="cube"><transform name="to_world"><lookat origin="1 1 1" target="1 1 1" up="0 0 1"/></transform></shape>'),
        "value",
    ),
    "looking along up": (
        xml('<shape type="cube"><transform name="to_world"><lookat origin="0 0 1" target="0 0 0" up="0 0 1"/></transform></shape>'),
        "value",
    ),
    "matrix without inverse": (
        xml(f'<shape type="cube"><transform name="to_world"><matrix value="{"0 " * 15}1"/></transform></shape>'),
        "value",
    ),
    "matrix that projects": (
        xml('<shape type="cube"><transform name="to_world"><matrix value="1 0 0 0 0 1 0 0 0 0 1 0 0 0 1 1"/></transform></shape>'),
        "value",
    ),
    "falling wavelengths": (xml('<bsdf type="diffuse"><spectrum name="reflectance" value="500:1, 400:1"/></bsdf>'), "value"),
    "wavelength of three parts": (xml('<bsdf type="diffuse"><spectrum name="reflectance" value="500:1:2"/></bsdf>'), "value"),
    # Structure.
    "another integrator": (xml('<integrator type="volpath"/>'), "type"),
    "another film": (xml(lens='<sensor type="perspective"><film type="specfilm"/></sensor>'), "type"),
    "film in a shape": (xml('<shape type="sphere"><film type="hdrfilm"/></shape>'), "element"),
    "scene in a scene": (xml(xml().decode()), "element"),
    "scene that is none": (b"<mesh/>", "element"),
    "element that nobody knows": (xml("<shader/>"), "element"),
    "element of a name space": (xml('<x:shape xmlns:x="y" type="sphere"/>'), "element"),
    "name space": (b'<scene version="3.0.0" xmlns="y">' + LENS.encode() + BALL.encode() + b"</scene>", "attribute"),
    "attribute that nobody knows": (xml('<shape type="sphere" onload="x"/>'), "attribute"),
    "attribute there twice": (xml('<shape type="sphere" type="cube"/>'), "syntax"),
    "plugin without a type": (xml("<shape/>"), "attribute"),
    "property without a value": (xml('<shape type="sphere"><float name="radius"/></shape>'), "attribute"),
    "property of an inner name": (xml('<shape type="sphere"><float name="_arg_0" value="1"/></shape>'), "name"),
    "property in a property": (
        xml('<shape type="sphere"><float name="a" value="1"><float name="b"/></float></shape>'),
        "element",
    ),
    "text between elements": (xml("hello"), "text"),
    "two cameras": (xml(LENS), "scene"),
    "no camera": (xml(lens=""), "scene"),
    "no shape": (xml(shapes=""), "scene"),
    "version before ours": (xml().replace(b"3.0.0", b"0.6.0"), "version"),
    "version of later": (xml().replace(b"3.0.0", b"99.0.0"), "version"),
    "no text at all": (b"", "syntax"),
    "half a text": (xml()[:-5], "syntax"),
    "two texts": (xml() + xml(), "syntax"),
    "null bytes": (xml().replace(b"sphere", b"sph\0re"), "encoding"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_scene_is_refused_with_its_code(case: str) -> None:
    text, code = HOSTILE[case]
    assert refusal(text) == code


def test_the_plainest_scene_is_accepted() -> None:
    assert scene.parse("frame.xml", xml(), FILES).files == ()


def test_what_the_renderer_reads_has_our_film_sampler_and_integrator_once() -> None:
    film = '<film type="hdrfilm"><integer name="width" value="99"/></film>'
    lens = f'<sensor type="perspective" id="x">{film}<sampler type="ldsampler"/></sensor>'
    text = scene.parse("f", xml('<integrator type="path"><integer name="max_depth" value="5"/></integrator>', lens), FILES).text((320, 180))
    assert text.count("<film ") == text.count("<sampler ") == text.count("<integrator ") == 1
    assert '<sampler type="independent"/>' in text
    assert '<integer name="width" value="320"/>' in text
    assert '<integer name="max_depth" value="5"/>' in text
    assert '<integer name="block_size" value="32"/>' in text
    assert '<sensor id="camera" type="perspective">' in text
    assert "99" not in text


@pytest.mark.parametrize(("asked", "given"), [("5", 5), ("1000000", 32), ("-1", 32), ("0", 32)])
def test_a_path_goes_as_deep_as_the_scene_says_within_reason(asked: str, given: int) -> None:
    integrator = f'<integrator type="path"><integer name="max_depth" value="{asked}"/></integrator>'
    assert f'<integer name="max_depth" value="{given}"/>' in scene.parse("f", xml(integrator), FILES).text((9, 9))


def test_a_depth_that_is_no_integer_is_not_read() -> None:
    integrator = '<integrator type="path"><float name="max_depth" value="2.5"/></integrator>'
    assert '<integer name="max_depth" value="32"/>' in scene.parse("f", xml(integrator), FILES).text((9, 9))


def test_identifiers_become_ours_and_keep_their_meaning() -> None:
    inside = '<bsdf type="diffuse" id="Wood &lt;1&gt;.001"/><shape type="cube" id="Cube"><ref id="Wood &lt;1&gt;.001"/></shape>'
    text = scene.parse("f", xml(inside), FILES).text((9, 9))
    assert '<bsdf id="o0" type="diffuse"/>' in text
    assert '<ref id="o0"/>' in text
    assert "Wood" not in text
    assert "Cube" not in text


def test_a_file_counts_as_often_as_it_is_used() -> None:
    mesh = '<shape type="ply"><string name="filename" value="mesh.ply"/></shape>'
    assert scene.parse("f", xml(mesh * 3), FILES).files == ("mesh.ply",) * 3


BLOCK = '<integer name="block_size" value="32"/>'
PARTS = ["scene", "include", "path", "alias", "default", "ref", "transform", "rotate", "matrix", "rgb", "string", "float", "film"]
EVIL = '<bsdf type="../../evil"/>'


@given(st.lists(st.sampled_from([*rules.PLUGINS, *PARTS]), max_size=6), st.sampled_from(["a", "to_world", "filename", "value"]))
def test_an_evil_plugin_is_found_wherever_it_hides(parts: list[str], name: str) -> None:
    known = {tag: types.split()[0] for tag, types in rules.PLUGINS.items()}
    opened = "".join(f'<{tag} type="{known[tag]}">' if tag in known else f'<{tag} name="{name}">' for tag in parts)
    text = xml(opened + EVIL + "".join(f"</{tag}>" for tag in reversed(parts)))
    with pytest.raises(scene.SceneRefused):
        scene.parse("frame.xml", text, FILES)


NAMES = ["filename", "to_world", "max_depth", "radius", "width", "sample_count", "reflectance", "weight", "material"]
VALUES = ["1", "0", "-1", "1 2 3", "0.5, 0.5, 0.5", "true", "mesh.ply", "wood.png", "Au", "nan", "", "400:1 500:2", "1 0 0 0 1 0 0 0 1"]
TYPES = [kind for kinds in rules.PLUGINS.values() for kind in kinds.split()]


@st.composite
def elements(draw: st.DrawFn, deep: int = 3) -> str:
    """An element of known words, put together without sense."""
    tag = draw(st.sampled_from([*rules.PLUGINS, *PARTS, "integer", "point", "lookat", "scale", "spectrum", "boolean"]))
    words = {"type": TYPES, "name": NAMES, "value": VALUES, "id": ["a", "b"], "x": VALUES, "origin": VALUES, "angle": VALUES}
    chosen = draw(st.sets(st.sampled_from(sorted(words)), max_size=3)) | ({"type"} if tag in rules.PLUGINS else {"name", "value"})
    attributes = "".join(f' {name}="{draw(st.sampled_from(words[name]))}"' for name in sorted(chosen))
    return f"<{tag}{attributes}>{''.join(draw(st.lists(elements(deep - 1), max_size=3))) if deep else ''}</{tag}>"


@pytest.mark.system
@given(st.lists(elements(), max_size=4))
def test_known_words_without_sense_do_no_worse_than_being_refused(inside: list[str]) -> None:
    with contextlib.suppress(scene.SceneRefused):
        scene.parse("frame.xml", xml("".join(inside)), FILES)


@pytest.mark.parametrize("write", [atelier.write, marbles.write])
def test_what_we_write_is_itself_within_the_rules(write: Callable[[Path], list[Path]], tmp_path: Path) -> None:
    frame = write(tmp_path)[0]
    files = frozenset(folder([frame])) - {frame.name}
    text = scene.parse(frame.name, frame.read_bytes(), files).text((320, 180)).replace(BLOCK, "")
    assert scene.parse("ours.xml", text.encode(), files).text((320, 180)).replace(BLOCK, "") == text


@given(st.binary(max_size=400))
def test_no_bytes_do_worse_than_being_refused(junk: bytes) -> None:
    with pytest.raises(scene.SceneRefused):
        scene.parse("frame.xml", junk, FILES)


@given(st.sampled_from(sorted(HOSTILE)), st.integers(0, 300), st.binary(max_size=3))
def test_no_damage_does_worse_than_being_refused(case: str, at: int, junk: bytes) -> None:
    text = HOSTILE[case][0][:2_000]
    with contextlib.suppress(scene.SceneRefused):
        scene.parse("frame.xml", text[:at] + junk + text[at + len(junk) :], FILES)


def described(files: dict[str, bytes]) -> manifest.Manifest:
    frames = [name for name in files if name.endswith(".xml")]
    return manifest.Manifest("00" * 16, [manifest.describe(name, content) for name, content in files.items()], frames)


def whole(files: dict[str, bytes]) -> str:
    """The code with which a whole scene is refused."""
    with pytest.raises(scene.SceneRefused) as refused:
        scene.check_scene(described(files), files.__getitem__)
    return refused.value.code


def folder(written: list[Path]) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(written[0].parent.iterdir())}


@pytest.mark.parametrize("write", [atelier.write, marbles.write])
def test_our_own_scenes_are_accepted(write: Callable[[Path], list[Path]], tmp_path: Path) -> None:
    files = folder(write(tmp_path))
    scene.check_scene(described(files), files.__getitem__)


def test_the_bench_is_accepted_and_equal_for_equal_seeds() -> None:
    described, files = bench.scene(7)
    scene.check_scene(described, files.__getitem__)
    assert bench.scene(7) == (described, files)
    assert bench.scene(8) != (described, files)
    assert bench.spec(7).manifest_sha256 == described.sha256()


def test_the_atelier_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    assert folder(atelier.write(tmp_path / "a", 2)) == folder(atelier.write(tmp_path / "b", 2))


def test_changed_bytes_are_refused() -> None:
    files = {"a.xml": xml()}
    with pytest.raises(scene.SceneRefused) as refused:
        scene.check_scene(described(files), lambda name: files[name].replace(b"40", b"41"))
    assert refused.value.code == "hash"


def test_a_fault_can_be_asked_for_as_an_answer() -> None:
    good, bad = {"a.xml": xml()}, {"a.xml": xml("<path/>")}
    assert scene.fault(described(good), good.__getitem__) is None
    assert scene.fault(described(bad), bad.__getitem__) == ("element", "a.xml:1: 'path' is not an element that we render")


def test_every_frame_is_looked_at() -> None:
    assert whole({"a.xml": xml(), "b.xml": xml('<include filename="x"/>')}) == "element"


def test_a_frame_is_not_a_file_of_another() -> None:
    assert whole({"a.xml": xml(TEXTURE.format("b.xml")), "b.xml": xml()}) == "filename"


def test_a_file_that_no_frame_uses_is_looked_at_too() -> None:
    assert whole({"a.xml": xml(), "evil.so": b"\x7fELF"}) == "ending"


def test_a_frame_has_the_ending_of_one() -> None:
    text = xml()
    scenery = manifest.Manifest("00" * 16, [manifest.describe("a.txt", text)], ["a.txt"])
    with pytest.raises(scene.SceneRefused) as refused:
        scene.check_scene(scenery, lambda name: text)
    assert refused.value.code == "ending"


def test_one_mesh_used_very_often_is_too_many_triangles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "TRIANGLES_MAX", 30_000)
    files = folder(atelier.write(tmp_path, 1))
    mesh = b'<shape type="ply"><string name="filename" value="knot.ply"/></shape>'
    assert whole(files | {"frame-000.xml": files["frame-000.xml"].replace(b"</scene>", mesh + b"</scene>")}) == "triangles"


def test_one_texture_used_very_often_is_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "TEXTURE_PIXELS_MAX", 256 * 256)
    assert whole(folder(atelier.write(tmp_path, 1))) == "pixels"
