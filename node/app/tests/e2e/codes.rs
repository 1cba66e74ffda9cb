//! Each way to be refused has one code and one sentence, the same in REST, JSON-RPC and at the command line.

use neura_types::{
    Address, Amount, Bytes, Params, U256,
    abi::{ITasks, SolCall},
    rest::Problem,
    system,
    task::Terms,
    transaction::UnsignedTransaction,
};
use serde_json::{Value, json};

use crate::harness::{Cli, Market, PRICE, created_task, digits, eventually, quick, rpc};

const DURATION: u64 = 600;

/// What REST answers to a signed transaction that it refuses.
async fn rest_refusal(url: &str, raw: &Bytes) -> Problem {
    let http = reqwest::Client::new().post(format!("{url}/v1/transactions"));
    let answer = http.json(&json!({ "raw": raw })).send().await.unwrap();
    assert!(answer.status().is_client_error(), "{}", answer.status());
    answer.json().await.unwrap()
}

/// What JSON-RPC answers to the same.
async fn rpc_refusal(url: &str, raw: &Bytes) -> (String, String) {
    let answer = rpc(url, "eth_sendRawTransaction", json!([raw])).await;
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (text(&answer["error"]["data"]["code"]), text(&answer["error"]["message"]))
}

fn transfer(chain_id: u64, nonce: u64, value: U256) -> UnsignedTransaction {
    UnsignedTransaction {
        chain_id,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: Address::repeat_byte(0x50).into(),
        value,
        input: Bytes::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_refused_alike_by_rest_and_json_rpc() {
    let market = Market::open(quick()).await;
    let network = &market.network;
    let (url, key) = (network.url(0), network.key("alice"));
    let chain_id = network.devnet.genesis.chain_id;
    let nonce = network.client(0).account(key.address()).await.unwrap().nonce;
    assert!(nonce > 0, "the market has used some");
    let rich = Amount::ankr(2_000_000).to_u256();
    for (transaction, code, text) in [
        (transfer(chain_id + 1, nonce, U256::ONE), "wrong_chain_id", "invalid chain id"),
        (transfer(chain_id, 0, U256::ONE), "nonce_too_low", "nonce too low"),
        (transfer(chain_id, nonce + 1_000_000, U256::ONE), "nonce_too_high", "nonce too high"),
        (transfer(chain_id, nonce, rich), "insufficient_funds", "insufficient funds"),
    ] {
        let raw = transaction.sign_eth(&key);
        let problem = rest_refusal(&url, &raw).await;
        let (rpc_code, message) = rpc_refusal(&url, &raw).await;
        assert_eq!((problem.code.as_str(), rpc_code.as_str()), (code, code), "{}", problem.detail);
        assert_eq!(problem.detail, message);
        assert!(message.starts_with(text), "{message}");
    }
    let cli = Cli::new(url);
    let (to, file) = (Address::repeat_byte(0x50).to_string(), network.key_file("alice"));
    let args = ["wallet", "send", &to, "2000000", "--key", file.to_str().unwrap()];
    let refusal = cli.refused(&args).await;
    assert_eq!(refusal.code, "insufficient_funds", "{}", refusal.message);
    market.network.stop().await;
}

/// Creates a task that the chain refuses, through each door; checks that all name the code.
async fn create_refused(market: &Market, terms: Terms, escrow: Amount, code: &str) {
    let call = ITasks::createCall { terms: (&terms).into() };
    refused_call(market, escrow, call, code).await;
}

async fn refused_call(market: &Market, value: Amount, call: impl SolCall, code: &str) {
    let input = call.abi_encode();
    // The transaction's fate, as REST tells it.
    let sent = market.owner.call(system::TASKS, value.to_u256(), input.clone()).await.unwrap_err();
    let neura_client::ClientError::Reverted { hash, code: told, .. } = &sent else {
        panic!("{sent}");
    };
    assert_eq!(told, code, "{sent}");
    let info = market.network.client(0).transaction(*hash).await.unwrap();
    let reason = info.receipt.unwrap().revert_reason.unwrap();
    assert!(reason.starts_with(&format!("{code}: ")), "{reason}");
    // The same asked of JSON-RPC, before anything is sent.
    let request = json!({
        "from": market.owner.address(),
        "to": system::TASKS,
        "value": value.to_u256(),
        "data": Bytes::from(input),
    });
    let url = market.network.url(0);
    for (method, params) in
        [("eth_call", json!([request, "latest"])), ("eth_estimateGas", json!([request]))]
    {
        let answer = rpc(&url, method, params).await;
        assert_eq!(answer["error"]["code"], 3, "{method}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        let sentence = message.strip_prefix("execution reverted: ").unwrap_or(message);
        assert_eq!(sentence, reason, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_refused_alike_by_rest_json_rpc_and_the_command_line() {
    let market = Market::open(Params { accept_window_blocks: 10_000, ..quick() }).await;
    let cli = Cli::new(market.network.url(0));
    let key = market.network.key_file("alice").display().to_string();
    let enough = PRICE.times(DURATION).unwrap();
    let terms = market.terms(DURATION).await;
    let nobody = Address::repeat_byte(0xde);

    let unknown = Terms { provider: nobody, ..terms.clone() };
    create_refused(&market, unknown, enough, "unknown_provider").await;
    let short = Amount(enough.0 - 1);
    create_refused(&market, terms.clone(), short, "escrow_below_price").await;
    let mut greedy = terms;
    greedy.requirement.ram_mib = 1 << 20;
    create_refused(&market, greedy, enough, "requirement_not_met").await;
    let answer =
        reqwest::get(format!("{}/v1/providers/{nobody}", market.network.url(0))).await.unwrap();
    assert_eq!(answer.json::<Problem>().await.unwrap().code, "unknown_provider");

    let provider = market.provider.address().to_string();
    for (provider, from, to, code) in [
        (nobody.to_string(), "", "", "unknown_provider"),
        (provider.clone(), "gpu_memory_mib = 64", "gpu_memory_mib = 0", "requirement_not_met"),
        (provider.clone(), "\"int8\"", "\"cuda\"", "invalid_job_file"),
        (
            provider.clone(),
            "max_price = \"5 ANKR\"",
            "max_price = \"5 wei\"",
            "price_above_maximum",
        ),
    ] {
        let job = job_file(&cli, from, to, code != "requirement_not_met");
        let args = ["task", "submit", &job, "--provider", &provider, "--key", &key, "--detach"];
        let refusal = cli.refused(&args).await;
        assert_eq!(refusal.code, code, "{}", refusal.message);
    }
    let job = job_file(&cli, "", "", false);
    let refusal = cli.refused(&["task", "submit", &job, "--key", &key, "--detach"]).await;
    assert_eq!(refusal.code, "requirement_not_met", "{}", refusal.message);

    // A provider that is full: with what, until when, and what to do.
    let job = job_file(&cli, "", "", true);
    let submit = ["task", "submit", &job, "--key", &key, "--detach"];
    for task in 1..=4 {
        assert_eq!(cli.json(&submit).await["task"], task);
    }
    let refusal = cli.refused(&submit).await;
    assert_eq!(refusal.code, "provider_at_capacity", "{}", refusal.message);
    let full = format!("{provider} is at work on 4 of at most 4: task 1 (assigned, until block ");
    for told in [full.as_str(), "task 4 (assigned", "when a place is free"] {
        assert!(refusal.message.contains(told), "{}", refusal.message);
    }
    market.network.stop().await;
}

/// The digits job with a change, asking for what the market's provider has or for more.
fn job_file(cli: &Cli, from: &str, to: &str, modest: bool) -> String {
    let text = std::fs::read_to_string(digits().join("job.toml")).unwrap();
    let mut text = text.replacen(from, to, 1);
    if modest {
        for (wanted, nothing) in [
            ("gpu_memory_mib = 64", "gpu_memory_mib = 0"),
            ("cpu_cores = 1", "cpu_cores = 0"),
            ("disk_mib = 16", "disk_mib = 0"),
        ] {
            text = text.replace(wanted, nothing);
        }
    }
    for name in
        ["model.nint8", "images-heldout.bin", "labels-heldout.txt", "reference-predictions.txt"]
    {
        std::fs::copy(digits().join(name), cli.home.path().join(name)).unwrap();
    }
    let path = cli.home.path().join("job.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_too_late_is_refused_alike() {
    let market = Market::open(Params { accept_window_blocks: 3, ..quick() }).await;
    let id = market.offer(DURATION).await.id;
    market.ended(id).await;
    refused_call(&market, Amount::ZERO, ITasks::cancelCall { taskId: id }, "deadline_passed").await;
    let cli = Cli::new(market.network.url(0));
    let key = market.network.key_file("alice").display().to_string();
    for command in ["cancel", "approve"] {
        let refusal = cli.refused(&["task", command, &id.to_string(), "--key", &key]).await;
        assert_eq!(refusal.code, "deadline_passed", "{}", refusal.message);
    }
    let refusal = cli.refused(&["task", "cancel", "77", "--key", &key]).await;
    let rest = reqwest::get(format!("{}/v1/tasks/77", market.network.url(0))).await.unwrap();
    let rest: Problem = rest.json().await.unwrap();
    assert_eq!(refusal.code, rest.code, "{} / {}", refusal.message, rest.detail);
    refused_call(&market, Amount::ZERO, ITasks::cancelCall { taskId: 77 }, &rest.code).await;
    market.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_refused_that_should_not_be() {
    let market = Market::open(quick()).await;
    let terms = market.terms(DURATION).await;
    let call = ITasks::createCall { terms: (&terms).into() };
    let sent = market.as_owner(PRICE.times(DURATION).unwrap(), call).await.unwrap();
    let id = created_task(&sent);
    let cli = Cli::new(market.network.url(0));
    let key = market.network.key_file("alice").display().to_string();
    let task = cli.json(&["task", "cancel", &id.to_string(), "--key", &key]).await;
    assert_eq!(task["state"], "cancelled");
    let listed =
        eventually("the list", async || Some(cli.json(&["task", "list", "--key", &key]).await))
            .await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    market.network.stop().await;
}
