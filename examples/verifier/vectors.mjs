// Lays verify.mjs beside the test vectors: `node vectors.mjs contracts/vectors`. Exits with 1 and the name of the first that differs.
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { accept, append, begin, drawn, isAudited, leafHash, root } from "./verify.mjs"

const read = name => JSON.parse(readFileSync(join(process.argv[2], `${name}.json`), "utf8"))
const bytes = text => Buffer.from(text).toString("latin1")
const told = head => ({ ...head, frontier: head.frontier.map(hash => hash.toString("hex")), root: root(head.frontier) })
const taken = ({ log, size, frontier, sealed }) => ({ log, size, frontier: frontier.map(hash => Buffer.from(hash, "hex")), sealed })

let head = begin("a".repeat(32))
for (const row of read("heads")) {
  if (row.line !== null) {
    head = append(head, bytes(row.line))
    assert.equal(leafHash(bytes(row.line)).toString("hex"), row.leaf, `leaf ${row.size}`)
  }
  assert.deepEqual([head.size, told(head).frontier, told(head).root], [row.size, row.frontier, row.root], `head ${row.size}`)
}
for (const row of read("records")) {
  const found = accept(taken(row.head), bytes(row.record))
  assert.equal(found.verdict, row.verdict, row.name)
  assert.deepEqual(told(found.head ?? taken(row.head)), { ...row.after }, row.name)
}
const { numbers, chances } = read("lottery")
for (const row of numbers) assert.equal(String(drawn(row.tag, row.value, row.position, row.index)), row.u, row.tag)
for (const row of chances) assert.equal(isAudited(BigInt(row.u), row.p_ppm), row.audited, `p ${row.p_ppm}`)
console.log("all as they should be")
