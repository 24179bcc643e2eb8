// A second verifier, written from docs/log-format.md: heads, order, balances and the lottery of a bundle. `node verify.mjs BUNDLE`.
// It prints what it found as JSON, and exits with 1 and the position of the first thing that is wrong.
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const HEADER = new RegExp(
  '^\\{"gridledger":1,"log":"([0-9a-f]{32})","size":(0|[1-9][0-9]{0,14}),"root":"([0-9a-f]{64})",' +
    '"kind":"(block|seal|bind)","next_size":([1-9][0-9]{0,14}),"next_root":"([0-9a-f]{64})"\\}\\n',
  "m",
)
const LINE_BYTES_MAX = 60_000, RECORD_BYTES_MAX = 900_000

// Records and lines are strings of one character for each byte.
const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part, "latin1"), createHash("sha256")).digest()
export const leafHash = line => sha256("\0", line)
export const node = (left, right) => sha256("\x01", left, right)
export const root = frontier =>
  (frontier.length ? frontier.reduceRight((right, left) => node(left, right)) : sha256("")).toString("hex")

/** The head after one more line: {size, frontier}. */
export function append(head, line) {
  const frontier = [...head.frontier]
  let hash = leafHash(line)
  for (let n = head.size; n % 2 === 1; n = Math.floor(n / 2)) hash = node(frontier.pop(), hash)
  return { ...head, size: head.size + 1, frontier: [...frontier, hash] }
}

export const begin = log => ({ log, size: 0, frontier: [], sealed: false })

/** Does the record count? {verdict, lines, head}; `head` is the next one where the verdict is `block`. */
export function accept(head, record) {
  const header = HEADER.exec(record)
  if (header?.index !== 0 || header[1] !== head.log) return { verdict: "alien" }
  if (Number(header[2]) < head.size) return { verdict: "stale" }
  if (Number(header[2]) !== head.size || header[3] !== root(head.frontier)) return { verdict: "diverged" }
  if ((header[4] === "bind") !== head.sealed) return { verdict: "alien" }
  const lines = record.split("\n").slice(1)
  const whole = lines.pop() === "" && lines.length > 0 && record.length <= RECORD_BYTES_MAX
  if (!whole || lines.some(line => line.length > LINE_BYTES_MAX)) return { verdict: "broken" }
  const next = { ...lines.reduce(append, head), sealed: header[4] === "seal" }
  if (next.size !== Number(header[5]) || root(next.frontier) !== header[6]) return { verdict: "broken" }
  return { verdict: "block", lines, head: next }
}

/** A record reaches from one header line to the next. */
export function records(data) {
  const starts = [...data.matchAll(new RegExp(HEADER.source, "gm"))].map(found => found.index)
  return starts.map((start, n) => data.slice(start, starts[n + 1]))
}

/** A number below 2^64: the first 8 bytes of SHA-256(tag ‖ 32-byte value ‖ u64 position ‖ u32 index). */
export function drawn(tag, value, position, index) {
  const numbers = Buffer.alloc(12)
  numbers.writeBigUInt64BE(BigInt(position))
  numbers.writeUInt32BE(index, 8)
  return sha256(tag, Buffer.from(value.slice(2), "hex"), numbers).readBigUInt64BE()
}
export const isAudited = (u, ppm) => u * 1_000_000n < BigInt(ppm) << 64n

const checking = position => (holds, what) => {
  if (!holds) throw new Error(`position ${position}: ${what}`)
}

/** Reads events in order; throws at the first that cannot be. */
export class Books {
  draws = 0
  balances = new Map(); #versions = new Map(); #values = new Map(); #proofs = new Map(); #audits = new Map()
  #time = 0

  block(lines, first) {
    const events = lines.map(line => JSON.parse(Buffer.from(line, "latin1").toString()))
    const time = events[0].at_us
    let command = { which: 0, count: 0 }
    events.forEach((it, n) => {
      const check = checking(first + n)
      check(it.pos === first + n, "positions are not dense")
      check(it.ver === (this.#versions.get(it.stream) ?? 0) + 1, `versions of ${it.stream} are not dense`)
      check(it.at_us === time && time > this.#time, "time does not rise from block to block")
      if (command.which === command.count) command = { cmd: it.cmd, which: 0, count: it.of[1] }
      check(it.of[0] === ++command.which && it.of[1] === command.count && it.cmd === command.cmd, "a command is not whole")
      this.#versions.set(it.stream, it.ver)
      this.#book(it.entry ?? [], check)
      this.#lottery(it, check)
    })
    checking(first + lines.length - 1)(command.which === command.count, "a command is not whole")
    this.#time = time
  }

  #book(entry, check) {
    const sums = {}
    for (const [account, amount] of entry) {
      const asset = account.split(":")[0]
      sums[asset] = (sums[asset] ?? 0n) + BigInt(amount)
      this.balances.set(account, (this.balances.get(account) ?? 0n) + BigInt(amount))
    }
    check(Object.values(sums).every(sum => sum === 0n), "the entry does not balance")
  }

  #lottery({ pos, event }, check) {
    const { type } = event, proof = `${event.task} ${event.fence}`
    const draw = (tag, position, lawful) => {
      const u = drawn(tag, this.#values.get(event.beacon) ?? "0x", position, 0)
      check(String(u) === event.u, `u is ${u}, not ${event.u}`)
      check(lawful(isAudited(u, event.p_ppm)), `drawn against u ${u} and p ${event.p_ppm}`)
      this.draws += 1
    }
    if (type === "beacon.drawn.v1") this.#values.set(event.beacon, event.block_hash)
    if (type === "proof.committed.v1" && !event.late) this.#proofs.set(proof, pos)
    if (type === "audit.opened.v1") {
      check(event.proof_pos === this.#proofs.get(proof), "an audit of another proof")
      draw("gl/lottery/1", event.proof_pos, audited => audited)
      this.#audits.set(event.audit, event)
    }
    const audit = this.#audits.get(event.audit)
    if (type === "audit.second_look.v1") draw("gl/second/1", audit?.proof_pos ?? 0, looks => looks || !event.checkers.length)
    if (type !== "task.accepted.v1") return
    if (event.basis === "waived") draw("gl/lottery/1", this.#proofs.get(proof) ?? 0, audited => !audited)
    else check(audit?.u === event.u && audit.p_ppm === event.p_ppm, "u and p are not those of its audit")
  }
}

function verify(bundle) {
  const manifest = JSON.parse(readFileSync(join(bundle, "manifest.json"), "utf8"))
  const segments = manifest.files.map(it => it.path).filter(path => path.startsWith("log/segment-")).sort()
  const books = new Books(), void_ = { alien: 0, stale: 0 }
  let head = begin(manifest.log)
  for (const record of segments.flatMap(path => records(readFileSync(join(bundle, path), "latin1")))) {
    const { verdict, lines, head: next } = accept(head, record)
    checking(head.size + 1)(verdict !== "broken" && verdict !== "diverged", `the record is ${verdict}`)
    if (verdict !== "block") void_[verdict] += 1
    else books.block(lines, head.size + 1), (head = next)
  }
  const found = `${head.size} ${root(head.frontier)}`, trial = {}
  checking(head.size)(found === `${manifest.size} ${manifest.root}`, `the manifest names another head than ${found}`)
  for (const [account, sum] of books.balances) trial[account.split(":")[0]] = (trial[account.split(":")[0]] ?? 0n) + sum
  const balances = [...books.balances].filter(([, sum]) => sum).sort(([one], [other]) => (one < other ? -1 : 1))
  return { size: head.size, root: root(head.frontier), void: void_, draws: books.draws, trial, balances: Object.fromEntries(balances) }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    console.log(JSON.stringify(verify(process.argv[2]), (_, value) => (typeof value === "bigint" ? String(value) : value)))
  } catch (fault) {
    console.error(fault.message)
    process.exitCode = 1
  }
}
