//! Counterexamples that the simulator found, each kept under the name of what went wrong.
