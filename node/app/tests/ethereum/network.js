// The node under test, and clients of it that poll as often as its blocks come.

import assert from 'node:assert/strict'
import { JsonRpcProvider, Wallet, WebSocketProvider } from 'ethers'
import {
    BaseError,
    ContractFunctionRevertedError,
    createPublicClient,
    createWalletClient,
    defineChain,
    http,
    parseEventLogs,
    publicActions,
    webSocket,
} from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'

export const url = process.env.NEURA_URL ?? 'http://127.0.0.1:8545'
const socketUrl = url.replace(/^http/, 'ws')

/** Distance of two looks at the chain, in milliseconds. */
const POLL = 50
/** After this long without what a test waits for, it has failed; in milliseconds. */
const PATIENCE = 100_000

export const chain = defineChain({
    id: 26_770,
    name: 'Neura devnet',
    nativeCurrency: { name: 'ANKR', symbol: 'ANKR', decimals: 18 },
    rpcUrls: { default: { http: [url], webSocket: [socketUrl] } },
})

/** Addresses of the native modules. */
export const modules = {
    providers: '0x4e00000000000000000000000000000000000001',
    requesters: '0x4E00000000000000000000000000000000000002',
    tasks: '0x4e00000000000000000000000000000000000003',
    rewards: '0x4e00000000000000000000000000000000000004',
    staking: '0x4E00000000000000000000000000000000000005',
}

export const publicClient = createPublicClient({ chain, transport: http(url), pollingInterval: POLL })

/** viem's wallet client of a key, which can read too. */
export function viemWallet(key, options = {}) {
    const account = privateKeyToAccount(key, options)
    const client = createWalletClient({ account, chain, transport: http(url), pollingInterval: POLL })
    return client.extend(publicActions)
}

export function viemSocket() {
    return createPublicClient({ chain, transport: webSocket(socketUrl) })
}

export const provider = new JsonRpcProvider(url, chain.id, {
    staticNetwork: true,
    pollingInterval: POLL,
    // By default answers are kept for 250 ms, a nonce too: longer than a block takes here.
    cacheTimeout: -1,
})

/** ethers' wallet of a key. */
export function ethersWallet(key) {
    return new Wallet(key, provider)
}

export function ethersSocket() {
    return new WebSocketProvider(socketUrl, chain.id)
}

/** Key of a new account with 1,000 ANKR, so that no two files of tests meet in one account's nonces. */
export async function fundedKey() {
    const key = generatePrivateKey()
    const { address } = privateKeyToAccount(key)
    const answer = await fetch(`${url}/v1/faucet`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ address }),
    })
    if (!answer.ok) throw new Error(`the faucet answered ${answer.status}: ${await answer.text()}`)
    const { hash } = await answer.json()
    await publicClient.waitForTransactionReceipt({ hash })
    return key
}

/** An account that nobody has used. */
export function freshAddress() {
    return privateKeyToAccount(generatePrivateKey()).address
}

/** Deploys a contract; what it gives reads it, writes to it and reads its events. */
export async function deploy(wallet, { abi, bytecode }, args = []) {
    const hash = await wallet.deployContract({ abi, bytecode, args })
    const { contractAddress: address, status } = await publicClient.waitForTransactionReceipt({ hash })
    assert.equal(status, 'success', 'deployment')
    return contract(wallet, address, abi)
}

/** A contract that is there. */
export function contract(wallet, address, abi) {
    /** Sends a transaction, which must succeed; its receipt. */
    const write = async (functionName, args = [], { client = wallet, ...more } = {}) => {
        const hash = await client.writeContract({ address, abi, functionName, args, ...more })
        const receipt = await publicClient.waitForTransactionReceipt({ hash })
        assert.equal(receipt.status, 'success', functionName)
        return receipt
    }
    return {
        address,
        abi,
        read: (functionName, args = [], at = {}) => publicClient.readContract({ address, abi, functionName, args, ...at }),
        write,
        events: async (...call) => parseEventLogs({ abi, logs: (await write(...call)).logs }),
    }
}

/** The error by which a contract must refuse a call of viem: a custom error's name, or the text. */
export async function errorName(promise) {
    const error = await promise.then(() => assert.fail('it was not refused'), (error) => error)
    const reverted = error instanceof BaseError && error.walk((inner) => inner instanceof ContractFunctionRevertedError)
    assert.ok(reverted, String(error))
    return reverted.data?.errorName === 'Error' ? reverted.reason : (reverted.data?.errorName ?? reverted.reason)
}

/** Looks, as often as blocks come, until there is something to see. */
export async function seen(what, look) {
    for (const end = Date.now() + PATIENCE; Date.now() < end; ) {
        const found = await look()
        if (found) return found
        await new Promise((resolve) => setTimeout(resolve, POLL))
    }
    throw new Error(`still not seen: ${what}`)
}

/** One JSON-RPC call with nothing of a client between; the whole answer. */
export async function rpc(method, ...params) {
    const answer = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    })
    return answer.json()
}

/** Terms of a task that asks for nothing but a provider. */
export function taskTerms(provider, changes = {}) {
    return {
        payload: { locator: `neura:${'ab'.repeat(32)}`, hash: `0x${'ab'.repeat(32)}`, size: 100n },
        envelopeNonce: `0x${'01'.repeat(32)}`,
        provider,
        keyEpoch: 1,
        resultKey: `0x${'09'.repeat(32)}`,
        requirement: { gpuModel: '', gpuMemoryMib: 0, cpuCores: 0, ramMib: 0, diskMib: 0 },
        executor: 'int8',
        durationBlocks: 10n,
        verification: 0,
        privacy: 0,
        ...changes,
    }
}
