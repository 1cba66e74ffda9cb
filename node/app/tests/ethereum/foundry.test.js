// Foundry against the node: scripts that broadcast, tests in a fork, cast. The project is in foundry/.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { arch, platform } from 'node:os'
import { before, describe, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { isAddressEqual, pad, parseAbi, stringToHex, toFunctionSelector } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'

import { chain, contract, freshAddress, fundedKey, modules, publicClient, rpc, url, viemWallet } from './network.js'

const root = new URL('foundry/', import.meta.url)
const interfaces = process.env.NEURA_CONTRACTS
    ? pathToFileURL(`${process.env.NEURA_CONTRACTS}/`)
    : new URL('../../../../runtime/contracts/', import.meta.url)
const REMAPPING = `@neura/contracts/=${fileURLToPath(interfaces)}`
const DESK = parseAbi([
    'function served() view returns (uint256)',
    'function serve(bytes32) returns (uint256)',
    'event Served(address indexed guest, uint256 number, bytes32 word)',
])
const REQUESTERS = parseAbi(['function isRegistered(address) view returns (bool)'])
const word = (text) => stringToHex(text, { size: 32 })

/** One of Foundry's programs as npm carries it, run to its end; what it prints. */
async function foundry(program, args, env = {}) {
    const machine = { x64: 'amd64', arm64: 'arm64' }[arch()]
    const system = { linux: 'linux', darwin: 'darwin' }[platform()]
    const path = createRequire(import.meta.url).resolve(`@foundry-rs/${program}-${system}-${machine}/bin/${program}`)
    const options = { cwd: root, env: { ...process.env, FOUNDRY_DISABLE_NIGHTLY_WARNING: '1', ...env }, maxBuffer: 1 << 24 }
    const { stdout } = await promisify(execFile)(path, args, options)
    return stdout.trim()
}

const forge = (command, args, env) => foundry('forge', [...command, '--remappings', REMAPPING, ...args], env)
const cast = async (command, ...args) => foundry('cast', [command, ...args, '--rpc-url', url])

/** Runs a script of the project that sends its transactions; what it sent. */
async function broadcast(script, key, args = [], env = {}) {
    await forge(['script', `script/${script}.s.sol`], ['--rpc-url', url, '--private-key', key, '--broadcast', '--slow', ...args], env)
    return JSON.parse(readFileSync(new URL(`broadcast/${script}.s.sol/${chain.id}/run-latest.json`, root), 'utf8'))
}

let key, me, desk, joined
before(async () => {
    key = await fundedKey()
    me = privateKeyToAddress(key)
    const { transactions, receipts } = await broadcast('Open', key)
    assert.deepEqual(receipts.map((receipt) => BigInt(receipt.status)), [1n, 1n, 1n])
    assert.deepEqual(transactions.map((sent) => sent.transactionType), ['CREATE', 'CALL', 'CALL'])
    desk = contract(viemWallet(key), transactions[0].contractAddress, DESK)
    const run = ['--skip-simulation', '--sig', 'run(bytes32)', word('key')]
    joined = await broadcast('Join', key, run, { DESK: desk.address })
})

describe('forge script', () => {
    test('what it broadcast is on the chain', async () => {
        assert.equal(await desk.read('served'), 2n)
        const events = await publicClient.getContractEvents({ address: desk.address, abi: DESK, fromBlock: 0n })
        assert.deepEqual(events.map(({ args }) => args.word), [word('first'), word('second')])
        assert.ok(events.every(({ args }) => isAddressEqual(args.guest, me)))
    })

    test('a contract is created at the address that its salt gives', async () => {
        const salt = pad(freshAddress(), { size: 32 })
        const { transactions, receipts } = await broadcast('Salted', key, ['--sig', 'run(bytes32)', salt])
        const [{ transactionType, contractAddress: address }] = transactions
        assert.equal(transactionType, 'CREATE2')
        assert.ok(isAddressEqual(receipts[0].to, '0x4e59b44847b379578588920cA78FbF26c0B4956C'))
        assert.equal(await publicClient.getCode({ address }), await publicClient.getCode({ address: desk.address }))
    })

    test('native modules are written to when the node does the simulation', async () => {
        assert.deepEqual(joined.receipts.map((receipt) => BigInt(receipt.status)), [1n, 1n])
        const requesters = contract(null, modules.requesters, REQUESTERS)
        for (const account of [me, desk.address]) assert.equal(await requesters.read('isRegistered', [account]), true)
    })
})

describe('forge test', () => {
    test('a fork of the chain is read and written, and leaves the chain as it is', async () => {
        const { result: validators } = await rpc('eth_call', { to: modules.staking, data: toFunctionSelector('count()') }, 'latest')
        const [address, hash] = [modules.requesters, joined.receipts[0].transactionHash]
        const { result: diff } = await rpc('debug_traceTransaction', hash, {
            tracer: 'prestateTracer',
            tracerConfig: { diffMode: true },
        })
        const before = diff.pre[address.toLowerCase()].storage ?? {}
        const [slot] = Object.keys(diff.post[address.toLowerCase()].storage).filter((slot) => !(slot in before))
        const env = {
            DESK: desk.address,
            CHAIN_ID: String(chain.id),
            HEIGHT: String(await publicClient.getBlockNumber()),
            SLOT: slot,
            VALUE: await publicClient.getStorageAt({ address, slot }),
            VALIDATORS: String(BigInt(validators)),
        }
        const printed = await forge(['test'], ['--fork-url', url, '--json'], env)
        const results = Object.values(JSON.parse(printed)).flatMap((suite) => Object.entries(suite.test_results))
        const failed = results.filter(([, { status }]) => status !== 'Success')
        assert.deepEqual(failed.map(([name, { reason }]) => [name, reason]), [])
        assert.equal(results.length, 6)
        assert.equal(await desk.read('served'), 2n)
        assert.equal(await publicClient.getStorageAt({ address, slot }), env.VALUE)
    })
})

describe('cast', () => {
    test('sends and reads: send, receipt, tx, logs, call, estimate', async () => {
        const theirs = await fundedKey()
        const account = privateKeyToAddress(theirs)
        const sent = JSON.parse(await cast('send', desk.address, 'serve(bytes32)', word('cast'), '--private-key', theirs, '--json'))
        assert.equal(BigInt(sent.status), 1n)
        const hash = sent.transactionHash
        const receipt = JSON.parse(await cast('receipt', hash, '--json'))
        assert.deepEqual([receipt.blockHash, receipt.gasUsed, receipt.logs], [sent.blockHash, sent.gasUsed, sent.logs])
        assert.equal(await cast('receipt', hash, 'effectiveGasPrice'), String(BigInt(sent.effectiveGasPrice)))
        assert.ok(isAddressEqual(await cast('tx', hash, 'from'), account))
        const height = String(BigInt(sent.blockNumber))
        const filter = ['--from-block', height, '--to-block', height, '--address', desk.address]
        const logs = JSON.parse(await cast('logs', ...filter, 'Served(address indexed,uint256,bytes32)', account, '--json'))
        assert.deepEqual(logs.map((log) => log.transactionHash), [hash])
        assert.equal(await cast('call', desk.address, 'word(address)(bytes32)', account), word('cast'))
        const gas = await cast('estimate', desk.address, 'serve(bytes32)', word('again'), '--from', account)
        assert.ok(BigInt(gas) > 21_000n && BigInt(gas) < BigInt(sent.gasUsed) * 2n, gas)
        const starved = ['--private-key', theirs, '--gas-limit', '22500', '--json']
        const failed = JSON.parse(await cast('send', desk.address, 'serve(bytes32)', word('out of gas'), ...starved))
        assert.equal(BigInt(failed.status), 0n)
    })

    test('looks around: chain, block, fees, balances, nonces, code, storage', async () => {
        assert.equal(await cast('chain-id'), String(chain.id))
        assert.match(await cast('client'), /^neura\//i)
        const block = JSON.parse(await cast('block', '1', '--json'))
        assert.equal(block.hash, (await publicClient.getBlock({ blockNumber: 1n })).hash)
        assert.ok(BigInt(await cast('base-fee')) > 0n && BigInt(await cast('gas-price')) > 0n)
        assert.ok(BigInt(await cast('age', '1').then(() => cast('block-number'))) > 1n)
        const nobody = freshAddress()
        assert.equal(await cast('balance', nobody), '0')
        assert.equal(await cast('nonce', nobody), '0')
        assert.equal(await cast('code', nobody), '0x')
        assert.equal(await cast('code', desk.address), await publicClient.getCode({ address: desk.address }))
        assert.ok(BigInt(await cast('storage', desk.address, '0')) >= 2n)
    })

    test('native modules are called and refuse as contracts do', async () => {
        assert.ok(BigInt(await cast('call', modules.staking, 'count()(uint64)')) > 0n)
        const refused = cast('call', modules.tasks, 'task(uint64)', String(2n ** 60n))
        await assert.rejects(refused, (error) => /unknown_task: /.test(error.stderr))
        const theirs = await fundedKey()
        await cast('send', modules.requesters, 'register(bytes32)', word('key'), '--private-key', theirs)
        const registered = ['isRegistered(address)(bool)', privateKeyToAddress(theirs)]
        assert.equal(await cast('call', modules.requesters, ...registered), 'true')
        const unknown = cast('send', modules.tasks, 'cancel(uint64)', '1', '--private-key', theirs)
        await assert.rejects(unknown, (error) => /unknown_task: /.test(error.stderr))
    })

    test('a trace shows the calls of a transaction', async () => {
        const { transactionHash: hash } = await desk.write('serve', [word('traced')])
        const printed = await cast('run', hash, '--quick')
        assert.match(printed, new RegExp(desk.address.slice(2), 'i'))
    })
})
