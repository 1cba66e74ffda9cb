use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn parse(text: &str) -> Result<Command, clap::Error> {
    let args = std::iter::once("validator").chain(text.split_whitespace());
    Cli::try_parse_from(args).map(|cli| cli.command)
}

#[test]
fn percentages_become_basis_points_and_back() {
    let cases = [("0", 0, "0 %"), ("5", 500, "5 %"), ("2.5", 250, "2.50 %"), ("0.01", 1, "0.01 %")];
    for (text, bps, shown) in cases {
        assert_eq!(basis_points(text).unwrap(), bps, "{text}");
        assert_eq!(percent(bps), shown);
    }
    assert_eq!(basis_points("100%").unwrap(), 10_000);
    for text in ["", "%", "-1", "100.01", "1.234", "1e2", "five", ".", "1..2", "+5", "70000"] {
        assert!(basis_points(text).is_err(), "{text}");
    }
}

fn held(shares: u128, amount: u128) -> DelegationInfo {
    DelegationInfo {
        operator: Address::ZERO,
        delegator: Address::ZERO,
        shares: shares.to_string(),
        amount: Amount(amount),
        rewards: Amount::ZERO,
        unbonding: Vec::new(),
    }
}

#[test]
fn shares_are_worth_at_least_the_amount_that_is_asked_for() {
    // Shares of a slashed validator are worth less than 1 wei each.
    let slashed = held(1_000, 950);
    assert_eq!(shares_of(&slashed, Amount(950)).unwrap(), 1_000);
    assert_eq!(shares_of(&slashed, Amount(1)).unwrap(), 2);
    assert_eq!(shares_of(&held(u128::MAX, u128::MAX), Amount(u128::MAX)).unwrap(), u128::MAX);
    let more = shares_of(&slashed, Amount(951)).unwrap_err().to_string();
    assert!(more.contains("write all"), "{more}");
    assert!(shares_of(&slashed, Amount::ZERO).is_err());
}

#[test]
fn commands_take_what_they_need_and_no_more() {
    assert!(matches!(parse("bond 100 --identity i.key --commission 2.5"), Ok(Command::Bond(_))));
    assert!(parse("bond --identity i.key").is_err());
    assert!(parse("bond 100").is_err(), "a bond needs the validator's key");
    assert!(matches!(parse("delegate self 5"), Ok(Command::Delegate { .. })));
    assert!(parse("delegate 5").is_err());
    let Ok(Command::Undelegate { validator, amount, .. }) = parse("undelegate self all") else {
        panic!("undelegate self all");
    };
    assert_eq!((validator.as_str(), amount.as_str()), (OWN, ALL));
    assert!(matches!(parse("withdraw"), Ok(Command::Withdraw(Take { validator: None, .. }))));
    let Ok(Command::Status { validator, .. }) = parse("status") else { panic!("status") };
    assert_eq!(validator, OWN);
    assert!(matches!(parse("list --all"), Ok(Command::List { all: true })));
    assert!(matches!(parse("top-up 5 --identity i.key"), Ok(Command::TopUp { .. })));
}
