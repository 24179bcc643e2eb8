"""What a job is described by, in its events."""

from domain.value import Value


class Spec(Value):
    """What is public of a job's work; with the manifest's hash and the engine it determines every pixel."""

    frames: int
    size: tuple[int, int]
    """Width and height in pixels."""
    tiles: tuple[int, int]
    """Columns and rows of the fixed grid."""
    group: int
    """Tiles per task."""
    samples: int
    """Per pixel."""
    seed: int

    @property
    def groups(self) -> int:
        """Tasks per frame."""
        return -(-self.tiles[0] * self.tiles[1] // self.group)


class Constraints(Value):
    vram_mib: int = 0
    countries: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    """Of devices."""


class Run(Value):
    """Neighbouring tasks with the same work."""

    range: tuple[int, int]
    """First and last number."""
    wu_milli: int
    """Thousandths of a work unit, each."""


class Counts(Value):
    accepted: int
    dead: int
    cancelled: int
