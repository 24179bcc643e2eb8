"""The reference ledger: what the log says, kept in plain dictionaries by code that shares nothing with `domain/`.

It takes each line of the log as JSON when the log takes it, and raises `Breach` with the name of the judge that found something. Here:
order and entries (`order`, `entries`), who may lead (`leader`), and work: jobs, leases, proofs, deadlines (`once`, `lease`, `fence`,
`proof`, `early`, `grace`, `escrow`, `shares`). Money beyond the escrow is in money.py, what is drawn and judged in draws.py.
"""

from collections import Counter, defaultdict
from typing import Any

Line = dict[str, Any]
DEBIT, EITHER = ("1110", "1120", "5110"), ("1140", "3110")
UNDER_WAY = ("leased", "committed", "auditing")


class Breach(Exception):
    """A judge found something."""

    def __init__(self, judge: str, what: str) -> None:
        super().__init__(f"{judge}: {what}")
        self.judge = judge


def require(holds: object, judge: str, what: str) -> None:
    if not holds:
        raise Breach(judge, what)


class Order:
    """Positions, versions, times, whole commands, balanced entries, and one leader at a time."""

    def __init__(self) -> None:
        self.size = self.at_us = 0
        self.versions = Counter[str]()
        self.balances = defaultdict[str, int](int)
        self.keyed, self.commands = dict[str, int](), defaultdict[str, list[int]](list)
        """By command id: of keyed ones the first position; of all, every position."""
        self.policy: dict[str, Any] = {}
        self.leader = ""
        self.due = dict[tuple[str, str], int]()
        """What falls due when: (verb, subject). Elections move some of it on."""

    def block(self, lines: list[Line], writer: str) -> None:
        """The lines of one record, and which process appended it."""
        at_us, which, count = lines[0]["at_us"], 0, 0
        require(at_us > self.at_us, "order", f"time {at_us} is not after {self.at_us}")
        elects = lines[0]["event"]["type"] == "ledger.leader_elected.v1"
        require(elects or writer in {"founding", self.leader}, "leader", f"{writer} wrote after {self.leader} was elected")
        for line in lines:
            if which == count:
                which, count = 0, line["of"][1]
            which += 1
            require(line["of"] == [which, count] and line["at_us"] == at_us, "order", f"position {line['pos']} is not in its place")
            self.take(line, writer)
        require(which == count, "order", "the last command is not whole")

    def take(self, line: Line, writer: str) -> None:
        event, pos = line["event"], line["pos"]
        self.at_us = line["at_us"]
        require(pos == self.size + 1 and line["ver"] == self.versions[line["stream"]] + 1, "order", f"position {pos} is not the next")
        self.size, self.versions[line["stream"]] = pos, line["ver"]
        if line.get("body") and line["of"][0] == 1:
            require(line["cmd"] not in self.keyed, "once", f"the command of position {pos} was done at {self.keyed.get(line['cmd'])}")
            self.keyed[line["cmd"]] = pos
        self.commands[line["cmd"]].append(pos)
        if meet := getattr(self, event["type"].rpartition(".")[0].replace(".", "_"), None):
            meet(event, line)
        self.post(line.get("entry", []), pos)
        if event["type"] == "ledger.leader_elected.v1":
            self.leader = writer if writer != "founding" else ""

    def post(self, entry: list[list[str]], pos: int) -> None:
        sums = Counter[str]()
        for account, amount in entry:
            asset, _, name = account.partition(":")
            sums[asset] += int(amount)
            after = self.balances[account] = self.balances[account] + int(amount)
            lawful = name[:4] in EITHER or not after or (after > 0) == (name[:4] in DEBIT)
            require(lawful, "entries", f"position {pos} leaves {account} at {after}")
        require(not any(sums.values()), "entries", f"the entry of position {pos} does not balance")

    def credit(self, account: str) -> int:
        return -self.balances.get(account, 0)

    def on_time(self, verb: str, subject: str, at_us: int, judge: str = "early") -> None:
        """What is due is done, not before."""
        due_us = self.due.pop((verb, subject), None)
        require(due_us is not None and at_us >= due_us, judge, f"{verb} {subject} at {at_us} is due at {due_us}")

    # The house's own events.

    def policy_adopted(self, event: Line, line: Line) -> None:
        self.policy = event["parameters"]

    def ledger_leader_elected(self, event: Line, line: Line) -> None:
        least_us = line["at_us"] + self.policy["grace_us"]
        require(event["grace_us"] == least_us, "grace", f"the election of {event['leader']} forgets the grace")
        for key, due_us in self.due.items():
            if key[0] in {"expire", "cancel", "tally"}:
                self.due[key] = max(due_us, least_us)


class Work(Order):
    """Jobs, tasks, leases and proofs."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs, self.tasks, self.workers = dict[str, Line](), dict[str, Line](), dict[str, Line]()
        self.people = dict[str, Line]()
        self.shares = dict[str, Line]()
        self.outcomes = Counter[str]()
        self.claimants = set[str]()
        """Who checked well since the pool was distributed last, and may be paid from it."""

    def account_opened(self, event: Line, line: Line) -> None:
        self.people[event["account"]] = {"roles": event["roles"], "address": "", "payouts": 0}

    def account_changed(self, event: Line, line: Line) -> None:
        if event.get("payout_address"):
            self.people[event["account"]]["address"] = event["payout_address"]

    # Workers.

    def worker_registered(self, event: Line, line: Line) -> None:
        facts = {"owner": event["owner"], "kind": event["kind"], "slots": event["slots"], "cls": event["classes"][0]}
        self.workers[event["worker"]] = {**facts, "online": False, "until_us": 0, "price": 0, "leases": set(), "held": 0, "clean": 0}

    def worker_online(self, event: Line, line: Line) -> None:
        it = self.workers[event["worker"]]
        require(not it["until_us"], "lease", f"{event['worker']} is quarantined and came online")
        it["online"] = True

    def worker_offline(self, event: Line, line: Line) -> None:
        self.workers[event["worker"]]["online"] = False

    def worker_quarantined(self, event: Line, line: Line) -> None:
        self.workers[event["worker"]]["until_us"] = self.due["release", event["worker"]] = event["until_us"]

    def worker_released(self, event: Line, line: Line) -> None:
        self.workers[event["worker"]]["until_us"] = 0
        self.on_time("release", event["worker"], line["at_us"])

    def bid_set(self, event: Line, line: Line) -> None:
        self.workers[event["worker"]]["price"] = int(event["price_per_kwu"] or 0)

    # Jobs.

    def job_submitted(self, event: Line, line: Line) -> None:
        facts = {"creator": event["creator"], "limit": int(event["limit_price"]), "deadline_us": event["deadline_us"]}
        self.jobs[event["job"]] = {**facts, "open": False, "closing": False, "over": "", "in": 0, "tasks": []}

    def job_quoted(self, event: Line, line: Line) -> None:
        self.due["quote", event["job"]] = event["valid_until_us"]

    def job_opened(self, event: Line, line: Line) -> None:
        it = self.jobs[event["job"]]
        require(line["at_us"] < self.due.pop(("quote", event["job"])), "early", f"{event['job']} was opened by a quote that was over")
        it["open"], it["in"] = True, int(event["hold"])
        if it["deadline_us"]:
            self.due["deadline", event["job"]] = it["deadline_us"]
        for run in event["plan"]:
            for number in range(run["range"][0], run["range"][1] + 1):
                id = f"{event['job']}/{number}"
                it["tasks"].append(id)
                facts = {"job": event["job"], "wu": run["wu_milli"], "tiles": 0, "errors": 0, "past": set()}
                self.tasks[id] = {**facts, "fence": 0, "status": "ready", "worker": "", "proof": 0, "barred": set(), "price": 0}

    def job_paused(self, event: Line, line: Line) -> None:
        self.due["paused", event["job"]] = line["at_us"] + self.policy["paused_max_us"]

    def job_resumed(self, event: Line, line: Line) -> None:
        self.due.pop(("paused", event["job"]), None)

    def job_closing(self, event: Line, line: Line) -> None:
        job = self.jobs[event["job"]]
        self._in_time(event, line)
        job["closing"] = True
        for id in job["tasks"]:
            if self.tasks[id]["status"] == "leased":
                self.due["cancel", id] = min(line["at_us"] + self.policy["cancel_grace_us"], self.due["expire", id])
        self._stop(job)

    def job_closed(self, event: Line, line: Line) -> None:
        job = self.jobs[event["job"]]
        if not job["closing"]:
            self._in_time(event, line)
        self._stop(job)
        left = [id for id in job["tasks"] if self.tasks[id]["status"] in UNDER_WAY]
        require(not job["over"] and not left, "escrow", f"{event['job']} is closed while {left} are under way, or twice")
        job["over"] = event["outcome"]
        self.outcomes[event["outcome"]] += 1
        held = self.credit(f"usdc:2120.unallocated.{event['job']}")
        require(int(event["refund"]) == held, "escrow", f"{event['job']} holds {held} and gives back {event['refund']}")
        paid = sum(self.tasks[id].get("paid", 0) for id in job["tasks"])
        require(job["in"] == paid + held, "escrow", f"{event['job']} took {job['in']}, paid {paid}, and holds {held}")
        for verb in ("quote", "deadline", "paused"):
            self.due.pop((verb, event["job"]), None)

    def _in_time(self, event: Line, line: Line) -> None:
        """An end for lack of time comes when the time is over."""
        if line["by"] == "house" and event["reason"] in {"quote", "deadline", "paused"}:
            self.on_time(event["reason"], event["job"], line["at_us"])

    def _stop(self, job: Line) -> None:
        for id in job["tasks"]:
            if self.tasks[id]["status"] == "ready":
                self.tasks[id]["status"] = "cancelled"

    def job_archived(self, event: Line, line: Line) -> None:
        job = self.jobs[event["job"]]
        require(job["over"] and not any(id in self.shares for id in job["tasks"]), "escrow", f"{event['job']} is forgotten too early")
        for id in job["tasks"]:
            del self.tasks[id]
        job["tasks"] = []

    # Leases.

    def task_leased(self, event: Line, line: Line) -> None:
        id, it, worker = event["task"], self.tasks[event["task"]], self.workers[event["worker"]]
        job = self.jobs[event["job"]]
        price = -(-worker["price"] * it["wu"] // 1_000_000)
        require(it["status"] == "ready" and event["fence"] == it["fence"] + 1, "fence", f"{id} is {it['status']} at {it['fence']}")
        there = worker["online"] and not worker["until_us"] and worker["kind"] != "checker" and len(worker["leases"]) < worker["slots"]
        able = worker["owner"] == event["owner"] != job["creator"] and event["worker"] not in it["barred"]
        require(there and able and not job["over"] and not job["closing"], "lease", f"{event['worker']} may not have {id}")
        newcomer = worker["clean"] < self.policy["warm_up"]
        require(not newcomer or worker["held"] < self.policy["probation"], "lease", f"{event['worker']} is new and has enough")
        require(int(event["price"]) == price and worker["price"] <= job["limit"], "lease", f"{id} costs {price}, not {event['price']}")
        worker["held"] += 1
        self._lease(event, line, it)

    def bench_opened(self, event: Line, line: Line) -> None:
        facts = {"job": "", "wu": event["wu_milli"], "fence": 0, "past": set(), "barred": set(), "price": 0, "tiles": event["tiles"]}
        it = self.tasks[event["task"]] = {**facts, "status": "ready", "worker": "", "proof": 0}
        self._lease(event, line, it)

    def _lease(self, event: Line, line: Line, it: Line) -> None:
        it.update(status="leased", fence=event["fence"], worker=event["worker"], price=int(event.get("price", 0)), proof=0)
        it["owner"] = event["owner"]
        self.workers[event["worker"]]["leases"].add(event["task"])
        self.due["expire", event["task"]] = event["expires_us"]

    def proof_committed(self, event: Line, line: Line) -> None:
        it, key = self.tasks[event["task"]], (event["fence"], event["worker"])
        if event["late"]:
            require(key in it["past"], "proof", f"a late proof of {event['task']} is of no attempt that ended, or came twice")
            it["past"].remove(key)
            self.outcomes["late proofs"] += 1
            return
        current = it["status"] == "leased" and (it["fence"], it["worker"]) == key
        require(current, "fence", f"{event['task']} is proved by {key}, and is {it['status']} with {it['worker']} at {it['fence']}")
        due_us = min(self.due.get((verb, event["task"]), 1 << 62) for verb in ("expire", "cancel"))
        require(line["at_us"] < due_us, "proof", f"{event['task']} was proved at {line['at_us']}, due at {due_us}")
        it["status"], it["proof"], it["proved_us"], it["tiles"] = "committed", line["pos"], line["at_us"], len(event["raw"])
        self._release(event["task"], it)

    def _release(self, id: str, it: Line) -> None:
        leases = self.workers[it["worker"]]["leases"]
        require(id in leases, "fence", f"{it['worker']} gives {id} back twice")
        leases.remove(id)
        self.due.pop(("expire", id), None)
        self.due.pop(("cancel", id), None)

    def attempt_ended(self, event: Line, line: Line) -> None:
        id, it = event["task"], self.tasks[event["task"]]
        fits = (it["fence"], it["worker"]) == (event["fence"], event["worker"]) and it["status"] in {"leased", "auditing"}
        require(fits, "fence", f"an attempt {event['fence']} of {id} ends, which is {it['status']} at {it['fence']}")
        if event["outcome"] == "no_reply":
            self.on_time("expire", id, line["at_us"])
        elif event["code"] == "job_cancelled":
            self.on_time("cancel", id, line["at_us"])
        if it["status"] == "leased":
            self._release(id, it)
        it["past"].add((event["fence"], event["worker"]))
        it["status"], it["paid"] = event["next"], it.get("paid", 0) + int(event["fee"])
        if not it["job"]:
            return
        self.workers[it["worker"]]["held"] -= 1
        limit = it["price"] * self.policy["cancel_fee_ppm"] // 1_000_000
        require(int(event["fee"]) in {0, limit}, "shares", f"{id} was cancelled for {event['fee']}")
        if int(event["fee"]):
            self.shares[id] = self._share(event, int(event["fee"]), 0, 0, line)

    # What is earned.

    def task_accepted(self, event: Line, line: Line) -> None:
        id, it = event["task"], self.tasks[event["task"]]
        fits = (it["fence"], it["worker"]) == (event["fence"], event["worker"]) and it["proof"]
        require(fits and it["status"] in {"committed", "auditing"}, "fence", f"{id} is accepted and is {it['status']} at {it['fence']}")
        shares = tuple(int(event["shares"][name]) for name in ("worker", "checkers", "fee"))
        require(int(event["price"]) == it["price"], "shares", f"{id} costs {it['price']}")
        require(
            shares == largest_remainder(it["price"], self.policy["shares_ppm"]), "shares", f"{id} at {it['price']} is shared as {shares}"
        )
        it["status"], it["paid"] = "accepted", it.get("paid", 0) + it["price"]
        self.workers[it["worker"]]["held"] -= 1
        self.shares[id] = self._share(event, shares[0], shares[1], shares[2], line)

    def _share(self, event: Line, worker: int, checkers: int, fee: int, line: Line) -> Line:
        amounts = {"worker": worker, "checkers": checkers, "fee": fee}
        return {**amounts, "owner": event["owner"], "due_us": line["at_us"] + self.policy["maturity_us"]}

    def earned_checks(self, task: str) -> None:
        """Whoever checked a task that matures has a claim (draws.py)."""

    def task_rejected(self, event: Line, line: Line) -> None:
        it = self.tasks[event["task"]]
        fits = it["status"] == "auditing" and (it["fence"], it["worker"]) == (event["fence"], event["worker"])
        require(fits, "fence", f"{event['task']} is rejected and is {it['status']}")
        it["barred"].add(event["worker"])
        it["status"] = event["next"]
        self.workers[it["worker"]]["held"] -= 1

    def earnings_matured(self, event: Line, line: Line) -> None:
        for each in event["lines"]:
            share = self.shares.pop(each["task"], None)
            require(share, "shares", f"{each['task']} matures and has nothing to")
            assert share
            self.earned_checks(each["task"])
            amounts = tuple(int(each[name]) for name in ("worker", "checkers", "fee"))
            wanted = (share["worker"], share["checkers"], share["fee"])
            require(amounts == wanted and each["account"] == share["owner"], "shares", f"{each['task']} matures as {amounts}, not {wanted}")
            require(line["at_us"] >= share["due_us"], "early", f"{each['task']} matures at {line['at_us']}, due at {share['due_us']}")


def largest_remainder(amount: int, weights: list[int]) -> tuple[int, ...]:
    """Each share rounded down; what is left over goes to the largest remainders, one unit each."""
    whole = sum(weights)
    shares = [amount * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda n: (-(amount * weights[n] % whole), n))
    for n in order[: amount - sum(shares)]:
        shares[n] += 1
    return tuple(shares)
