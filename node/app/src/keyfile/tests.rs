use super::*;

#[test]
fn a_written_key_is_private_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys/identity.key");
    write_secret(&path, &[7; 32], Some(DEVNET_MARK)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    assert_eq!(read_secret(&path).unwrap(), [7; 32]);
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("identity.key");
    write_secret(&path, &[7; 32], None).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let message = read_secret(&path).unwrap_err().to_string();
    assert!(message.contains("chmod 600"), "{message}");
}

#[test]
fn an_existing_key_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("identity.key");
    write_secret(&path, &[7; 32], None).unwrap();
    assert!(write_secret(&path, &[8; 32], None).is_err());
    assert_eq!(read_secret(&path).unwrap(), [7; 32]);
}

#[test]
fn a_file_without_a_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in
        [("empty", ""), ("comment", "# nothing\n"), ("short", "abcd\n"), ("garbage", "zz")]
    {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(read_secret(&path).is_err(), "{name}");
    }
}
