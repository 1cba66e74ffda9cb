// Native modules through their Solidity interfaces, as any contract is used.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { Contract, Interface } from 'ethers'
import { BaseError, ContractFunctionRevertedError, isAddressEqual, parseEther, parseEventLogs } from 'viem'

import { artifacts } from './artifacts.js'
import {
    ethersWallet,
    freshAddress,
    fundedKey,
    modules,
    provider,
    publicClient,
    taskTerms,
    viemWallet,
} from './network.js'

const KEY = `0x${'42'.repeat(32)}`
const ESCROW = parseEther('1')

const interfaces = {
    providers: artifacts.IProviders.abi,
    requesters: artifacts.IRequesters.abi,
    tasks: artifacts.ITasks.abi,
    rewards: artifacts.IRewards.abi,
    staking: artifacts.IStaking.abi,
}
const REGISTER = new Interface(interfaces.requesters).encodeFunctionData('register', [KEY])
const of = (module) => ({ address: modules[module], abi: interfaces[module] })

/** The text of the module's refusal that viem found. */
async function refusalOf(promise) {
    const error = await promise.then(() => assert.fail('it was not refused'), (error) => error)
    assert.ok(error instanceof BaseError, String(error))
    const reverted = error.walk((inner) => inner instanceof ContractFunctionRevertedError)
    assert.ok(reverted, error.message)
    assert.ok(error.message.includes(reverted.reason), 'the reason is in the message that a user sees')
    return reverted.reason
}

describe('views', () => {
    const read = (module, functionName, args = [], at = {}) =>
        publicClient.readContract({ ...of(module), functionName, args, ...at })

    test('every module has code', async () => {
        for (const address of Object.values(modules)) {
            assert.ok((await publicClient.getCode({ address })) !== undefined)
            assert.notEqual(await provider.getCode(address), '0x')
        }
    })

    test('viem reads the validators, now and at genesis', async () => {
        const count = await read('staking', 'count')
        const validators = await read('staking', 'validators', [0n, 100n])
        assert.equal(BigInt(validators.length), count)
        const power = validators.reduce((sum, validator) => sum + validator.power, 0n)
        assert.equal(power, await read('staking', 'totalPower'))
        assert.deepEqual(await read('staking', 'validator', [0n]), validators[0])
        assert.equal(await read('staking', 'count', [], { blockNumber: 1n }), count)
    })

    test('ethers reads the same', async () => {
        const staking = new Contract(modules.staking, interfaces.staking, provider)
        const providers = new Contract(modules.providers, interfaces.providers, provider)
        const tasks = new Contract(modules.tasks, interfaces.tasks, provider)
        const rewards = new Contract(modules.rewards, interfaces.rewards, provider)
        const validators = await staking.validators(0, 100)
        assert.equal(BigInt(validators.length), await staking.count())
        assert.equal(BigInt((await providers.list(0, 100)).length), await providers.count())
        assert.equal(await providers.isRegistered(freshAddress()), false)
        assert.ok((await tasks.list(0, 100)).length <= 100)
        assert.ok((await tasks.count()) >= 0n)
        assert.ok((await rewards.pool()) >= 0n && (await rewards.distributed()) >= 0n)
    })

    test('what is not there is refused with a code and a sentence', async () => {
        assert.match(await refusalOf(read('tasks', 'task', [2n ** 60n])), /^unknown_task: /)
        assert.match(await refusalOf(read('providers', 'provider', [freshAddress()])), /^unknown_provider: /)
        assert.match(await refusalOf(read('requesters', 'requester', [freshAddress()])), /^unknown_requester: /)
        assert.match(await refusalOf(read('staking', 'validator', [1_000n])), /^unknown_validator: /)
        assert.match(await refusalOf(read('tasks', 'list', [0n, 101n])), /^limit_out_of_bounds: /)
    })
})

describe('writes', () => {
    let viem
    let ethers
    before(async () => {
        viem = viemWallet(await fundedKey())
        ethers = ethersWallet(await fundedKey())
    })

    test('viem registers a requester; the estimate suffices and the log is read', async () => {
        const { account } = viem
        const call = { ...of('requesters'), functionName: 'register', args: [KEY], account }
        const gas = await publicClient.estimateContractGas(call)
        const hash = await viem.writeContract({ ...call, gas })
        const receipt = await publicClient.waitForTransactionReceipt({ hash })
        assert.equal(receipt.status, 'success', `${gas} gas was the estimate`)
        assert.ok(gas < (receipt.gasUsed * 11n) / 10n, `${gas} for ${receipt.gasUsed}`)
        const [event] = parseEventLogs({ abi: interfaces.requesters, logs: receipt.logs })
        assert.equal(event.eventName, 'RequesterRegistered')
        assert.deepEqual({ ...event.args }, { requester: account.address, encryptionKey: KEY })
        assert.ok(isAddressEqual(event.address, modules.requesters))
        const found = await publicClient.getContractEvents({
            ...of('requesters'),
            eventName: 'RequesterRegistered',
            args: { requester: account.address },
            fromBlock: 0n,
        })
        assert.deepEqual(found.map((log) => log.transactionHash), [hash])
        const at = (blockNumber) =>
            publicClient.readContract({
                ...of('requesters'),
                functionName: 'isRegistered',
                args: [account.address],
                blockNumber,
            })
        assert.equal(await at(receipt.blockNumber), true)
        assert.equal(await at(receipt.blockNumber - 1n), false)
    })

    test('ethers registers a requester, changes its key, reads the logs', async () => {
        const requesters = new Contract(modules.requesters, interfaces.requesters, ethers)
        const receipt = await (await requesters.register(KEY)).wait()
        assert.equal(receipt.logs[0].fragment.name, 'RequesterRegistered')
        assert.equal(await requesters.rotateKey.staticCall(`0x${'43'.repeat(32)}`), 2n)
        await (await requesters.rotateKey(`0x${'43'.repeat(32)}`)).wait()
        const { keyEpoch, registeredAt, record } = await requesters.requester(ethers.address)
        assert.equal(keyEpoch, 2n)
        assert.equal(Number(registeredAt), receipt.blockNumber)
        assert.deepEqual([...record], [0n, 0n, 0n])
        const events = await requesters.queryFilter(requesters.filters.KeyRotated(ethers.address), 0)
        assert.deepEqual(events.map((event) => event.args.keyEpoch), [2n])
    })

    test('a refused task shows its reason in viem, estimated, simulated and sent', async () => {
        const { account } = viem
        const args = [taskTerms(freshAddress())]
        const call = { ...of('tasks'), functionName: 'create', args, value: ESCROW, account }
        for (const attempt of [
            () => publicClient.simulateContract(call),
            () => publicClient.estimateContractGas(call),
            () => viem.writeContract(call),
        ]) {
            assert.match(await refusalOf(attempt()), /^unknown_provider: /)
        }
        const address = account.address
        const before = await publicClient.getBalance({ address })
        const hash = await viem.writeContract({ ...call, gas: 500_000n })
        const receipt = await publicClient.waitForTransactionReceipt({ hash })
        assert.equal(receipt.status, 'reverted')
        assert.deepEqual(receipt.logs, [])
        const after = await publicClient.getBalance({ address })
        assert.equal(before - after, receipt.gasUsed * receipt.effectiveGasPrice, 'the escrow came back')
    })

    test('a refused task shows its reason in ethers', async () => {
        const tasks = new Contract(modules.tasks, interfaces.tasks, ethers)
        const error = await tasks
            .create(taskTerms(freshAddress()), { value: ESCROW })
            .then(() => assert.fail('it was not refused'), (error) => error)
        assert.equal(error.code, 'CALL_EXCEPTION')
        assert.match(error.reason, /^unknown_provider: /)
        assert.match(error.shortMessage, /unknown_provider/)
        assert.equal(error.revert.name, 'Error')
    })

    test('coins sent along with a function that takes none are refused', async () => {
        const call = { from: ethers.address, to: modules.requesters, data: REGISTER, value: 1n }
        const error = await provider.call(call).catch((error) => error)
        assert.match(error.reason, /^not_payable: /)
    })

    test('calls that are no function of the module are refused', async () => {
        for (const data of ['0x', '0x01', '0xdeadbeef', REGISTER.slice(0, 20)]) {
            const error = await provider.call({ to: modules.requesters, data }).catch((error) => error)
            assert.match(error.reason ?? String(error), /^(unknown_function|malformed_call): /, data)
        }
    })
})
