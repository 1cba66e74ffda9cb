//! The example contracts through a job: members buy a task, an oracle scores its provider, a bounty pays for it.

use alloy_sol_types::{SolValue, sol};

use super::*;

sol! {
    interface IPool {
        function join() external payable;
        function buy(bytes terms) external returns (uint64 task);
        function approve() external;
        function leave() external;
        function pool() external view returns (uint128 sum, uint64 task, uint128 held);
    }
    interface IOracle {
        function report(uint64 task) external;
        function score(address provider) external view returns (uint128 settled, uint128 failed, uint128 earned);
    }
    interface IBounty {
        function claim(uint64 task) external;
        function refund() external;
        function bounty() external view returns (bytes32 commitment, uint64 deadline, uint128 left);
    }
}

const POOL: &[u8] = include_bytes!("../../../wasm-contracts/examples/modules/pool.wasm");
const ORACLE: &[u8] = include_bytes!("../../../wasm-contracts/examples/modules/oracle.wasm");
const BOUNTY: &[u8] = include_bytes!("../../../wasm-contracts/examples/modules/bounty.wasm");

fn create_contract(chain: &mut Chain, value: u128, init: Vec<u8>) -> Address {
    let unsigned = chain.unsigned(owner().address(), TxKind::Create, value, init);
    let raw = UnsignedTransaction { gas_limit: 10_000_000, ..unsigned }.sign_eth(&owner());
    let receipt = chain.block(vec![raw]).receipts.remove(0);
    receipt.contract.unwrap_or_else(|| panic!("{:?}", revert_reason(&receipt.revert_data)))
}

fn wasm(module: &[u8], arguments: &[u8]) -> Vec<u8> {
    let length = u32::try_from(module.len()).unwrap();
    [&neura_wasm_abi::header(length), module, arguments].concat()
}

/// Init code of an EVM contract that passes its call data on to `target` and keeps the success in slot 0.
fn relay(target: Address) -> Vec<u8> {
    let mut code = vec![0x36, 0x5f, 0x5f, 0x37, 0x5f, 0x5f, 0x36, 0x5f, 0x5f, 0x73];
    code.extend(target);
    code.extend([0x5a, 0xf1, 0x5f, 0x55, 0x00]);
    let length = u8::try_from(code.len()).unwrap();
    [&[0x60, length, 0x80, 0x60, 9, 0x5f, 0x39, 0x5f, 0xf3], code.as_slice()].concat()
}

fn accepted(receipt: &Receipt) {
    assert!(receipt.success, "{:?}", revert_reason(&receipt.revert_data));
}

fn refused(receipt: &Receipt) -> String {
    assert!(!receipt.success);
    revert_reason(&receipt.revert_data).and_then(|reason| reason.code).unwrap_or_default()
}

/// A pool of owner (two thirds) and provider (one third) with its task bought and accepted.
fn bought() -> (Chain, Address) {
    let mut chain = Chain::with_provider();
    let pool = create_contract(&mut chain, 0, wasm(POOL, &[]));
    accepted(&chain.by_owner(pool, 2 * ESCROW, &IPool::joinCall {}));
    accepted(&chain.by_provider(pool, ESCROW, &IPool::joinCall {}));
    let terms = create().terms.abi_encode();
    let buy = IPool::buyCall { terms: terms.into() };
    assert_eq!(refused(&chain.by_provider(pool, 0, &buy)), "not_organiser");
    accepted(&chain.by_owner(pool, 0, &buy));
    let task = chain.task(1);
    assert_eq!((task.owner, task.escrow), (pool, 3 * ESCROW));
    accepted(&chain.by_provider(system::TASKS, 0, &ITasks::acceptCall { taskId: 1 }));
    (chain, pool)
}

fn submit(chain: &mut Chain) {
    let commitment = B256::repeat_byte(5);
    let submit = ITasks::submitCall { taskId: 1, blob: (&blob(4)).into(), commitment };
    accepted(&chain.by_provider(system::TASKS, 0, &submit));
}

#[test]
fn a_pool_buys_a_task_and_splits_what_comes_back() {
    let (mut chain, pool) = bought();
    assert_eq!(refused(&chain.by_owner(pool, 0, &IPool::leaveCall {})), "task_not_ended");
    submit(&mut chain);
    assert_eq!(refused(&chain.by_provider(pool, 0, &IPool::approveCall {})), "not_organiser");
    accepted(&chain.by_owner(pool, 0, &IPool::approveCall {}));
    let task = chain.task(1);
    assert_eq!(task.state, ITasks::State::Settled);
    let refund = task.outcome.settlement.refund;
    assert!(refund > 0);
    assert_eq!(chain.balance(pool), U256::from(refund));
    accepted(&chain.by_owner(pool, 0, &IPool::leaveCall {}));
    let rest = refund - refund * 2 / 3;
    assert_eq!(chain.balance(pool), U256::from(rest), "two thirds have left");
    assert_eq!(refused(&chain.by_owner(pool, 0, &IPool::leaveCall {})), "not_a_member");
    accepted(&chain.by_provider(pool, 0, &IPool::leaveCall {}));
    assert_eq!(chain.balance(pool), U256::ZERO);
    let left = chain.view(pool, &IPool::poolCall {});
    assert_eq!((left.sum, left.task, left.held), (0, 1, 0));
}

#[test]
fn an_oracle_scores_a_provider_from_the_task_modules_receipts() {
    let (mut chain, pool) = bought();
    let oracle = create_contract(&mut chain, 0, wasm(ORACLE, &[]));
    let report = IOracle::reportCall { task: 1 };
    assert_eq!(refused(&chain.by_owner(oracle, 0, &report)), "task_not_ended");
    let unknown = IOracle::reportCall { task: 9 };
    assert_eq!(refused(&chain.by_owner(oracle, 0, &unknown)), "unknown_task");
    submit(&mut chain);
    accepted(&chain.by_owner(pool, 0, &IPool::approveCall {}));
    // Called by a contract of the EVM.
    let relay = create_contract(&mut chain, 0, relay(oracle));
    accepted(&chain.by_owner(relay, 0, &report));
    assert_eq!(chain.state.storage(relay, U256::ZERO).unwrap(), U256::from(1));
    assert_eq!(refused(&chain.by_owner(oracle, 0, &report)), "already_reported");
    let provider = provider().public_key().address();
    let score = chain.view(oracle, &IOracle::scoreCall { provider });
    let paid = chain.task(1).outcome.settlement.provider;
    assert_eq!((score.settled, score.failed, score.earned), (1, 0, paid));
}

#[test]
fn a_bounty_pays_the_provider_of_the_wanted_result_once() {
    let (mut chain, pool) = bought();
    let deadline = chain.context.height + 100;
    let bounty_for = |chain: &mut Chain, byte| {
        let arguments = (B256::repeat_byte(byte), deadline).abi_encode();
        create_contract(chain, 1_000, wasm(BOUNTY, &arguments))
    };
    let (bounty, other) = (bounty_for(&mut chain, 5), bounty_for(&mut chain, 6));
    let claim = IBounty::claimCall { task: 1 };
    assert_eq!(refused(&chain.by_provider(bounty, 0, &claim)), "task_not_settled");
    submit(&mut chain);
    accepted(&chain.by_owner(pool, 0, &IPool::approveCall {}));
    let provider = provider().public_key().address();
    let before = chain.balance(provider);
    // Anyone may claim; the provider is paid.
    accepted(&chain.by_owner(bounty, 0, &claim));
    assert_eq!(chain.balance(provider), before + U256::from(1_000));
    assert_eq!(refused(&chain.by_owner(bounty, 0, &claim)), "nothing_left");
    assert_eq!(refused(&chain.by_owner(other, 0, &claim)), "other_result");
    assert_eq!(refused(&chain.by_owner(other, 0, &IBounty::refundCall {})), "too_early");
    chain.context.height = deadline + 1;
    accepted(&chain.by_owner(other, 0, &IBounty::refundCall {}));
    assert_eq!(chain.view(other, &IBounty::bountyCall {}).left, 0);
}
