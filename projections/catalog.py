"""Every projection of ours. Those of plug-ins come beside them (projections/plugins.py)."""

from projections.explorer.accounts import Accounts
from projections.explorer.audits import Audits
from projections.explorer.events import Events
from projections.explorer.house import House
from projections.explorer.jobs import Jobs
from projections.explorer.market import Market
from projections.explorer.names import Names
from projections.explorer.overview import Overviews
from projections.explorer.payouts import Deposits, Payouts
from projections.explorer.tasks import Tasks
from projections.explorer.workers import Workers
from projections.finance.balances import Balances
from projections.finance.journal import Journal, Statements
from projections.finance.parties import Parties
from projections.network.attendance import Attendance
from projections.network.history import History
from projections.network.map import Map
from projections.row import Projection, Row

ALL: tuple[Projection, ...] = (
    *(Events(), Overviews(), Jobs(), Tasks(), Workers(), Market(), Audits(), Payouts(), Deposits(), Accounts(), House()),
    *(Balances(), Journal(), Statements(), Parties(), History(), Attendance(), Map(), Names()),
)


def of(kind: type[Row]) -> Projection:
    """The projection that writes these rows. StopIteration if it is none of ours."""
    return next(each for each in ALL if kind in each.rows)
