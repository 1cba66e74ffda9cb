#!/usr/bin/env python3
"""Write random state tests whose expectations come from Ethereum's executable specification.

    python3 -m venv VENV && VENV/bin/pip install ethereum-execution==2.20.0
    VENV/bin/python generate.py FOLDER [--count 200] [--seed 1] [--forks Prague,Osaka]
    neura evm statetest FOLDER

Each test is one transaction over a handful of contracts made of random instructions: arithmetic, memory, storage, logs,
calls of each kind, precompiles, creations, self-destruction; with access lists, blobs and authorizations where a fork has
them, and some transactions that no block may include. The specification (the package `ethereum-execution`, which is
github.com/ethereum/execution-specs) says what each leads to under each fork.
"""

import argparse
import contextlib
import io
import json
import logging
import pathlib
import random

from coincurve import PrivateKey
from ethereum.crypto.hash import keccak256
from ethereum_rlp import rlp
from ethereum_spec_tools.evm_tools import create_parser
from ethereum_spec_tools.evm_tools.t8n import T8N, ForkCache

FORKS = [
    "Frontier", "Homestead", "EIP150", "EIP158", "Byzantium", "ConstantinopleFix", "Istanbul", "Berlin", "London",
    "Paris", "Shanghai", "Cancun", "Prague", "Osaka",
]
# The specification's refusals, in the words of the tests.
EXCEPTIONS = {
    "InsufficientTransactionGasError": "INTRINSIC_GAS_TOO_LOW|TransactionException.INTRINSIC_GAS_BELOW_FLOOR_GAS_COST",
    "InsufficientBalanceError": "INSUFFICIENT_ACCOUNT_FUNDS",
    "NonceMismatchError": "NONCE_MISMATCH_TOO_LOW|TransactionException.NONCE_MISMATCH_TOO_HIGH",
    "NonceOverflowError": "NONCE_IS_MAX",
    "InsufficientMaxFeePerGasError": "INSUFFICIENT_MAX_FEE_PER_GAS",
    "PriorityFeeGreaterThanMaxFeeError": "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS",
    "GasUsedExceedsLimitError": "GAS_ALLOWANCE_EXCEEDED",
    "TransactionGasLimitExceededError": "GAS_LIMIT_EXCEEDS_MAXIMUM",
    "InvalidSenderError": "SENDER_NOT_EOA",
    "InitCodeTooLargeError": "INITCODE_SIZE_EXCEEDED",
    "InsufficientMaxFeePerBlobGasError": "INSUFFICIENT_MAX_FEE_PER_BLOB_GAS",
    "NoBlobDataError": "TYPE_3_TX_ZERO_BLOBS",
    "InvalidBlobVersionedHashError": "TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH",
    "BlobCountExceededError": "TYPE_3_TX_BLOB_COUNT_EXCEEDED",
    "BlobGasLimitExceededError": "TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED",
    "EmptyAuthorizationListError": "TYPE_4_EMPTY_AUTHORIZATION_LIST",
    "TransactionTypeContractCreationError": "TYPE_4_TX_CONTRACT_CREATION",
}
COINBASE = "0x2adc25665018aa1fe0e6bc666dac8fc2697ff9ba"
CONTRACTS = [f"0x{0xC0DE00 + n:040x}" for n in range(4)]
SECRETS = [n.to_bytes(32, "big") for n in (0x45A915E4, 0xBEEF, 0xCAFE)]


def address_of(secret):
    return "0x" + keccak256(PrivateKey(secret).public_key.format(False)[1:])[-20:].hex()


PEOPLE = [address_of(secret) for secret in SECRETS]


class Program:
    """Random bytecode that keeps its stack about right."""

    # (opcode, taken, left)
    PLAIN = [(op, 2, 1) for op in [1, 2, 3, 4, 5, 6, 7, 0xA, 0xB, *range(0x10, 0x15), 0x16, 0x17, 0x18, 0x1A, 0x1B, 0x1C, 0x1D]]
    PLAIN += [(8, 3, 1), (9, 3, 1), (0x15, 1, 1), (0x19, 1, 1), (0x1E, 1, 1)]
    SEEN = [0x30, 0x32, 0x33, 0x34, 0x36, 0x38, 0x3A, 0x3D, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x4A, 0x58, 0x59, 0x5A, 0x5F]
    LOOKED_UP = [0x31, 0x3B, 0x3F]

    def __init__(self, rng, depth=0):
        self.rng, self.code, self.stack, self.depth = rng, bytearray(), 0, depth

    def push(self, value):
        raw = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
        self.code += bytes([0x5F + len(raw)]) + raw
        self.stack += 1

    def op(self, opcode, taken=0, left=0):
        while self.stack < taken:
            self.push(self.word())
        self.code.append(opcode)
        self.stack += left - taken

    def word(self):
        rng = self.rng
        return rng.choice([0, 1, 2, 31, 32, rng.getrandbits(8), rng.getrandbits(64), rng.getrandbits(256), 2**256 - 1, 2**255])

    def offset(self):
        return self.rng.choice([0, 0, 1, 32, 64, 100, 256])

    def target(self):
        rng = self.rng
        precompile = rng.randrange(1, 0x13)
        return rng.choice([int(rng.choice(CONTRACTS), 16)] * 3 + [int(rng.choice(PEOPLE), 16), precompile, precompile, 0x100,
                                                                 rng.getrandbits(160), int(COINBASE, 16)])

    def storage(self):
        rng = self.rng
        slot = rng.randrange(4)
        if rng.random() < 0.5:
            self.push(rng.choice([0, 0, 1, 2, rng.getrandbits(256)]))
            self.push(slot)
            self.op(rng.choice([0x55, 0x55, 0x55, 0x5D]), 2)
        else:
            self.push(slot)
            self.op(rng.choice([0x54, 0x54, 0x5C]), 1, 1)

    def memory(self):
        rng = self.rng
        kind = rng.randrange(6)
        if kind == 0:
            self.push(self.word()); self.push(self.offset()); self.op(0x52, 2)
        elif kind == 1:
            self.push(self.offset()); self.op(0x51, 1, 1)
        elif kind == 2:
            self.push(self.offset()); self.push(self.offset()); self.op(0x20, 2, 1)
        elif kind == 3:
            for _ in range(3):
                self.push(self.offset())
            self.op(rng.choice([0x37, 0x39, 0x5E]), 3)
        elif kind == 4:
            self.push(0); self.push(0); self.push(self.offset()); self.op(0x3E, 3)
        else:
            self.push(self.word()); self.push(self.offset()); self.op(0x53, 2)

    def call(self):
        rng = self.rng
        opcode = rng.choice([0xF1, 0xF1, 0xF2, 0xF4, 0xFA])
        self.push(self.offset()); self.push(self.offset())
        self.push(rng.choice([0, 4, 32, 96, 128, 192, 213])); self.push(self.offset())
        if opcode in (0xF1, 0xF2):
            self.push(rng.choice([0, 0, 0, 1, 1000, 2**128]))
        self.push(self.target())
        if rng.random() < 0.5:
            self.op(0x5A, 0, 1)
        else:
            self.push(rng.choice([0, 700, 2300, 30_000, 100_000]))
        self.op(opcode, 7 if opcode in (0xF1, 0xF2) else 6, 1)

    def create(self):
        rng = self.rng
        init = Program(rng, self.depth + 1).random(rng.randrange(1, 6), end=bytes([0x60, rng.randrange(40), 0x60, 0, 0xF3]))[:32]
        self.push(int.from_bytes(init.ljust(32, b"\0"), "big")); self.push(0); self.op(0x52, 2)
        opcode = rng.choice([0xF0, 0xF5])
        if opcode == 0xF5:
            self.push(rng.randrange(3))
        self.push(len(init)); self.push(0); self.push(rng.choice([0, 0, 1]))
        self.op(opcode, 3 + (opcode == 0xF5), 1)

    def step(self):
        rng = self.rng
        kind = rng.random()
        if kind < 0.25:
            self.op(*rng.choice(self.PLAIN))
        elif kind < 0.37:
            self.op(rng.choice(self.SEEN), 0, 1)
        elif kind < 0.60:
            self.storage()
        elif kind < 0.75:
            self.memory()
        elif kind < 0.80:
            self.push(self.target()); self.op(rng.choice(self.LOOKED_UP), 1, 1)
        elif kind < 0.86:
            topics = rng.randrange(5)
            for _ in range(topics):
                self.push(self.word())
            self.push(self.offset()); self.push(self.offset()); self.op(0xA0 + topics, 2 + topics)
        elif kind < 0.95:
            self.call()
        elif kind < 0.98 and self.depth < 2:
            self.create()
        elif kind < 0.985:
            self.push(self.target()); self.op(0xFF, 1)
        else:
            self.op(rng.choice([0x80, 0x90, 0x81, 0x50]), 2, 2)

    def random(self, steps, end=None):
        for _ in range(steps):
            self.step()
        if end is None:
            end = self.rng.choice([b"\0"] * 5 + [b"\x60\x20\x60\x00\xf3", b"\x60\x20\x60\x00\xfd", b"\xfe", b"\x56"])
        return bytes(self.code) + end


def hexed(number):
    return hex(number)


def authorization(rng, chain=1):
    secret = rng.choice(SECRETS)
    fields = {"chainId": rng.choice([0, chain, chain, 7]), "address": rng.choice(CONTRACTS + [f"0x{0:040x}", f"0x{2:040x}"]),
              "nonce": rng.choice([0, 0, 0, 1, 2])}
    payload = b"\x05" + rlp.encode([int_bytes(fields["chainId"]), bytes.fromhex(fields["address"][2:]), int_bytes(fields["nonce"])])
    signature = PrivateKey(secret).sign_recoverable(keccak256(payload), hasher=None)
    r, s, v = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    if rng.random() < 0.05:
        s = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 - s
    return {"chainId": hexed(fields["chainId"]), "address": fields["address"], "nonce": hexed(fields["nonce"]),
            "v": hexed(v), "yParity": hexed(v), "r": hexed(r), "s": hexed(s), "signer": address_of(secret)}


def int_bytes(number):
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


FAULTS = ["gas below", "gas above", "price", "tip", "nonce", "nonce at its end", "funds", "code", "version", "blobs", "price of blobs",
          "delegations"]


def transaction(rng, fault):
    """A transaction with at most one fault, so that all clients name the same."""
    kind = {"tip": rng.choice([2, 3, 4]), "version": 3, "blobs": 3, "price of blobs": 3, "delegations": 4}.get(
        fault, rng.choices([0, 1, 2, 3, 4], [4, 2, 4, 2, 4])[0])
    creates = kind < 3 and rng.random() < 0.12
    data = Program(rng).random(rng.randrange(1, 20)) if creates else rng.randbytes(rng.choice([0, 0, 4, 36, 200]))
    gas = {"gas below": rng.choice([20_999, 0]), "gas above": 200_000_000}.get(
        fault, rng.choices([130_000, 400_000, 2_000_000, 16_000_000], [6, 10, 6, 1])[0])
    fields = {
        "data": ["0x" + data.hex()],
        "gasLimit": [hexed(gas)],
        "value": [hexed(10**24 if fault == "funds" else rng.choice([0, 0, 1, 10**9]))],
        "nonce": hexed({"nonce": 1, "nonce at its end": 2**64 - 1}.get(fault, 0)),
        "secretKey": "0x" + SECRETS[0].hex(),
        "sender": PEOPLE[0],
        "to": "" if creates else rng.choice(CONTRACTS * 4 + PEOPLE + [f"0x{rng.randrange(1, 0x14):040x}", f"0x{rng.getrandbits(160):040x}"]),
    }
    price = 1 if fault == "price" else rng.choice([100, 1000, 10**10])
    if kind < 2:
        fields["gasPrice"] = hexed(price)
    else:
        fields["maxFeePerGas"] = hexed(price)
        fields["maxPriorityFeePerGas"] = hexed(price + 1 if fault == "tip" else rng.choice([0, 1, price]))
    if kind > 0:
        keys = lambda: [f"0x{rng.randrange(4):064x}" for _ in range(rng.randrange(3))]
        items = [{"address": rng.choice(CONTRACTS + PEOPLE), "storageKeys": keys()} for _ in range(rng.randrange(3))]
        fields["accessLists"] = [items]
    if kind == 3:
        version = 2 if fault == "version" else 1
        count = rng.choice([0, 7, 10]) if fault == "blobs" else rng.randrange(1, 7)
        fields["blobVersionedHashes"] = [f"0x{version:02x}{rng.getrandbits(248):062x}" for _ in range(count)]
        fields["maxFeePerBlobGas"] = hexed(0 if fault == "price of blobs" else 10**9)
    if kind == 4:
        fields["authorizationList"] = [authorization(rng) for _ in range(0 if fault == "delegations" else rng.randrange(1, 4))]
    return kind, fields


def account(rng, code=b"", storage=()):
    return {"balance": hexed(rng.choice([1, 10**6, 10**18] + [0] * bool(code))), "nonce": hexed(1 if code else 0), "code": "0x" + code.hex(),
            "storage": {hexed(slot): hexed(value) for slot, value in storage}}


def world(rng, fault):
    pre = {}
    for contract in CONTRACTS:
        storage = [(slot, rng.choice([1, 2, rng.getrandbits(256)])) for slot in range(4) if rng.random() < 0.4]
        pre[contract] = account(rng, Program(rng).random(rng.randrange(3, 30)), storage)
    for person in PEOPLE:
        if rng.random() < 0.9 or person == PEOPLE[0]:
            pre[person] = account(rng)
    pre[PEOPLE[0]]["balance"] = hexed(10**21)
    if rng.random() < 0.2 and PEOPLE[1] in pre:
        pre[PEOPLE[1]]["code"] = "0xef0100" + rng.choice(CONTRACTS)[2:]
        pre[PEOPLE[1]]["nonce"] = "0x1"
    if fault == "code":
        pre[PEOPLE[0]]["code"] = rng.choice(["0x00", "0xef0100" + CONTRACTS[0][2:]])
    if rng.random() < 0.2:
        pre[COINBASE] = account(rng)
    return pre


def environment(rng):
    return {
        "currentCoinbase": COINBASE,
        "currentGasLimit": hexed(rng.choice([30_000_000, 100_000_000])),
        "currentNumber": hexed(rng.choice([1, 300])),
        "currentTimestamp": hexed(rng.choice([1000, 1_700_000_000])),
        "currentBaseFee": hexed(rng.choice([7, 2, 100])),
        "currentDifficulty": "0x20000",
        "currentRandom": f"0x{rng.getrandbits(256):064x}",
        "currentExcessBlobGas": hexed(rng.choice([0, 0, 0x240000, 0x4000000])),
    }


def expectation(fork, env, pre, fields, kind, cache):
    """What the specification says, or none if it has no such transaction."""
    tx = {key: value for key, value in fields.items() if key not in ("data", "gasLimit", "value", "accessLists")}
    tx |= {"input": fields["data"][0], "gas": fields["gasLimit"][0], "value": fields["value"][0], "type": hexed(kind)}
    if "accessLists" in fields:
        tx["accessList"] = fields["accessLists"][0]
    alloc = {address: dict(kept, storage=dict(kept["storage"])) for address, kept in pre.items()}
    stdin = io.StringIO(json.dumps({"env": env | {"blockHashes": {}, "withdrawals": []}, "alloc": alloc, "txs": [tx]}))
    options = create_parser().parse_args(["t8n", "--input.alloc", "stdin", "--input.env", "stdin", "--input.txs", "stdin",
                                          "--state.fork", fork, "--state-test"])
    run = T8N(options, io.StringIO(), stdin, cache)
    run.run_state_test()
    post = {"hash": "0x" + run.result.state_root.hex(), "logs": "0x" + run.result.logs_hash.hex(),
            "indexes": {"data": 0, "gas": 0, "value": 0}}
    reason = run.result.rejected.get(0)
    if reason is None:
        return post
    if "Failed transaction" not in reason:
        return None
    name = reason.split(": ", 1)[1].split("(", 1)[0]
    post["expectException"] = "TransactionException." + EXCEPTIONS.get(name, name)
    post["state"] = pre
    return post


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--forks", default=",".join(FORKS))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.CRITICAL)
    since = {0: "Frontier", 1: "Berlin", 2: "London", 3: "Cancun", 4: "Prague"}
    cases = 0
    with ForkCache() as cache:
        for index in range(arguments.seed, arguments.seed + arguments.count):
            rng = random.Random(index)
            fault = rng.choice(FAULTS) if rng.random() < 0.15 else None
            env, pre, (kind, fields) = environment(rng), world(rng, fault), transaction(rng, fault)
            post = {}
            for fork in arguments.forks.split(","):
                if FORKS.index(fork) < FORKS.index(since[kind]):
                    continue
                with contextlib.redirect_stderr(io.StringIO()):
                    expected = expectation(fork, env, pre, fields, kind, cache)
                if expected:
                    post[fork] = [expected]
            cases += len(post)
            test = {f"random_{index}": {"_info": {"fixture-format": "state_test", "source": "generate.py"}, "env": env, "pre": pre,
                                        "transaction": fields, "post": post, "config": {"chainid": "0x1"}}}
            (arguments.folder / f"random_{index:05}.json").write_text(json.dumps(test, indent=1) + "\n")
    print(f"{cases} cases in {arguments.count} files")


main()
