//! The guards: what keeps a bot's statement to its target's rows.

/// Begins what a guard says.
pub(super) const SAYS: &str = "guard: ";
