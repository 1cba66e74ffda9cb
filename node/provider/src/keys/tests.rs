use std::os::unix::fs::PermissionsExt;

use super::*;

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_are_made_once_for_their_owner_alone_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (made, new) = Keys::load_or_create(dir.path()).unwrap();
    assert!(new);
    for file in [IDENTITY_FILE, ENCRYPTION_FILE] {
        assert_eq!(mode_of(&dir.path().join(file)), 0o600);
    }
    let (read, new) = Keys::load_or_create(dir.path()).unwrap();
    assert!(!new);
    assert_eq!(read.address(), made.address());
    assert_eq!(read.encryption.public_key(), made.encryption.public_key());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no draft is left");
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Keys::load_or_create(dir.path()).unwrap();
    let path = dir.path().join(ENCRYPTION_FILE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = Keys::load(dir.path()).unwrap_err();
    assert!(matches!(error, KeyFileError::TooOpen { mode: 0o640, .. }), "{error}");
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn a_folder_without_keys_is_refused_with_what_names_another() {
    let dir = tempfile::tempdir().unwrap();
    for folder in [dir.path().to_owned(), dir.path().join("none")] {
        let error = Keys::load(&folder).unwrap_err();
        assert!(matches!(&error, KeyFileError::Missing { file, .. } if file == IDENTITY_FILE));
        let text = error.to_string();
        assert!(text.contains(&*folder.display().to_string()), "{text}");
        assert!(text.contains("--data or NEURA_PROVIDER_DATA"), "{text}");
    }
}

#[test]
fn a_damaged_key_file_is_refused_and_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    Keys::load_or_create(dir.path()).unwrap();
    let path = dir.path().join(IDENTITY_FILE);
    for content in [&b""[..], b"# only a remark\n", b"0x12\n", &[0xff; 70], &[b'a'; 5_000]] {
        fs::write(&path, content).unwrap();
        let error = Keys::load_or_create(dir.path()).unwrap_err();
        assert!(matches!(error, KeyFileError::Damaged { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[test]
fn remarks_in_a_key_file_are_skipped() {
    let dir = tempfile::tempdir().unwrap();
    Keys::load_or_create(dir.path()).unwrap();
    let path = dir.path().join(IDENTITY_FILE);
    fs::write(&path, format!("# devnet key\n\n{}\n", hex::encode([7; 32]))).unwrap();
    let keys = Keys::load(dir.path()).unwrap();
    assert_eq!(keys.identity.seed(), [7; 32]);
}
