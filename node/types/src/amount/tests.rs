use proptest::prelude::*;

use super::*;

#[test]
fn amounts_are_read_in_ankr_and_wei_and_printed_back() {
    for (text, wei, shown) in [
        ("1.5", 1_500_000_000_000_000_000, "1.5 ANKR"),
        ("2 ANKR", 2 * ANKR, "2 ANKR"),
        ("7 wei", 7, "0.000000000000000007 ANKR"),
        ("0.000000000000000001 ANKR", 1, "0.000000000000000001 ANKR"),
    ] {
        assert_eq!(Amount::parse(text), Ok(Amount(wei)), "{text}");
        assert_eq!(Amount(wei).to_string(), shown);
    }
}

#[test]
fn text_that_is_no_amount_is_refused() {
    for text in
        ["", "-1", "1,5", "1.0000000000000000001", "ANKR", "1e18", "999999999999999999999999"]
    {
        assert!(Amount::parse(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn a_share_and_its_remainder_make_the_whole(total in 0u128..=u128::MAX, bps in 0u16..=10_000) {
        let share = Amount(total).share(bps).unwrap();
        let rest = Amount(total).sub(share).unwrap();
        prop_assert_eq!(share.add(rest).unwrap(), Amount(total));
    }

    #[test]
    fn what_is_displayed_is_read_back(wei in 0u128..=u128::MAX / 2) {
        prop_assert_eq!(Amount::parse(&Amount(wei).to_string()), Ok(Amount(wei)));
    }
}
