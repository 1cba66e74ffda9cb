// Random transactions through the node and through anvil: the same bytes give the same receipts, logs, words, balances.
//
// One account signs everything, so that both chains run it in one order. What chains are free to differ in (numbers,
// times, base fees, the proposer) is left out of the contracts. NEURA_SEED repeats a run.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { createRequire } from 'node:module'
import { arch, platform } from 'node:os'
import { after, test } from 'node:test'
import { createPublicClient, getContractAddress, http, parseEther, toHex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { chain, fundedKey, publicClient } from './network.js'

/** Contracts of random code. */
const CONTRACTS = 8
/** Transactions among them: some seconds. */
const TRANSACTIONS = 160
const GAS = 1_500_000n
const FEES = { maxFeePerGas: 20_000_000_000n, maxPriorityFeePerGas: 1_000_000_000n }

const seed = Number(process.env.NEURA_SEED ?? Date.now() % 1_000_000)

/** mulberry32. */
function generator(state) {
    return () => {
        state = (state + 0x6d2b79f5) | 0
        let t = Math.imul(state ^ (state >>> 15), 1 | state)
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
        return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
    }
}

const random = generator(seed)
const below = (bound) => Math.floor(random() * bound)
const pick = (list) => list[below(list.length)]
const bytes = (length) => Array.from({ length }, () => below(256))

/** Random instructions that keep their stack about right. */
class Program {
    code = []
    stack = 0

    push(value) {
        const digits = value.toString(16)
        const raw = Buffer.from(digits.length % 2 ? `0${digits}` : digits, 'hex')
        this.code.push(0x5f + raw.length, ...raw)
        this.stack += 1
    }

    word() {
        return pick([0n, 1n, 2n, 32n, BigInt(below(256)), BigInt(`0x${Buffer.from(bytes(32)).toString('hex')}`), 2n ** 256n - 1n])
    }

    op(opcode, taken = 0, left = 0) {
        while (this.stack < taken) this.push(this.word())
        this.code.push(opcode)
        this.stack += left - taken
    }

    step(targets) {
        const kind = random()
        const offset = () => pick([0n, 0n, 1n, 32n, 64n, 100n])
        if (kind < 0.25) {
            this.op(pick([1, 2, 3, 4, 5, 6, 7, 0x0a, 0x0b, 0x10, 0x11, 0x12, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1a, 0x1b, 0x1c, 0x1d]), 2, 1)
        } else if (kind < 0.35) {
            this.op(pick([0x30, 0x32, 0x33, 0x34, 0x36, 0x38, 0x3d, 0x46, 0x58, 0x59, 0x5a, 0x5f]), 0, 1)
        } else if (kind < 0.6) {
            const slot = BigInt(below(4))
            if (random() < 0.5) {
                this.push(pick([0n, 1n, 2n, this.word()]))
                this.push(slot)
                this.op(pick([0x55, 0x55, 0x5d]), 2)
            } else {
                this.push(slot)
                this.op(pick([0x54, 0x54, 0x5c]), 1, 1)
            }
        } else if (kind < 0.72) {
            this.push(this.word())
            this.push(offset())
            this.op(pick([0x52, 0x53]), 2)
            this.push(offset())
            this.push(offset())
            this.op(0x20, 2, 1)
        } else if (kind < 0.8) {
            const topics = below(5)
            for (let n = 0; n < topics; n += 1) this.push(this.word())
            this.push(offset())
            this.push(offset())
            this.op(0xa0 + topics, topics + 2)
        } else if (kind < 0.93) {
            this.call(targets, offset)
        } else if (kind < 0.97) {
            const opcode = pick([0xf0, 0xf5])
            // PUSH1 n, PUSH0, RETURN: n zeros as code.
            this.push(0x60005ff3n | (BigInt(below(40)) << 16n))
            this.push(0n)
            this.op(0x52, 2)
            if (opcode === 0xf5) this.push(BigInt(below(3)))
            this.push(4n)
            this.push(28n)
            this.push(pick([0n, 0n, 1n]))
            this.op(opcode, opcode === 0xf5 ? 4 : 3, 1)
        } else if (kind < 0.99) {
            this.push(BigInt(pick(targets)))
            this.op(pick([0x31, 0x3b, 0x3f]), 1, 1)
        } else {
            this.push(BigInt(pick(targets)))
            this.op(0xff, 1)
        }
    }

    call(targets, offset) {
        const opcode = pick([0xf1, 0xf1, 0xf2, 0xf4, 0xfa])
        const precompile = toHex(pick([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 16, 17, 256]), { size: 20 })
        this.push(offset())
        this.push(offset())
        this.push(pick([0n, 4n, 32n, 128n, 192n]))
        this.push(offset())
        if (opcode < 0xf3) this.push(pick([0n, 0n, 1n, 1000n]))
        this.push(BigInt(random() < 0.25 ? precompile : pick(targets)))
        if (random() < 0.5) this.op(0x5a, 0, 1)
        else this.push(pick([0n, 2300n, 30_000n, 100_000n]))
        this.op(opcode, opcode < 0xf3 ? 7 : 6, 1)
    }

    static of(steps, targets) {
        const program = new Program()
        for (let n = 0; n < steps; n += 1) program.step(targets)
        const ends = [[0], [0], [0], [0x60, 0x20, 0x5f, 0xf3], [0x60, 0x20, 0x5f, 0xfd], [0xfe]]
        return [...program.code, ...pick(ends)]
    }
}

/** Creation code that leaves `code`. */
function deployer(code) {
    const [high, low] = [code.length >> 8, code.length & 255]
    return Buffer.from([0x61, high, low, 0x80, 0x60, 0x0a, 0x5f, 0x39, 0x5f, 0xf3, ...code])
}

async function freePort() {
    const server = createServer()
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address()
    await new Promise((resolve) => server.close(resolve))
    return port
}

/** A client of an anvil of the same chain id and hardfork. */
async function startAnvil() {
    const machine = { x64: 'amd64', arm64: 'arm64' }[arch()]
    const system = { linux: 'linux', darwin: 'darwin' }[platform()]
    const program = createRequire(import.meta.url).resolve(`@foundry-rs/anvil-${system}-${machine}/bin/anvil`)
    const port = await freePort()
    const options = ['--chain-id', chain.id, '--hardfork', 'osaka', '--gas-limit', '30000000', '--accounts', '0', '--silent']
    const child = spawn(program, ['--port', port, ...options], { stdio: 'ignore' })
    after(() => child.kill('SIGKILL'))
    const client = createPublicClient({ chain, transport: http(`http://127.0.0.1:${port}`), pollingInterval: 20 })
    for (let attempt = 0; ; attempt += 1) {
        const up = await client.getChainId().catch((error) => (attempt < 200 ? null : Promise.reject(error)))
        if (up) return client
        await new Promise((resolve) => setTimeout(resolve, 25))
    }
}

/** The transactions: contracts first, coins for the authorities, then calls, creations, delegations. All but fees and nonces is random. */
async function script(account, authorities) {
    const contracts = Array.from({ length: CONTRACTS }, (_, nonce) => getContractAddress({ from: account.address, nonce: BigInt(nonce) }))
    const people = authorities.map((authority) => authority.address)
    const targets = [...contracts, ...contracts, ...people, account.address, toHex(Uint8Array.from(bytes(20)))]
    const delegated = new Map(people.map((address) => [address, 0]))
    const plan = []
    for (let nonce = 0; nonce < CONTRACTS + TRANSACTIONS; nonce += 1) {
        const base = { chainId: chain.id, nonce, gas: pick([GAS, GAS, GAS, 60_000n, 120_000n]), value: pick([0n, 0n, 1n, 5_000n]) }
        if (nonce < CONTRACTS || (nonce >= CONTRACTS + people.length && random() < 0.05)) {
            const gas = nonce < CONTRACTS ? GAS : base.gas
            // The first contract does nothing but log: no seed leaves events untested.
            const code = nonce === 0 ? [0x5f, 0x5f, 0xa0, 0x00] : Program.of(3 + below(25), targets)
            plan.push({ ...base, ...FEES, type: 'eip1559', gas, data: toHex(deployer(code)) })
            continue
        }
        if (nonce < CONTRACTS + people.length) {
            // anvil takes an account that was called without a value for an existing one: a refund that is not due.
            plan.push({ ...base, ...FEES, type: 'eip1559', to: people[nonce - CONTRACTS], gas: GAS, value: 1_000n })
            continue
        }
        const call = { ...base, to: pick(targets), data: toHex(Buffer.from(bytes(pick([0, 4, 36, 100])))) }
        const accessList = Array.from({ length: below(3) }, () => ({
            address: pick(targets),
            storageKeys: Array.from({ length: below(3) }, () => toHex(below(4), { size: 32 })),
        }))
        const kind = random()
        if (kind < 0.25) plan.push({ ...call, type: 'legacy', gasPrice: FEES.maxFeePerGas })
        else if (kind < 0.45) plan.push({ ...call, type: 'eip2930', gasPrice: FEES.maxFeePerGas, accessList })
        else if (kind < 0.85) plan.push({ ...call, ...FEES, type: 'eip1559', accessList })
        else {
            const authority = pick(authorities)
            const holds = random() < 0.8
            const next = delegated.get(authority.address)
            if (holds) delegated.set(authority.address, next + 1)
            const authorization = await authority.signAuthorization({
                chainId: pick([0, chain.id]),
                contractAddress: pick([...contracts, toHex(0, { size: 20 })]),
                nonce: holds ? next : next + 7,
            })
            plan.push({ ...call, ...FEES, type: 'eip7702', accessList, authorizationList: [authorization], gas: call.gas + 60_000n })
        }
    }
    return { plan, watched: [...new Set(targets)] }
}

/** What of a receipt must not differ. */
function essence({ status, gasUsed, logs, contractAddress, from, to, type, transactionHash }) {
    const events = logs.map(({ address, topics, data }) => ({ address, topics, data }))
    return { status, gasUsed, contractAddress: contractAddress ?? null, from, to: to ?? null, type, transactionHash, events }
}

/** Runs the signed transactions and returns what they did. */
async function run(client, signed, watched, payer) {
    const hashes = []
    for (const serializedTransaction of signed) hashes.push(await client.sendRawTransaction({ serializedTransaction }))
    await client.waitForTransactionReceipt({ hash: hashes.at(-1), timeout: 40_000 })
    const receipts = await Promise.all(hashes.map((hash) => client.getTransactionReceipt({ hash })))
    const fees = receipts.reduce((sum, receipt) => sum + receipt.gasUsed * receipt.effectiveGasPrice, 0n)
    const state = {}
    for (const address of watched) {
        const [balance, nonce, code, ...words] = await Promise.all([
            client.getBalance({ address }),
            client.getTransactionCount({ address }),
            client.getCode({ address }),
            ...[0, 1, 2, 3].map((slot) => client.getStorageAt({ address, slot: toHex(slot) })),
        ])
        state[address] = { balance: balance + (address === payer ? fees : 0n), nonce, code: code ?? '0x', words }
    }
    return { receipts: receipts.map(essence), state }
}

test(`random transactions do on the node what they do on anvil (NEURA_SEED=${seed})`, { timeout: 60_000 }, async () => {
    const anvil = await startAnvil()
    const account = privateKeyToAccount(await fundedKey())
    const authorities = [1, 2].map((n) => privateKeyToAccount(toHex((BigInt(seed) << 8n) + BigInt(n), { size: 32 })))
    const balance = await publicClient.getBalance({ address: account.address })
    assert.ok(balance >= parseEther('100'))
    await anvil.request({ method: 'anvil_setBalance', params: [account.address, toHex(balance)] })
    const { plan, watched } = await script(account, authorities)
    const signed = await Promise.all(plan.map((transaction) => account.signTransaction(transaction)))
    const [ours, theirs] = await Promise.all([publicClient, anvil].map((client) => run(client, signed, watched, account.address)))
    assert.equal(ours.receipts.length, CONTRACTS + TRANSACTIONS)
    for (const [index, receipt] of ours.receipts.entries()) {
        assert.deepEqual(receipt, theirs.receipts[index], `transaction ${index}`)
    }
    assert.deepEqual(ours.state, theirs.state)
    const succeeded = ours.receipts.filter((receipt) => receipt.status === 'success').length
    const events = ours.receipts.reduce((sum, receipt) => sum + receipt.events.length, 0)
    assert.ok(succeeded > 20 && succeeded < plan.length && events > 0, `${succeeded} succeeded, ${events} events`)
})
