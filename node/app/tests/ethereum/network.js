// The node under test, and clients of it that poll as often as its blocks come.

import { readFileSync } from 'node:fs'
import { JsonRpcProvider, Wallet, WebSocketProvider } from 'ethers'
import {
    createPublicClient,
    createWalletClient,
    defineChain,
    http,
    publicActions,
    webSocket,
} from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'

export const url = process.env.NEURA_URL ?? 'http://127.0.0.1:8545'
const socketUrl = url.replace(/^http/, 'ws')

/** Distance of two looks at the chain, in milliseconds. */
const POLL = 50

export const chain = defineChain({
    id: 26_770,
    name: 'Neura devnet',
    nativeCurrency: { name: 'ANKR', symbol: 'ANKR', decimals: 18 },
    rpcUrls: { default: { http: [url], webSocket: [socketUrl] } },
})

/** ABI and bytecode of each contract and interface, by name. */
export const artifacts = JSON.parse(readFileSync(new URL('artifacts.json', import.meta.url), 'utf8'))

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
