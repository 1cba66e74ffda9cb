// Heads and logs over WebSockets, as both clients watch them.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { Interface, zeroPadValue } from 'ethers'

import { artifacts } from './artifacts.js'
import {
    ethersSocket,
    freshAddress,
    fundedKey,
    modules,
    publicClient,
    viemSocket,
    viemWallet,
} from './network.js'

const HEADS = 5
const HEAD_MEMBERS = ['hash', 'parentHash', 'number', 'timestamp', 'logsBloom', 'baseFeePerGas', 'difficulty']
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

    test('heads come whole and without gaps, and can be read at once', async () => {
        const client = viemSocket()
        const read = []
        const heads = await first(HEADS, (onHead, onError) => {
            const onData = ({ result }) => {
                read.push(client.request({ method: 'eth_getBlockByHash', params: [result.hash, false] }))
                onHead(result)
            }
            const subscribed = client.transport.subscribe({ params: ['newHeads'], onData, onError })
            return async () => (await subscribed).unsubscribe()
        })
        const blocks = await Promise.all(read)
        for (const [index, head] of heads.entries()) {
            for (const name of HEAD_MEMBERS) assert.ok(name in head, name)
            for (const [name, value] of Object.entries(head)) assert.deepEqual(blocks[index][name], value, name)
            if (index > 0) assert.equal(head.parentHash, heads[index - 1].hash)
        }
        await close(client)
    })

    test('watched blocks come whole', async () => {
        const client = viemSocket()
        // viem reads each block that is announced by itself: answers may overtake each other.
        const blocks = await first(HEADS, (onBlock, onError) => client.watchBlocks({ onBlock, onError }))
        const heights = new Set(blocks.map((block) => block.number))
        assert.equal(heights.size, HEADS)
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
