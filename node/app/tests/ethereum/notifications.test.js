// Heads and logs over WebSockets, as both clients watch them.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { Interface, zeroPadValue } from 'ethers'

import {
    artifacts,
    ethersSocket,
    freshAddress,
    fundedKey,
    modules,
    publicClient,
    viemSocket,
    viemWallet,
} from './network.js'

const HEADS = 5
const { abi } = artifacts.IRequesters

let wallet
before(async () => {
    wallet = viemWallet(await fundedKey())
})

/** The first `count` values that `subscribe` gives; `subscribe` returns how to end it. */
async function first(count, subscribe) {
    const values = []
    let end
    await new Promise((resolve, reject) => {
        end = subscribe((value) => {
            values.push(value)
            if (values.length === count) resolve()
        }, reject)
    })
    await end()
    return values
}

/** Registers a new account with the requesters' module. */
function register(account, encryptionKey) {
    return account.writeContract({
        address: modules.requesters,
        abi,
        functionName: 'register',
        args: [encryptionKey],
    })
}

/** Closes a socket of ethers, after the answer to its unsubscription, which nobody waits for. */
async function closeEthers(socket) {
    await socket.send('eth_chainId', [])
    await socket.destroy()
}

async function close(client) {
    const socket = await client.transport.getRpcClient()
    socket.close()
}

describe('viem over a WebSocket', () => {
    test('calls and transactions go through it', async () => {
        const client = viemSocket()
        const hash = await wallet.sendTransaction({ to: freshAddress(), value: 1n })
        const receipt = await client.waitForTransactionReceipt({ hash, pollingInterval: 50 })
        assert.equal(receipt.status, 'success')
        await close(client)
    })

    test('heads come without gaps, whole, and can be read at once', async () => {
        const client = viemSocket()
        const blocks = await first(HEADS, (onBlock, onError) =>
            client.watchBlocks({ onBlock, onError, emitMissed: false }))
        for (const [index, block] of blocks.entries()) {
            const same = await client.getBlock({ blockHash: block.hash })
            assert.equal(same.number, block.number)
            assert.equal(same.stateRoot, block.stateRoot)
            if (index > 0) assert.equal(block.number, blocks[index - 1].number + 1n)
        }
        await close(client)
    })

    test('a header that is announced has all of its members', async () => {
        const client = viemSocket()
        const [head] = await first(1, (onData, onError) => {
            const subscribed = client.transport.subscribe({
                params: ['newHeads'],
                onData: ({ result }) => onData(result),
                onError,
            })
            return async () => (await subscribed).unsubscribe()
        })
        const block = await client.request({ method: 'eth_getBlockByHash', params: [head.hash, false] })
        for (const [name, value] of Object.entries(head)) assert.deepEqual(block[name], value, name)
        for (const name of ['parentHash', 'logsBloom', 'baseFeePerGas', 'number', 'timestamp', 'difficulty']) {
            assert.ok(name in head, name)
        }
        await close(client)
    })

    test('logs of a module come as events, filtered by topic', async () => {
        const client = viemSocket()
        const account = viemWallet(await fundedKey())
        const requester = account.account.address
        const encryptionKey = `0x${'11'.repeat(32)}`
        const [[log]] = await first(1, (onLogs, onError) => {
            const watched = { address: modules.requesters, abi, eventName: 'RequesterRegistered', args: { requester } }
            const unwatch = client.watchContractEvent({ ...watched, onLogs, onError })
            // An answer on the same socket says that the subscription before it stands.
            client.getBlockNumber().then(() => register(account, encryptionKey)).catch(onError)
            return unwatch
        })
        assert.deepEqual({ ...log.args }, { requester, encryptionKey })
        assert.equal(log.removed, false)
        await close(client)
    })
})

describe('ethers over a WebSocket', () => {
    test('block numbers come without gaps', async () => {
        const socket = ethersSocket()
        const numbers = await first(HEADS, (onBlock) => {
            socket.on('block', onBlock)
            return () => socket.off('block', onBlock)
        })
        for (const [index, number] of numbers.entries()) assert.equal(number, numbers[0] + index)
        assert.equal((await socket.getBlock(numbers[0])).number, numbers[0])
        await closeEthers(socket)
    })

    test('logs of a module come filtered by topic', async () => {
        const socket = ethersSocket()
        const account = viemWallet(await fundedKey())
        const requester = account.account.address
        const encryptionKey = `0x${'22'.repeat(32)}`
        const contract = new Interface(abi)
        const topics = [contract.getEvent('RequesterRegistered').topicHash, zeroPadValue(requester, 32)]
        const filter = { address: modules.requesters, topics }
        const [log] = await first(1, (onLog, onError) => {
            socket
                .on(filter, onLog)
                .then(() => socket.send('eth_chainId', []))
                .then(() => register(account, encryptionKey))
                .catch(onError)
            return () => socket.off(filter, onLog)
        })
        const event = contract.parseLog(log)
        assert.deepEqual([...event.args], [requester, encryptionKey])
        await closeEthers(socket)
    })
})
