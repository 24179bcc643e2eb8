"""The reference ledger, continued: beacons, the lottery, regions, checkers and verdicts, all drawn and counted again (`beacon`,
`lottery`, `checkers`, `verdict`)."""

from hashlib import sha256
from typing import Any

from tests.simulator.judges.reference import Line, Work, require

RANGE = 1 << 64
ROUNDS = {1: 1, 2: 2, 3: 2}
"""How many checkers are drawn in each round, if there are so many."""


def number(tag: str, value: str, proof: int, index: int) -> int:
    parts = (tag.encode(), bytes.fromhex(value.removeprefix("0x")), proof.to_bytes(8, "big"), index.to_bytes(4, "big"))
    return int.from_bytes(sha256(b"".join(parts)).digest()[:8], "big")


class Draws(Work):
    def __init__(self) -> None:
        super().__init__()
        self.beacons = dict[str, Line]()
        self.audits = dict[str, Line]()
        self.grid_us = 0
        self.lawful: Any = lambda timestamp_s: None
        """Asks the chain: the first block with that timestamp or a later one, and how many stand on it."""
        self.ends = list[tuple[int, int]]()
        """(time, size) after each block."""

    def block(self, lines: list[Line], writer: str) -> None:
        super().block(lines, writer)
        self.ends.append((self.at_us, self.size))

    def beacon_drawn(self, event: Line, line: Line) -> None:
        grid_us, policy = event["grid_us"], self.policy
        require(grid_us > self.grid_us and grid_us % policy["grid_us"] == 0, "beacon", f"{grid_us} is not the next grid time")
        require(line["at_us"] >= grid_us + policy["delay_us"], "beacon", f"{grid_us} was drawn at {line['at_us']}")
        size = max((size for at_us, size in self.ends if at_us <= grid_us), default=0)
        require(event["sealed_size"] == size, "beacon", f"{size} events were there at {grid_us}, not {event['sealed_size']}")
        block, on_it = self.lawful(-(-(grid_us + policy["delay_us"]) // 1_000_000))
        found = (event["block_number"], event["block_hash"]) == (block.number, block.hash)
        require(found and on_it >= policy["finality_blocks"], "beacon", f"block {event['block_number']} is not it, or not final")
        self.grid_us = grid_us
        self.beacons[event["beacon"]] = event

    def audit_ppm(self, it: Line) -> int:
        owner, worker = it["owner"], self.workers[it["worker"]]
        at_risk = self.credit(f"usdc:2310.stake.{owner}") + self.credit(f"usdc:2210.accrued.{owner}")
        if not it["job"] or worker["clean"] < self.policy["warm_up"] or not at_risk:
            return 1_000_000
        return min(1_000_000, max(int(self.policy["audit_floor_ppm"]), -(-1_000_000 * int(it["price"]) // at_risk)))

    def _ticket(self, event: Line, it: Line, *, audited: bool) -> None:
        beacon = self.beacons.get(event["beacon"])
        require(beacon and it["proof"] <= beacon["sealed_size"], "lottery", f"{event['task']} was drawn by a beacon from before its proof")
        assert beacon
        u, p_ppm = number("gl/lottery/1", beacon["block_hash"], it["proof"], 0), self.audit_ppm(it)
        require(event["u"] == str(u) and event["p_ppm"] == p_ppm, "lottery", f"{event['task']} draws {u} at {p_ppm}")
        chosen = not it["job"] or u * 1_000_000 < p_ppm * RANGE
        require(chosen == audited, "lottery", f"{event['task']} is {'not ' * (not chosen)}to be audited")

    def task_accepted(self, event: Line, line: Line) -> None:
        it = self.tasks[event["task"]]
        if event["basis"] == "waived":
            require(it["status"] == "committed", "lottery", f"{event['task']} is waived and is {it['status']}")
            self._ticket(event, it, audited=False)
        else:
            result = self.audits[event["audit"]].get("result")
            require(result == "valid" and self.audits[event["audit"]]["fence"] == it["fence"], "verdict", f"{event['task']} is {result}")
        super().task_accepted(event, line)

    # Audits.

    def audit_opened(self, event: Line, line: Line) -> None:
        it = self.tasks[event["task"]]
        require(it["status"] == "committed" and it["proof"] == event["proof_pos"], "lottery", f"{event['task']} is {it['status']}")
        self._ticket(event, it, audited=True)
        it["status"] = "auditing"
        facts = {
            "task": event["task"],
            "worker": event["worker"],
            "fence": event["fence"],
            "pos": event["proof_pos"],
            "cause": event["cause"],
        }
        audit = {**facts, "value": self.beacons[event["beacon"]]["block_hash"], "rounds": [], "seals": {}, "verdicts": {}, "looking": False}
        self.audits[event["audit"]] = audit
        self._round(audit, event)

    def audit_widened(self, event: Line, line: Line) -> None:
        audit = self.audits[event["audit"]]
        self._over(audit, event, line)
        require(self.decided(audit) is None and event["round"] == len(audit["rounds"]) + 1, "verdict", f"{event['audit']} is decided")
        self._round(audit, event)

    def _round(self, audit: Line, event: Line) -> None:
        """Regions and checkers come from the beacon's stream, and nobody else may check."""
        tiles = self.tasks[audit["task"]]["tiles"]
        seen = [region for each in audit["rounds"] for region in each["regions"]]
        picks, index = list[int](), audit.get("regions", 0)
        for _ in range(max(1, min(3, tiles // 4))):
            fresh = [tile for tile in range(tiles) if tile not in seen and tile not in picks]
            left = fresh or [tile for tile in range(tiles) if tile not in picks]
            picks.append(left[number("gl/region/1", audit["value"], audit["pos"], index) * len(left) >> 64])
            index += 1
        require(event["regions"] == sorted(picks), "lottery", f"{event['audit']} draws the regions {sorted(picks)}")
        before = [checker for each in audit["rounds"] for checker in each["checkers"]]
        checkers, used = self.drawn(audit, before, audit["value"], audit.get("checkers", 0), ROUNDS[event["round"]])
        require(event["checkers"] == checkers, "checkers", f"{event['audit']} draws {checkers}, not {event['checkers']}")
        audit.update(regions=index, checkers=used, due_us=event["due_us"])
        audit["rounds"].append({"regions": event["regions"], "checkers": list(checkers)})
        self.due["tally", event["audit"]] = event["due_us"] + self.policy["reveal_us"]

    def drawn(self, audit: Line, before: list[str], value: str, index: int, count: int) -> tuple[list[str], int]:
        """Who is drawn: of those online with stake enough, by stake, one per owner, none with an interest."""
        it = self.tasks[audit["task"]]
        parties = [it["owner"], *([self.jobs[it["job"]]["creator"]] if it["job"] else [])]
        addresses = {self.people[party]["address"] for party in parties} - {""}
        shunned = {*parties, *(self.workers[checker]["owner"] for checker in before)}
        able = list[tuple[str, str, int]]()
        for id, worker in sorted(self.workers.items(), key=lambda row: int(row[0].partition("-")[2])):
            stake = self.credit(f"usdc:2310.stake.{worker['owner']}")
            there = worker["kind"] == "checker" and worker["online"] and not worker["until_us"]
            apart = worker["owner"] not in shunned and self.people[worker["owner"]]["address"] not in addresses
            if there and apart and stake >= int(self.policy["checker_stake_min"]):
                able.append((id, worker["owner"], stake))
        owners = [owner for _, owner, _ in able]
        left = [(id, owner, max(1, stake // owners.count(owner))) for id, owner, stake in able]
        picks = list[str]()
        while left and len(picks) < count:
            at = number("gl/checker/1", value, audit["pos"], index) * sum(row[2] for row in left) >> 64
            index += 1
            for id, owner, stake in left:
                if at < stake:
                    picks.append(id)
                    left = [row for row in left if row[1] != owner]
                    break
                at -= stake
        return picks, index

    def audit_second_look(self, event: Line, line: Line) -> None:
        audit, value = self.audits[event["audit"]], self.beacons[event["beacon"]]["block_hash"]
        require(audit["looking"], "verdict", f"{event['audit']} wants no second look")
        u, picks = number("gl/second/1", value, audit["pos"], 0), list[str]()
        if u * 1_000_000 < self.policy["second_look_ppm"] * RANGE:
            picks, _ = self.drawn(audit, audit["rounds"][0]["checkers"], value, 0, 1)
        require((event["u"], event["checkers"]) == (str(u), picks), "checkers", f"{event['audit']} looks with {picks} by {u}")
        audit["looking"], audit["due_us"] = False, event["due_us"]
        audit["rounds"][-1]["checkers"] += picks
        self.due["tally", event["audit"]] = (event["due_us"] if picks else line["at_us"]) + self.policy["reveal_us"]

    def verdict_committed(self, event: Line, line: Line) -> None:
        id, audit = event["audit"], self.audits[event["audit"]]
        drawn = event["checker"] in audit["rounds"][event["round"] - 1]["checkers"] and event["round"] == len(audit["rounds"])
        owner = self.workers[event["checker"]]["owner"]
        require(drawn and owner != self.tasks[audit["task"]]["owner"], "checkers", f"{event['checker']} may not check {id}")
        require(event["checker"] not in audit["seals"] and "result" not in audit, "verdict", f"{event['checker']} seals {id} twice")
        due_us = max(audit["due_us"], self.due.get(("tally", id), 0) - self.policy["reveal_us"])
        require(line["at_us"] < due_us, "verdict", f"{id} was sealed at {line['at_us']}, due at {due_us}")
        audit["seals"][event["checker"]] = event["seal"]
        if len(audit["seals"]) == 1 and len(audit["rounds"]) == 1 and self.policy["second_look_ppm"]:
            audit["looking"] = True
            self.due.pop(("tally", id), None)
        elif all(each in audit["seals"] for each in audit["rounds"][-1]["checkers"]):
            self.due["tally", id] = line["at_us"] + self.policy["reveal_us"]

    def verdict_revealed(self, event: Line, line: Line) -> None:
        id, audit, checker = event["audit"], self.audits[event["audit"]], event["checker"]
        rows = [
            f"{m['region']} {int(m['equal'])} {'-' if m['psnr_mdb'] is None else m['psnr_mdb']} {m['differing_ppm']}"
            for m in event["metrics"]
        ]
        sealed = "\n".join(["gl/verdict/1", id, checker, event["verdict"], *rows, *event["evidence_sha256"], event["nonce"]])
        require(audit["seals"].get(checker) == sha256(sealed.encode()).hexdigest(), "verdict", f"{checker} opens what it never sealed")
        waiting = [each for each in audit["rounds"][-1]["checkers"] if each not in audit["seals"]]
        require(not audit["looking"] and (not waiting or line["at_us"] >= audit["due_us"]), "verdict", f"{checker} opens {id} too early")
        require(checker not in audit["verdicts"] and "result" not in audit, "verdict", f"{checker} opens {id} twice")
        audit["verdicts"][checker] = event["verdict"]

    def _over(self, audit: Line, event: Line, line: Line) -> None:
        """A round is over when everybody who sealed has revealed, or its time is."""
        if line["by"] == "house" and audit["rounds"][-1]["checkers"]:
            self.on_time("tally", event["audit"], line["at_us"])

    def decided(self, audit: Line) -> str | None:
        votes = list(audit["verdicts"].values())
        valid, invalid = votes.count("valid"), votes.count("invalid")
        if invalid >= 2 and invalid > valid:
            return "invalid"
        return "valid" if valid > invalid else None

    def audit_closed(self, event: Line, line: Line) -> None:
        audit = self.audits[event["audit"]]
        if line["of"][0] == 1:
            self._over(audit, event, line)
        result = self.decided(audit) or "inconclusive"
        require(event["result"] == result, "verdict", f"{event['audit']} is {result}, not {event['result']}")
        wrong = {self.workers[checker]["owner"] for checker, verdict in audit["verdicts"].items() if verdict == "invalid"}
        require(result != "invalid" or len(wrong) >= 2, "verdict", f"{event['audit']} convicts by one owner's word")
        audit["result"] = result
        if result == "invalid" or (audit["cause"] == "bench" and result == "valid"):
            self._claim(audit)
        self.due.pop(("tally", event["audit"]), None)
        worker = self.workers[audit["worker"]]
        if audit["cause"] == "lottery":
            worker["clean"] = worker["clean"] + 1 if result == "valid" else 0 if result == "invalid" else worker["clean"]
        elif result != "valid":
            self.tasks[audit["task"]]["status"] = "failed"

    def _claim(self, audit: Line) -> None:
        good = [checker for checker, verdict in audit["verdicts"].items() if verdict == audit["result"]]
        self.claimants.update(self.workers[checker]["owner"] for checker in good)

    def earned_checks(self, task: str) -> None:
        for audit in self.audits.values():
            if audit["task"] == task and audit.get("result") == "valid" and audit["fence"] == self.tasks[task]["fence"]:
                self._claim(audit)

    def task_rejected(self, event: Line, line: Line) -> None:
        audit = self.audits[event["audit"]]
        require(audit.get("result") == "invalid" and audit["task"] == event["task"], "verdict", f"{event['task']} was not found wrong")
        super().task_rejected(event, line)
