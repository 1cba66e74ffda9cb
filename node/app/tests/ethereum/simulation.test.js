// Overrides, simulated blocks, access lists, traces, the pool: through viem and bare.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { parseEther } from 'viem'

import { freshAddress, fundedKey, publicClient, rpc, viemWallet } from './network.js'

// Stores 1 in slot 2, then returns slot 2.
const CODE = '0x600160025560025460005260206000f3'
const WORD = `0x${'01'.padStart(64, '0')}`

let wallet
let account
before(async () => {
    wallet = viemWallet(await fundedKey())
    account = wallet.account.address
})

describe('overrides', () => {
    test('of code, balance and block reach a call and an estimate', async () => {
        const to = freshAddress()
        const stateOverride = [{ address: to, code: CODE }]
        const { data } = await publicClient.call({ to, stateOverride })
        assert.equal(data, WORD)
        const rich = freshAddress()
        const poor = { account: rich, to: account, value: parseEther('5') }
        await assert.rejects(publicClient.estimateGas(poor))
        const gas = await publicClient.estimateGas({
            ...poor,
            stateOverride: [{ address: rich, balance: parseEther('10') }],
        })
        assert.equal(gas, 21_000n)
        const number = { [to]: { code: '0x4360005260206000f3' } }
        const answer = await rpc('eth_call', { to }, 'latest', number, { number: '0x1234' })
        assert.equal(BigInt(answer.result), 0x1234n)
    })

    test('that make no sense are refused', async () => {
        const both = { [account]: { state: {}, stateDiff: {} } }
        const answer = await rpc('eth_call', { to: account }, 'latest', both)
        assert.match(answer.error.message, /has both 'state' and 'stateDiff'/)
    })
})

describe('simulated blocks', () => {
    test('build on each other and show movements of coins', async () => {
        const to = freshAddress()
        const call = (value) => ({ account, to, value })
        const blocks = await publicClient.simulateBlocks({
            blocks: [{ calls: [call(1n)] }, { calls: [call(2n)] }],
            traceTransfers: true,
        })
        assert.equal(blocks.length, 2)
        assert.equal(blocks[1].number, blocks[0].number + 1n)
        assert.equal(blocks[1].parentHash, blocks[0].hash)
        for (const block of blocks) {
            assert.equal(block.calls[0].status, 'success')
            assert.equal(block.calls[0].logs.length, 1)
        }
        assert.equal(await publicClient.getBalance({ address: to }), 0n)
    })

    test('are refused with the codes of their specification', async () => {
        const send = (value) => ({ calls: [{ from: freshAddress(), to: account, value }] })
        const refused = async (payload) => (await rpc('eth_simulateV1', payload, 'latest')).error.code
        assert.equal(await refused({ blockStateCalls: [] }), -32602)
        assert.equal(await refused({ blockStateCalls: [send('0x1')] }), -38014)
        const far = { blockOverrides: { number: '0xffffffff' } }
        assert.equal(await refused({ blockStateCalls: [far] }), -38026)
    })
})

describe('traces', () => {
    test('of an executed transaction, by each tracer', async () => {
        const hash = await wallet.sendTransaction({ to: freshAddress(), value: 1n })
        const { blockNumber } = await publicClient.waitForTransactionReceipt({ hash })
        const trace = async (tracer, tracerConfig) =>
            (await rpc('debug_traceTransaction', hash, { tracer, tracerConfig })).result
        const call = await trace('callTracer')
        assert.equal(call.type, 'CALL')
        assert.equal(BigInt(call.gasUsed), 21_000n)
        const before = await trace('prestateTracer')
        assert.ok(before[account.toLowerCase()])
        const difference = await trace('prestateTracer', { diffMode: true })
        assert.ok(difference.pre && difference.post)
        assert.deepEqual(await trace('4byteTracer'), {})
        assert.deepEqual((await trace(undefined)).structLogs, [])
        const number = `0x${blockNumber.toString(16)}`
        const block = await rpc('debug_traceBlockByNumber', number, { tracer: 'callTracer' })
        assert.ok(block.result.some((entry) => entry.txHash === hash && entry.result.type === 'CALL'))
        assert.match((await rpc('debug_traceTransaction', hash, { tracer: 'x' })).error.message, /tracer not found/)
    })

    test('in a row, as explorers and cast trace ask for them', async () => {
        const hash = await wallet.sendTransaction({ to: freshAddress(), value: 1n })
        const { blockNumber } = await publicClient.waitForTransactionReceipt({ hash })
        const { result: calls } = await rpc('trace_transaction', hash)
        assert.equal(calls.length, 1)
        assert.equal(calls[0].action.callType, 'call')
        assert.equal(calls[0].transactionHash, hash)
        assert.equal(BigInt(calls[0].blockNumber), blockNumber)
        const { result: block } = await rpc('trace_block', `0x${blockNumber.toString(16)}`)
        assert.ok(block.some((call) => call.transactionHash === hash))
        assert.equal((await rpc('trace_transaction', `0x${'00'.repeat(32)}`)).result, null)
    })

    test('of a call', async () => {
        const to = freshAddress()
        const stateOverrides = { [to]: { code: CODE } }
        const { result } = await rpc('debug_traceCall', { to }, 'latest', { stateOverrides })
        assert.ok(result.structLogs.some((step) => step.op === 'SSTORE'))
        assert.equal(BigInt(result.returnValue), 1n)
    })
})

test('an access list names the words that a call touches', async () => {
    const to = freshAddress()
    const { result } = await rpc('eth_createAccessList', { from: account, to }, 'latest', { [to]: { code: CODE } })
    assert.deepEqual(result.accessList, [{ address: to.toLowerCase(), storageKeys: [`0x${'02'.padStart(64, '0')}`] }])
})

test('what waits for a missing nonce is queued in the pool', async () => {
    const nonce = await publicClient.getTransactionCount({ address: account })
    const hash = await wallet.sendTransaction({ to: account, nonce: nonce + 5, gas: 21_000n })
    const { result } = await rpc('txpool_contentFrom', account)
    assert.equal(result.queued[nonce + 5].hash, hash)
    const { result: all } = await rpc('txpool_status')
    assert.ok(BigInt(all.queued) >= 1n)
    assert.equal(await publicClient.getTransactionCount({ address: account, blockTag: 'pending' }), nonce)
})

test('a transaction can be sent and waited for in one', async () => {
    const other = viemWallet(await fundedKey())
    const request = await other.prepareTransactionRequest({ to: account, value: 1n })
    const serialized = await other.signTransaction(request)
    const { result } = await rpc('eth_sendRawTransactionSync', serialized)
    assert.equal(result.status, '0x1')
})

test('the calls with which MetaMask sets fees', async () => {
    const history = await rpc('eth_feeHistory', '0x5', 'latest', [10, 20, 30])
    assert.equal(history.result.reward.length, 5)
    for (const rewards of history.result.reward) assert.equal(rewards.length, 3)
    const longer = await rpc('eth_feeHistory', `0x${(20_000).toString(16)}`, 'latest', [0, 10, 95])
    const blocks = longer.result.gasUsedRatio.length
    assert.equal(longer.result.baseFeePerGas.length, blocks + 1)
    const { result: block } = await rpc('eth_getBlockByNumber', 'latest', false)
    assert.ok(BigInt(block.baseFeePerGas) > 0n)
    assert.ok(BigInt((await rpc('eth_gasPrice')).result) >= BigInt(block.baseFeePerGas))
})

describe('the block to come', () => {
    // Returns the block's number.
    const NUMBER = '0x435f5260205ff3'

    test('follows the latest, and calls see it', async () => {
        for (const [blockTag, distance] of [['latest', 0n], ['pending', 1n]]) {
            const before = await publicClient.getBlockNumber({ cacheTime: 0 })
            const { data } = await publicClient.call({ data: NUMBER, blockTag })
            const after = await publicClient.getBlockNumber({ cacheTime: 0 })
            const seen = BigInt(data) - distance
            assert.ok(before <= seen && seen <= after, `${blockTag}: ${before} ${seen} ${after}`)
        }
        const { result: pending } = await rpc('eth_getBlockByNumber', 'pending', false)
        const parent = await publicClient.getBlock({ blockHash: pending.parentHash })
        assert.equal(BigInt(pending.number), parent.number + 1n)
        assert.deepEqual([pending.hash, pending.nonce, pending.miner], [null, null, null])
    })
})

describe('a draft', () => {
    test('that is filled in by the node can be signed and sent', async () => {
        const draft = { from: account, to: freshAddress(), value: '0x1' }
        const { tx } = (await rpc('eth_fillTransaction', draft)).result
        const serializedTransaction = await wallet.account.signTransaction({
            type: 'eip1559',
            chainId: Number(tx.chainId),
            nonce: Number(tx.nonce),
            gas: BigInt(tx.gas),
            maxFeePerGas: BigInt(tx.maxFeePerGas),
            maxPriorityFeePerGas: BigInt(tx.maxPriorityFeePerGas),
            to: tx.to,
            value: BigInt(tx.value),
        })
        const hash = await wallet.sendRawTransaction({ serializedTransaction })
        const { status } = await publicClient.waitForTransactionReceipt({ hash })
        assert.equal(status, 'success')
    })
})
