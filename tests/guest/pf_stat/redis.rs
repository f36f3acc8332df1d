// SPDX-License-Identifier: MIT OR Apache-2.0
//! A real program, in the full guest.
