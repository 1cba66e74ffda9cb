// Answers against the schemas of Ethereum's execution-apis, as MetaMask publishes them with its own.

import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { createRequire } from 'node:module'
import Ajv from 'ajv'
import { parseEther } from 'viem'

import { fundedKey, publicClient, rpc, viemWallet } from './network.js'

const require = createRequire(import.meta.url)
const specs = require('@metamask/api-specs')
const document = specs.MetaMaskOpenRPCDocument ?? specs.default ?? specs

// The published schemas are older than the member; geth answers with it too.
delete document.components.schemas.Log.additionalProperties

function anyOf(part) {
    return JSON.parse(JSON.stringify(part).replaceAll('"oneOf"', '"anyOf"'))
}

const ajv = new Ajv({ strict: false, allErrors: true })
ajv.addSchema({ $id: 'openrpc', components: anyOf(document.components) })

// An empty list is of each of the kinds that oneOf lists for filters: any of them will do.
function refer(schema) {
    const text = JSON.stringify(schema).replaceAll('"#/components', '"openrpc#/components')
    return anyOf(JSON.parse(text))
}

const results = new Map(document.methods.map((method) => [method.name, refer(method.result.schema)]))

async function conforms(method, ...params) {
    const answer = await rpc(method, ...params)
    assert.equal(answer.error, undefined, `${method}: ${JSON.stringify(answer.error)}`)
    const schema = results.get(method)
    assert.ok(schema, `${method} has no schema`)
    const validate = ajv.compile(schema)
    const problems = () => `${method}: ${ajv.errorsText(validate.errors)}: ${JSON.stringify(answer.result)}`
    assert.ok(validate(answer.result), problems())
    return answer.result
}

let receipt
let account
before(async () => {
    const wallet = viemWallet(await fundedKey())
    account = wallet.account.address
    const hash = await wallet.sendTransaction({ to: account, value: parseEther('1') })
    receipt = await publicClient.waitForTransactionReceipt({ hash })
})

test('the chain at large', async () => {
    for (const method of ['eth_blockNumber', 'eth_chainId', 'eth_gasPrice', 'eth_syncing', 'eth_accounts']) {
        await conforms(method)
    }
    await conforms('eth_feeHistory', '0x5', 'latest', [10, 50, 90])
    await conforms('web3_clientVersion')
})

test('accounts, at every name of a block', async () => {
    const blocks = ['latest', 'safe', 'finalized', 'pending', 'earliest', { blockHash: receipt.blockHash }]
    for (const block of blocks) {
        await conforms('eth_getBalance', account, block)
        await conforms('eth_getTransactionCount', account, block)
        await conforms('eth_getCode', account, block)
        await conforms('eth_getStorageAt', account, '0x0', block)
        await conforms('eth_call', { to: account }, block)
    }
    await conforms('eth_estimateGas', { from: account, to: account, value: '0x1' })
})

test('blocks, transactions, receipts, logs', async () => {
    const number = `0x${receipt.blockNumber.toString(16)}`
    for (const full of [false, true]) {
        await conforms('eth_getBlockByNumber', number, full)
        await conforms('eth_getBlockByHash', receipt.blockHash, full)
    }
    await conforms('eth_getBlockTransactionCountByNumber', number)
    await conforms('eth_getBlockTransactionCountByHash', receipt.blockHash)
    await conforms('eth_getUncleCountByBlockNumber', number)
    await conforms('eth_getUncleCountByBlockHash', receipt.blockHash)
    await conforms('eth_getTransactionReceipt', receipt.transactionHash)
    await conforms('eth_getLogs', { fromBlock: number, toBlock: number })
    const missing = `0x${'00'.repeat(32)}`
    assert.equal(await conforms('eth_getTransactionByHash', missing), null)
    assert.equal(await conforms('eth_getBlockByHash', missing, false), null)
    assert.equal(await conforms('eth_getTransactionReceipt', missing), null)
})

test('filters', async () => {
    for (const [method, ...params] of [
        ['eth_newBlockFilter'],
        ['eth_newPendingTransactionFilter'],
        ['eth_newFilter', { address: account }],
    ]) {
        const filter = await conforms(method, ...params)
        await conforms('eth_getFilterChanges', filter)
        assert.equal(await conforms('eth_uninstallFilter', filter), true)
    }
})
