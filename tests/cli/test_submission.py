"""From somebody's files to a manifest: what a scene names comes along, and nothing from elsewhere."""

from pathlib import Path

import pytest

from cli import submission
from cli.submission import NotAScene

MESH = '<shape type="ply"><string name="filename" value="%s"/></shape>'


def scene(folder: Path, inside: str, name: str = "frame.xml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f'<scene version="3.0.0">{inside}</scene>')
    return file


def test_what_a_scene_names_comes_along_under_its_base_name(tmp_path: Path) -> None:
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes" / "cup.ply").write_bytes(b"ply")
    made = submission.gather([scene(tmp_path, MESH % "meshes/cup.ply")])

    assert sorted(made.contents) == ["cup.ply", "frame.xml"]
    assert b'value="cup.ply"' in made.contents["frame.xml"]
    assert made.described.frames == ["frame.xml"]


def test_frames_keep_their_order_and_share_their_files(tmp_path: Path) -> None:
    (tmp_path / "cup.ply").write_bytes(b"ply")
    files = [scene(tmp_path, MESH % "cup.ply", f"{name}.xml") for name in ("b", "a")]
    made = submission.gather(files)

    assert made.described.frames == ["b.xml", "a.xml"]
    assert len(made.contents) == 3


def test_a_scene_says_how_large_it_wants_to_be(tmp_path: Path) -> None:
    film = '<integer name="width" value="640"/><integer name="height" value="360"/><integer name="sample_count" value="32"/>'

    assert submission.gather([scene(tmp_path, film)]).size == (640, 360)
    assert submission.gather([scene(tmp_path, film)]).samples == 32
    assert submission.gather([scene(tmp_path / "plain", "")]).size == (320, 180)


@pytest.mark.parametrize("value", ["../secret.ply", "/etc/passwd", "meshes/../../secret.ply"])
def test_a_file_outside_the_scenes_folder_is_refused(tmp_path: Path, value: str) -> None:
    (tmp_path / "secret.ply").write_bytes(b"ply")
    with pytest.raises(NotAScene, match="outside the scene's folder"):
        submission.gather([scene(tmp_path / "scene", MESH % value)])


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.ply").write_bytes(b"ply")
    file = scene(tmp_path / "scene", MESH % "cup.ply")
    (tmp_path / "scene" / "cup.ply").symlink_to(tmp_path / "secret.ply")
    with pytest.raises(NotAScene, match="outside"):
        submission.gather([file])


def test_two_files_of_one_name_a_missing_one_and_what_is_no_scene_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cup.ply").write_bytes(b"ply")
    bad = {
        "same name": scene(tmp_path, MESH % "a/cup.ply" + MESH % "b/cup.ply", "twice.xml"),
        "No such file": scene(tmp_path, MESH % "none.ply", "missing.xml"),
        "document type": scene(tmp_path, "", "typed.xml"),
        "not well-formed": scene(tmp_path, "<<", "broken.xml"),
    }
    bad["document type"].write_text("<!DOCTYPE scene []><scene/>")
    for message, file in bad.items():
        with pytest.raises(NotAScene, match=message):
            submission.gather([file])
    with pytest.raises(NotAScene, match="same file name"):
        submission.gather([scene(tmp_path / "c", ""), scene(tmp_path / "d", "")])
