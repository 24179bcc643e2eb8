"""Books: their own checkers accept them, and would not if one number were another."""

import re
import subprocess

import pytest
from beancount import loader

from domain.policy import DAY
from exports import export, lines
from tests.api.house import lived, running
from tests.api.test_exports import exported
from tests.api.test_reads import settled
from tests.exports.made import START_US, Journal, rows_of, whole, written

BOOKS = export.BOOKS
FEE, AVAILABLE = "usdc:4110.fee", "usdc:2110.available.account-1"


def faults_of_beancount(book: str) -> list[str]:
    """What beancount's own loader says."""
    _, errors, _ = loader.load_string(book)
    return [error.message for error in errors]


def faults_of_hledger(book: str) -> list[str]:
    """What `hledger check` says, all accounts and commodities declared."""
    command = ["hledger", "-f", "-", "check", "--strict", "ordereddates"]
    done = subprocess.run(command, input=book, capture_output=True, text=True, timeout=60, check=False)
    return [done.stderr] if done.returncode else []


FAULTS = {"beancount": faults_of_beancount, "hledger": faults_of_hledger}
checked = pytest.mark.parametrize("form", ["beancount", pytest.param("hledger", marks=pytest.mark.system)])


async def book_of_a_life(form: str) -> str:
    async with running(lived()) as house:
        await settled(house)
        return (await exported(house, f"journal.{form}")).decode()


@checked
async def test_their_own_checker_accepts_the_whole_journal(form: str) -> None:
    book = await book_of_a_life(form)

    assert FAULTS[form](book) == []
    assert book.count('id: "' if form == "beancount" else " id:") == 215


@checked
async def test_a_book_with_another_number_is_refused(form: str) -> None:
    book = await book_of_a_life(form)
    postings = [found for found in re.finditer(r"^ +\S+  (-?\d+\.\d+) USDC", book, re.MULTILINE) if float(found[1])]
    for found in (postings[0], postings[len(postings) // 2]):
        wrong = book[: found.start(1)] + f"{float(found[1]) + 1:.6f}" + book[found.end(1) :]

        assert FAULTS[form](wrong) != []


@checked
async def test_a_book_that_lacks_a_transaction_is_refused(form: str) -> None:
    book = await book_of_a_life(form)
    start = book.index("\n2027-01-15 * ")
    end = book.index("\n2027-01-15", start + 1)

    assert FAULTS[form](book[:start] + book[end:]) != []


@checked
async def test_balances_are_exact_to_the_last_unit(form: str) -> None:
    book = (await whole(written(form, rows_of((1, START_US, FEE, -1), (1, START_US, AVAILABLE, 1)), 1))).decode()
    balance = "4110-Fee  -0.000001 ~" if form == "beancount" else "= -0.000001"

    assert book.count(balance) == 1
    assert FAULTS[form](book) == []
    assert FAULTS[form](book.replace(balance, balance.replace("1", "2") if form == "hledger" else "4110-Fee  -0.000002 ~")) != []


@checked
async def test_each_day_ends_with_the_balances_of_what_moved_on_it(form: str) -> None:
    days = [START_US, START_US + DAY, START_US + 5 * DAY]
    moves = [(n, at_us, account, sign * 500_000) for n, at_us in enumerate(days, 1) for account, sign in ((FEE, -1), (AVAILABLE, 1))]
    book = (await whole(written(form, rows_of(*moves), 3))).decode()

    assert FAULTS[form](book) == []
    mark = r"balance \S*4110-Fee  (\S+)" if form == "beancount" else r"4110-Fee .* = (\S+)"
    assert re.findall(mark, book) == ["-0.500000", "-1.000000", "-1.500000"]


@checked
async def test_several_assets_and_names_with_digits_stand_in_a_book(form: str) -> None:
    codes = ("1110.treasury", 7), ("3110.capital", -7)
    moves = [(n, START_US, f"{asset}:{code}", amount) for n, asset in enumerate(("usdc", "eth", "usd2"), 1) for code, amount in codes]
    book = (await whole(written(form, rows_of(*moves), 3))).decode()

    assert FAULTS[form](book) == []
    assert "0.000000000000000007 ETH" in book
    assert ("0.07 USD2" if form == "beancount" else '0.07 "USD2"') in book


@pytest.mark.parametrize("form", BOOKS)
async def test_an_entry_that_goes_on_with_the_next_page_is_one_transaction(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = []
    for rows in (1, 7, 1_000):
        monkeypatch.setattr(lines, "PAGE_ROWS", rows)
        pages.append(await whole(written(form, Journal(100), 50)))

    assert pages[0] == pages[1] == pages[2]
    assert pages[0].count(b" * ") == 51 - (form == "beancount")


async def test_a_hostile_name_ends_no_text_and_no_tag() -> None:
    for form in BOOKS:
        hostile = 'usdc:2110.available.a"\n2027-01-01 open Assets:Mine ; x, date:1'
        book = (await whole(written(form, rows_of((1, START_US, hostile, 5), (1, START_US, FEE, -5)), 1))).decode()

        assert not [line for line in book.splitlines() if line.startswith("2027-01-01")]
        assert form == "hledger" or faults_of_beancount(book) == []


async def test_a_journal_that_does_not_come_to_zero_is_not_finished() -> None:
    for form in export.forms_of("journal"):
        with pytest.raises(lines.Broken, match="zero"):
            await whole(written(form, rows_of((1, START_US, FEE, -2), (1, START_US, AVAILABLE, 1)), 1))


async def test_the_end_of_a_book_is_that_of_the_others() -> None:
    for form in BOOKS:
        book = await book_of_a_life(form)
        assert "\n; rows 215\n" in book
        assert "\n; total USDC net 0.000000\n" in book
