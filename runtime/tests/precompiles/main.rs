//! Every method of every native module from every kind of frame: it does all of its work or none, the supply is
//! conserved and the modules' books balance.
//!
//! The methods come from the interfaces that dispatch is generated from, so that a new one fails these tests until it has
//! an example in the catalog.

mod catalog;
mod frames;
mod stage;

use std::sync::LazyLock;

use alloy_primitives::{Address, TxKind, U256};
use neura_runtime::revert_reason;
use neura_types::{Amount, Receipt};

use catalog::{Catalog, Example, methods};
use frames::{Scheme, catcher, constructor, forwarder, reentrant, reverter};
use stage::{Act, RELAY, Stage, Trace};

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::new);

const HELPER: Address = Address::repeat_byte(0xab);

fn examples() -> impl Iterator<Item = &'static Example> {
    CATALOG.0.values()
}

fn code(receipt: &Receipt) -> Option<String> {
    revert_reason(&receipt.revert_data).and_then(|reason| reason.code)
}

impl Example {
    /// The call as a transaction of its caller.
    fn direct(&self) -> Act {
        Act::call(self.caller, self.module, self.value, self.input.clone())
    }

    fn outcome(&self, stage: &Stage, act: &Act) -> (Receipt, Trace) {
        stage.try_out(act).unwrap_or_else(|| panic!("{}: skipped", self.name))
    }

    /// The stage with code at the caller's account, so that a contract acts with the caller's rights, and the
    /// transaction of another that sets it off.
    fn through(&self, code: Vec<u8>) -> (Stage, Act) {
        let mut stage = self.stage.clone();
        stage.set_code(self.caller.address(), code);
        let act = Act::call(RELAY, self.caller.address(), self.value, self.input.clone());
        (stage, act)
    }

    /// Whether it changes nothing.
    fn is_view(&self) -> bool {
        let (_, trace) = self.outcome(&self.stage, &self.direct());
        trace == self.stage.nothing(self.caller)
    }

    fn assert_nothing_happened(
        &self,
        stage: &Stage,
        act: &Act,
        (receipt, trace): (Receipt, Trace),
    ) {
        assert!(receipt.logs.is_empty(), "{}: an event leaked", self.name);
        assert_eq!(trace, stage.nothing(act.signer), "{}: it left traces", self.name);
    }
}

#[test]
fn every_method_of_every_module_has_an_example_that_succeeds() {
    for method in methods() {
        let example = CATALOG.0.get(&method);
        let example = example.unwrap_or_else(|| panic!("{method:?} has no example: write one"));
        let (receipt, _) = example.outcome(&example.stage, &example.direct());
        let reason = revert_reason(&receipt.revert_data);
        assert!(receipt.success, "{}: {reason:?}", example.name);
    }
    assert_eq!(methods().len(), CATALOG.0.len());
}

#[test]
fn a_contract_achieves_what_its_account_would_achieve_directly() {
    for example in examples() {
        let (_, direct) = example.outcome(&example.stage, &example.direct());
        let (stage, act) = example.through(forwarder(Scheme::Call, example.module));
        let (receipt, trace) = example.outcome(&stage, &act);
        assert!(receipt.success, "{}", example.name);
        assert_eq!(trace.of_modules(), direct.of_modules(), "{}", example.name);
    }
}

#[test]
fn borrowed_code_is_refused_and_leaves_nothing() {
    for example in examples() {
        for scheme in [Scheme::DelegateCall, Scheme::CallCode] {
            let (stage, act) = example.through(forwarder(scheme, example.module));
            let outcome = example.outcome(&stage, &act);
            assert!(!outcome.0.success, "{}", example.name);
            assert_eq!(code(&outcome.0).as_deref(), Some("delegatecall_refused"));
            example.assert_nothing_happened(&stage, &act, outcome);
        }
    }
}

#[test]
fn a_static_call_reads_and_never_writes() {
    let (mut views, mut writes) = (0, 0);
    for example in examples() {
        let (stage, mut act) = example.through(forwarder(Scheme::StaticCall, example.module));
        act.value = Amount::ZERO;
        let outcome = example.outcome(&stage, &act);
        if example.is_view() {
            assert!(outcome.0.success, "{}", example.name);
            views += 1;
        } else {
            assert!(!outcome.0.success, "{}", example.name);
            assert_eq!(code(&outcome.0).as_deref(), Some("read_only"), "{}", example.name);
            writes += 1;
        }
        example.assert_nothing_happened(&stage, &act, outcome);
    }
    assert!(views > 20 && writes > 20, "{views} views, {writes} writes");
}

#[test]
fn a_constructor_is_served_like_the_contract_that_it_makes() {
    for example in examples() {
        let nonce = stage_nonce(&example.stage);
        let contract = RELAY.address().create(nonce);
        let init = constructor(example.module, &example.input);
        let to = TxKind::Create;
        let act = Act { to, ..Act::call(RELAY, contract, example.value, init.into()) };
        let created = example.outcome(&example.stage, &act);

        let mut stage = example.stage.clone();
        stage.set_code(contract, forwarder(Scheme::Call, example.module));
        let act = Act::call(RELAY, contract, example.value, example.input.clone());
        let called = example.outcome(&stage, &act);
        assert_eq!(created.0.success, called.0.success, "{}", example.name);
        assert_eq!(code(&created.0), code(&called.0), "{}", example.name);
        assert_eq!(created.1.of_modules(), called.1.of_modules(), "{}", example.name);
        if !created.0.success {
            example.assert_nothing_happened(&example.stage, &act, created);
        }
    }
}

fn stage_nonce(stage: &Stage) -> u64 {
    use neura_types::StateRead;
    stage.state.account(RELAY.address()).unwrap().unwrap().nonce
}

#[test]
fn a_revert_further_out_takes_everything_back() {
    for example in examples() {
        let (stage, act) = example.through(reverter(example.module));
        let outcome = example.outcome(&stage, &act);
        assert!(!outcome.0.success);
        example.assert_nothing_happened(&stage, &act, outcome);

        // The same, with someone further out who goes on.
        let mut stage = stage;
        stage.set_code(HELPER, catcher(example.caller.address()));
        let act = Act { to: TxKind::Call(HELPER), ..act };
        let (receipt, trace) = example.outcome(&stage, &act);
        assert!(receipt.success && receipt.logs.is_empty(), "{}", example.name);
        assert_eq!(trace.words, stage.nothing(act.signer).words, "{}", example.name);
        let nothing = stage.nothing(act.signer).of_modules();
        assert_eq!(trace.of_modules(), nothing, "{}: the modules' coins", example.name);
    }
}

#[test]
fn a_method_that_is_re_entered_keeps_its_books() {
    for example in examples() {
        let (mut stage, act) = example.through(reentrant(example.module, HELPER));
        stage.set_code(HELPER, forwarder(Scheme::Call, example.caller.address()));
        let (receipt, trace) = example.outcome(&stage, &act);
        assert!(receipt.success, "{}", example.name);
        let at = |slot: u8| (example.caller.address(), U256::from(slot));
        assert_eq!(trace.words.get(&at(0)), Some(&U256::ONE), "{}: the first call", example.name);
        let again = trace.words.contains_key(&at(1));
        let (_, once) = example.outcome(&example.stage, &example.direct());
        let twice = trace.of_modules() != once.of_modules();
        assert!(again || !twice, "{}: a refused second call left traces", example.name);
        if example.is_view() {
            assert!(again, "{}: a view can be read twice", example.name);
        }
    }
}

#[test]
fn running_out_of_gas_at_any_step_leaves_nothing() {
    for example in examples() {
        let (receipt, done) = example.outcome(&example.stage, &example.direct());
        let nothing = example.stage.nothing(example.caller);
        // Refunds are at most a fifth: with as much again it must succeed.
        let enough = receipt.gas_used.saturating_mul(5) / 4 + 1;
        // A step that no price is a multiple of, so that the limit falls inside of every charge.
        let step = (enough.saturating_sub(21_000) / 150).max(1) | 1;
        let mut succeeded = false;
        let mut gas = 21_000;
        while gas <= enough + step {
            let act = Act { gas, ..example.direct() };
            if let Some((receipt, trace)) = example.stage.try_out(&act) {
                assert!(receipt.gas_used <= gas);
                assert!(receipt.success || !succeeded, "{}: more gas fails at {gas}", example.name);
                succeeded = receipt.success;
                let expected = if succeeded { &done } else { &nothing };
                assert_eq!(trace, *expected, "{} with {gas} gas", example.name);
            }
            gas += step;
        }
        assert!(succeeded, "{}: {enough} gas are not enough", example.name);
    }
}
