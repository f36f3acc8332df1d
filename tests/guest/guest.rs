//! Tests that run as root inside the VM.
