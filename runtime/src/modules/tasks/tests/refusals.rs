use alloy_primitives::{Address, B256};
use neura_types::{
    Amount,
    abi::{IProviders, ITasks},
    system,
    task::{Requirement, ResultPrivacy, Terms, VerificationPolicy},
};

use crate::modules::{
    code,
    host::Fault,
    tasks::{MAX_BLOB_BYTES, MAX_REASON},
    testing::{ALICE, BOB, DURATION, ESCROW, FUNDS, World, account, refusal},
};

#[test]
fn terms_that_break_a_rule_are_refused_each_with_its_code() {
    type Change = fn(&mut Terms);
    let cases: [(Change, &str); 21] = [
        (|t| t.provider = ALICE, code::UNKNOWN_PROVIDER),
        (|t| t.provider = Address::ZERO, code::UNKNOWN_PROVIDER),
        (|t| t.requirement.gpu_memory_mib = 1_001, code::REQUIREMENT_NOT_MET),
        (|t| t.requirement.cpu_cores = 5, code::REQUIREMENT_NOT_MET),
        (|t| t.requirement.ram_mib = 2_001, code::REQUIREMENT_NOT_MET),
        (|t| t.requirement.disk_mib = 3_001, code::REQUIREMENT_NOT_MET),
        (|t| t.requirement.gpu_model = "a100".into(), code::REQUIREMENT_NOT_MET),
        (|t| t.requirement.gpu_model = "x".repeat(129), code::TEXT_TOO_LONG),
        (|t| t.executor = "onnx".into(), code::EXECUTOR_NOT_OFFERED),
        (|t| t.executor = "x".repeat(129), code::TEXT_TOO_LONG),
        (|t| t.duration_blocks = 0, code::DURATION_OUT_OF_BOUNDS),
        (|t| t.duration_blocks = 51, code::DURATION_OUT_OF_BOUNDS),
        (|t| t.duration_blocks = DURATION + 1, code::ESCROW_BELOW_PRICE),
        (|t| t.key_epoch = 2, code::WRONG_KEY_EPOCH),
        (|t| t.verification = VerificationPolicy::Sampled, code::UNSUPPORTED_POLICY),
        (|t| t.verification = VerificationPolicy::Bisected, code::UNSUPPORTED_POLICY),
        (|t| t.result_key = B256::ZERO, code::INVALID_KEY),
        (|t| t.payload.size = 0, code::PAYLOAD_TOO_LARGE),
        (|t| t.payload.size = MAX_BLOB_BYTES + 1, code::PAYLOAD_TOO_LARGE),
        (|t| t.payload.locator = "neura".into(), code::INVALID_LOCATOR),
        (|t| t.payload.locator = format!("neura:{}", "x".repeat(195)), code::INVALID_LOCATOR),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        let mut world = World::with_provider();
        let mut terms = world.terms(1);
        change(&mut terms);
        assert_eq!(refusal(world.create(ALICE, &terms, ESCROW)), expected, "case {index}");
        assert_eq!(world.wei(ALICE), FUNDS.0);
    }
}

#[test]
fn locators_are_a_store_and_an_id_in_printable_characters() {
    for locator in ["", ":", "neura:", ":abc", "Neura:abc", "neu ra:abc", "neura:a b", "neura:ä"] {
        let mut world = World::with_provider();
        let mut terms = world.terms(1);
        terms.payload.locator = locator.into();
        assert_eq!(
            refusal(world.create(ALICE, &terms, ESCROW)),
            code::INVALID_LOCATOR,
            "{locator}"
        );
    }
    for locator in ["ipfs:bafy", "celestia:12/00ff/abc=", "eigenda:0x01"] {
        let mut world = World::with_provider();
        let mut terms = world.terms(1);
        terms.payload.locator = locator.into();
        world.create(ALICE, &terms, ESCROW).unwrap();
    }
}

#[test]
fn a_refusal_names_the_numbers() {
    let text = |result: Result<u64, Fault>| result.unwrap_err().to_string();
    let mut world = World::with_provider();
    let terms = world.terms(1);
    let low = text(world.create(ALICE, &terms, Amount(5)));
    assert_eq!(
        low,
        "escrow_below_price: the escrow is 0.000000000000000005 ANKR: 8 blocks at \
         0.000000001000000007 ANKR cost 0.000000008000000056 ANKR"
    );
    let wanted = Requirement { gpu_memory_mib: 2_000, cpu_cores: 64, ..Requirement::default() };
    let unmet = text(world.create(ALICE, &Terms { requirement: wanted, ..terms }, ESCROW));
    assert_eq!(
        unmet,
        "requirement_not_met: the provider does not meet: \
         gpu_memory_mib 2000 wanted, 1000 offered; cpu_cores 64 wanted, 4 offered"
    );
}

#[test]
fn a_public_result_needs_no_key() {
    let mut world = World::with_provider();
    let terms = world.terms(1);
    let terms = Terms { privacy: ResultPrivacy::Public, result_key: B256::ZERO, ..terms };
    world.create(ALICE, &terms, ESCROW).unwrap();
}

#[test]
fn an_enumeration_past_its_end_is_malformed() {
    let mut world = World::with_provider();
    let mut terms = ITasks::Terms::from(&world.terms(1));
    terms.verification = ITasks::Policy::__Invalid;
    let result = world.call(ALICE, ESCROW, system::TASKS, &ITasks::createCall { terms });
    assert_eq!(refusal(result), code::MALFORMED_CALL);
}

#[test]
fn a_draining_provider_takes_nothing_new_but_finishes_what_it_has() {
    let mut world = World::with_provider();
    let id = world.offered();
    let drain = IProviders::drainCall {};
    world.call(account(1), Amount::ZERO, system::PROVIDERS, &drain).map(|_| ()).unwrap();
    let terms = world.terms(1);
    assert_eq!(refusal(world.create(ALICE, &terms, ESCROW)), code::PROVIDER_NOT_ACTIVE);
    world.accept(1, id).unwrap();
    world.submit(1, id).unwrap();
    world.approve(ALICE, id).unwrap();
}

#[test]
fn a_provider_takes_as_many_tasks_as_it_said() {
    let mut world = World::with_provider();
    let first = world.offered();
    world.offered();
    world.offered();
    let terms = world.terms(1);
    assert_eq!(refusal(world.create(ALICE, &terms, ESCROW)), code::PROVIDER_AT_CAPACITY);
    world.on_task(ALICE, ITasks::cancelCall { taskId: first }).unwrap();
    world.create(ALICE, &terms, ESCROW).unwrap();
}

#[test]
fn a_payload_sealed_to_the_former_key_is_refused() {
    let mut world = World::with_provider();
    let rotate = IProviders::rotateKeyCall { encryptionKey: B256::repeat_byte(2) };
    world.call(account(1), Amount::ZERO, system::PROVIDERS, &rotate).unwrap();
    let mut terms = world.terms(1);
    assert_eq!(refusal(world.create(ALICE, &terms, ESCROW)), code::WRONG_KEY_EPOCH);
    terms.key_epoch = 2;
    world.create(ALICE, &terms, ESCROW).unwrap();
}

#[test]
fn a_price_no_one_can_pay_is_refused() {
    let mut world = World::with_provider();
    let mut offer = crate::modules::testing::offer(account(1));
    offer.pricePerBlock = u128::MAX;
    let update = IProviders::updateCall { offer };
    world.call(account(1), Amount::ZERO, system::PROVIDERS, &update).map(|_| ()).unwrap();
    let terms = world.terms(1);
    assert_eq!(refusal(world.create(ALICE, &terms, ESCROW)), code::ESCROW_BELOW_PRICE);
    let quote = ITasks::quoteCall { provider: account(1), durationBlocks: 8 };
    assert_eq!(refusal(world.view(system::TASKS, &quote)), code::ESCROW_BELOW_PRICE);
}

#[test]
fn only_the_right_party_acts_on_a_task() {
    let mut world = World::with_provider();
    let id = world.offered();
    let decline = || ITasks::declineCall { taskId: id, reason: String::new() };
    assert_eq!(refusal(world.on_task(ALICE, decline())), code::NOT_PROVIDER);
    assert_eq!(refusal(world.accept(2, id)), code::NOT_PROVIDER);
    let cancel = ITasks::cancelCall { taskId: id };
    assert_eq!(refusal(world.on_task(BOB, cancel)), code::NOT_OWNER);
    world.accept(1, id).unwrap();
    assert_eq!(refusal(world.submit(2, id)), code::NOT_PROVIDER);
    world.submit(1, id).unwrap();
    assert_eq!(refusal(world.approve(account(1), id)), code::NOT_OWNER);
    assert_eq!(refusal(world.challenge(BOB, id, Amount::ZERO)), code::NOT_OWNER);
}

#[test]
fn an_act_in_a_state_that_does_not_allow_it_names_the_state() {
    let mut world = World::with_provider();
    let id = world.offered();
    let bond = ESCROW.share(1_000).unwrap();
    let cancel = || ITasks::cancelCall { taskId: id };
    let decline = || ITasks::declineCall { taskId: id, reason: String::new() };

    assert_eq!(refusal(world.submit(1, id)), code::WRONG_STATE, "assigned");
    assert_eq!(refusal(world.approve(ALICE, id)), code::WRONG_STATE, "assigned");
    world.accept(1, id).unwrap();
    let twice = world.accept(1, id).unwrap_err().to_string();
    assert_eq!(twice, "wrong_state: task 1 is running: it must be assigned");
    assert_eq!(refusal(world.on_task(ALICE, cancel())), code::WRONG_STATE, "running");
    assert_eq!(refusal(world.on_task(account(1), decline())), code::WRONG_STATE, "running");
    assert_eq!(refusal(world.challenge(ALICE, id, bond)), code::WRONG_STATE, "running");
    world.submit(1, id).unwrap();
    assert_eq!(refusal(world.submit(1, id)), code::WRONG_STATE, "submitted");
    world.challenge(ALICE, id, bond).unwrap();
    assert_eq!(refusal(world.challenge(ALICE, id, bond)), code::WRONG_STATE, "verifying");
    assert_eq!(refusal(world.approve(ALICE, id)), code::WRONG_STATE, "verifying");
    world.submit(1, id).unwrap();
    world.approve(ALICE, id).unwrap();
    assert_eq!(refusal(world.approve(ALICE, id)), code::WRONG_STATE, "settled");
    assert_eq!(refusal(world.submit(1, id)), code::WRONG_STATE, "settled");
    world.end_block();
}

#[test]
fn a_task_that_does_not_exist_is_not_found() {
    let mut world = World::with_provider();
    world.offered();
    for id in [0, 2, u64::MAX] {
        assert_eq!(refusal(world.accept(1, id)), code::UNKNOWN_TASK);
        let view = world.view(system::TASKS, &ITasks::taskCall { taskId: id });
        assert_eq!(refusal(view), code::UNKNOWN_TASK);
    }
}

#[test]
fn contesting_costs_exactly_the_bond_and_reasons_are_bounded() {
    let mut world = World::with_provider();
    let id = world.offered();
    let long = "x".repeat(MAX_REASON + 1);
    let decline = ITasks::declineCall { taskId: id, reason: long.clone() };
    assert_eq!(refusal(world.on_task(account(1), decline)), code::TEXT_TOO_LONG);
    world.accept(1, id).unwrap();
    world.submit(1, id).unwrap();
    let bond = world.view(system::TASKS, &ITasks::challengeBondCall { taskId: id }).unwrap();
    assert_eq!(bond, ESCROW.0 / 10);
    for wrong in [0, bond - 1, bond + 1] {
        let result = world.challenge(ALICE, id, Amount(wrong));
        assert_eq!(refusal(result), code::WRONG_CHALLENGE_BOND);
    }
    let call = ITasks::challengeCall { taskId: id, reason: long };
    let result = world.call(ALICE, Amount(bond), system::TASKS, &call).map(|_| ());
    assert_eq!(refusal(result), code::TEXT_TOO_LONG);
}

#[test]
fn a_result_without_a_usable_reference_is_refused_and_can_be_sent_again() {
    let mut world = World::with_provider();
    let id = world.offered();
    world.accept(1, id).unwrap();
    let mut blob = ITasks::BlobRef::from(&crate::modules::testing::blob(1));
    blob.locator = "nowhere".into();
    let call = ITasks::submitCall { taskId: id, blob, commitment: B256::ZERO };
    assert_eq!(refusal(world.on_task(account(1), call)), code::INVALID_LOCATOR);
    world.submit(1, id).unwrap();
}
