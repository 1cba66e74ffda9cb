// How the node refuses, and that both clients recognise it.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { BaseError, parseEther, parseGwei } from 'viem'

import { chain, ethersWallet, freshAddress, fundedKey, provider, publicClient, rpc, viemWallet } from './network.js'

const TRANSFER_GAS = 21_000n
const FEES = { maxFeePerGas: parseGwei('5'), maxPriorityFeePerGas: parseGwei('1') }
const NO_FEES = { maxFeePerGas: undefined, maxPriorityFeePerGas: undefined }

let key
let wallet
let ethers
before(async () => {
    key = await fundedKey()
    wallet = viemWallet(key)
    ethers = ethersWallet(key)
    // One nonce is used.
    const hash = await wallet.sendTransaction({ to: freshAddress(), value: 1n })
    await publicClient.waitForTransactionReceipt({ hash })
})

/** A signed transfer, complete but for what the test changes. */
function signed(changes) {
    const base = { to: freshAddress(), value: 1n, nonce: 1, gas: TRANSFER_GAS, chainId: chain.id, type: 'eip1559' }
    return wallet.account.signTransaction({ ...base, ...FEES, ...changes })
}

async function refusal(raw) {
    const { error, result } = await rpc('eth_sendRawTransaction', raw)
    assert.equal(result, undefined)
    return error
}

/** Code and text as geth gives them; `data.code` is the same as in REST. */
const refusals = [
    { what: 'a used nonce', changes: { nonce: 0 }, code: 'nonce_too_low', text: /^nonce too low/ },
    { what: 'a nonce far ahead', changes: { nonce: 1_000_000 }, code: 'nonce_too_high', text: /^nonce too high/ },
    {
        what: 'more than the balance',
        changes: { value: parseEther('2000') },
        code: 'insufficient_funds',
        text: /^insufficient funds for gas \* price \+ value/,
    },
    {
        what: 'too little gas',
        changes: { gas: 20_999n },
        code: 'intrinsic_gas_too_low',
        text: /^intrinsic gas too low/,
    },
    {
        what: 'a fee cap below the base fee',
        changes: { maxFeePerGas: 1n, maxPriorityFeePerGas: 1n },
        code: 'fee_cap_too_low',
        text: /^max fee per gas less than block base fee/,
    },
    {
        what: 'more gas than a block has',
        changes: { gas: 2n ** 40n },
        code: 'gas_limit_too_high',
        text: /gas limit/,
    },
    {
        what: 'no chain',
        changes: { chainId: undefined, type: 'legacy', gasPrice: parseGwei('5'), ...NO_FEES },
        code: 'transaction_unprotected',
        text: /^only replay-protected/,
    },
    {
        what: 'an empty list of authorizations',
        changes: { type: 'eip7702', authorizationList: [] },
        code: 'no_delegations',
        text: /empty auth list/,
    },
    { what: 'another chain', changes: { chainId: 1 }, code: 'wrong_chain_id', text: /^invalid chain id/ },
]

describe('transactions that the node refuses', () => {
    for (const { what, changes, code, text } of refusals) {
        test(what, async () => {
            const error = await refusal(await signed(changes))
            assert.match(error.message, text)
            assert.equal(error.code, -32000)
            assert.equal(error.data.code, code)
        })
    }

    test('one that is known already', async () => {
        // A gap below its nonce keeps it waiting.
        const raw = await signed({ nonce: 3 })
        const { result } = await rpc('eth_sendRawTransaction', raw)
        assert.match(result, /^0x[0-9a-f]{64}$/)
        const error = await refusal(raw)
        assert.equal(error.message, 'already known')
        assert.equal(error.code, -32000)
        assert.equal(error.data.code, 'already_known')
        await assert.rejects(ethers.provider.broadcastTransaction(raw), /already known/)
        await assert.rejects(
            publicClient.sendRawTransaction({ serializedTransaction: raw }),
            /already known/,
        )
    })

    test('bytes that are no transaction', async () => {
        for (const raw of ['0x', '0x02', '0xc0', `0x${'ff'.repeat(200)}`, '0x03c0']) {
            const error = await refusal(raw)
            assert.equal(error.code, -32000, `${raw}: ${JSON.stringify(error)}`)
        }
        for (const raw of ['0x0', 'zz', 7, null]) {
            const error = await refusal(raw)
            assert.equal(error.code, -32602, `${raw}: ${JSON.stringify(error)}`)
        }
    })
})

/** Whether viem found the cause to be of a class. */
function causedBy(name) {
    return (error) => {
        assert.ok(error instanceof BaseError)
        const cause = error.walk((inner) => inner.name === name)
        assert.ok(cause, `${name} is not in: ${error.message}`)
        return true
    }
}

describe('what viem and ethers make of it', () => {
    const send = (changes) =>
        wallet.sendTransaction({ to: freshAddress(), value: 1n, nonce: 1, gas: TRANSFER_GAS, ...FEES, ...changes })
    const sendEthers = ({ gas = TRANSFER_GAS, ...changes }) =>
        ethers.sendTransaction({ to: freshAddress(), value: 1n, nonce: 1, gasLimit: gas, ...FEES, ...changes })

    test('a used nonce', async () => {
        await assert.rejects(send({ nonce: 0 }), causedBy('NonceTooLowError'))
        await assert.rejects(sendEthers({ nonce: 0 }), { code: 'NONCE_EXPIRED' })
    })

    test('a nonce far ahead', async () => {
        await assert.rejects(send({ nonce: 1_000_000 }), causedBy('NonceTooHighError'))
    })

    test('too little balance', async () => {
        const value = parseEther('2000')
        await assert.rejects(send({ value }), causedBy('InsufficientFundsError'))
        await assert.rejects(sendEthers({ value }), { code: 'INSUFFICIENT_FUNDS' })
    })

    test('too little gas', async () => {
        await assert.rejects(send({ gas: 20_000n }), causedBy('IntrinsicGasTooLowError'))
    })

    test('a fee cap below the base fee', async () => {
        await assert.rejects(send({ maxFeePerGas: 1n, maxPriorityFeePerGas: 1n }), causedBy('FeeCapTooLowError'))
    })

    test('a replacement that pays too little', async () => {
        await sendEthers({ nonce: 7 })
        await assert.rejects(sendEthers({ nonce: 7 }), { code: 'REPLACEMENT_UNDERPRICED' })
    })

    test('an estimate for more than the balance', async () => {
        const poor = freshAddress()
        const call = { account: poor, to: freshAddress(), value: 1n }
        await assert.rejects(publicClient.estimateGas(call), causedBy('InsufficientFundsError'))
        await assert.rejects(provider.estimateGas({ from: poor, to: poor, value: 1n }), { code: 'INSUFFICIENT_FUNDS' })
    })

    test('a method that does not exist', async () => {
        const error = (await rpc('eth_mine')).error
        assert.equal(error.code, -32601)
        assert.match(error.message, /does not exist\/is not available/)
        await assert.rejects(publicClient.request({ method: 'eth_mine' }), causedBy('MethodNotFoundRpcError'))
        await assert.rejects(provider.send('eth_mine', []), { code: 'UNSUPPORTED_OPERATION' })
    })

    test('parameters that make no sense', async () => {
        for (const [method, ...params] of [
            ['eth_getBalance'],
            ['eth_getBalance', '0x01', 'latest'],
            ['eth_getBalance', freshAddress(), 'yesterday'],
            ['eth_getBlockByNumber', '0x00zz', false],
            ['eth_getLogs', { fromBlock: '0x5', toBlock: '0x1' }],
            ['eth_feeHistory', '0x2', 'latest', [50, 10]],
        ]) {
            const { error } = await rpc(method, ...params)
            assert.equal(error?.code, -32602, `${method} ${JSON.stringify(params)}: ${JSON.stringify(error)}`)
        }
    })
})
