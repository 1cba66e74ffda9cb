// The package of the native modules' interfaces as a stranger has it: packed, installed, compiled against, used.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import solc from 'solc'
import { decodeErrorResult, decodeFunctionResult, encodeFunctionData, isAddressEqual, parseAbi, parseEventLogs } from 'viem'

import { contract, deploy, errorName, freshAddress, fundedKey, modules, publicClient, seen, taskTerms, viemWallet } from './network.js'

const packed = process.env.NEURA_CONTRACTS ?? fileURLToPath(new URL('../../../../runtime/contracts/', import.meta.url))
const STATES = ['Open', 'Assigned', 'Running', 'Submitted', 'Verifying', 'Settled', 'Refunded', 'Cancelled', 'Slashed']
const REASONS = ['Pending', 'Approved', 'AcceptedByTimeout', 'CancelledByOwner', 'Declined', 'NotAccepted']
const ERROR = parseAbi(['error Error(string)'])
/** The provider of the network takes tasks of this duration, and leaves shorter ones alone. */
const [TAKEN, LEFT] = [20n, 10n]

const folder = mkdtempSync(join(tmpdir(), 'neura-package-'))
after(() => rmSync(folder, { recursive: true }))

/** A fresh project that has installed the package from its archive. */
function install() {
    const npm = (cwd, ...args) => execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    const [{ filename, files }] = JSON.parse(npm(packed, 'pack', '--json', '--pack-destination', folder))
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'stranger', version: '1.0.0', private: true }))
    npm(folder, 'install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', `./${filename}`)
    cpSync(new URL('package/Buyer.sol', import.meta.url), join(folder, 'Buyer.sol'))
    return files.map((file) => file.path).sort()
}

/** Compiles the project's contract with what is installed there alone. */
function compile() {
    const require = createRequire(join(folder, 'package.json'))
    const input = {
        language: 'Solidity',
        sources: { 'Buyer.sol': { content: readFileSync(join(folder, 'Buyer.sol'), 'utf8') } },
        settings: { outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object', 'userdoc'] } } },
    }
    const findImport = (path) => ({ contents: readFileSync(require.resolve(path), 'utf8') })
    const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }))
    assert.deepEqual((output.errors ?? []).map((error) => error.formattedMessage), [])
    return output.contracts
}

const { NEURA_PROVIDER: hired } = process.env
const skip = !hired && 'NEURA_PROVIDER is not set'
const terms = (changes = {}) => taskTerms(hired ?? freshAddress(), { durationBlocks: LEFT, ...changes })

let wallet, files, contracts, artifact, tasks, buyer
before(async () => {
    files = install()
    contracts = compile()
    const { abi, evm } = contracts['Buyer.sol'].Buyer
    artifact = { abi, bytecode: `0x${evm.bytecode.object}` }
    wallet = viemWallet(await fundedKey())
    tasks = contract(wallet, modules.tasks, contracts['@neura/contracts/ITasks.sol'].ITasks.abi)
    buyer = await deploy(wallet, artifact, [terms()])
})
const quote = (durationBlocks) => tasks.read('quote', [hired, durationBlocks])
const outcome = async (id) => {
    const [state, reason, paid, refund] = await buyer.read('outcome', [id])
    return { state: STATES[state], reason: REASONS[reason], paid, refund }
}
/** The one event of a name that the tasks module has logged for a task. */
const logged = (eventName, taskId) =>
    seen(eventName, async () => {
        const found = await publicClient.getContractEvents({ address: tasks.address, abi: tasks.abi, eventName, args: { taskId }, fromBlock: 0n })
        assert.ok(found.length <= 1)
        return found[0]
    })
/** Hires through the buyer; the number of the task. */
async function hire(durationBlocks) {
    const value = await quote(durationBlocks)
    const { logs } = await buyer.write('hire', [terms({ durationBlocks })], { value })
    const [{ args }] = parseEventLogs({ abi: tasks.abi, logs, eventName: 'TaskCreated' })
    assert.ok(isAddressEqual(args.owner, buyer.address), 'the owner is who called: the contract')
    return { id: args.taskId, value }
}

describe('the package', () => {
    test('has the interfaces and nothing else', () => {
        const sources = readdirSync(packed).filter((name) => name.endsWith('.sol'))
        assert.deepEqual(files, [...sources, 'README.md', 'package.json'].sort())
    })

    test('describes each function and each event', () => {
        for (const [path, found] of Object.entries(contracts)) {
            for (const [name, { abi, userdoc }] of Object.entries(found)) {
                if (!path.startsWith('@neura/') || !name.startsWith('I')) continue
                const count = (type) => abi.filter((item) => item.type === type).length
                const described = ['methods', 'events'].map((key) => Object.keys(userdoc[key] ?? {}).length)
                assert.deepEqual(described, [count('function'), count('event')], name)
            }
        }
    })
})

describe('a contract follows its tasks by events and views', { skip }, () => {
    test('approved: the escrow is split, and nothing is called back', async () => {
        const { id, value } = await hire(TAKEN)
        await logged('TaskAccepted', id)
        await logged('ResultSubmitted', id)
        assert.deepEqual(await outcome(id), { state: 'Submitted', reason: 'Pending', paid: 0n, refund: 0n })
        const receipt = await buyer.write('approve', [id])
        const [{ args }] = parseEventLogs({ abi: tasks.abi, logs: receipt.logs, eventName: 'TaskEnded' })
        assert.deepEqual([STATES[args.state], REASONS[args.reason]], ['Settled', 'Approved'])
        const parts = Object.values(args.settlement)
        assert.equal(parts.reduce((sum, part) => sum + part), value, 'the parts are the escrow')
        const { provider: paid, refund } = args.settlement
        assert.ok(paid > 0n)
        assert.deepEqual(await outcome(id), { state: 'Settled', reason: 'Approved', paid, refund })
        assert.match(await errorName(buyer.write('approve', [id])), /^wrong_state: /, 'it settles once')
    })

    test('not accepted: at the deadline the chain returns the escrow, without a call', async () => {
        const { id, value } = await hire(LEFT)
        const { deadline } = await tasks.read('task', [id])
        const before = await publicClient.getBalance({ address: buyer.address })
        const ended = await logged('TaskEnded', id)
        assert.equal(ended.blockNumber, deadline)
        assert.deepEqual(await outcome(id), { state: 'Refunded', reason: 'NotAccepted', paid: 0n, refund: value })
        assert.equal((await publicClient.getBalance({ address: buyer.address })) - before, value)
        assert.equal(await buyer.read('received'), 0n, 'receive() would have refused it')
    })

    test('hired in a constructor, taken back by the contract alone', async () => {
        const { abi, bytecode } = artifact
        const value = await quote(LEFT)
        const hash = await wallet.deployContract({ abi, bytecode, args: [terms()], value })
        const { contractAddress, logs, status } = await publicClient.waitForTransactionReceipt({ hash })
        assert.equal(status, 'success')
        const [{ args: { taskId, owner } }] = parseEventLogs({ abi: tasks.abi, logs, eventName: 'TaskCreated' })
        assert.ok(isAddressEqual(owner, contractAddress))
        assert.match(await errorName(tasks.write('cancel', [taskId])), /^not_owner: /, 'who sent the transaction is nobody')
        assert.match(await errorName(buyer.write('cancel', [taskId])), /^not_owner: /)
        const cancelled = await contract(wallet, contractAddress, abi).write('cancel', [taskId])
        const [{ args }] = parseEventLogs({ abi: tasks.abi, logs: cancelled.logs, eventName: 'TaskEnded' })
        assert.deepEqual([REASONS[args.reason], args.settlement.refund], ['CancelledByOwner', value])
        assert.equal(await publicClient.getBalance({ address: contractAddress }), value)
    })

    test('a frame that fails takes the escrow and the task back', async () => {
        const value = await quote(LEFT)
        const free = await deploy(wallet, artifact, [terms()])
        const before = await tasks.read('count')
        const receipt = await free.write('hireInAFailingFrame', [terms()], { value })
        assert.deepEqual(receipt.logs, [])
        assert.equal(await publicClient.getBalance({ address: free.address }), value)
        assert.equal(await errorName(free.write('hireAndFail', [terms()], { value })), 'Undone')
        assert.equal(await tasks.read('count'), before)
    })
})

describe('a module refuses a contract', () => {
    const call = (functionName, args) => encodeFunctionData({ abi: tasks.abi, functionName, args })
    const views = () => call('count', [])
    const write = () => call('cancel', [1n])

    /** Tries a call in eth_call and in a transaction, which both must give the same; what came back. */
    async function attempt(kind, { input, value = 0n, gas = 0n, module = modules.tasks }) {
        const args = [kind, module, value, gas, input]
        const request = { address: buyer.address, abi: buyer.abi, functionName: 'attempt', args, value, account: wallet.account }
        const { result } = await publicClient.simulateContract(request)
        const receipt = await buyer.write('attempt', args, { value, gas: 1_000_000n })
        if (!result[0]) assert.deepEqual(receipt.logs, [], 'what is refused leaves no log')
        const reason = result[0] || result[1] === '0x' ? null : decodeErrorResult({ abi: ERROR, data: result[1] }).args[0]
        return { ok: result[0], data: result[1], reason, receipt }
    }

    for (const kind of ['delegatecall', 'callcode']) {
        test(`${kind}, views too`, async () => {
            for (const input of [views(), write()]) {
                const { ok, reason } = await attempt(kind, { input })
                assert.equal(ok, false)
                assert.match(reason, /^delegatecall_refused: /)
            }
        })
    }

    test('writes by staticcall; views are answered', async () => {
        assert.match((await attempt('staticcall', { input: write() })).reason, /^read_only: /)
        const { ok, data } = await attempt('staticcall', { input: views() })
        assert.equal(ok, true)
        assert.ok(decodeFunctionResult({ abi: tasks.abi, functionName: 'count', data }) >= 0n)
    })

    test('coins to views, to functions that take none, and without a function', async () => {
        const held = await publicClient.getBalance({ address: modules.tasks })
        const mine = await publicClient.getBalance({ address: buyer.address })
        assert.match((await attempt('call', { input: views(), value: 5n })).reason, /^not_payable: /)
        assert.match((await attempt('call', { input: write(), value: 5n })).reason, /^not_payable: /)
        assert.match((await attempt('call', { input: '0x', value: 5n })).reason, /^unknown_function: /)
        assert.equal(await publicClient.getBalance({ address: buyer.address }), mine + 15n, 'they stayed with the caller')
        assert.ok((await publicClient.getBalance({ address: modules.tasks })) <= held)
    })

    test('functions that are not there, and arguments that are no values', async () => {
        assert.match((await attempt('call', { input: '0xdeadbeef' })).reason, /^unknown_function: /)
        assert.match((await attempt('call', { input: write().slice(0, -2) })).reason, /^malformed_call: /)
        const far = `${call('create', [terms()]).slice(0, 10)}${'f'.repeat(64)}`
        assert.match((await attempt('call', { input: far })).reason, /^malformed_call: /)
    })

    test('too little gas: it takes what it was given and nothing more', async () => {
        const { ok, data, receipt } = await attempt('call', { input: call('list', [0n, 100n]), gas: 300n })
        assert.deepEqual([ok, data], [false, '0x'])
        assert.equal(receipt.status, 'success', 'the caller goes on with what it kept')
        const ample = await attempt('call', { input: call('list', [0n, 100n]), gas: 900_000n })
        assert.ok(receipt.gasUsed < ample.receipt.gasUsed)
    })

    test('too small an escrow, and a stranger to a task', { skip }, async () => {
        const value = (await quote(LEFT)) - 1n
        assert.equal(await errorName(buyer.write('hire', [terms()], { value })), 'below the quote')
        const { reason } = await attempt('call', { input: call('create', [terms()]), value })
        assert.match(reason, /^escrow_below_price: /)
        assert.match((await attempt('call', { input: call('cancel', [2n ** 60n]) })).reason, /^unknown_task: /)
    })
})
