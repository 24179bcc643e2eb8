"""Writes the pages that are generated from the code: `make docs`. With `--check` it only says which are not current, and exits with 1."""

import ast
import inspect
import sys
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from domain.event import Event  # noqa: E402
from domain.lifecycle import LIFECYCLES, Lifecycle  # noqa: E402
from domain.log import wire  # noqa: E402

GOLDEN = HERE.parent / "tests" / "golden"
INTRODUCTION = """# Events

Every event that there is: its fields, who causes it, what it moves, and one line of the log as an example. Generated from the code by
`make docs`; a test checks that it is current. How lines stand in blocks is in [log-format.md](log-format.md). Amounts are decimal
strings of an asset's minor units; `_us` is microseconds (times since 1970), `_ppm` parts per million, `_mdb` thousandths of a decibel,
`wu_milli` thousandths of a work unit. In an entry debits are positive.
"""


def notes(kind: type[Any]) -> dict[str, str]:
    """What stands below each field in the source, of the class and those that it inherits from."""
    found: dict[str, str] = {}
    for each in reversed([base for base in kind.__mro__ if base.__module__.startswith("domain.")]):
        body = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, note in zip(body.body, body.body[1:], strict=False):
            is_text = isinstance(note, ast.Expr) and isinstance(note.value, ast.Constant) and isinstance(note.value.value, str)
            if is_text and isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                assert isinstance(note, ast.Expr)
                assert isinstance(note.value, ast.Constant)
                found[field.target.id] = " ".join(str(note.value.value).split())
    return found


def spelled(kind: Any) -> str:
    """A field's type as a reader of JSON sees it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return " \\| ".join(f"`{value}`" for value in arguments)
    if origin is tuple and arguments[-1:] == (Ellipsis,):
        return f"list of {spelled(arguments[0])}"
    if origin is tuple:
        return "[" + ", ".join(spelled(each) for each in arguments) + "]"
    if origin is not None:
        return " or ".join("null" if each is type(None) else spelled(each) for each in arguments)
    if isinstance(kind, typing.NewType):
        return "text" if kind.__name__ in {"Account", "Asset"} else kind.__name__
    return {"Units": "amount", "str": "text", "int": "count", "bool": "true or false"}.get(str(kind.__name__), str(kind.__name__))


def parts(event: type[Event]) -> Iterator[type[Any]]:
    """The structs that an event's fields are made of."""
    for kind in typing.get_type_hints(event).values():
        for each in (kind, *typing.get_args(kind)):
            if inspect.isclass(each) and hasattr(each, "__struct_fields__"):
                yield each


def table(kind: type[Any]) -> Iterator[str]:
    hints, said = typing.get_type_hints(kind), notes(kind)
    yield "|Field|Type|Meaning|"
    yield "|---|---|---|"
    for name, encoded in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True):
        yield f"|`{encoded}`|{spelled(hints[name])}|{said.get(name, '')}|"
    yield ""


def section(event: type[Event]) -> Iterator[str]:
    name = str(event.__struct_config__.tag)
    yield f"## {name}"
    yield ""
    yield inspect.cleandoc(event.__doc__ or "")
    yield ""
    yield f"Caused by: {event.who}."
    yield ""
    yield from table(event)
    for part in dict.fromkeys(parts(event)):
        yield f"{part.__name__}:"
        yield ""
        yield from table(part)
    line = (GOLDEN / f"{name}.json").read_bytes().rstrip(b"\n")
    entry = wire.event(line).entry
    yield "```json"
    yield line.decode()
    yield "```"
    yield ""
    moved = "; ".join(f"{int(amount):+} {account}" for account, amount in entry)
    yield f"Entry of this line: {moved}." if moved else "It moves no money."
    yield ""


def diagram(of: Lifecycle[str]) -> Iterator[str]:
    yield f"### {of.of}"
    yield ""
    yield "```mermaid"
    yield "stateDiagram-v2"
    first = of.rows[0][0]
    yield f"    [*] --> {first}"
    yield from (f"    {status} --> {after}: {happens}" for status, happens, after in of)
    yield "```"
    yield ""


def events_page() -> str:
    lines = [INTRODUCTION, *(f"- [{event.__struct_config__.tag}](#{anchor(event)})" for event in wire.EVENTS), ""]
    for event in wire.EVENTS:
        lines += section(event)
    lines += ["## Lifecycles", "", "What is not in a diagram cannot happen.", ""]
    for each in LIFECYCLES:
        lines += diagram(each)
    return "\n".join(lines).rstrip() + "\n"


def anchor(event: type[Event]) -> str:
    return str(event.__struct_config__.tag).replace(".", "")


def asyncapi_page() -> str:
    from docs import asyncapi  # noqa: PLC0415 - events stand in the order of being imported, which this must not change

    return asyncapi.page(notes)


def feeds_page() -> str:
    from docs import feeds  # noqa: PLC0415 - likewise

    return feeds.page()


PAGES = {"events.md": events_page, "asyncapi.json": asyncapi_page, "feeds.json": feeds_page}


def stale() -> list[str]:
    """The generated pages that do not stand as they would be written now."""
    return [name for name, page in PAGES.items() if not (HERE / name).exists() or (HERE / name).read_text() != page()]


def main() -> int:
    if "--check" in sys.argv:
        found = stale()
        print("\n".join(f"docs/{name} is not current: make docs" for name in found), end="")  # noqa: T201
        return int(bool(found))
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
