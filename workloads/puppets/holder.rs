// SPDX-License-Identifier: MIT OR Apache-2.0
//! Holds memory of exactly known contents: `holder [--name NAME] [STEP]...`.
//!
//! Steps are done in order; then it prints `ready`. Further steps come from standard input,
//! one a line, and each is answered by `ok`, with a figure if it has one, or by an error.
//! It ends at the end of its input. The steps that make memory (N pages, BYTE in hex):
//!
//! | step | memory |
//! |---|---|
//! | `fill:BYTE:N` | private, full of BYTE, then made read-only |
//! | `unique:N` | the same, each page different from its first bytes on |
//! | `tail:N` | the same, pages that differ in their last 8 bytes only |
//! | `rw:BYTE:N` | private, full of BYTE, writable |
//! | `zero:N` | private, writable, only read: the zero page |
//! | `none:BYTE:N` | private, full of BYTE, then without any permission |
//! | `shm:BYTE:N` | shared, full of BYTE, writable |
//! | `huge:BYTE:N` | N huge pages of 2 MiB full of BYTE, then made read-only |
//! | `split:N` | 2N private mappings of one page each, untouched: they cannot merge, as every other is read-only |
//! | `hugetlb:N` | N huge pages of 2 MiB of the pool (`/proc/sys/vm/nr_hugepages`), written |
//! | `file:PATH` | private mapping of a file, read |
//! | `heap:N` | the program break moved by N pages, written |
//! | `stack:N` | the main stack, N pages deeper than it was, written |
//! | `threads:N` | (a number of threads) stacks of 64 KiB, of which the top is written |
//!
//! And those that do something with all of it:
//!
//! | step | |
//! |---|---|
//! | `mergeable` | offers it to KSM |
//! | `collapsible` | offers it to khugepaged |
//! | `pageout` | sends the writable private memory to swap |
//! | `lateheap:N` | declares that the heap began N bytes later; answers where that is |
//! | `undumpable` | lets only the privileged look into the process |
//! | `write` | writes to each page of the writable private memory; answers the page faults |
//! | `protect` | makes the writable private memory read-only |
//! | `drop` | unmaps it |
//! | `halve` | gives a page of each read-only part other permissions, so that huge pages are mapped by small entries |
//! | `churn:N` | from now on a thread takes the right to write to N more pages away and gives it back, without rest |
//! | `fork` | leaves a child that sleeps; answers its pid |
//! | `forkas:NAME` | the same, under another name |
//! | `views:PATH:N` | maps a file N times for reading and writing, and reads it through each |
//! | `forkexit` | has a child that ends at once |
//! | `share` | leaves a child in the same address space that sleeps; answers its pid |
//! | `leave` | its first thread ends, another goes on |
//! | `leave:PATH` | the same; the other executes PATH at the next line of input |
//! | `execute:PATH` | another thread than the first executes PATH |

use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;

use anyhow::{bail, Context, Result};
use rustix::mm::{Advice, MprotectFlags};
use rustix::process::{set_dumpable_behavior, DumpableBehavior};
use rustix::thread::set_name;
use workloads::map::Map;
use workloads::process;
use workloads::say;
use workloads::SysSetting;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if_eq("--name").is_some() {
        let name = arguments.next().context("--name wants a name")?;
        set_name(&std::ffi::CString::new(name)?)?;
    }
    let mut holder = Holder::default();
    for step in arguments {
        holder.step(&step).with_context(|| step.clone())?;
    }
    workloads::follow_steps(|step| holder.step(step))
}

#[derive(Default)]
struct Holder {
    read_only: Vec<Map>,
    writable: Vec<Map>,
    shared: Vec<Map>,
    /// Pages made by `unique` and `tail` so far, so that no two are equal.
    numbered: u64,
}

impl Holder {
    /// Does one step and returns its figure.
    fn step(&mut self, step: &str) -> Result<Option<u64>> {
        let (word, rest) = step.split_once(':').unwrap_or((step, ""));
        match word {
            "fill" => {
                let mut map = filled(rest, false)?;
                map.protect(MprotectFlags::READ)?;
                self.read_only.push(map);
            }
            "unique" => self.number(rest, 0)?,
            "tail" => self.number(rest, workloads::map::PAGE - size_of::<u64>())?,
            "rw" => self.writable.push(filled(rest, false)?),
            "shm" => self.shared.push(filled(rest, true)?),
            "zero" => {
                let map = Map::anonymous(number(rest)?, false)?;
                map.touch_by_reading();
                self.writable.push(map);
            }
            "none" => {
                let mut map = filled(rest, false)?;
                map.protect(MprotectFlags::empty())?;
                self.read_only.push(map);
            }
            "split" => self.read_only.push(split(number(rest)?)?),
            "hugetlb" => self.shared.push(hugetlb(number(rest)?)?),
            "huge" => self.read_only.push(huge(rest)?),
            "file" => {
                let map = Map::file(&File::open(rest)?)?;
                map.touch_by_reading();
                self.read_only.push(map);
            }
            "heap" => process::grow_heap(number(rest)?)?,
            "stack" => process::grow_stack(number(rest)?),
            "threads" => threads(number(rest)?)?,
            "mergeable" => self.advise_all(Advice::LinuxMergeable)?,
            "collapsible" => self.advise_all(Advice::LinuxHugepage)?,
            "lateheap" => return process::start_heap_later(number(rest)?).map(Some),
            "pageout" => self.page_out()?,
            "undumpable" => set_dumpable_behavior(DumpableBehavior::NotDumpable)?,
            "write" => return self.write().map(Some),
            "protect" => self.protect()?,
            "drop" => self.drop_all()?,
            "halve" => self.halve()?,
            "churn" => churn(number(rest)?)?,
            "fork" => return process::fork(process::sleep_for_ever).map(Some),
            "forkas" => return process::fork(|| sleep_as(rest)).map(Some),
            "views" => self.views(rest)?,
            "forkexit" => process::wait(process::fork(|| {})?)?,
            "share" => return process::share_memory().map(Some),
            "leave" => leave(rest)?,
            "execute" => drop(std::thread::spawn({
                let path = rest.to_owned();
                move || execute(&path)
            })),
            _ => bail!("unknown step `{step}`"),
        }
        Ok(None)
    }

    fn halve(&mut self) -> Result<()> {
        for map in &mut self.read_only {
            map.protect_page(map.pages() / 2, MprotectFlags::READ | MprotectFlags::WRITE)?;
        }
        Ok(())
    }

    /// Read-only pages of zeros with a running number at `offset`.
    fn number(&mut self, pages: &str, offset: usize) -> Result<()> {
        let mut map = Map::anonymous(number(pages)?, false)?;
        map.write_pages(|_, page| {
            self.numbered += 1;
            let mark = self.numbered.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            page[offset..offset + size_of::<u64>()].copy_from_slice(&mark.to_ne_bytes());
        });
        map.protect(MprotectFlags::READ)?;
        self.read_only.push(map);
        Ok(())
    }

    fn views(&mut self, text: &str) -> Result<()> {
        let (path, count) = text.split_once(':').context("PATH:N is wanted")?;
        let file = File::options().read(true).write(true).open(path)?;
        for _ in 0..number(count)? {
            let map = Map::shared_file(&file)?;
            map.touch_by_reading();
            self.shared.push(map);
        }
        Ok(())
    }

    fn advise_all(&mut self, advice: Advice) -> Result<()> {
        self.read_only
            .iter_mut()
            .chain(&mut self.writable)
            .try_for_each(|map| map.advise(advice))
    }

    fn page_out(&mut self) -> Result<()> {
        let mut maps = self.writable.iter_mut();
        maps.try_for_each(|map| map.advise(Advice::LinuxPageOut))
    }

    fn write(&mut self) -> Result<u64> {
        let before = minor_faults()?;
        self.writable.iter_mut().for_each(Map::touch_by_writing);
        Ok(minor_faults()? - before)
    }

    fn protect(&mut self) -> Result<()> {
        for mut map in self.writable.drain(..) {
            map.protect(MprotectFlags::READ)?;
            self.read_only.push(map);
        }
        Ok(())
    }

    fn drop_all(&mut self) -> Result<()> {
        let Self {
            read_only,
            writable,
            shared,
            ..
        } = self;
        let all = read_only
            .drain(..)
            .chain(writable.drain(..))
            .chain(shared.drain(..));
        all.into_iter().try_for_each(Map::unmap)
    }
}

fn number(text: &str) -> Result<usize> {
    text.parse()
        .with_context(|| format!("`{text}` is not a number"))
}

fn byte_and_number(text: &str) -> Result<(u8, usize)> {
    let (byte, count) = text.split_once(':').context("BYTE:N is wanted")?;
    let byte = u8::from_str_radix(byte, 16).with_context(|| format!("`{byte}` is not hex"))?;
    Ok((byte, number(count)?))
}

fn filled(text: &str, is_shared: bool) -> Result<Map> {
    let (byte, pages) = byte_and_number(text)?;
    let mut map = Map::anonymous(pages, is_shared)?;
    map.write_pages(|_, page| page.fill(byte));
    Ok(map)
}

fn huge(text: &str) -> Result<Map> {
    let (byte, count) = byte_and_number(text)?;
    let mut map = Map::huge(count)?;
    map.advise(Advice::LinuxHugepage)?;
    map.write_pages(|_, page| page.fill(byte));
    map.protect(MprotectFlags::READ)?;
    Ok(map)
}

/// Every other page is read-only, so that each is a mapping of its own.
fn split(count: usize) -> Result<Map> {
    let mut map = Map::anonymous(2 * count, false)?;
    map.protect_every_other(MprotectFlags::READ)?;
    Ok(map)
}

fn sleep_as(name: &str) {
    // A name without a NUL, as it was an argument or a line.
    let _ = std::ffi::CString::new(name).map(|name| set_name(&name));
    process::sleep_for_ever();
}

fn hugetlb(count: usize) -> Result<Map> {
    let mut map = Map::hugetlb(count)?;
    map.touch_by_writing();
    Ok(map)
}

/// Threads that sleep until the process ends.
fn threads(count: usize) -> Result<()> {
    for _ in 0..count {
        std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(process::sleep_for_ever)?;
    }
    Ok(())
}

/// The more pages, the longer the mmap lock is held for changes at a time.
fn churn(pages: usize) -> Result<()> {
    let mut map = Map::anonymous(pages, false)?;
    // Where there are none, the advice is refused.
    if SysSetting::has_huge_pages() {
        map.advise(Advice::LinuxNoHugepage)?;
    }
    map.touch_by_writing();
    std::thread::Builder::new().spawn(move || -> Result<()> {
        loop {
            map.protect(MprotectFlags::READ)?;
            map.protect(MprotectFlags::READ | MprotectFlags::WRITE)?;
        }
    })?;
    Ok(())
}

fn minor_faults() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").context("no name in stat")?;
    fields
        .split(' ')
        .nth(7)
        .context("stat is short")?
        .parse()
        .context("minflt")
}

/// Ends the first thread; one that waits for input takes its place.
fn leave(path: &str) -> Result<()> {
    // The first thread holds stdin's lock; and only who made a pipe may open it anew.
    let mut input = File::from(rustix::io::dup(std::io::stdin())?);
    let path = path.to_owned();
    std::thread::Builder::new().spawn(move || {
        let mut byte = [0; 1];
        while input.read(&mut byte).is_ok_and(|read| read > 0) {
            if !path.is_empty() && byte == *b"\n" {
                execute(&path);
            }
        }
        std::process::exit(0);
    })?;
    say("ok")?;
    process::end_this_thread()
}

/// Becomes another program, or ends.
fn execute(path: &str) {
    let error = std::process::Command::new(path).exec();
    eprintln!("{path}: {error}");
    std::process::exit(1);
}
