// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes put together: by name, user, cgroup or unit.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Figures, Name, Process};

/// What is put together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Processes of one name.
    #[default]
    Name,
    /// Nothing: each process is told.
    Process,
    /// Those of one cgroup.
    Cgroup,
    /// Those of one user.
    User,
    /// Those of one unit of systemd.
    Unit,
}

/// Some processes together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<'a> {
    /// What they have in common; of users the number.
    pub name: Name,
    /// Them, by number.
    pub processes: Vec<&'a Process>,
    /// What they have: memory that several share is in it once.
    pub figures: Figures,
}

impl<'a> Group<'a> {
    /// Puts processes together.
    #[must_use]
    pub fn make(processes: impl IntoIterator<Item = &'a Process>, by: By) -> Vec<Self> {
        let mut groups = BTreeMap::<_, Vec<&Process>>::new();
        for process in processes {
            let pid = if by == By::Process { process.pid } else { 0 };
            let key = (name_of(process, by), pid);
            groups.entry(key).or_default().push(process);
        }
        let groups = groups.into_iter().map(|((name, _), processes)| Self {
            name,
            figures: sum(&processes),
            processes,
        });
        groups.collect()
    }
}

/// The sum of what some processes have. Those that share one memory may be in different groups, and so
/// each group has it once.
fn sum(processes: &[&Process]) -> Figures {
    let is_here = |pid| processes.iter().any(|process| process.pid == pid);
    let mut told = Vec::new();
    let once = processes
        .iter()
        .filter(|process| match process.shares_with {
            None => true,
            Some(pid) if is_here(pid) || told.contains(&pid) => false,
            Some(pid) => {
                told.push(pid);
                true
            }
        });
    Figures::sum(once.map(|process| &process.figures))
}

fn name_of(process: &Process, by: By) -> Name {
    let cgroup = || process.cgroup.clone().unwrap_or_default();
    match by {
        By::Name | By::Process => process.name.clone(),
        By::User => process
            .uid
            .map_or(Name::default(), |uid| Name::from(&uid.to_string())),
        By::Cgroup => cgroup(),
        By::Unit => Name::from(&unit_of(cgroup().as_bytes())),
    }
}

/// The unit of systemd that a cgroup's path belongs to: its last folder that is one, in plain letters.
/// Empty for none.
#[must_use]
pub fn unit_of(path: &[u8]) -> Vec<u8> {
    let is_unit = |folder: &&[u8]| {
        [&b".service"[..], b".scope", b".slice"]
            .iter()
            .any(|suffix| folder.ends_with(suffix))
    };
    let mut folders = path.rsplit(|&byte| byte == b'/');
    folders
        .find(is_unit)
        .map_or(Vec::new(), |unit| plain(unit).into_owned())
}

/// Undoes systemd's escaping, `\xNN`.
fn plain(unit: &[u8]) -> Cow<'_, [u8]> {
    if !unit.contains(&b'\\') {
        return Cow::Borrowed(unit);
    }
    let mut bytes = Vec::with_capacity(unit.len());
    let mut rest = unit;
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind.strip_prefix(b"x").and_then(|hex| hex.get(..2));
        let digits = digits.and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = digits.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte.filter(|_| first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = behind.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn process(pid: u32, name: &str, pss: u64, shares_with: Option<u32>) -> Process {
        let mut figures = Figures::sum([]);
        figures.pss_bytes = Some(pss);
        Process {
            pid,
            ppid: 1,
            uid: Some(pid % 2),
            threads: 1,
            start_time_ns: None,
            name: name.into(),
            cgroup: None,
            shares_with,
            may_share: false,
            is_kernel: false,
            figures,
            areas: Vec::new(),
        }
    }

    #[test]
    fn memory_that_is_shared_counts_once_in_each_group() {
        let all = [
            process(1, "a", 10, None),
            process(2, "a", 10, Some(1)),
            process(3, "b", 10, Some(1)),
            process(4, "b", 10, Some(1)),
            process(5, "b", 7, None),
        ];
        let sums = |by| -> Vec<(String, Option<u64>)> {
            Group::make(&all, by)
                .iter()
                .map(|group| (group.name.to_string(), group.figures.pss_bytes))
                .collect()
        };
        assert_eq!(
            sums(By::Name),
            [("a".into(), Some(10)), ("b".into(), Some(17))]
        );
        assert_eq!(
            sums(By::User),
            [("0".into(), Some(10)), ("1".into(), Some(17))]
        );
        assert_eq!(sums(By::Process).len(), 5);
    }

    #[test]
    fn the_unit_is_the_last_one_of_the_path() {
        for (path, unit) in [
            (
                "/user.slice/user-0.slice/session-1.scope",
                "session-1.scope",
            ),
            ("/system.slice/dev\\x2dsda.service/inner", "dev-sda.service"),
            ("/plain/folder", ""),
            ("/", ""),
            ("/a\\x2.service", "a\\x2.service"),
        ] {
            assert_eq!(unit_of(path.as_bytes()), unit.as_bytes(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path: Vec<u8>) {
            let _ = unit_of(&path);
            let _ = unit_of(&[&path[..], b".service"].concat());
        }
    }
}
