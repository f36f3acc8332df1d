// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Rust declares of C is what C has: functions, constants and the bits that both sides share.
//!
//! The declarations in the `sys.rs` of each room of `kx` are written again in C, beside the headers
//! that they name. The compiler refuses another type, and a constant of another value.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use quote::ToTokens as _;
use syn::{Attribute, Expr, ForeignItem, ImplItem, Item, ReturnType, Type};

use crate::kernel::Kernel;
use crate::lab::Lab;
use crate::modules::{self, Mode};
use crate::run;

/// The bits that facts are told in: of which room, where they are, and how C's names begin that
/// Rust calls by the rest.
const FACTS: [(&str, &str, &str); 3] = [
    ("cow", "pure/model/src/cow.rs", "KX_FAULT_"),
    ("page", "pure/model/src/snapshot.rs", "KX_FACT_"),
    ("ram", "pure/model/src/ram.rs", "KX_RAM_"),
];

/// Fails if a declaration differs.
pub fn check(lab: &Lab, kernel: &Kernel) -> Result<()> {
    let stage = modules::stage_dir(lab, kernel, Mode::Build);
    let here = stage.join("seams");
    fs::create_dir_all(&here)?;
    let mut objects = Vec::new();
    for room in fs::read_dir(lab.repo.join("kernel/kx"))? {
        let room = room?.path();
        if room.join("sys.rs").exists() {
            let name = room.file_name().unwrap_or_default().to_string_lossy();
            fs::write(
                here.join(format!("{name}.c")),
                in_c(&lab.repo, &room, &name)?,
            )?;
            objects.push(format!("{name}.o"));
        }
    }
    fs::write(
        here.join("Kbuild"),
        format!("obj-m := {}\n", objects.join(" ")),
    )?;
    lab.ui.step("Comparing Rust's declarations with C", |step| {
        step.clear_log();
        let mut command = modules::make(lab, kernel, &stage, "/stage/seams")?;
        command.arg("KCFLAGS=-Werror").args(&objects);
        run::run(step, &mut command)
    })
}

/// A room's declarations, as C.
fn in_c(repo: &Path, room: &Path, name: &str) -> Result<String> {
    let mut text = "#include <linux/build_bug.h>\n".to_owned();
    let mut c = Declarations::default();
    for file in fs::read_dir(room)? {
        let file = file?.path();
        if file.extension().is_some_and(|extension| extension == "rs") {
            c.read(&fs::read_to_string(&file)?)
                .with_context(|| format!("cannot read {}", file.display()))?;
        }
    }
    for (_, file, prefix) in FACTS.iter().filter(|(room, ..)| *room == name) {
        c.read_facts(&fs::read_to_string(repo.join(file))?, prefix)?;
    }
    for header in &c.headers {
        writeln!(text, "#include <{header}>")?;
    }
    writeln!(text, "#include \"../kernel/kx/{name}/shim.h\"\n")?;
    for function in &c.functions {
        writeln!(text, "{}", c.prototype(function)?)?;
    }
    for (constant, value) in &c.constants {
        writeln!(text, "static_assert({constant} == {value});")?;
    }
    Ok(text)
}

/// What a room's files declare.
#[derive(Default)]
struct Declarations {
    functions: Vec<syn::ForeignItemFn>,
    /// C's names, and Rust's values.
    constants: Vec<(String, String)>,
    /// Rust's names of C's structures.
    structures: Vec<(String, String)>,
    headers: BTreeSet<String>,
}

impl Declarations {
    fn read(&mut self, text: &str) -> Result<()> {
        self.headers.extend(headers_of(text));
        for item in syn::parse_file(text)?.items {
            match item {
                Item::ForeignMod(block) => {
                    self.functions
                        .extend(block.items.into_iter().filter_map(|item| match item {
                            ForeignItem::Fn(function) => Some(function),
                            _ => None,
                        }))
                }
                Item::Const(item) => {
                    let own = item.ident.to_string();
                    let named = own.starts_with("KX_").then_some(own);
                    if let Some(name) = named.or_else(|| quoted(&item.attrs, "KX_")) {
                        self.constants.push((name, value_of(&item.expr)));
                    }
                }
                Item::Struct(item) => {
                    if let Some(name) = quoted(&item.attrs, "struct ") {
                        self.structures.push((item.ident.to_string(), name));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_facts(&mut self, text: &str, prefix: &str) -> Result<()> {
        for item in syn::parse_file(text)?.items {
            let Item::Impl(item) = item else { continue };
            if item.self_ty.to_token_stream().to_string() != "Facts" {
                continue;
            }
            for item in item.items {
                if let ImplItem::Const(bit) = item {
                    let name = format!("{prefix}{}", bit.ident);
                    // C shifts in the type of what is shifted.
                    let value = match bit.ty.to_token_stream().to_string().as_str() {
                        "u64" => value_of(&bit.expr).replacen('1', "1ULL", 1),
                        _ => value_of(&bit.expr),
                    };
                    self.constants.push((name, value));
                }
            }
        }
        Ok(())
    }

    fn prototype(&self, function: &syn::ForeignItemFn) -> Result<String> {
        let mut parameters = Vec::new();
        for input in &function.sig.inputs {
            let syn::FnArg::Typed(input) = input else {
                bail!("a function with self");
            };
            parameters.push(self.in_c(&input.ty)?);
        }
        let result = self.result(&function.sig.output)?;
        Ok(format!(
            "{result} {}({});",
            function.sig.ident,
            or_void(&parameters)
        ))
    }

    fn result(&self, output: &ReturnType) -> Result<String> {
        match output {
            ReturnType::Default => Ok("void".to_owned()),
            ReturnType::Type(_, result) => self.in_c(result),
        }
    }

    fn in_c(&self, rust: &Type) -> Result<String> {
        match rust {
            Type::Ptr(pointer) => {
                let constant = if pointer.const_token.is_some() {
                    " const"
                } else {
                    ""
                };
                Ok(format!("{}{constant} *", self.in_c(&pointer.elem)?))
            }
            Type::BareFn(function) => {
                let parameters: Result<Vec<_>> = function
                    .inputs
                    .iter()
                    .map(|input| self.in_c(&input.ty))
                    .collect();
                let result = self.result(&function.output)?;
                Ok(format!("typeof({result} (*)({}))", or_void(&parameters?)))
            }
            Type::Path(path) => {
                let name = path.path.segments.last().context("a path")?;
                Ok(self.name_in_c(&name.ident.to_string()))
            }
            other => bail!("no C type for {}", other.to_token_stream()),
        }
    }

    fn name_in_c(&self, rust: &str) -> String {
        let known = match rust {
            "c_char" => "char",
            "c_int" => "int",
            "c_uint" => "unsigned int",
            "c_ulong" => "unsigned long",
            "c_void" => "void",
            "usize" => "size_t",
            "u8" | "u32" | "u64" => rust,
            _ => "",
        };
        let structure = self.structures.iter().find(|(name, _)| name == rust);
        match structure {
            _ if !known.is_empty() => known.to_owned(),
            Some((_, name)) => format!("struct {name}"),
            None if rust.ends_with("_t") => rust.to_owned(),
            None => format!("struct {rust}"),
        }
    }
}

fn or_void(parameters: &[String]) -> String {
    if parameters.is_empty() {
        "void".to_owned()
    } else {
        parameters.join(", ")
    }
}

fn value_of(expression: &Expr) -> String {
    let rust = expression.to_token_stream().to_string();
    rust.replace("u64 :: MAX", "U64_MAX")
}

/// The kernel's headers that comments name.
fn headers_of(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter(|line| line.starts_with("// `include/"));
    lines.flat_map(|line| {
        let quoted = line.split('`').skip(1).step_by(2);
        quoted.filter_map(|path| path.strip_prefix("include/").map(str::to_owned))
    })
}

/// What a documentation names in backquotes, beginning with `prefix`: the name that ends there.
fn quoted(attributes: &[Attribute], prefix: &str) -> Option<String> {
    attributes.iter().find_map(|attribute| {
        let text = attribute.to_token_stream().to_string();
        let found = text.split('`').skip(1).step_by(2);
        let mut found = found.filter_map(|each| each.strip_prefix(prefix));
        found.next().map(|name| match prefix {
            "struct " => name.to_owned(),
            _ => format!("{prefix}{name}"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_become_prototypes_and_assertions() -> Result<()> {
        let mut c = Declarations::default();
        c.read(
            "/// `struct kx_fast_counter`.\n\
             pub struct FastCounter(u8);\n\
             /// Sets: `KX_COUNTER_SETS`.\n\
             const SETS: usize = 64;\n\
             // `include/linux/mm.h`, `include/linux/fs.h`\n\
             extern \"C\" {\n\
             fn each(f: *mut bindings::file, g: unsafe extern \"C\" fn(*mut ffi::c_void)) -> ffi::c_int;\n\
             fn name(counter: *const FastCounter, at: bindings::loff_t) -> *const *mut ffi::c_char;\n\
             }",
        )?;
        let prototypes: Result<Vec<_>> = c.functions.iter().map(|each| c.prototype(each)).collect();
        assert_eq!(
            prototypes?,
            [
                "int each(struct file *, typeof(void (*)(void *)));",
                "char * const * name(struct kx_fast_counter const *, loff_t);"
            ]
        );
        assert_eq!(
            c.constants,
            [("KX_COUNTER_SETS".to_owned(), "64".to_owned())]
        );
        assert!(c.headers.iter().eq(["linux/fs.h", "linux/mm.h"]));
        Ok(())
    }
}
