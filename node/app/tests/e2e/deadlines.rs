//! Every state of a task that is not its end has a deadline, and the escrow leaves once: with a played provider.

use neura_types::{
    Amount, Params, U256,
    abi::ITasks,
    task::{EndReason, Party, Task, TaskState},
};

use crate::harness::{Market, PRICE, quick};

/// Duration of tasks whose deadline is not what the test waits for.
const LONG: u64 = 100_000;

fn outcome(task: &Task) -> (TaskState, EndReason, Party) {
    let outcome = task.outcome.unwrap();
    (task.state, outcome.reason, outcome.at_fault)
}

fn payout(task: &Task) -> U256 {
    task.outcome.unwrap().settlement.provider.to_u256()
}

/// A chain on which only one of the windows is short.
fn with(change: impl FnOnce(&mut Params)) -> Params {
    let mut params = quick();
    params.accept_window_blocks = LONG;
    params.approve_window_blocks = LONG;
    params.respond_window_blocks = LONG;
    change(&mut params);
    params
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_never_accepted_is_refunded() {
    let market = Market::open(with(|params| params.accept_window_blocks = 4)).await;
    let offered = market.offer(LONG).await;
    let without_escrow = market.balance(market.owner.address()).await;
    let task = market.ended(offered.id).await;

    assert_eq!(outcome(&task), (TaskState::Refunded, EndReason::NotAccepted, Party::Provider));
    assert_eq!(task.outcome.unwrap().at, offered.deadline);
    let returned = market.balance(market.owner.address()).await - without_escrow;
    assert_eq!(returned, offered.escrow.to_u256());
    let late = market.accept(task.id).await.unwrap_err();
    assert_eq!(late.code(), "deadline_passed", "{late}");
    market.assert_settled(&task).await;
    market.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_provider_submits_too_late_is_refunded() {
    let market = Market::open(with(|_| {})).await;
    let offered = market.offer(4).await;
    let without_escrow = market.balance(market.owner.address()).await;
    market.accept(offered.id).await.unwrap();
    let task = market.ended(offered.id).await;

    assert_eq!(outcome(&task), (TaskState::Refunded, EndReason::NotSubmitted, Party::Provider));
    assert_eq!(task.outcome.unwrap().at, task.accepted_at + 4);
    let returned = market.balance(market.owner.address()).await - without_escrow;
    assert_eq!(returned, offered.escrow.to_u256());
    let late = market.submit(task.id, b"late").await.unwrap_err();
    assert_eq!(late.code(), "deadline_passed", "{late}");
    let record = market.network.client(0).provider(market.provider.address()).await.unwrap();
    assert_eq!(record.unwrap().record.at_fault, 1);
    market.assert_settled(&task).await;
    market.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_never_approved_is_paid_after_the_window() {
    let market = Market::open(with(|params| params.approve_window_blocks = 4)).await;
    let offered = market.offer(LONG).await;
    let without_escrow = market.balance(market.owner.address()).await;
    market.accept(offered.id).await.unwrap();
    market.submit(offered.id, b"a result").await.unwrap();
    let task = market.ended(offered.id).await;

    assert_eq!(outcome(&task), (TaskState::Settled, EndReason::AcceptedByTimeout, Party::None));
    let settlement = task.outcome.unwrap().settlement;
    let used = (task.submitted_at - task.accepted_at).max(1);
    let fee = PRICE.times(used).unwrap();
    assert_eq!(settlement.refund, task.escrow.sub(fee).unwrap());
    assert_eq!(settlement.validators, fee.share(700).unwrap());
    assert_eq!(settlement.treasury, fee.share(300).unwrap());
    assert_eq!(market.balance(market.payout).await, payout(&task));
    let returned = market.balance(market.owner.address()).await - without_escrow;
    assert_eq!(returned, settlement.refund.to_u256());
    market.assert_settled(&task).await;
    market.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_result_is_paid_at_once_and_only_once() {
    let market = Market::open(with(|_| {})).await;
    let id = market.offer(LONG).await.id;
    market.accept(id).await.unwrap();
    market.submit(id, b"a result").await.unwrap();
    market.as_owner(Amount::ZERO, ITasks::approveCall { taskId: id }).await.unwrap();
    let task = market.task(id).await;

    assert_eq!(outcome(&task), (TaskState::Settled, EndReason::Approved, Party::None));
    assert_eq!(market.balance(market.payout).await, payout(&task));
    let again =
        market.as_owner(Amount::ZERO, ITasks::approveCall { taskId: id }).await.unwrap_err();
    assert_eq!(again.code(), "wrong_state", "{again}");
    let again = market.submit(id, b"another result").await.unwrap_err();
    assert_eq!(again.code(), "wrong_state", "{again}");
    market.assert_settled(&task).await;
    market.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_takes_back_what_is_not_accepted_and_only_that() {
    let market = Market::open(with(|_| {})).await;
    let (first, second) = (market.offer(LONG).await, market.offer(LONG).await);
    let before = market.balance(market.owner.address()).await;
    let cancel = |id| ITasks::cancelCall { taskId: id };
    let sent = market.as_owner(Amount::ZERO, cancel(first.id)).await.unwrap();
    let task = market.task(first.id).await;

    assert_eq!(outcome(&task), (TaskState::Cancelled, EndReason::CancelledByOwner, Party::None));
    let receipt = sent.info.receipt.unwrap();
    let gas = U256::from(receipt.gas_used) * receipt.effective_gas_price.0;
    let after = market.balance(market.owner.address()).await;
    assert_eq!(after + gas - before, first.escrow.to_u256());
    assert_eq!(market.accept(first.id).await.unwrap_err().code(), "wrong_state");

    market.accept(second.id).await.unwrap();
    let refused = market.as_owner(Amount::ZERO, cancel(second.id)).await.unwrap_err();
    assert_eq!(refused.code(), "wrong_state", "{refused}");
    market.submit(second.id, b"a result").await.unwrap();
    market.as_owner(Amount::ZERO, ITasks::approveCall { taskId: second.id }).await.unwrap();
    market.assert_settled(&market.task(second.id).await).await;
    market.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_result_that_is_not_replaced_costs_its_owner_nothing() {
    let market = Market::open(with(|params| params.respond_window_blocks = 4)).await;
    let id = market.offer(LONG).await.id;
    market.accept(id).await.unwrap();
    market.submit(id, b"neither sealed nor a result").await.unwrap();
    let submitted = market.task(id).await;
    let client = market.network.client(0);
    let opened =
        neura::job::open_result(&client, market.owner.chain_id(), &submitted, &market.result_key)
            .await;
    assert!(opened.is_err());

    let short = Amount(market.challenge_bond(&submitted).0 - 1);
    let call = ITasks::challengeCall { taskId: id, reason: "short of a wei".into() };
    let refused = market.as_owner(short, call).await.unwrap_err();
    assert_eq!(refused.code(), "wrong_challenge_bond", "{refused}");

    market.challenge(&submitted).await.unwrap();
    let contested = market.balance(market.owner.address()).await;
    let task = market.ended(id).await;
    assert_eq!(outcome(&task), (TaskState::Refunded, EndReason::ResultWithdrawn, Party::Provider));
    let bond = market.challenge_bond(&submitted);
    let returned = market.balance(market.owner.address()).await - contested;
    assert_eq!(returned, task.escrow.add(bond).unwrap().to_u256());
    assert_eq!(market.balance(market.payout).await, U256::ZERO);
    market.assert_settled(&task).await;
    market.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_that_is_contested_too_costs_the_owner_both_bonds() {
    let market = Market::open(with(|_| {})).await;
    let id = market.offer(LONG).await.id;
    market.accept(id).await.unwrap();
    let mut bonds = Amount::ZERO;
    for result in [b"garbage", b"rubbish"] {
        market.submit(id, result).await.unwrap();
        let task = market.task(id).await;
        assert_eq!(task.state, TaskState::Submitted);
        market.challenge(&task).await.unwrap();
        bonds = bonds.add(market.challenge_bond(&task)).unwrap();
    }
    let task = market.task(id).await;
    assert_eq!(outcome(&task), (TaskState::Refunded, EndReason::ResultContested, Party::None));
    assert_eq!(task.outcome.unwrap().settlement.refund, task.escrow);
    assert_eq!(market.balance(market.payout).await, bonds.to_u256());
    market.assert_settled(&task).await;
    market.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_parties_of_a_task_move_it() {
    let mut market = Market::open(with(|_| {})).await;
    let id = market.offer(LONG).await.id;
    let stranger = market.network.sender("bob", 0).await;
    let owner = std::mem::replace(&mut market.owner, stranger.clone());
    let provider = std::mem::replace(&mut market.provider, stranger);
    assert_eq!(market.accept(id).await.unwrap_err().code(), "not_provider");
    assert_eq!(market.submit(id, b"a result").await.unwrap_err().code(), "not_provider");
    for call in [
        market.as_owner(Amount::ZERO, ITasks::cancelCall { taskId: id }).await,
        market.as_owner(Amount::ZERO, ITasks::approveCall { taskId: id }).await,
    ] {
        assert_eq!(call.unwrap_err().code(), "not_owner");
    }
    (market.owner, market.provider) = (owner, provider);
    assert_eq!(market.task(id).await.state, TaskState::Assigned);
    market.as_owner(Amount::ZERO, ITasks::cancelCall { taskId: id }).await.unwrap();
    market.assert_settled(&market.task(id).await).await;
    market.network.stop().await;
}
