//! Desired against installed, to ordered steps.
