#!/usr/bin/env python3
"""Write a small Ethereum chain through all hardforks, whose roots come from Ethereum's executable specification.

    python3 -m venv VENV && VENV/bin/pip install ethereum-execution==2.20.0
    VENV/bin/python generate_chain.py FOLDER
    neura evm rpc-compat FOLDER

It writes genesis.json and chain.rlp as the suite of execution-apis has them: a hardfork every other block, blocks of miners
with uncles, transactions of each type that a fork has, and withdrawals. Headers prove no work, which importers do not ask.
"""

import argparse
import contextlib
import io
import json
import logging
import pathlib

from coincurve import PrivateKey
from ethereum.crypto.hash import keccak256
from ethereum_rlp import rlp
from ethereum_spec_tools.evm_tools import create_parser
from ethereum_spec_tools.evm_tools.t8n import T8N, ForkCache
from ethereum_types.numeric import U256, Uint

# Name in the genesis file, the specification's name.
FORKS = [
    (None, "Frontier"), ("homesteadBlock", "Homestead"), ("eip150Block", "EIP150"), ("eip158Block", "EIP158"),
    ("byzantiumBlock", "Byzantium"), ("constantinopleBlock", "ConstantinopleFix"), ("istanbulBlock", "Istanbul"),
    ("berlinBlock", "Berlin"), ("londonBlock", "London"), ("mergeNetsplitBlock", "Paris"), ("shanghaiTime", "Shanghai"),
    ("cancunTime", "Cancun"), ("pragueTime", "Prague"), ("osakaTime", "Osaka"),
]
EVERY = 2
SECONDS = 10
NAMES = [name for _, name in FORKS]
MINER, UNCLE = "0x" + "c0" * 20, "0x" + "c1" * 20
SECRETS = [n.to_bytes(32, "big") for n in (0x45A915E4, 0xBEEF, 0xCAFE)]
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
EMPTY = keccak256(rlp.encode(b""))
NO_UNCLES = keccak256(rlp.encode([]))
# Counts its calls at word 0, stores what the block is, and logs.
COUNTER = "0x6000546001016000554360015544600255426003554260005260016000a100"
# Destroys itself in favour of the caller.
MORTAL = "0x33ff"
CONTRACTS = {"0x" + "aa" * 20: COUNTER, "0x" + "ab" * 20: MORTAL}
# The system contracts of EIP-4788, 2935, 7002 and 7251.
SYSTEM = {
    "0x000f3df6d732807ef1319fb7b8bb8522d0beac02": "3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f35801560495762001fff810690815414603c575f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff42064281555f359062001fff015500",
    "0x0000f90827f1c53a10cb7a02335b175320002935": "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500",
    "0x00000961ef480eb55e80d19ad83579a64c007002": "3373fffffffffffffffffffffffffffffffffffffffe1460cb5760115f54807fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff146101f457600182026001905f5b5f82111560685781019083028483029004916001019190604d565b909390049250505036603814608857366101f457346101f4575f5260205ff35b34106101f457600154600101600155600354806003026004013381556001015f35815560010160203590553360601b5f5260385f601437604c5fa0600101600355005b6003546002548082038060101160df575060105b5f5b8181146101835782810160030260040181604c02815460601b8152601401816001015481526020019060020154807fffffffffffffffffffffffffffffffff00000000000000000000000000000000168252906010019060401c908160381c81600701538160301c81600601538160281c81600501538160201c81600401538160181c81600301538160101c81600201538160081c81600101535360010160e1565b910180921461019557906002556101a0565b90505f6002555f6003555b5f54807fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff14156101cd57505f5b6001546002828201116101e25750505f6101e8565b01600290035b5f555f600155604c025ff35b5f5ffd",
    "0x0000bbddc7ce488642fb579f8b00f3a590007251": "3373fffffffffffffffffffffffffffffffffffffffe1460d35760115f54807fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff1461019a57600182026001905f5b5f82111560685781019083028483029004916001019190604d565b9093900492505050366060146088573661019a573461019a575f5260205ff35b341061019a57600154600101600155600354806004026004013381556001015f358155600101602035815560010160403590553360601b5f5260605f60143760745fa0600101600355005b6003546002548082038060021160e7575060025b5f5b8181146101295782810160040260040181607402815460601b815260140181600101548152602001816002015481526020019060030154905260010160e9565b910180921461013b5790600255610146565b90505f6002555f6003555b5f54807fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff141561017357505f5b6001546001828201116101885750505f61018e565b01600190035b5f555f6001556074025ff35b5f5ffd",
}


def address_of(secret):
    return "0x" + keccak256(PrivateKey(secret).public_key.format(False)[1:])[-20:].hex()


PEOPLE = [address_of(secret) for secret in SECRETS]


def raw(number):
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def data(text):
    return bytes.fromhex(text[2:])


def hexed(number):
    return hex(int(number))


def authorization():
    target = "0x" + "aa" * 20
    message = keccak256(b"\x05" + rlp.encode([raw(1), data(target), raw(0)]))
    signature = PrivateKey(SECRETS[1]).sign_recoverable(message, hasher=None)
    r, s, parity = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    if s > ORDER // 2:
        s, parity = ORDER - s, 1 - parity
    return {"chainId": "0x1", "address": target, "nonce": "0x0", "v": hexed(parity), "yParity": hexed(parity), "r": hexed(r), "s": hexed(s),
            "signer": PEOPLE[1]}


def transactions(fork, nonce, base_fee):
    """One of each kind that the fork has."""
    since = NAMES.index
    age = since(fork)
    price = {"gasPrice": hexed(base_fee + 5)}
    dynamic = {"maxFeePerGas": hexed(base_fee * 2 + 5), "maxPriorityFeePerGas": "0x3"}
    access = [{"address": "0x" + "aa" * 20, "storageKeys": ["0x" + "00" * 32]}]
    plain = {"type": "0x0", "value": "0x7", "to": f"0x{0x9000 + nonce:040x}"} | price
    kinds = [
        plain,
        plain | {"type": "0x0", "to": "0x" + "aa" * 20},
        plain | {"type": "0x0", "to": None, "input": "0x60016001f3", "value": "0x0"},
        # Nothing for an address that is not there: an empty account stays there until EIP-161.
        plain | {"to": f"0x{0x7000 + nonce:040x}", "value": "0x0"},
        plain | {"to": "0x" + "ab" * 20, "value": "0x1"},
    ]
    if age >= since("EIP158"):
        kinds.append(plain | {"protected": False})
    if age >= since("Berlin"):
        kinds.append({"type": "0x1", "to": "0x" + "aa" * 20, "value": "0x1", "accessList": access} | price)
    if age >= since("London"):
        kinds.append({"type": "0x2", "to": "0x" + "aa" * 20, "value": "0x1", "accessList": access} | dynamic)
    if age >= since("Cancun"):
        blobs = {"blobVersionedHashes": ["0x01" + "ef" * 31], "maxFeePerBlobGas": hexed(10**9)}
        kinds.append({"type": "0x3", "to": "0x" + "aa" * 20, "value": "0x1", "accessList": []} | dynamic | blobs)
    if age >= since("Prague"):
        signed = {"authorizationList": [authorization()]}
        kinds.append({"type": "0x4", "to": PEOPLE[1], "value": "0x1", "accessList": []} | dynamic | signed)
    shared = {"secretKey": "0x" + SECRETS[0].hex(), "gas": hexed(300_000), "chainId": "0x1", "sender": PEOPLE[0]}
    return [shared | {"input": "0x", "nonce": hexed(nonce + n)} | kind for n, kind in enumerate(kinds)]


def encoded(fork, tx):
    """A transaction as it stands in a block: a list, or the bytes of one with a type."""
    tx = fork._module("transactions").encode_transaction(tx) if fork.has_decode_transaction else tx
    return bytes(tx) if isinstance(tx, (bytes, bytearray)) else rlp.decode(rlp.encode(tx))


def header(fork, parent, number, fields, uncles):
    """The fields of a header in order."""
    is_mined = NAMES.index(fork) < NAMES.index("Paris")
    items = [parent, keccak256(rlp.encode(uncles)), data(fields["miner"]), fields["state"], fields["transactions"], fields["receipts"],
             fields["bloom"], raw(0x20000 if is_mined else 0), raw(number), raw(fields["limit"]), raw(fields["used"]),
             raw(number * SECONDS), fields.get("extra", b""), b"\0" * 32 if is_mined else keccak256(raw(number)), b"\0" * 8]
    items += [raw(fields["base_fee"])] if fields.get("base_fee") is not None else []
    items += [fields["withdrawals"]] if fields.get("withdrawals") is not None else []
    if fields.get("excess") is not None:
        items += [raw(fields["blob_gas"]), raw(fields["excess"]), keccak256(b"beacon")]
    return items + ([fields["requests"]] if fields.get("requests") is not None else [])


class Chain:
    def __init__(self):
        config = {"chainId": 1, "eip155Block": EVERY * 3, "petersburgBlock": EVERY * 5, "terminalTotalDifficulty": 0x20000 * EVERY * 9}
        for index, (name, _) in enumerate(FORKS):
            if name:
                config[name] = index * EVERY * (SECONDS if name.endswith("Time") else 1)
        self.alloc = {person: {"balance": hexed(10**24)} for person in PEOPLE}
        self.alloc |= {address: {"balance": "0x0", "nonce": "0x1", "code": code} for address, code in CONTRACTS.items()}
        self.alloc |= {address: {"balance": "0x0", "nonce": "0x1", "code": "0x" + code} for address, code in SYSTEM.items()}
        self.genesis = {"config": config, "nonce": "0x0", "timestamp": "0x0", "extraData": "0x", "gasLimit": hexed(30_000_000),
                        "difficulty": "0x20000", "alloc": json.loads(json.dumps(self.alloc)), "baseFeePerGas": None}
        self.hashes, self.blocks, self.nonce = [], [], 0
        self.parent = {"limit": 30_000_000, "used": 0, "base_fee": None, "excess": None, "blob_gas": 0}

    def run(self, fork, env, txs, cache):
        nothing = {"balance": "0x0", "nonce": "0x0", "code": "0x", "storage": {}}
        filled = {at: nothing | kept for at, kept in self.alloc.items() if nothing | kept != nothing}
        stdin = io.StringIO(json.dumps({"env": env, "alloc": filled, "txs": txs}))
        options = create_parser().parse_args(["t8n", "--input.alloc", "stdin", "--input.env", "stdin", "--input.txs", "stdin",
                                              "--state.fork", fork])
        run = T8N(options, io.StringIO(), stdin, cache)
        for at in self.alloc.keys() - filled.keys():  # The tool reads no empty accounts.
            empty = run.fork.Account(nonce=Uint(0), balance=U256(0), code=b"")
            run.fork.set_account(run.alloc.state, run.fork.hex_to_address(at), empty)
        for ommer in run.env.ommers:  # The tool asks for what it does not set.
            ommer.number, ommer.coinbase = run.env.block_number - type(run.env.block_number)(ommer.delta), ommer.address
        run.run_blockchain_test()
        assert run.result.block_exception is None and not run.result.rejected, (fork, run.result.block_exception, run.result.rejected)
        return run

    def begin(self, cache):
        env = {"currentCoinbase": MINER, "currentGasLimit": hexed(30_000_000), "currentNumber": "0x0", "currentTimestamp": "0x0",
               "currentDifficulty": "0x20000", "blockHashes": {}, "ommers": []}
        stdin = io.StringIO(json.dumps({"env": env, "txs": [], "alloc": {
            at: {"balance": "0x0", "nonce": "0x0", "code": "0x", "storage": {}} | kept for at, kept in self.alloc.items()}}))
        options = create_parser().parse_args(["t8n", "--input.alloc", "stdin", "--input.env", "stdin", "--input.txs", "stdin",
                                              "--state.fork", "Frontier", "--state.reward", "-1"])
        run = T8N(options, io.StringIO(), stdin, cache)
        run.run_blockchain_test()
        fields = self.parent | {"miner": "0x" + "00" * 20, "state": run.result.state_root, "transactions": EMPTY, "receipts": EMPTY,
                                "bloom": b"\0" * 256}
        self.hashes.append(keccak256(rlp.encode(header("Frontier", b"\0" * 32, 0, fields, []))))

    def add(self, number, cache):
        fork = NAMES[min(number // EVERY, len(NAMES) - 1)]
        age, since = NAMES.index(fork), NAMES.index
        is_mined = age < since("Paris")
        base_fee = self.next_base_fee(age >= since("London"))
        txs = transactions(fork, self.nonce, base_fee or 10**9)
        env = {"currentCoinbase": MINER, "currentGasLimit": hexed(30_000_000), "currentNumber": hexed(number),
               "currentTimestamp": hexed(number * SECONDS), "blockHashes": {hexed(n): "0x" + h.hex() for n, h in enumerate(self.hashes)},
               "ommers": [], "withdrawals": []}
        uncles = []
        if is_mined:
            env["currentDifficulty"] = "0x20000"
            if number % 3 == 0:
                uncles = [header(fork, self.hashes[-2], number - 1, {
                    "miner": UNCLE, "state": b"\0" * 32, "transactions": EMPTY, "receipts": EMPTY, "bloom": b"\0" * 256, "limit": 30_000_000,
                    "used": 0, "extra": b"uncle", "base_fee": 10**9 if len(self.hashes) > EVERY * 8 + 1 and age >= since("London") else None}, [])]
                env["ommers"] = [{"delta": 1, "address": UNCLE}]
        else:
            env["currentRandom"] = "0x" + keccak256(raw(number)).hex()
        if base_fee is not None:
            env["currentBaseFee"] = hexed(base_fee)
        withdrawals = []
        if age >= since("Shanghai"):
            withdrawals = [[raw(number), raw(3), data("0x" + "dd" * 20), raw(77)]]
            env["withdrawals"] = [{"index": hexed(number), "validatorIndex": "0x3", "address": "0x" + "dd" * 20, "amount": hexed(77)}]
        if age >= since("Cancun"):
            env |= {"parentBeaconBlockRoot": "0x" + keccak256(b"beacon").hex(), "parentExcessBlobGas": hexed(self.parent["excess"] or 0),
                    "parentBlobGasUsed": hexed(self.parent["blob_gas"])}
            env |= {"parentBaseFee": hexed(self.parent["base_fee"]), "parentGasUsed": hexed(self.parent["used"]),
                    "parentGasLimit": hexed(self.parent["limit"])}
        run = self.run(fork, env, txs, cache)
        result = run.result
        fields = {"miner": MINER, "state": result.state_root, "transactions": result.tx_root, "receipts": result.receipt_root,
                  "bloom": bytes(result.bloom), "limit": 30_000_000, "used": int(result.gas_used), "base_fee": base_fee,
                  "withdrawals": result.withdrawals_root if age >= since("Shanghai") else None,
                  "excess": int(result.excess_blob_gas) if age >= since("Cancun") else None,
                  "blob_gas": 131_072 if age >= since("Cancun") else 0,
                  "requests": result.requests_hash if age >= since("Prague") else None}
        items = header(fork, self.hashes[-1], number, fields, uncles)
        block = [items, [encoded(run.fork, tx) for tx in run.txs.all_txs], uncles] + ([withdrawals] if age >= since("Shanghai") else [])
        self.blocks.append(rlp.encode(block))
        self.hashes.append(keccak256(rlp.encode(items)))
        self.parent = fields
        self.nonce += len(txs)
        self.alloc = {at: kept for at, kept in run.alloc.to_json().items()}

    def next_base_fee(self, has_one):
        if not has_one:
            return None
        parent = self.parent
        if parent["base_fee"] is None:
            return 10**9
        target, fee = parent["limit"] // 2, parent["base_fee"]
        if parent["used"] == target:
            return fee
        if parent["used"] > target:
            return fee + max(fee * (parent["used"] - target) // target // 8, 1)
        return fee - fee * (target - parent["used"]) // target // 8


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.CRITICAL)
    chain = Chain()
    with ForkCache() as cache, contextlib.redirect_stderr(io.StringIO()):
        chain.begin(cache)
        for number in range(1, len(FORKS) * EVERY + 1):
            chain.add(number, cache)
    (arguments.folder / "genesis.json").write_text(json.dumps(chain.genesis, indent=1) + "\n")
    (arguments.folder / "chain.rlp").write_bytes(b"".join(chain.blocks))
    print(f"{len(chain.blocks)} blocks, the last is 0x{chain.hashes[-1].hex()}")


main()
