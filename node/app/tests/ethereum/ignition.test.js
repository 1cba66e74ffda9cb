// Hardhat Ignition: a deployment of contracts that need each other, cut short and resumed. The project is in ignition/.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { after, before, test } from 'node:test'
import { getContractAddress, isAddressEqual, parseAbi } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'

import { chain, fundedKey, publicClient, url } from './network.js'

const root = new URL('ignition/', import.meta.url)
const DEPLOYMENT = new URL(`ignition/deployments/chain-${chain.id}/`, root)
const LEDGER = parseAbi(['function total() view returns (uint256)', 'event Noted(address indexed by, uint256 amount, uint256 total)'])

/** A way to the node. What `seen` says of each request decides whether it is passed on, and whether it is answered. */
async function watched(seen) {
    const server = createServer(async (request, response) => {
        const chunks = []
        for await (const chunk of request) chunks.push(chunk)
        const body = Buffer.concat(chunks).toString()
        const { pass = true, then } = seen(body) ?? {}
        if (!pass) return
        const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
        if (then) return then(await answer.json())
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
    })
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    after(() => (server.closeAllConnections(), server.close()))
    return `http://127.0.0.1:${server.address().port}`
}

/** Starts `hardhat ignition`; what it says, and how it ends. */
function ignition(through, ...command) {
    const hardhat = new URL('node_modules/hardhat/internal/cli/bootstrap.js', root).pathname
    const args = [hardhat, 'ignition', ...command, '--network', 'neura']
    const env = {
        ...process.env,
        NEURA_URL: through,
        NEURA_KEYS: key,
        HARDHAT_IGNITION_CONFIRM_DEPLOYMENT: 'true',
        HARDHAT_DISABLE_TELEMETRY_PROMPT: 'true',
    }
    const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text))
    const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, said })))
    return { child, ended }
}

const deploy = (through) => ignition(through, 'deploy', 'ignition/modules/Office.cjs')

const addresses = () => JSON.parse(readFileSync(new URL('deployed_addresses.json', DEPLOYMENT), 'utf8'))
const journal = () => readFileSync(new URL('journal.jsonl', DEPLOYMENT), 'utf8').trim().split('\n').map((line) => JSON.parse(line))

let key, account
before(async () => {
    key = await fundedKey()
    account = privateKeyToAddress(key)
    rmSync(DEPLOYMENT, { recursive: true, force: true })
})

test('a deployment that is killed between two contracts, and as a transaction leaves, is resumed', async () => {
    let running
    let estimates = 0
    const beforeTheSecond = await watched((body) => {
        if (!body.includes('eth_estimateGas') || (estimates += 1) < 2) return {}
        running.child.kill('SIGKILL')
        return { pass: false }
    })
    running = deploy(beforeTheSecond)
    const killed = await running.ended
    assert.equal(killed.signal, 'SIGKILL', killed.said)
    const first = getContractAddress({ from: account, nonce: 0n })
    assert.ok(isAddressEqual(addresses()['Office#Ledger'], first), 'the first contract is there')
    assert.equal(addresses()['Office#Clerk'], undefined)
    assert.equal(await publicClient.getTransactionCount({ address: account }), 1)

    // The second contract's transaction leaves; that it did, Ignition does not learn. It wants to be told the hash.
    let hash
    const asItLeaves = await watched((body) => {
        if (!body.includes('eth_sendRawTransaction')) return {}
        return { then: ({ result }) => ((hash = result), running.child.kill('SIGKILL')) }
    })
    running = deploy(asItLeaves)
    assert.equal((await running.ended).signal, 'SIGKILL')
    await publicClient.waitForTransactionReceipt({ hash })
    const told = await ignition(url, 'track-tx', hash, `chain-${chain.id}`).ended
    assert.equal(told.code, 0, told.said)

    const resumed = await deploy(url).ended
    assert.equal(resumed.code, 0, resumed.said)
    assert.match(resumed.said, /successfully deployed/)
    const { 'Office#Ledger': ledger, 'Office#Clerk': clerk } = addresses()
    assert.ok(isAddressEqual(ledger, first), 'it was not deployed again')
    assert.ok(isAddressEqual(clerk, getContractAddress({ from: account, nonce: 1n })))
    assert.equal(await publicClient.getTransactionCount({ address: account }), 4, 'two contracts and two calls')
    assert.equal(await publicClient.readContract({ address: ledger, abi: LEDGER, functionName: 'total' }), 7n)
    const [noted] = await publicClient.getContractEvents({ address: ledger, abi: LEDGER, fromBlock: 0n })
    assert.ok(isAddressEqual(noted.args.by, clerk))
    const read = journal().find((entry) => entry.type === 'READ_EVENT_ARGUMENT_EXECUTION_STATE_INITIALIZE')
    assert.deepEqual(read.result, { _kind: 'bigint', value: '7' }, 'Ignition read the event')
})

test('a deployment that is whole sends nothing more', async () => {
    assert.ok(existsSync(DEPLOYMENT))
    const again = await deploy(url).ended
    assert.equal(again.code, 0, again.said)
    assert.match(again.said, /Nothing new to deploy/)
    assert.equal(await publicClient.getTransactionCount({ address: account }), 4)
})
