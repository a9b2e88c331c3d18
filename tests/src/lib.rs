//! Scenarios, architecture and fault tests.
