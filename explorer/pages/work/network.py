"""The network on a map: machines by country and model, as far as their owners say."""

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from explorer.drawing import tiles
from explorer.look import Look, encode
from explorer.model import Model, Table
from projections.network import map as network_map
from projections.network.map import Machine, Place


class Map(Model):
    template: ClassVar[str] = "map.html"
    section: ClassVar[str] = "Map"
    tiles: list[tiles.Tile]
    places: Sequence[Place]
    """Of the country that the address names, else all."""
    machines: int
    """Likewise; retired ones are not counted."""
    online: int
    unsaid: int
    """Machines whose owners name no country, everywhere."""
    countries: int
    country: str
    rows: Sequence[Machine]
    """Of that country."""
    next: str | None

    @property
    def title(self) -> str:
        return "Map"

    @property
    def records(self) -> Table:
        return Table(Place, self.places)


async def model(look: Look) -> Map:
    crowds, _ = await network_map.crowds(look.views)
    there, online = Counter[str](), Counter[str]()
    for each in crowds:
        there[each.country] += each.machines
        online[each.country] += each.machines * (each.presence == "online")
    country = look.query.get("country", "")
    found = await look.list(Machine, ("country",), newest=False) if country else None
    return Map(
        [tiles.Tile(code, column, row, there[code], online[code]) for code, column, row in tiles.places()],
        network_map.places([each for each in crowds if not country or each.country == country]),
        there[country] if country else there.total(),
        online[country] if country else online.total(),
        there[""],
        len(there.keys() - {""}),
        country,
        found.rows if found else [],
        encode(found.next) if found and found.next else None,
    )
