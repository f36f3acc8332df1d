// SPDX-License-Identifier: MIT OR Apache-2.0
//! `#[test]` for the tests that run in the guest: it enters them into the list that their own runner
//! works off. The standard runner cannot report a test that finds out that it has to be skipped, and
//! waits for ever for one that hangs.

use proc_macro::{TokenStream, TokenTree};

/// Enters the function into the runner's list.
#[proc_macro_attribute]
pub fn test(_arguments: TokenStream, function: TokenStream) -> TokenStream {
    let entry = match name_of(&function) {
        Some(name) => format!(
            "inventory::submit! {{ crate::runner::Test {{ \
                name: concat!(module_path!(), \"::{name}\"), \
                run: || crate::runner::Answer::answer({name}()), \
            }} }}"
        ),
        None => "compile_error!(\"#[test] wants a function\");".to_owned(),
    };
    let mut all = function;
    all.extend(entry.parse::<TokenStream>());
    all
}

/// What follows the word `fn`.
fn name_of(function: &TokenStream) -> Option<String> {
    let is_fn =
        |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn");
    let mut tokens = function
        .clone()
        .into_iter()
        .skip_while(|token| !is_fn(token));
    Some(tokens.nth(1)?.to_string())
}
