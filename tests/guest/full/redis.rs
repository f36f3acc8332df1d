// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a Redis server's background save costs in copies: `pf_stat` against Redis's own figure.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use pagelens::pf_stat::{self, Ledger};
use workloads::{Module, Running};

use crate::support::{shell, wait_until};

const NAME: &str = "redis-server";
const SOCKET: &str = "/tmp/redis.sock";
/// 200 MB in strings of 1000 bytes.
const KEYS: u32 = 200_000;
const WRITES: u32 = 20_000;

struct Redis(Running);

impl Redis {
    fn start() -> Result<Self> {
        let options = "--port 0 --unixsocket /tmp/redis.sock --dir /tmp --rdbcompression no \
                       --enable-debug-command yes --latency-tracking no --save";
        let redis = Self(Running::start(
            Command::new(NAME)
                .args(options.split_whitespace())
                .arg("")
                .stdout(Stdio::null()),
        )?);
        wait_until("Redis answers", || Ok(cli(&["PING"])? == "PONG"))?;
        Ok(redis)
    }

    /// Fails if there is no child.
    fn signal_children(&self, signal: &str) -> Result<()> {
        let done = shell(&format!("pkill -{signal} -P {}", self.0.pid()))?;
        ensure!(done.status.success(), "no child to {signal}: {done:?}");
        Ok(())
    }
}

fn cli(arguments: &[&str]) -> Result<String> {
    let output = Command::new("redis-cli")
        .args(["-s", SOCKET])
        .args(arguments)
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn info(field: &str) -> Result<u64> {
    let text = cli(&["INFO", "persistence"])?;
    let mut lines = text.lines().map(str::trim);
    let value = lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(value.with_context(|| format!("no {field}"))?.parse()?)
}

fn ledger() -> Result<Ledger> {
    Ledger::of(NAME)?.context("not tracked")
}

#[test]
fn the_copies_of_a_background_save_are_those_that_redis_reports() -> Result<()> {
    let _module = Module::load("pf_stat", &[])?;
    pf_stat::set_param(NAME.as_bytes())?;
    let redis = Redis::start()?;
    cli(&["DEBUG", "POPULATE", &KEYS.to_string(), "key", "1000"])?;

    let before = ledger()?;
    let areas_before = pf_stat::get_info(NAME.as_bytes())?;
    cli(&["BGSAVE"])?;
    redis.signal_children("STOP")?;
    let writes = format!(
        "for i = 1, {WRITES} do \
         redis.call('SETRANGE', 'key:' .. math.random(0, {}), 0, 'x') end",
        KEYS - 1
    );
    cli(&["EVAL", &writes, "0"])?;
    ensure!(info("rdb_bgsave_in_progress")? == 1, "the save went on");
    redis.signal_children("CONT")?;
    wait_until("the save ends", || Ok(info("rdb_bgsave_in_progress")? == 0))?;
    let copied = (ledger()?.copied - before.copied) * 4096;
    let own = info("rdb_last_cow_size")?;
    println!("copies {copied} bytes, rdb_last_cow_size {own} bytes");
    assert!(copied.abs_diff(own) * 10 <= own, "{copied} against {own}");
    assert!(own > 20 << 20, "too few copies to tell: {own}");

    // The areas that paid are Redis's own, and one or two large ones paid nearly all of it.
    let maps = fs::read_to_string(format!("/proc/{}/maps", redis.0.pid()))?;
    let after = pf_stat::get_info(NAME.as_bytes())?;
    let mut paid = Vec::new();
    for area in &after.areas {
        let (start, end) = (area.addresses.start, area.addresses.end);
        ensure!(maps.contains(&format!("{start:x}-{end:x} ")), "{area:x?}");
        let earlier = areas_before.at(start).unwrap_or(0);
        paid.push((area.faults.saturating_sub(earlier), end - start));
    }
    paid.sort_unstable_by(|a, b| b.cmp(a));
    let (most, size) = paid[0];
    println!("the area that paid most: {most} faults in {size} bytes");
    assert!(most * 4096 * 2 > copied && size > 50 << 20, "{paid:?}");
    Ok(())
}
