//! Hold the repository to its rules: layers, sizes, names, documents. The rules are the tests in `tests/`.
