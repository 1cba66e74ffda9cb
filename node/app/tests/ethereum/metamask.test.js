// What MetaMask asks before it shows a confirmation, call by call, and a transaction with the values that it makes of it:
// gas-fee-controller 6.1.2 (fees from the history), gas-fee-controller 26.3.1 (fees of a custom network) and
// transaction-controller 69.5.2 (gas, nonce).

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { encodeFunctionData, parseGwei } from 'viem'

import { artifacts } from './artifacts.js'
import { chain, deploy, freshAddress, fundedKey, publicClient, rpc, seen, viemWallet } from './network.js'

/** Its levels: of the rewards at a percentile the median, less some, but at least so much; and a part of the base fee. */
const LEVELS = {
    low: { percentile: 10, baseFee: 110n, tip: 94n, least: parseGwei('1') },
    medium: { percentile: 20, baseFee: 120n, tip: 97n, least: parseGwei('1.5') },
    high: { percentile: 30, baseFee: 125n, tip: 98n, least: parseGwei('2') },
}
const PERCENTILES = [10, 20, 30]
const BLOCKS = 5
const MINIMAL = /^0x(0|[1-9a-f][0-9a-f]*)$/

let wallet, me, token
before(async () => {
    wallet = viemWallet(await fundedKey())
    me = wallet.account.address
    token = await deploy(wallet, artifacts.Token, [1_000n])
})

/** The result of a call; an error fails the test. */
async function ask(method, ...params) {
    const { result, error } = await rpc(method, ...params)
    assert.equal(error, undefined, `${method}: ${JSON.stringify(error)}`)
    return result
}

/** A quantity as it must be written: `0x0`, no leading zeros. */
function quantity(text) {
    assert.match(text, MINIMAL)
    return BigInt(text)
}

const bigger = (a, b) => (a > b ? a : b)
const ascending = (a, b) => (a < b ? -1 : Number(a > b))

function medianOf(values) {
    const sorted = [...values].sort(ascending)
    const middle = sorted.length >> 1
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2n
}

/** `eth_blockNumber`, the block of that number, and the fees of the five blocks up to it. */
async function feeHistory() {
    const number = await ask('eth_blockNumber')
    const block = await ask('eth_getBlockByNumber', number, false)
    assert.equal(block.number, number, 'the block of the latest number is there')
    const history = await ask('eth_feeHistory', `0x${BLOCKS.toString(16)}`, number, PERCENTILES)
    return { block, history }
}

function levelsOf(block, { reward }) {
    const levels = Object.entries(LEVELS).map(([name, { percentile, baseFee, tip, least }]) => {
        const column = PERCENTILES.indexOf(percentile)
        const median = medianOf(reward.map((row) => BigInt(row[column])))
        const maxPriorityFeePerGas = bigger((median * tip) / 100n, least)
        const maxFeePerGas = (BigInt(block.baseFeePerGas) * baseFee) / 100n + maxPriorityFeePerGas
        return [name, { maxFeePerGas, maxPriorityFeePerGas }]
    })
    return Object.fromEntries(levels)
}

/** Gas limit that it sets: the estimate for the transaction without its fees, half as much again, at most 90 % of a block. */
async function gasLimit({ from, to, value = '0x0', data }) {
    const { gasLimit: ofBlock } = await ask('eth_getBlockByNumber', 'latest', false)
    const estimate = quantity(await ask('eth_estimateGas', { from, to, value, data }))
    const most = (quantity(ofBlock) * 90n) / 100n
    if (estimate > most) return estimate
    const padded = (estimate * 150n) / 100n
    return padded < most ? padded : most
}

/** The nonce: what the latest block counts, by its number, and what waits. */
async function nextNonce() {
    const number = await ask('eth_blockNumber')
    const latest = quantity(await ask('eth_getTransactionCount', me, number))
    assert.equal(quantity(await ask('eth_getTransactionCount', me, 'pending')), latest)
    return Number(latest)
}

/** Signs and sends as it does, and follows the transaction by its polling calls. */
async function send(transaction) {
    const nonce = await nextNonce()
    const signed = await wallet.account.signTransaction({ chainId: chain.id, nonce, ...transaction })
    const hash = await ask('eth_sendRawTransaction', signed)
    const receipt = await seen('a receipt', () => ask('eth_getTransactionReceipt', hash))
    const block = await ask('eth_getBlockByHash', receipt.blockHash, false)
    assert.ok(block.transactions.includes(hash))
    assert.equal(quantity(await ask('eth_getTransactionCount', me, receipt.blockNumber)), BigInt(nonce) + 1n)
    return { receipt, block }
}

function checkFees({ receipt, block }, { maxFeePerGas, maxPriorityFeePerGas }) {
    assert.equal(receipt.status, '0x1')
    const price = quantity(receipt.effectiveGasPrice)
    const baseFee = quantity(block.baseFeePerGas)
    const tip = maxFeePerGas - baseFee < maxPriorityFeePerGas ? maxFeePerGas - baseFee : maxPriorityFeePerGas
    assert.equal(price, baseFee + tip)
}

describe('MetaMask', () => {
    test('the network is taken for one with a fee market', async () => {
        assert.equal(quantity(await ask('eth_chainId')), BigInt(chain.id))
        assert.equal(await ask('net_version'), String(chain.id))
        const latest = await ask('eth_getBlockByNumber', 'latest', false)
        assert.ok(quantity(latest.baseFeePerGas) > 0n)
        assert.ok(latest.transactions.every((hash) => typeof hash === 'string'))
    })

    test('the fee history has the shape that it reads', async () => {
        const { block, history } = await feeHistory()
        const oldest = quantity(history.oldestBlock)
        const count = history.gasUsedRatio.length
        assert.equal(count, Math.min(BLOCKS, Number(quantity(block.number)) + 1))
        assert.equal(oldest + BigInt(count) - 1n, quantity(block.number))
        assert.equal(history.baseFeePerGas.length, count + 1, 'one more for the next block')
        assert.equal(quantity(history.baseFeePerGas[count - 1]), quantity(block.baseFeePerGas))
        assert.ok(history.gasUsedRatio.every((ratio) => typeof ratio === 'number' && ratio >= 0 && ratio <= 1))
        assert.equal(history.reward.length, count)
        for (const rewards of history.reward) {
            assert.equal(rewards.length, PERCENTILES.length, 'blocks without transactions too')
            const fees = rewards.map(quantity)
            assert.deepEqual(fees, [...fees].sort(ascending))
        }
    })

    test('long histories, asked for in chunks of 1024 blocks, may come shorter', async () => {
        const number = quantity(await ask('eth_blockNumber'))
        const history = await ask('eth_feeHistory', '0x400', `0x${number.toString(16)}`, PERCENTILES)
        const count = BigInt(history.reward.length)
        assert.ok(count > 5n && count <= 1024n)
        assert.equal(history.gasUsedRatio.length, history.reward.length)
        assert.equal(quantity(history.oldestBlock), number + 1n - count)
    })

    for (const level of Object.keys(LEVELS)) {
        test(`a transfer at its level '${level}' is mined at the price that it showed`, async () => {
            const { block, history } = await feeHistory()
            const fees = levelsOf(block, history)[level]
            const to = freshAddress()
            assert.equal(await ask('eth_getCode', to, 'latest'), '0x', 'no contract: its gas is fixed')
            assert.equal(quantity(await ask('eth_estimateGas', { from: me, to, value: '0x7' })), 21_000n)
            const sent = await send({ type: 'eip1559', to, value: 7n, gas: 21_000n, ...fees })
            checkFees(sent, fees)
            assert.equal(quantity(await ask('eth_getBalance', to, 'latest')), 7n)
        })
    }

    test('a call of a contract: its estimate, half as much again', async () => {
        const to = token.address
        const data = encodeFunctionData({ abi: token.abi, functionName: 'transfer', args: [freshAddress(), 3n] })
        assert.notEqual(await ask('eth_getCode', to, 'latest'), '0x')
        const gas = await gasLimit({ from: me, to, data })
        const { block, history } = await feeHistory()
        const fees = levelsOf(block, history).medium
        const sent = await send({ type: 'eip1559', to, data, gas, ...fees })
        checkFees(sent, fees)
        assert.equal(sent.receipt.logs.length, 1)
        assert.ok(quantity(sent.receipt.gasUsed) <= (gas * 2n) / 3n, 'the estimate alone would have done')
    })

    test('a custom network: eth_gasPrice is both fees', async () => {
        const price = quantity(await ask('eth_gasPrice'))
        const fees = { maxFeePerGas: price, maxPriorityFeePerGas: price }
        const sent = await send({ type: 'eip1559', to: freshAddress(), value: 1n, gas: 21_000n, ...fees })
        checkFees(sent, fees)
        const legacy = await send({ type: 'legacy', to: freshAddress(), value: 1n, gas: 21_000n, gasPrice: price })
        assert.equal(quantity(legacy.receipt.effectiveGasPrice), price)
    })

    test('other wallets: eth_maxPriorityFeePerGas over twice the base fee', async () => {
        const tip = quantity(await ask('eth_maxPriorityFeePerGas'))
        const { baseFeePerGas } = await publicClient.getBlock()
        const fees = { maxFeePerGas: 2n * baseFeePerGas + tip, maxPriorityFeePerGas: tip }
        checkFees(await send({ type: 'eip1559', to: freshAddress(), value: 1n, gas: 21_000n, ...fees }), fees)
    })

    test('what would fail is told before it is sent', async () => {
        const data = encodeFunctionData({ abi: token.abi, functionName: 'redeem', args: [11n] })
        const { error } = await rpc('eth_estimateGas', { from: me, to: token.address, value: '0x0', data })
        assert.equal(error.code, 3)
        assert.equal(error.message, 'execution reverted: redeem a multiple of ten')
        const poor = await rpc('eth_estimateGas', { from: freshAddress(), to: me, value: '0x1' })
        assert.match(poor.error.message, /insufficient funds/)
    })
})
