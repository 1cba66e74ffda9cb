use super::*;

#[test]
fn an_address_without_a_scheme_is_taken_as_http() {
    let client = Client::new(["127.0.0.1:8545"]).unwrap();
    assert_eq!(client.url().as_str(), "http://127.0.0.1:8545/");
}

#[test]
fn what_is_no_http_address_is_refused() {
    for text in ["ftp://host", "http://", "", "::"] {
        assert!(matches!(Client::new([text]), Err(ClientError::Address(_))), "{text}");
    }
    assert!(Client::new(Vec::<String>::new()).is_err());
}

#[tokio::test]
async fn an_unreachable_node_is_named_with_the_cause() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Client::new([free.to_string()]).unwrap().status().await.unwrap_err();
    assert_eq!(error.code(), "unreachable");
    assert!(error.to_string().contains(&free.port().to_string()), "{error}");
}
