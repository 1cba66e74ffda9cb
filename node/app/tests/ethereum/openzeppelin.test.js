// OpenZeppelin's contracts in use: permits and votes of an ERC-20, an ERC-721, an ERC-4626 vault, a Governor.

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { ContractFactory, Signature } from 'ethers'
import {
    encodeAbiParameters,
    encodeFunctionData,
    isAddressEqual,
    keccak256,
    parseEventLogs,
    parseSignature,
    toHex,
    zeroAddress,
} from 'viem'

import { artifacts } from './artifacts.js'
import {
    chain,
    deploy,
    errorName,
    ethersWallet,
    freshAddress,
    fundedKey,
    modules,
    publicClient,
    seen,
    viemWallet,
} from './network.js'

const SUPPLY = 1_000_000n
const NEVER = 2n ** 256n - 1n
const PERMIT = {
    Permit: [
        { name: 'owner', type: 'address' },
        { name: 'spender', type: 'address' },
        { name: 'value', type: 'uint256' },
        { name: 'nonce', type: 'uint256' },
        { name: 'deadline', type: 'uint256' },
    ],
}

const permitDomain = (verifyingContract) => ({ name: 'Ballot', version: '1', chainId: chain.id, verifyingContract })

describe('ERC-20 with permits', () => {
    test('viem: an owner without coins approves by a signature, another pays and spends', async () => {
        const wallet = viemWallet(await fundedKey())
        const token = await deploy(wallet, artifacts.Ballot, [SUPPLY])
        const { address } = token
        const owner = viemWallet(`0x${'a7'.repeat(32)}`)
        await token.write('transfer', [owner.account.address, 500n])
        const permit = { owner: owner.account.address, spender: wallet.account.address, value: 400n, nonce: 0n, deadline: NEVER }
        const signed = { domain: permitDomain(address), types: PERMIT, primaryType: 'Permit', message: permit }
        const { r, s, v } = parseSignature(await owner.signTypedData(signed))
        const args = [permit.owner, permit.spender, permit.value, permit.deadline, Number(v), r, s]
        const [approval] = await token.events('permit', args)
        assert.equal(approval.eventName, 'Approval')
        assert.deepEqual({ ...approval.args }, { owner: permit.owner, spender: permit.spender, value: 400n })
        assert.equal(await token.read('nonces', [permit.owner]), 1n)
        assert.equal(await errorName(token.write('permit', args)), 'ERC2612InvalidSigner', 'a permit counts once')

        const to = freshAddress()
        const [moved] = await token.events('transferFrom', [permit.owner, to, 150n])
        assert.deepEqual({ ...moved.args }, { from: permit.owner, to, value: 150n })
        assert.equal(await token.read('allowance', [permit.owner, permit.spender]), 250n)
        assert.equal(await token.read('balanceOf', [permit.owner]), 350n)
        const overdraft = token.write('transferFrom', [permit.owner, to, 251n])
        assert.equal(await errorName(overdraft), 'ERC20InsufficientAllowance')
    })

    test('ethers: approvals, spending and a permit', async () => {
        const owner = ethersWallet(await fundedKey())
        const spender = ethersWallet(await fundedKey())
        const { abi, bytecode } = artifacts.Ballot
        const token = await new ContractFactory(abi, bytecode, owner).deploy(SUPPLY)
        await token.waitForDeployment()
        await (await token.approve(spender.address, 10n)).wait()
        assert.equal(await token.allowance(owner.address, spender.address), 10n)
        const theirs = token.connect(spender)
        const to = freshAddress()
        await (await theirs.transferFrom(owner.address, to, 4n)).wait()
        assert.equal(await token.balanceOf(to), 4n)
        await assert.rejects(theirs.transferFrom(owner.address, to, 7n), (error) => {
            assert.equal(token.interface.parseError(error.data).name, 'ERC20InsufficientAllowance')
            return true
        })

        const address = await token.getAddress()
        const permit = { owner: owner.address, spender: spender.address, value: 99n, nonce: 0n, deadline: NEVER }
        const { r, s, v } = Signature.from(await owner.signTypedData(permitDomain(address), PERMIT, permit))
        const receipt = await (await theirs.permit(owner.address, spender.address, 99n, NEVER, v, r, s)).wait()
        assert.deepEqual([...receipt.logs[0].args], [owner.address, spender.address, 99n])
        assert.equal(await token.allowance(owner.address, spender.address), 99n, 'it replaces the approval')
        assert.equal((await token.eip712Domain()).chainId, BigInt(chain.id))
    })
})

describe('ERC-721', () => {
    test('tokens are minted, approved, moved, and refused to contracts that cannot hold them', async () => {
        const wallet = viemWallet(await fundedKey())
        const friend = viemWallet(await fundedKey())
        const badge = await deploy(wallet, artifacts.Badge)
        const [me, them] = [wallet.account.address, friend.account.address]
        const events = await badge.events('mint', [me, 'neura:first'])
        assert.deepEqual(events.map((event) => event.eventName), ['Transfer', 'MetadataUpdate'])
        assert.deepEqual({ ...events[0].args }, { from: zeroAddress, to: me, tokenId: 1n })
        assert.equal(events[0].topics.length, 4, 'the number is indexed')
        assert.equal(await badge.read('ownerOf', [1n]), me)
        assert.equal(await badge.read('tokenURI', [1n]), 'neura:first')
        assert.equal(await badge.read('supportsInterface', ['0x80ac58cd']), true)

        const byFriend = { client: friend }
        assert.equal(await errorName(badge.write('mint', [them, 'x'], byFriend)), 'OwnableUnauthorizedAccount')
        const take = ['safeTransferFrom', [me, them, 1n]]
        assert.equal(await errorName(badge.write(...take, byFriend)), 'ERC721InsufficientApproval')
        await badge.write('approve', [them, 1n])
        await badge.write(...take, byFriend)
        assert.equal(await badge.read('ownerOf', [1n]), them)
        assert.equal(await badge.read('getApproved', [1n]), zeroAddress)
        assert.equal(await errorName(badge.read('ownerOf', [2n])), 'ERC721NonexistentToken')
        assert.equal(await errorName(badge.write('mint', [badge.address, 'x'])), 'ERC721InvalidReceiver')
        assert.match(await errorName(badge.write('mint', [modules.tasks, 'x'])), /^unknown_function: .*0x150b7a02/)
        assert.equal(await badge.read('minted'), 1n)
    })
})

describe('ERC-4626', () => {
    test('shares follow the assets: deposit, profit, mint, withdraw, redeem', async () => {
        const wallet = viemWallet(await fundedKey())
        const me = wallet.account.address
        const asset = await deploy(wallet, artifacts.Ballot, [SUPPLY])
        const vault = await deploy(wallet, artifacts.Vault, [asset.address])
        await asset.write('approve', [vault.address, NEVER])
        const previewed = await vault.read('previewDeposit', [1_000n])
        const deposit = await vault.write('deposit', [1_000n, me])
        const [{ args: deposited }] = parseEventLogs({ abi: vault.abi, logs: deposit.logs, eventName: 'Deposit' })
        assert.deepEqual({ ...deposited }, { sender: me, owner: me, assets: 1_000n, shares: previewed })
        assert.deepEqual(deposit.logs.map((log) => isAddressEqual(log.address, vault.address)), [false, true, true])
        assert.equal(await vault.read('balanceOf', [me]), 1_000n)

        // Profit makes each share worth more; conversions round for the vault.
        await asset.write('transfer', [vault.address, 500n])
        assert.equal(await vault.read('totalAssets'), 1_500n)
        assert.equal(await vault.read('convertToAssets', [100n]), 149n)
        const cost = await vault.read('previewMint', [10n])
        const [minted] = (await vault.events('mint', [10n, me])).filter((event) => event.eventName === 'Deposit')
        assert.deepEqual([minted.args.assets, minted.args.shares], [cost, 10n])
        const friend = freshAddress()
        const burnt = await vault.read('previewWithdraw', [300n])
        const withdrawal = await vault.events('withdraw', [300n, friend, me])
        const { args } = withdrawal.find((event) => event.eventName === 'Withdraw')
        assert.deepEqual({ ...args }, { sender: me, receiver: friend, owner: me, assets: 300n, shares: burnt })
        assert.equal(await asset.read('balanceOf', [friend]), 300n)
        const limit = await vault.read('maxRedeem', [me])
        assert.equal(await errorName(vault.write('redeem', [limit + 1n, me, me])), 'ERC4626ExceededMaxRedeem')
        await vault.write('redeem', [limit, me, me])
        assert.equal(await vault.read('totalSupply'), 0n)
        assert.ok((await asset.read('balanceOf', [vault.address])) <= 2n, 'what rounding left')
    })
})

describe('Governor with votes and a timelock', () => {
    /** Blocks: enough for voters to send their votes, however quick the chain is. */
    const VOTING_PERIOD = 120
    const ROLES = ['PROPOSER_ROLE', 'CANCELLER_ROLE'].map((name) => keccak256(toHex(name)))
    const STATES = ['Pending', 'Active', 'Canceled', 'Defeated', 'Succeeded', 'Queued', 'Expired', 'Executed']
    const KEY = `0x${'64'.repeat(32)}`
    let wallet, voter, ballot, timelock, governor
    before(async () => {
        wallet = viemWallet(await fundedKey())
        voter = viemWallet(await fundedKey())
        ballot = await deploy(wallet, artifacts.Ballot, [SUPPLY])
        timelock = await deploy(wallet, artifacts.TimelockController, [1n, [], [zeroAddress], wallet.account.address])
        governor = await deploy(wallet, artifacts.Assembly, [ballot.address, timelock.address, VOTING_PERIOD])
        for (const role of ROLES) await timelock.write('grantRole', [role, governor.address])
        await ballot.write('transfer', [voter.account.address, 400_000n])
        await ballot.write('transfer', [timelock.address, 1_000n])
        await ballot.write('delegate', [wallet.account.address])
        await ballot.write('delegate', [voter.account.address], { client: voter })
    })
    const state = async (id) => STATES[await governor.read('state', [id])]
    /** Waits for a state, and makes blocks meanwhile. */
    const becomes = (id, wanted) =>
        seen(`proposal ${wanted}`, async () => {
            if ((await state(id)) === wanted) return true
            const hash = await wallet.sendTransaction({ to: freshAddress(), value: 1n })
            await publicClient.waitForTransactionReceipt({ hash })
        })

    test('a proposal is voted, queued and executed; the timelock acts on a token and on a native module', async () => {
        const to = freshAddress()
        const register = { abi: artifacts.IRequesters.abi, functionName: 'register', args: [KEY] }
        const calls = [
            encodeFunctionData({ abi: ballot.abi, functionName: 'transfer', args: [to, 600n] }),
            encodeFunctionData(register),
        ]
        const text = 'Pay 600 and become a requester'
        const action = [[ballot.address, modules.requesters], [0n, 0n], calls]
        const [proposed] = await governor.events('propose', [...action, text])
        assert.equal(proposed.eventName, 'ProposalCreated')
        const id = proposed.args.proposalId
        const hash = keccak256(toHex(text))
        const types = [{ type: 'address[]' }, { type: 'uint256[]' }, { type: 'bytes[]' }, { type: 'bytes32' }]
        assert.equal(id, BigInt(keccak256(encodeAbiParameters(types, [...action, hash]))))
        assert.equal(await errorName(governor.write('queue', [...action, hash])), 'GovernorUnexpectedProposalState')

        await becomes(id, 'Active')
        const [vote] = await governor.events('castVoteWithReason', [id, 1, 'it is due'])
        assert.deepEqual([vote.eventName, vote.args.weight, vote.args.reason], ['VoteCast', 599_000n, 'it is due'])
        await governor.write('castVote', [id, 0], { client: voter })
        assert.equal(await errorName(governor.write('castVote', [id, 1])), 'GovernorAlreadyCastVote')
        assert.deepEqual(await governor.read('proposalVotes', [id]), [400_000n, 599_000n, 0n])

        await becomes(id, 'Succeeded')
        const queued = await governor.events('queue', [...action, hash])
        assert.ok(queued.some((event) => event.eventName === 'ProposalQueued'))
        const eta = await governor.read('proposalEta', [id])
        await seen('the delay over', async () => (await publicClient.getBlock()).timestamp >= eta)
        const receipt = await governor.write('execute', [...action, hash])
        assert.equal(await state(id), 'Executed')
        assert.equal(await ballot.read('balanceOf', [to]), 600n)
        const [joined] = parseEventLogs({ abi: artifacts.IRequesters.abi, logs: receipt.logs })
        assert.equal(joined.eventName, 'RequesterRegistered')
        assert.ok(isAddressEqual(joined.args.requester, timelock.address), 'the module saw the timelock, not the sender')
        const executed = parseEventLogs({ abi: timelock.abi, logs: receipt.logs, eventName: 'CallExecuted' })
        assert.deepEqual(executed.map((event) => event.args.index), [0n, 1n])
    })

    test('what the voters refuse is defeated and cannot be queued', async () => {
        const action = [[modules.requesters], [0n], ['0x']]
        const [{ args: { proposalId: id } }] = await governor.events('propose', [...action, 'nothing'])
        await becomes(id, 'Active')
        await governor.write('castVote', [id, 0])
        await becomes(id, 'Defeated')
        const queue = governor.write('queue', [...action, keccak256(toHex('nothing'))])
        assert.equal(await errorName(queue), 'GovernorUnexpectedProposalState')
    })
})
