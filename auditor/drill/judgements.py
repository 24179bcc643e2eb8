"""Frauds with judgements: who is audited, where, by whom, and what comes of it; who may do what, and how good somebody is."""

from random import Random

from auditor.drill.amounts import accounts, others, shares_of
from auditor.drill.desk import Draft, Line, NoPlace, chosen
from auditor.drill.fraud import Fraud, Mark
from domain.ids import HOUSE
from domain.proof import verdict as verdicts

RANGE = 1 << 64
VERDICTS = ("valid", "invalid", "inconclusive")


def of_a_job(line: Line) -> bool:
    return bool(line["event"]["job"])


def same(one: Line, other: Line, *names: str) -> bool:
    return all(one[name] == other[name] for name in names)


def flipped(hexadecimal: str, chance: Random) -> str:
    """With another digit somewhere."""
    at = chance.randrange(len(hexadecimal) - 16, len(hexadecimal))
    digit = chosen(chance, [each for each in "0123456789abcdef" if each != hexadecimal[at]])
    return hexadecimal[:at] + str(digit) + hexadecimal[at + 1 :]


def skip_an_audit(draft: Draft, chance: Random) -> Mark:
    """The proof is waived with a low enough p, or a high enough u; the audit and all that came of it never was."""
    line = draft.pick(chance, "audit.opened", of_a_job)
    event = line["event"]
    leased = next(it["event"] for it in draft.all("task.leased", lambda it: it["event"]["task"] == event["task"]))
    policy = draft.all("policy.adopted")[-1]["event"]["parameters"]
    parts: Line = dict(zip(("worker", "checkers", "fee"), map(str, policy["shares_ppm"]), strict=True))
    shares_of(int(leased["price"]), parts)
    u, p_ppm = (int(event["u"]), 100_000) if chance.randrange(2) else (chance.randrange(RANGE - RANGE // 10, RANGE), 900_000)
    commands = {it["cmd"] for it in draft.lines() if it["event"].get("audit") == event["audit"] and it is not line}
    for gone in [it for it in draft.lines() if it["cmd"] in commands]:
        draft.drop(gone)
    line["stream"] = event["task"]
    line["event"] = {"type": "task.accepted.v1", **{name: event[name] for name in ("task", "job")}, "asset": leased["asset"]}
    line["event"] |= {name: event[name] for name in ("fence", "worker", "owner", "class")}
    line["event"] |= {"price": leased["price"], "basis": "waived", "audit": "", "beacon": event["beacon"], "p_ppm": p_ppm}
    line["event"] |= {"u": str(u), "shares": parts, "matures_us": line["at_us"] + policy["maturity_us"]}
    for rest in draft.command(line)[1:]:
        draft.drop(rest)
    draft.book(line)
    return Mark(f"{event['task']} is waived at p {p_ppm}", line)


def draw_another_number(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "audit.opened", of_a_job)
    if chance.randrange(2):
        line["event"]["u"] = str(chance.randrange(RANGE))
    else:
        line["event"]["p_ppm"] = chance.randrange(100_000, 1_000_000)
    return Mark(f"{line['event']['audit']} at u {line['event']['u']}, p {line['event']['p_ppm']}", line)


def change_regions(draft: Draft, chance: Random) -> Mark:
    line = chosen(chance, draft.all("audit.opened") + draft.all("audit.widened"))
    proof = next(it for it in draft.all("proof.committed") if it["event"]["task"] == line["event"]["task"])
    tiles, regions = len(proof["event"]["raw"]), line["event"]["regions"]
    if not chance.randrange(4):
        line["event"]["drawn_regions"] += chance.randint(1, 9)
        return Mark(f"{line['event']['audit']} has used up {line['event']['drawn_regions']} numbers", line)
    left = [tile for tile in range(tiles) if tile not in regions]
    regions[chance.randrange(len(regions))] = chosen(chance, left)
    regions.sort()
    return Mark(f"{line['event']['audit']} looks at {regions}", line)


def redraw_a_checker(draft: Draft, chance: Random) -> Mark:
    line = chosen(chance, [it for it in draft.all("audit.opened") + draft.all("audit.widened") if it["event"]["checkers"]])
    if not chance.randrange(4):
        line["event"]["drawn_checkers"] += chance.randint(1, 9)
        return Mark(f"{line['event']['audit']} has used up {line['event']['drawn_checkers']} numbers", line)
    checkers = [it["event"]["worker"] for it in draft.all("worker.registered", lambda it: it["event"]["kind"] == "checker")]
    friend = chosen(chance, [each for each in checkers if each not in line["event"]["checkers"]])
    line["event"]["checkers"][chance.randrange(len(line["event"]["checkers"]))] = friend
    return Mark(f"{line['event']['audit']} is checked by {friend}", line)


def flip(revealed: Line, chance: Random) -> str:
    """Another verdict, and metrics from which it follows."""
    verdict = chosen(chance, [each for each in VERDICTS if each != revealed["verdict"]])
    psnr = {"valid": 70_000, "invalid": 20_000, "inconclusive": 55_000}[verdict] + chance.randrange(4_000)
    for metric in revealed["metrics"]:
        metric |= {"equal": False, "psnr_mdb": psnr, "differing_ppm": 0 if verdict == "valid" else chance.randrange(2_000, 900_000)}
    revealed["verdict"] = verdict
    return str(verdict)


def seal_of(revealed: Line) -> str:
    metrics = tuple(verdicts.Metric(**metric) for metric in revealed["metrics"])
    facts = revealed["audit"], revealed["checker"], revealed["verdict"], metrics, tuple(revealed["evidence_sha256"]), revealed["nonce"]
    return verdicts.seal_of(*facts)


def flip_a_verdict(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "verdict.revealed")
    verdict = flip(line["event"], chance)
    return Mark(f"{line['event']['checker']} says {verdict} on {line['event']['audit']}", line)


def flip_a_verdict_and_its_seal(draft: Draft, chance: Random) -> Mark:
    """The seal that fits, without the checker's signature to it."""
    line = draft.pick(chance, "verdict.revealed")
    event = line["event"]
    verdict = flip(event, chance)
    sealed = draft.pick(chance, "verdict.committed", lambda it: same(it["event"], event, "audit", "checker"))
    sealed["event"]["seal"] = seal_of(event)
    return Mark(f"{event['checker']} has sealed {verdict} on {event['audit']}", sealed)


def break_a_seal(draft: Draft, chance: Random) -> Mark:
    """What is shown afterwards is not what was sealed, though the verdict is the same."""
    line = draft.pick(chance, "verdict.revealed")
    event = line["event"]
    if chance.randrange(2):
        event["nonce"] = f"{chance.getrandbits(128):032x}"
    else:
        event["evidence_sha256"] = [f"{chance.getrandbits(256):064x}" for _ in event["evidence_sha256"]]
    return Mark(f"{event['checker']} opens another seal on {event['audit']}", line)


def miscount(draft: Draft, chance: Random) -> Mark:
    """Convicted, or cleared, without the votes for it."""
    line = draft.pick(chance, "audit.closed")
    if not chance.randrange(4):
        line["event"][name := chance.choice(VERDICTS)] += chance.randint(1, 3)
        return Mark(f"{line['event']['audit']} ends with {line['event'][name]} votes for {name}", line)
    line["event"]["result"] = chosen(chance, others(VERDICTS, line["event"]["result"]))
    if chance.randrange(2):
        line["event"][line["event"]["result"]] += chance.randint(1, 3)
    return Mark(f"{line['event']['audit']} ends as {line['event']['result']}", line)


def raise_a_score(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "worker.scored")
    line["event"]["score"] += (more := chance.randint(1, 5_000))
    return Mark(f"{line['event']['worker']} scores {more} more", line)


def forge_a_beacon(draft: Draft, chance: Random) -> Mark:
    """Another hash; what was drawn from it stays."""
    kinds = {"audit.opened.v1": "lottery", "bench.opened.v1": "scores"}
    drawn = [it for it in draft.lines() if it["event"]["type"] in kinds]
    line = draft.pick(chance, "beacon.drawn", lambda it: any(same(it["event"], each["event"], "beacon") for each in drawn))
    line["event"]["block_hash"] = flipped(line["event"]["block_hash"], chance)
    first = next(each for each in drawn if same(line["event"], each["event"], "beacon"))
    return Mark(f"{line['event']['beacon']} has another value", first, kinds[first["event"]["type"]])


def seal_another_head(draft: Draft, chance: Random) -> Mark:
    """A beacon that decides over other proofs than it should: the head is the log's own, of another time, or no head at all."""
    line = draft.pick(chance, "beacon.drawn", lambda it: it["event"]["sealed_size"] > len(draft.blocks[0]))
    event = line["event"]
    sizes = [size for size in draft.original.roots if size < event["sealed_size"]]
    if chance.randrange(2):
        event["sealed_root"] = flipped(event["sealed_root"], chance)
    else:
        event["sealed_size"] = chosen(chance, sizes)
        event["sealed_root"] = draft.original.roots[event["sealed_size"]]
    return Mark(f"{event['beacon']} seals size {event['sealed_size']} root {event['sealed_root'][:8]}…", line)


def pay_a_late_proof(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "proof.committed", lambda it: it["event"]["late"] and it["event"]["job"])
    event = line["event"]
    event |= {"late": False, "seconds_us": chance.randint(10**5, 10**6)}
    paid = chosen(chance, draft.all("task.accepted", lambda it: it["event"]["task"] == event["task"]))
    paid["event"] |= {name: event[name] for name in ("fence", "worker", "owner", "class")}
    draft.book(paid)
    return Mark(f"{event['worker']}'s late proof of {event['task']} is in time and paid", line)


def act_in_anothers_name(draft: Draft, chance: Random) -> Mark:
    kinds = ("job.opened", "worker.registered", "deposit.seen", "beacon.drawn", "batch.mined", "checkpoint.anchored", "chain.reconciled")
    line = chosen(chance, [line for kind in kinds for line in draft.all(kind)])
    strangers = [it for it in accounts(draft) if it not in {line["by"], *map(str, line["event"].values())}]
    by = chosen(chance, strangers[2:])
    for each in draft.command(line):
        each["by"] = by
    name = line["event"]["type"]
    return Mark(f"{name} at position {line['pos']} comes from {by}", line, "beacons" if name == "beacon.drawn.v1" else "authority")


def sign_for_somebody(draft: Draft, chance: Random) -> Mark:
    """What he never signed, under noise or under a signature that somebody gave for something else."""
    signed = [line for line in draft.lines() if line["event"].get("signature")]
    line = chosen(chance, signed)
    event = line["event"]
    other = chosen(chance, [it["event"]["signature"] for it in signed if it["pos"] > line["pos"]] or [""])
    event["signature"] = other if other and chance.randrange(2) else f"0x{chance.getrandbits(512):0128x}{27 + chance.randrange(2):02x}"
    return Mark(f"{event['type']} at position {line['pos']} is signed by nobody", line)


def override_by_one_person(draft: Draft, chance: Random) -> Mark:
    line = draft.pick(chance, "override.applied", lambda it: it["event"]["action"] == "release")
    match chance.randrange(3):
        case 0:
            line["event"] |= {"approver": "", "approval": ""}
            check = "freezes"
        case 1:
            line["event"]["approver"], check = line["by"], "freezes"
        case _:
            line["event"]["reason"], check = chosen(chance, ["checked", "repaired", "settled", "mistaken"]), "signatures"
    return Mark("the money is let go without a second person", line, check)


def move_frozen_money(draft: Draft, chance: Random) -> Mark:
    """The release is told after what it had to come before."""
    kinds = {"payout.requested.v1", "job.opened.v1"}
    release = draft.pick(chance, "override.applied", lambda it: it["event"]["action"] == "release")
    at = draft.block_of(release)
    later = [n for n in range(at + 1, len(draft.blocks)) if {line["event"]["type"] for line in draft.blocks[n]} & kinds]
    to = chosen(chance, later)
    moved = next(line for line in draft.blocks[later[0]] if line["event"]["type"] in kinds)
    times = [block[0]["at_us"] for block in draft.blocks[at : to + 1]]
    draft.blocks.insert(to, draft.blocks.pop(at))
    for block, at_us in zip(draft.blocks[at : to + 1], times, strict=True):
        draft.retime(block, at_us)
    return Mark(f"{moved['event']['type']} while the money is frozen", moved)


def swap_evidence(draft: Draft, chance: Random) -> Mark:
    """A region of the bundle is another one."""
    objects = draft.original.objects
    shown = [(it, each) for it in draft.all("verdict.revealed") for each in it["event"]["evidence_sha256"] if f"evidence/{each}" in objects]
    line, digest = chosen(chance, shown)
    name = f"evidence/{digest}"
    data = bytearray(objects[name])
    if chance.randrange(2):
        data[chance.randrange(len(data) - 44)] ^= 1 << chance.randrange(8)
    else:
        data = bytearray(chosen(chance, others(objects.values(), objects[name])))
    draft.objects[name] = bytes(data)
    first = next(it for it, each in shown if each == digest)
    return Mark(f"{digest[:8]}… holds other bytes", first, last=line)


def withhold_evidence(draft: Draft, chance: Random) -> Mark:
    shown = {f"evidence/{each}" for it in draft.all("verdict.revealed") for each in it["event"]["evidence_sha256"]}
    there = sorted(shown & draft.original.objects.keys())
    if not there:
        raise NoPlace("there is no evidence")
    names = chance.sample(there, chance.randint(1, len(there)))
    draft.objects |= dict.fromkeys(names)
    return Mark(f"{len(names)} regions are not in the bundle", withheld=True)


def leave_out_what_was_owed(draft: Draft, chance: Random) -> Mark:
    """The last command of the house in a block never was."""
    blocks = [block for block in draft.blocks[1:] if block[-1]["by"] == HOUSE and block[0]["cmd"] != block[-1]["cmd"]]
    block = chosen(chance, blocks)
    gone = draft.command(block[-1])
    for line in gone:
        draft.drop(line)
    return Mark(f"the house leaves out {gone[0]['event']['type']} of {gone[0]['stream']}", block[-1])


FRAUDS = (
    Fraud("skip an audit", "lottery", skip_an_audit),
    Fraud("draw another number", "lottery", draw_another_number),
    Fraud("change regions", "regions", change_regions),
    Fraud("redraw a checker", "checkers", redraw_a_checker),
    Fraud("flip a verdict", "seals", flip_a_verdict),
    Fraud("flip a verdict and its seal", "signatures", flip_a_verdict_and_its_seal),
    Fraud("break a seal", "seals", break_a_seal),
    Fraud("miscount", "tallies", miscount),
    Fraud("raise a score", "scores", raise_a_score),
    Fraud("forge a beacon", "lottery", forge_a_beacon),
    Fraud("seal another head", "beacons", seal_another_head),
    Fraud("pay a late proof", "authority", pay_a_late_proof),
    Fraud("act in another's name", "authority", act_in_anothers_name),
    Fraud("sign for somebody", "signatures", sign_for_somebody),
    Fraud("override by one person", "freezes", override_by_one_person),
    Fraud("move frozen money", "freezes", move_frozen_money),
    Fraud("swap evidence", "evidence", swap_evidence, held="the bundle"),
    Fraud("withhold evidence", "evidence", withhold_evidence, held="the bundle"),
    Fraud("leave out what was owed", "house", leave_out_what_was_owed),
)
