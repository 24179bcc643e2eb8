"""Exports over HTTP: whole, up to a position, equal bytes for equal questions, and an end that says what they come to."""

import csv
import io
import json
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from domain.policy import DAY
from exports import check, export, lines
from projections.finance.balances import Balance
from tests.api.house import House, lived, people, problem, running, submitted
from tests.api.test_reads import settled, walked

TEXTS = sorted(export.FORMS)
GOLDEN = Path(__file__).parents[1] / "exports"


async def exported(house: House, path: str, **asked: Any) -> bytes:
    answer = await house.get("", f"/v1/exports/{path}", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.content


def table(content: bytes) -> tuple[list[dict[str, str]], list[list[str]]]:
    """The rows of a CSV, and the lines of its end."""
    found = content.decode().splitlines()
    body, end = ([line for line in found if line.startswith("#") is of_end] for of_end in (False, True))
    return list(csv.DictReader(body)), list(csv.reader(end))


def totals(end: list[list[str]]) -> dict[tuple[str, str], Decimal]:
    return {(asset, label): Decimal(amount) for asset, label, amount in (line[1:] for line in end if line[0] == "#total")}


async def test_the_journal_has_every_line_of_every_entry_and_its_end_says_what_they_come_to() -> None:
    async with running(lived()) as house:
        head = await settled(house)
        rows, end = table(await exported(house, "journal.csv"))
        lines_ = await walked(house, "/v1/journal?limit=200&order=asc")
        root = (await house.get("", "/v1/checkpoint")).json()["root"]

    assert [row["id"] for row in rows] == [f"{line['position']}-{line['line']}" for line in lines_]
    assert [row["account"] for row in rows] == [line["account"] for line in lines_]
    assert all((row["debit"] or row["credit"]) == row["amount"] and bool(row["debit"]) != bool(row["credit"]) for row in rows)
    assert all(Decimal(row["debit"] or 0) >= 0 >= Decimal(row["credit"] or 0) for row in rows)
    sums = defaultdict[tuple[str, str], Decimal](Decimal)
    for row in rows:
        for label, column in (("debit", "debit"), ("credit", "credit"), ("net", "amount")):
            sums[row["asset"], label] += Decimal(row[column] or 0)
    assert totals(end) == sums
    assert {asset: amount for (asset, label), amount in sums.items() if label == "net"} == {"usdc": 0, "eth": 0}
    assert end[0] == ["#rows", str(len(rows))]
    assert ["#head", str(head), root] in end


async def test_the_sums_of_the_rows_are_the_balances() -> None:
    async with running(lived()) as house:
        await settled(house)
        rows, _ = table(await exported(house, "journal.csv"))
        held = (await house.parts.views.page(Balance, limit=10_000)).rows
        places = lines.decimals(house.world)
    sums = defaultdict[str, Decimal](Decimal)
    for row in rows:
        sums[row["account"]] += Decimal(row["amount"])

    assert {row.account: Decimal(lines.decimal(row.amount, places[row.asset])) for row in held} == sums  # type: ignore[index]


@pytest.mark.parametrize("form", TEXTS)
async def test_the_same_question_is_answered_by_the_same_bytes_also_when_the_log_has_grown(form: str) -> None:
    async with running(people()) as house:
        size = await settled(house)
        latest = await exported(house, f"journal.{form}")
        of_now = await exported(house, f"journal.{form}", as_of=size)
        await submitted(house)
        assert await settled(house) > size
        later = await exported(house, f"journal.{form}", as_of=size)

    assert latest == of_now == later


@pytest.mark.system
@pytest.mark.parametrize("form", TEXTS)
async def test_the_last_line_is_the_hash_of_all_bytes_before_it_by_tools_that_are_not_ours(form: str, tmp_path: Path) -> None:
    async with running(lived()) as house:
        await settled(house)
        content = await exported(house, f"journal.{form}")
    file = tmp_path / "export"
    file.write_bytes(content)
    by_hand = hashed_by_hand(file)

    assert by_hand in content.decode().splitlines()[-1]
    assert check.check(file, form) == by_hand


def hashed_by_hand(file: Path) -> str:
    return subprocess.run(f"head -n -1 {file} | sha256sum", shell=True, capture_output=True, text=True, check=True).stdout[:64]


@pytest.mark.parametrize("form", TEXTS)
async def test_a_file_that_is_cut_or_changed_is_found(form: str, tmp_path: Path) -> None:
    async with running(lived()) as house:
        await settled(house)
        content = await exported(house, f"journal.{form}")
    file = tmp_path / "export"
    last = content.rindex(b"\n", 0, -1) + 1
    for damaged in (content[:-1], content[:last], content[: len(content) // 2], b"", content.replace(b"deposit", b"tisoped", 1)):
        file.write_bytes(damaged)
        with pytest.raises(check.Cut):
            check.check(file, form)


async def test_an_export_ends_before_what_came_later() -> None:
    async with running(lived()) as house:
        await settled(house)
        whole, _ = table(await exported(house, "journal.csv"))
        for size in (0, 16, 17, 100):
            rows, end = table(await exported(house, "journal.csv", as_of=size))
            root = (await house.get("", "/v1/proof/consistency", params={"first": size})).json()["first_root"]

            assert rows == [row for row in whole if int(row["position"]) <= size]
            assert ["#head", str(size), root] in end


async def test_an_export_goes_up_to_the_last_event_at_or_before_a_time_and_keeps_its_bytes() -> None:
    async with running(people()) as house:
        await settled(house)
        events = people().network.events
        for at_us in (us for pos in (1, 40, len(events)) for us in (events[pos - 1].at_us - 1, events[pos - 1].at_us)):
            size = max((each.pos for each in events if each.at_us <= at_us), default=0)
            answer = await house.get("", "/v1/exports/journal.csv", params={"as_of": lines.iso(at_us)})
            same = await house.get("", "/v1/exports/journal.csv", params={"as_of": size})

            assert (answer.headers["gridledger-position"], answer.content) == (str(size), same.content)
            assert ("immutable" in answer.headers["cache-control"], "immutable" in same.headers["cache-control"]) == (True, True)
        first = lines.iso(events[0].at_us)
        day = await house.get("", "/v1/exports/journal.csv", params={"as_of": first[:10]})
        offset = await house.get("", "/v1/exports/journal.csv", params={"as_of": f"{first[:-1]}+00:00"})
        zone = await house.get("", "/v1/exports/journal.csv", params={"as_of": f"{first[:10]}T23:59:59+23:59"})

    assert [each.headers["gridledger-position"] for each in (day, zone)] == ["0", "0"]
    assert int(offset.headers["gridledger-position"]) >= 1


async def test_a_time_that_more_may_come_at_is_answered_but_not_for_ever_and_one_to_come_is_refused() -> None:
    async with running(people()) as house:
        head = await settled(house)
        now_us = house.now_us()
        now, later = [await house.get("", "/v1/exports/journal.csv", params={"as_of": lines.iso(us)}) for us in (now_us, now_us + DAY)]

    assert (now.headers["gridledger-position"], now.headers["cache-control"]) == (str(head), "no-cache")
    assert (problem(later), later.json()["field"]) == ((422, "invalid"), "as_of")


async def test_who_has_the_file_is_told_so() -> None:
    async with running(people()) as house:
        head = await settled(house)
        for path in ("journal.csv", "payouts.xlsx", f"journal.jsonl?as_of={head}", "bundle.tar"):
            first = await house.get("", f"/v1/exports/{path}")
            known = {"If-None-Match": f'"other", {first.headers["etag"]}'}
            same = await house.get("", f"/v1/exports/{path}", headers=known)
            await submitted(house)
            await settled(house)
            grown = await house.get("", f"/v1/exports/{path}", headers=known)

            assert (first.status_code, same.status_code, same.content) == (200, 304, b"")
            assert grown.status_code == (304 if "as_of" in path else 200)


async def test_a_statement_has_the_balance_after_each_line() -> None:
    async with running(lived()) as house:
        await settled(house)
        owner = lived().creator
        rows, end = table(await exported(house, "statement.csv", account=owner))
        held = (await house.parts.views.page(Balance, where={"owner": owner})).rows

    last = {row["account"]: Decimal(row["balance"]) for row in rows}
    assert len(rows) >= 3
    assert last == {row.account: Decimal(row.amount).scaleb(-6) for row in held}
    assert totals(end)["usdc", "net"] == sum(last.values())
    assert {row["owner"] for row in rows} == {owner}


async def test_payouts_stand_by_batch_with_the_transaction_and_what_failed() -> None:
    async with running(lived()) as house:
        await settled(house)
        rows, end = table(await exported(house, "payouts.csv"))
        batches = {each["batch"]: each for each in await walked(house, "/v1/batches")}
        payouts = {each["payout"]: each for each in await walked(house, "/v1/payouts")}
        (one,) = table(await exported(house, "payouts.csv", account=rows[0]["account"]))[0]

    assert {row["outcome"] for row in rows} == {"paid", "failed", "gas"}
    assert all(batches[row["batch"]]["tx_hash"] == row["transaction"] for row in rows)
    assert {row["payout"]: Decimal(row["amount"]).scaleb(6) for row in rows if row["payout"]} == {
        id: Decimal(str(each["amount"])) for id, each in payouts.items() if each["status"] == "final"
    }
    assert all(bool(row["back_to"]) is (row["outcome"] == "failed") for row in rows)
    assert totals(end)["usdc", "paid"].scaleb(6) == sum(Decimal(str(each["amount"])) for each in batches.values())
    assert one == rows[0]


async def test_json_lines_say_what_the_csv_says() -> None:
    async with running(lived()) as house:
        await settled(house)
        for what, asked in (("journal", {}), ("payouts", {}), ("statement", {"account": lived().creator})):
            rows, end = table(await exported(house, f"{what}.csv", **asked))
            *objects, last, sealed = map(json.loads, (await exported(house, f"{what}.jsonl", **asked)).splitlines())

            assert [{name: "" if value is None else str(value) for name, value in each.items()} for each in objects] == rows
            assert {(each["asset"], each["of"]): Decimal(each["amount"]) for each in last["totals"]} == totals(end)
            assert ["#head", str(last["head"]["size"]), last["head"]["root"]] in end
            assert sealed["type"] == "hash"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("journal.pdf", (422, "invalid")),
        ("letters.csv", (422, "invalid")),
        ("statement.csv", (422, "invalid")),
        ("journal.csv?as_of=999999", (422, "invalid")),
        ("journal.csv?as_of=-1", (422, "invalid")),
        ("journal.csv?as_of=05", (422, "invalid")),
        ("journal.csv?as_of=yesterday", (422, "invalid")),
        ("journal.csv?as_of=2026-02-30", (422, "invalid")),
        ("journal.csv?as_of=20260230", (422, "invalid")),
        ("journal.csv?as_of=2026-02-03T08:00 01:00", (422, "invalid")),
        ("journal.csv?as_of=2999-01-01", (422, "invalid")),
        ("bundle.tar?min_pos=999999", (202, "not_reached")),
        ("journal.csv?until=5", (422, "invalid")),
        ("journal.csv?account=usdc:9999.nothing", (404, "not_found")),
        ("journal.csv?account=a%00b", (422, "invalid")),
        ("statement.csv?account=account-99999", (404, "not_found")),
        ("statement.csv?account=../../etc", (422, "invalid")),
        ("payouts.csv?account=account-99999", (404, "not_found")),
        ("journal.csv?min_pos=999999", (202, "not_reached")),
    ],
)
async def test_what_cannot_be_exported_is_a_problem(path: str, expected: tuple[int, str]) -> None:
    async with running(lived()) as house:
        await settled(house)
        assert problem(await house.get("", f"/v1/exports/{path}")) == expected


async def test_an_account_without_money_has_an_empty_statement() -> None:
    async with running(lived()) as house:
        await settled(house)
        rows, end = table(await exported(house, "statement.csv", account="account-5"))

    assert (rows, end[0]) == ([], ["#rows", "0"])


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\tb", "\rc"])
def test_no_text_of_a_csv_is_a_formula(text: str) -> None:
    (made,) = written(text)

    assert made["event"] == f"'{text}".replace("\r", " ")
    assert made["amount"] == "-1.00"


@pytest.mark.parametrize("text", ['a"b', "a,b", "a\nb", "ä ☃", "#sha256"])
def test_hostile_texts_come_back_as_they_were(text: str) -> None:
    (made,) = written(text)

    assert made["event"] == text


def written(text: str) -> Iterator[dict[str, str]]:
    columns = lines.Column("event"), lines.Column("amount", "amount")
    form = export.FORMS["csv"](columns)
    content = form.begin() + form.page([lines.Entry((text, "-1.00"), "usdc", -100, "credit")])
    return iter(list(csv.DictReader(io.StringIO(content.decode(), newline=""))))


@pytest.mark.parametrize(
    ("units", "places", "text"),
    [
        (0, 6, "0.000000"),
        (-1, 6, "-0.000001"),
        (1_500_000, 6, "1.500000"),
        (-12, 0, "-12"),
        (10**30, 18, "1000000000000.000000000000000000"),
    ],
)
def test_amounts_are_decimals_with_all_their_places(units: int, places: int, text: str) -> None:
    assert lines.decimal(units, places) == text


@pytest.mark.parametrize(("at_us", "text"), [(0, "1970-01-01T00:00:00.000000Z"), (20_000 * DAY + 1, "2024-10-04T00:00:00.000001Z")])
def test_times_are_iso_with_microseconds(at_us: int, text: str) -> None:
    assert lines.iso(at_us) == text


@pytest.mark.parametrize("form", TEXTS)
async def test_the_bytes_of_an_export_are_what_they_always_were(form: str) -> None:
    async with running(lived()) as house:
        await settled(house)
        assert await exported(house, f"journal.{form}", as_of=17) == (GOLDEN / f"journal.{form}").read_bytes()
