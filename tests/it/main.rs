//! Stories with real processes: one binary, a module per subject.
fn main() {}
