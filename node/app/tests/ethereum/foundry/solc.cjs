#!/usr/bin/env node
// npm's compiler with the face of the native one, which Foundry would load from the network.

const { readFileSync } = require('node:fs')
const solc = require('solc')

if (process.argv.includes('--version')) {
    console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`)
} else {
    process.stdout.write(solc.compile(readFileSync(0, 'utf8')))
}
