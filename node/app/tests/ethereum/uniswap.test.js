// Uniswap v2 as its packages carry it, bytecode of 2020 included: a factory, its pairs, the router.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { before, describe, test } from 'node:test'
import { Contract, Signature } from 'ethers'
import { concat, getCreate2Address, isAddressEqual, keccak256, parseEther, parseEventLogs, zeroAddress } from 'viem'

import { artifacts } from './artifacts.js'
import { chain, contract, deploy, errorName, ethersWallet, fundedKey, provider, publicClient, viemWallet } from './network.js'

const require = createRequire(import.meta.url)
const core = (name) => {
    const { abi, evm } = require(`@uniswap/v2-core/build/${name}.json`)
    return { abi, bytecode: `0x${evm.bytecode.object}` }
}
const periphery = (name) => {
    const { abi, bytecode } = require(`@uniswap/v2-periphery/build/${name}.json`)
    return { abi, bytecode: bytecode.startsWith('0x') ? bytecode : `0x${bytecode}` }
}

const SUPPLY = parseEther('1000000')
const NEVER = 2n ** 256n - 1n
/** Liquidity that the first deposit locks for ever. */
const LOCKED = 1_000n
const PAIR = core('UniswapV2Pair')
/**
 * More than anything here needs. A pair sums its prices up when a second has passed: a transaction in a later second than
 * its estimate's needs more gas than that, here as on any chain.
 */
const AMPLE = { gas: 400_000n }

/** What a swap gives: 0.3 % stay with the pair. */
function swapped(amount, reserveIn, reserveOut) {
    const paid = amount * 997n
    return (paid * reserveOut) / (reserveIn * 1_000n + paid)
}

function root(square) {
    let found = BigInt(Math.floor(Math.sqrt(Number(square))))
    while (found * found > square) found -= 1n
    while ((found + 1n) * (found + 1n) <= square) found += 1n
    return found
}

describe('Uniswap v2', () => {
    let wallet, me, factory, weth, router, gold, silver, pair
    before(async () => {
        wallet = viemWallet(await fundedKey())
        me = wallet.account.address
        factory = await deploy(wallet, core('UniswapV2Factory'), [me])
        weth = await deploy(wallet, periphery('WETH9'))
        router = await deploy(wallet, periphery('UniswapV2Router02'), [factory.address, weth.address])
        for (const token of [(gold = await deploy(wallet, artifacts.Token, [SUPPLY])), (silver = await deploy(wallet, artifacts.Token, [SUPPLY]))]) {
            await token.write('approve', [router.address, NEVER])
        }
        const args = [gold.address, silver.address, 40_000n, 90_000n, 0n, 0n, me, NEVER]
        const receipt = await router.write('addLiquidity', args)
        const [created] = parseEventLogs({ abi: factory.abi, logs: receipt.logs, eventName: 'PairCreated' })
        pair = contract(wallet, created.args[2], PAIR.abi)
        const minted = parseEventLogs({ abi: PAIR.abi, logs: receipt.logs, eventName: 'Mint' })
        assert.deepEqual(minted.map(({ args }) => [args.amount0, args.amount1].sort()), [[40_000n, 90_000n]])
    })
    const reserves = async () => {
        const [[first, second], token] = await Promise.all([pair.read('getReserves'), pair.read('token0')])
        return isAddressEqual(token, gold.address) ? [first, second] : [second, first]
    }
    const constant = async () => (await reserves()).reduce((product, reserve) => product * reserve)
    const eventNamed = (receipt, name) => parseEventLogs({ abi: PAIR.abi, logs: receipt.logs, eventName: name })

    test('a pair is where CREATE2 puts it, and is made once', async () => {
        const tokens = [gold.address, silver.address].sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1))
        const from = factory.address
        const expected = getCreate2Address({ from, salt: keccak256(concat(tokens)), bytecode: PAIR.bytecode })
        assert.ok(isAddressEqual(pair.address, expected))
        assert.ok(isAddressEqual(await factory.read('getPair', tokens), expected))
        assert.equal(await errorName(factory.write('createPair', tokens)), 'UniswapV2: PAIR_EXISTS')
        assert.equal(await pair.read('totalSupply'), root(40_000n * 90_000n))
        assert.equal(await pair.read('balanceOf', [me]), root(40_000n * 90_000n) - LOCKED)
        assert.equal(await pair.read('balanceOf', [zeroAddress]), LOCKED)
    })

    test('a swap gives what the formula says, and no more', async () => {
        const [before, held, product] = [await reserves(), await silver.read('balanceOf', [me]), await constant()]
        const path = [gold.address, silver.address]
        const gives = swapped(1_000n, ...before)
        assert.deepEqual(await router.read('getAmountsOut', [1_000n, path]), [1_000n, gives])
        const greedy = router.write('swapExactTokensForTokens', [1_000n, gives + 1n, path, me, NEVER])
        assert.equal(await errorName(greedy), 'UniswapV2Router: INSUFFICIENT_OUTPUT_AMOUNT')
        assert.equal(await errorName(router.write('swapExactTokensForTokens', [1_000n, 0n, path, me, 1n])), 'UniswapV2Router: EXPIRED')
        const receipt = await router.write('swapExactTokensForTokens', [1_000n, gives, path, me, NEVER], AMPLE)
        const [swap] = eventNamed(receipt, 'Swap')
        const { amount0In, amount1In, amount0Out, amount1Out } = swap.args
        assert.deepEqual([amount0In + amount1In, amount0Out + amount1Out], [1_000n, gives])
        assert.equal((await silver.read('balanceOf', [me])) - held, gives)
        assert.deepEqual(await reserves(), [before[0] + 1_000n, before[1] - gives])
        assert.ok((await constant()) > product, 'the fee stays with the pair')
        const sync = eventNamed(receipt, 'Sync')[0].args
        assert.deepEqual([sync.reserve0, sync.reserve1], (await pair.read('getReserves')).slice(0, 2))
    })

    test('a pair that is called without the router holds its invariant', async () => {
        await gold.write('transfer', [pair.address, 500n])
        const [inGold, inSilver] = await reserves()
        const gives = swapped(500n, inGold, inSilver)
        const silverFirst = isAddressEqual(await pair.read('token0'), silver.address)
        const take = (amount) => [...(silverFirst ? [amount, 0n] : [0n, amount]), me, '0x']
        assert.equal(await errorName(pair.write('swap', take(gives + 1n))), 'UniswapV2: K')
        await pair.write('swap', take(gives), AMPLE)
        assert.deepEqual(await reserves(), [inGold + 500n, inSilver - gives])
    })

    test('native coins are swapped through their wrapper', async () => {
        const [coins, tokens] = [parseEther('2'), 500_000n]
        await router.write('addLiquidityETH', [gold.address, tokens, 0n, 0n, me, NEVER], { value: coins, gas: 4_000_000n })
        assert.equal(await publicClient.getBalance({ address: weth.address }), coins)
        const path = [weth.address, gold.address]
        const paid = parseEther('0.1')
        const gives = swapped(paid, coins, tokens)
        const held = await gold.read('balanceOf', [me])
        await router.write('swapExactETHForTokens', [gives, path, me, NEVER], { value: paid, ...AMPLE })
        assert.equal((await gold.read('balanceOf', [me])) - held, gives)
        const balance = await publicClient.getBalance({ address: me })
        const back = await router.write('swapExactTokensForETH', [gives, 0n, [...path].reverse(), me, NEVER], AMPLE)
        const fee = back.gasUsed * back.effectiveGasPrice
        const returned = (await publicClient.getBalance({ address: me })) - balance + fee
        assert.ok(returned < paid && returned > (paid * 99n) / 100n, `${returned}`)
        assert.equal(await publicClient.getBalance({ address: weth.address }), coins + paid - returned)
    })

    test('liquidity leaves with its share: ethers, by a permit', async () => {
        const other = ethersWallet(await fundedKey())
        const shares = (await pair.read('balanceOf', [me])) / 2n
        await pair.write('transfer', [other.address, shares])
        const [inGold, inSilver] = await reserves()
        const supply = await pair.read('totalSupply')
        const types = {
            Permit: [
                { name: 'owner', type: 'address' },
                { name: 'spender', type: 'address' },
                { name: 'value', type: 'uint256' },
                { name: 'nonce', type: 'uint256' },
                { name: 'deadline', type: 'uint256' },
            ],
        }
        const domain = { name: 'Uniswap V2', version: '1', chainId: chain.id, verifyingContract: pair.address }
        const permit = { owner: other.address, spender: router.address, value: shares, nonce: 0n, deadline: NEVER }
        const { r, s, v } = Signature.from(await other.signTypedData(domain, types, permit))
        const theirs = new Contract(router.address, router.abi, other)
        const args = [gold.address, silver.address, shares, 0n, 0n, other.address, NEVER, false, v, r, s]
        const receipt = await (await theirs.removeLiquidityWithPermit(...args, { gasLimit: AMPLE.gas })).wait()
        assert.equal(receipt.status, 1)
        const held = (token) => new Contract(token.address, token.abi, provider).balanceOf(other.address)
        const due = [inGold, inSilver].map((reserve) => (reserve * shares) / supply)
        assert.deepEqual([await held(gold), await held(silver)], due)
        assert.deepEqual(await reserves(), [inGold - due[0], inSilver - due[1]])
        assert.equal(await pair.read('balanceOf', [other.address]), 0n)
        const [burnt] = await new Contract(pair.address, pair.abi, provider).queryFilter('Burn', receipt.blockNumber)
        assert.equal(burnt.transactionHash, receipt.hash)
        assert.deepEqual([burnt.args.amount0, burnt.args.amount1].sort(), [...due].sort())
    })
})
