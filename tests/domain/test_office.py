"""Two persons where one is not enough; roles and keys; machines that change; builds that follow each other."""

from collections.abc import Callable
from hashlib import sha256

import pytest

from adapters import signer
from domain import accounts
from domain.accounts import USDC
from domain.body import Body
from domain.errors import (
    ApproverMissing,
    Duplicate,
    NotAllowed,
    NotFound,
    Refused,
    RoleMissing,
    TooEarly,
    WrongSignature,
)
from domain.event import Event
from domain.house import invariants, override, rules
from domain.ids import AccountId, Actor
from domain.log.receipts import Ask
from domain.market import worker
from domain.policy import DEMO, STANDARD
from domain.proof import bench
from domain.signing import typed_data
from domain.treasury import account, batch, payout, stake
from domain.units import Units
from domain.work import job
from tests.network import BUILD, CHAIN_ID, CLASS, DUMMY, LOG, NOW_US, Network, block_hash, populated

HOUR_US = 3_600_000_000


def office() -> tuple[Network, AccountId, AccountId]:
    it = Network()
    one, two = (person.id for person in it.world.people.values() if "admin" in person.roles)
    return it, one, two


def countersigned(it: Network, command: Body, by: AccountId) -> Body:
    claim = command.countersigned()
    assert claim is not None
    return command.model_copy(update={"approval": it.signers[by].sign_typed(typed_data(LOG, CHAIN_ID, claim))})


def adopting(it: Network, approver: AccountId) -> Body:
    return rules.Adopt(policy="standard", effective_us=it.now_us + HOUR_US, approver=approver, approval=DUMMY)


def engine(_: Network, approver: AccountId) -> Body:
    facts = {"bench_wu_milli": 2_000, "bench_tiles": 4, "wu_milli_per_msample": 700}
    named = {"engine": "mitsuba", "build": "mitsuba-4.0.0", "classes": ("mitsuba-4.0.0/cpu",)}
    return rules.RegisterEngine.model_validate(named | facts | {"approver": approver, "approval": DUMMY})


def asset(_: Network, approver: AccountId) -> Body:
    facts = {"asset": "eurc", "decimals": 6, "chain_id": CHAIN_ID, "contract": "0x" + "3" * 40, "treasury": "0x" + "4" * 40}
    return rules.ListAsset.model_validate(facts | {"approver": approver, "approval": DUMMY})


def freezing(_: Network, approver: AccountId) -> Body:
    return override.Override(action="freeze", reason="drill", number=1, approver=approver, approval=DUMMY)


def granting(it: Network, approver: AccountId) -> Body:
    newcomer = it.person("creator")
    return account.Grant(account=newcomer, roles=("operator", "finance"), approver=approver, approval=DUMMY)


COMMANDS: dict[str, Callable[[Network, AccountId], Body]] = {
    "policy": adopting,
    "engine": engine,
    "asset": asset,
    "grant": granting,
    "freeze": freezing,
}
TWO_PERSONS = pytest.mark.parametrize("make", COMMANDS.values(), ids=COMMANDS)


@TWO_PERSONS
def test_what_needs_two_admins_is_done_by_two_and_the_event_proves_it(make: Callable[[Network, AccountId], Body]) -> None:
    it, one, two = office()
    command = countersigned(it, make(it, two), two)
    (done,) = it.do(one, command, keyed=True)
    (claim,) = done.event.claims()
    recovered = signer.recover_typed(typed_data(LOG, CHAIN_ID, claim), claim.signature)

    assert claim.account == two
    assert it.world.keys[recovered] == two
    assert done.by == one


@TWO_PERSONS
def test_one_admin_is_not_two_nor_with_whom_is_none_nor_with_a_render_machines_key(make: Callable[[Network, AccountId], Body]) -> None:
    it, one, two = office()
    outsider = it.person("creator")
    agent = it.agents[outsider]
    it.do(two, account.Change(keys_added=(account.SigningKey(alg="eip712", key="0x" + "5" * 40, purpose="agent"),)), keyed=True)
    command = make(it, two)
    for bad in (countersigned(it, command, one), countersigned(it, command, outsider), forged(it, command, agent), command):
        with pytest.raises((ApproverMissing, ValueError)):
            it.do(one, bad, keyed=True)
    with pytest.raises(RoleMissing):
        it.do(outsider, countersigned(it, command, two), keyed=True)


def forged(it: Network, command: Body, key: signer.Signer) -> Body:
    claim = command.countersigned()
    assert claim is not None
    return command.model_copy(update={"approval": key.sign_typed(typed_data(LOG, CHAIN_ID, claim))})


def test_an_approval_by_an_agent_key_or_an_expired_one_counts_for_nothing() -> None:
    it, one, two = office()
    machine = signer.Signer(sha256(b"machine").digest())
    old = signer.Signer(sha256(b"old").digest())
    keys = (
        account.SigningKey(alg="eip712", key=machine.address, purpose="agent"),
        account.SigningKey(alg="eip712", key=old.address, purpose="owner", expires_us=it.now_us + 1),
    )
    it.do(two, account.Change(keys_added=keys), keyed=True)
    for key in (machine, old):
        with pytest.raises(ApproverMissing):
            it.do(one, forged(it, asset(it, two), key), keyed=True)


@TWO_PERSONS
def test_an_approval_covers_every_fact(make: Callable[[Network, AccountId], Body]) -> None:
    it, one, two = office()
    command = countersigned(it, make(it, two), two)
    changes: dict[str, object] = {
        "effective_us": it.now_us + 2 * HOUR_US,
        "policy": "demo",
        "wu_milli_per_msample": 1,
        "bench_tiles": 5,
        "treasury": "0x" + "5" * 40,
        "decimals": 7,
        "account": one,
        "roles": ("finance",),
        "removed": ("watch",),
        "reason": "other",
        "number": 2,
        "evidence_sha256": "0" * 64,
    }
    mine = {name: value for name, value in changes.items() if name in type(command).model_fields}
    assert len(mine) >= 2
    for name, value in mine.items():
        with pytest.raises(ApproverMissing):
            it.do(one, command.model_copy(update={name: value}), keyed=True)


@TWO_PERSONS
def test_the_same_key_again_answers_with_the_same_receipt(make: Callable[[Network, AccountId], Body]) -> None:
    it, one, two = office()
    command = countersigned(it, make(it, two), two)
    claim = command.countersigned()
    assert claim is not None
    recovered = signer.recover_typed(typed_data(LOG, CHAIN_ID, claim), claim.signature)
    key = f"{it.now_us // 1000:012x}"
    id = f"{key[:8]}-{key[8:]}-7000-8000-000000000001"
    ask = Ask.keyed(one, id, command, b"request", account=one, approver=recovered)
    first = it.ledger.decide(ask, it.now_us)
    second = it.ledger.decide(ask, it.now_us)
    it.seal()
    later = it.ledger.decide(ask, it.now_us + 1)

    assert first.count == 1
    assert second == first
    assert (later.position, later.count) == (first.position, first.count)
    assert it.seal() == []


def test_a_policy_takes_effect_at_its_time_and_none_is_adopted_for_the_past() -> None:
    it, one, two = office()
    now = rules.Adopt(policy="standard", effective_us=it.now_us, approver=two, approval=DUMMY)
    with pytest.raises(TooEarly):
        it.do(one, countersigned(it, now, two), keyed=True)
    it.do(one, countersigned(it, adopting(it, two), two), keyed=True)
    it.now_us += HOUR_US // 2
    it.person("creator")
    assert it.policy == DEMO
    it.now_us += HOUR_US // 2
    it.person("creator")

    assert it.policy == STANDARD


def test_an_asset_is_listed_once() -> None:
    it, one, two = office()
    command = countersigned(it, asset(it, two), two)
    it.do(one, command, keyed=True)
    with pytest.raises(Duplicate):
        it.do(one, command, keyed=True)


def test_roles_are_taken_away_as_they_were_given_and_two_admins_remain() -> None:
    it, one, two = office()
    newcomer = it.person("creator")
    grant = account.Grant(account=newcomer, roles=("admin", "finance"), approver=two, approval=DUMMY)
    it.do(one, countersigned(it, grant, two), keyed=True)
    assert it.world.people[newcomer].roles == ["creator", "admin", "finance"]
    revoke = account.Grant(account=newcomer, removed=("admin", "finance"), approver=two, approval=DUMMY)
    it.do(one, countersigned(it, revoke, two), keyed=True)
    assert it.world.people[newcomer].roles == ["creator"]
    with pytest.raises(NotAllowed):
        it.do(one, countersigned(it, revoke.model_copy(update={"account": one}), two), keyed=True)


def test_a_grant_of_a_role_that_one_has_keeps_what_was_signed() -> None:
    it, one, two = office()
    grant = account.Grant(account=two, roles=("finance", "watch"), approver=two, approval=DUMMY)
    (done,) = it.do(one, countersigned(it, grant, two), keyed=True)
    (claim,) = done.event.claims()

    assert it.world.keys[signer.recover_typed(typed_data(LOG, CHAIN_ID, claim), claim.signature)] == two
    assert it.world.people[two].roles.count("finance") == 1


# Accounts.


def test_free_roles_come_and_go_and_offices_are_not_for_oneself() -> None:
    it, _, _ = office()
    me = it.person("creator")
    it.do(me, account.Change(roles_added=("checker",), roles_removed=("creator",)), keyed=True)
    assert it.world.people[me].roles == ["checker"]
    with pytest.raises(ValueError, match="roles_added"):
        account.Change.model_validate({"roles_added": ("admin",)})


def test_keys_are_added_once_removed_by_their_owner_and_the_last_api_key_stays() -> None:
    it, _, _ = office()
    me, other = it.person("creator"), it.person("creator")
    address = it.signers[other].address
    with pytest.raises(Duplicate):
        it.do(me, account.Change(keys_added=(account.SigningKey(alg="eip712", key=address, purpose="owner"),)), keyed=True)
    with pytest.raises(NotFound):
        it.do(me, account.Change(keys_removed=(address,)), keyed=True)
    (api,) = [id for id, key in it.world.people[me].keys.items() if key.alg == "api"]
    with pytest.raises(NotAllowed, match="without an API key"):
        it.do(me, account.Change(keys_removed=(api,)), keyed=True)


def test_a_removed_or_expired_key_signs_nothing_any_more() -> None:
    it, _, _ = office()
    me = it.person("creator", funds=90_000_000)
    (owner_key,) = [id for id, key in it.world.people[me].keys.items() if key.purpose == "owner"]
    lock = it.signed(stake.Lock(asset=USDC, amount=Units(5), number=1, signature=DUMMY), me)
    it.world.people[me].keys[owner_key].expires_us = it.now_us
    with pytest.raises(WrongSignature):
        it.do(me, lock)
    it.world.people[me].keys[owner_key].expires_us = 0
    it.do(me, account.Change(keys_removed=(owner_key,)), keyed=True)
    with pytest.raises(WrongSignature):
        it.do(me, lock)


def test_an_agent_key_moves_no_money() -> None:
    it, _, _ = office()
    me = it.person("creator", funds=90_000_000)
    command = stake.Lock(asset=USDC, amount=Units(5), number=1, signature=DUMMY)
    claim = command.claim(me)
    signed = command.model_copy(update={"signature": it.agents[me].sign_typed(typed_data(LOG, CHAIN_ID, claim))})
    with pytest.raises(WrongSignature):
        it.do(me, signed)


# Payouts.


def test_a_large_payout_is_signed_after_two_of_finance_have_approved_it() -> None:
    it, one, two = office()
    me = it.person("creator", funds=20_000_000_000)
    id = it.request(me, "customer", int(it.policy.approval_min))
    for finance in (one, two):
        with pytest.raises(NotAllowed):
            it.sign_batch([id])
        it.do(finance, payout.Approve(payout=id))
    it.sign_batch([id])
    it.land()

    assert it.world.payouts == {}


def test_a_batch_names_each_payout_once_and_all_of_its_own_asset() -> None:
    it, _, _ = office()
    me = it.person("creator", funds=90_000_000)
    id = it.request(me, "customer", 10_000)
    it.now_us += it.policy.batch_wait_us
    sign = batch.Sign(asset=USDC, payouts=(id, id), nonce=0, raw_tx="0xab", tx_hash=block_hash(1))
    with pytest.raises(NotAllowed, match="named twice"):
        it.do(it.daemon("payer"), sign)
    with pytest.raises(NotAllowed, match="in usdc"):
        it.do(it.daemon("payer"), sign.model_copy(update={"payouts": (id,), "asset": accounts.ETH}))


# Machines and builds.


def test_a_worker_with_other_devices_is_benched_anew_before_it_gets_another_lease() -> None:
    it, _, workers = populated(signs=False)
    fast = it.world.workers[workers["fast"]]
    device = worker.DeviceIn(uuid_sha256="ab" * 32, model="NVIDIA H200", vram_mib=143_000)
    (changed,) = it.do(fast.owner, worker.Change(worker=fast.id, devices=(device,), country="CH"), keyed=True)
    assert (fast.vram_mib, fast.models, fast.country, fast.mode) == (143_000, ["NVIDIA H200"], "CH", "active")
    assert (fast.classes[CLASS].score, fast.classes[CLASS].seat) == (0, None)
    it.wait(it.policy.grid_us)
    opened = [each.event for each in it.beacon() if isinstance(each.event, bench.Opened)]

    assert [each.worker for each in opened] == [fast.id]
    assert changed.event.stream == fast.id
    invariants.check_sealed(it.world, it.ledger.at_us)


def test_a_retired_worker_stays_retired() -> None:
    it, _, workers = populated(signs=False)
    fast = it.world.workers[workers["fast"]]
    it.do(fast.owner, worker.Change(worker=fast.id, mode="retired"), keyed=True)
    for command in (worker.Change(worker=fast.id, mode="active"), worker.GoOnline(worker=fast.id, session="1" * 8)):
        with pytest.raises(NotAllowed):
            it.do(fast.owner if isinstance(command, worker.Change) else fast.id, command, fast.owner)


def test_a_new_build_leaves_jobs_and_workers_of_the_old_one_as_they_are() -> None:
    it, one, two = office()
    creator, owner = it.person("creator", funds=90_000_000), it.person("provider", "checker", funds=20_000_000, locked=5_000_000)
    checker = it.worker(it.person("checker", funds=20_000_000, locked=5_000_000), "checker")
    id = it.worker(owner, price=150_000_000)
    it.online(checker)
    it.online(id)
    old = it.submit(creator)
    it.do(one, countersigned(it, engine(it, two), two), keyed=True)
    (opened,) = [each.event for each in it.beacon() if isinstance(each.event, bench.Opened)]
    it.commit(opened.task)
    it.judge()
    it.open(old)
    new = it.submit(creator)
    it.open(new)

    assert opened.wu_milli == 1_500
    assert it.world.workers[id].leases == [f"{old}/1"]
    assert (it.world.jobs[old].build, it.world.jobs[new].build) == (BUILD, "mitsuba-4.0.0")
    with pytest.raises(Refused):
        it.do(owner, worker.Register(kind="cpu", classes=(CLASS,)), keyed=True)


def test_a_job_for_another_model_waits_for_it() -> None:
    it, creator, workers = populated(signs=False)
    submit = job.Submit(
        engine="mitsuba",
        manifest_sha256="ab" * 32,
        frames=1,
        size=(64, 64),
        samples=64,
        limit_price=Units(200_000_000),
        models=("NVIDIA H200",),
    )
    submitted = it.do(creator, submit, keyed=True)[0].event
    assert isinstance(submitted, job.Submitted)
    assert it.open(submitted.job)[1:] == []
    fast = it.world.workers[workers["fast"]]
    fast.models = ["NVIDIA H200"]
    leased: list[Event] = [each.event for each in it.wait(1)]

    assert [each.verb() for each in leased] == ["task.leased"]
    assert Actor(fast.id) == getattr(leased[0], "worker", "")
    assert it.now_us > NOW_US
