// What is stated of Kafka, one line each: `ok <statement>` or `FAIL <statement>: why`.
import { isDeepStrictEqual, inspect } from 'node:util'

export const PATIENCE_MS = 60_000
const STATEMENT_MS = 180_000
export const COMPRESSIONS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const run = process.hrtime.bigint().toString(16) + Date.now().toString(16)
let held = 0
let failed = 0
let names = 0

// Runs a body; the statement holds if it returns.
export async function states (statement, body) {
  try {
    await within(STATEMENT_MS, 'the statement', body())
    held++
    console.log(`ok ${statement}`)
  } catch (why) {
    failed++
    const kind = why instanceof Mismatch ? '' : `${why.name}: `
    console.log(`FAIL ${statement}: ${kind}${String(why.message).replaceAll('\n', ' ')}`)
  }
}

class Mismatch extends Error {}

export function within (ms, what, promise) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Mismatch(`not within ${ms} ms: ${what}`)), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

export function expect (what, expected, actual) {
  if (!isDeepStrictEqual(expected, actual)) throw new Mismatch(`${what}: expected ${shown(expected)}, got ${shown(actual)}`)
}

function shown (value) {
  const text = inspect(value, { depth: 5, breakLength: Infinity })
  return text.length < 200 ? text : text.slice(0, 200) + '...'
}

export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

export async function eventually (what, condition) {
  const deadline = Date.now() + PATIENCE_MS
  while (!await condition()) {
    if (Date.now() > deadline) throw new Mismatch(`not within ${PATIENCE_MS} ms: ${what}`)
    await sleep(50)
  }
}

// A body that must be refused; `code` tells of an error what Kafka calls it.
export async function refused (expected, code, body) {
  try {
    await body()
  } catch (refusal) {
    if (refusal instanceof Mismatch) throw refusal
    expect('the refusal', expected, code(refusal))
    return
  }
  throw new Mismatch(`expected ${expected}, but it was accepted`)
}

// A topic no run used before.
export const name = (client, hint) => `${client}-${run}-${hint}-${++names}`

// Bytes no compressor makes smaller, the same in every run.
export function noise (length) {
  const bytes = Buffer.alloc(length)
  let state = 0x9e3779b9
  for (let i = 0; i < length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[i] = state & 255
  }
  return bytes
}

export const count = (n, of) => Array.from({ length: n }, (_, i) => of(i))

export function end () {
  console.log(`${held} statements hold, ${failed} do not`)
  process.exit(failed ? 1 : 0)
}
