"""Frauds with the log as such: its bytes, its order, its times, its commands, its files."""

from random import Random

import msgspec

from auditor.checks.forms import EXACT_MAX, LIST_MAX, RUNS, RUNS_MAX
from auditor.drill.amounts import STRANGER
from auditor.drill.desk import Draft, Line, NoPlace, chosen
from auditor.drill.fraud import Fraud, Mark
from domain.ids import HOUSE
from domain.log.block import seal
from domain.log.merkle import Head


def edit_a_line(draft: Draft, chance: Random) -> Mark:
    """In the record as it was published; or with that one record sealed again, on which the next does not build."""
    line = chosen(chance, [line for block in draft.blocks[1:-1] for line in block])
    at = draft.block_of(line)
    number = next(n for n, each in enumerate(draft.blocks[at]) if each is line)
    again = bool(chance.randrange(2))

    def edit(records: list[bytes]) -> list[bytes]:
        header, *lines, rest = records[at].split(b"\n")
        spots = [n for n, byte in enumerate(lines[number]) if byte in b"0123456789"]
        spot = spots[chance.randrange(len(spots))]
        digit = b"%d" % ((lines[number][spot] - 48 + chance.randint(1, 9)) % 10)
        lines[number] = lines[number][:spot] + digit + lines[number][spot + 1 :]
        record = b"\n".join([header, *lines, rest])
        records[at] = seal(draft.original.heads[at - 1], lines).record if again else record
        return records

    draft.after = edit
    near = draft.blocks[at + 1][0] if again else line
    return Mark(f"a digit of position {line['pos']}" + (", its record sealed again" if again else ""), near)


def drop_an_event(draft: Draft, chance: Random) -> Mark:
    """Without closing the gap."""
    blocks = [block for block in draft.blocks[1:-1] if len(block) > 1]
    block = chosen(chance, blocks)
    gone = chosen(chance, block[:-1])
    at = next(n for n, line in enumerate(block) if line is gone)
    del block[at]
    draft.numbered = False
    # The line behind the gap stands where the dropped one stood, and says another position.
    return Mark(f"position {gone['pos']} is gone", {**block[at], "pos": gone["pos"]})


def skip_a_number(draft: Draft, chance: Random) -> Mark:
    """In a stream, as if nothing of it had been taken out: whoever follows only the stream sees it as well."""
    line = chosen(chance, [line for block in draft.blocks[1:] for line in block])
    more = chance.randint(1, 9)
    for each in draft.lines():
        if each["stream"] == line["stream"] and each["pos"] >= line["pos"]:
            each["ver"] += more
    draft.numbered = False
    return Mark(f"{more} versions of {line['stream']} are skipped", line)


def reorder_events(draft: Draft, chance: Random) -> Mark:
    """Two neighbours of one block change places, with their numbers, or each with the other's number."""
    block = chosen(chance, [block for block in draft.blocks[1:] if len(block) > 1])
    at = chance.randrange(len(block) - 1)
    first, second = block[at], block[at + 1]
    block[at], block[at + 1] = second, first
    draft.numbered = False
    return Mark(f"positions {first['pos']} and {second['pos']} change places", {**second, "pos": first["pos"]})


def reorder_leases(draft: Draft, chance: Random) -> Mark:
    """Two leases of one block change places, with numbers as they should be: a friend is asked first."""
    pairs = [
        (block, at)
        for block in draft.blocks
        for at in range(len(block) - 1)
        if block[at]["event"]["type"] == block[at + 1]["event"]["type"] == "task.leased.v1"
    ]
    block, at = chosen(chance, pairs)
    block[at], block[at + 1] = block[at + 1], block[at]
    return Mark(f"{block[at]['event']['task']} is leased before {block[at + 1]['event']['task']}", block[at])


def set_back_a_clock(draft: Draft, chance: Random) -> Mark:
    """A whole block is told at or before the time of the one before it; or its events at two times."""
    at = chance.randrange(1, len(draft.blocks))
    block, before = draft.blocks[at], draft.blocks[at - 1][0]["at_us"]
    if len(block) > 1 and chance.randrange(2):
        line = chosen(chance, block[1:])
        line["at_us"] -= chance.randint(1, 10**6)
    else:
        line = block[0]
        draft.retime(block, before - chance.randint(0, 10**6))
    return Mark(f"position {line['pos']} is told at {line['at_us']}", line)


def hastened(draft: Draft, line: Line, chance: Random) -> int:
    """Tells the whole block before that was due which it is about; how long before."""
    at = draft.block_of(line)
    block, before, due = draft.blocks[at], draft.blocks[at - 1][0]["at_us"], int(draft.keys[line["cmd"]].rpartition("/")[2])
    if due - before < 2:
        raise NoPlace("it was due already")
    at_us = chance.randrange(before + 1, due)
    for each in block:
        each["at_us"] = at_us
    return int(due - line["at_us"])


def expire_a_lease_early(draft: Draft, chance: Random) -> Mark:
    """The house gives a task to somebody else before the time of the first is over."""
    line = draft.pick(chance, "attempt.ended", lambda it: it["event"]["outcome"] == "no_reply")
    return Mark(f"{line['event']['task']} ends {hastened(draft, line, chance)} µs before its time", line)


def mature_early(draft: Draft, chance: Random) -> Mark:
    """Earnings are paid out before they can be slashed."""
    line = draft.pick(chance, "earnings.matured")
    return Mark(f"shares mature {hastened(draft, line, chance)} µs before their time", line)


def cut_a_command(draft: Draft, chance: Random) -> Mark:
    """What is one command lies in two blocks, or the rest of it in none."""
    whole = [line for block in draft.blocks[1:] for line in block if line["of"][1] > 1 and line["of"][0] < line["of"][1]]
    line = chosen(chance, whole)
    at = draft.block_of(line)
    block = draft.blocks[at]
    cut = next(n for n, each in enumerate(block) if each is line) + 1
    rest = block[cut:]
    del block[cut:]
    if chance.randrange(2):
        at_us = draft.time_between(at + 1, chance)
        for each in rest:
            each["at_us"] = at_us
        draft.blocks.insert(at + 1, rest)
    return Mark(f"the command of position {line['pos']} ends after {line['of'][0]} of {line['of'][1]} events", line)


def replay_an_old_block(draft: Draft, chance: Random) -> Mark:
    """Somebody's command once more, numbered anew."""
    keyed = [n for n, block in enumerate(draft.blocks[:-1]) if block[0].get("body") and block[0]["of"] == [1, 1]]
    old = chosen(chance, keyed)
    at = chance.randrange(old + 1, len(draft.blocks))
    twin: Line = msgspec.json.decode(msgspec.json.encode(draft.blocks[old][0]))
    twin["at_us"], twin["pos"] = draft.time_between(at, chance), -twin["pos"]
    draft.blocks.insert(at, [twin])
    return Mark(f"the command of position {-twin['pos']} once more", twin)


def use_a_key_twice(draft: Draft, chance: Random) -> Mark:
    """A second request stands under the key of an earlier one."""
    first = chosen(chance, [line for line in draft.lines() if line.get("body") and line["event"]["type"] != "account.opened.v1"])
    later = [line for line in draft.lines() if line.get("body") and line["by"] == first["by"] and line["pos"] > first["pos"]]
    second = chosen(chance, later)
    for each in draft.command(second):
        each["cmd"] = first["cmd"]
    return Mark(f"position {second['pos']} has the key of position {first['pos']}", second)


def open_a_job_again(draft: Draft, chance: Random) -> Mark:
    """Under another key, after its end."""
    line = draft.pick(chance, "job.opened")
    over = draft.all("job.closed", lambda it: it["event"]["job"] == line["event"]["job"])
    if not over:
        raise NoPlace("the job is open")
    at = chance.randrange(draft.block_of(over[0]) + 1, len(draft.blocks) + 1)
    made = draft.new(
        line["event"], stream=line["stream"], by=line["by"], key=f"again {chance.random()}", at_us=draft.time_between(at, chance)
    )
    draft.blocks.insert(at, [made])
    return Mark(f"{line['event']['job']} is opened once more", made)


def bury_a_block(draft: Draft, chance: Random) -> Mark:
    """A sealed verdict is made void: another history goes on in its place, and its record lies there as a stale one."""
    line = draft.pick(chance, "verdict.committed")
    event, at = line["event"], draft.block_of(line)
    if draft.blocks[at] != [line]:
        raise NoPlace("the verdict shares its block")
    opened = draft.all("verdict.revealed", lambda it: [it["event"][n] for n in ("audit", "checker")] == [event["audit"], event["checker"]])
    revealed = chosen(chance, opened)
    del draft.blocks[at]
    void = draft.original.records[at]
    later = chance.randrange(at + 1, len(draft.blocks))
    draft.after = lambda records: [*records[:later], void, *records[later:]]
    return Mark(f"the verdict at position {line['pos']} is void", revealed)


def forge_an_election(draft: Draft, chance: Random) -> Mark:
    """An election block that puts off every deadline of the operator's friends."""
    at = chance.randrange(1, len(draft.blocks) + 1)
    at_us = draft.time_between(at, chance)
    event = {
        "type": "ledger.leader_elected.v1",
        "leader": f"node-{chance.randrange(100)}",
        "grace_us": at_us + chance.randint(10**8, 10**12),
    }
    made = draft.new(event, stream="ledger", by=HOUSE, key="elect", at_us=at_us)
    draft.blocks.insert(at, [made])
    return Mark(f"{event['leader']} leads, with deadlines put off to {event['grace_us']}", made)


def write_what_nobody_reads(draft: Draft, chance: Random) -> Mark:
    """A line that is true to its hash and no event of this version: an amount as a number, another name, a member more, a space."""
    line = chosen(chance, [line for block in draft.blocks[1:] for line in block])
    match chance.randrange(4):
        case 0:
            line["event"]["type"] = line["event"]["type"].replace(".v1", ".v2")
        case 1:
            line["event"]["note"] = "by agreement"
        case 2:
            line["at_us"] = float(line["at_us"]) + 0.5
        case _:
            line["of"] = line["of"] + [1]
    return Mark(f"position {line['pos']} is another event", line)


def break_a_limit(draft: Draft, chance: Random) -> Mark:
    """A number that half of the readers read otherwise, or a list that some cut off."""
    lines = [line for block in draft.blocks[1:] for line in block]
    fields = [(line, name) for line in lines for name, value in line["event"].items() if isinstance(value, list) and len(value) > 0]
    if chance.randrange(2):
        line, name = chosen(chance, fields)
        most = RUNS_MAX if name in RUNS else LIST_MAX
        line["event"][name] = (line["event"][name] * (2 * most))[: most + chance.randint(1, 50)]
    else:
        numbers = ("seconds_us", "ram_mib", "log_index")
        line, name = chosen(chance, [(line, name) for line in lines for name in numbers if name in line["event"]])
        line["event"][name] = EXACT_MAX + chance.randint(1, EXACT_MAX)
    return Mark(f"{name} of position {line['pos']} is beyond its limit", line)


def cut_a_record(draft: Draft, chance: Random) -> Mark:
    """The log ends in the middle of a record."""
    last = chance.randrange(1, len(draft.blocks))

    def cut(records: list[bytes]) -> list[bytes]:
        return [*records[:last], records[last][: chance.randrange(records[last].index(b"\n") + 1, len(records[last]))]]

    draft.after = cut
    return Mark(f"the log is cut in record {last + 1}", draft.blocks[last][0], last=draft.blocks[last][-1])


def lose_a_record(draft: Draft, chance: Random) -> Mark:
    at = chance.randrange(1, len(draft.blocks) - 1)
    draft.after = lambda records: [*records[:at], *records[at + 1 :]]
    return Mark(f"record {at + 1} is gone", draft.blocks[at][0])


def slip_in_a_stranger(draft: Draft, chance: Random) -> Mark:
    """A record of another log among ours."""
    other = Head("".join(chance.choice("0123456789abcdef") for _ in range(32)))  # type: ignore[arg-type]
    record, at = seal(other, [b'{"pos":1}']).record, chance.randrange(1, len(draft.blocks))
    draft.after = lambda records: [*records[:at], record, *records[at:]]
    return Mark(f"a record of log {other.log[:8]}… after record {at}")


def name_other_contracts(draft: Draft, chance: Random) -> Mark:
    """Whoever asks the chain by the manifest asks for another treasury; or the manifest names another head than the log has."""
    assets = draft.original.manifest.assets
    at = chance.randrange(len(assets))
    name = chance.choice(["treasury", "contract", "chain_id", "size", "root"])
    if name in {"size", "root"}:
        more: dict[str, object] = {"size": draft.original.manifest.size + chance.randint(1, 99)} if name == "size" else {"root": "0" * 64}
        draft.named = lambda manifest: msgspec.structs.replace(manifest, **more)
    else:
        value = chance.randint(2, 99) if name == "chain_id" else STRANGER
        listed = tuple(msgspec.structs.replace(it, **{name: value}) if n == at else it for n, it in enumerate(assets))
        draft.named = lambda manifest: msgspec.structs.replace(manifest, assets=listed)
    return Mark(f"the manifest names another {name}")


def change_files_behind_the_manifest(draft: Draft, chance: Random) -> Mark:
    """The manifest is out already; a file is added, or changed."""
    names = ["log/segment-000001.ndjson", "evidence/" + "0" * 64, *draft.original.objects]
    name = chosen(chance, names)
    if name in draft.original.objects:
        data = bytearray(draft.original.objects[name])
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        draft.slipped[name] = bytes(data)
    else:
        draft.slipped[name] = chance.randbytes(chance.randint(1, 200))
    return Mark(f"{name[:30]} is not as listed")


FRAUDS = (
    Fraud("edit a line", "records", edit_a_line),
    Fraud("drop an event", "positions", drop_an_event),
    Fraud("skip a number", "positions", skip_a_number),
    Fraud("reorder events", "positions", reorder_events),
    Fraud("reorder leases", "matching", reorder_leases),
    Fraud("set back a clock", "times", set_back_a_clock),
    Fraud("expire a lease early", "house", expire_a_lease_early),
    Fraud("mature early", "maturity", mature_early),
    Fraud("cut a command", "commands", cut_a_command),
    Fraud("replay an old block", "commands", replay_an_old_block),
    Fraud("use a key twice", "commands", use_a_key_twice),
    Fraud("open a job again", "lifecycles", open_a_job_again),
    Fraud("bury a block", "seals", bury_a_block),
    Fraud("forge an election", "house", forge_an_election),
    Fraud("write what nobody reads", "lines", write_what_nobody_reads),
    Fraud("break a limit", "limits", break_a_limit),
    Fraud("cut a record", "records", cut_a_record),
    Fraud("lose a record", "records", lose_a_record),
    Fraud("slip in a stranger", "records", slip_in_a_stranger),
    Fraud("name other contracts", "manifest", name_other_contracts, held="the bundle"),
    Fraud("change files behind the manifest", "files", change_files_behind_the_manifest, held="the bundle"),
)
