// A contract of the usual kind: deployed, called, its logs and its reverts read, by each client.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { Contract, ContractFactory } from 'ethers'
import {
    BaseError,
    ContractFunctionRevertedError,
    encodeDeployData,
    encodeFunctionData,
    getContractAddress,
    isAddressEqual,
    numberToHex,
    pad,
    zeroAddress,
} from 'viem'

import { artifacts } from './artifacts.js'
import { ethersWallet, freshAddress, fundedKey, provider, publicClient, rpc, viemWallet } from './network.js'

const { abi, bytecode } = artifacts.Token
const SUPPLY = 1_000_000n

/** The revert that viem found below an error. */
function reverted(error) {
    assert.ok(error instanceof BaseError, String(error))
    const found = error.walk((inner) => inner instanceof ContractFunctionRevertedError)
    assert.ok(found, error.message)
    return found
}

/** Asserts that a promise of viem is rejected by a revert; returns the revert. */
async function revertOf(promise) {
    const error = await promise.then(() => assert.fail('it did not revert'), (error) => error)
    return reverted(error)
}

describe('viem', () => {
    let wallet
    let address
    let deployed
    before(async () => {
        wallet = viemWallet(await fundedKey())
        const hash = await wallet.deployContract({ abi, bytecode, args: [SUPPLY] })
        deployed = await publicClient.waitForTransactionReceipt({ hash })
        address = deployed.contractAddress
    })
    const read = (functionName, args = [], at = {}) =>
        publicClient.readContract({ address, abi, functionName, args, ...at })
    const write = async (functionName, args, more = {}) => {
        const hash = await wallet.writeContract({ address, abi, functionName, args, ...more })
        return publicClient.waitForTransactionReceipt({ hash })
    }

    test('a deployment says where the contract is', async () => {
        assert.equal(deployed.status, 'success')
        assert.equal(deployed.to, null)
        const expected = getContractAddress({ from: wallet.account.address, nonce: 0n })
        assert.ok(isAddressEqual(address, expected))
        assert.ok((await publicClient.getCode({ address })).length > 1_000)
        assert.equal(await publicClient.getCode({ address: freshAddress() }), undefined)
        assert.equal(await read('name'), 'Test token')
        assert.equal(await read('totalSupply'), SUPPLY)
        const slot = await publicClient.getStorageAt({ address, slot: numberToHex(2) })
        assert.equal(BigInt(slot), SUPPLY, 'the third word is the supply')
    })

    test('a transfer moves tokens and leaves a log', async () => {
        const to = freshAddress()
        const receipt = await write('transfer', [to, 250n])
        assert.equal(await read('balanceOf', [to]), 250n)
        const events = await publicClient.getContractEvents({
            address,
            abi,
            eventName: 'Transfer',
            args: { to },
            fromBlock: deployed.blockNumber,
        })
        assert.equal(events.length, 1)
        const [event] = events
        assert.deepEqual({ ...event.args }, { from: wallet.account.address, to, value: 250n })
        assert.equal(event.transactionHash, receipt.transactionHash)
        assert.deepEqual(receipt.logs[0].topics, event.topics)
        assert.equal(receipt.logs[0].logIndex, event.logIndex)
        assert.notEqual(BigInt(receipt.logsBloom), 0n)
        const block = await publicClient.getBlock({ blockHash: receipt.blockHash })
        assert.equal(BigInt(block.logsBloom) & BigInt(receipt.logsBloom), BigInt(receipt.logsBloom))
    })

    test('a call at an earlier block sees the state of then', async () => {
        const to = freshAddress()
        const { blockNumber } = await write('transfer', [to, 7n])
        await write('transfer', [to, 8n])
        assert.equal(await read('balanceOf', [to], { blockNumber: blockNumber - 1n }), 0n)
        assert.equal(await read('balanceOf', [to], { blockNumber }), 7n)
        assert.equal(await read('balanceOf', [to]), 15n)
        const early = { blockNumber: deployed.blockNumber - 1n }
        assert.equal(await publicClient.getCode({ address, ...early }), undefined)
        await assert.rejects(read('totalSupply', [], early), /returned no data/)
    })

    test('filters give what is new', async () => {
        const to = freshAddress()
        const wanted = { eventName: 'Transfer', args: { to }, fromBlock: deployed.blockNumber }
        const filter = await publicClient.createContractEventFilter({ address, abi, ...wanted })
        const blocks = await publicClient.createBlockFilter()
        const { blockHash } = await write('transfer', [to, 3n])
        await write('transfer', [freshAddress(), 3n])
        const values = async () =>
            (await publicClient.getFilterChanges({ filter })).map((log) => log.args.value)
        assert.deepEqual(await values(), [3n])
        assert.deepEqual(await values(), [])
        assert.ok((await publicClient.getFilterChanges({ filter: blocks })).includes(blockHash))
        assert.equal((await publicClient.getFilterLogs({ filter })).length, 1)
        assert.ok(await publicClient.uninstallFilter({ filter }))
        await assert.rejects(publicClient.getFilterChanges({ filter }), /filter not found/)
    })

    test('a custom error is decoded', async () => {
        const { account } = wallet
        const simulate = (functionName, args) =>
            publicClient.simulateContract({ account, address, abi, functionName, args })
        const minting = await revertOf(simulate('mint', [5n]))
        assert.equal(minting.data.errorName, 'MintingClosed')
        assert.deepEqual(minting.data.args, [account.address, 5n])
        // Also when the gas is estimated for sending.
        const overdraft = await revertOf(write('transfer', [freshAddress(), 2n * SUPPLY]))
        assert.equal(overdraft.data.errorName, 'ERC20InsufficientBalance')
        const receiver = await revertOf(write('transfer', [zeroAddress, 1n]))
        assert.equal(receiver.data.errorName, 'ERC20InvalidReceiver')
    })

    test('the text of a require, a panic and a silent revert come through', async () => {
        assert.equal((await revertOf(write('redeem', [11n]))).reason, 'redeem a multiple of ten')
        const panic = await revertOf(read('share', [0n]))
        assert.match(panic.reason, /Division or modulo by zero|division/i)
        assert.equal((await revertOf(read('silent'))).raw ?? '0x', '0x')
    })

    test('a failed transaction has a receipt without logs, and costs gas', async () => {
        const receipt = await write('redeem', [11n], { gas: 100_000n })
        assert.equal(receipt.status, 'reverted')
        assert.deepEqual(receipt.logs, [])
        assert.ok(receipt.gasUsed > 21_000n && receipt.gasUsed < 100_000n)
        const starved = await write('transfer', [freshAddress(), 1n], { gas: 30_000n })
        assert.equal(starved.status, 'reverted')
        assert.equal(starved.gasUsed, 30_000n)
    })

    test('an estimate suffices and is close', async () => {
        const { account } = wallet
        const call = { account, address, abi, functionName: 'transfer', args: [freshAddress(), 1n] }
        const gas = await publicClient.estimateContractGas(call)
        const receipt = await write('transfer', call.args, { gas })
        assert.equal(receipt.status, 'success')
        assert.ok(gas < (receipt.gasUsed * 11n) / 10n, `${gas} for ${receipt.gasUsed}`)
    })

    test('an access list is taken as it is', async () => {
        const accessList = [{ address, storageKeys: [pad('0x02')] }]
        const receipt = await write('transfer', [freshAddress(), 1n], { accessList })
        assert.equal(receipt.status, 'success')
        const transaction = await publicClient.getTransaction({ hash: receipt.transactionHash })
        const [entry] = transaction.accessList
        assert.ok(isAddressEqual(entry.address, address))
        assert.deepEqual(entry.storageKeys, accessList[0].storageKeys)
    })

    test('a call is taken with input, with data, and for a contract that is not there yet', async () => {
        const input = encodeFunctionData({ abi, functionName: 'totalSupply' })
        for (const call of [{ input }, { data: input }, { data: input, input }]) {
            const { result } = await rpc('eth_call', { to: address, ...call }, 'latest')
            assert.equal(BigInt(result), SUPPLY)
        }
        const creation = encodeDeployData({ abi, bytecode, args: [100n] })
        const { result } = await rpc('eth_call', { from: wallet.account.address, input: creation }, 'latest')
        assert.equal(result, await publicClient.getCode({ address }), 'the code that would be there')
        // viem deploys it within the call.
        const supply = await publicClient.readContract({ abi, code: creation, functionName: 'totalSupply' })
        assert.equal(supply, 100n)
    })
})

describe('ethers', () => {
    let wallet
    let token
    before(async () => {
        wallet = ethersWallet(await fundedKey())
        token = await new ContractFactory(abi, bytecode, wallet).deploy(SUPPLY)
        await token.waitForDeployment()
    })

    test('a deployment says where the contract is', async () => {
        const receipt = await token.deploymentTransaction().wait()
        assert.equal(receipt.contractAddress, await token.getAddress())
        assert.equal(await token.symbol(), 'TST')
        assert.equal(await token.balanceOf(wallet.address), SUPPLY)
    })

    test('a transfer moves tokens and leaves a log', async () => {
        const to = freshAddress()
        const receipt = await (await token.transfer(to, 42n)).wait()
        const events = await token.queryFilter(token.filters.Transfer(null, to), receipt.blockNumber, 'latest')
        assert.equal(events.length, 1)
        assert.deepEqual([...events[0].args], [wallet.address, to, 42n])
        assert.equal(receipt.logs[0].fragment.name, 'Transfer')
        assert.equal(await token.balanceOf(to, { blockTag: receipt.blockNumber - 1 }), 0n)
        assert.equal(await token.balanceOf(to), 42n)
    })

    test('a listener hears of a transfer', async () => {
        const to = freshAddress()
        const filter = token.filters.Transfer(null, to)
        const heard = new Promise((resolve) => token.once(filter, (event) => resolve(event.args.value)))
        const receipt = await (await token.transfer(to, 9n)).wait()
        assert.equal(await heard, 9n)
        assert.equal(receipt.status, 1)
    })

    test('custom errors, texts and panics come through', async () => {
        const call = (promise) => promise.then(() => assert.fail('it did not revert'), (error) => error)
        const minting = await call(token.mint(5n))
        assert.equal(minting.code, 'CALL_EXCEPTION')
        assert.equal(minting.revert.name, 'MintingClosed')
        assert.deepEqual([...minting.revert.args], [wallet.address, 5n])
        const overdraft = await call(token.transfer(freshAddress(), 2n * SUPPLY))
        assert.equal(token.interface.parseError(overdraft.data).name, 'ERC20InsufficientBalance')
        assert.equal((await call(token.redeem(11n))).reason, 'redeem a multiple of ten')
        assert.match((await call(token.share(0n))).reason, /DIVIDE_BY_ZERO/)
        assert.equal((await call(token.silent())).data, '0x')
    })

    test('a failed transaction is told by its receipt', async () => {
        const sent = await token.redeem(11n, { gasLimit: 100_000n })
        const error = await sent.wait().then(() => assert.fail('it did not fail'), (error) => error)
        assert.equal(error.code, 'CALL_EXCEPTION')
        assert.equal(error.receipt.status, 0)
        assert.equal((await provider.getTransactionReceipt(sent.hash)).status, 0)
    })

    test('a contract is read through a provider alone', async () => {
        const reader = new Contract(await token.getAddress(), abi, provider)
        assert.equal(await reader.decimals(), 18n)
    })
})
