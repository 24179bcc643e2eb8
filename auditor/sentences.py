"""One plain sentence for every event."""

from domain.event import Event
from domain.house import ledger, rules
from domain.market import bid, worker
from domain.proof import audit, beacon, bench, proof, ruling, verdict
from domain.treasury import account, anchor, batch, deposit, earnings, payout, stake
from domain.work import job, task


def money(amount: int, asset: str, decimals: int) -> str:
    """In the asset's own unit, exactly: `-0.10515 usdc`."""
    whole, part = divmod(abs(amount), 10**decimals)
    fraction = f"{part:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{'-' if amount < 0 else ''}{whole:,}{'.' if fraction else ''}{fraction} {asset}"


def sentence(event: Event) -> str:
    return _work(event) or _proof(event) or _treasury(event) or _market(event) or event.verb().replace(".", " ").replace("_", " ")


def _work(event: Event) -> str:
    match event:
        case job.Submitted():
            spec = event.spec
            size = f"{spec.frames} frames of {spec.size[0]}×{spec.size[1]}, {spec.samples} samples"
            return f"{event.creator} described {event.job}: {size}, limit {event.limit_price} per kWU"
        case job.Quoted():
            runs = ", ".join(f"tasks {run.range[0]}-{run.range[1]} of {run.wu_milli} wu_milli each" for run in event.wu)
            return f"the house quoted {event.total} for {event.job}: {runs}, at the limit price"
        case job.Opened():
            return f"{event.creator} opened {event.job}: {event.hold} moved into its escrow"
        case job.Closed():
            counts = f"{event.counts.accepted} accepted, {event.counts.dead} dead, {event.counts.cancelled} cancelled"
            return f"{event.job} closed ({event.outcome}, {event.reason}): {counts}; {event.refund} went back to {event.creator}"
        case job.Closing() | job.Paused():
            return f"{event.job} is {event.verb().partition('.')[2]} ({event.reason})"
        case task.Leased():
            runner_up = f", the next would have cost {event.runner_up_price}" if event.runner_up_price is not None else ""
            return (
                f"{event.task} leased to {event.worker} for {event.price} (attempt {event.fence}, {event.candidates} candidates{runner_up})"
            )
        case task.Ended():
            fee = f", with a fee of {event.fee}" if event.fee else ""
            return f"attempt {event.fence} of {event.task} by {event.worker} ended: {event.outcome} {event.code}{fee}; then {event.next}"
    return ""


def _proof(event: Event) -> str:
    match event:
        case proof.Committed():
            late = "too late, " if event.late else ""
            return f"{event.worker} committed {late}to {len(event.raw)} tiles of {event.task}"
        case bench.Opened():
            return f"bench of {event.worker} in {event.cls}: {event.wu_milli} wu_milli, seed {event.seed}"
        case bench.Scored():
            return f"{event.worker} scored {event.score} in {event.cls}: the bench took {event.seconds_us / 1e6:.3f} s"
        case beacon.Drawn():
            return (
                f"beacon for {event.grid_us / 1e6:.3f} s: block {event.block_number} {event.block_hash}, sealing {event.sealed_size} events"
            )
        case audit.RoundEvent():
            chance = f", p {event.p_ppm} ppm, u {event.u}" if isinstance(event, audit.Opened | audit.SecondLook) else ""
            who = ", ".join(event.checkers) or "nobody"
            return f"{event.audit}, round {event.round}: regions {list(event.regions)} of {event.task} by {who}{chance}"
        case audit.Closed():
            votes = f"{event.valid} valid, {event.invalid} invalid, {event.inconclusive} inconclusive"
            return f"{event.audit} of {event.task} by {event.worker}: {event.result} ({votes})"
        case verdict.Committed():
            return f"{event.checker} sealed a verdict in {event.audit}"
        case verdict.Revealed():
            numbers = "; ".join(
                f"region {m.region} {'equal' if m.equal else f'{m.psnr_mdb} mdB, {m.differing_ppm} ppm differing'}" for m in event.metrics
            )
            return f"{event.checker} found {event.verdict} in {event.audit}: {numbers}"
        case ruling.Accepted():
            how = f"by {event.audit}" if event.audit else f"not drawn: u {event.u}, p {event.p_ppm} ppm"
            return f"{event.task} by {event.worker} accepted ({event.basis}, {how}) at {event.price}"
        case ruling.Rejected():
            return f"{event.task} by {event.worker} rejected by {event.audit}: {event.price} is unpaid; the task is {event.next}"
    return ""


def _treasury(event: Event) -> str:
    match event:
        case deposit.DepositEvent():
            how = {"seen": "seen", "finalised": "final", "orphaned": "not part of the chain any more"}[event.verb().partition(".")[2]]
            return f"deposit of {event.amount} for {event.account or 'nobody known'} {how}: block {event.block}, {event.tx}"
        case earnings.Matured():
            return f"shares of {len(event.lines)} tasks matured"
        case earnings.Distributed():
            return f"the checkers' pool of the epoch up to {event.epoch_us / 1e6:.3f} s was shared out"
        case stake.Locked():
            return f"{event.account} locked {event.amount} as stake"
        case stake.Released():
            return f"{event.amount} of the stake of {event.account} was released"
        case stake.Slashed():
            from_ = f"{event.from_stake} of stake, {event.from_accrued} of shares that had not matured, {event.shortfall} short"
            return f"{event.account} pays for {event.task} ({event.audit}): {event.gross} / {event.p_ppm} ppm = {from_}"
        case payout.Requested():
            return f"{event.account} asked for {event.payout}: {event.amount} to {event.to}"
        case payout.Cancelled():
            return f"{event.payout} was cancelled: {event.amount} back to {event.back_to}"
        case batch.Signed():
            return f"{event.batch} signed: {len(event.payouts)} payouts, nonce {event.nonce}, {event.tx_hash}"
        case batch.MinedEvent():
            what = event.verb().partition(".")[2]
            return f"{event.batch} {what}: block {event.block}, {len(event.paid)} paid, {len(event.failed)} failed, {event.tx_hash}"
        case anchor.Anchored():
            return f"size {event.size} root {event.root} anchored in block {event.block}"
        case anchor.Reconciled():
            return f"block {event.block}: the treasury holds {event.balance}, the ledger says {event.ledger}"
    return ""


def _market(event: Event) -> str:
    match event:
        case account.Opened():
            return f"{event.account} opened ({event.kind}; {', '.join(event.roles) or 'no roles'})"
        case account.Changed():
            address = f"; payouts go to {event.payout_address}" if event.payout_address else ""
            return f"{event.account} changed: {len(event.keys_added)} keys added, {len(event.keys_removed)} removed{address}"
        case worker.Registered():
            return f"{event.owner} registered {event.worker} ({event.kind}; {', '.join(event.classes)})"
        case worker.Offline():
            return f"{event.worker} went offline ({event.reason})"
        case worker.Quarantined():
            return f"{event.worker} in quarantine after {event.audit}"
        case bid.Set():
            return f"{event.worker} asks {event.price_per_kwu or 'nothing more'} per kWU in {event.cls}"
        case rules.PolicyAdopted():
            return f"policy {event.policy} adopted"
        case ledger.Opened():
            return f"ledger {event.log} began"
        case ledger.Sealed():
            return f"sealed where it was ({event.reason}), to go on at {event.home}"
        case ledger.Bound():
            return f"bound to {event.home}"
    return ""
