"""The wheel holds one name. In the checkout the rooms lie side by side (`from domain.work import job`); in the wheel they are
sub-packages of `gridledger`, and every import and every module named in a string says so (`from gridledger.domain.work import job`).

`nested` is also how the tests are carried over to be run on the built wheel.
"""

import ast
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "gridledger"
ROOMS = ("domain", "projections", "adapters", "worker_runtime", "auditor", "exports", "api", "explorer", "cli", "demo", "roles")
FOLDERS = (*ROOMS, "examples")
"""Everything that is imported; of the examples, those that are no projects of their own."""
DATA = ("migrations", "contracts")
"""Folders without Python that modules read at run time, relative to their own place: it is the same in both layouts."""

MODULE = re.compile(rf"(?:{'|'.join(FOLDERS)})(?:\.\w+)+")
BEFORE = re.compile(rb"""^\s*(?:[rRuUbB]{0,2}['"]+)?""")
"""What stands before a name: space, and of a text its prefix and quotes."""
MAIN = f'"""`python -m {NAME}`."""\n\nfrom {NAME} import main\n\nmain()\n'


def nested(source: str, root: Path) -> str:
    """`source` with each import of a room, and each string that is nothing but the name of a module below `root` or of something in it,
    put below NAME."""
    lines = source.splitlines(keepends=True)
    # Columns of the syntax tree count bytes of UTF-8.
    for (line, column), words in sorted(_places(ast.parse(source), root).items(), reverse=True):
        raw = lines[line - 1].encode()
        # Behind `from` may be more than one space, before a text's quote a letter.
        name = BEFORE.sub(b"", raw[column:], count=1)
        lines[line - 1] = (raw[: len(raw) - len(name)] + words.encode() + name).decode()
    return "".join(lines)


def _places(tree: ast.AST, root: Path) -> dict[tuple[int, int], str]:
    """What has to be put in, and where: line and column."""
    places = {}
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), level=0) if module.split(".")[0] in FOLDERS:
                places[node.lineno, node.col_offset + len("from ")] = f"{NAME}."
            case ast.Import(names=[ast.alias(name=name, asname=None)]) if name in FOLDERS:
                places[node.lineno, node.col_offset] = f"from {NAME} "
            case ast.Import(names=names):
                for each in names:
                    if each.name.split(".")[0] in FOLDERS:
                        if each.asname is None:
                            raise ValueError(f"line {node.lineno}: `import {each.name}` binds a room's name; say `from ... import`")
                        places[each.lineno, each.col_offset] = f"{NAME}."
            case ast.Constant(value=str(text)) if MODULE.fullmatch(text) and _names_ours(root, text):
                places[node.lineno, node.col_offset] = f"{NAME}."
    return places


def _names_ours(root: Path, name: str) -> bool:
    """Whether the dotted name is of a module below `root`, or of something in one."""
    path = root / name.replace(".", "/")
    return any(each.with_suffix(".py").is_file() for each in (path, path.parent)) or (path / "__init__.py").is_file()


class OneName(BuildHookInterface[Any]):
    """Hatch's hook: hands it a tree with the nested sources."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root, tree = Path(self.root), Path(tempfile.mkdtemp(prefix=f"{NAME}-wheel-"))
        self._tree = tree
        for path, text in sources(root).items():
            target = tree / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            build_data["force_include"][str(target)] = f"{NAME}/{path}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            shutil.rmtree(self._tree)


def sources(root: Path) -> dict[str, str]:
    """What the wheel holds below NAME: path -> text. Everything here is text; nothing binary is committed."""
    texts = {str(file.relative_to(root)): file.read_text() for file in carried(root)}
    texts["__init__.py"] = (root / f"{NAME}.py").read_text()
    texts = {path: nested(text, root) if path.endswith(".py") else text for path, text in texts.items()}
    return texts | {"__main__.py": MAIN, "py.typed": ""}


def carried(root: Path) -> list[Path]:
    """The files of the checkout that go into the wheel, besides `gridledger.py`."""
    found = [file for folder in (*FOLDERS, *DATA) for file in sorted((root / folder).rglob("*")) if file.is_file()]
    projects = {file.parent for file in found if file.name == "pyproject.toml"}
    return [file for file in found if not projects.intersection(file.parents) and not _is_rubbish(file)]


def _is_rubbish(file: Path) -> bool:
    return "__pycache__" in file.parts or file.name.startswith(".")
