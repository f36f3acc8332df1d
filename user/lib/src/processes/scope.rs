// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which processes are meant.

use regex::bytes::Regex;

use super::group::unit_of;
use super::Name;

/// Which processes are meant: those that fit each kind of condition that is given, and one of each kind.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Those of these numbers.
    pub pids: Vec<u32>,
    /// Those that bear one of these names.
    pub names: Vec<Name>,
    /// Those whose name one of these fits.
    pub patterns: Vec<Regex>,
    /// Those of these users.
    pub users: Vec<u32>,
    /// Those in these cgroups, and below.
    pub cgroups: Vec<Name>,
    /// Those of these units of systemd.
    pub units: Vec<Name>,
    /// Those in the containers whose ids begin so.
    pub containers: Vec<String>,
}

/// What decides whether a process is meant.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: &'a [u8],
    /// Its user, if that is known.
    pub uid: Option<u32>,
    /// Its cgroup, if that is known.
    pub cgroup: Option<&'a Name>,
}

/// The shortest part of an id that names a container, as container engines have it.
const SHORT_ID: usize = 12;

impl Scope {
    /// Whether it takes a process's cgroup to decide.
    #[must_use]
    pub fn wants_cgroup(&self) -> bool {
        !(self.cgroups.is_empty() && self.units.is_empty() && self.containers.is_empty())
    }

    /// Whether all processes are meant.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.pids.is_empty()
            && self.names.is_empty()
            && self.patterns.is_empty()
            && self.users.is_empty()
            && !self.wants_cgroup()
    }

    /// Whether a process of this number may be meant.
    #[must_use]
    pub fn has_pid(&self, pid: u32) -> bool {
        self.pids.is_empty() || self.pids.contains(&pid)
    }

    /// Whether this process is meant.
    #[must_use]
    pub fn has(&self, process: &Identity<'_>) -> bool {
        let is_named = |name: &Name| name.as_bytes() == process.name;
        let has_name = self.names.is_empty() && self.patterns.is_empty()
            || self.names.iter().any(is_named)
            || self.patterns.iter().any(|fits| fits.is_match(process.name));
        self.has_pid(process.pid)
            && has_name
            && (self.users.is_empty() || process.uid.is_some_and(|uid| self.users.contains(&uid)))
            && (!self.wants_cgroup() || self.has_cgroup(process.cgroup))
    }

    fn has_cgroup(&self, cgroup: Option<&Name>) -> bool {
        let Some(cgroup) = cgroup else {
            return false;
        };
        let path = cgroup.as_bytes();
        let is_below = |folder: &Name| is_below(path, folder.as_bytes());
        let unit = unit_of(path);
        (self.cgroups.is_empty() || self.cgroups.iter().any(is_below))
            && (self.units.is_empty() || self.units.iter().any(|name| is_unit(&unit, name)))
            && (self.containers.is_empty()
                || self.containers.iter().any(|id| is_container(path, id)))
    }
}

/// Whether a path is a folder or below it.
fn is_below(path: &[u8], folder: &[u8]) -> bool {
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    let rest = path.strip_prefix(folder);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Whether this is the unit of that name, of which `.service` may be left out.
fn is_unit(unit: &[u8], name: &Name) -> bool {
    unit == name.as_bytes() || unit.strip_suffix(b".service") == Some(name.as_bytes())
}

/// Whether a folder on the path bears the id of a container that begins with `id`.
fn is_container(path: &[u8], id: &str) -> bool {
    let is_hex = |byte: &u8| byte.is_ascii_hexdigit();
    let mut words = path.split(|byte| !is_hex(byte));
    words.any(|word| word.len() >= SHORT_ID && word.starts_with(id.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity<'a>(name: &'a [u8], cgroup: Option<&'a Name>) -> Identity<'a> {
        Identity {
            pid: 7,
            name,
            uid: Some(1000),
            cgroup,
        }
    }

    #[test]
    fn one_of_each_kind_must_fit() {
        let mut scope = Scope::default();
        assert!(scope.is_all() && scope.has(&identity(b"sh", None)));
        scope.names = vec!["bash".into()];
        assert!(!scope.has(&identity(b"sh", None)));
        scope.patterns = vec![Regex::new("^s").unwrap()];
        assert!(scope.has(&identity(b"sh", None)));
        scope.users = vec![0];
        assert!(!scope.has(&identity(b"sh", None)));
        scope.users = vec![0, 1000];
        assert!(scope.has(&identity(b"sh", None)));
        scope.pids = vec![8];
        assert!(!scope.has(&identity(b"sh", None)));
    }

    #[test]
    fn cgroups_units_and_containers_are_found_by_their_paths() {
        let path = Name::from("/system.slice/docker-0123456789abcdef.scope");
        let in_path = |scope: &Scope| scope.has(&identity(b"x", Some(&path)));
        let of = |path: &str| vec![Name::from(path)];
        for (folder, is_in) in [
            ("/", true),
            ("/system.slice", true),
            ("/system.slice/", true),
            ("/system", false),
        ] {
            let cgroups = of(folder);
            assert_eq!(
                in_path(&Scope {
                    cgroups,
                    ..Scope::default()
                }),
                is_in,
                "{folder}"
            );
        }
        for (id, is_in) in [("0123", true), ("123", false), ("system", false)] {
            let containers = vec![id.to_owned()];
            assert_eq!(
                in_path(&Scope {
                    containers,
                    ..Scope::default()
                }),
                is_in,
                "{id}"
            );
        }
        let units = of("ssh");
        let scope = Scope {
            units,
            ..Scope::default()
        };
        let ssh = Name::from("/system.slice/ssh.service/sub");
        assert!(scope.has(&identity(b"x", Some(&ssh))));
        assert!(!in_path(&scope));
        assert!(!scope.has(&identity(b"x", None)));
    }
}
