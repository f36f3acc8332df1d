// SPDX-License-Identifier: GPL-2.0
//! Module parameters beyond the integers that `module!` offers.
//!
//! A parameter is a static declared by a macro of this module, which also writes the two records
//! that the kernel looks for: the entry in section `__param` and the texts in `.modinfo`.
//!
//! C header: `include/linux/moduleparam.h`.

use core::cell::UnsafeCell;
use kernel::{bindings, prelude::*};

/// A text parameter of at most `N - 1` bytes, set when the module is loaded and never after.
///
/// Declared by [`string_param!`](crate::string_param).
///
/// # Invariants
///
/// - `text` holds a NUL within its `N` bytes.
/// - `text` is written only by the module loader before the module's `init` runs.
pub struct StringParam<const N: usize> {
    text: UnsafeCell<[u8; N]>,
}

// SAFETY: By the type invariant there are no writes once threads can reach the module's code.
unsafe impl<const N: usize> Sync for StringParam<N> {}

impl<const N: usize> StringParam<N> {
    /// Creates the parameter with its default, which must leave room for a NUL.
    pub const fn new(default: &str) -> Self {
        assert!(default.len() < N, "the default does not fit");
        // INVARIANT: Checked above: the bytes behind the default are NUL.
        Self {
            text: UnsafeCell::new(padded(default)),
        }
    }

    /// The text, without its NUL.
    pub fn get(&self) -> &[u8] {
        // SAFETY: By the type invariant nothing writes any more.
        let text = unsafe { &*self.text.get() };
        let len = text.iter().position(|&byte| byte == 0).unwrap_or(N);
        text.get(..len).unwrap_or(text)
    }

    #[doc(hidden)]
    pub const fn target(&'static self) -> Target<bindings::kparam_string> {
        Target(bindings::kparam_string {
            maxlen: N as u32,
            string: self.text.get().cast(),
        })
    }
}

/// What an [`Entry`] points to; only the kernel reads it.
#[doc(hidden)]
pub struct Target<T>(T);

// SAFETY: Never accessed from Rust; the kernel serialises its own accesses.
unsafe impl<T> Sync for Target<T> {}

/// An entry of section `__param`.
#[doc(hidden)]
#[repr(transparent)]
pub struct Entry(#[allow(dead_code)] bindings::kernel_param);

// SAFETY: Never accessed from Rust; the kernel serialises its own accesses.
unsafe impl Sync for Entry {}

impl Entry {
    /// A text, readable in sysfs and not writable there, as `StringParam` needs it.
    pub const fn string(
        name: &'static CStr,
        target: &'static Target<bindings::kparam_string>,
    ) -> Self {
        Self(bindings::kernel_param {
            name: kernel::str::as_char_ptr_in_const_context(name),
            mod_: (&raw const bindings::__this_module).cast_mut(),
            ops: &raw const bindings::param_ops_string,
            perm: 0o444,
            level: -1,
            flags: 0,
            __bindgen_anon_1: bindings::kernel_param__bindgen_ty_1 { str_: &target.0 },
        })
    }
}

/// `text` followed by as many NULs as fit; a longer text is cut.
#[doc(hidden)]
pub const fn padded<const N: usize>(text: &str) -> [u8; N] {
    let (from, mut to, mut i) = (text.as_bytes(), [0; N], 0);
    while i < N && i < from.len() {
        to[i] = from[i];
        i += 1;
    }
    to
}

/// Declares a [`StringParam`] and makes it known to the kernel.
///
/// ```ignore
/// kx::string_param! {
///     /// Whom to greet.
///     static NAME: name[64] = "world";
///     "Whom to greet (default: world)"
/// }
/// ```
#[macro_export]
macro_rules! string_param {
    ($(#[$doc:meta])* static $static:ident: $name:ident[$size:literal] = $default:literal; $description:literal) => {
        $(#[$doc])*
        static $static: $crate::param::StringParam<$size> =
            $crate::param::StringParam::new($default);

        const _: () = {
            static TARGET: $crate::param::Target<::kernel::bindings::kparam_string> =
                $static.target();
            #[link_section = "__param"]
            #[used(compiler)]
            static ENTRY: $crate::param::Entry = $crate::param::Entry::string(
                match ::core::ffi::CStr::from_bytes_with_nul(
                    concat!(stringify!($name), "\0").as_bytes(),
                ) {
                    Ok(name) => name,
                    Err(_) => panic!("a parameter's name holds no NUL"),
                },
                &TARGET,
            );
            $crate::modinfo!("parmtype", $name, "string");
            $crate::modinfo!("parm", $name, $description);
        };
    };
}

/// Writes `field=name:text` into section `.modinfo`.
#[doc(hidden)]
#[macro_export]
macro_rules! modinfo {
    ($field:literal, $name:ident, $text:literal) => {
        const _: () = {
            const TEXT: &str = concat!($field, "=", stringify!($name), ":", $text, "\0");
            #[link_section = ".modinfo"]
            #[used(compiler)]
            static RECORD: [u8; TEXT.len()] = $crate::param::padded(TEXT);
        };
    };
}
