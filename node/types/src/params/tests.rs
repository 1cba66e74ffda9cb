use super::*;

#[test]
fn the_defaults_are_within_their_bounds() {
    assert_eq!(Params::default().validate(), Ok(()));
}

#[test]
fn every_governed_parameter_is_read_back_as_it_was_set() {
    for name in GOVERNED {
        let mut params = Params::default();
        let changed = params.get(name).unwrap() + 1;
        params.set(name, changed).unwrap();
        assert_eq!(params.get(name), Some(changed), "{name}");
        let others = GOVERNED.iter().filter(|other| *other != name);
        others.for_each(|other| assert_eq!(params.get(other), Params::default().get(other)));
    }
}

#[test]
fn every_number_but_two_is_governed() {
    fn numbers(value: &serde_json::Value) -> usize {
        value.as_object().map_or(1, |fields| fields.values().map(numbers).sum())
    }
    let all = numbers(&serde_json::to_value(Params::default()).unwrap());
    assert_eq!(GOVERNED.len(), all - 2, "execution_lag and initial_base_fee are fixed");
    let mut params = Params::default();
    for fixed in ["execution_lag", "initial_base_fee", "", "fee_split"] {
        assert!(params.set(fixed, 8).is_err() && params.get(fixed).is_none(), "{fixed}");
    }
}

#[test]
fn a_value_outside_its_type_or_its_bounds_is_refused_by_its_name() {
    let mut params = Params::default();
    assert_eq!(params.set("slash_bps", 1 << 16).unwrap_err().name, "slash_bps");
    let cases: [(&str, &[u128]); 10] = [
        ("max_validators", &[0, 257]),
        ("min_validator_stake", &[0, crate::amount::ANKR - 1, (1 << 100) + 1]),
        ("unbonding_epochs", &[0, 3, 57]),
        ("jail_epochs", &[0, 1_001]),
        ("absence_epochs", &[0, 1_001]),
        ("slash_bps", &[0, 5_001]),
        ("evidence_reward_bps", &[10_001]),
        ("max_commission_bps", &[10_001]),
        ("max_commission_change_bps", &[10_001]),
        ("voting_epochs", &[0, 1_001]),
    ];
    for (name, values) in cases {
        for value in values {
            let mut params = Params::default();
            params.set(name, *value).unwrap();
            assert_eq!(params.validate().unwrap_err().name, name, "{value}");
        }
    }
}

#[test]
fn parameters_of_an_older_genesis_file_get_the_defaults_of_the_newer_ones() {
    let params: Params = serde_json::from_str(r#"{"execution_lag": 5}"#).unwrap();
    assert_eq!(params, Params { execution_lag: 5, ..Params::default() });
}
