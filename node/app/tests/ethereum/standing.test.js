// Contracts that tools expect at the same addresses on every chain: they are there from block 0.

import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { concat, getContractAddress, keccak256, pad, toHex } from 'viem'

import { fundedKey, publicClient, viemWallet } from './network.js'

/** Where Foundry, Hardhat and hardhat-deploy create with a salt, and where Safe's tools do. */
const FACTORIES = ['0x4e59b44847b379578588920cA78FbF26c0B4956C', '0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7']
/** Where viem, wagmi and ethers batch reads. */
const MULTICALL = '0xcA11bde05977b3631167028862bE2a173976CA11'
/** Creation code of a contract whose code is one STOP. */
const CREATION = '0x60016000f3'

let wallet
before(async () => {
    wallet = viemWallet(await fundedKey())
})

for (const from of FACTORIES) {
    test(`${from} creates at the address that salt and code give`, async () => {
        const salt = pad(toHex(7), { size: 32 })
        const hash = await wallet.sendTransaction({ to: from, data: concat([salt, CREATION]) })
        assert.equal((await publicClient.waitForTransactionReceipt({ hash })).status, 'success')
        const address = getContractAddress({ opcode: 'CREATE2', from, salt, bytecodeHash: keccak256(CREATION) })
        assert.equal(await publicClient.getCode({ address }), '0x00')
    })
}

test('many reads are one call', async () => {
    const { address } = wallet.account
    const abi = [
        {
            type: 'function',
            name: 'getEthBalance',
            inputs: [{ type: 'address' }],
            outputs: [{ type: 'uint256' }],
            stateMutability: 'view',
        },
    ]
    const read = { address: MULTICALL, abi, functionName: 'getEthBalance', args: [address] }
    const found = await publicClient.multicall({ multicallAddress: MULTICALL, contracts: [read, read] })
    const balance = await publicClient.getBalance({ address })
    assert.deepEqual(found.map(({ result }) => result), [balance, balance])
})
