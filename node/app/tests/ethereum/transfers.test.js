// Reading the chain, fees, transfers of each type, nonces.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { NonceManager } from 'ethers'
import { createPublicClient, http, isHash, keccak256, parseEther, parseGwei } from 'viem'
import { nonceManager } from 'viem/accounts'

import {
    chain,
    ethersWallet,
    freshAddress,
    fundedKey,
    provider,
    publicClient,
    url,
    viemWallet,
} from './network.js'

const GRANT = parseEther('1000')
const TRANSFER_GAS = 21_000n
const PERCENTILES = [10, 50, 90]

let viem
let ethers
before(async () => {
    viem = viemWallet(await fundedKey())
    ethers = ethersWallet(await fundedKey())
})

describe('reading', () => {
    test('both clients see the same chain', async () => {
        assert.equal(await publicClient.getChainId(), chain.id)
        assert.equal((await provider.getNetwork()).chainId, BigInt(chain.id))
        assert.equal(BigInt(await provider.send('net_version', [])), BigInt(chain.id))
        assert.ok((await provider.getBlockNumber()) > 0)
        assert.match(await publicClient.request({ method: 'web3_clientVersion' }), /^neura\//i)
    })

    test('a block is the same by number and by hash, in both clients', async () => {
        const latest = await publicClient.getBlock()
        const byHash = await publicClient.getBlock({ blockHash: latest.hash })
        assert.deepEqual(byHash, latest)
        const parent = await publicClient.getBlock({ blockNumber: latest.number - 1n })
        assert.equal(parent.hash, latest.parentHash)
        assert.ok(parent.timestamp <= latest.timestamp)
        const same = await provider.getBlock(latest.hash)
        assert.equal(BigInt(same.number), latest.number)
        assert.equal(same.hash, latest.hash)
        assert.equal(same.stateRoot, latest.stateRoot)
        assert.equal(same.baseFeePerGas, latest.baseFeePerGas)
        assert.ok(latest.baseFeePerGas > 0n && latest.gasLimit > 0n && latest.size > 0n)
        assert.notEqual(BigInt(latest.mixHash), 0n, 'PREVRANDAO')
    })

    test('the latest block is final', async () => {
        for (const blockTag of ['earliest', 'finalized', 'safe', 'latest']) {
            const block = await publicClient.getBlock({ blockTag })
            assert.ok(isHash(block.hash), blockTag)
        }
        // What was the latest block is final already.
        const latest = await publicClient.getBlock({ blockTag: 'latest' })
        const finalized = await publicClient.getBlock({ blockTag: 'finalized' })
        assert.ok(finalized.number >= latest.number)
    })

    test('the pending block is the one to come, which has no hash yet', async () => {
        const latest = await publicClient.getBlockNumber()
        for (const pending of [await publicClient.getBlock({ blockTag: 'pending' }), await provider.getBlock('pending')]) {
            assert.equal(pending.hash, null)
            assert.ok(BigInt(pending.number) > latest)
            assert.ok(isHash(pending.parentHash))
        }
    })

    test('what is not there is null, which clients know', async () => {
        assert.equal(await provider.getBlock(2 ** 40), null)
        assert.equal(await provider.getTransactionReceipt(keccak256('0x01')), null)
        await assert.rejects(publicClient.getBlock({ blockNumber: 2n ** 40n }), { name: 'BlockNotFoundError' })
        await assert.rejects(publicClient.getTransaction({ hash: keccak256('0x01') }), {
            name: 'TransactionNotFoundError',
        })
    })

    test('balances are read now and at earlier blocks', async () => {
        const to = freshAddress()
        const hash = await viem.sendTransaction({ to, value: 5n })
        const { blockNumber } = await publicClient.waitForTransactionReceipt({ hash })
        assert.equal(await publicClient.getBalance({ address: to }), 5n)
        assert.equal(await publicClient.getBalance({ address: to, blockNumber }), 5n)
        assert.equal(await publicClient.getBalance({ address: to, blockNumber: blockNumber - 1n }), 0n)
        assert.equal(await provider.getBalance(to, Number(blockNumber - 1n)), 0n)
    })

    test('many requests go as one batch', async () => {
        let posts = 0
        const transport = http(url, { batch: { wait: 20 }, onFetchRequest: () => void posts++ })
        const client = createPublicClient({ chain, transport })
        const numbers = Array.from({ length: 50 }, (_, index) => BigInt(index % 2))
        const blocks = await Promise.all(numbers.map((blockNumber) => client.getBlock({ blockNumber })))
        assert.deepEqual(blocks.map((block) => block.number), numbers)
        assert.equal(posts, 1)
    })
})

describe('fees', () => {
    test('viem finds fees of its own and of the history', async () => {
        const { maxFeePerGas, maxPriorityFeePerGas } = await publicClient.estimateFeesPerGas()
        const { baseFeePerGas } = await publicClient.getBlock()
        assert.ok(maxFeePerGas >= baseFeePerGas + maxPriorityFeePerGas)
        assert.ok((await publicClient.getGasPrice()) > 0n)
        const history = await publicClient.getFeeHistory({ blockCount: 4, rewardPercentiles: PERCENTILES })
        assert.equal(history.gasUsedRatio.length, 4)
        assert.equal(history.baseFeePerGas.length, 5)
        assert.deepEqual(history.reward.map((of) => of.length), [3, 3, 3, 3])
    })

    test('block counts come as numbers and as hexadecimal', async () => {
        for (const count of [2, '0x2']) {
            const history = await provider.send('eth_feeHistory', [count, 'latest', []])
            assert.equal(history.baseFeePerGas.length, 3)
            assert.equal(history.reward, undefined)
        }
    })

    test('ethers finds fees', async () => {
        const fees = await provider.getFeeData()
        assert.ok(fees.gasPrice > 0n)
        assert.ok(fees.maxPriorityFeePerGas > 0n)
        assert.ok(fees.maxFeePerGas > fees.maxPriorityFeePerGas)
    })
})

const types = [
    { name: 'legacy', type: 0, fees: { gasPrice: parseGwei('5') } },
    {
        name: 'eip2930',
        type: 1,
        fees: { gasPrice: parseGwei('5'), accessList: [{ address: freshAddress(), storageKeys: [] }] },
    },
    { name: 'eip1559', type: 2, fees: {} },
]

/** Checks a receipt as viem reads it, and that a transfer cost what it says. */
async function checkTransfer(hash, { from, to, value, type }) {
    const receipt = await publicClient.waitForTransactionReceipt({ hash })
    const transaction = await publicClient.getTransaction({ hash })
    const block = await publicClient.getBlock({ blockHash: receipt.blockHash, includeTransactions: true })
    assert.equal(receipt.status, 'success')
    assert.equal(receipt.type, type)
    assert.equal(receipt.from, from.toLowerCase())
    assert.equal(receipt.to, to.toLowerCase())
    assert.equal(receipt.contractAddress, null)
    assert.deepEqual(receipt.logs, [])
    assert.ok(receipt.gasUsed >= TRANSFER_GAS && receipt.cumulativeGasUsed >= receipt.gasUsed)
    assert.ok(receipt.effectiveGasPrice > block.baseFeePerGas, 'the tip is paid')
    assert.equal(transaction.type, type)
    assert.equal(transaction.chainId, chain.id)
    assert.equal(transaction.gasPrice ?? receipt.effectiveGasPrice, receipt.effectiveGasPrice)
    assert.equal(transaction.blockHash, receipt.blockHash)
    const listed = block.transactions[receipt.transactionIndex]
    assert.equal(listed.hash, hash)
    assert.equal(await publicClient.getBalance({ address: to }), value)
    const before = await publicClient.getBalance({ address: from, blockNumber: receipt.blockNumber - 1n })
    const after = await publicClient.getBalance({ address: from, blockNumber: receipt.blockNumber })
    assert.equal(before - after, value + receipt.gasUsed * receipt.effectiveGasPrice)
    const confirmations = await publicClient.getTransactionConfirmations({ hash })
    assert.ok(confirmations >= 1n)
}

describe('transfers', () => {
    for (const { name, type, fees } of types) {
        test(`viem sends a transaction of type ${name}`, async () => {
            const [to, value, from] = [freshAddress(), 1_234n, viem.account.address]
            const hash = await viem.sendTransaction({ to, value, type: name, ...fees })
            await checkTransfer(hash, { from, to, value, type: name })
        })

        test(`ethers sends a transaction of type ${name}`, async () => {
            const [to, value, from] = [freshAddress(), 4_321n, ethers.address]
            const sent = await ethers.sendTransaction({ to, value, type, ...fees })
            const receipt = await sent.wait()
            assert.equal(receipt.status, 1)
            assert.equal(receipt.type, type)
            assert.equal(receipt.fee, receipt.gasUsed * receipt.gasPrice)
            const mined = await provider.getTransaction(sent.hash)
            assert.equal(mined.blockHash, receipt.blockHash)
            assert.equal(mined.from, from)
            await checkTransfer(sent.hash, { from, to, value, type: name })
        })
    }

    test('a raw transaction gives its own hash back', async () => {
        const request = await viem.prepareTransactionRequest({ to: freshAddress(), value: 1n })
        const serializedTransaction = await viem.signTransaction(request)
        const hash = await publicClient.sendRawTransaction({ serializedTransaction })
        assert.equal(hash, keccak256(serializedTransaction))
        await publicClient.waitForTransactionReceipt({ hash })
    })
})

describe('nonces', () => {
    test('the pending nonce counts what waits, the latest only what is done', async () => {
        const wallet = viemWallet(await fundedKey())
        const { address } = wallet.account
        const nonce = (blockTag) => publicClient.getTransactionCount({ address, blockTag })
        const nonces = () => Promise.all([nonce('latest'), nonce('pending')])
        assert.deepEqual(await nonces(), [0, 0])
        const send = (nonce) => wallet.sendTransaction({ to: freshAddress(), value: 1n, nonce, gas: TRANSFER_GAS })
        const second = await send(1)
        assert.deepEqual(await nonces(), [0, 0], 'a gap is not counted')
        const waiting = await publicClient.getTransaction({ hash: second })
        assert.equal(waiting.blockNumber, null)
        assert.equal(waiting.blockHash, null)
        const first = await send(0)
        assert.equal(await nonce('pending'), 2)
        for (const hash of [first, second]) await publicClient.waitForTransactionReceipt({ hash })
        assert.deepEqual(await nonces(), [2, 2])
    })

    test('nonce managers of both clients send many at a time', async () => {
        const count = 20
        const to = freshAddress()
        const wallet = viemWallet(await fundedKey(), { nonceManager })
        const manager = new NonceManager(ethersWallet(await fundedKey()))
        const each = Array.from({ length: count })
        const [hashes, sent] = await Promise.all([
            Promise.all(each.map(() => wallet.sendTransaction({ to, value: 1n }))),
            Promise.all(each.map(() => manager.sendTransaction({ to, value: 1n }))),
        ])
        await Promise.all(hashes.map((hash) => publicClient.waitForTransactionReceipt({ hash })))
        await Promise.all(sent.map((transaction) => transaction.wait()))
        assert.equal(await publicClient.getBalance({ address: to }), BigInt(2 * count))
        assert.equal(await publicClient.getTransactionCount({ address: wallet.account.address }), count)
    })

    test('a waiting transaction is replaced by one that pays more, and its sender learns of it', async () => {
        const wallet = viemWallet(await fundedKey())
        const [cheap, dear] = [freshAddress(), freshAddress()]
        const fees = (gwei) => ({ maxFeePerGas: parseGwei(gwei), maxPriorityFeePerGas: parseGwei('1') })
        const send = (to, nonce, more) =>
            wallet.sendTransaction({ to, value: 1n, nonce, gas: TRANSFER_GAS, ...more })
        // The gap below keeps it waiting.
        await send(cheap, 1, fees('5'))
        await assert.rejects(send(dear, 1, fees('5.1')), /replacement transaction underpriced/)
        const replacement = await send(dear, 1, {
            maxFeePerGas: parseGwei('10'),
            maxPriorityFeePerGas: parseGwei('2'),
        })
        await send(freshAddress(), 0, {})
        await publicClient.waitForTransactionReceipt({ hash: replacement })
        assert.equal(await publicClient.getBalance({ address: cheap }), 0n)
        assert.equal(await publicClient.getBalance({ address: dear }), 1n)
    })

    test('the faucet gave what it said', async () => {
        const key = await fundedKey()
        assert.equal(await publicClient.getBalance({ address: viemWallet(key).account.address }), GRANT)
    })
})
