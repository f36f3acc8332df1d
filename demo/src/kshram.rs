// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shared memory that belongs to the kernel.

use anyhow::{Context, Result};
use pagelens::kshram::{Control, Slot};
use workloads::Workload;

use crate::narrator::Narrator;

pub fn play(narrator: &Narrator) -> Result<()> {
    document(narrator)?;
    narrator.run("modprobe kshram")?;
    sizes(narrator)?;
    crash(narrator)?;
    warm_start(narrator)?;
    narrator.run("rmmod kshram").map(drop)
}

/// The document's demonstration: its eight steps, in its order.
fn document(narrator: &Narrator) -> Result<()> {
    narrator.say("The document's demonstration. 1: the system is up. 2: the smallest module.");
    narrator.run("uname -r")?;
    narrator.run("modprobe hello && rmmod hello && dmesg | tail -n 2")?;
    narrator.say("3: loading kshram makes eight devices of 4096 bytes.");
    narrator.run("modprobe kshram")?;
    let nodes = narrator.run("ls -l /dev/kshram*")?;
    let list = narrator.run("cat /proc/kshram")?;
    narrator.check(
        "eight slots and a control device",
        nodes.lines().count() == 9 && list.ends_with("07: 4096\n") && list.lines().count() == 8,
    )?;
    narrator.say("4: unloading takes them away.");
    narrator.run("rmmod kshram")?;
    let gone = narrator.run("ls /dev | grep -c kshram || true")?;
    narrator.check("they are gone", gone.trim() == "0")?;
    narrator
        .say("5: loaded again, a slot is empty, and keeps what one program leaves to the next.");
    narrator.run("modprobe kshram")?;
    let first = narrator.run("check_msg hello")?;
    let second = narrator.run("check_msg")?;
    narrator.check(
        "the second program found the first one's message",
        first.starts_with("message: \n") && second.starts_with("message: hello\n"),
    )?;
    narrator.say("6: every slot gets another size.");
    narrator.run("check_resize")?;
    let list = narrator.run("cat /proc/kshram")?;
    narrator.check("slot 7 has 36964 bytes", list.ends_with("07: 36964\n"))?;
    narrator.say("7: two processes that map the memory each for itself.");
    let both = narrator.run("check_fork")?;
    narrator.check("both see the same", both.starts_with("both children saw: "))?;
    narrator.say("8: unloading again.");
    narrator.run("rmmod kshram").map(drop)
}

fn sizes(narrator: &Narrator) -> Result<()> {
    narrator.say(
        "A slot grows and shrinks, but not below what somebody maps: here another process, which
         even closed its descriptor. Whoever asks for force gets it, and the other gets SIGBUS.",
    );
    let slot = Slot::open(1)?;
    slot.resize(3 << 20)?;
    let mut user = Workload::start("kshram_user", &["1"])?;
    user.ask("map")?;
    user.ask("close")?;
    user.ask("write:10:42")?;
    let refused = slot.resize(4096).err().context("it was not refused")?;
    narrator.say(&format!("{refused}"));
    let control = Control::open()?;
    let seen = control.slot(1)?;
    narrator.check(
        &format!(
            "{} MiB are in memory; process {} maps them",
            seen.resident >> 20,
            user.pid()
        ),
        seen.resident == 3 << 20 && control.mappers(1)? == [user.pid()],
    )?;
    slot.resize_by_force(4096)?;
    let is_kept = user.ask("read:10")? == "42";
    narrator.check("what is within the new size stays", is_kept)?;
    let is_dead = user.ask("read:100000").is_err();
    narrator.check("an access behind it ends the process", is_dead)
}

fn crash(narrator: &Narrator) -> Result<()> {
    narrator.say(
        "Locks work in the memory. A writer takes a robust mutex, changes half of what it guards,
         and is killed. The next one is told, repairs, and goes on.",
    );
    let mut reader = Workload::start("kshram_user", &["2"])?;
    reader.ask("map")?;
    reader.ask("create")?;
    let mut writer = Workload::start("kshram_user", &["2"])?;
    writer.ask("map")?;
    writer.ask("update")?;
    writer.ask("tear")?;
    drop(writer);
    let is_repaired = reader.ask("update")? == "repaired" && reader.ask("update")? == "clean";
    narrator.check("the reader recovered", is_repaired)
}

fn warm_start(narrator: &Narrator) -> Result<()> {
    narrator.say(
        "A program keeps its cache of 100 MB in a slot. The first start computes it, the second
         maps it. (The machine is emulated: only the ratio means anything.)",
    );
    let cold = start(&narrator.run("kshram_cache 7 100")?)?;
    let warm = start(&narrator.run("kshram_cache 7 100")?)?;
    narrator.say(&format!("{:.0} times faster", cold.1 / warm.1));
    narrator.check(
        "the first start built the table, the second found it",
        (cold.0, warm.0) == ("cold".to_owned(), "warm".to_owned()),
    )
}

/// What `kshram_cache` says: how it started, and in how many milliseconds.
fn start(line: &str) -> Result<(String, f64)> {
    let (state, time) = line.split_once(' ').context("two words")?;
    let time = time.trim().strip_suffix(" ms").context("a time")?;
    Ok((state.to_owned(), time.parse()?))
}
