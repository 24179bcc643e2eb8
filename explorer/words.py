"""How things are written: amounts, times, ids, hashes. Whatever goes into a page as markup is put together here, and escaped."""

import re
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from domain.accounts import USDC
from domain.policy import DAY, MINUTE
from explorer import states
from explorer.drawing import wall

FOLDER = Path(__file__).parent
DECIMALS: dict[str, int] = {USDC: 6}
"""Of assets that nobody has listed yet."""
ID = re.compile("([a-z]+)-([0-9]{1,15})(?:/([0-9]{1,15}))?")
KINDS = {"account", "worker", "job", "bench", "audit", "beacon", "deposit", "payout", "batch"}
PAGES = {
    "job": "/jobs/{}",
    "worker": "/workers/{}",
    "account": "/accounts/{}",
    "audit": "/audits/{}",
    "payout": "/payouts/{}",
    "batch": "/payouts/{}",
}
"""Kind of id -> its page. Everything else is shown by the event that made it."""
SECTIONS = (
    *(("Overview", "/"), ("Jobs", "/jobs"), ("Workers", "/workers"), ("Map", "/map"), ("Market", "/market"), ("Payouts", "/payouts")),
    *(("Accounts", "/accounts"), ("Audits", "/audits"), ("Trail", "/trail"), ("Events", "/events")),
)
LONG_MIN = 1_000_000
"""Amounts from here on are set smaller where figures stand beside each other."""
WEAK_MIN = 2
"""Decimal places that are never weak."""


def href(id: str) -> str:
    found = ID.fullmatch(id)
    if found is None or found[1] not in KINDS:
        return ""
    return PAGES[found[1]].format(id) if found[1] in PAGES else f"/events/{found[2]}"


def link(id: object) -> Markup:
    """An id, linked."""
    text = "" if id is msgspec.UNSET else str(id)
    target = href(text)
    return Markup('<a class="m" href="{}">{}</a>').format(target, text) if target else Markup("{}").format(text)


def linked(text: str) -> Markup:
    """A sentence of ours with its ids linked."""
    ends = [0, *(end for found in ID.finditer(text) for end in found.span()), len(text)]
    bits = [text[start:end] for start, end in pairwise(ends)]
    return Markup("").join(link(bit) if n % 2 else escape(bit) for n, bit in enumerate(bits))


def event_link(position: object) -> Markup:
    return Markup('<a class="m" href="/events/{}">#{}</a>').format(position, position)


def short(text: object, length: int = 8) -> Markup:
    """A hash shown short."""
    whole = "" if text is msgspec.UNSET else str(text)
    head = length + 2 if whole.startswith("0x") else length
    cut = whole if len(whole) <= head + 9 else f"{whole[:head]}…{whole[-4:]}"
    return Markup('<span class="m" title="{}">{}</span>').format(whole, cut)


def hash_(text: object, length: int = 8) -> Markup:
    """A hash shown short, copied in full."""
    return Markup('<span class="id">{}{}</span>').format(short(text, length), copy(text)) if text else Markup("")


def copy(text: object) -> Markup:
    return Markup(
        '<button class="cp" type="button" data-copy="{}" aria-label="Copy {}">'
        '<svg class="i" aria-hidden="true"><use href="#copy"/></svg></button>'
    ).format(text, text)


def state(name: object, word: str = "", *, pill: bool = False) -> Markup:
    """Glyph, word, colour."""
    look = states.look(name)
    kind = f"{look} pill" if pill else look
    return Markup('<span class="st {}"><svg class="i" aria-hidden="true"><use href="#{}"/></svg>{}</span>').format(
        kind, look, word or states.word(name)
    )


def glyph(name: str) -> Markup:
    return Markup('<span class="st {}"><svg class="i" aria-hidden="true"><use href="#{}"/></svg></span>').format(states.look(name), name)


def amount(units: object, decimals: int, *, signed: bool = False) -> Markup:
    """Exact, all decimal places, the trailing zeros weak."""
    if units is msgspec.UNSET or units is None:
        return Markup("")
    value = int(str(units))
    whole, part = divmod(abs(value), 10**decimals)
    sign = "−" if value < 0 else "+" if signed and value else ""
    digits = f"{part:0{decimals}d}" if decimals else ""
    strong = max(len(digits.rstrip("0")), min(WEAK_MIN, len(digits)))
    weak = Markup("<i>{}</i>").format(digits[strong:]) if digits[strong:] else ""
    point = "." if decimals else ""
    long = " long" if whole >= LONG_MIN else ""
    return Markup('<span class="amt{}">{}{:,}{}{}{}</span>').format(long, sign, whole, point, digits[:strong], weak)


def plain_amount(units: int, decimals: int) -> str:
    """The same as text, without what is weak."""
    whole, part = divmod(abs(units), 10**decimals)
    digits = f"{part:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{'−' if units < 0 else ''}{whole:,}{'.' if digits else ''}{digits}"


def moment(at_us: object) -> datetime | None:
    return datetime.fromtimestamp(int(at_us) / 1e6, UTC) if isinstance(at_us, int) and at_us else None


def time(at_us: object, day_of_us: int = 0) -> Markup:
    """UTC. Without the day where it is the same as that of `day_of_us`."""
    at = moment(at_us)
    if at is None:
        return Markup("")
    of = moment(day_of_us)
    text = clock(at_us)
    if of is None or of.date() != at.date():
        text = f"{at:%Y-%m-%d} {at:%H:%M:%S}"
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), text)


def clock(at_us: object) -> str:
    at = moment(at_us)
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}" if at else ""


def seconds(us: object) -> str:
    """A length of time, in the unit that people would say."""
    value = int(us) / 1e6 if isinstance(us, int) else 0.0
    if value < 60:
        return f"{value:.1f} s"
    minutes = int(value // 60)
    if minutes < 60:
        return f"{minutes} min {int(value % 60)} s"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def few(n: int) -> str:
    """A number for which there is little room, rounded down: `1.2k`."""
    for size, name in ((10**6, "M"), (10**3, "k")):
        if n >= size:
            return f"{n // size}.{n * 10 // size % 10}{name}" if n < 10 * size else f"{n // size}{name}"
    return str(n)


def count(n: int, one: str, many: str = "") -> str:
    """`3 pieces`, `1 piece`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


@pass_context
def money(context: Context, units: object, asset: object = USDC, *, unit: bool = False, signed: bool = False) -> Markup:
    """An amount of an asset, with its places as listed."""
    text = amount(units, context["decimals"].get(str(asset), DECIMALS.get(str(asset), 0)), signed=signed)
    return Markup("{}<u>{}</u>").format(text[: -len("</span>")], str(asset).upper()) + Markup("</span>") if unit else text


@pass_context
def plain_money(context: Context, units: int, asset: object = USDC) -> str:
    return plain_amount(units, context["decimals"].get(str(asset), DECIMALS.get(str(asset), 0)))


@pass_context
def when(context: Context, at_us: object) -> Markup:
    return time(at_us, context["frame"].at_us)


@pass_context
def asked(context: Context, **changes: object) -> str:
    """The page's address with some of what it asks for changed; what is empty is left out."""
    query = {**context["query"], **{name: str(value) for name, value in changes.items()}}
    text = urlencode({name: value for name, value in query.items() if value})
    return f"{context['frame'].path}{'?' if text else ''}{text}"


def when_full(at_us: object) -> Markup:
    return time(at_us)


def verb(stored: object) -> str:
    """What happens, of a stored name: without its version."""
    return str(stored).rpartition(".")[0]


def tick(at_us: int, whole: bool) -> str:
    """A time beside others: only what tells it from them."""
    at = datetime.fromtimestamp(at_us / 1e6, UTC)
    return f"{at:%H:%M:%S}" if whole or not at.second else f":{at:%S}"


def ledger_account(name: str) -> Markup:
    """An account's name, its owner linked."""
    asset, _, rest = name.partition(":")
    number, _, named = rest.partition(".")
    title, _, owner = named.partition(".")
    return Markup("{}:{}.{}").format(asset, number, title) + (Markup(".<wbr>") + link(owner) if owner else "")


def period(at_us: int, length_us: int) -> str:
    """When a period begins, as exactly as its length asks for."""
    at = datetime.fromtimestamp(at_us / 1e6, UTC)
    return f"{at:%Y-%m-%d}" if length_us >= DAY else f"{at:%m-%d %H:%M}" if length_us >= 15 * MINUTE else f"{at:%H:%M:%S}"


def fact(value: object) -> Markup:
    """A field of an event: ids linked, hashes short, everything else as it stands there."""
    if isinstance(value, str):
        if re.fullmatch("(0x)?[0-9a-f]{32,}", value):
            return hash_(value, 16)
        return link(value) if href(value) else Markup('<span class="m">{}</span>').format(value or "—")
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return Markup(", ").join(fact(each) for each in value)
    return Markup('<span class="m">{}</span>').format(msgspec.json.encode(value).decode())


@cache
def environment() -> Environment:
    """One in a process: a template is compiled once, however many sites there are."""
    env = Environment(
        loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters: dict[str, Any] = {
        "link": link,
        "linked": linked,
        "event": event_link,
        "hash": hash_,
        "short": short,
        "copy": copy,
        "state": state,
        "look": states.look,
        "word": states.word,
        "money": money,
        "when": when,
        "clock": clock,
        "seconds": seconds,
        "few": few,
        "whole": "{:,}".format,
        "href": href,
        "when_full": when_full,
        "verb": verb,
        "tick": tick,
        "period": period,
        "fact": fact,
        "fact_list": lambda ids: Markup(", ").join(link(each) for each in ids),
        "ledger_code": lambda name: ".".join(str(name).split(".")[:2]),
        "glyph": glyph,
        "ledger_account": ledger_account,
        "of_job": states.of_job,
        "shape": wall.shape,
        "of_worker": states.of_worker,
        "plain": plain_money,
        "path": quote,
    }
    env.filters.update(filters)
    env.globals |= {"asked": asked, "count": count, "sections": SECTIONS}
    return env
