use neura_blobs::EncryptionSecretKey;
use neura_int8::{
    Builder, DType, Data, Request, Tensor, encode_requests,
    ops::{linear::Linear, reduce::Argmax},
};
use neura_types::{
    Address, Amount, B256,
    hash::content_hash,
    keys::SecretKey,
    provider::{ProviderStatus, TrackRecord},
    task::{BlobRef, Requirement, TaskState, Terms},
};

use super::*;

const MAX_JOB: u64 = 1 << 20;
const CHAIN: ChainId = 7_331;

fn keys() -> Keys {
    Keys {
        identity: SecretKey::from_seed(&[1; 32]),
        encryption: EncryptionSecretKey::from_bytes([2; 32]),
    }
}

fn owner_key() -> EncryptionSecretKey {
    EncryptionSecretKey::from_bytes([3; 32])
}

fn capability() -> Capability {
    Capability {
        gpu_model: "llvmpipe".into(),
        gpu_backend: "vulkan".into(),
        gpu_memory_mib: 1_000,
        cpu_cores: 2,
        ram_mib: 1_000,
        disk_mib: 1_000,
    }
}

fn entry() -> Provider {
    Provider {
        address: keys().address(),
        identity: keys().identity.public_key(),
        encryption_key: B256::new(*keys().encryption.public_key().as_bytes()),
        key_epoch: 3,
        payout: keys().address(),
        capability: capability(),
        executors: vec!["int8".into()],
        price_per_block: Amount(10),
        region: String::new(),
        endpoint: String::new(),
        bond: Amount(1),
        status: ProviderStatus::Active,
        capacity: 1,
        active_tasks: 1,
        submitted_tasks: 0,
        registered_at: 1,
        heartbeat_at: 1,
        unbonds_at: 0,
        record: TrackRecord::default(),
    }
}

fn task() -> Task {
    let hash = content_hash(b"sealed");
    Task {
        id: 7,
        owner: Address::repeat_byte(0x22),
        terms: Terms {
            payload: BlobRef { locator: Locator::from_hash(hash.0).to_string(), hash, size: 6 },
            envelope_nonce: B256::repeat_byte(9),
            provider: keys().address(),
            key_epoch: 3,
            result_key: B256::new(*owner_key().public_key().as_bytes()),
            requirement: Requirement::default(),
            executor: "int8".into(),
            duration_blocks: 100,
            verification: VerificationPolicy::None,
            privacy: ResultPrivacy::Sealed,
        },
        price_per_block: Amount(10),
        escrow: Amount(1_000),
        challenge_bond: Amount::ZERO,
        challenges: 0,
        state: TaskState::Assigned,
        created_at: 1,
        accepted_at: 0,
        submitted_at: 0,
        deadline: 240,
        result: None,
        outcome: None,
        seen_at: 1,
        checkpoint: None,
    }
}

fn judge(task: &Task) -> Result<Executor, Refusal> {
    let (entry, capability) = (entry(), capability());
    check_terms(
        task,
        &Means { entry: &entry, capability: &capability, max_payload: 100, height: 5 },
    )
}

fn check(change: impl FnOnce(&mut Task), code: &str) {
    let mut task = task();
    change(&mut task);
    let refusal = judge(&task).unwrap_err();
    assert_eq!(refusal.code, code, "{refusal}");
}

#[test]
fn good_terms_are_taken() {
    assert_eq!(judge(&task()), Ok(Executor::Int8));
}

#[test]
fn each_term_that_does_not_fit_is_declined_by_its_name() {
    check(|t| t.terms.executor = "oci".into(), "executor_not_offered");
    check(|t| t.terms.verification = VerificationPolicy::Replicated, "unsupported_policy");
    check(|t| t.terms.requirement.gpu_memory_mib = 1_001, "requirement_not_met");
    check(|t| t.terms.requirement.gpu_model = "H200".into(), "requirement_not_met");
    check(|t| t.terms.key_epoch = 2, "wrong_key_epoch");
    check(|t| t.terms.duration_blocks = MIN_DURATION - 1, "duration_too_short");
    check(|t| t.escrow = Amount(999), "escrow_below_price");
    check(|t| t.price_per_block = Amount(u128::MAX), "escrow_below_price");
    check(|t| t.deadline = 6, "deadline_passed");
    check(|t| t.terms.result_key = B256::ZERO, "invalid_key");
    check(|t| t.terms.payload.size = 101, "payload_too_large");
    check(|t| t.terms.payload.hash = B256::ZERO, "invalid_locator");
    check(|t| t.terms.payload.locator = "neura:00".into(), "invalid_locator");
    let arweave = format!("ar:{}A", "a".repeat(42));
    check(|t| t.terms.payload.locator = arweave, "invalid_locator");
}

#[test]
fn a_public_result_needs_no_key() {
    let mut task = task();
    task.terms.result_key = B256::ZERO;
    task.terms.privacy = ResultPrivacy::Public;
    assert!(judge(&task).is_ok());
    assert_eq!(seal_result(CHAIN, &task, b"plain".to_vec()).unwrap(), b"plain");
}

#[test]
fn a_payload_opens_for_its_task_only() {
    let (task, keys) = (task(), keys());
    let recipient = [keys.encryption.public_key()];
    let context = envelope_context(CHAIN, &task, Purpose::Payload);
    let sealed = seal(&context, &recipient, b"job", &mut rand::rng()).unwrap();
    assert_eq!(open_payload(CHAIN, &task, &keys, &sealed, MAX_JOB).unwrap().as_slice(), b"job");

    let mut tampered = sealed.clone();
    *tampered.last_mut().unwrap() ^= 1;
    let mut other = task.clone();
    other.terms.envelope_nonce = B256::ZERO;
    let stranger = Keys { encryption: EncryptionSecretKey::from_bytes([4; 32]), ..keys.clone() };
    for refused in [
        open_payload(CHAIN, &task, &keys, &tampered, MAX_JOB),
        open_payload(CHAIN, &task, &keys, b"garbage", MAX_JOB),
        open_payload(CHAIN, &task, &keys, &sealed[..sealed.len() - 1], MAX_JOB),
        open_payload(CHAIN, &other, &keys, &sealed, MAX_JOB),
        open_payload(CHAIN + 1, &task, &keys, &sealed, MAX_JOB),
        open_payload(CHAIN, &task, &stranger, &sealed, MAX_JOB),
    ] {
        assert_eq!(refused.unwrap_err().code, "payload_unreadable");
    }
}

#[test]
fn a_sealed_result_opens_for_the_owner_alone() {
    let task = task();
    let sealed = seal_result(CHAIN, &task, b"result".to_vec()).unwrap();
    let context = envelope_context(CHAIN, &task, Purpose::Result);
    assert_eq!(open(&context, &owner_key(), &sealed, 100).unwrap().as_slice(), b"result");
    assert!(open(&context, &keys().encryption, &sealed, 100).is_err());
}

/// A job of `rows` rows, with a model of 4 inputs and 3 classes.
fn job(rows: usize) -> Vec<u8> {
    let mut builder = Builder::new(10_000);
    let x = builder.input("x", DType::I8, &[4], (-127, 127));
    let weights = builder.param("weights", Tensor::new(vec![3, 4], Data::I8(vec![1; 12])).unwrap());
    let logits = builder.node(Linear { weights, bias: None, finish: None }, &[x]).unwrap();
    let class = builder.node(Argmax, &[logits]).unwrap();
    builder.output("class", class);
    builder.output("logits", logits);
    let model = builder.build().unwrap().encode();
    let input = Tensor::new(vec![rows, 4], Data::I8(vec![1; rows * 4])).unwrap();
    let requests = encode_requests(&[Request::run(vec![input])]).unwrap();
    Int8Job { model, requests }.encode().unwrap()
}

fn power() -> Power {
    Power {
        macs_per_second: 1_000,
        launch_rate: None,
        block_time: Duration::from_millis(500),
        timeout: Duration::from_secs(10),
        memory: Some(1 << 20),
        max_stored: 1 << 20,
    }
}

#[test]
fn a_job_is_taken_if_this_machine_can_do_it() {
    assert_eq!(check_int8(&job(100), power()), Ok(()));
    let refused = |plain: &[u8], power| check_int8(plain, power).unwrap_err().code;
    assert_eq!(refused(b"garbage", power()), "invalid_job");
    assert_eq!(refused(&job(1_000), power()), "job_too_long");
    assert_eq!(refused(&job(100), Power { max_stored: 1_000, ..power() }), "result_too_large");
    assert_eq!(refused(&job(100), Power { memory: Some(1_000), ..power() }), "job_too_large");
}

#[test]
fn a_task_of_few_blocks_leaves_less_time_than_a_worker_has() {
    assert_eq!(power().for_task(1_000).timeout, power().timeout);
    let short = power().for_task(4);
    assert_eq!(short.timeout, Duration::from_secs(2));
    assert_eq!(check_int8(&job(300), power()), Ok(()));
    assert_eq!(check_int8(&job(300), short).unwrap_err().code, "job_too_long");
}

/// 65,535 × 65,535 workgroups held the device for as long as a worker may run, while other tasks were declined.
#[test]
fn more_workgroups_than_can_be_started_in_time_are_refused_with_the_numbers() {
    let rate = LaunchRate { workgroups_per_second: 10_000_000, invocations_per_second: 1 << 40 };
    let power = Power { launch_rate: Some(rate), ..power() };
    let groups = |workgroups| Launches { workgroups, invocations: workgroups * 64 };
    assert_eq!(check_launches(groups(100_000_000), power), Ok(()));
    let refusal = check_launches(groups(65_535 * 65_535), power).unwrap_err();
    assert_eq!(refusal.code, "job_too_long");
    assert!(refusal.reason().contains("takes 429 s here, and the job has 10 s"), "{refusal}");
    let unknown = Power { launch_rate: None, ..power };
    assert_eq!(check_launches(groups(u64::MAX / 64), unknown), Ok(()));
}

#[test]
fn a_reason_is_cut_to_what_the_chain_takes() {
    let reason = Refusal::new("invalid_job", "é".repeat(300)).reason();
    assert!(reason.len() <= MAX_REASON && reason.starts_with("invalid_job: é"));
}

proptest::proptest! {
    #[test]
    fn arbitrary_payloads_are_refused_and_never_panic(bytes: Vec<u8>) {
        proptest::prop_assert!(open_payload(CHAIN, &task(), &keys(), &bytes, MAX_JOB).is_err());
        proptest::prop_assert!(check_int8(&bytes, power()).is_err());
    }
}
