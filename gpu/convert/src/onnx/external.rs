//! Read constants that lie in files beside the model.

use std::{
    cell::Cell,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Component, Path},
};

use tract_onnx::pb::StringStringEntryProto;

/// Most bytes of constants outside the model file, all together: as much as the file itself may have.
const MAX_OUTSIDE: u64 = 1 << 30;

/// The folder of a model, and how much of it may still be read.
#[derive(Debug)]
pub(super) struct Folder<'a> {
    path: Option<&'a Path>,
    left: Cell<u64>,
}

impl<'a> Folder<'a> {
    /// A folder; without a path nothing is read.
    pub(super) fn new(path: Option<&'a Path>) -> Self {
        Folder { path, left: Cell::new(MAX_OUTSIDE) }
    }

    /// The bytes that entries `location`, `offset`, `length` name.
    pub(super) fn read(&self, entries: &[StringStringEntryProto]) -> Result<Vec<u8>, String> {
        let entry = |key: &str| {
            let found = entries.iter().find(|entry| entry.key == key);
            found.map(|entry| entry.value.as_str())
        };
        let number = |key: &str| match entry(key).map(str::parse::<u64>) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => Err(format!("the {key} of its file is no number")),
        };
        let location = entry("location").ok_or("it lies in a file that is not named")?;
        let folder = self.path.ok_or_else(|| {
            format!("it lies in the file '{location}', and only the model's was given")
        })?;
        let mut file = open(folder, location)?;
        let failed = |cause: std::io::Error| format!("its file '{location}': {cause}");
        let whole = file.metadata().map_err(failed)?.len();
        let offset = number("offset")?.unwrap_or(0);
        let length = number("length")?.unwrap_or(whole.saturating_sub(offset));
        if offset.checked_add(length).is_none_or(|end| end > whole) {
            return Err(format!(
                "bytes {offset} to {offset} + {length} of '{location}' are named, it has {whole}"
            ));
        }
        let left = self.left.get().checked_sub(length);
        let left = left.ok_or_else(|| {
            format!("the files beside the model have more than {MAX_OUTSIDE} bytes of constants")
        })?;
        self.left.set(left);
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }
}

/// A file within a folder. A name that leads out of it, by itself or by a link, is refused.
fn open(folder: &Path, location: &str) -> Result<File, String> {
    let refused = || format!("its file '{location}' does not lie in the model's folder");
    let inside = Path::new(location).components().all(|part| matches!(part, Component::Normal(_)));
    if location.is_empty() || !inside {
        return Err(refused());
    }
    let failed = |cause: std::io::Error| {
        format!("its file '{location}', expected beside the model, cannot be read: {cause}")
    };
    // A bare file name has the empty folder, which is the current one.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let real = folder.join(location).canonicalize().map_err(failed)?;
    if !real.starts_with(folder.canonicalize().map_err(failed)?) || !real.is_file() {
        return Err(refused());
    }
    File::open(real).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(list: &[(&str, &str)]) -> Vec<StringStringEntryProto> {
        let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
            key: (*key).into(),
            value: (*value).into(),
        };
        list.iter().map(entry).collect()
    }

    #[test]
    fn only_files_of_the_models_folder_are_read() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("model");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(outer.path().join("secret"), b"secret").unwrap();
        std::fs::write(inner.join("weights"), b"0123456789").unwrap();
        std::os::unix::fs::symlink(outer.path().join("secret"), inner.join("link")).unwrap();
        let folder = Folder::new(Some(&inner));
        let part = entries(&[("location", "weights"), ("offset", "2"), ("length", "3")]);
        assert_eq!(folder.read(&part).unwrap(), b"234");
        let absolute = outer.path().join("secret").display().to_string();
        for location in ["../secret", "link", &absolute, "", "./../secret", "."] {
            let error = folder.read(&entries(&[("location", location)])).unwrap_err();
            assert!(error.contains("does not lie"), "{location}: {error}");
        }
        let long = entries(&[("location", "weights"), ("offset", "9"), ("length", "2")]);
        assert!(folder.read(&long).unwrap_err().contains("it has 10"));
        let wrapped = entries(&[
            ("location", "weights"),
            ("offset", "2"),
            ("length", "18446744073709551615"),
        ]);
        assert!(folder.read(&wrapped).is_err());
        assert!(Folder::new(None).read(&part).is_err());
    }
}
