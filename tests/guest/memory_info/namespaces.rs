// SPDX-License-Identifier: MIT OR Apache-2.0
//! Readers in namespaces of their own.

use anyhow::{Context, Result};
use pagelens::Program;
use workloads::Workload;

use super::Loaded;
use crate::support::{shell, shell_output};

/// Runs a tester in a pid namespace and shows what a reader there sees.
const INSIDE: &str = r"
    tester 10 > /tmp/ready & tester=$!
    while ! grep -q ready /tmp/ready; do usleep 10000; done
    echo RESET > /proc/memory_info && echo 'FILTER|tester' > /proc/memory_info
    cat /proc/memory_info
    echo $tester
    kill $tester
    rm /tmp/ready";

#[test]
fn pids_are_those_of_the_readers_namespace() -> Result<()> {
    let mut loaded = Loaded::new()?;
    let outside = Workload::start("tester", &["10"])?;
    let shown = shell_output(&format!(
        "unshare -p -f sh -c \"{}\"",
        INSIDE.replace('$', "\\$")
    ))?;
    let (line, pid) = shown
        .trim_end()
        .split_once('\n')
        .with_context(|| shown.clone())?;
    let inside = Program::parse(line.as_bytes())?;
    assert_eq!(
        inside.pids,
        [pid.parse::<u32>()?],
        "the outer tester is hidden inside"
    );
    assert_ne!(inside.pids, [outside.pid()]);

    // The same snapshot, seen from outside, has both.
    let both = loaded.info.program(b"tester")?;
    assert_eq!(both.pids.len(), 2, "{both:?}");
    assert!(both.pids.contains(&outside.pid()));
    Ok(())
}

#[test]
fn root_of_a_user_namespace_cannot_open_the_file() -> Result<()> {
    let _loaded = Loaded::new()?;
    // The caller is the real root: its uid inside is the file's owner, its capabilities
    // are those of the namespace only.
    let works = shell("unshare -U -r cat /proc/uptime")?;
    assert!(
        works.status.success(),
        "user namespaces do not work here: {works:?}"
    );
    let refused = shell("unshare -U -r cat /proc/memory_info")?;
    assert!(
        !refused.status.success() && refused.stdout.is_empty(),
        "{refused:?}"
    );
    Ok(())
}
