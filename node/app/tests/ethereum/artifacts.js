// What compile.js has made.

import { readFileSync } from 'node:fs'

/** ABI and bytecode of each contract and interface, by name. */
export const artifacts = JSON.parse(readFileSync(new URL('artifacts.json', import.meta.url), 'utf8'))
