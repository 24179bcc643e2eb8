"""The world as tiles: one square a country, about where it lies. No border is drawn, so none is disputed."""

from collections.abc import Iterator

from domain.value import Value

GRID = """
.  .  .  .  .  .  .  .  GL .  IS .  .  NO SE FI .  .  .  .  .  .  .  .  .  .  .  .
.  CA .  .  .  .  .  .  .  .  .  .  DK .  EE LV LT RU .  .  .  .  .  .  .  .  .  .
.  US .  .  .  .  .  .  .  IE GB NL DE PL BY .  .  .  .  .  .  .  .  .  .  .  .  .
.  MX .  .  BS .  .  .  .  .  FR BE LU CZ SK UA .  .  .  KZ .  MN .  .  .  .  .  .
.  GT BZ CU HT DO PR .  .  PT ES CH LI AT HU RO MD GE AZ UZ KG CN KP .  JP .  .  .
.  SV HN JM .  KN AG .  .  AD MC IT SI HR BA RS BG AM TM TJ NP BT KR .  TW .  .  .
.  .  NI .  .  VC DM .  .  MT SM VA ME AL MK GR TR IR AF PK IN BD MM LA VN PH .  .
.  .  CR .  .  GD LC BB .  MA DZ TN LY EG .  CY LB SY IQ KW LK .  TH KH BN .  PW .
.  .  .  PA .  .  TT .  CV EH MR ML NE TD SD ER IL PS JO BH QA MV MY SG ID .  FM MH
.  .  .  CO VE GY SR .  .  SN GM BF NG CF SS ET DJ SA AE OM YE .  .  .  TL PG NR .
.  .  .  EC PE BR .  .  .  GW GN CI GH TG BJ UG KE SO .  .  .  .  .  .  .  .  SB KI
.  .  .  .  BO PY .  .  .  .  SL LR .  CM CD RW TZ .  SC .  .  .  .  .  .  .  VU TV
.  .  .  .  CL AR UY .  .  .  .  ST GQ GA CG BI MW KM .  .  .  .  .  .  .  AU FJ WS
.  .  .  .  .  .  .  .  .  .  .  .  .  AO ZM ZW MZ .  MG MU .  .  .  .  .  .  .  TO
.  .  .  .  .  .  .  .  .  .  .  .  .  NA BW SZ .  .  .  .  .  .  .  .  .  .  NZ .
.  .  .  .  .  .  .  .  .  .  .  .  .  .  ZA LS .  .  .  .  .  .  .  .  .  .  .  .
"""
"""Codes of ISO 3166."""


class Tile(Value):
    country: str
    column: int
    row: int
    workers: int
    """Checkers among them."""
    online: int


def places() -> Iterator[tuple[str, int, int]]:
    """Country, column, row."""
    for row, line in enumerate(GRID.strip().splitlines()):
        yield from ((code, column, row) for column, code in enumerate(line.split()) if code != ".")
