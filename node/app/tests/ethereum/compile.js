// Compiles the contracts and the native modules' interfaces with solc; writes ABIs and bytecode to artifacts.json.

import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import solc from 'solc'

const require = createRequire(import.meta.url)
const own = new URL('contracts/', import.meta.url)
const interfaces = process.env.NEURA_CONTRACTS
    ? pathToFileURL(`${process.env.NEURA_CONTRACTS}/`)
    : new URL('../../../../runtime/contracts/', import.meta.url)

const scope = '@neura/contracts/'

function sources(folder, prefix) {
    const files = readdirSync(folder).filter((name) => name.endsWith('.sol'))
    return files.map((name) => [prefix + name, { content: readFileSync(new URL(name, folder), 'utf8') }])
}

function findImport(path) {
    try {
        return { contents: readFileSync(require.resolve(path), 'utf8') }
    } catch (error) {
        return { error: error.message }
    }
}

const input = {
    language: 'Solidity',
    sources: Object.fromEntries([...sources(own, ''), ...sources(interfaces, scope)]),
    settings: {
        optimizer: { enabled: true, runs: 200 },
        outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
    },
}
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }))
// Others' sources may have their warnings, ours have none.
const ours = (error) => error.severity === 'error' || error.sourceLocation?.file in input.sources
const messages = (output.errors ?? []).filter(ours).map((error) => error.formattedMessage)
if (messages.length > 0) throw new Error(messages.join('\n'))

const artifacts = {}
for (const contracts of Object.values(output.contracts)) {
    for (const [name, { abi, evm }] of Object.entries(contracts)) {
        artifacts[name] = { abi, bytecode: `0x${evm.bytecode.object}` }
    }
}
writeFileSync(new URL('artifacts.json', import.meta.url), JSON.stringify(artifacts))
