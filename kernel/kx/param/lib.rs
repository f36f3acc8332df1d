// SPDX-License-Identifier: GPL-2.0
//! Module parameters that `module!` does not offer, or offers differently in each kernel: texts,
//! switches, numbers, published numbers.
//!
//! A parameter is a static declared by a macro of this module, which also writes the two records
//! that the kernel looks for: the entry in section `__param` and the texts in `.modinfo`.
//!
//! C header: `include/linux/moduleparam.h`.

use core::cell::UnsafeCell;
use kernel::{
    bindings,
    prelude::*,
    sync::atomic::{Atomic, AtomicType, Relaxed},
};

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

/// A switch that root may flip at any time through sysfs.
///
/// Declared by [`bool_param!`](crate::bool_param).
#[repr(transparent)]
pub struct Switch(Atomic<bool>);

impl Switch {
    /// Creates the switch with its default.
    pub const fn new(default: bool) -> Self {
        Self(Atomic::new(default))
    }

    /// Its position now.
    pub fn get(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// A number, or yes or no, that is given when the module is loaded and does not change later.
///
/// Declared by [`number_param!`](crate::number_param).
#[repr(transparent)]
pub struct Number<T: AtomicType>(Atomic<T>);

impl Number<i32> {
    /// Creates the parameter with its default.
    pub const fn new(default: i32) -> Self {
        Self(Atomic::new(default))
    }

    /// The number.
    pub fn get(&self) -> i32 {
        self.0.load(Relaxed)
    }
}

impl Number<bool> {
    /// Creates the parameter with its default.
    pub const fn new(default: bool) -> Self {
        Self(Atomic::new(default))
    }

    /// What was given.
    pub fn get(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl Number<u64> {
    /// Creates the parameter with its default.
    pub const fn new(default: u64) -> Self {
        Self(Atomic::new(default))
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that the module publishes and root may read through sysfs.
///
/// Declared by [`measure!`](crate::measure).
#[repr(transparent)]
pub struct Measure(Atomic<u64>);

impl Measure {
    /// Nothing measured yet.
    pub const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Publishes `value`.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
}

impl Default for Measure {
    fn default() -> Self {
        Self::new()
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
        let value = bindings::kernel_param__bindgen_ty_1 { str_: &target.0 };
        Self::new(name, &raw const bindings::param_ops_string, 0o444, value)
    }

    /// A switch. The kernel writes a `bool`, which is what an atomic one is.
    pub const fn switch(name: &'static CStr, target: &'static Switch) -> Self {
        let arg = core::ptr::from_ref(target).cast_mut().cast();
        let value = bindings::kernel_param__bindgen_ty_1 { arg };
        Self::new(name, &raw const bindings::param_ops_bool, 0o644, value)
    }

    /// A number of C's `int`.
    pub const fn int(name: &'static CStr, target: &'static Number<i32>) -> Self {
        let arg = core::ptr::from_ref(target).cast_mut().cast();
        let value = bindings::kernel_param__bindgen_ty_1 { arg };
        Self::new(name, &raw const bindings::param_ops_int, 0o400, value)
    }

    /// Yes or no. The kernel writes a `bool`, which is what an atomic one is.
    pub const fn bool(name: &'static CStr, target: &'static Number<bool>) -> Self {
        let arg = core::ptr::from_ref(target).cast_mut().cast();
        let value = bindings::kernel_param__bindgen_ty_1 { arg };
        Self::new(name, &raw const bindings::param_ops_bool, 0o444, value)
    }

    /// A number of C's `unsigned long long`, in decimal or with `0x` in front.
    pub const fn ullong(name: &'static CStr, target: &'static Number<u64>) -> Self {
        let arg = core::ptr::from_ref(target).cast_mut().cast();
        let value = bindings::kernel_param__bindgen_ty_1 { arg };
        Self::new(name, &raw const bindings::param_ops_ullong, 0o444, value)
    }

    /// A published number. The kernel reads an `unsigned long long`.
    pub const fn measure(name: &'static CStr, target: &'static Measure) -> Self {
        let arg = core::ptr::from_ref(target).cast_mut().cast();
        let value = bindings::kernel_param__bindgen_ty_1 { arg };
        Self::new(name, &raw const bindings::param_ops_ullong, 0o400, value)
    }

    const fn new(
        name: &'static CStr,
        ops: *const bindings::kernel_param_ops,
        perm: u16,
        value: bindings::kernel_param__bindgen_ty_1,
    ) -> Self {
        Self(bindings::kernel_param {
            name: kernel::str::as_char_ptr_in_const_context(name),
            mod_: (&raw const bindings::__this_module).cast_mut(),
            ops,
            perm,
            level: -1,
            flags: 0,
            __bindgen_anon_1: value,
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
/// kx_param::string_param! {
///     /// Whom to greet.
///     static NAME: name[64] = "world";
///     "Whom to greet (default: world)"
/// }
/// ```
#[macro_export]
macro_rules! string_param {
    ($(#[$doc:meta])* static $static:ident: $name:ident[$size:literal] = $default:literal; $description:literal) => {
        $(#[$doc])*
        static $static: $crate::StringParam<$size> =
            $crate::StringParam::new($default);

        const _: () = {
            static TARGET: $crate::Target<::kernel::bindings::kparam_string> =
                $static.target();
            $crate::param_records!(string, $name, &TARGET, "string", $description);
        };
    };
}

/// Declares a [`Switch`](crate::Switch) and makes it known to the kernel.
///
/// ```ignore
/// kx_param::bool_param! {
///     /// Whether to greet.
///     static GREET: greet = true;
///     "Greet (default: Y)"
/// }
/// ```
#[macro_export]
macro_rules! bool_param {
    ($(#[$doc:meta])* static $static:ident: $name:ident = $default:literal; $description:literal) => {
        $(#[$doc])*
        static $static: $crate::Switch = $crate::Switch::new($default);
        $crate::param_records!(switch, $name, &$static, "bool", $description);
    };
}

/// Declares a [`Number`](crate::Number) and makes it known to the kernel.
///
/// ```ignore
/// kx_param::number_param! {
///     /// How often to greet.
///     static TIMES: times: int(i32) = 1;
///     "How often to greet (default: 1)"
/// }
/// ```
#[macro_export]
macro_rules! number_param {
    ($(#[$doc:meta])* static $static:ident: $name:ident: $kind:ident($type:ty) = $default:expr; $description:literal) => {
        $(#[$doc])*
        static $static: $crate::Number<$type> =
            $crate::Number::<$type>::new($default);
        $crate::param_records!($kind, $name, &$static, stringify!($kind), $description);
    };
}

/// Declares a [`Measure`](crate::Measure) and makes it known to the kernel.
///
/// ```ignore
/// kx_param::measure! {
///     /// How often somebody was greeted.
///     static GREETINGS: greetings;
///     "Greetings so far (read-only)"
/// }
/// ```
#[macro_export]
macro_rules! measure {
    ($(#[$doc:meta])* static $static:ident: $name:ident; $description:literal) => {
        $(#[$doc])*
        static $static: $crate::Measure = $crate::Measure::new();
        $crate::param_records!(measure, $name, &$static, "ullong", $description);
    };
}

/// The records of one parameter: of `$kind`, an associated function of `Entry`.
#[doc(hidden)]
#[macro_export]
macro_rules! param_records {
    ($kind:ident, $name:ident, $target:expr, $type:expr, $description:literal) => {
        const _: () = {
            #[link_section = "__param"]
            #[used(compiler)]
            static ENTRY: $crate::Entry = $crate::Entry::$kind(
                match ::core::ffi::CStr::from_bytes_with_nul(
                    concat!(stringify!($name), "\0").as_bytes(),
                ) {
                    Ok(name) => name,
                    Err(_) => panic!("a parameter's name holds no NUL"),
                },
                $target,
            );
            $crate::modinfo!("parmtype", $name, $type);
            $crate::modinfo!("parm", $name, $description);
        };
    };
}

/// Writes `field=name:text` into section `.modinfo`.
#[doc(hidden)]
#[macro_export]
macro_rules! modinfo {
    ($field:literal, $name:ident, $text:expr) => {
        const _: () = {
            const TEXT: &str = concat!($field, "=", stringify!($name), ":", $text, "\0");
            #[link_section = ".modinfo"]
            #[used(compiler)]
            static RECORD: [u8; TEXT.len()] = $crate::padded(TEXT);
        };
    };
}
