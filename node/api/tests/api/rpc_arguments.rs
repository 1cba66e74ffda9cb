//! Arguments that no method takes.

use serde_json::json;

use crate::harness::Server;

#[tokio::test]
async fn more_arguments_than_a_method_takes_are_refused() {
    let server = Server::start().await;
    for (method, most) in [
        ("eth_chainId", 0),
        ("txpool_status", 0),
        ("eth_getTransactionReceipt", 1),
        ("debug_getRawBlock", 1),
        ("eth_getBlockByNumber", 2),
        ("debug_traceTransaction", 2),
        ("eth_getProof", 3),
        ("eth_call", 4),
    ] {
        for count in [most + 1, 100] {
            let params = vec![json!("0x0"); count];
            let (code, message, _) = server.rpc_error(method, json!(params)).await;
            let expected = format!("too many arguments, want at most {most}");
            assert_eq!((code, message), (-32602, expected), "{method}");
        }
    }
    let (code, _, _) = server.rpc_error("eth_nothing", json!([1, 2, 3])).await;
    assert_eq!(code, -32601, "before its arguments are counted");
}
