// A Solidity contract that calls the native modules.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { decodeErrorResult, parseAbi, parseEther, parseEventLogs } from 'viem'

import { artifacts } from './artifacts.js'
import { freshAddress, fundedKey, modules, publicClient, taskTerms, viemWallet } from './network.js'

const { abi, bytecode } = artifacts.Agency
const KEY = `0x${'51'.repeat(32)}`
const ERROR = parseAbi(['error Error(string)'])

let wallet
before(async () => {
    wallet = viemWallet(await fundedKey())
})

async function deploy() {
    const hash = await wallet.deployContract({ abi, bytecode })
    return (await publicClient.waitForTransactionReceipt({ hash })).contractAddress
}

/** Calls a new agency, so that tests do not see each other's writes. */
async function agency() {
    const address = await deploy()
    return {
        address,
        async call(functionName, args, more = {}) {
            const hash = await wallet.writeContract({ address, abi, functionName, args, ...more })
            return publicClient.waitForTransactionReceipt({ hash })
        },
        async peek(functionName, args = []) {
            return (await publicClient.simulateContract({ address, abi, functionName, args })).result
        },
        isRegistered: () =>
            publicClient.readContract({
                address: modules.requesters,
                abi: artifacts.IRequesters.abi,
                functionName: 'isRegistered',
                args: [address],
            }),
        events: (receipt) => parseEventLogs({ abi, logs: receipt.logs }),
    }
}

const reason = (data) => decodeErrorResult({ abi: ERROR, data }).args[0]

describe('a contract as a requester', () => {
    test('registers itself; the log names it', async () => {
        const { address, call, isRegistered } = await agency()
        const receipt = await call('join', [KEY])
        assert.equal(receipt.status, 'success')
        const [event] = parseEventLogs({ abi: artifacts.IRequesters.abi, logs: receipt.logs })
        assert.equal(event.args.requester.toLowerCase(), address)
        assert.equal(await isRegistered(), true)
    })

    test('catches a refusal with its reason and keeps its coins', async () => {
        const { address, call, events } = await agency()
        const value = parseEther('1')
        const receipt = await call('hire', [taskTerms(freshAddress())], { value })
        assert.equal(receipt.status, 'success')
        const [{ eventName, args }] = events(receipt)
        assert.equal(eventName, 'Refused')
        assert.match(args.reason, /^unknown_provider: /)
        assert.equal(receipt.logs.length, 1)
        assert.equal(await publicClient.getBalance({ address }), value)
    })

    const { NEURA_PROVIDER: hired } = process.env
    test('hires a provider and takes the task back', { skip: !hired && 'NEURA_PROVIDER is not set' }, async () => {
        const { address, call, events } = await agency()
        const tasks = { address: modules.tasks, abi: artifacts.ITasks.abi }
        const terms = taskTerms(hired)
        const args = [hired, terms.durationBlocks]
        const value = await publicClient.readContract({ ...tasks, functionName: 'quote', args })
        const receipt = await call('hire', [terms], { value })
        const [{ eventName, args: { taskId, reason } }] = events(receipt)
        assert.equal(eventName, 'Hired', reason)
        const [created] = parseEventLogs({ abi: tasks.abi, logs: receipt.logs, eventName: 'TaskCreated' })
        assert.equal(created.args.taskId, taskId)
        assert.equal(created.args.owner.toLowerCase(), address)
        assert.equal(created.args.escrow, value)
        assert.equal(await publicClient.getBalance({ address }), 0n)
        const task = await publicClient.readContract({ ...tasks, functionName: 'task', args: [taskId] })
        assert.equal(task.escrow, value)
        assert.equal(task.terms.payload.locator, terms.payload.locator)
        const ended = await call('cancel', [taskId])
        const [{ args: end }] = parseEventLogs({ abi: tasks.abi, logs: ended.logs, eventName: 'TaskEnded' })
        assert.equal(end.settlement.refund, value)
        assert.equal(await publicClient.getBalance({ address }), value)
    })
})

describe('reverts', () => {
    test('of the transaction take the write and the log of the module back', async () => {
        const { call, isRegistered } = await agency()
        const receipt = await call('joinAndFail', [KEY], { gas: 1_000_000n })
        assert.equal(receipt.status, 'reverted')
        assert.deepEqual(receipt.logs, [])
        assert.equal(await isRegistered(), false)
    })

    test('of an inner frame take them back while the transaction goes on', async () => {
        const { call, isRegistered } = await agency()
        const receipt = await call('joinInAFailingFrame', [KEY])
        assert.equal(receipt.status, 'success')
        assert.deepEqual(receipt.logs, [])
        assert.equal(await isRegistered(), false)
        assert.equal((await call('join', [KEY])).status, 'success', 'nothing is left of it')
    })
})

describe('calls of other kinds', () => {
    test('DELEGATECALL is refused: a module acts for its caller alone', async () => {
        const { peek, call, isRegistered } = await agency()
        const [ok, data] = await peek('joinByDelegatecall', [KEY])
        assert.equal(ok, false)
        assert.match(reason(data), /^delegatecall_refused: /)
        const receipt = await call('joinByDelegatecall', [KEY])
        assert.deepEqual(receipt.logs, [])
        assert.equal(await isRegistered(), false)
    })

    test('a write by STATICCALL is refused, a view is answered', async () => {
        const { peek } = await agency()
        const [ok, data] = await peek('joinByStaticcall', [KEY])
        assert.equal(ok, false)
        assert.match(reason(data), /^read_only: /)
        const [count, power] = await peek('validators')
        assert.ok(count > 0n && power >= count)
    })

    test('every module has code, as compilers demand', async () => {
        const { peek } = await agency()
        for (const size of await peek('codeSizes')) assert.ok(size > 0n)
    })
})

describe('estimates', () => {
    test('suffice for modules called through a contract, in frames that fail too', async () => {
        const { address } = await agency()
        for (const [functionName, args] of [
            ['joinInAFailingFrame', [KEY]],
            ['hire', [taskTerms(freshAddress())]],
            ['joinByDelegatecall', [KEY]],
            ['join', [KEY]],
        ]) {
            const call = { address, abi, functionName, args, account: wallet.account }
            const gas = await publicClient.estimateContractGas(call)
            const hash = await wallet.writeContract({ ...call, gas })
            const receipt = await publicClient.waitForTransactionReceipt({ hash })
            assert.equal(receipt.status, 'success', functionName)
        }
    })
})
