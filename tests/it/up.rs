//! berth up.
