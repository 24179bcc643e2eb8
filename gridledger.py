"""The composition root: settings in, running parts out. Everything is imported from here, as late as it can be; nobody imports it.

Each function is one role or one thing that the command line does; `main` hands this module to it (cli/app.py).
"""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adapters.files.home import Home, Settings
    from domain.log.ledger import Ledger

ROOT = Path(__file__).resolve().parent
TOOLS = ROOT / ".tools"
